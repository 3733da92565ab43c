//! Chunks that differ from an earlier one in little but their text.
//!
//! A stream is hundreds of chunks that are equal byte for byte but for the new text. Of a chunk that was nothing but one
//! delta, the reader remembers the bytes and where the *holes* in them are. If the next chunk has the same bytes around
//! its holes, and a string or a number in each, then the full parser would find the same members in it, in the same
//! places, and come to the same call with another text. So that call is made at once.
//!
//! This is exact, not a guess: JSON that is equal up to a string has the same structure up to there, the string ends at
//! its first quote that is not escaped, and equal bytes behind it mean the same again. What is not equal takes the full
//! parser. Before changing this, think of what a hole may hold: an empty text is no delta, and takes the full parser, too.

use alloc::vec::Vec;

use crate::chat::Plain;
use crate::json::{Json, Str};

/// The longest chunk that is remembered.
const LEN_MAX: usize = 1024;

/// The call that a chunk comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Text of a choice.
    Plain { choice: u32, kind: Plain },
    /// Input of the tool call with this index in a choice.
    Input { choice: u32, index: Option<u64> },
}

/// What may stand in a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// The text of the delta.
    Text,
    /// A string that means nothing here.
    String,
    /// A number that means nothing here.
    Integer,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    content: Content,
    start: usize,
    end: usize,
}

/// A chunk and its holes.
#[derive(Clone, Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    /// In the order of the chunk.
    holes: [Option<Hole>; 3],
    call: Call,
}

impl Template {
    /// A template of `chunk`, which has its text at `text` and comes to `call`. `created` and `obfuscation` are members
    /// that change and mean nothing once the answer has started.
    pub(super) fn new(
        chunk: &[u8],
        call: Call,
        text: Str,
        created: Option<core::ops::Range<usize>>,
        obfuscation: Option<Str>,
    ) -> Option<Self> {
        if chunk.len() > LEN_MAX {
            return None;
        }
        let hole = |content, start, end| Hole { content, start, end };
        let is_integer =
            |range: &core::ops::Range<usize>| chunk[range.clone()].iter().all(u8::is_ascii_digit);
        let mut holes = [
            Some(hole(Content::Text, text.start, text.end)),
            created.filter(is_integer).map(|range| hole(Content::Integer, range.start, range.end)),
            obfuscation.map(|string| hole(Content::String, string.start, string.end)),
        ];
        holes.sort_by_key(|hole| hole.map_or(usize::MAX, |hole| hole.start));
        Some(Self { bytes: chunk.to_vec(), holes, call })
    }

    /// The call that `chunk` comes to and its text, if it is like this one.
    #[inline]
    pub(super) fn read(&self, chunk: &[u8]) -> Option<(Call, Str)> {
        let (mut at, mut of_template, mut text) = (0, 0, None);
        for hole in self.holes.iter().flatten() {
            let literal = &self.bytes[of_template..hole.start];
            at = skip_literal(chunk, at, literal)?;
            of_template = hole.end;
            match hole.content {
                Content::Integer => {
                    let digits = chunk[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    // "0" is a number, "01" is none.
                    if digits == 0 || (digits > 1 && chunk[at] == b'0') {
                        return None;
                    }
                    at += digits;
                }
                Content::String | Content::Text => {
                    // The literal ends with the quote that opens the string.
                    let string = Json::new(chunk, at - 1, 0).string().ok()?;
                    core::str::from_utf8(&chunk[string.start..string.end]).ok()?;
                    at = string.end;
                    if hole.content == Content::Text {
                        text = Some(string);
                    }
                }
            }
        }
        (chunk[at..] == self.bytes[of_template..]).then_some(())?;
        Some((self.call, text.filter(|text| text.start < text.end)?))
    }
}

#[inline]
fn skip_literal(chunk: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    let end = at + literal.len();
    (chunk.get(at..end)? == literal).then_some(end)
}
