//! Puts what a writer wrote into the event-stream frames of SageMaker and of Bedrock's InvokeModel.
//!
//! | operation | frame | the end of a stream that failed |
//! |---|---|---|
//! | `InvokeEndpointWithResponseStream` | `PayloadPart` with the bytes of the stream | `ModelStreamError`, or `InternalStreamFailure`; before it the container's own error, as the container would write it |
//! | `InvokeModelWithResponseStream` | `chunk` with `{"bytes":"…"}`: the JSON of one event as Base64, without `[DONE]` | the exceptions of ConverseStream |
//!
//! Sources: the service models `sagemaker-runtime` 2017-05-13 and `bedrock-runtime` 2023-09-30, and recordings of Bedrock. The
//! field `amazon-bedrock-invocationMetrics` of Anthropic's `message_stop` is not in the model; its names are those of recordings.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::DecodeError;
use crate::eventstream::{Header, Value, encode_block, encode_headers};
use crate::formats::converse;
use crate::json::Object;
use crate::model::{Event, Frames, Json, ResponseOptions, Usage};
use crate::sagemaker::Exception;

const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// The frames of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Framed {
    /// What the writer wrote for the last event.
    pub(crate) buffer: Vec<u8>,
    /// One event for each frame, as Base64.
    is_chunks: bool,
    /// The headers of all frames but the last one.
    headers: Vec<u8>,
    usage: Option<Usage>,
    latency_ms: Option<u64>,
    first_event_ms: Option<u64>,
    /// The source has metrics of its own.
    has_metrics: bool,
}

impl Framed {
    /// The frames that the options ask for.
    pub(crate) fn new(options: &ResponseOptions) -> Option<Self> {
        let (is_chunks, event_type, content_type) = match options.frames {
            Frames::None => return None,
            Frames::PayloadPart => (false, "PayloadPart", "application/octet-stream"),
            Frames::Chunk => (true, "chunk", "application/json"),
        };
        let values =
            [(":event-type", event_type), (":content-type", content_type), (":message-type", "event")];
        let mut headers = Vec::new();
        let encoded =
            encode_headers(values.map(|(name, value)| Header::new(name, Value::String(value))), &mut headers);
        debug_assert!(encoded.is_ok(), "these headers can be encoded");
        Some(Self {
            buffer: Vec::new(),
            is_chunks,
            headers,
            usage: None,
            latency_ms: options.latency_ms,
            first_event_ms: None,
            has_metrics: false,
        })
    }

    pub(crate) fn set_latency_ms(&mut self, milliseconds: u64) {
        self.latency_ms = Some(milliseconds);
    }

    pub(crate) fn set_first_event_ms(&mut self, milliseconds: u64) {
        self.first_event_ms = Some(milliseconds);
    }

    /// Whether counts of the events are written.
    pub(crate) fn has_counts(&self) -> bool {
        self.is_chunks
    }

    /// Notes what the metrics consist of.
    pub(crate) fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Other { choice: None, name: Some(name), .. } => self.has_metrics |= name == METRICS,
            _ => {}
        }
    }

    /// The metrics of the invocation as a field of the response, unless the source has some.
    pub(crate) fn metrics(&self) -> Option<Event<'static>> {
        if !self.has_counts() || self.has_metrics {
            return None;
        }
        let usage = self.usage.unwrap_or_default();
        let counts = [
            // Bedrock's input does not include cached tokens.
            ("inputTokenCount", usage.input_tokens.map(|input| input.saturating_sub(usage.cached_tokens()))),
            ("outputTokenCount", usage.output_tokens),
            ("invocationLatency", self.latency_ms),
            ("firstByteLatency", self.first_event_ms),
            ("cacheReadInputTokenCount", usage.cache_read_tokens),
            ("cacheWriteInputTokenCount", usage.cache_write_tokens),
        ];
        let mut json = Vec::new();
        Object::write(&mut json, |object| {
            for (name, count) in counts {
                if let Some(count) = count {
                    object.integer(name, count);
                }
            }
        });
        let json = Json(Cow::Owned(String::from_utf8_lossy(&json).into_owned()));
        Some(Event::Other { choice: None, name: Some(Cow::Borrowed(METRICS)), json })
    }

    /// Appends the frames of what is in the buffer.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        let Self { buffer, headers, .. } = self;
        if self.is_chunks {
            let data = buffer.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"data: "));
            for json in data.filter(|json| *json != b"[DONE]") {
                frame(headers, out, |out| {
                    out.extend_from_slice(b"{\"bytes\":\"");
                    out.extend_from_slice(STANDARD.encode(json).as_bytes());
                    out.extend_from_slice(b"\"}");
                });
            }
        } else if !buffer.is_empty() {
            frame(headers, out, |out| out.extend_from_slice(buffer));
        }
        crate::buffer::clear(buffer);
    }

    /// Appends the exception of a stream that failed. The buffer has the error in the terms of the API.
    pub(crate) fn fail(&mut self, error: &DecodeError, out: &mut Vec<u8>) {
        if self.is_chunks {
            self.buffer.clear();
            return converse::Writer::new(ResponseOptions::new()).finish(Err(error), out);
        }
        let text = format!("{error}");
        let exception = Exception::of(error, &text);
        if exception.code == Some("StreamBroken") && error.failure().is_some() {
            self.flush(out);
        }
        self.buffer.clear();
        let encoded = exception.encode(out);
        debug_assert!(encoded.is_ok(), "the names are known");
    }
}

/// Appends a frame. The limit of a record is far below 4 GiB.
fn frame(headers: &[u8], out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let encoded = encode_block(headers, out, payload);
    debug_assert!(encoded.is_ok());
}
