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
use crate::formats::parameters::{Group, PENALTIES, Parameter as P, SAMPLING, Table, row};
use crate::formats::request_reader::{Result, Source};
use crate::formats::text_generation::read_request::{self, Body, READ_IN_PARAMETERS};
use crate::formats::text_generation::write_prompt;
use crate::model::Request;

pub(crate) const TABLE: Table = Table::of_prompt(
    &[&PARAMETERS, &READ_IN_PARAMETERS],
    &[],
    &["grammar", "inputs", "text_inputs", "text_input", "parameters"],
    "Triton's generate has no such parameter",
);

const PARAMETERS: Group = Group {
    object: "parameters",
    rows: &[
        &[row(P::Stream, "stream"), row(P::MaxTokens, "max_tokens"), row(P::Temperature, "temperature")],
        SAMPLING,
        &[row(P::N, "n").skip_neutral(), row(P::Stop, "stop").one_string()],
        PENALTIES,
    ],
};

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    read_request::read(source, &Body::new("text_input", &TABLE))
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    write_prompt(c, "text_input", &TABLE, &[&PARAMETERS], out)
}
