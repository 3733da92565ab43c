//! Reads records that differ from an earlier record only in their text and a few values, without parsing them.
//!
//! A stream has hundreds of records that are equal byte for byte except for the new text. If a record consisted of one
//! delta only, the cache keeps its bytes and the positions of its *slots*. If the next record has the same bytes around its
//! slots, and a string or a number in each slot, then the full parser would find the same fields at the same positions, and
//! the reader would make the same call with another text. So the cache makes that call at once.
//!
//! This is exact, not a guess: JSON that is equal up to a string has the same structure up to there, the string ends at its
//! first quote that is not escaped, and equal bytes after it have the same meaning again. A record that is not equal goes
//! through the full parser. Three rules keep the cache exact for any reader:
//!
//! - Whether a record is one delta, and where its slots are, follows from the calls of the reader ([`CacheableRecord`]).
//! - A slot is a whole token of the record, which is checked here.
//! - An empty string is never a slot, and never fills one: to readers an empty string often means that it is missing. Only
//!   the input of a tool call may be empty, which the emitter treats like a missing one.

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
            let (_, shape) = known.as_mut().filter(|(of, shape)| *of == kind && !shape.has_more)?;
            shape.find_similar(bytes, depth, index)
        })
    }

    /// The cached delta of a match, without its text. Valid for the last match only.
    #[inline]
    pub(crate) fn delta(&self, found: Match) -> Option<&CachedDelta> {
        let (_, shape) = self.shapes.get(found.shape())?.as_ref()?;
        Some(if found.is_equal() { &shape.own } else { &shape.last })
    }

    /// Adds the shape of `record`.
    pub(crate) fn insert(&mut self, record: &[u8], kind: RecordKind, cacheable: &CacheableRecord) {
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
    /// More than the text has to be read.
    has_more: bool,
    /// Some of that differs in every record.
    is_changing: bool,
    /// The number of containers around the log probabilities, once it was needed.
    nesting: Option<usize>,
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
    /// An object or null.
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
        matches!(self, Self::Id | Self::Name | Self::Padding | Self::Number)
    }
}

impl Slot {
    fn new(content: Content, span: Range<usize>) -> Self {
        Self { content, start: span.start as u16, end: span.end as u16 }
    }

    fn span(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    /// Whether it is a whole token of the record.
    fn is_token(self, record: &[u8]) -> bool {
        let Range { start, end } = self.span();
        let before = record[..start].last();
        match self.content {
            content if content.is_string() => {
                let is_escaped = start > 1 && record[start - 2] == b'\\';
                let rest = json::rest(record, start);
                before == Some(&b'"') && !is_escaped && rest.is_some_and(|rest| rest.end == end)
            }
            Content::Logprobs if record[start] == b'n' => true,
            Content::Logprobs => read_object(record, start, json::DEPTH_MAX) == Some(start..end),
            _ => {
                let is_inside = before.is_some_and(|byte| matches!(byte, b'+' | b'-' | b'.' | b'0'..=b'9'));
                !is_inside && json::number_end(record, start) == Some(end)
            }
        }
    }
}

/// The number of containers that are open at `end` of a record, which is outside of strings.
fn nesting_at(record: &[u8], end: usize) -> usize {
    let (mut at, mut nesting) = (0, 0usize);
    while at < end {
        match record[at] {
            b'"' => at = json::rest(record, at + 1).map_or(end, |rest| rest.end),
            b'{' | b'[' => nesting += 1,
            b'}' | b']' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    nesting
}

impl Shape {
    /// The shape of `record`.
    fn new(record: &[u8], cacheable: &CacheableRecord) -> Option<Self> {
        // A record with line ends is never found as the beginning of a line.
        if record.len() > LEN_MAX || memchr::memchr2(b'\n', b'\r', record).is_some() {
            return None;
        }
        let CacheableRecord { delta, choice, tool, logprobs, ignored } = *cacheable;
        let (id, name) = match &delta.target {
            DeltaTarget::Tool(tool) => (tool.id, tool.name),
            _ => (None, None),
        };
        let string = |string: Option<Str>| string.map_or(0..0, |string| string.start..string.end);
        let text = Slot::new(Content::Text, string(Some(delta.text)));
        let mut slots = Vec::with_capacity(6);
        slots.push(text);
        let mut add = |content, span: Range<usize>| {
            if !span.is_empty() {
                let index =
                    slots.iter().take_while(|slot: &&Slot| usize::from(slot.start) < span.start).count();
                slots.insert(index, Slot::new(content, span));
            }
        };
        add(Content::Choice, choice.range());
        add(Content::Tool, tool.range());
        add(Content::Id, string(id));
        add(Content::Name, string(name));
        add(Content::Logprobs, logprobs.range());
        for (kind, span) in ignored {
            let content = match kind {
                Ignored::String => Content::Padding,
                Ignored::Number => Content::Number,
                Ignored::Clock => Content::Clock,
            };
            add(content, span.range());
        }
        let is_apart = slots.windows(2).all(|pair| pair[0].end < pair[1].start);
        if !is_apart || !slots.iter().all(|slot| slot.is_token(record)) {
            return None;
        }
        let is_changing = slots.iter().any(|slot| slot.content.is_changing());
        Some(Self {
            bytes: record.to_vec(),
            literals: record.len() - slots.iter().map(|slot| slot.span().len()).sum::<usize>(),
            slots,
            text,
            has_more: is_changing || record[logprobs.range()].starts_with(b"{"),
            is_changing,
            nesting: None,
            own: CachedDelta { delta, logprobs: None },
            last: CachedDelta { delta, logprobs: None },
        })
    }

    /// Matches the record that `bytes` begin with, if it differs from this one only in its text and in the slots that
    /// differ in every record.
    #[inline(always)]
    fn find_fast(&mut self, bytes: &[u8], depth: usize, index: usize) -> Option<Match> {
        if self.has_more { self.find_similar(bytes, depth, index) } else { self.find_equal(bytes, index) }
    }

    /// The same if only the text differs.
    #[inline(always)]
    fn find_equal(&self, bytes: &[u8], index: usize) -> Option<Match> {
        let (before, after) = (&self.bytes[..self.text.span().start], &self.bytes[self.text.span().end..]);
        if self.is_longer_than(bytes) || !bytes.starts_with(before) {
            return None;
        }
        let text = read_text(bytes, before.len())?;
        if !bytes[text.end..].starts_with(after) || self.is_nothing(text) {
            return None;
        }
        Some(Match::new(text, text.end + after.len(), index, true))
    }

    /// An empty text is not a delta.
    #[inline]
    fn is_nothing(&self, text: Str) -> bool {
        text.start == text.end && !matches!(self.own.delta.target, DeltaTarget::Tool(_))
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
                Content::Logprobs if bytes[at..].starts_with(b"null") => {
                    last.logprobs = None;
                    at + 4
                }
                Content::Logprobs => {
                    let nesting = nesting.get_or_insert_with(|| nesting_at(cached, start));
                    last.logprobs.insert(read_object(bytes, at, depth.saturating_sub(*nesting))?).end
                }
                content => {
                    let end = last.fill(content, bytes, at)?;
                    let is_kept = matches!(content, Content::Tool | Content::Clock);
                    has_changed |= is_kept && bytes[at..end] != cached[start..of_cached];
                    end
                }
            };
        }
        let len = skip_literal(bytes, at, cached.get(of_cached..)?)?;
        let text = text.filter(|text| !self.is_nothing(*text))?;
        let is_equal_from_now_on = !self.is_changing && self.last.logprobs.is_none();
        if is_equal_from_now_on && (has_changed || self.has_more) && len <= LEN_MAX {
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
        (self.own, self.has_more) = (self.last.clone(), false);
        Some(())
    }
}

impl CachedDelta {
    /// Reads the content of a slot at `at`, and returns where it ends.
    #[inline(never)]
    fn fill(&mut self, content: Content, bytes: &[u8], at: usize) -> Option<usize> {
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
            (Content::Clock, _) => json::number_end(bytes, at)?,
            _ => return None,
        })
    }
}

/// The string that begins at `at`, after its opening quote, which is the end of a literal.
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

/// The object that begins at `at`.
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
    Some(object)
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::sync::Arc;

    use super::*;
    use crate::assemble::{Emitter, EventQueue, Index, ResponseState, Stop, TextKind, ToolDelta};
    use crate::limits::Limits;
    use crate::utf8::Short;

    const FIXED: Index = Index::fixed(0);

    type Read = fn(&mut Json<'_>, &mut Emitter<'_>) -> Result<(), Stop>;

    /// The events of `records`, with or without the cache, and how many of the records matched a shape.
    fn events(read: Read, records: &[&str], is_cached: bool) -> (Vec<String>, usize) {
        let limits = Limits::default();
        let mut response = ResponseState::new(Arc::new(limits), false);
        let (mut cache, mut queue) = (ShapeCache::default(), EventQueue::default());
        let (mut events, mut matches) = (Vec::new(), 0);
        for record in records {
            let bytes = record.as_bytes();
            queue.begin(0);
            let found = cache.find(bytes, None, limits.depth).filter(|found| found.len() == bytes.len());
            match found.filter(|_| is_cached) {
                Some(found) => {
                    matches += 1;
                    let cached = cache.delta(found).expect("it was found");
                    let delta = DeltaCall { text: found.text(), ..cached.delta };
                    response.deliver(bytes, &mut queue, &delta).expect("no limit");
                    if let Some(logprobs) = cached.logprobs.clone() {
                        response.deliver_logprobs(&mut queue, delta.choice, logprobs);
                    }
                }
                None => {
                    let mut emitter = Emitter::new(bytes, &mut response, &mut queue);
                    let read = read(&mut Json::new(bytes, 0, limits.depth), &mut emitter);
                    assert!(read.is_ok(), "{record}");
                    if let Some(cacheable) = emitter.close() {
                        cache.insert(bytes, None, &cacheable);
                    }
                }
            }
            let mut short = Short::default();
            while queue.advance() {
                events.push(format!("{:?}", queue.event(bytes, &mut short)));
            }
        }
        (events, matches)
    }

    /// Reads the records as the full parser does, and returns how many of them matched a shape.
    fn matches(read: Read, records: &[&str]) -> usize {
        let (cached, matches) = events(read, records, true);
        assert_eq!(cached, events(read, records, false).0, "{records:?}");
        matches
    }

    fn all(emitter: &Emitter<'_>, json: &Json<'_>) -> Range<usize> {
        json.pos()..emitter.record.len()
    }

    #[test]
    fn only_text_that_is_handed_over_may_differ() {
        let read: Read = |json, emitter| {
            let [text] = emitter.string_fields(&all(emitter, json), [b"text"])?;
            emitter.text(&FIXED, TextKind::Text, text)
        };
        assert_eq!(matches(read, &[r#"{"n":1,"text":"a"}"#, r#"{"n":1,"text":"b\n"}"#]), 1);
        // The number was not declared, and an empty text is none.
        assert_eq!(matches(read, &[r#"{"n":1,"text":"a"}"#, r#"{"n":2,"text":"b"}"#]), 0);
        assert_eq!(matches(read, &[r#"{"n":1,"text":"a"}"#, r#"{"n":1,"text":""}"#]), 0);
    }

    #[test]
    fn a_value_that_is_declared_as_ignored_may_differ() {
        let read: Read = |json, emitter| {
            let [text, n] = emitter.fields(&all(emitter, json), [b"text", b"n"])?;
            emitter.ignore_number(n);
            emitter.text(&FIXED, TextKind::Text, emitter.string_in(text))
        };
        assert_eq!(matches(read, &[r#"{"n":1,"text":"a"}"#, r#"{"n":-2.5e3,"text":"b"}"#]), 1);
        assert_eq!(matches(read, &[r#"{"n":1,"text":"a"}"#, r#"{"n":"x","text":"b"}"#]), 0);
        // The same span as text and as ignored is not cached.
        let read: Read = |json, emitter| {
            let [text] = emitter.string_fields(&all(emitter, json), [b"text"])?;
            emitter.ignore_string(text);
            emitter.text(&FIXED, TextKind::Text, text)
        };
        assert_eq!(matches(read, &[r#"{"text":"a"}"#, r#"{"text":"b"}"#]), 0);
    }

    #[test]
    fn more_than_one_delta_is_not_cached() {
        let twice: Read = |json, emitter| {
            let [text] = emitter.string_fields(&all(emitter, json), [b"text"])?;
            emitter.text(&FIXED, TextKind::Text, text)?;
            emitter.text(&FIXED, TextKind::Reasoning, text)
        };
        let usage: Read = |json, emitter| {
            let object = all(emitter, json);
            let [text] = emitter.string_fields(&object, [b"text"])?;
            emitter.text(&FIXED, TextKind::Text, text)?;
            emitter.other_fields(&object, None, |name| name == b"text")
        };
        let copied: Read = |json, emitter| {
            let [text] = emitter.string_fields(&all(emitter, json), [b"text"])?;
            let text = text.map(|text| emitter.to_string(text).to_uppercase()).unwrap_or_default();
            emitter.copied_text(&FIXED, TextKind::Text, text.as_bytes())
        };
        let ending: Read = |json, emitter| {
            let [text] = emitter.string_fields(&all(emitter, json), [b"text"])?;
            emitter.text(&FIXED, TextKind::Text, text)?;
            emitter.end_choice(&FIXED)
        };
        for read in [twice, usage, copied, ending] {
            assert_eq!(matches(read, &[r#"{"text":"a","u":{}}"#, r#"{"text":"b","u":{}}"#]), 0);
        }
    }

    #[test]
    fn an_index_may_differ_if_its_value_was_not_looked_at() {
        let read: Read = |json, emitter| {
            let [text, index] = emitter.fields(&all(emitter, json), [b"text", b"index"])?;
            let choice = emitter.choice_index(index).unwrap_or(FIXED);
            emitter.text(&choice, TextKind::Text, emitter.string_in(text))
        };
        let records =
            [r#"{"index":0,"text":"a"}"#, r#"{"index":12,"text":"b"}"#, r#"{"index":0,"text":"c"}"#];
        assert_eq!(matches(read, &records), 2);
        assert_eq!(matches(read, &[records[0], r#"{"index":4294967296,"text":"b"}"#]), 0);
        let odd: Read = |json, emitter| {
            let [text, index] = emitter.fields(&all(emitter, json), [b"text", b"index"])?;
            let choice = emitter.choice_index(index).unwrap_or(FIXED);
            let kind = if emitter.value(&choice) > 5 { TextKind::Refusal } else { TextKind::Text };
            emitter.text(&choice, kind, emitter.string_in(text))
        };
        assert_eq!(matches(odd, &records), 1, "equal indices still match");
        // Log probabilities of another choice than the text's are not cached.
        let others: Read = |json, emitter| {
            let [text, index, logprobs] =
                emitter.fields(&all(emitter, json), [b"text", b"index", b"logprobs"])?;
            let choice = emitter.choice_index(index).unwrap_or(FIXED);
            emitter.text(&choice, TextKind::Text, emitter.string_in(text))?;
            logprobs.into_iter().for_each(|logprobs| emitter.logprobs(&FIXED, logprobs));
            Ok(())
        };
        let records =
            [r#"{"index":0,"text":"a","logprobs":{"n":1}}"#, r#"{"index":1,"text":"b","logprobs":{"n":2}}"#];
        assert_eq!(matches(others, &records), 0);
    }

    #[test]
    fn log_probabilities_may_be_missing() {
        let read: Read = |json, emitter| {
            let mut found = (None, None);
            json.object(|json, name| {
                let value = json.skip()?;
                if name == b"text" {
                    found.0 = Some(value)
                } else {
                    found.1 = Some(value)
                }
                Ok(())
            })?;
            emitter.text(&FIXED, TextKind::Text, emitter.string_in(found.0))?;
            found.1.into_iter().for_each(|logprobs| emitter.logprobs(&FIXED, logprobs));
            Ok(())
        };
        let records = [
            r#"{"text":"a","logprobs":null}"#,
            r#"{"text":"b","logprobs":{"n":[1]}}"#,
            r#"{"text":"c","logprobs":null}"#,
        ];
        assert_eq!(matches(read, &records), 2);
        let deep = format!(r#"{{"text":"d","logprobs":{}1{}}}"#, "{\"n\":".repeat(127), "}".repeat(127));
        let mut cache = ShapeCache::default();
        let mut response = ResponseState::new(Arc::new(Limits::default()), false);
        let mut queue = EventQueue::default();
        let mut emitter = Emitter::new(records[0].as_bytes(), &mut response, &mut queue);
        assert!(read(&mut Json::new(records[0].as_bytes(), 0, 127), &mut emitter).is_ok());
        cache.insert(records[0].as_bytes(), None, &emitter.close().expect("one delta"));
        assert!(cache.find(deep.as_bytes(), None, 128).is_some());
        assert!(
            cache.find(deep.as_bytes(), None, 127).is_none(),
            "it is nested too deep, as for the full parser"
        );
    }

    #[test]
    fn an_id_that_appears_or_disappears_is_parsed() {
        let read: Read = |json, emitter| {
            let [id, input] = emitter.string_fields(&all(emitter, json), [b"id", b"input"])?;
            emitter.tool(&FIXED, &ToolDelta { id, name: id, input, ..ToolDelta::default() })
        };
        let records = [
            r#"{"id":"a","input":"1"}"#,
            r#"{"id":"","input":"2"}"#,
            r#"{"id":"","input":"3"}"#,
            r#"{"id":"b","input":"4"}"#,
        ];
        // The ID is the name, too, and one span cannot be two slots.
        assert_eq!(matches(read, &records), 1);
    }
}
