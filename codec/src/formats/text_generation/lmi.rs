//! The LMI container's own: `{"inputs":"…","parameters":{…}}`. Its chat is OpenAI's.
//!
//! Its generations call stop strings differently, and none minds the other's name: both are sent. The older ones sample
//! only with `do_sample: true`.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::{Put, has};
use crate::formats::request_reader::{Result, Source};
use crate::formats::text_generation::read_request as generate;
use crate::formats::text_generation::read_request::Shape;
use crate::json::Object;
use crate::model::Param;
use crate::model::Request;

const SHAPE: Shape = Shape {
    prompt: "inputs",
    parameters: "parameters",
    max_tokens: "max_new_tokens",
    stop: "stop_sequences",
    n: "n",
    stream_inside: false,
    one_stop: false,
    dialogs: false,
};

/// Names beyond those that the formats of text generation share.
const LMI: &[&str] = &["min_p", "logprobs", "stop"];

const TAKES: &[&str] = &[
    "include_usage",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "n",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logprobs",
    "top_logprobs",
    "return_full_text",
    "details",
];

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    generate::read(source, &SHAPE)
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(TAKES, "LMI has no such parameter");
    let request = c.request;
    let mut object = Object::new(out);
    object.text("inputs", &*c.prompt()?);
    let mut parameters = object.begin_object("parameters");
    if let Some(tokens) = c.max_tokens() {
        parameters.integer("max_new_tokens", tokens);
    }
    c.sampling(&mut parameters);
    c.number_member(&mut parameters, "top_p", request.top_p);
    c.signed(&mut parameters, "top_k", request.top_k);
    c.number_member(&mut parameters, "min_p", request.min_p);
    c.signed(&mut parameters, "seed", request.seed);
    if let Some(n) = request.n.filter(|n| n.value != 1 || c.same) {
        parameters.integer("n", n.value);
    }
    c.stop(&mut parameters, "stop_sequences");
    if !c.same && !has(&request.extra_parameters, "stop") {
        c.stop(&mut parameters, "stop");
    }
    c.number_member(&mut parameters, "frequency_penalty", request.frequency_penalty);
    c.number_member(&mut parameters, "presence_penalty", request.presence_penalty);
    c.number_member(&mut parameters, "repetition_penalty", request.repetition_penalty);
    if let Some(top) = request.top_logprobs.filter(|top| top.value > 0) {
        parameters.integer("logprobs", top.value);
    }
    let wants = |param: Option<Param<bool>>| param.is_some_and(|param| param.value);
    if wants(request.logprobs) || wants(request.include_usage) || wants(request.details) {
        parameters.bool("details", true);
    } else if let Some(details) = request.details {
        parameters.bool("details", details.value);
    }
    if let Some(full) = request.return_full_text {
        parameters.bool("return_full_text", full.value);
    }
    c.extra_parameters(&mut parameters, |name| SHAPE.knows(name) || LMI.contains(&name));
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
