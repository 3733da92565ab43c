//! The text that was sent so far, to be compared with the whole text that some servers repeat at the end.

use core::ops::Range;

/// The number of bytes that are hashed at once.
const BLOCK: usize = 48;
/// The length of a short text in bytes. Most tokens are no longer.
const SHORT: usize = 16;

/// The text of the choice that was sent first.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentText {
    choice: Option<u32>,
    /// Text of other choices was sent, too.
    has_choices: bool,
    text: TextHash,
}

impl SentText {
    /// Adds the text at `range` of `bytes`, which was sent as text of this choice.
    #[inline]
    pub(crate) fn add(&mut self, choice: u32, bytes: &[u8], range: Range<usize>) {
        if *self.choice.get_or_insert(choice) == choice {
            self.text.add(bytes, range);
        } else {
            self.has_choices = true;
        }
    }

    /// Whether there is any.
    pub(crate) fn has_text(&self) -> bool {
        self.choice.is_some()
    }

    /// The offset in `whole`, the text of the choice as the server repeats it, at which the text begins that was not sent.
    /// `prompt` is the prompt if the server repeats it, too.
    ///
    /// If the stream has several choices, nothing is missing: LMI on vLLM joins the texts of all of them.
    pub(crate) fn missing(&self, choice: u32, whole: &[u8], prompt: Option<&[u8]>) -> Option<usize> {
        if self.has_choices || self.choice != Some(choice) {
            return None;
        }
        self.text.missing(whole, prompt)
    }
}

/// The length and a hash of a text, not the text itself, so that the memory does not grow with the text.
#[derive(Clone, Debug)]
pub(crate) struct TextHash {
    len: usize,
    /// The hash of all blocks that more text follows.
    hash: u64,
    /// The text behind these blocks. The bytes behind the text have no meaning.
    held: [u8; BLOCK + SHORT],
    /// The length of that text, at most [`BLOCK`].
    fill: usize,
}

impl Default for TextHash {
    fn default() -> Self {
        Self { len: 0, hash: 0, held: [0; BLOCK + SHORT], fill: 0 }
    }
}

impl TextHash {
    /// Adds the text at `range` of `bytes`.
    ///
    /// A short text is copied as a window of fixed length, so that no branch depends on its length.
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

    /// The length of the text in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether the text is this one.
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        let mut other = Self::default();
        other.add(text, 0..text.len());
        (other.len, other.hash, other.held()) == (self.len, self.hash, self.held())
    }

    /// The offset in `whole` behind this text. `prompt` may precede the text in `whole`.
    ///
    /// If `whole` ends with this text, nothing is missing, even if `whole` also begins with it: an echo of the prompt must
    /// not become part of the response.
    fn missing(&self, whole: &[u8], prompt: Option<&[u8]>) -> Option<usize> {
        let (len, total) = (self.len, whole.len());
        if len == 0 || len >= total || self.is(&whole[total - len..]) {
            return None;
        }
        let echo = prompt.filter(|prompt| whole.starts_with(prompt)).map_or(0, <[u8]>::len);
        let begins_at = |at: usize| whole.get(at..at + len).is_some_and(|begin| self.is(begin));
        [echo, 0].into_iter().find(|&at| begins_at(at)).map(|at| at + len).filter(|&at| at < total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rest_is_missing() {
        let missing = |streamed: &str, answer: &'static str, inputs: Option<&str>| {
            let mut sum = TextHash::default();
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
                let mut streamed = TextHash::default();
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
