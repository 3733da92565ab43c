//! Reads and writes requests.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{Group, PENALTIES, Parameter as P, Table, row};
use crate::formats::request_reader::{Result, Source};
use crate::formats::sampling::top_k;
use crate::formats::text_generation::read_request::{self, Body, PromptList, STREAM};
use crate::json::{Object, is_document, write_string};
use crate::model::{Json, Param, Request, ResponseFormat};

/// The object of the parameters.
const OBJECT: &str = "sampling_params";

pub(crate) const TABLE: Table = Table {
    groups: &[&PARAMETERS, &BESIDE, &STREAM],
    code: &[P::ResponseFormat, P::IncludeUsage],
    extra: Some(OBJECT),
    known: &["json_schema", "regex"],
    objects: &[OBJECT],
    deprecated: &[],
    reason: "SGLang has no such parameter",
};

const PARAMETERS: Group = Group {
    object: OBJECT,
    rows: &[
        &[
            row(P::MaxTokens, "max_new_tokens"),
            row(P::Temperature, "temperature"),
            row(P::TopP, "top_p"),
            row(P::TopK, "top_k").quirk(top_k),
            row(P::MinP, "min_p"),
            row(P::Seed, "sampling_seed"),
            row(P::N, "n").skip_neutral(),
            row(P::Stop, "stop").or_one_string(),
        ],
        PENALTIES,
    ],
};

/// Parameters beside the object.
const BESIDE: Group = Group {
    object: "",
    rows: &[&[
        row(P::Logprobs, "return_logprob").quirk(return_logprob),
        row(P::TopLogprobs, "top_logprobs_num").skip_neutral(),
    ]],
};

/// Alternatives are only returned with probabilities.
fn return_logprob(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let has_alternatives = c.request.top_logprobs.is_some_and(|top| top.value > 0);
    match c.request.logprobs {
        Some(logprobs) => object.bool(name, logprobs.value || has_alternatives),
        None if has_alternatives => object.bool(name, true),
        None => {}
    }
}

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    let body = Body { prompt: "text", table: &TABLE, list: PromptList::Several, constraint };
    read_request::read(source, &body)
}

/// Reads a constraint of the output. Returns `false` for what is none, or one beside another.
fn constraint<'a>(source: &mut Source<'a>, name: &str, request: &mut Request<'a>) -> Result<bool> {
    let is_schema = name == "json_schema";
    if !is_schema && name != "regex" || request.response_format.is_some() {
        return Ok(false);
    }
    let mut text = None::<Param<Cow<'a, str>>>;
    if !source.param(&mut text)? {
        return Ok(false);
    }
    request.response_format = text.map(|Param { value: text, offset }| {
        let (name, description, strict) = (None, None, None);
        let value = match is_schema {
            true if is_document(&text) => {
                ResponseFormat::JsonSchema { name, description, schema: Some(Json(text)), strict }
            }
            true => {
                let mut out = Vec::new();
                write_string(&text, &mut out);
                ResponseFormat::Other(Json(String::from_utf8_lossy(&out).into_owned().into()))
            }
            false => ResponseFormat::Regex(text),
        };
        Param { value, offset }
    });
    Ok(true)
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    let mut object = Object::new(out);
    match &c.request.prompts {
        Some(prompts) => {
            c.report_tools();
            let list = prompts.value.as_str();
            let is_text = list[1..].trim_start().starts_with('"');
            object.raw(if is_text { "text" } else { "input_ids" }, list);
        }
        None => c.prompt()?.write(object.name("text")),
    }
    let mut parameters = object.begin_object(OBJECT);
    c.write_rows(&mut parameters, &PARAMETERS);
    write_constraint(c, &mut parameters);
    c.write_extra_parameters(&TABLE, &mut parameters);
    drop(parameters);
    c.write_rows(&mut object, &BESIDE);
    c.write_rows(&mut object, &STREAM);
    Ok(())
}

fn write_constraint(c: &Conversion<'_, '_>, parameters: &mut Object<'_>) {
    let Some(shape) = &c.request.response_format else { return };
    match &shape.value {
        ResponseFormat::Text => {}
        ResponseFormat::JsonObject => {
            let why = "SGLang takes a schema: that of any object is sent";
            c.report_approximated(shape.offset, "response_format", why);
            parameters.string("json_schema", "{\"type\":\"object\"}");
        }
        ResponseFormat::JsonSchema { schema: Some(schema), name, description, .. } => {
            if name.is_some() || description.is_some() {
                let why = "the schema is sent without its name and its description";
                c.report_approximated(shape.offset, "response_format", why);
            }
            parameters.string("json_schema", schema.as_str());
        }
        ResponseFormat::Regex(regex) => parameters.string("regex", regex),
        ResponseFormat::Other(other) if c.is_native() => parameters.raw("json_schema", other.as_str()),
        _ => c.report_dropped(
            shape.offset,
            "response_format",
            "SGLang takes schemas and regular expressions only",
        ),
    }
}
