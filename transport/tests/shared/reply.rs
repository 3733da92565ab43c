//! The replies of the test servers, independent of the HTTP version.

use bytes::Bytes;
use sagewire_codec::eventstream::{Header, Value, encode};
use serde_json::json;

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A body with a `content-length`.
    Whole { status: u16, headers: Vec<(&'static str, &'static str)>, body: Bytes },
    /// A stream of these frames.
    Stream(Vec<Vec<u8>>),
}

impl Reply {
    pub(crate) fn whole(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: impl Into<Bytes>,
    ) -> Self {
        Self::Whole { status, headers: headers.to_vec(), body: body.into() }
    }
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const TEXT: (&str, &str) = ("content-type", "text/plain");
pub(crate) const FRAMES: (&str, &str) = ("content-type", "application/vnd.amazon.eventstream");

/// The headers of a streaming reply.
pub(crate) const STREAM_HEADERS: [(&str, &str); 2] =
    [FRAMES, ("x-amzn-sagemaker-content-type", "text/event-stream")];

fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let headers = headers.iter().map(|(name, value)| Header::new(name, Value::String(value)));
    encode(headers, payload, &mut out).expect("small");
    out
}

pub(crate) fn part(payload: &str) -> Vec<u8> {
    let headers = [
        (":message-type", "event"),
        (":event-type", "PayloadPart"),
        (":content-type", "application/octet-stream"),
    ];
    frame(&headers, payload.as_bytes())
}

pub(crate) fn exception(name: &str) -> Vec<u8> {
    let headers =
        [(":message-type", "exception"), (":exception-type", name), (":content-type", "application/json")];
    frame(&headers, br#"{"Message":"m"}"#)
}

/// A frame with one word of a chat.
pub(crate) fn word(text: &str) -> Vec<u8> {
    part(&format!("data: {}\n\n", json!({"id": "x", "choices": [{"index": 0, "delta": {"content": text}}]})))
}

/// The last frame of a chat.
pub(crate) fn end() -> Vec<u8> {
    let end = json!({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    part(&format!("data: {end}\n\ndata: [DONE]\n\n"))
}

/// A complete stream of these words.
pub(crate) fn words(texts: &[&str]) -> Reply {
    Reply::Stream(texts.iter().map(|text| word(text)).chain([end()]).collect())
}
