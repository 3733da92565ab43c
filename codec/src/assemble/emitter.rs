//! Where a reader puts what one record means.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::ops::Range;

use crate::assemble::block_order::{Block, BlockOrder, TextKind, ToolKey};
use crate::assemble::event_queue::{EventQueue, Reason, EventRecord, Text};
use crate::error::DecodeErrorKind;
use crate::json::{Fault, Json, Kind, Str, unescaped};
use crate::limits::Limits;
use crate::model::Api;
use crate::model::Failure;
use crate::model::position::RecordOffset;
use crate::model::{Usage, says_more};

/// What is remembered of bytes in their place, where it is enough to know them again. It is FNV-1a.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash)
}

/// Why a walk over a record stopped.
pub(crate) enum Stop {
    /// The JSON is broken. Only the first walk over a document can find that.
    Json(Fault),
    Limit(DecodeErrorKind),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Json(fault)
    }
}

/// How far the answer is, whatever its format.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseState {
    limits: Arc<Limits>,
    /// Logprobs are wanted also where they come unasked for.
    token_logprobs: bool,
    parts: BlockOrder,
    started: bool,
    /// The terminal record was read.
    done: bool,
    /// A failure was reported: nothing that follows counts.
    failed: bool,
    failure: Option<Box<Failure>>,
}

impl ResponseState {
    pub(crate) fn new(limits: Arc<Limits>, token_logprobs: bool) -> Self {
        Self { limits, token_logprobs, ..Self::default() }
    }

    /// The same for another answer.
    pub(crate) fn anew(&self) -> Self {
        Self::new(Arc::clone(&self.limits), self.token_logprobs)
    }

    /// A place for what `record` means.
    #[inline]
    pub(crate) fn emitter<'a>(&'a mut self, record: &'a [u8], queue: &'a mut EventQueue) -> Emitter<'a> {
        Emitter { record, answer: self, queue }
    }

    /// How deep records may be nested.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.limits.depth
    }

    /// The part that is open, if a piece of this kind goes on with it: see [`BlockOrder::open_text`].
    #[inline]
    pub(crate) fn open_text(&self, choice: u32, block: Option<u64>, kind: TextKind) -> Option<u32> {
        self.parts.open_text(choice, block, kind)
    }

    /// More input of the open tool call: see [`BlockOrder::more_input`].
    #[inline]
    pub(crate) fn more_input(&mut self, choice: u32, index: Option<u64>, input: &[u8]) -> Option<u32> {
        self.parts.more_input(choice, index, input)
    }

    /// The end of the input: what was held back is let go. `whole`: it is also the end of the answer.
    pub(crate) fn finish(&mut self, whole: bool, queue: &mut EventQueue) {
        let whole = whole && !self.failed;
        self.done |= whole;
        self.parts.end(whole, queue);
    }

    /// Whether the format says that the answer is complete.
    pub(crate) fn is_complete(&self) -> bool {
        !self.failed && (self.done || self.parts.is_finished())
    }

    /// Whether nothing that follows counts: the terminal record was read, or a failure.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.done || self.failed
    }

    /// The failure that the container reported, once.
    #[inline]
    pub(crate) fn take_failure(&mut self) -> Option<Box<Failure>> {
        self.failure.take()
    }
}

/// Where a reader puts what one record means.
pub(crate) struct Emitter<'a> {
    /// The record that all places are in.
    pub(crate) record: &'a [u8],
    answer: &'a mut ResponseState,
    queue: &'a mut EventQueue,
}

impl<'a> Emitter<'a> {
    /// A cursor at `pos` of the record.
    pub(crate) fn json(&self, pos: usize) -> Json<'a> {
        Json::new(self.record, pos, self.answer.depth())
    }

    /// How deep records may be nested.
    pub(crate) fn depth(&self) -> usize {
        self.answer.depth()
    }

    /// What follows stands at `pos` of the record. A format says so where it reads what may be lost in another.
    pub(crate) fn at(&mut self, pos: usize) {
        self.queue.set_here(RecordOffset(pos as u32));
    }

    /// Whether logprobs are wanted also where they come unasked for.
    pub(crate) fn wants_token_logprobs(&self) -> bool {
        self.answer.token_logprobs
    }

    /// Where the members of these names lie in an object, unless they are null. Of no object there are none.
    pub(crate) fn members<const N: usize>(
        &self,
        object: &Range<usize>,
        names: [&[u8]; N],
    ) -> Result<[Option<Range<usize>>; N], Fault> {
        let mut found = [const { None }; N];
        if self.record[object.start] != b'{' {
            return Ok(found);
        }
        self.json(object.start).object(|json, name| {
            let value = json.skip_some()?;
            if let (Some(value), Some(at)) = (value, names.iter().position(|known| *known == name)) {
                found[at] = Some(value);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Hands over the objects in an array, each with its index in it. Of no array there are none.
    pub(crate) fn objects(
        &mut self,
        array: &Range<usize>,
        mut each: impl FnMut(&mut Self, u64, Range<usize>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if self.record[array.start] != b'[' {
            return Ok(());
        }
        let mut index = 0;
        self.json(array.start).array(|json| {
            if let Some(object) = json.skip_kind(Kind::Object)? {
                each(self, index, object)?;
            }
            index += 1;
            Ok(())
        })
    }

    /// The value at a range, which was checked, if it is a string.
    pub(crate) fn text(&self, range: &Range<usize>) -> Option<Str> {
        let inside = self.record[range.clone()].strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let escaped = memchr::memchr(b'\\', inside).is_some();
        Some(Str { start: range.start + 1, end: range.end - 1, escaped, ascii: false })
    }

    /// What a string means.
    pub(crate) fn to_string(&self, string: Str) -> String {
        String::from_utf8_lossy(&unescaped(self.record, string)).into_owned()
    }

    /// The place of what a string means.
    #[inline]
    pub(crate) fn string(&mut self, string: Str) -> Text {
        self.queue.string(self.record, string)
    }

    /// The same for a string that says something.
    #[inline]
    pub(crate) fn non_empty(&mut self, string: Option<Str>) -> Option<Text> {
        string.filter(|string| string.start < string.end).map(|string| self.string(string))
    }

    /// The place of a copy.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Text {
        self.queue.copy(bytes)
    }

    /// Where a place is: a range of these bytes.
    pub(crate) fn find(&self, text: Text) -> (&[u8], Range<usize>) {
        self.queue.find(self.record, text)
    }

    /// What stands at a place.
    pub(crate) fn bytes(&self, text: Text) -> &[u8] {
        self.queue.bytes(self.record, text)
    }

    /// Whether the answer has started.
    pub(crate) fn is_started(&self) -> bool {
        self.answer.started
    }

    /// The answer starts. Only the first time counts.
    pub(crate) fn start(
        &mut self,
        id: Option<Str>,
        model: Option<Str>,
        created: Option<u64>,
        role: Option<Str>,
    ) {
        if !core::mem::replace(&mut self.answer.started, true) {
            let (id, model, role) = (self.non_empty(id), self.non_empty(model), self.non_empty(role));
            self.queue.push(EventRecord::Start { id, model, created, role });
        }
    }

    /// The same, from places.
    #[cfg(feature = "custom")]
    pub(crate) fn start_at(&mut self, id: Option<Text>, model: Option<Text>) {
        if !core::mem::replace(&mut self.answer.started, true) {
            self.queue.push(EventRecord::Start { id, model, created: None, role: None });
        }
    }

    /// A choice of this index exists from here on.
    pub(crate) fn touch(&mut self, choice: u32) -> Result<(), Stop> {
        let ResponseState { limits, parts, .. } = &mut *self.answer;
        parts.touch(limits, choice).map_err(Stop::Limit)
    }

    /// A piece of text for a choice; none if it is empty.
    #[inline]
    pub(crate) fn plain(&mut self, choice: u32, kind: TextKind, text: Text) -> Result<(), Stop> {
        let ResponseState { limits, parts, .. } = &mut *self.answer;
        parts.plain(limits, self.queue, self.record, (choice, kind, text)).map_err(Stop::Limit)
    }

    /// A piece of a tool call for a choice.
    #[inline]
    pub(crate) fn tool(&mut self, choice: u32, key: ToolKey, input: Option<Text>) -> Result<(), Stop> {
        let ResponseState { limits, parts, .. } = &mut *self.answer;
        parts.tool(limits, self.queue, self.record, (choice, key, input)).map_err(Stop::Limit)
    }

    /// A block begins: a part in a format that numbers them, and says where they begin and end.
    pub(crate) fn begin(&mut self, choice: u32, index: u64, block: Block) -> Result<(), Stop> {
        let ResponseState { limits, parts, .. } = &mut *self.answer;
        parts.begin(limits, self.queue, self.record, (choice, index, block)).map_err(Stop::Limit)
    }

    /// A piece of text of a block, which begins with it if it has not begun; none if it is empty.
    pub(crate) fn block(&mut self, choice: u32, index: u64, kind: TextKind, text: Text) -> Result<(), Stop> {
        if self.bytes(text).is_empty() {
            return Ok(());
        }
        self.open(choice, index, kind)?;
        self.plain(choice, kind, text)
    }

    /// A block is open from here on.
    pub(crate) fn open(&mut self, choice: u32, index: u64, kind: TextKind) -> Result<(), Stop> {
        if self.answer.parts.open_text(choice, Some(index), kind).is_some() {
            return Ok(());
        }
        self.begin(choice, index, Block::TextKind(kind))
    }

    /// The same, unless it was open before, or a later one: what belongs to a block may come after its end.
    pub(crate) fn open_new(&mut self, choice: u32, index: u64, kind: TextKind) -> Result<(), Stop> {
        if self.answer.parts.is_new(choice, index) {
            self.begin(choice, index, Block::TextKind(kind))?;
        }
        Ok(())
    }

    /// A block that the model has no name for begins, or is all of it.
    pub(crate) fn begin_other(
        &mut self,
        choice: u32,
        index: u64,
        (api, json): (Api, Range<usize>),
    ) -> Result<(), Stop> {
        self.at(json.start);
        self.begin(choice, index, Block::Other { api, json: EventQueue::place(json) })
    }

    /// More of such a block. After its end it is nobody's.
    pub(crate) fn other_delta(&mut self, choice: u32, json: Range<usize>) {
        match self.answer.parts.open_other(choice) {
            Some(part) => self.queue.push(EventRecord::OtherDelta { choice, part, json: EventQueue::place(json) }),
            None => self.other(Some(choice), Some(b"delta"), json),
        }
    }

    /// Whether this block is the last that began, and one that the model has no name for.
    pub(crate) fn is_other(&self, choice: u32, index: u64) -> bool {
        self.answer.parts.is_other(choice, index)
    }

    /// The whole input of a tool call, as a JSON value and not as its text.
    pub(crate) fn tool_json(&mut self, choice: u32, key: ToolKey, json: Range<usize>) -> Result<(), Stop> {
        self.tool(choice, key, Some(EventQueue::place(json)))
    }

    /// The tool call of a choice that is open ends.
    pub(crate) fn end_call(&mut self, choice: u32) {
        self.answer.parts.end_call(self.queue, choice);
    }

    /// A block ends.
    pub(crate) fn end(&mut self, choice: u32, index: u64) {
        self.answer.parts.end_block(self.queue, choice, index);
    }

    /// The signature of a choice's reasoning.
    pub(crate) fn signature(&mut self, choice: u32, text: Text) -> Result<(), Stop> {
        let part = self.reasoning_part(choice)?;
        self.queue.push(EventRecord::ReasoningSignature { choice, part, text });
        Ok(())
    }

    /// Reasoning of a choice that only its provider can read.
    pub(crate) fn redacted(&mut self, choice: u32, data: Text) -> Result<(), Stop> {
        let part = self.reasoning_part(choice)?;
        self.queue.push(EventRecord::Redacted { choice, part, data });
        Ok(())
    }

    fn reasoning_part(&mut self, choice: u32) -> Result<u32, Stop> {
        let ResponseState { limits, parts, .. } = &mut *self.answer;
        parts.reasoning_part(limits, self.queue, choice).map_err(Stop::Limit)
    }

    /// A source that the text of a choice cites.
    pub(crate) fn citation(&mut self, choice: u32, json: Range<usize>) {
        let part = self.answer.parts.open_part(choice);
        self.queue.push(EventRecord::Citation { choice, part, json: EventQueue::place(json) });
    }

    /// Probabilities of a choice's tokens.
    pub(crate) fn logprobs(&mut self, choice: u32, json: Range<usize>) {
        let part = self.answer.parts.open_part(choice);
        self.queue.push(EventRecord::Logprobs { choice, part, json: EventQueue::place(json) });
    }

    /// Token counts so far.
    pub(crate) fn usage(&mut self, usage: Usage) {
        if usage != Usage::default() {
            self.queue.push_usage(usage);
        }
    }

    /// All of the source's counts, where they say more than the model has names for. What is zero or empty says nothing,
    /// and so does a member of a known name, however deep it stands.
    pub(crate) fn more_usage(
        &mut self,
        usage: &Range<usize>,
        known: impl Fn(&[u8]) -> bool + Copy,
    ) -> Result<(), Stop> {
        if says_more(self.record, &mut self.json(usage.start), known)? {
            self.at(usage.start);
            self.other(None, Some(b"usage"), usage.clone());
        }
        Ok(())
    }

    /// A choice ends. Only the first time counts.
    pub(crate) fn finish(&mut self, choice: u32, reason: Reason, stop: Option<Text>) -> Result<(), Stop> {
        let ResponseState { limits, parts, .. } = &mut *self.answer;
        parts.finish(limits, self.queue, (choice, reason, stop)).map_err(Stop::Limit)
    }

    /// A choice ends, and nobody says why.
    pub(crate) fn end_choice(&mut self, choice: u32) -> Result<(), Stop> {
        let ResponseState { limits, parts, .. } = &mut *self.answer;
        parts.end_choice(limits, self.queue, choice).map_err(Stop::Limit)
    }

    /// The terminal record: the answer is complete, unless it failed before.
    pub(crate) fn done(&mut self) {
        self.answer.done = true;
        self.answer.parts.end(true, self.queue);
    }

    /// Something that has no meaning here, perhaps a choice's, and its name.
    pub(crate) fn other(&mut self, choice: Option<u32>, name: Option<&[u8]>, json: Range<usize>) {
        let name = name.map(|name| self.queue.copy(name));
        self.queue.push(EventRecord::Other { choice, name, json: EventQueue::place(json) });
    }

    /// The members of an object that have no meaning here and are not null.
    pub(crate) fn others(
        &mut self,
        object: &Range<usize>,
        choice: Option<u32>,
        known: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Stop> {
        Json::new(self.record, object.start, self.answer.depth()).object(|json, name| {
            match json.skip_some()? {
                Some(value) if !known(name) => self.other(choice, Some(name), value),
                _ => {}
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Something that cannot be read.
    pub(crate) fn malformed(&mut self, range: Range<usize>, why: &'static str) {
        self.queue.push(EventRecord::Malformed { bytes: EventQueue::place(range), why });
    }

    /// The model failed. What was held back is let go; nothing that follows counts.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if !core::mem::replace(&mut self.answer.failed, true) {
            self.answer.failure = Some(Box::new(failure));
        }
    }

    /// Whether this record or an earlier one reported a failure.
    pub(crate) fn is_failed(&self) -> bool {
        self.answer.failed
    }

    /// The record was read.
    pub(crate) fn close(self) {
        if self.answer.failed {
            self.answer.parts.end(false, self.queue);
        }
    }

    /// Whether all that the record came to belongs to parts.
    pub(crate) fn is_of_parts(&self) -> bool {
        self.queue.is_of_parts()
    }
}
