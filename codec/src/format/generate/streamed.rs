//! What was streamed so far, to be compared with what a server says it was.

use core::ops::Range;

/// The length and a sum of the text, not the text itself: an answer of any length takes no room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streamed {
    len: usize,
    /// The text as a number, modulo 2⁶⁴: its bytes are the digits. No byte of UTF-8 is as large as the base, so that no two
    /// texts of up to eight bytes have the same.
    sum: u64,
}

const BASE: u64 = 251;

/// What eight digits or fewer are shifted by.
const POWERS: [u64; 9] = {
    let mut powers = [1; 9];
    let mut len = 1;
    while len < 9 {
        powers[len] = powers[len - 1] * BASE;
        len += 1;
    }
    powers
};

impl Streamed {
    /// The text at `range` of `bytes` was streamed, too.
    ///
    /// A text has any length, and no branch is to depend on it: up to eight bytes are one step.
    #[inline]
    pub(super) fn add(&mut self, bytes: &[u8], range: Range<usize>) {
        self.len += range.len();
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(8);
            let word = match bytes.get(at..at + 8).and_then(|word| word.first_chunk()) {
                Some(word) => u64::from_le_bytes(*word),
                None => bytes[at..at + len].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
            };
            let digits = number(word << (8 * (8 - len)));
            self.sum = self.sum.wrapping_mul(POWERS[len]).wrapping_add(digits);
            at += len;
        }
    }

    fn is(&self, text: &[u8]) -> bool {
        let mut other = Self::default();
        other.add(text, 0..text.len());
        (other.len, other.sum) == (self.len, self.sum)
    }

    /// Where in `answer`, which the server says it gave, begins what was not streamed. `inputs` is the prompt, where the
    /// server says it, and may stand before the answer.
    ///
    /// What ends with all that was streamed lacks nothing, also where it begins with the same by chance: an echo of the
    /// prompt must not become part of the answer.
    pub(super) fn missing(&self, answer: &[u8], inputs: Option<&[u8]>) -> Option<usize> {
        let (len, total) = (self.len, answer.len());
        if len == 0 || len >= total || self.is(&answer[total - len..]) {
            return None;
        }
        let echo = inputs.filter(|inputs| answer.starts_with(inputs)).map_or(0, <[u8]>::len);
        let begins_at = |at: usize| answer.get(at..at + len).is_some_and(|begin| self.is(begin));
        [echo, 0].into_iter().find(|&at| begins_at(at)).map(|at| at + len).filter(|&at| at < total)
    }
}

/// Eight bytes as digits, the first the highest: those that stand side by side together, then pairs, then fours. Nothing
/// is carried from one lane into the next.
#[inline]
fn number(word: u64) -> u64 {
    const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
    const PAIRS: u64 = 0x0000_ffff_0000_ffff;
    let pairs = (word & BYTES) * BASE + (word >> 8 & BYTES);
    let fours = (pairs & PAIRS) * (BASE * BASE) + (pairs >> 16 & PAIRS);
    (fours & u64::from(u32::MAX)) * (BASE * BASE * BASE * BASE) + (fours >> 32)
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
    fn the_sum_does_not_depend_on_cuts() {
        let text = "Grüße, 世界 🙂 – and 16 more".as_bytes();
        let digits = |sum: u64, byte: &u8| sum.wrapping_mul(BASE).wrapping_add(u64::from(*byte));
        for cut in 0..=text.len() {
            let mut streamed = Streamed::default();
            streamed.add(text, 0..cut);
            streamed.add(text, cut..text.len());
            assert_eq!(streamed.sum, text.iter().fold(0, digits), "cut at {cut}");
            assert!(streamed.is(text));
        }
    }
}
