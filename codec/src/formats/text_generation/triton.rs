//! Triton's generate extension: `{"text_input":"…","parameters":{…}}`.
//!
//! A parameter is a string, a number or a Boolean, never a list
//! ([protocol](https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_generate.html)):
//! so there is one stop string at most.
//!
//! On SageMaker a Triton container takes its v2 inference protocol unless it is told to offer this. That is not written
//! here: names, types and shapes of its tensors are each model's own. [`format::custom`](crate::formats) describes one.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::Put;
use crate::formats::request_reader::{Result, Source};
use crate::formats::text_generation::read_request as generate;
use crate::formats::text_generation::read_request::Shape;
use crate::json::Object;
use crate::model::Request;

const SHAPE: Shape = Shape {
    prompt: "text_input",
    parameters: "parameters",
    max_tokens: "max_tokens",
    stop: "stop",
    n: "n",
    stream_inside: true,
    one_stop: true,
    dialogs: false,
};

const TAKES: &[&str] = &[
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
];

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    generate::read(source, &SHAPE)
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(TAKES, "Triton's generate has no such parameter");
    let request = c.request;
    let mut object = Object::new(out);
    object.text("text_input", &*c.prompt()?);
    let mut parameters = object.begin_object("parameters");
    if let Some(stream) = request.stream {
        parameters.bool("stream", stream.value);
    }
    if let Some(tokens) = c.max_tokens() {
        parameters.integer("max_tokens", tokens);
    }
    c.number_member(&mut parameters, "temperature", c.temperature());
    c.number_member(&mut parameters, "top_p", request.top_p);
    c.signed(&mut parameters, "top_k", request.top_k);
    c.number_member(&mut parameters, "min_p", request.min_p);
    c.signed(&mut parameters, "seed", request.seed);
    if let Some(n) = request.n.filter(|n| n.value != 1 || c.same) {
        parameters.integer("n", n.value);
    }
    let mut stops = request.stop.iter();
    if let Some(stop) = stops.next() {
        parameters.string("stop", &stop.value);
    }
    for stop in stops {
        c.report_dropped(stop.offset, "stop", "a parameter of Triton is no list: only the first is sent");
    }
    c.number_member(&mut parameters, "frequency_penalty", request.frequency_penalty);
    c.number_member(&mut parameters, "presence_penalty", request.presence_penalty);
    c.number_member(&mut parameters, "repetition_penalty", request.repetition_penalty);
    c.extra_parameters(&mut parameters, |name| SHAPE.knows(name) || name == "min_p");
    if c.same {
        parameters.extension_fields(&request.extension_fields, "parameters");
        drop(parameters);
        object.extension_fields(&request.extension_fields, "");
    }
    Ok(())
}
