//! What a subject found, so that a wrong answer is never shown as a speed.

use std::error::Error;

/// Why a subject gave up.
pub type Fault = Box<dyn Error + Send + Sync>;

/// How much was found, and a hash of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Deltas, events, frames or lines, as the measure has it.
    pub events: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Hash over all of them, in order.
    pub hash: u64,
}

/// What kind of text a delta carries; part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The answer.
    Text,
    /// Reasoning before the answer.
    Reasoning,
    /// Input of a tool call.
    ToolInput,
}

impl Kind {
    /// The kind of text that stands behind `needle` in a record.
    pub fn of_needle(needle: &str) -> Self {
        if needle.contains("arguments") { Self::ToolInput } else { Self::Text }
    }
}

/// Adds up what a subject finds.
///
/// A *thorough* tally, which proves the answer before anything is timed, hashes every byte. A timed one samples the ends
/// of each piece, lest the hash become the measurement.
#[derive(Debug, Default)]
pub struct Tally {
    answer: Answer,
    thorough: bool,
    output: Option<Vec<u8>>,
    fault: Option<String>,
}

impl Tally {
    /// A tally that costs next to nothing.
    pub fn timed() -> Self {
        Self::default()
    }

    /// A tally that looks at every byte, and keeps the texts and what was written.
    pub fn thorough() -> Self {
        Self { thorough: true, output: Some(Vec::new()), ..Self::default() }
    }

    /// A delta. Empty ones do not count: they say nothing.
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

    /// A frame's payload, a record, a line.
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

    /// A piece of the bytes that a transcoder writes.
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

    /// The subject gave up.
    #[cold]
    pub fn fail(&mut self, why: impl Into<Fault>) {
        self.fault.get_or_insert_with(|| why.into().to_string());
    }

    /// What was found.
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// Why the subject gave up, if it did.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// All texts, or all that was written, in a thorough tally.
    pub fn written(&self) -> &[u8] {
        self.output.as_deref().unwrap_or_default()
    }
}

/// Eight bytes at a time, as in FxHash.
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
