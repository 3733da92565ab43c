//! Reads non-streaming responses.

use bytes::Bytes;

use crate::decode::decoder::Decoder;
use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::model::{Event, Response};
use crate::options::Options;

impl Response {
    /// Reads the body of a non-streaming response. A body that is a stream is read as well.
    ///
    /// The response keeps the positions of its items in the body, so that a loss in a conversion has a JSON pointer.
    ///
    /// ```
    /// use sagewire_codec::model::{Response, ResponseOptions};
    /// use sagewire_codec::{Api, Options, write_response};
    ///
    /// let body = br#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop","logprobs":{}}]}"#;
    /// let response = Response::read(&body[..], Options::new())?;
    /// let (_, losses) = write_response(Api::Anthropic, &response, &ResponseOptions::new())?;
    /// assert_eq!(losses.as_slice()[0].path, "/choices/0/logprobs");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Decoder::decode`] and [`Decoder::finish`]; [`DecodeError::is_limit`] if more than
    /// [`Limits::events`](crate::Limits::events) would be kept.
    pub fn read(body: impl Into<Bytes>, options: Options) -> Result<Self, DecodeError> {
        let mut body = body.into();
        let mut response = Self::default();
        let limit = options.limits.events;
        let mut decoder = Decoder::with_options(for_whole_responses(options, &body));
        let (mut is_ended, mut kept) = (false, 0);
        loop {
            let event = if is_ended { decoder.finish()? } else { decoder.decode(&mut body)? };
            match event {
                Some(event) => {
                    kept += usize::from(!is_delta(&event));
                    response.add(&event);
                    response.mark(&decoder);
                }
                None if is_ended => return Ok(response),
                None => is_ended = true,
            }
            if kept > limit {
                let kind =
                    DecodeErrorKind::Limit { what: "number of events", len: None, limit: limit as u64 };
                return Err(DecodeError::new(Layer::Format, decoder.record().1, kind));
            }
        }
    }

    /// Keeps the position of the event that was [added](Self::add) last, as [`read`](Self::read) does. Call it after `add` if
    /// you add the events of a decoder one by one.
    pub fn mark(&mut self, decoder: &Decoder) {
        if !self.positions.is_joined() {
            let (record, offset) = decoder.record();
            self.positions.mark(record, offset, decoder.record_offset());
        }
    }
}

/// Whether an event adds text to a part, and nothing else to a response.
fn is_delta(event: &Event<'_>) -> bool {
    use Event::{ReasoningDelta, RefusalDelta, TextDelta, ToolInputDelta};
    matches!(event, TextDelta { .. } | ReasoningDelta { .. } | RefusalDelta { .. } | ToolInputDelta { .. })
}

/// A custom format may find text by the same path in a record of a stream and in a whole response. A body that is one JSON
/// document is a whole response.
#[cfg(feature = "custom")]
fn for_whole_responses(mut options: Options, body: &[u8]) -> Options {
    use alloc::sync::Arc;

    if let Some(format) = options.custom.take() {
        let is_whole = core::str::from_utf8(body).is_ok_and(crate::json::is_document);
        let whole = if is_whole { format.for_whole_responses() } else { None };
        options.custom = Some(whole.map_or(format, Arc::new));
    }
    options
}

#[cfg(not(feature = "custom"))]
fn for_whole_responses(options: Options, _: &[u8]) -> Options {
    options
}
