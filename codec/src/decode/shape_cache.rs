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

use crate::assemble::TextKind;
use crate::decode::shape_match::Call;
use crate::json;
use crate::json::{Json, Rest, Str};

/// The longest chunk that is remembered.
const LEN_MAX: usize = 1024;
/// A choice stands in an object in an array in an object.
const DEPTH_OF_CHOICE: usize = 3;

/// What kind of record this is: some stand in frames that name them.
pub(crate) type RecordKind = Option<crate::formats::converse::Name>;

/// Where the members of a record lie that may change from one to the next. All of it but the text is optional.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The text of the delta.
    pub(crate) text: Option<Str>,
    /// Index of the choice.
    pub(crate) choice: Option<Range<usize>>,
    /// Index, ID and name of the tool call that the text is input of.
    pub(crate) tool: Option<Range<usize>>,
    pub(crate) id: Option<Str>,
    pub(crate) name: Option<Str>,
    /// An object or null.
    pub(crate) logprobs: Option<Range<usize>>,
    /// A number that means nothing, and changes now and then.
    pub(crate) clock: Option<Range<usize>>,
    /// Numbers that mean nothing, and change all the time.
    pub(crate) numbers: [Option<Range<usize>>; 3],
    /// A string that means nothing, and changes all the time.
    pub(crate) padding: Option<Str>,
}

/// What a reader found out about a record that may be the first of many alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) places: Places,
    /// What the record came to last.
    pub(crate) target: Option<(Target, u32)>,
    /// Choices in it, and pieces of parts or other things.
    pub(crate) counts: (u32, u32),
    /// From here on the same bytes may mean something else.
    pub(crate) forget: bool,
}

impl Trace {
    /// A piece of text of a choice.
    pub(crate) fn plain(&mut self, choice: u32, kind: TextKind, text: Str) {
        self.counts.1 += 1;
        self.target = Some((Target::TextKind(kind), choice));
        (self.places.text, self.places.tool, self.places.id, self.places.name) =
            (Some(text), None, None, None);
    }

    /// A piece of text of a block of a choice.
    pub(crate) fn block(&mut self, choice: u32, index: u64, kind: TextKind, text: Str) {
        self.plain(choice, kind, text);
        self.target = Some((Target::Block(kind, index), choice));
    }

    /// Something that is more than a piece of a part.
    pub(crate) fn more(&mut self) {
        self.counts.1 += 1;
        self.target = None;
    }
}

/// The last records that may be the first of many alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates {
    all: [Option<(RecordKind, Template)>; 2],
    /// The one that is replaced next.
    oldest: usize,
}

impl Templates {
    /// What the record of this kind that `bytes` begin with comes to, if it is like an earlier one.
    #[inline(always)]
    pub(crate) fn read(&mut self, bytes: &[u8], kind: RecordKind, depth: usize) -> Option<Call> {
        // Places in a call are 32 bits wide, and so are those in a record.
        let bytes = &bytes[..bytes.len().min(u32::MAX as usize)];
        for (which, known) in self.all.iter_mut().enumerate() {
            match known {
                Some((known, template)) if *known == kind => match template.read_usual(bytes, depth, which) {
                    Some(call) => return Some(call),
                    None => continue,
                },
                _ => {}
            }
        }
        self.read_alike(bytes, kind, depth)
    }

    /// The same for a record that differs from all that is known in more than its text.
    fn read_alike(&mut self, bytes: &[u8], kind: RecordKind, depth: usize) -> Option<Call> {
        self.all.iter_mut().enumerate().find_map(|(which, known)| {
            let (_, template) = known.as_mut().filter(|(of, template)| *of == kind && !template.has_more)?;
            template.read_alike(bytes, depth, which)
        })
    }

    /// What a call says beside its text. Only the last call can be asked for.
    #[inline]
    pub(crate) fn said(&self, call: Call) -> Option<&Said> {
        let (_, template) = self.all.get(call.which())?.as_ref()?;
        Some(if call.is_equal() { &template.own } else { &template.last })
    }

    /// Remembers `record`, if it was nothing but one piece of one part.
    pub(crate) fn remember(&mut self, record: &[u8], kind: RecordKind, trace: Trace) {
        if let (Some((target, choice)), (1, 1)) = (trace.target, trace.counts) {
            let template = Template::new(record, trace.places, Said::new(target, choice));
            self.all[self.oldest] = template.map(|template| (kind, template));
            self.oldest = (self.oldest + 1) % self.all.len();
        }
    }
}

/// What a chunk says beside its text.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) target: Target,
    pub(crate) choice: u32,
    pub(crate) id: Option<Str>,
    pub(crate) name: Option<Str>,
    pub(crate) logprobs: Option<Range<usize>>,
}

impl Said {
    fn new(target: Target, choice: u32) -> Self {
        Self { target, choice, id: None, name: None, logprobs: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    TextKind(TextKind),
    /// The block with this index.
    Block(TextKind, u64),
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
    fn is_string(self) -> bool {
        matches!(self, Self::Text | Self::Id | Self::Name | Self::Padding)
    }

    /// Whether it is different in every record.
    fn is_changing(self) -> bool {
        matches!(self, Self::Id | Self::Name | Self::Padding | Self::Number)
    }
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

    /// What the chunk that `bytes` begin with comes to, if it differs from this one in its text only, or in what is
    /// different in every chunk.
    #[inline(always)]
    fn read_usual(&mut self, bytes: &[u8], depth: usize, which: usize) -> Option<Call> {
        if self.has_more { self.read_alike(bytes, depth, which) } else { self.read_equal(bytes, which) }
    }

    /// The same if nothing but the text differs.
    #[inline]
    fn read_equal(&self, bytes: &[u8], which: usize) -> Option<Call> {
        let (before, after) = (&self.bytes[..self.text.range().start], &self.bytes[self.text.range().end..]);
        if self.is_longer_than(bytes) || !bytes.starts_with(before) {
            return None;
        }
        let text = read_text(bytes, before.len())?;
        if !bytes[text.end..].starts_with(after) || self.is_nothing(text) {
            return None;
        }
        Some(Call::new(text, text.end + after.len(), which, true))
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
    fn read_alike(&mut self, bytes: &[u8], depth: usize, which: usize) -> Option<Call> {
        if self.is_longer_than(bytes) {
            return None;
        }
        let Self { bytes: template, holes, own, last, .. } = self;
        let (mut at, mut of_template, mut text) = (0, 0, None);
        let mut changed = Changed::default();
        for hole in holes {
            let Range { start, end } = hole.range();
            at = skip_literal(bytes, at, template.get(of_template..start)?)?;
            of_template = end;
            if hole.content == Content::Number {
                at = json::number_end(bytes, at)?;
                continue;
            }
            at = match hole.content {
                Content::Text | Content::Padding => {
                    let string = read_text(bytes, at)?;
                    if hole.content == Content::Text {
                        text = Some(string);
                    }
                    string.end
                }
                content => changed.fill(content, (bytes, at), (&template[start..end], own), last, depth)?,
            };
        }
        let len = skip_literal(bytes, at, template.get(of_template..)?)?;
        let text = text.filter(|&text| !self.is_nothing(text))?;
        let is_alike_from_now_on = !self.is_changing && !changed.has_logprobs;
        if is_alike_from_now_on && (changed.for_good || self.has_more) && len <= LEN_MAX {
            self.renew(&bytes[..len], depth)?;
        }
        Some(Call::new(text, len, which, false))
    }

    /// Puts a chunk that is alike in the place of this one.
    #[cold]
    fn renew(&mut self, chunk: &[u8], depth: usize) -> Option<()> {
        let (mut at, mut of_template) = (0, 0);
        for hole in &mut self.holes {
            let Range { start, end } = hole.range();
            at += start - of_template;
            of_template = end;
            let begin = at;
            at = if hole.content.is_string() {
                json::rest(chunk, at)?.end
            } else {
                Json::new(chunk, at, depth).skip().ok()?.end
            };
            *hole = Hole::new(hole.content, begin..at);
            if hole.content == Content::Text {
                self.text = *hole;
            }
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(chunk);
        (self.own, self.has_more) = (self.last.clone(), false);
        Some(())
    }
}

/// What the fillings of a chunk's holes have changed.
#[derive(Default)]
struct Changed {
    /// What follows is more like this chunk than like the template.
    for_good: bool,
    has_logprobs: bool,
}

impl Changed {
    /// Reads what fills a hole at `at`, and returns where it ends: of those that say something beside the text. The
    /// template has other bytes there, and its own to say.
    #[inline(never)]
    fn fill(
        &mut self,
        content: Content,
        (bytes, at): (&[u8], usize),
        (before, own): (&[u8], &Said),
        last: &mut Said,
        depth: usize,
    ) -> Option<usize> {
        Some(match content {
            Content::Id => last.id.insert(read_text(bytes, at)?).end,
            Content::Name => last.name.insert(read_text(bytes, at)?).end,
            Content::Choice => {
                let (index, end) = integer(bytes, at)?;
                last.choice = u32::try_from(index).ok()?;
                end
            }
            Content::Tool => {
                let (index, end) = integer(bytes, at)?;
                last.target = Target::Tool(Some(index));
                self.for_good |= last.target != own.target;
                end
            }
            Content::Logprobs if bytes[at..].starts_with(b"null") => {
                last.logprobs = None;
                at + 4
            }
            Content::Logprobs => {
                let object = read_object(bytes, at, depth.saturating_sub(DEPTH_OF_CHOICE))?;
                self.has_logprobs = true;
                last.logprobs.insert(object).end
            }
            Content::Clock => {
                let end = json::number_end(bytes, at)?;
                self.for_good |= &bytes[at..end] != before;
                end
            }
            // What says nothing, and the text, are not read here.
            Content::Number | Content::Text | Content::Padding => return None,
        })
    }
}

/// The string that begins at `at`, behind its quote, which is the end of a literal.
#[inline(always)]
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
    #[inline(always)]
    fn ends<const N: usize>(left: &[u8], right: &[u8]) -> bool {
        left.first_chunk::<N>() == right.first_chunk() && left.last_chunk::<N>() == right.last_chunk()
    }
    match left.len() {
        8..=16 => ends::<8>(left, right),
        17..=32 => ends::<16>(left, right),
        33..=64 => ends::<32>(left, right),
        4..=7 => ends::<4>(left, right),
        2..=3 => ends::<2>(left, right),
        _ => left == right,
    }
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
