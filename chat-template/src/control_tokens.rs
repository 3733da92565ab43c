//! Control tokens in texts.
//!
//! A prompt is one string: a text that contains `<|im_start|>system` would start a message of its own.

use std::borrow::Cow;

/// What to do with a text that contains a control token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlTokens {
    /// Return an error that names the token and the text.
    #[default]
    Reject,
    /// Insert U+200B, the zero-width space, after the first character of the token, so that the model does not see a token.
    /// Reported as a loss.
    Escape,
    /// Leave the text as it is. Only for trusted texts.
    Allow,
}

/// Inserted after the first character of an escaped token.
pub(crate) const BREAK: char = '\u{200b}';

/// The control tokens of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenSet {
    /// Sorted, so that a text is compared only with the tokens that share its first byte.
    tokens: Vec<Box<str>>,
    /// Bytes of the longest token.
    longest: usize,
}

impl TokenSet {
    pub(crate) fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tokens: Vec<Box<str>> =
            tokens.into_iter().filter(|token| !token.trim().is_empty()).map(Into::into).collect();
        tokens.sort();
        tokens.dedup();
        let longest = tokens.iter().map(|token| token.len()).max().unwrap_or(0);
        Self { tokens, longest }
    }

    /// The token that `text` starts with.
    fn prefix_of(&self, text: &str) -> Option<&str> {
        let first = text.as_bytes().first()?;
        let begin = self.tokens.partition_point(|token| token.as_bytes()[0] < *first);
        let candidates = self.tokens[begin..].iter().take_while(|token| token.as_bytes()[0] == *first);
        candidates.map(|token| &**token).find(|token| text.starts_with(token))
    }

    /// The first token in a text, and its offset.
    fn find(&self, text: &str) -> Option<(usize, &str)> {
        text.char_indices().find_map(|(offset, _)| Some((offset, self.prefix_of(&text[offset..])?)))
    }

    /// The first token in a text.
    pub(crate) fn first(&self, text: &str) -> Option<&str> {
        self.find(text).map(|(_, token)| token)
    }

    /// The token that starts in `before` and ends in `after`, if neither contains a whole one.
    pub(crate) fn across(&self, before: &str, after: &str) -> Option<&str> {
        let mut from = before.len().saturating_sub(self.longest);
        let mut to = self.longest.min(after.len());
        while !before.is_char_boundary(from) {
            from += 1;
        }
        while !after.is_char_boundary(to) {
            to -= 1;
        }
        let border = [&before[from..], &after[..to]].concat();
        self.first(&border)
    }

    /// `text` with all tokens escaped.
    pub(crate) fn escape<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut rest = text;
        let mut out = String::new();
        while let Some((offset, _)) = self.find(rest) {
            // The next token may start inside this one.
            let first = offset + rest[offset..].chars().next().map_or(0, char::len_utf8);
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
