//! Server-sent events as JSON.

use bytes::Bytes;
use sagewire_codec::DecodeError;
use sagewire_codec::sse::{Decoder, Event};
use serde_json::json;

/// An event as JSON, in the form that the vectors use.
pub fn describe(event: &Event<'_>) -> serde_json::Value {
    json!({"event": event.event, "data": event.data, "id": event.id, "retry": event.retry})
}

/// Decodes a stream that stays below all limits; returns its events and how it ended.
pub fn decode(chunks: Vec<Bytes>) -> (Vec<serde_json::Value>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    for mut chunk in chunks {
        while let Some(event) = decoder.decode(&mut chunk).expect("far below the limit") {
            events.push(describe(&event));
        }
        assert!(chunk.is_empty(), "`Ok(None)` means that the chunk is empty");
    }
    (events, decoder.finish())
}
