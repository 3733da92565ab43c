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
use crate::json::{self, Json, Rest, Str};

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
        // Places in a call are 32 bits wide, and so are those in a record.
        let bytes = &bytes[..bytes.len().min(u32::MAX as usize)];
        for (which, known) in self.all.iter().enumerate() {
            match known {
                Some((known, template)) if *known == kind => match template.read_equal(bytes) {
                    Some((text, len)) => return Some(Call::new(text, len, which, true)),
                    None => continue,
                },
                _ => {}
            }
        }
        for (which, known) in self.all.iter_mut().enumerate() {
            match known {
                Some((known, template)) if *known == kind => match template.read_alike(bytes, depth) {
                    Some((text, len)) => return Some(Call::new(text, len, which, false)),
                    None => continue,
                },
                _ => {}
            }
        }
        None
    }

    /// What a call says beside its text. Only the last call can be asked for.
    #[inline]
    pub(super) fn said(&self, call: Call) -> Option<&Said> {
        let (_, template) = self.all[usize::from(call.which)].as_ref()?;
        Some(if call.equal { &template.own } else { &template.last })
    }

    /// Remembers `record`, if it was nothing but one piece of one part.
    pub(super) fn remember(&mut self, record: &[u8], kind: RecordKind, trace: Trace) {
        if let (Some((target, choice)), (1, 1)) = (trace.target, trace.counts) {
            let template = Template::new(record, trace.places, Said::new(target, choice));
            self.all[self.oldest] = template.map(|template| (kind, template));
            self.oldest = (self.oldest + 1) % self.all.len();
        }
    }
}

/// What a chunk comes to: a piece of text or of a tool call. It fits into two registers: a larger one, which is written in
/// parts and read as a whole, would take a tenth of all the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    start: u32,
    end: u32,
    len: u32,
    escaped: bool,
    /// It differs from its template in nothing but its text.
    equal: bool,
    which: u8,
}

impl Call {
    #[inline]
    fn new(text: Str, len: usize, which: usize, equal: bool) -> Self {
        let (start, end) = (text.start as u32, text.end as u32);
        Self { start, end, len: len as u32, escaped: text.escaped, equal, which: which as u8 }
    }

    /// Its text, which is UTF-8, and not empty unless it is a tool call's.
    #[inline]
    pub(super) fn text(self) -> Str {
        Str { start: self.start as usize, end: self.end as usize, escaped: self.escaped, ascii: false }
    }

    /// Bytes of the chunk.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }
}

/// What a chunk says beside its text.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) target: Target,
    pub(super) choice: u32,
    pub(super) id: Option<Str>,
    pub(super) name: Option<Str>,
    pub(super) logprobs: Option<Range<usize>>,
}

impl Said {
    fn new(target: Target, choice: u32) -> Self {
        Self { target, choice, id: None, name: None, logprobs: None }
    }
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
    holes: Vec<Hole>,
    /// Bytes that are not in holes.
    literals: usize,
    text: Hole,
    /// More than the text has to be read.
    has_more: bool,
    /// Some of that is different in every chunk.
    is_changing: bool,
    /// What this chunk said, without what changes.
    own: Said,
    /// What the last one that was alike said.
    last: Said,
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

/// What stands in a hole of another chunk.
enum Filling {
    String(Str),
    Integer(u64),
    Object,
    Other,
}

impl Hole {
    fn new(content: Content, range: Range<usize>) -> Self {
        Self { content, start: range.start as u16, end: range.end as u16 }
    }

    fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

impl Template {
    /// A template of `chunk`, which has its members at `places` and says this.
    fn new(chunk: &[u8], places: Places, said: Said) -> Option<Self> {
        // With line ends in it, it would not be found in a line.
        if chunk.len() > LEN_MAX || memchr::memchr2(b'\n', b'\r', chunk).is_some() {
            return None;
        }
        let integer = |place: Option<Range<usize>>| {
            place.filter(|range| chunk[range.clone()].iter().all(u8::is_ascii_digit))
        };
        let string = |place: Option<Str>| place.map(|string| string.start..string.end);
        let text = Hole::new(Content::Text, string(places.text)?);
        let has_logprobs = match places.logprobs.as_ref().map(|range| chunk[range.start]) {
            None | Some(b'n') => false,
            Some(b'{') => true,
            Some(_) => return None,
        };
        let [first, second, third] = places.numbers;
        let others = [
            (Content::Choice, integer(places.choice)),
            (Content::Tool, integer(places.tool)),
            (Content::Id, string(places.id)),
            (Content::Name, string(places.name)),
            (Content::Logprobs, places.logprobs),
            (Content::Clock, places.clock),
            (Content::Number, first),
            (Content::Number, second),
            (Content::Number, third),
            (Content::Padding, string(places.padding)),
        ];
        let others = others.into_iter().filter_map(|(content, range)| Some(Hole::new(content, range?)));
        let mut holes: Vec<_> = core::iter::once(text).chain(others).collect();
        holes.sort_unstable_by_key(|hole| hole.start);
        let literals = chunk.len() - holes.iter().map(|hole| hole.range().len()).sum::<usize>();
        let is_changing = holes.iter().any(|hole| hole.content.is_changing());
        let (bytes, has_more, last) = (chunk.to_vec(), has_logprobs || is_changing, said.clone());
        Some(Self { bytes, holes, literals, text, has_more, is_changing, own: said, last })
    }

    /// The text of the chunk that `bytes` begin with, and how long that is, if nothing but the text differs from this one.
    #[inline]
    fn read_equal(&self, bytes: &[u8]) -> Option<(Str, usize)> {
        let (before, after) = (&self.bytes[..self.text.range().start], &self.bytes[self.text.range().end..]);
        if self.has_more || self.is_longer_than(bytes) || !bytes.starts_with(before) {
            return None;
        }
        let text = read_text(bytes, before.len())?;
        if !bytes[text.end..].starts_with(after) || self.is_nothing(text) {
            return None;
        }
        Some((text, text.end + after.len()))
    }

    /// An empty text is no delta.
    #[inline]
    fn is_nothing(&self, text: Str) -> bool {
        text.start == text.end && !matches!(self.own.target, Target::Tool(_))
    }

    /// The beginning of a chunk that was cut is not worth comparing.
    #[inline]
    fn is_longer_than(&self, bytes: &[u8]) -> bool {
        self.literals >= bytes.len()
    }

    /// The same where other holes differ, too. What has changed for good is equal from then on. `depth` bounds the
    /// nesting of a chunk.
    #[inline(never)]
    fn read_alike(&mut self, bytes: &[u8], depth: usize) -> Option<(Str, usize)> {
        if self.is_longer_than(bytes) {
            return None;
        }
        let Self { bytes: template, holes, own, last, .. } = self;
        let (mut text, mut for_good, mut has_logprobs) = (None, false, false);
        let len = walk(template, holes, bytes, depth, |_, hole, begin, end, filling| {
            match (hole.content, filling) {
                (Content::Text, Filling::String(string)) => text = Some(string),
                (Content::Id, Filling::String(string)) => last.id = Some(string),
                (Content::Name, Filling::String(string)) => last.name = Some(string),
                (Content::Clock, _) => for_good |= bytes[begin..end] != template[hole.range()],
                (Content::Choice, Filling::Integer(index)) => last.choice = u32::try_from(index).ok()?,
                (Content::Tool, Filling::Integer(index)) => {
                    last.target = Target::Tool(Some(index));
                    for_good |= last.target != own.target;
                }
                (Content::Logprobs, Filling::Object) => {
                    has_logprobs = true;
                    last.logprobs = Some(begin..end);
                }
                (Content::Logprobs, _) => last.logprobs = None,
                _ => {}
            }
            Some(())
        })?;
        let text = text.filter(|&text| !self.is_nothing(text))?;
        if (for_good || self.has_more) && !self.is_changing && !has_logprobs && len <= LEN_MAX {
            self.renew(&bytes[..len], depth);
        }
        Some((text, len))
    }

    /// Puts a chunk that is alike in the place of this one.
    #[cold]
    fn renew(&mut self, chunk: &[u8], depth: usize) {
        let mut places = [(0, 0); HOLES];
        walk(&self.bytes, &self.holes, chunk, depth, |index, _, begin, end, _| {
            places[index] = (begin, end);
            Some(())
        });
        for (hole, (begin, end)) in self.holes.iter_mut().zip(places) {
            *hole = Hole::new(hole.content, begin..end);
            if hole.content == Content::Text {
                self.text = *hole;
            }
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(chunk);
        (self.own, self.has_more) = (self.last.clone(), false);
    }
}

/// Walks over the chunk that `bytes` begin with as over a template: the same bytes around the holes, and in each what may
/// stand there. `each` gets a hole's index and the hole, and where what fills it begins and ends.
#[inline(always)]
fn walk(
    template: &[u8],
    holes: &[Hole],
    bytes: &[u8],
    depth: usize,
    mut each: impl FnMut(usize, &Hole, usize, usize, Filling) -> Option<()>,
) -> Option<usize> {
    let (mut at, mut of_template) = (0, 0);
    for (index, hole) in holes.iter().enumerate() {
        let begin = skip_literal(bytes, at, &template[of_template..hole.range().start])?;
        let filling = match hole.content {
            Content::Number | Content::Clock => {
                at = number(bytes, begin)?;
                Filling::Other
            }
            Content::Choice | Content::Tool => {
                let value;
                (value, at) = integer(bytes, begin)?;
                Filling::Integer(value)
            }
            Content::Text | Content::Id | Content::Name | Content::Padding => {
                let string = read_text(bytes, begin)?;
                at = string.end;
                Filling::String(string)
            }
            Content::Logprobs if bytes[begin..].starts_with(b"null") => {
                at = begin + 4;
                Filling::Other
            }
            Content::Logprobs => {
                at = read_object(bytes, begin, depth.saturating_sub(DEPTH_OF_CHOICE))?.end;
                Filling::Object
            }
        };
        each(index, hole, begin, at, filling)?;
        of_template = hole.range().end;
    }
    skip_literal(bytes, at, &template[of_template..])
}

/// The string that begins at `at`, behind its quote, which is the end of a literal.
#[inline]
fn read_text(bytes: &[u8], at: usize) -> Option<Str> {
    let Rest { end, escaped, ascii } = json::rest(bytes, at)?;
    if !ascii {
        core::str::from_utf8(&bytes[at..end]).ok()?;
    }
    Some(Str { start: at, end, escaped, ascii })
}

/// The object that begins at `at`.
fn read_object(bytes: &[u8], at: usize, depth: usize) -> Option<Range<usize>> {
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let mut json = Json::new(bytes, at, depth);
    let object = json.skip().ok()?;
    if !json.is_plain() {
        let json = core::str::from_utf8(&bytes[object.clone()]).ok()?;
        // A line end would end the line that the chunk stands in.
        if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
            return None;
        }
    }
    Some(object)
}

/// Where `literal`, which has to stand at `at`, ends.
#[inline(always)]
fn skip_literal(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    let end = at + literal.len();
    is_equal(bytes.get(at..end)?, literal).then_some(end)
}

/// Whether two slices of the same length are equal. Literals between holes are short: both their ends at once beat a call.
#[inline(always)]
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    fn ends<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N])> {
        Some((*bytes.first_chunk()?, *bytes.last_chunk()?))
    }
    match left.len() {
        8..=16 => ends::<8>(left) == ends::<8>(right),
        17..=32 => ends::<16>(left) == ends::<16>(right),
        33..=64 => ends::<32>(left) == ends::<32>(right),
        _ => left == right,
    }
}

/// Where the number at `at` ends.
#[inline(always)]
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    json::number_end(bytes, at)
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
