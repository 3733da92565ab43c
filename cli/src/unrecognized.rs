//! Describes input in which no API was recognized: what it looks like instead.

use std::fmt;

use bytes::Bytes;
use sagewire_codec::eventstream::{self, SNIFF_LEN, looks_like_frames};
use sagewire_codec::model::Event;
use sagewire_codec::{DecodeError, Decoder, Layer, Options, sagemaker};

use crate::fault::{Exit, Fault};

/// Number of bytes that are enough to describe an input.
pub(crate) const START_LEN: usize = 4096;

/// The first bytes of gzip.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// What an input looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Empty,
    Gzip,
    Html,
    Xml,
    Json,
    Sse,
    Frames,
    Text,
    Binary,
}

impl Content {
    /// Looks at the first bytes of an input. Of event-stream frames, the payload counts.
    pub(crate) fn of(start: &[u8]) -> Self {
        // A prelude with these bytes would announce a frame of 500 MB.
        if start.starts_with(GZIP) {
            return Self::Gzip;
        }
        if start.len() >= SNIFF_LEN && looks_like_frames(start) {
            let payload = payload(start);
            return if payload.is_empty() { Self::Frames } else { Self::of_payload(&payload) };
        }
        Self::of_payload(start)
    }

    fn of_payload(start: &[u8]) -> Self {
        if start.starts_with(GZIP) {
            return Self::Gzip;
        }
        let text = match std::str::from_utf8(start) {
            Ok(text) => text,
            // The last character may be incomplete.
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return Self::Binary,
        };
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let starts_with =
            |tag: &str| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        match text.bytes().next() {
            None => Self::Empty,
            Some(b'{' | b'[') => Self::Json,
            Some(b'<') if starts_with("<!doctype html") || starts_with("<html") => Self::Html,
            Some(b'<') => Self::Xml,
            Some(_) if is_sse(text) => Self::Sse,
            Some(_) if text.contains(|c: char| c.is_control() && !c.is_whitespace()) => Self::Binary,
            Some(_) => Self::Text,
        }
    }

    /// Whether such content may consist of records, so that it may also be the beginning of a stream that was cut off.
    fn may_have_records(self) -> bool {
        matches!(self, Self::Empty | Self::Json | Self::Sse | Self::Frames)
    }

    /// The hint that names `--from`, if a format could fit such content.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Json | Self::Sse | Self::Frames | Self::Text => FROM_HINT,
            _ => "",
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Gzip => "looks like gzip",
            Self::Html => "looks like HTML",
            Self::Xml => "looks like XML",
            Self::Json => "looks like JSON, but of no API known here",
            Self::Sse => "looks like server-sent events, but of no API known here",
            Self::Frames => "looks like event-stream frames, but of no API known here",
            Self::Text => "looks like plain text",
            Self::Binary => "looks like binary data",
        })
    }
}

/// Whether the first line is a field of a server-sent event, or the beginning of one.
fn is_sse(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    let fields = ["data:", "event:", "id:", "retry:", ":"];
    fields.iter().any(|field| line.starts_with(field) || field.starts_with(line))
}

/// The payload of the frames that are complete.
fn payload(start: &[u8]) -> Vec<u8> {
    let (mut decoder, mut chunk, mut payload) =
        (eventstream::Decoder::new(), Bytes::copy_from_slice(start), Vec::new());
    while let Ok(Some(frame)) = decoder.decode(&mut chunk) {
        if let sagemaker::Event::PayloadPart(part) = sagemaker::Event::parse(&frame) {
            payload.extend_from_slice(part.bytes);
        }
    }
    payload
}

/// Where an input comes from, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file or standard input.
    Input,
    /// The response to a call.
    Response,
}

const FROM_HINT: &str = "; hint: --from names its format";

/// The error for an input in which nothing was recognized. `detail` is added to the message.
pub(crate) fn fault(origin: Origin, content: Content, detail: &str) -> Fault {
    let (exit, name) = match origin {
        Origin::Input => (Exit::Corrupt, "input"),
        Origin::Response => (Exit::Failed, "response"),
    };
    Fault::Line(exit, format!("format: not recognized: the {name} {content}{detail}"))
}

/// What the events of a stream show about whether its API is known.
#[derive(Debug, Default)]
pub(crate) struct Recognition {
    /// There was an event that only a known API can produce.
    has_content: bool,
    /// There was a start, for which an id or a model is enough.
    has_start: bool,
    unknown: u64,
    /// Names of unknown events, a few of them.
    names: Vec<String>,
    malformed: u64,
    /// Byte offset of the first malformed record, and what is wrong with it.
    first_malformed: Option<(u64, String)>,
}

/// Maximum number of names of unknown events in a message.
const NAMES_MAX: usize = 3;

impl Recognition {
    pub(crate) fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Malformed { offset, reason, .. } => {
                self.malformed += 1;
                self.first_malformed.get_or_insert_with(|| (*offset, reason.to_string()));
            }
            Event::Other { name, .. } => {
                self.unknown += 1;
                if let Some(name) = name
                    && self.names.len() < NAMES_MAX
                    && !self.names.iter().any(|known| known == name)
                {
                    self.names.push(name.to_string());
                }
            }
            Event::Start { .. } => self.has_start = true,
            _ => self.has_content = true,
        }
    }

    /// Whether a stream that ended with `error` is of no known API. Otherwise it was cut off.
    fn is_unrecognized(&self, error: &DecodeError, content: Content) -> bool {
        let is_recognized = self.has_content || (self.has_start && self.unknown == 0);
        if is_recognized {
            return false;
        }
        match error.layer() {
            // Gzip may look like the prelude of a frame.
            Layer::EventStream => error.offset() == 0 && content == Content::Gzip,
            Layer::SageMaker => false,
            // Without any event, as after comments, the stream is only too short.
            Layer::Format if content.may_have_records() => {
                error.is_truncated() && self.unknown + self.malformed > 0
            }
            _ => error.is_truncated() && !content.may_have_records(),
        }
    }

    /// Turns the error of a decoder into that of the command. `start` is the beginning of the input.
    pub(crate) fn fault(&self, error: DecodeError, origin: Origin, start: &[u8]) -> Fault {
        let content = Content::of(start);
        if !self.is_unrecognized(&error, content) {
            return error.into();
        }
        let mut detail = String::new();
        if content.may_have_records() {
            if !self.names.is_empty() {
                detail = format!("; unknown events: {}", self.names.join(", "));
            }
            if let Some((offset, reason)) = &self.first_malformed {
                detail =
                    format!("{detail}; byte {offset}: malformed record: {reason}{}", more(self.malformed));
            }
        }
        fault(origin, content, &format!("{detail}{}", content.hint()))
    }

    /// Fails if there were malformed records, which makes a complete stream corrupt.
    pub(crate) fn check_malformed(&self) -> Result<(), Fault> {
        let Some((offset, reason)) = &self.first_malformed else { return Ok(()) };
        let line = format!("format: byte {offset}: malformed record: {reason}{}", more(self.malformed));
        Err(Fault::Line(Exit::Corrupt, line))
    }
}

fn more(count: u64) -> String {
    match count - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

/// The error for a document that could not be read as a response.
pub(crate) fn document_fault(error: DecodeError, body: &Bytes, options: Options) -> Fault {
    let (mut recognition, mut decoder, mut chunk) =
        (Recognition::default(), Decoder::with_options(options), body.clone());
    while let Ok(Some(event)) = decoder.decode(&mut chunk) {
        recognition.see(&event);
    }
    recognition.fault(error, Origin::Input, start(body))
}

/// The beginning of a document, as far as it is needed to describe it.
pub(crate) fn start(body: &[u8]) -> &[u8] {
    &body[..body.len().min(START_LEN)]
}

#[cfg(test)]
mod tests {
    use sagewire_codec::eventstream::{Header, Value, encode};

    use super::*;

    #[test]
    fn content_is_described_by_its_first_bytes() {
        for (start, content) in [
            (&b""[..], Content::Empty),
            (b" \n", Content::Empty),
            (b"\x1f\x8b\x08\0", Content::Gzip),
            (b"\n<!DOCTYPE HTML>", Content::Html),
            (b"<html><body>", Content::Html),
            (b"<?xml version=\"1.0\"?>", Content::Xml),
            (b"\xef\xbb\xbf{\"a\":1}", Content::Json),
            (b"[1]", Content::Json),
            (b"data: x\n\n", Content::Sse),
            (b": comment\n", Content::Sse),
            (b"eve", Content::Sse),
            (b"hello\n\xc3", Content::Text),
            (b"hello\n\xc3\xc3", Content::Binary),
            (b"\x89PNG\r\n\x1a\n", Content::Binary),
            (b"MZ\0\0", Content::Binary),
        ] {
            assert_eq!(Content::of(start), content, "{start:?}");
        }
        let headers = [
            Header::new(":message-type", Value::String("event")),
            Header::new(":event-type", Value::String("PayloadPart")),
        ];
        let mut frames = Vec::new();
        encode(headers, b"<html>", &mut frames).unwrap();
        assert_eq!(Content::of(&frames), Content::Html);
        frames.truncate(20);
        assert_eq!(Content::of(&frames), Content::Frames);
    }
}
