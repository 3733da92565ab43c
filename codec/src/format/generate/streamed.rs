//! What was streamed so far, to be compared with what a server says it was.

/// The length and a sum of the text, not the text itself: an answer of any length takes no room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streamed {
    len: usize,
    sum: u64,
}

impl Default for Streamed {
    fn default() -> Self {
        // FNV-1a, of 64 bits.
        Self { len: 0, sum: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Streamed {
    /// More was streamed.
    #[inline]
    pub(super) fn add(&mut self, text: &[u8]) {
        self.len += text.len();
        for &byte in text {
            self.sum = (self.sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn is(&self, text: &[u8]) -> bool {
        let mut other = Self::default();
        other.add(text);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rest_is_missing() {
        let missing = |streamed: &str, answer: &'static str, inputs: Option<&str>| {
            let mut sum = Streamed::default();
            for byte in streamed.bytes() {
                sum.add(&[byte]);
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
}
