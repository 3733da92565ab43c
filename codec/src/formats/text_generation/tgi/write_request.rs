//! Text generation inference: `{"inputs":"…","parameters":{…}}`.
//!
//! | canonical | on the wire |
//! |---|---|
//! | prompt | `inputs` |
//! | temperature | above 0, with `do_sample: true`; 0 is `do_sample: false` |
//! | top_p | between 0 and 1: 1 is left out, because TGI rejects it with 422 |
//! | JSON schema, regular expression | `grammar` |
//! | top_logprobs | `top_n_tokens`, with `details` |
//! | return_full_text | always written: on SageMaker, TGI's default is to echo the prompt |
//! | image | with [`PromptImages::Markdown`]: `![](URL)` in the prompt |
//!
//! How TGI finds images is in its `router/src/validation.rs`: where its model is one of those that it knows as models of
//! images, `!\[\]\([^\)]*\)` is one, of an `http` or `https` URL, or of a data URL in Base64 without parameters. Its own chat
//! puts them between the texts of a message, with nothing around them (`router/src/lib.rs`), and so does this.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{Group, Parameter as P, Table, row};
use crate::formats::request_reader::{self, Result};
use crate::formats::sampling::sampling;
use crate::formats::text_generation::read_request::{self, Body, READ_IN_PARAMETERS, STREAM};
use crate::json::Object;
use crate::model::{
    Content, Message, Offset, Outcome, Param, Part, PromptImages, Request, ResponseFormat, Source,
};

pub(crate) const TABLE: Table = Table::of_prompt(
    &[&PARAMETERS, &ECHO, &READ_IN_PARAMETERS, &STREAM],
    &[P::Logprobs, P::IncludeUsage, P::ResponseFormat],
    &["grammar"],
    "TGI has no such parameter",
);

const PARAMETERS: Group = Group {
    object: "parameters",
    rows: &[&[
        row(P::MaxTokens, "max_new_tokens"),
        row(P::Temperature, "temperature").quirk(sampling),
        row(P::TopP, "top_p").quirk(top_p),
        row(P::TopK, "top_k").skip_neutral(),
        row(P::Seed, "seed").quirk(seed),
        row(P::Stop, "stop"),
        row(P::FrequencyPenalty, "frequency_penalty").range(-2.0, 2.0),
        row(P::RepetitionPenalty, "repetition_penalty"),
        row(P::TopLogprobs, "top_n_tokens").skip_neutral(),
        row(P::Details, "details").quirk(details),
    ]],
};

const ECHO: Group = Group {
    object: "parameters",
    rows: &[&[row(P::ReturnFullText, "return_full_text").quirk(return_full_text)]],
};

/// Between 0 and 1, both excluded.
fn top_p(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    match c.request.top_p {
        Some(top_p) if top_p.value >= 1.0 => {}
        Some(top_p) if top_p.value <= 0.0 => {
            c.report(top_p.offset, "top_p", Outcome::Clamped, "has to be above 0");
            object.raw(name, "0.01");
        }
        Some(top_p) => c.number(top_p, object.name(name)),
        None => {}
    }
}

fn seed(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    match c.request.seed {
        Some(Param { value: seed @ 0.., .. }) => object.integer(name, seed.unsigned_abs()),
        Some(Param { offset, .. }) => c.report_dropped(offset, "seed", "TGI takes no seed below 0"),
        None => {}
    }
}

/// Token counts and probabilities are in the details.
fn details(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let request = c.request;
    let has_alternatives = request.top_logprobs.is_some_and(|top| top.value > 0);
    if has_alternatives || c.wants(&[request.logprobs, request.include_usage, request.details]) {
        object.bool(name, true);
    } else if request.details.is_some() {
        object.bool(name, false);
    }
}

fn return_full_text(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    object.bool(name, c.wants(&[c.request.return_full_text]));
}

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut request_reader::Source<'a>) -> Result<Request<'a>> {
    read_request::read(source, &Body::new("inputs", &TABLE))
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    let mut object = Object::new(out);
    c.prompt_of(|messages| write_images(c, messages))?.write(object.name("inputs"));
    let mut parameters = object.begin_object("parameters");
    c.write_rows(&mut parameters, &PARAMETERS);
    grammar(c, &mut parameters);
    c.write_rows(&mut parameters, &ECHO);
    c.write_extra_parameters(&TABLE, &mut parameters);
    drop(parameters);
    c.write_rows(&mut object, &STREAM);
    Ok(())
}

/// Writes images into the texts beside them, if this option is set.
fn write_images<'a>(c: &Conversion<'_, 'a>, messages: &mut Cow<'_, [Message<'a>]>) {
    let has_images = |message: &Message<'_>| {
        message.content.iter().any(|part| matches!(part.content, Content::Image { .. }))
    };
    if c.options.prompt_images != PromptImages::Markdown || !messages.iter().any(has_images) {
        return;
    }
    for message in messages.to_mut().iter_mut().filter(|message| has_images(message)) {
        let mut parts: Vec<Part<'a>> = Vec::new();
        for mut part in core::mem::take(&mut message.content) {
            if let Content::Image { source, detail } = &part.content {
                let Some(image) = image(c, part.offset, source) else { continue };
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    c.report_dropped(part.offset, "detail", "TGI looks at images in one way");
                }
                part.content = Content::Text(image.into());
            }
            match (parts.last_mut(), &part.content) {
                (Some(Part { content: Content::Text(last), cache, .. }), Content::Text(text)) => {
                    last.to_mut().push_str(text);
                    *cache = part.cache.or(cache.take());
                }
                _ => parts.push(part),
            }
        }
        message.content = parts;
    }
}

/// An image as TGI finds it in a text.
fn image(c: &Conversion<'_, '_>, offset: Offset, source: &Source<'_>) -> Option<String> {
    match source {
        Source::Base64 { media_type, data } => {
            let media_type = media_type.split(';').next().unwrap_or_default();
            Some(format!("![](data:{media_type};base64,{data})"))
        }
        // A bracket would end it.
        Source::Url(url) if url.starts_with("https://") || url.starts_with("http://") => {
            Some(format!("![]({})", url.replace(')', "%29")))
        }
        _ => {
            c.report_dropped(
                offset,
                "source",
                "TGI takes data and http URLs only: the caller has to fetch it",
            );
            None
        }
    }
}

fn grammar(c: &Conversion<'_, '_>, parameters: &mut Object<'_>) {
    let Some(shape) = &c.request.response_format else { return };
    match &shape.value {
        ResponseFormat::Text => {}
        ResponseFormat::JsonObject => {
            c.report_approximated(
                shape.offset,
                "response_format",
                "TGI takes a schema: that of any object is sent",
            );
            let mut grammar = parameters.begin_object("grammar");
            grammar.string("type", "json");
            grammar.raw("value", "{\"type\":\"object\"}");
        }
        ResponseFormat::JsonSchema { schema: Some(schema), name, description, .. } => {
            if name.is_some() || description.is_some() {
                let why = "the schema is sent without its name and its description";
                c.report_approximated(shape.offset, "response_format", why);
            }
            // TGI before 3 does not know the form with a name.
            let mut grammar = parameters.begin_object("grammar");
            grammar.string("type", "json");
            grammar.raw("value", schema.as_str());
        }
        ResponseFormat::Regex(regex) => {
            let mut grammar = parameters.begin_object("grammar");
            grammar.string("type", "regex");
            grammar.string("value", regex);
        }
        ResponseFormat::Other(other) if c.is_native() => parameters.raw("grammar", other.as_str()),
        _ => c.report_dropped(
            shape.offset,
            "response_format",
            "TGI takes schemas and regular expressions only",
        ),
    }
}
