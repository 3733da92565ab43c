//! Text generation inference: `{"inputs":"…","parameters":{…}}`.
//!
//! | canonical | on the wire |
//! |---|---|
//! | prompt | `inputs` |
//! | temperature | above 0, with `do_sample: true`; 0 is `do_sample: false` |
//! | top_p | between 0 and 1: 1 is left out, TGI answers it with 422 |
//! | JSON schema, regular expression | `grammar` |
//! | top_logprobs | `top_n_tokens`, with `details` |
//! | return_full_text | always said: on SageMaker TGI's default is to echo the prompt |
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
use crate::formats::extension_fields::Put;
use crate::formats::request_reader as source;
use crate::formats::request_reader::Result;
use crate::formats::text_generation::read_request as generate;
use crate::formats::text_generation::read_request::Shape;
use crate::json::Object;
use crate::model::{Offset, Content, Message, Param, Part, ResponseFormat, Source};
use crate::model::{Outcome, PromptImages, Request};

const SHAPE: Shape = Shape {
    prompt: "inputs",
    parameters: "parameters",
    max_tokens: "max_new_tokens",
    stop: "stop",
    n: "",
    stream_inside: false,
    one_stop: false,
    dialogs: false,
};

const TAKES: &[&str] = &[
    "include_usage",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop",
    "frequency_penalty",
    "repetition_penalty",
    "logprobs",
    "top_logprobs",
    "response_format",
    "return_full_text",
    "details",
];

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut source::Source<'a>) -> Result<Request<'a>> {
    generate::read(source, &SHAPE)
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(TAKES, "TGI has no such parameter");
    let request = c.request;
    let mut object = Object::new(out);
    object.text("inputs", &*c.prompt_of(|messages| write_images(c, messages))?);
    let mut parameters = object.begin_object("parameters");
    if let Some(tokens) = c.max_tokens() {
        parameters.integer("max_new_tokens", tokens);
    }
    c.sampling(&mut parameters);
    top_p(c, &mut parameters);
    c.signed(&mut parameters, "top_k", request.top_k.filter(|top_k| top_k.value > 0));
    if let Some(Param { value: ..0, offset }) = request.seed {
        c.report_dropped(offset, "seed", "TGI takes no seed below 0");
    } else {
        c.signed(&mut parameters, "seed", request.seed);
    }
    c.stop(&mut parameters, "stop");
    let frequency = c.clamped(request.frequency_penalty, "frequency_penalty", (-2.0, 2.0));
    c.number_member(&mut parameters, "frequency_penalty", frequency);
    c.number_member(&mut parameters, "repetition_penalty", request.repetition_penalty);
    let wants = |param: Option<Param<bool>>| param.is_some_and(|param| param.value);
    let top = request.top_logprobs.filter(|top| top.value > 0);
    if let Some(top) = top {
        parameters.integer("top_n_tokens", top.value);
    }
    if wants(request.logprobs) || wants(request.include_usage) || wants(request.details) || top.is_some() {
        parameters.bool("details", true);
    } else if let Some(details) = request.details {
        parameters.bool("details", details.value);
    }
    grammar(c, &mut parameters);
    if request.return_full_text.is_some() || !c.same {
        parameters.bool("return_full_text", wants(request.return_full_text));
    }
    c.extra_parameters(&mut parameters, |name| SHAPE.knows(name));
    if c.same {
        parameters.extension_fields(&request.extension_fields, "parameters");
    }
    drop(parameters);
    if let Some(stream) = request.stream {
        object.bool("stream", stream.value);
    }
    if c.same {
        object.extension_fields(&request.extension_fields, "");
    }
    Ok(())
}

/// Puts images into the texts beside them, where it is asked for.
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
            c.report_dropped(offset, "source", "TGI takes data and http URLs only: the caller has to fetch it");
            None
        }
    }
}

/// Between 0 and 1, without both ends.
fn top_p(c: &Conversion<'_, '_>, parameters: &mut Object<'_>) {
    match c.request.top_p {
        Some(top_p) if top_p.value >= 1.0 && !c.same => {}
        Some(top_p) if top_p.value <= 0.0 => {
            c.report(top_p.offset, "top_p", Outcome::Clamped, "has to be above 0");
            parameters.raw("top_p", "0.01");
        }
        top_p => c.number_member(parameters, "top_p", top_p),
    }
}

fn grammar(c: &Conversion<'_, '_>, parameters: &mut Object<'_>) {
    let Some(shape) = &c.request.response_format else { return };
    match &shape.value {
        ResponseFormat::Text => {}
        ResponseFormat::JsonObject => {
            c.report_approximated(shape.offset, "response_format", "TGI takes a schema: that of any object is sent");
            let mut grammar = parameters.begin_object("grammar");
            grammar.string("type", "json");
            grammar.raw("value", "{\"type\":\"object\"}");
        }
        ResponseFormat::JsonSchema { schema: Some(schema), name, description, .. } => {
            if (name.is_some() || description.is_some()) && !c.same {
                let why = "the schema is sent without its name and its description";
                c.report_approximated(shape.offset, "response_format", why);
            }
            let mut grammar = parameters.begin_object("grammar");
            match name {
                // TGI before 3 does not know this form.
                Some(name) if c.same => {
                    grammar.string("type", "json_schema");
                    let mut value = grammar.begin_object("value");
                    value.string("name", name);
                    value.raw("schema", schema.as_str());
                }
                _ => {
                    grammar.string("type", "json");
                    grammar.raw("value", schema.as_str());
                }
            }
        }
        ResponseFormat::Regex(regex) => {
            let mut grammar = parameters.begin_object("grammar");
            grammar.string("type", "regex");
            grammar.string("value", regex);
        }
        ResponseFormat::Other(other) if c.same => parameters.raw("grammar", other.as_str()),
        _ => c.report_dropped(shape.offset, "response_format", "TGI takes schemas and regular expressions only"),
    }
}
