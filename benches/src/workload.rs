//! Workloads: the bytes that all subjects decode, generated from a fixed seed, and the expected results.
//!
//! Nothing here uses sagewire: frames are written by hand, and the expected results come from the generator.

use std::borrow::Borrow;

use bytes::Bytes;

use crate::formats::Source;
use crate::frames::frame;
use crate::openai_stream::{DONE, Stream, data};
use crate::random::Random;
use crate::reads::Chunks;
use crate::tally::{Answer, Kind, Tally};

/// Consecutive streams, with and without frames, and their expected results.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// The name in the table.
    pub name: &'static str,
    /// The format of the records.
    pub source: Source,
    /// The recordings that it consists of. Empty if it is generated.
    pub files: Vec<String>,
    /// The recordings that were left out.
    pub left_out: Vec<LeftOut>,
    /// The bytes that the container wrote, if they are OpenAI's server-sent events; empty for other formats.
    pub sse: Bytes,
    /// The response body: the same bytes in event-stream frames.
    pub framed: Bytes,
    /// The offset of the end of each stream in `sse` and in `framed`.
    ends: Vec<(usize, usize)>,
    /// The JSON documents without `[DONE]`, one per line.
    pub json_lines: Bytes,
    /// Number of server-sent events including `[DONE]`, of lines, or of Bedrock frames.
    pub records: u64,
    /// The results of a correct decoder.
    pub truth: Truth,
    /// The bytes before the text in a record, for the lower bound. Empty if records differ too much.
    pub needle: &'static str,
}

/// A recording that is not measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Name of its file.
    pub file: String,
    /// The reason.
    pub why: String,
}

/// The results of a correct decoder.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truth {
    /// Deltas of text, reasoning and tool input.
    pub text: Answer,
    /// The same deltas as in the JSON, without quotes.
    pub raw: Answer,
    /// Payloads of the frames.
    pub frames: Expected,
    /// Data of the events.
    pub sse: Expected,
    /// Lines of the JSON documents.
    pub json_lines: Expected,
}

/// A result as each kind of [`Tally`] counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Of a timed tally.
    pub timed: Answer,
    /// Of a thorough tally, which hashes every byte.
    pub thorough: Answer,
}

impl Expected {
    /// The expected result for these deltas.
    pub fn of_texts<'a>(deltas: impl Iterator<Item = &'a (Kind, String)>) -> Self {
        let (mut timed, mut thorough) = (Tally::timed(), Tally::thorough());
        for (kind, text) in deltas {
            timed.text(*kind, text);
            thorough.text(*kind, text);
        }
        Self { timed: timed.answer(), thorough: thorough.answer() }
    }
}

/// Builds an [`Expected`] from pieces.
#[derive(Debug)]
struct Pieces {
    timed: Tally,
    thorough: Tally,
}

impl Pieces {
    fn new() -> Self {
        Self { timed: Tally::timed(), thorough: Tally::thorough() }
    }

    fn add(&mut self, piece: &[u8]) {
        self.timed.piece(piece);
        self.thorough.piece(piece);
    }

    fn expected(&self) -> Expected {
        Expected { timed: self.timed.answer(), thorough: self.thorough.answer() }
    }
}

impl Workload {
    /// A workload of these streams.
    pub fn new(
        name: &'static str,
        streams: &[impl Borrow<Stream>],
        cuts: Cuts,
        needle: &'static str,
    ) -> Self {
        let (mut sse, mut framed, mut json_lines, mut ends) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut frames, mut records, mut documents) = (Pieces::new(), Pieces::new(), Pieces::new());
        let (mut text, mut raw) = (Tally::thorough(), Tally::thorough());
        for Stream { events, deltas } in streams.iter().map(Borrow::borrow) {
            let bytes = events.concat().into_bytes();
            let parts: Vec<&[u8]> = match cuts {
                Cuts::Events => events.iter().map(|event| event.as_bytes()).collect(),
                Cuts::Ragged => ragged(&bytes, 20, &mut Random::new(0x5a9e_0002)),
            };
            for part in parts {
                frames.add(part);
                frame(part, &mut framed);
            }
            for record in events.iter().filter_map(|event| data(event)) {
                records.add(record.as_bytes());
                if record != DONE {
                    documents.add(record.as_bytes());
                    json_lines.extend_from_slice(record.as_bytes());
                    json_lines.push(b'\n');
                }
            }
            for (kind, delta) in deltas {
                text.text(*kind, delta);
                let json = serde_json::Value::from(delta.as_str()).to_string();
                raw.text(*kind, &json[1..json.len() - 1]);
            }
            sse.extend_from_slice(&bytes);
            ends.push((sse.len(), framed.len()));
        }
        let truth = Truth {
            text: text.answer(),
            raw: raw.answer(),
            frames: frames.expected(),
            sse: records.expected(),
            json_lines: documents.expected(),
        };
        Self {
            name,
            records: truth.sse.timed.events,
            json_lines: Bytes::from(json_lines),
            framed: Bytes::from(framed),
            ends,
            truth,
            needle,
            sse: Bytes::from(sse),
            ..Self::default()
        }
    }

    /// A workload of one stream of frames, with the given deltas and number of records.
    pub(crate) fn of_frames(
        source: Source,
        framed: Vec<u8>,
        records: usize,
        deltas: &[(Kind, String)],
    ) -> Self {
        let text = Expected::of_texts(deltas.iter()).thorough;
        Self {
            name: source.name(),
            source,
            records: records as u64,
            ends: vec![(0, framed.len())],
            framed: Bytes::from(framed),
            truth: Truth { text, ..Truth::default() },
            ..Self::default()
        }
    }

    /// The number of streams.
    pub fn streams(&self) -> usize {
        self.ends.len()
    }

    /// The framed streams in reads of `len`.
    pub fn framed_in(&self, len: usize) -> Chunks {
        Chunks::cut(split(&self.framed, self.ends.iter().map(|(_, framed)| *framed)), len)
    }

    /// The streams without frames in reads of `len`.
    pub fn sse_in(&self, len: usize) -> Chunks {
        Chunks::cut(split(&self.sse, self.ends.iter().map(|(sse, _)| *sse)), len)
    }
}

fn split(bytes: &[u8], ends: impl Iterator<Item = usize>) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    ends.map(move |end| &bytes[std::mem::replace(&mut start, end)..end])
}

/// Where the service cuts the bytes of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// After each event, which is likely if the server flushes each event.
    Events,
    /// At random, every 20 to 600 bytes, also within characters.
    Ragged,
}

/// Cuts at random into parts of `least` to 600 bytes.
pub fn ragged<'a>(mut bytes: &'a [u8], least: usize, random: &mut Random) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (part, rest) = bytes.split_at(random.between(least, 600).min(bytes.len()));
        parts.push(part);
        bytes = rest;
    }
    parts
}
