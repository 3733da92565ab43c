//! Text that stays escaped until it is used.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, Range};

use once_cell::race::OnceBox;
use serde::{Serialize, Serializer};

use crate::json;
use crate::json::Escapes;

/// A text of a request.
///
/// It dereferences to `str`. Text that was read from a JSON document is unescaped on first use, and only once: a conversion
/// from JSON to JSON that does not look inside copies it as it is, escapes included.
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
    /// The unescaped text, once it was used.
    meaning: OnceBox<String>,
}

/// How a text is held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Unescaped. It may need escapes in JSON.
    Plain,
    /// As in JSON between the quotes, without escapes.
    Json,
    /// As in JSON between the quotes, with complete escapes.
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
            // Readers may reject half a pair of surrogates.
            Escapes::Halved => Self::new(Cow::Owned(json::meaning(raw)), Form::Plain),
        }
    }

    /// The text borrowed from its document; `None` if it is not in the document, or has escapes there.
    pub fn borrowed(&self) -> Option<&'a str> {
        match self.text {
            Cow::Borrowed(text) if self.form != Form::Escaped => Some(text),
            _ => None,
        }
    }

    /// Whether it is empty or white space. Nothing is unescaped for that: in most cases the first character decides.
    pub fn is_blank(&self) -> bool {
        let mut rest = self.text.trim_start();
        if self.form != Form::Escaped {
            return rest.is_empty();
        }
        while let Some(escape) = rest.strip_prefix('\\') {
            let len = match escape.as_bytes() {
                [b'n' | b'r' | b't' | b'f', ..] => 1,
                [b'u', ..] => {
                    // Half a pair of surrogates is not white space.
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

    /// The text, borrowed from its document if it has no escapes there.
    pub fn into_cow(self) -> Cow<'a, str> {
        if self.form == Form::Escaped { Cow::Owned(String::from(&*self)) } else { self.text }
    }

    /// The same text, with a copy of what it borrowed.
    pub fn into_owned(self) -> Text<'static> {
        Text::from(self.into_cow().into_owned())
    }

    /// The part of the text at `range`.
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
        // The copy may never be used.
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
        // Equal escapes have the same meaning; others may have it, too.
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

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
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
