//! Text that stays as its document has it until somebody reads it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, Range};

use once_cell::race::OnceBox;

use crate::json;
use crate::json::Escapes;

/// A text of a request.
///
/// It is a `str` to everybody who looks at it. What was read from a JSON document is unescaped only then, and only once: a
/// conversion from JSON to JSON that need not look inside copies it as it stands, escapes included.
///
/// ```
/// use sagewire_codec::model::{Content, Text};
/// use sagewire_codec::{Api, read_request};
///
/// let body = br#"{"messages":[{"role":"user","content":"a\nb"}]}"#;
/// let mut request = read_request(Api::OpenAi, body)?;
/// let Content::Text(text) = &mut request.messages[0].content[0].content else { unreachable!() };
/// assert_eq!(text.lines().count(), 2);
/// text.to_mut().push('!');
/// assert_eq!(*text, "a\nb!");
/// *text = Text::from("made by hand");
/// # Ok::<(), sagewire_codec::ConvertError>(())
/// ```
pub struct Text<'a> {
    text: Cow<'a, str>,
    form: Form,
    /// What an escaped text means, once somebody asked.
    meaning: OnceBox<String>,
}

/// How a text is held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As what it means. It may need escapes.
    Plain,
    /// As it stands between the quotes in JSON, and means itself.
    Json,
    /// As it stands between the quotes in JSON, with escapes that are whole.
    Escaped,
}

impl<'a> Text<'a> {
    fn new(text: Cow<'a, str>, form: Form) -> Self {
        Self { text, form, meaning: OnceBox::new() }
    }

    /// The inside of a string of a JSON document.
    #[inline]
    pub(crate) fn of_json(raw: &'a str, escapes: Escapes) -> Self {
        match escapes {
            Escapes::None => Self::new(Cow::Borrowed(raw), Form::Json),
            Escapes::Whole => Self::new(Cow::Borrowed(raw), Form::Escaped),
            // No reader has to take half a pair of surrogates.
            Escapes::Halved => Self::new(Cow::Owned(json::meaning(raw)), Form::Plain),
        }
    }

    /// The text where it lies in its document; `None` where it is not there, or is there with escapes.
    pub fn borrowed(&self) -> Option<&'a str> {
        match self.text {
            Cow::Borrowed(text) if self.form != Form::Escaped => Some(text),
            _ => None,
        }
    }

    /// Whether it is empty, or nothing but white space. Nothing is unescaped for that: mostly the first character says that
    /// it is not.
    pub fn is_blank(&self) -> bool {
        let mut rest = self.text.trim_start();
        if self.form != Form::Escaped {
            return rest.is_empty();
        }
        while let Some(escape) = rest.strip_prefix('\\') {
            let len = match escape.as_bytes() {
                [b'n' | b'r' | b't' | b'f', ..] => 1,
                [b'u', ..] => {
                    // Half a pair of surrogates is no white space, either.
                    let unit = escape.get(1..5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
                    if !unit.and_then(char::from_u32).is_some_and(char::is_whitespace) {
                        return false;
                    }
                    5
                }
                _ => return false,
            };
            rest = escape.get(len..).unwrap_or_default().trim_start();
        }
        rest.is_empty()
    }

    /// The text, to be changed.
    pub fn to_mut(&mut self) -> &mut String {
        *self = Self::from(core::mem::take(self).into_cow());
        self.text.to_mut()
    }

    /// The text, borrowed where it lies in its document as it is.
    pub fn into_cow(self) -> Cow<'a, str> {
        if self.form == Form::Escaped { Cow::Owned(String::from(&*self)) } else { self.text }
    }

    /// The same text, with a copy of what it borrowed.
    pub fn into_owned(self) -> Text<'static> {
        Text::from(self.into_cow().into_owned())
    }

    /// The part of a text that lies at `range` of it.
    pub(crate) fn cut(&self, range: Range<usize>) -> Self {
        match self.text {
            Cow::Borrowed(text) if self.form != Form::Escaped => {
                Self::new(Cow::Borrowed(text.get(range).unwrap_or_default()), self.form)
            }
            _ => Self::from(String::from(self.get(range).unwrap_or_default())),
        }
    }

    /// Appends the text as a JSON string, quotes included.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.write_inside(out);
        out.push(b'"');
    }

    /// The same without the quotes.
    #[inline]
    pub(crate) fn write_inside(&self, out: &mut Vec<u8>) {
        match self.form {
            Form::Plain => json::write_escaped(&self.text, out),
            Form::Json | Form::Escaped => out.extend_from_slice(self.text.as_bytes()),
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        if self.form == Form::Escaped {
            return self.meaning.get_or_init(|| Box::new(json::meaning(&self.text)));
        }
        &self.text
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::from("")
    }
}

impl Clone for Text<'_> {
    fn clone(&self) -> Self {
        // Whoever looks into the copy may never come.
        Self::new(self.text.clone(), self.form)
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    #[inline]
    fn from(text: Cow<'a, str>) -> Self {
        Self::new(text, Form::Plain)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::from(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Text<'a> {
    fn from(text: &'a String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::from(Cow::Owned(text))
    }
}

impl<'a> From<Text<'a>> for Cow<'a, str> {
    fn from(text: Text<'a>) -> Self {
        text.into_cow()
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        // Equal escapes mean the same; others may, too.
        (self.form == other.form && self.text == other.text) || **self == **other
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(self, state);
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn written(text: &Text<'_>) -> String {
        let mut out = Vec::new();
        text.write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn escapes_stay_until_somebody_looks() {
        let text = Text::of_json(r"a\/\u00e9\n", Escapes::Whole);
        assert_eq!(written(&text), r#""a\/\u00e9\n""#);
        assert!(text.meaning.get().is_none());
        assert_eq!(text, "a/é\n");
        assert_eq!(text, Text::from("a/é\n"));
        assert_eq!(text.clone(), text);
        assert_eq!(written(&text), r#""a\/\u00e9\n""#);
        assert_eq!((text.borrowed(), text.to_string()), (None, "a/é\n".to_string()));
        let mut changed = text.clone();
        changed.to_mut().push('"');
        assert_eq!(written(&changed), r#""a/é\n\"""#);
        assert_ne!(changed, text);
    }

    #[test]
    fn half_a_pair_of_surrogates_is_mended() {
        assert_eq!(written(&Text::of_json(r"a\ud83d", Escapes::Halved)), "\"a\u{fffd}\"");
    }

    #[test]
    fn blank_is_what_trims_to_nothing() {
        for raw in
            ["", " ", "a", r"\n", r" \t\u00a0\r\f ", r"\n a", r"\b", r"\u0041", r"\\", "\u{2003}", r"\u2003x"]
        {
            let form = if raw.contains('\\') { Escapes::Whole } else { Escapes::None };
            let text = Text::of_json(raw, form);
            assert_eq!(text.is_blank(), json::meaning(raw).trim().is_empty(), "{raw}");
        }
    }
}
