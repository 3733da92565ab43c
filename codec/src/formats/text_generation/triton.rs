//! Triton's generate extension: `{"text_input":"…","parameters":{…}}`.
//!
//! A parameter is a string, a number or a Boolean, never a list
//! ([protocol](https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_generate.html)):
//! so there is at most one stop string.
//!
//! On SageMaker a Triton container offers its v2 inference protocol unless it is configured to offer this one. The v2
//! protocol is not written here: the names, types and shapes of its tensors are specific to each model. A
//! [custom format](crate::formats) describes one.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{Group, Parameter as P, Table, row};
use crate::formats::request_reader::{Result, Source};
use crate::formats::text_generation::read_request::{self, Body, READ_IN_PARAMETERS};
use crate::json::Object;
use crate::model::Request;

pub(crate) const TABLE: Table = Table {
    groups: &[&PARAMETERS, &READ_IN_PARAMETERS],
    code: &[],
    extra: Some("parameters"),
    known: &["grammar", "inputs", "text_inputs", "text_input", "parameters"],
    objects: &["parameters"],
    deprecated: &[],
    reason: "Triton's generate has no such parameter",
};

const PARAMETERS: Group = Group {
    object: "parameters",
    rows: &[
        row(P::Stream, "stream"),
        row(P::MaxTokens, "max_tokens"),
        row(P::Temperature, "temperature"),
        row(P::TopP, "top_p"),
        row(P::TopK, "top_k"),
        row(P::MinP, "min_p"),
        row(P::Seed, "seed"),
        row(P::N, "n").skip_neutral(),
        row(P::Stop, "stop").one_string(),
        row(P::FrequencyPenalty, "frequency_penalty"),
        row(P::PresencePenalty, "presence_penalty"),
        row(P::RepetitionPenalty, "repetition_penalty"),
    ],
};

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    read_request::read(source, &Body { prompt: "text_input", table: &TABLE, dialogs: false })
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    let mut object = Object::new(out);
    c.prompt()?.write(object.name("text_input"));
    let mut parameters = object.begin_object("parameters");
    c.write_rows(&mut parameters, &PARAMETERS);
    c.write_extra_parameters(&TABLE, &mut parameters);
    Ok(())
}
