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
use core::ops::Range;

use crate::chat::Plain;
use crate::json::{Json, Str};

/// The longest chunk that is remembered.
const LEN_MAX: usize = 1024;
/// A choice stands in an object in an array in an object.
const DEPTH_OF_CHOICE: usize = 3;

/// Where the members of a chunk lie that may change from one to the next. All of it but the text is optional.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The text of the delta.
    pub(super) text: Option<Str>,
    /// Index of the choice.
    pub(super) choice: Option<Range<usize>>,
    /// Index of the tool call that the text is input of.
    pub(super) tool: Option<Range<usize>>,
    pub(super) logprobs: Option<Range<usize>>,
    /// Means nothing once the answer has started.
    pub(super) created: Option<Range<usize>>,
    /// Means nothing.
    pub(super) obfuscation: Option<Str>,
}

/// What a chunk comes to: a piece of text or of a tool call's input, and perhaps its logprobs.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) target: Target,
    pub(super) choice: u32,
    pub(super) text: Str,
    pub(super) logprobs: Option<Range<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Plain(Plain),
    /// Input of the tool call with this index.
    Input(Option<u64>),
}

/// A chunk and its holes.
#[derive(Clone, Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    /// In the order of the chunk.
    holes: [Option<Hole>; 6],
    text: Range<usize>,
    has_logprobs: bool,
    target: Target,
    choice: u32,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    content: Content,
    start: usize,
    end: usize,
}

/// What may stand in a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Text,
    Choice,
    Tool,
    Logprobs,
    /// A string that means nothing here.
    String,
    /// An integer that means nothing here.
    Integer,
}

impl Template {
    /// A template of `chunk`, which has its members at `places` and comes to text of `choice` for `target`.
    pub(super) fn new(chunk: &[u8], places: Places, target: Target, choice: u32) -> Option<Self> {
        if chunk.len() > LEN_MAX {
            return None;
        }
        let hole = |content| move |range: Range<usize>| Hole { content, start: range.start, end: range.end };
        let integer = |place: Option<Range<usize>>| {
            place.filter(|range| chunk[range.clone()].iter().all(u8::is_ascii_digit))
        };
        let string = |place: Option<Str>| place.map(|string| string.start..string.end);
        let text = string(places.text)?;
        let has_logprobs = places.logprobs.is_some();
        let mut holes = [
            Some(text.clone()).map(hole(Content::Text)),
            integer(places.choice).map(hole(Content::Choice)),
            integer(places.tool).map(hole(Content::Tool)),
            places.logprobs.map(hole(Content::Logprobs)),
            integer(places.created).map(hole(Content::Integer)),
            string(places.obfuscation).map(hole(Content::String)),
        ];
        holes.sort_unstable_by_key(|hole| hole.map_or(usize::MAX, |hole| hole.start));
        Some(Self { bytes: chunk.to_vec(), holes, text, has_logprobs, target, choice })
    }

    /// What `chunk` comes to, if it is like this one. `depth` bounds the nesting of a chunk.
    #[inline]
    pub(super) fn read(&self, chunk: &[u8], depth: usize) -> Option<Call> {
        self.read_equal(chunk).or_else(|| self.read_alike(chunk, depth))
    }

    /// The same where nothing but the text has changed.
    #[inline]
    fn read_equal(&self, chunk: &[u8]) -> Option<Call> {
        if self.has_logprobs || chunk.get(..self.text.start)? != &self.bytes[..self.text.start] {
            return None;
        }
        let text = read_text(chunk, self.text.start)?;
        if chunk[text.end..] != self.bytes[self.text.end..] || text.start == text.end {
            return None;
        }
        Some(Call { target: self.target, choice: self.choice, text, logprobs: None })
    }

    fn read_alike(&self, chunk: &[u8], depth: usize) -> Option<Call> {
        let (mut at, mut of_template) = (0, 0);
        let (mut target, mut choice, mut text, mut logprobs) = (self.target, self.choice, None, None);
        for hole in self.holes.iter().map_while(Option::as_ref) {
            at = skip_literal(chunk, at, &self.bytes[of_template..hole.start])?;
            of_template = hole.end;
            match hole.content {
                Content::Integer => at = integer(chunk, at)?.1,
                Content::Choice => {
                    let index;
                    (index, at) = integer(chunk, at)?;
                    choice = u32::try_from(index).ok()?;
                }
                Content::Tool => {
                    let index;
                    (index, at) = integer(chunk, at)?;
                    target = Target::Input(Some(index));
                }
                Content::Text | Content::String => {
                    let string = read_text(chunk, at)?;
                    at = string.end;
                    if hole.content == Content::Text {
                        text = Some(string);
                    }
                }
                Content::Logprobs => {
                    if chunk.get(at) != Some(&b'{') {
                        return None;
                    }
                    let depth = depth.saturating_sub(DEPTH_OF_CHOICE);
                    let object = Json::new(chunk, at, depth).skip().ok()?;
                    core::str::from_utf8(&chunk[object.clone()]).ok()?;
                    at = object.end;
                    logprobs = Some(object);
                }
            }
        }
        if chunk[at..] != self.bytes[of_template..] {
            return None;
        }
        let text = text.filter(|text| text.start < text.end)?;
        Some(Call { target, choice, text, logprobs })
    }
}

/// The string that begins at `at`, behind its quote, which is the end of a literal.
#[inline]
fn read_text(chunk: &[u8], at: usize) -> Option<Str> {
    let string = Json::new(chunk, at - 1, 0).string().ok()?;
    core::str::from_utf8(&chunk[string.start..string.end]).ok()?;
    Some(string)
}

#[inline]
fn skip_literal(chunk: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    let end = at + literal.len();
    (chunk.get(at..end)? == literal).then_some(end)
}

/// The integer at `at`, and where it ends.
#[inline]
fn integer(chunk: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    let mut end = at;
    while let Some(digit) = chunk.get(end).filter(|byte| byte.is_ascii_digit()) {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        end += 1;
    }
    // "0" is a number, "01" is none.
    if end == at || (end > at + 1 && chunk[at] == b'0') { None } else { Some((value, end)) }
}
