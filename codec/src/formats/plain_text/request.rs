//! A prompt as it is, and nothing else: what JumpStart's first text2text models take beside JSON.
//!
//! There is no document, so nothing has a place in it, and nothing can be said but the prompt: how many tokens, whether
//! they are sampled, whether they are streamed is the container's own decision.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::request_reader::Result;
use crate::model::Param;
use crate::model::Request;

/// The request that a text is.
pub(crate) fn read(text: &str) -> Request<'_> {
    Request { prompt: Some(Param::new(text.into())), ..Request::default() }
}

/// Appends the prompt.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    const WHY: &str = "raw text is the prompt and nothing else";
    c.report_parameters(&[], WHY);
    c.report_extra_parameters(WHY);
    let request = c.request;
    if let Some(stream) = request.stream.filter(|stream| stream.value) {
        c.report_dropped(stream.offset, "stream", WHY);
    }
    if let Some(sampled) = request.do_sample {
        c.report_dropped(sampled.offset, "do_sample", WHY);
    }
    if request.max_tokens.is_none() && c.options.max_tokens.is_some() {
        c.report_dropped(None, "max_tokens", WHY);
    }
    out.extend_from_slice(c.prompt()?.as_bytes());
    Ok(())
}
