//! OpenAI completions: `{"prompt":"…"}`.
//!
//! A list of one text is that text. Several prompts, and tokens, are kept for completions only: they are several
//! conversations, or are not text, so they are not converted to other APIs.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{
    Group, PENALTIES, Parameter as P, SAMPLING, Table, row, split_extra_parameters,
};
use crate::formats::request_reader::{Result, Source, expected, prompts};
use crate::json::Object;
use crate::model::{Fields, Param, Request};

pub(crate) const TABLE: Table = Table {
    groups: &[&PARAMETERS, &STREAM_OPTIONS],
    code: &[P::Logprobs],
    extra: Some(""),
    known: &["prompt", "stream_options"],
    objects: &["stream_options"],
    deprecated: &[],
    reason: "OpenAI's completions have no such parameter",
};

const PARAMETERS: Group = Group {
    object: "",
    rows: &[
        &[
            row(P::Model, "model").read_only(),
            row(P::MaxTokens, "max_tokens"),
            row(P::Temperature, "temperature"),
        ],
        SAMPLING,
        &[row(P::N, "n"), row(P::Stop, "stop").or_one_string()],
        PENALTIES,
        &[
            // The number of alternatives. It requests probabilities, too.
            row(P::TopLogprobs, "logprobs").quirk(logprobs),
            row(P::LogitBias, "logit_bias"),
            row(P::User, "user"),
            row(P::ReturnFullText, "echo").skip_neutral(),
            row(P::Stream, "stream"),
        ],
    ],
};

const STREAM_OPTIONS: Group =
    Group { object: "stream_options", rows: &[&[row(P::IncludeUsage, "include_usage")]] };

fn logprobs(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    match c.request.top_logprobs {
        Some(top) => object.integer(name, top.value),
        None if c.wants(&[c.request.logprobs]) => object.integer(name, 0),
        None => {}
    }
}

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    let (_, start) = source.kind()?;
    let mut request = Request::default();
    let mut fields = Fields::new();
    source.object(&mut fields, "", |source, name| match name {
        "prompt" => prompts(source, &mut request),
        _ => TABLE.read(source, name, &mut request),
    })?;
    if request.prompt.is_none() && request.prompts.is_none() {
        return Err(expected(start, "prompt", "a string", "nothing"));
    }
    request.logprobs = request.top_logprobs.map(|top| Param { value: true, offset: top.offset });
    request.extra_parameters = split_extra_parameters(&mut fields, &TABLE);
    request.extension_fields.append(&mut fields);
    Ok(request)
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    let mut object = Object::new(out);
    c.write_model(&mut object);
    match &c.request.prompts {
        Some(prompts) => {
            c.report_tools();
            object.raw("prompt", prompts.value.as_str());
        }
        None => c.prompt()?.write(object.name("prompt")),
    }
    c.write_rows(&mut object, &PARAMETERS);
    if c.wants(&[c.request.stream]) {
        c.write_group(&mut object, &STREAM_OPTIONS);
    }
    c.write_extra_parameters(&TABLE, &mut object);
    Ok(())
}
