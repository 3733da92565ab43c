//! Distinguishes records that have all text of their choice so far from records that have only the new text.
//!
//! Nothing in a record says which of both it is: the server decides it with `--incremental-streaming-output`. By default the text
//! is cumulative.
//!
//! - Cumulative `output_ids` prove cumulative text. The opposite is not true: some versions sent cumulative text with new IDs.
//! - A text that does not begin with all text before is new text.
//! - A text that does may be either, if there is only a little before it: ` the` behind a single space. Such a text is held
//!   back, until the text has grown twice in this way, the choice ends, or a text proves the opposite.
//!
//! Only a hash of the text is kept, of its spelling in JSON, which grows with the text in the same way.

use alloc::vec::Vec;

use crate::assemble::TextHash;

/// Texts that repeat all text before without growing, after which they are taken as new text. A character takes four tokens at most.
const REPEATS_MAX: u8 = 8;

/// The text of one choice so far.
#[derive(Clone, Debug, Default)]
pub(super) struct TextMode {
    mode: Mode,
    /// All text so far, if it is cumulative.
    text: TextHash,
    /// The tokens of the last record.
    tokens: u64,
    /// What is held back, if it is new text; and the length of its end that is new if the text is cumulative.
    held: Vec<u8>,
    held_end: usize,
    growths: u8,
    repeats: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Unknown,
    Cumulative,
    Incremental,
}

/// What has to be delivered of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The text from this offset on.
    From(usize),
    /// What was held back, and the whole text.
    HeldAndAll(Vec<u8>),
    /// Nothing yet.
    Hold,
    /// Nothing: the text does not continue what was delivered.
    Differs,
}

impl TextMode {
    /// Whether records have only new text. Then nothing else is kept of them.
    pub(super) fn is_incremental(&self) -> bool {
        self.mode == Mode::Incremental
    }

    /// Reads the text of the next record. `tokens` is the number of the choice's tokens so far and of the IDs in this record,
    /// and `is_last` whether the choice ends.
    pub(super) fn next(&mut self, text: &[u8], tokens: Option<(u64, u64)>, is_last: bool) -> Step {
        let before = self.tokens;
        if let Some((count, _)) = tokens {
            self.tokens = count;
        }
        let continues = self.text.len() <= text.len() && self.text.is(&text[..self.text.len()]);
        match self.mode {
            Mode::Incremental => return Step::From(0),
            Mode::Cumulative => {}
            Mode::Unknown if self.text.len() == 0 => {}
            Mode::Unknown => {
                let has_all_ids = tokens.is_some_and(|(count, ids)| before > 0 && count == ids);
                if has_all_ids || (continues && is_last) {
                    self.mode = Mode::Cumulative;
                } else if !continues {
                    self.mode = Mode::Incremental;
                } else if text.len() == self.text.len() {
                    self.repeats += 1;
                } else {
                    self.growths += 1;
                }
                if self.growths > 1 {
                    self.mode = Mode::Cumulative;
                } else if self.repeats >= REPEATS_MAX {
                    self.mode = Mode::Incremental;
                }
                match self.mode {
                    Mode::Incremental => {
                        self.held_end = 0;
                        return Step::HeldAndAll(core::mem::take(&mut self.held));
                    }
                    Mode::Cumulative => {}
                    Mode::Unknown => {
                        self.held.extend_from_slice(text);
                        self.held_end += text.len() - self.text.len();
                        self.text.add(text, self.text.len()..text.len());
                        return Step::Hold;
                    }
                }
            }
        }
        if !continues {
            return Step::Differs;
        }
        let from = self.text.len() - core::mem::take(&mut self.held_end);
        self.held = Vec::new();
        self.text.add(text, self.text.len()..text.len());
        Step::From(from)
    }

    /// The end of the input: what was held back, taken as cumulative text.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        let from = self.held.len() - core::mem::take(&mut self.held_end);
        core::mem::take(&mut self.held).split_off(from)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    /// What is delivered of texts, the last of which ends the choice. `ids` makes the numbers of tokens and IDs from the index.
    fn read(texts: &[&str], ids: impl Fn(u64) -> Option<(u64, u64)>) -> String {
        let (mut mode, mut all) = (TextMode::default(), String::new());
        for (index, text) in texts.iter().enumerate() {
            let step = mode.next(text.as_bytes(), ids(index as u64), index + 1 == texts.len());
            match step {
                Step::From(at) => all.push_str(&text[at..]),
                Step::HeldAndAll(held) => {
                    all.push_str(core::str::from_utf8(&held).expect("UTF-8"));
                    all.push_str(text);
                }
                Step::Hold => {}
                Step::Differs => all.push('?'),
            }
        }
        all
    }

    #[test]
    fn texts_tell_which_they_are() {
        let unknown = |_| None;
        for (texts, expected) in [
            (&["Os", "Oslo", "Oslo."][..], "Oslo."),
            (&["Os", "lo", "."], "Oslo."),
            (&["ha", "ha", "ha!", ""], "hahaha!"),
            (&["ha", "ha", "haha", "haha!"], "haha!"),
            (&[" ", " the", " cat"], "  the cat"),
            (&[" ", " the", " the cat"], " the cat"),
            (&["", "", "a", "", "b"], "ab"),
            (&["", "a", "ab", "ab"], "ab"),
            (&["a", "a"], "a"),
            (&["x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x"], "xxxxxxxxxxx"),
            (&["ab", "abc", "abcd", "ab#"], "abcd?"),
            (&["one"], "one"),
        ] {
            assert_eq!(read(texts, unknown), expected, "{texts:?}");
        }
    }

    #[test]
    fn numbers_of_tokens_tell_it_at_once() {
        let cumulative = |index| Some((index + 1, index + 1));
        let new = |index| Some((index + 1, 1));
        assert_eq!(read(&["ha", "ha", "ha"], cumulative), "ha");
        assert_eq!(read(&["ha", "haha", "haha"], cumulative), "haha");
        assert_eq!(read(&["ha", "ha", "!"], new), "haha!");
        assert_eq!(read(&["ha", "haha", "haha!"], new), "haha!", "cumulative text with new IDs");
        let mut mode = TextMode::default();
        assert_eq!(mode.next(b"ha", Some((1, 1)), false), Step::From(0));
        assert_eq!(mode.next(b"hah", Some((2, 2)), false), Step::From(2), "nothing is held back");
    }

    #[test]
    fn what_is_held_comes_out_at_the_end() {
        let mut mode = TextMode::default();
        mode.next(b"a", None, false);
        assert_eq!(mode.next(b"ab", None, false), Step::Hold);
        assert_eq!(mode.next(b"ab", None, false), Step::Hold);
        assert_eq!(mode.take_held(), b"b");
        assert!(mode.take_held().is_empty());
    }
}
