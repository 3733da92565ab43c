//! Event-stream frames as JSON.

use bytes::Bytes;
use sagewire_codec::DecodeError;
use sagewire_codec::eventstream::{self, Decoder, Frame, Header, Value};
use serde_json::json;

/// A frame as JSON, in the form that the vectors use.
pub fn describe(frame: &Frame<'_>) -> serde_json::Value {
    let headers: Vec<_> = frame
        .headers()
        .iter()
        .map(|header| {
            let value = match header.value {
                Value::Bool(value) => json!(value),
                Value::Byte(value) => json!(value),
                Value::Short(value) => json!(value),
                Value::Integer(value) => json!(value),
                Value::Long(value) | Value::Timestamp(value) => json!(value),
                Value::ByteArray(value) => json!(super::to_base64(value)),
                Value::String(value) => json!(value),
                Value::Uuid(value) => json!(value.map(|byte| format!("{byte:02x}")).concat()),
            };
            json!({"name": header.name, "type": header.value.type_name(), "value": value})
        })
        .collect();
    json!({"headers": headers, "payload": super::to_base64(frame.payload())})
}

/// Decodes a stream; returns its frames and how it ended.
pub fn decode(chunks: Vec<Bytes>) -> (Vec<serde_json::Value>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(frame)) => frames.push(describe(&frame)),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut chunk).err(), Some(error.clone()), "errors are sticky");
                    assert_eq!(decoder.finish().err(), Some(error.clone()), "errors are sticky");
                    return (frames, Err(error));
                }
            }
        }
        assert!(chunk.is_empty(), "`Ok(None)` means that the chunk is empty");
    }
    (frames, decoder.finish())
}

/// A frame with string headers only.
pub fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let headers = headers.iter().map(|(name, value)| Header::new(name, Value::String(value)));
    eventstream::encode(headers, payload, &mut out).expect("a frame");
    out
}

/// A prelude with a valid checksum.
pub fn prelude(total: u32, headers: u32) -> Vec<u8> {
    let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
    prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
    prelude
}

/// A frame with valid checksums around any header bytes, which may be malformed.
pub fn raw(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = 12 + headers.len() + payload.len() + 4;
    let mut out = prelude(total as u32, headers.len() as u32);
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}
