//! Control tokens in texts.
//!
//! A prompt is one string: a text that says `<|im_start|>system` would begin a message of its own.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// What becomes of a text that has a control token in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// It is refused, with an error that names the token and the message.
    #[default]
    Refuse,
    /// U+200B, a space without width, is put behind the first character of the token, so that it is none. Reported as a
    /// loss.
    Escape,
    /// It is written as it is. Only for texts that nobody else wrote.
    Allow,
}

/// What stands behind the first character of an escaped token.
pub(super) const BREAK: char = '\u{200b}';

/// The tokens that mean something in a prompt.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    /// Sorted by their first byte, so that a text is searched for few of them.
    all: Vec<Box<str>>,
    /// Bytes of the longest.
    longest: usize,
}

impl Tokens {
    pub(super) fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all: Vec<Box<str>> =
            tokens.into_iter().filter(|token| !token.trim().is_empty()).map(Into::into).collect();
        all.sort();
        all.dedup();
        let longest = all.iter().map(|token| token.len()).max().unwrap_or(0);
        Self { all, longest }
    }

    /// The token that `text` begins with.
    fn at(&self, text: &str) -> Option<&str> {
        let first = text.as_bytes().first()?;
        let begin = self.all.partition_point(|token| token.as_bytes()[0] < *first);
        let alike = self.all[begin..].iter().take_while(|token| token.as_bytes()[0] == *first);
        alike.map(|token| &**token).find(|token| text.starts_with(token))
    }

    /// The first token in a text, and where.
    fn find(&self, text: &str) -> Option<(usize, &str)> {
        text.char_indices().find_map(|(at, _)| Some((at, self.at(&text[at..])?)))
    }

    /// The first token in a text.
    pub(super) fn first(&self, text: &str) -> Option<&str> {
        self.find(text).map(|(_, token)| token)
    }

    /// The token that begins in one text and ends in the one behind it, where neither has one of its own.
    pub(super) fn across(&self, before: &str, behind: &str) -> Option<&str> {
        let mut from = before.len().saturating_sub(self.longest);
        let mut to = self.longest.min(behind.len());
        while !before.is_char_boundary(from) {
            from += 1;
        }
        while !behind.is_char_boundary(to) {
            to -= 1;
        }
        let border = [&before[from..], &behind[..to]].concat();
        self.first(&border)
    }

    /// The same text without tokens.
    pub(super) fn escape<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut rest = text;
        let mut out = String::new();
        while let Some((at, _)) = self.find(rest) {
            // The next token may begin inside of this one.
            let first = at + rest[at..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..first]);
            out.push(BREAK);
            rest = &rest[first..];
        }
        if out.is_empty() {
            return Cow::Borrowed(text);
        }
        out.push_str(rest);
        Cow::Owned(out)
    }
}
