//! What was streamed so far, to be compared with what a server says it was.

use core::ops::Range;

/// Bytes that are hashed at once.
const BLOCK: usize = 48;
/// Bytes of a short text: most tokens are no longer.
const SHORT: usize = 16;

/// The length and a hash of the text, not the text itself: an answer of any length takes no more room.
#[derive(Clone, Debug)]
pub(crate) struct Streamed {
    len: usize,
    /// Of all blocks that something follows.
    hash: u64,
    /// The text behind them, and anything behind that.
    held: [u8; BLOCK + SHORT],
    /// Bytes of that text: [`BLOCK`] at most.
    fill: usize,
}

impl Default for Streamed {
    fn default() -> Self {
        Self { len: 0, hash: 0, held: [0; BLOCK + SHORT], fill: 0 }
    }
}

impl Streamed {
    /// The text at `range` of `bytes` was streamed, too.
    ///
    /// A text has any length, and nothing is to depend on it: a short one is copied with what follows it, and hashed
    /// with others.
    #[inline]
    pub(crate) fn add(&mut self, bytes: &[u8], range: Range<usize>) {
        let window = bytes.get(range.start..range.start + SHORT);
        match (window, self.held.get_mut(self.fill..self.fill + SHORT)) {
            (Some(window), Some(place)) if range.len() <= SHORT => {
                place.copy_from_slice(window);
                self.len += range.len();
                self.fill += range.len();
                if self.fill > BLOCK {
                    self.hash_block();
                }
            }
            _ => self.add_long(&bytes[range]),
        }
    }

    #[inline(never)]
    fn add_long(&mut self, text: &[u8]) {
        self.len += text.len();
        for piece in text.chunks(SHORT) {
            self.held[self.fill..self.fill + piece.len()].copy_from_slice(piece);
            self.fill += piece.len();
            if self.fill > BLOCK {
                self.hash_block();
            }
        }
    }

    #[inline(never)]
    fn hash_block(&mut self) {
        let (block, rest) = self.held.split_at_mut(BLOCK);
        for word in block.chunks_exact(8) {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            self.hash = (self.hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        block[..SHORT].copy_from_slice(rest);
        self.fill -= BLOCK;
    }

    fn held(&self) -> &[u8] {
        &self.held[..self.fill]
    }

    fn is(&self, text: &[u8]) -> bool {
        let mut other = Self::default();
        other.add(text, 0..text.len());
        (other.len, other.hash, other.held()) == (self.len, self.hash, self.held())
    }

    /// Where in `answer`, which the server says it gave, begins what was not streamed. `inputs` is the prompt, where the
    /// server says it, and may stand before the answer.
    ///
    /// What ends with all that was streamed lacks nothing, also where it begins with the same by chance: an echo of the
    /// prompt must not become part of the answer.
    pub(crate) fn missing(&self, answer: &[u8], inputs: Option<&[u8]>) -> Option<usize> {
        let (len, total) = (self.len, answer.len());
        if len == 0 || len >= total || self.is(&answer[total - len..]) {
            return None;
        }
        let echo = inputs.filter(|inputs| answer.starts_with(inputs)).map_or(0, <[u8]>::len);
        let begins_at = |at: usize| answer.get(at..at + len).is_some_and(|begin| self.is(begin));
        [echo, 0].into_iter().find(|&at| begins_at(at)).map(|at| at + len).filter(|&at| at < total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rest_is_missing() {
        let missing = |streamed: &str, answer: &'static str, inputs: Option<&str>| {
            let mut sum = Streamed::default();
            for byte in streamed.bytes() {
                sum.add(&[byte], 0..1);
            }
            sum.missing(answer.as_bytes(), inputs.map(str::as_bytes)).map(|at| &answer[at..])
        };
        assert_eq!(missing("Hel", "Hello", None), Some("lo"));
        assert_eq!(missing("Hello", "Hello", None), None);
        assert_eq!(missing("", "Hello", None), None, "it may be an echo");
        assert_eq!(missing("Hello!", "Hello", None), None, "a stop string was taken off");
        assert_eq!(missing("Hello", "Say Hello", None), None, "an echo");
        assert_eq!(missing("no", "nono", None), None, "rather an echo than a rest");
        assert_eq!(missing("Hel", "Say Hello", None), None, "whatever it is");
        assert_eq!(missing("Hel", "Say Hello", Some("Say ")), Some("lo"));
        assert_eq!(missing("S", "Say Sure", Some("Say ")), Some("ure"), "the echo begins alike");
        assert_eq!(missing("Hel", "Hello", Some("He")), Some("lo"), "no echo, only the same beginning");
        assert_eq!(missing("HEL", "Hello", None), None);
    }

    #[test]
    fn the_hash_does_not_depend_on_cuts() {
        let text = "Grüße, 世界 🙂 – and many more, so that there are two blocks and what is a good deal longer than that, 🙂🙂🙂".as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut streamed = Streamed::default();
                for range in [0..first, first..second, second..text.len()] {
                    streamed.add(text, range);
                }
                assert!(streamed.is(text), "cut at {first} and {second}");
                for other in 0..text.len() {
                    let mut others = text.to_vec();
                    others[other] ^= 1;
                    assert!(!streamed.is(&others), "another byte {other}");
                }
            }
        }
    }
}
