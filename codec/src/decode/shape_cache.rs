//! Reads records that differ from an earlier one in little but their text, without parsing them.
//!
//! A stream is hundreds of records that are equal byte for byte except for the new text. If a record was nothing but one
//! delta, the cache keeps its bytes and where its *slots* are. If the next record has the same bytes around its slots, and a
//! string or a number in each, then the full parser would find the same fields in it, at the same positions, and the reader
//! would make the same call with another text. So that call is made at once.
//!
//! This is exact, not a guess: JSON that is equal up to a string has the same structure up to there, the string ends at its
//! first quote that is not escaped, and equal bytes behind it mean the same again. A record that is not equal takes the full
//! parser. Three rules keep it exact whatever a reader does:
//!
//! - Whether a record is one delta, and where its slots are, follows from the calls of the reader ([`CacheableRecord`]).
//! - A slot is a whole token of the record, which is checked here.
//! - An empty string is never a slot, and never fills one: to readers an empty string often means that it is missing.

use alloc::vec::Vec;
use core::ops::Range;

use crate::assemble::{CacheableRecord, DeltaCall, DeltaTarget, Ignored};
use crate::decode::shape_match::Match;
use crate::formats::converse::Name;
use crate::json;
use crate::json::{Json, Rest, Str};

/// The longest record that is cached.
const LEN_MAX: usize = 1024;

/// The event that the frame of a record names, if it names one.
pub(crate) type RecordKind = Option<Name>;

/// The shapes of the last records that were one delta.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShapeCache {
    shapes: [Option<(RecordKind, Shape)>; 2],
    /// The index of the shape that is replaced next.
    oldest: usize,
}

impl ShapeCache {
    /// Matches the record of this kind that `bytes` begin with.
    #[inline(always)]
    pub(crate) fn find(&mut self, bytes: &[u8], kind: RecordKind, depth: usize) -> Option<Match> {
        // Offsets in a match are 32 bits wide, and so are those in a record.
        let bytes = &bytes[..bytes.len().min(u32::MAX as usize)];
        for (index, known) in self.shapes.iter_mut().enumerate() {
            match known {
                Some((known, shape)) if *known == kind => match shape.find_fast(bytes, depth, index) {
                    Some(found) => return Some(found),
                    None => continue,
                },
                _ => {}
            }
        }
        self.find_similar(bytes, kind, depth)
    }

    /// The same for a record that differs from all shapes in more than its text.
    fn find_similar(&mut self, bytes: &[u8], kind: RecordKind, depth: usize) -> Option<Match> {
        self.shapes.iter_mut().enumerate().find_map(|(index, known)| {
            let (_, shape) = known.as_mut().filter(|(of, shape)| *of == kind && !shape.is_changing)?;
            shape.find_similar(bytes, depth, index)
        })
    }

    /// What the record of a match is, except for its text. Valid for the last match only.
    #[inline]
    pub(crate) fn delta(&self, found: Match) -> Option<&CachedDelta> {
        let (_, shape) = self.shapes.get(found.shape())?.as_ref()?;
        Some(if found.is_equal() { &shape.own } else { &shape.last })
    }

    /// Adds the shape of `record`.
    pub(crate) fn insert(&mut self, record: &[u8], kind: RecordKind, cacheable: CacheableRecord) {
        self.shapes[self.oldest] = Shape::new(record, cacheable).map(|shape| (kind, shape));
        self.oldest = (self.oldest + 1) % self.shapes.len();
    }
}

/// The delta that a record is.
#[derive(Clone, Debug)]
pub(crate) struct CachedDelta {
    pub(crate) delta: DeltaCall,
    pub(crate) logprobs: Option<Range<usize>>,
}

impl CachedDelta {
    /// Whether the record has an ID or a name of a tool call.
    #[inline]
    pub(crate) fn has_id_or_name(&self) -> bool {
        match &self.delta.target {
            DeltaTarget::Tool(tool) => {
                [tool.id, tool.name].iter().flatten().any(|string| string.start < string.end)
            }
            _ => false,
        }
    }
}

/// A record and its slots.
#[derive(Clone, Debug)]
struct Shape {
    bytes: Vec<u8>,
    /// In the order of the record.
    slots: Vec<Slot>,
    /// The number of bytes that are not in slots.
    literals: usize,
    text: Slot,
    /// More than the text differs in every record.
    is_changing: bool,
    /// The number of containers around the log probabilities.
    nesting: usize,
    /// The delta of this record.
    own: CachedDelta,
    /// The delta of the last record that was similar.
    last: CachedDelta,
}

/// A span of a cached record. Such a record is short enough for 16 bits.
#[derive(Clone, Copy, Debug)]
struct Slot {
    content: Content,
    start: u16,
    end: u16,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Text,
    Choice,
    Tool,
    Id,
    Name,
    /// An object.
    Logprobs,
    /// A string without a meaning.
    Padding,
    /// A number without a meaning.
    Number,
    /// The same, which is equal in most records.
    Clock,
}

impl Content {
    fn is_string(self) -> bool {
        matches!(self, Self::Text | Self::Id | Self::Name | Self::Padding)
    }

    /// Whether it differs in every record.
    fn is_changing(self) -> bool {
        matches!(self, Self::Id | Self::Name | Self::Logprobs | Self::Padding | Self::Number)
    }
}

impl Slot {
    fn new(content: Content, span: Range<usize>) -> Self {
        Self { content, start: span.start as u16, end: span.end as u16 }
    }

    fn span(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    /// Moves from `at`, outside of strings, to the end of the slot, if it is a whole token of the record. `depth` follows
    /// the nesting.
    fn skip(self, record: &[u8], mut at: usize, depth: &mut usize) -> Option<usize> {
        let Range { start, end } = self.span();
        let token = start.checked_sub(usize::from(self.content.is_string()))?;
        while at < token {
            match record[at] {
                b'"' => at = json::rest(record, at + 1)?.end,
                b'{' | b'[' => *depth += 1,
                b'}' | b']' => *depth = depth.checked_sub(1)?,
                _ => {}
            }
            at += 1;
        }
        // Behind the end of a string that precedes the slot, `at` is larger than `token` if the slot is inside of it.
        let is_token = at == token
            && match self.content {
                content if content.is_string() => {
                    record[token] == b'"' && json::rest(record, start)?.end == end
                }
                Content::Logprobs => Json::new(record, start, json::DEPTH_MAX).skip().ok()? == self.span(),
                _ => {
                    let before = record[..start].last();
                    let is_inside =
                        before.is_some_and(|byte| matches!(byte, b'+' | b'-' | b'.' | b'0'..=b'9'));
                    !is_inside && json::number_end(record, start) == Some(end)
                }
            };
        is_token.then_some(end + usize::from(self.content.is_string()))
    }
}

impl Shape {
    /// The shape of `record`.
    fn new(record: &[u8], cacheable: CacheableRecord) -> Option<Self> {
        // A record with line ends is never found as the beginning of a line.
        if record.len() > LEN_MAX || memchr::memchr2(b'\n', b'\r', record).is_some() {
            return None;
        }
        let CacheableRecord { delta, choice, tool, logprobs, ignored } = cacheable;
        let string = |content, string: Option<Str>| {
            string
                .filter(|string| string.start < string.end)
                .map(|string| (content, string.start..string.end))
        };
        let text = string(Content::Text, Some(delta.text))?;
        let (id, name) = match &delta.target {
            DeltaTarget::Tool(tool) => (tool.id, tool.name),
            _ => (None, None),
        };
        let mut slots = Vec::with_capacity(6);
        let known = [
            Some(text.clone()),
            choice.map(|span| (Content::Choice, span)),
            tool.map(|span| (Content::Tool, span)),
            string(Content::Id, id),
            string(Content::Name, name),
            logprobs.clone().map(|span| (Content::Logprobs, span)),
        ];
        let ignored = ignored.into_iter().map(|ignored| match ignored? {
            Ignored::String(string) => Some((Content::Padding, string.start..string.end)),
            Ignored::Number(span) => Some((Content::Number, span)),
            Ignored::Clock(span) => Some((Content::Clock, span)),
        });
        slots.extend(
            known.into_iter().chain(ignored).flatten().map(|(content, span)| Slot::new(content, span)),
        );
        slots.sort_unstable_by_key(|slot| slot.start);
        let (mut at, mut depth, mut nesting) = (0, 0, 0);
        for slot in &slots {
            at = slot.skip(record, at, &mut depth)?;
            if slot.content == Content::Logprobs {
                nesting = depth;
            }
        }
        if logprobs.as_ref().is_some_and(|span| read_object(record, span.start, json::DEPTH_MAX).is_none()) {
            return None;
        }
        Some(Self {
            bytes: record.to_vec(),
            literals: record.len() - slots.iter().map(|slot| slot.span().len()).sum::<usize>(),
            is_changing: slots.iter().any(|slot| slot.content.is_changing()),
            nesting,
            slots,
            text: Slot::new(text.0, text.1),
            own: CachedDelta { delta, logprobs: None },
            last: CachedDelta { delta, logprobs },
        })
    }

    /// Matches the record that `bytes` begin with, if it differs from this one in its text only, or in what differs in every
    /// record.
    #[inline(always)]
    fn find_fast(&mut self, bytes: &[u8], depth: usize, index: usize) -> Option<Match> {
        if self.is_changing { self.find_similar(bytes, depth, index) } else { self.find_equal(bytes, index) }
    }

    /// The same if nothing but the text differs.
    #[inline]
    fn find_equal(&self, bytes: &[u8], index: usize) -> Option<Match> {
        let (before, after) = (&self.bytes[..self.text.span().start], &self.bytes[self.text.span().end..]);
        if self.is_longer_than(bytes) || !bytes.starts_with(before) {
            return None;
        }
        let text = read_text(bytes, before.len())?;
        if !bytes[text.end..].starts_with(after) || text.start == text.end {
            return None;
        }
        Some(Match::new(text, text.end + after.len(), index, true))
    }

    /// The beginning of a record that was cut is not worth comparing.
    #[inline]
    fn is_longer_than(&self, bytes: &[u8]) -> bool {
        self.literals >= bytes.len()
    }

    /// The same if other slots differ, too. A clock or a tool index that has changed is equal from then on. `depth` bounds
    /// the nesting of a record.
    #[inline(never)]
    fn find_similar(&mut self, bytes: &[u8], depth: usize, index: usize) -> Option<Match> {
        if self.is_longer_than(bytes) {
            return None;
        }
        let Self { bytes: cached, slots, last, nesting, .. } = self;
        let (mut at, mut of_cached, mut text) = (0, 0, None);
        let mut has_changed = false;
        for slot in slots {
            let Range { start, end } = slot.span();
            at = skip_literal(bytes, at, cached.get(of_cached..start)?)?;
            of_cached = end;
            at = match slot.content {
                Content::Number => json::number_end(bytes, at)?,
                Content::Text => text.insert(read_text(bytes, at)?).end,
                Content::Padding => read_text(bytes, at)?.end,
                content => {
                    let depth = depth.saturating_sub(*nesting);
                    let end = last.fill(content, bytes, at, depth)?;
                    let is_kept = matches!(content, Content::Tool | Content::Clock);
                    has_changed |= is_kept && bytes[at..end] != cached[start..of_cached];
                    end
                }
            };
        }
        let len = skip_literal(bytes, at, cached.get(of_cached..)?)?;
        let text = text.filter(|text| text.start < text.end)?;
        if has_changed && !self.is_changing && len <= LEN_MAX {
            self.renew(&bytes[..len], depth)?;
        }
        Some(Match::new(text, len, index, false))
    }

    /// Replaces this record by a similar one.
    #[cold]
    fn renew(&mut self, record: &[u8], depth: usize) -> Option<()> {
        let (mut at, mut of_cached) = (0, 0);
        for slot in &mut self.slots {
            let Range { start, end } = slot.span();
            at += start - of_cached;
            of_cached = end;
            let begin = at;
            at = if slot.content.is_string() {
                json::rest(record, at)?.end
            } else {
                Json::new(record, at, depth).skip().ok()?.end
            };
            *slot = Slot::new(slot.content, begin..at);
            if slot.content == Content::Text {
                self.text = *slot;
            }
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(record);
        self.own = self.last.clone();
        Some(())
    }
}

impl CachedDelta {
    /// Reads the content of a slot at `at`, and returns where it ends.
    #[inline(never)]
    fn fill(&mut self, content: Content, bytes: &[u8], at: usize, depth: usize) -> Option<usize> {
        Some(match (content, &mut self.delta.target) {
            (Content::Id, DeltaTarget::Tool(tool)) => tool.id.insert(read_some_text(bytes, at)?).end,
            (Content::Name, DeltaTarget::Tool(tool)) => tool.name.insert(read_some_text(bytes, at)?).end,
            (Content::Tool, DeltaTarget::Tool(tool)) => {
                let (index, end) = integer(bytes, at)?;
                tool.index = Some(index);
                end
            }
            (Content::Choice, _) => {
                let (index, end) = integer(bytes, at)?;
                self.delta.choice = u32::try_from(index).ok()?;
                end
            }
            (Content::Logprobs, _) => self.logprobs.insert(read_object(bytes, at, depth)?).end,
            (Content::Clock, _) => json::number_end(bytes, at)?,
            _ => return None,
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

/// The same, unless it is empty.
fn read_some_text(bytes: &[u8], at: usize) -> Option<Str> {
    read_text(bytes, at).filter(|text| text.start < text.end)
}

/// The object that begins at `at`, unless it is empty.
fn read_object(bytes: &[u8], at: usize, depth: usize) -> Option<Range<usize>> {
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let mut json = Json::new(bytes, at, depth);
    let object = json.skip().ok()?;
    if !json.is_plain() {
        let json = core::str::from_utf8(&bytes[object.clone()]).ok()?;
        // A line end would end the line that contains the record.
        if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
            return None;
        }
    }
    (bytes.get(at + 1) == Some(&b'"')).then_some(object)
}

/// Where `literal` ends, which must be at `at`.
#[inline(always)]
fn skip_literal(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    let end = at + literal.len();
    is_equal(bytes.get(at..end)?, literal).then_some(end)
}

/// Whether two slices of the same length are equal. Literals between slots are short, so comparing both of their ends at
/// once is faster than a call.
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
fn integer(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    let mut end = at;
    while let Some(digit) = bytes.get(end).filter(|byte| byte.is_ascii_digit()) {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        end += 1;
    }
    // "0" is a number, "01" is none.
    if end == at || (end > at + 1 && bytes[at] == b'0') { None } else { Some((value, end)) }
}
