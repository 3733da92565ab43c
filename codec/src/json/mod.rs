//! Reads JSON in place, and writes it without building a tree.
//!
//! Formats pick a few strings and numbers out of a document. The reader finds strings and numbers as ranges, skips everything
//! else, and allocates nothing. A whole document is checked before any of it is used, so that a second pass cannot fail.
//!
//! The reader accepts what [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259) allows, with these decisions where it leaves
//! a choice: the last of several equal names counts; numbers have any size and precision, as text; a lone surrogate escape
//! becomes U+FFFD; nesting is bounded by [`Limits::depth`](crate::Limits::depth).

mod fields;
mod number;
mod pointer;
mod read_string;
mod reader;
mod string;
#[cfg(feature = "custom")]
pub(crate) mod value;
mod writer;

pub(crate) use fields::{elements, field_offset, member, members, string, with_member};
pub(crate) use number::number_end;
pub(crate) use pointer::{Landmarks, pointers};
pub(crate) use read_string::{Escapes, Rest, rest};
pub(crate) use reader::Json;
pub(crate) use string::{meaning, unescape, unescaped};
pub(crate) use writer::{
    Array, Object, one_line, shortened, write_escaped, write_integer, write_number, write_one_line,
    write_string,
};

/// Why a document is malformed, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) why: &'static str,
}

/// The reason of a fault: a value is nested deeper than the limit.
pub(crate) const TOO_DEEP: &str = "nested too deep";

type Result<T> = core::result::Result<T, Fault>;

/// A string: the span between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Str {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// It has escapes.
    pub(crate) escaped: bool,
    /// It is known to be ASCII. Not always detected at the end of a buffer.
    pub(crate) ascii: bool,
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// The largest limit of nesting that can be set.
pub(crate) const DEPTH_MAX: usize = 512;

/// Whether `text` is one JSON document.
pub(crate) fn is_document(text: &str) -> bool {
    let mut json = Json::new(text.as_bytes(), 0, 127);
    json.skip().is_ok_and(|range| text.as_bytes()[range.end..].trim_ascii().is_empty())
}

/// `text`, if it is one JSON object.
pub(crate) fn as_object(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| text.starts_with('{') && is_document(text))
}

/// Whether a value contains anything except fields with known names. Zeros, nulls and empty values do not count.
pub(crate) fn has_content(json: &mut Json<'_>, known: impl Fn(&[u8]) -> bool + Copy) -> Result<bool> {
    let mut found = false;
    match json.kind()? {
        Kind::Object => json.object(|json, name| {
            if known(name) && json.kind()? != Kind::Object {
                return json.skip().map(drop);
            }
            found |= has_content(json, known)?;
            Ok(())
        })?,
        Kind::Array => json.array(|json| {
            found |= has_content(json, known)?;
            Ok::<_, Fault>(())
        })?,
        Kind::String => found = json.string_or_skip()?.is_some_and(|string| string.start < string.end),
        Kind::Number => {
            let number = json.skip()?;
            found = json.bytes[number].iter().any(|byte| (b'1'..=b'9').contains(byte));
        }
        Kind::Bool | Kind::Null => found = json.skip_some()?.is_some(),
    }
    Ok(found)
}
