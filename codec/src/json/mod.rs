//! Reading JSON in place, and writing it as it comes.
//!
//! Formats pick a few strings and numbers out of a document. This reads it without building anything: strings and
//! numbers are found as ranges, everything else is skipped, and nothing is allocated. A document is checked whole
//! before any of it is used, so that the second pass cannot fail half-way.
//!
//! It takes what [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259) allows, with these decisions where it leaves room:
//! the last of several equal names counts; numbers have any size and precision, as text; a lone surrogate escape
//! becomes U+FFFD; nesting is bounded by [`Limits::depth`](crate::Limits::depth).

mod fields;
mod number;
mod pointer;
mod reader;
mod string;
#[cfg(feature = "custom")]
pub(crate) mod value;
mod writer;

pub(crate) use fields::{elements, member, members, string, with_member};
pub(crate) use number::number_end;
pub(crate) use pointer::{Landmarks, pointers};
pub(crate) use reader::Json;
pub(crate) use string::{Escapes, Rest, meaning, rest, unescape, unescaped};
pub(crate) use writer::{
    Array, Object, one_line, write_escaped, write_integer, write_number, write_one_line, write_string,
};

/// What is wrong with a document, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) why: &'static str,
}

type Result<T> = core::result::Result<T, Fault>;

/// A string: what stands between the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Str {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// It has a backslash, and so is not what it means.
    pub(crate) escaped: bool,
    /// All of it is ASCII, and so is UTF-8. Not always seen at the end of a buffer.
    pub(crate) ascii: bool,
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// The deepest nesting that can be asked for.
pub(crate) const DEPTH_MAX: usize = 512;

/// Whether `text` is one JSON document.
pub(crate) fn is_document(text: &str) -> bool {
    let mut json = Json::new(text.as_bytes(), 0, 127);
    json.skip().is_ok_and(|range| text.as_bytes()[range.end..].trim_ascii().is_empty())
}

/// `text`, if it is one JSON object and nothing else.
pub(crate) fn as_object(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| text.starts_with('{') && is_document(text))
}
