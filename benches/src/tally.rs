//! The result of a subject, so that a wrong result is never shown as a speed.

use std::error::Error;

/// Why a subject failed.
pub type Fault = Box<dyn Error + Send + Sync>;

/// The amount of data that was found, and its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Number of deltas, events, frames or lines, depending on the measure.
    pub events: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Hash over all of them, in order.
    pub hash: u64,
}

/// The kind of text in a delta; part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of the response.
    Text,
    /// Reasoning before the response.
    Reasoning,
    /// Input of a tool call.
    ToolInput,
}

impl Kind {
    /// The kind of text after `needle` in a record.
    pub fn of_needle(needle: &str) -> Self {
        if needle.contains("arguments") { Self::ToolInput } else { Self::Text }
    }
}

/// Accumulates the output of a subject.
///
/// A *thorough* tally hashes every byte, and verifies a result before anything is timed. A *timed* one samples the ends of each
/// piece, so that hashing does not dominate the measurement.
#[derive(Debug, Default)]
pub struct Tally {
    answer: Answer,
    thorough: bool,
    output: Option<Vec<u8>>,
    fault: Option<String>,
}

impl Tally {
    /// A tally with almost no cost.
    pub fn timed() -> Self {
        Self::default()
    }

    /// A tally that hashes every byte, and keeps the texts and the written bytes.
    pub fn thorough() -> Self {
        Self { thorough: true, output: Some(Vec::new()), ..Self::default() }
    }

    /// Adds a delta. Empty ones are not counted.
    #[inline]
    pub fn text(&mut self, kind: Kind, text: &str) {
        if text.is_empty() {
            return;
        }
        self.answer.events += 1;
        self.answer.bytes += text.len() as u64;
        let text = text.as_bytes();
        self.answer.hash = if self.thorough {
            self.keep(text);
            hash(self.answer.hash ^ kind as u64, text)
        } else {
            let ends = u64::from(text[0]) << 8 | u64::from(text[text.len() - 1]);
            step(self.answer.hash ^ kind as u64, ends)
        };
    }

    /// Adds a frame's payload, a record, or a line.
    #[inline]
    pub fn piece(&mut self, piece: &[u8]) {
        self.answer.events += 1;
        self.answer.bytes += piece.len() as u64;
        self.answer.hash = if self.thorough || piece.len() <= 16 {
            hash(self.answer.hash, piece)
        } else {
            let ends = hash(self.answer.hash, &piece[..8]);
            hash(ends ^ piece.len() as u64, &piece[piece.len() - 8..])
        };
    }

    /// Adds a piece of a transcoder's output.
    #[inline]
    pub fn output(&mut self, piece: &[u8]) {
        self.piece(piece);
        self.keep(piece);
    }

    #[inline]
    fn keep(&mut self, piece: &[u8]) {
        if let Some(output) = &mut self.output {
            output.extend_from_slice(piece);
        }
    }

    /// Records that the subject failed.
    #[cold]
    pub fn fail(&mut self, why: impl Into<Fault>) {
        self.fault.get_or_insert_with(|| why.into().to_string());
    }

    /// The result.
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// Why the subject failed, if it did.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// All texts, or all written bytes, of a thorough tally.
    pub fn written(&self) -> &[u8] {
        self.output.as_deref().unwrap_or_default()
    }
}

/// Hashes eight bytes at a time, as in FxHash.
#[inline]
fn step(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

#[inline]
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = step(seed, bytes.len() as u64);
    for word in words {
        hash = step(hash, u64::from_le_bytes(*word));
    }
    let tail = rest.iter().fold(0, |tail, &byte| tail << 8 | u64::from(byte));
    step(hash, tail)
}
