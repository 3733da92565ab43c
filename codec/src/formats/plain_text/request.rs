//! A prompt as plain text, which JumpStart's first text2text models accept besides JSON.
//!
//! There is no JSON document, so no value has an offset. Only the prompt can be sent: the container decides the number of
//! tokens, sampling and streaming.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::Table;
use crate::formats::request_reader::Result;
use crate::model::{Param, Request};

const REASON: &str = "raw text is the prompt and nothing else";

const TABLE: Table = Table { reason: REASON, ..Table::EMPTY };

/// The request that a text is.
pub(crate) fn read(text: &str) -> Request<'_> {
    Request { prompt: Some(Param::new(text.into())), ..Request::default() }
}

/// Appends the prompt.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    c.report_extra_parameters(REASON);
    let request = c.request;
    if let Some(stream) = request.stream.filter(|stream| stream.value) {
        c.report_dropped(stream.offset, "stream", REASON);
    }
    if let Some(sampled) = request.do_sample {
        c.report_dropped(sampled.offset, "do_sample", REASON);
    }
    if request.max_tokens.is_none() && c.options.max_tokens.is_some() {
        c.report_dropped(None, "max_tokens", REASON);
    }
    out.extend_from_slice(c.prompt()?.as_bytes());
    Ok(())
}
