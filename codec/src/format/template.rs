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
/// Kinds of holes that a record may have.
const HOLES: usize = 11;
/// A choice stands in an object in an array in an object.
const DEPTH_OF_CHOICE: usize = 3;

/// What kind of record this is: some stand in frames that name them.
pub(crate) type RecordKind = Option<crate::format::bedrock::Name>;

/// Where the members of a record lie that may change from one to the next. All of it but the text is optional.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The text of the delta.
    pub(super) text: Option<Str>,
    /// Index of the choice.
    pub(super) choice: Option<Range<usize>>,
    /// Index, ID and name of the tool call that the text is input of.
    pub(super) tool: Option<Range<usize>>,
    pub(super) id: Option<Str>,
    pub(super) name: Option<Str>,
    /// An object or null.
    pub(super) logprobs: Option<Range<usize>>,
    /// A number that means nothing, and changes now and then.
    pub(super) clock: Option<Range<usize>>,
    /// Numbers that mean nothing, and change all the time.
    pub(super) numbers: [Option<Range<usize>>; 3],
    /// A string that means nothing, and changes all the time.
    pub(super) padding: Option<Str>,
}

/// What a reader found out about a record that may be the first of many alike.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) places: Places,
    /// What the record came to last.
    pub(super) target: Option<(Target, u32)>,
    /// Choices in it, and pieces of parts or other things.
    pub(super) counts: (u32, u32),
    /// From here on the same bytes may mean something else.
    pub(super) forget: bool,
}

impl Trace {
    /// A piece of text of a choice.
    pub(super) fn plain(&mut self, choice: u32, kind: Plain, text: Str) {
        self.counts.1 += 1;
        self.target = Some((Target::Plain(kind), choice));
        (self.places.text, self.places.tool, self.places.id, self.places.name) =
            (Some(text), None, None, None);
    }

    /// A piece of text of a block of a choice.
    pub(super) fn block(&mut self, choice: u32, index: u64, kind: Plain, text: Str) {
        self.plain(choice, kind, text);
        self.target = Some((Target::Block(kind, index), choice));
    }

    /// Something that is more than a piece of a part.
    pub(super) fn more(&mut self) {
        self.counts.1 += 1;
        self.target = None;
    }
}

/// The last records that may be the first of many alike.
#[derive(Clone, Debug, Default)]
pub(super) struct Templates {
    all: [Option<(RecordKind, Template)>; 2],
    /// The one that is replaced next.
    oldest: usize,
}

impl Templates {
    /// What the record of this kind that `bytes` begin with comes to, if it is like an earlier one.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], kind: RecordKind, depth: usize) -> Option<Call> {
        let mut equal = self.all.iter().flatten().filter(|(known, _)| *known == kind);
        let equal = equal.find_map(|(_, template)| template.read_equal(bytes));
        equal.or_else(|| {
            let mut alike = self.all.iter_mut().flatten().filter(|(known, _)| *known == kind);
            alike.find_map(|(_, template)| template.read_alike(bytes, depth))
        })
    }

    /// Remembers `record`, if it was nothing but one piece of one part.
    pub(super) fn remember(&mut self, record: &[u8], kind: RecordKind, trace: Trace) {
        if let (Some((target, choice)), (1, 1)) = (trace.target, trace.counts) {
            let template = Template::new(record, trace.places, target, choice);
            self.all[self.oldest] = template.map(|template| (kind, template));
            self.oldest = (self.oldest + 1) % self.all.len();
        }
    }
}

/// What a chunk comes to: a piece of text or of a tool call, and perhaps its logprobs.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(super) target: Target,
    pub(super) choice: u32,
    /// Not empty, unless it is a tool call's.
    pub(super) text: Str,
    pub(super) id: Option<Str>,
    pub(super) name: Option<Str>,
    pub(super) logprobs: Option<Range<usize>>,
    /// Bytes of the chunk.
    pub(crate) len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Plain(Plain),
    /// The block with this index.
    Block(Plain, u64),
    /// The tool call with this index.
    Tool(Option<u64>),
}

/// A chunk and its holes.
#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    /// In the order of the chunk.
    holes: [Option<Hole>; HOLES],
    /// Bytes that are not in holes.
    literals: usize,
    text: Hole,
    /// More than the text has to be read.
    has_more: bool,
    target: Target,
    choice: u32,
}

/// A place in a template, which is no longer than 16 bits can say.
#[derive(Clone, Copy, Debug)]
struct Hole {
    content: Content,
    start: u16,
    end: u16,
}

/// What may stand in a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Text,
    Choice,
    Tool,
    Id,
    Name,
    Logprobs,
    /// A string that means nothing here.
    Padding,
    /// A number that means nothing here.
    Number,
    /// The same, which changes for good.
    Clock,
}

impl Content {
    /// Whether it is different in every record.
    fn is_changing(self) -> bool {
        matches!(self, Self::Id | Self::Name | Self::Padding | Self::Number)
    }
}

impl Hole {
    fn new(content: Content, range: Range<usize>) -> Self {
        Self { content, start: range.start as u16, end: range.end as u16 }
    }
}

impl Template {
    /// A template of `chunk`, which has its members at `places` and comes to text of `choice` for `target`.
    fn new(chunk: &[u8], places: Places, target: Target, choice: u32) -> Option<Self> {
        // With line ends in it, it would not be found in a line.
        if chunk.len() > LEN_MAX || memchr::memchr2(b'\n', b'\r', chunk).is_some() {
            return None;
        }
        let hole = |content| move |range| Hole::new(content, range);
        let integer = |place: Option<Range<usize>>| {
            place.filter(|range| chunk[range.clone()].iter().all(u8::is_ascii_digit))
        };
        let string = |place: Option<Str>| place.map(|string| string.start..string.end);
        let text = string(places.text).map(hole(Content::Text))?;
        let has_logprobs = match places.logprobs.as_ref().map(|range| chunk[range.start]) {
            None | Some(b'n') => false,
            Some(b'{') => true,
            Some(_) => return None,
        };
        let [first, second, third] = places.numbers;
        let has_more = has_logprobs
            || [places.id, places.name, places.padding].iter().any(Option::is_some)
            || [&first, &second, &third].into_iter().any(Option::is_some);
        let mut holes = [
            Some(text),
            integer(places.choice).map(hole(Content::Choice)),
            integer(places.tool).map(hole(Content::Tool)),
            string(places.id).map(hole(Content::Id)),
            string(places.name).map(hole(Content::Name)),
            places.logprobs.map(hole(Content::Logprobs)),
            places.clock.map(hole(Content::Clock)),
            first.map(hole(Content::Number)),
            second.map(hole(Content::Number)),
            third.map(hole(Content::Number)),
            string(places.padding).map(hole(Content::Padding)),
        ];
        holes.sort_unstable_by_key(|hole| hole.map_or(u16::MAX, |hole| hole.start));
        let in_holes: usize = holes.iter().flatten().map(|hole| usize::from(hole.end - hole.start)).sum();
        let literals = chunk.len() - in_holes;
        Some(Self { bytes: chunk.to_vec(), holes, literals, text, has_more, target, choice })
    }

    /// What the chunk that `bytes` begin with comes to, where nothing but its text differs from this one.
    #[inline]
    fn read_equal(&self, bytes: &[u8]) -> Option<Call> {
        let (before, after) =
            (&self.bytes[..usize::from(self.text.start)], &self.bytes[usize::from(self.text.end)..]);
        if self.has_more || self.is_longer_than(bytes) || !bytes.starts_with(before) {
            return None;
        }
        let text = read_text(bytes, before.len())?;
        if !bytes[text.end..].starts_with(after) || self.is_nothing(text) {
            return None;
        }
        let len = text.end + after.len();
        let (target, choice) = (self.target, self.choice);
        Some(Call { target, choice, text, id: None, name: None, logprobs: None, len })
    }

    /// An empty text is no delta.
    #[inline]
    fn is_nothing(&self, text: Str) -> bool {
        text.start == text.end && !matches!(self.target, Target::Tool(_))
    }

    /// The beginning of a chunk that was cut is not worth comparing.
    #[inline]
    fn is_longer_than(&self, bytes: &[u8]) -> bool {
        self.literals >= bytes.len()
    }

    /// The same where other holes differ, too. What has changed for good is equal from then on. `depth` bounds the
    /// nesting of a chunk.
    fn read_alike(&mut self, bytes: &[u8], depth: usize) -> Option<Call> {
        if self.is_longer_than(bytes) {
            return None;
        }
        let (mut at, mut of_template) = (0, 0);
        let (mut target, mut choice, mut logprobs) = (self.target, self.choice, None);
        let (mut text, mut id, mut name) = (None, None, None);
        let (mut holes, mut for_good) = (self.holes, false);
        for hole in holes.iter_mut().map_while(Option::as_mut) {
            let (start, end) = (usize::from(hole.start), usize::from(hole.end));
            at = skip_literal(bytes, at, &self.bytes[of_template..start])?;
            of_template = end;
            let begin = at;
            match hole.content {
                Content::Number => at = number(bytes, at)?,
                Content::Clock => {
                    at = number(bytes, at)?;
                    for_good |= bytes[begin..at] != self.bytes[start..end];
                }
                Content::Choice => {
                    let index;
                    (index, at) = integer(bytes, at)?;
                    choice = u32::try_from(index).ok()?;
                }
                Content::Tool => {
                    let index;
                    (index, at) = integer(bytes, at)?;
                    target = Target::Tool(Some(index));
                    for_good |= target != self.target;
                }
                Content::Text | Content::Id | Content::Name | Content::Padding => {
                    let string = read_text(bytes, at)?;
                    at = string.end;
                    match hole.content {
                        Content::Text => text = Some(string),
                        Content::Id => id = Some(string),
                        Content::Name => name = Some(string),
                        _ => {}
                    }
                }
                Content::Logprobs if bytes[at..].starts_with(b"null") => at += 4,
                Content::Logprobs => {
                    let object = read_object(bytes, at, depth.saturating_sub(DEPTH_OF_CHOICE))?;
                    at = object.end;
                    logprobs = Some(object);
                }
            }
            *hole = Hole::new(hole.content, begin..at);
        }
        let len = skip_literal(bytes, at, &self.bytes[of_template..])?;
        let text = text.filter(|&text| !self.is_nothing(text))?;
        let is_changing = holes.iter().flatten().any(|hole| hole.content.is_changing());
        if (for_good || self.has_more) && !is_changing && logprobs.is_none() && len <= LEN_MAX {
            self.bytes.clear();
            self.bytes.extend_from_slice(&bytes[..len]);
            self.text = Hole::new(Content::Text, text.start..text.end);
            (self.holes, self.target, self.choice) = (holes, target, choice);
            self.has_more = false;
        }
        Some(Call { target, choice, text, id, name, logprobs, len })
    }
}

/// The string that begins at `at`, behind its quote, which is the end of a literal.
#[inline]
fn read_text(bytes: &[u8], at: usize) -> Option<Str> {
    let string = Json::new(bytes, at, 0).string_rest().ok()?;
    if !string.ascii {
        core::str::from_utf8(&bytes[string.start..string.end]).ok()?;
    }
    Some(string)
}

/// The object that begins at `at`.
fn read_object(bytes: &[u8], at: usize, depth: usize) -> Option<Range<usize>> {
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let object = Json::new(bytes, at, depth).skip().ok()?;
    let json = core::str::from_utf8(&bytes[object.clone()]).ok()?;
    // A line end would end the line that the chunk stands in.
    memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none().then_some(object)
}

/// Where `literal`, which has to stand at `at`, ends.
#[inline]
fn skip_literal(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    bytes[at..].starts_with(literal).then_some(at + literal.len())
}

/// Where the number at `at` ends.
#[inline]
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let is_number = bytes.get(at).is_some_and(|&byte| byte == b'-' || byte.is_ascii_digit());
    let mut json = Json::new(bytes, at, 0);
    if is_number { json.number().ok().map(|()| json.pos()) } else { None }
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
