//! The LMI container's own API: `{"inputs":"…","parameters":{…}}`. Its chat is OpenAI's.
//!
//! Its generations have two names for stop strings, and none rejects the other's: both are sent. The older ones sample only
//! with `do_sample: true`.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{Group, PENALTIES, Parameter as P, SAMPLING, Table, row};
use crate::formats::request_reader::{Result, Source};
use crate::formats::sampling::sampling;
use crate::formats::text_generation::read_request::{self, Body, READ_IN_PARAMETERS, STREAM};
use crate::formats::text_generation::write_prompt;
use crate::json::Object;
use crate::model::Request;

pub(crate) const TABLE: Table = Table::of_prompt(
    &[&PARAMETERS, &READ_IN_PARAMETERS, &STREAM],
    &[P::Logprobs, P::IncludeUsage],
    &["grammar"],
    "LMI has no such parameter",
);

const PARAMETERS: Group = Group {
    object: "parameters",
    rows: &[
        &[row(P::MaxTokens, "max_new_tokens"), row(P::Temperature, "temperature").quirk(sampling)],
        SAMPLING,
        &[row(P::N, "n").skip_neutral(), row(P::Stop, "stop_sequences"), row(P::Stop, "stop").write_only()],
        PENALTIES,
        &[
            row(P::TopLogprobs, "logprobs").write_only().skip_neutral(),
            row(P::Details, "details").quirk(details),
            row(P::ReturnFullText, "return_full_text"),
        ],
    ],
};

/// Token counts and probabilities are in the details.
fn details(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let request = c.request;
    if c.wants(&[request.logprobs, request.include_usage, request.details]) {
        object.bool(name, true);
    } else if request.details.is_some() {
        object.bool(name, false);
    }
}

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    read_request::read(source, &Body::new("inputs", &TABLE))
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    write_prompt(c, "inputs", &TABLE, &[&PARAMETERS, &STREAM], out)
}
