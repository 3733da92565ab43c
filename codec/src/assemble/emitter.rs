//! Takes what a reader finds in one record.

use alloc::boxed::Box;
use alloc::string::String;
use core::ops::Range;

use crate::assemble::block_order::{Block, BlockOrder, ToolKey};
use crate::assemble::delta_call::{DeltaCall, DeltaTarget, Element, Index, ToolSpans};
use crate::assemble::event_queue::{EventQueue, EventRecord, Reason, Text, TextKind};
use crate::assemble::record_log::{CacheableRecord, Ignored, Recorder};
use crate::assemble::response_state::ResponseState;
use crate::assemble::sent_text::SentText;
use crate::error::DecodeErrorKind;
use crate::json::{Fault, Json, Kind, Str, has_content, unescaped};
use crate::limits::Limits;
use crate::model::position::RecordOffset;
use crate::model::{Api, Failure, Usage};

/// A hash of bytes that only need to be recognized later, by FNV-1a.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash)
}

/// Why reading a record stopped.
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

/// A piece of a tool call.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToolDelta {
    pub(crate) index: Option<Index>,
    pub(crate) id: Option<Str>,
    pub(crate) name: Option<Str>,
    /// The input is free text.
    pub(crate) custom: bool,
    pub(crate) element: Element,
    pub(crate) input: Option<Str>,
}

impl ToolDelta {
    /// More input of the tool call with this index.
    pub(crate) fn input(index: u64, input: Option<Str>) -> Self {
        Self { index: Some(Index::fixed(index)), input, ..Self::default() }
    }
}

/// Takes what a reader finds in one record, and makes events of it.
///
/// A reader passes spans of the record. Its control flow must not depend on the bytes of a span that it passes as a text, an
/// index or an ignored value, because the shape cache replaces them.
pub(crate) struct Emitter<'a> {
    /// The record that all spans are in.
    pub(crate) record: &'a [u8],
    recorder: Recorder<'a>,
}

impl<'a> Emitter<'a> {
    #[inline]
    pub(crate) fn new(record: &'a [u8], response: &'a mut ResponseState, queue: &'a mut EventQueue) -> Self {
        Self { record, recorder: Recorder::new(record, response, queue) }
    }

    /// A cursor at `pos` of the record.
    pub(crate) fn json(&self, pos: usize) -> Json<'a> {
        Json::new(self.record, pos, self.depth())
    }

    /// The deepest nesting of a record.
    pub(crate) fn depth(&self) -> usize {
        self.recorder.response().depth()
    }

    /// Sets the position of the next items to `pos` of the record. A reader calls this for items that another format may lose.
    pub(crate) fn set_position(&mut self, pos: usize) {
        self.recorder.set_position(RecordOffset(pos as u32));
    }

    /// Whether token log probabilities are delivered even if they were not requested.
    pub(crate) fn wants_token_logprobs(&self) -> bool {
        self.recorder.response().token_logprobs
    }

    /// The spans of the fields of these names in an object, unless they are null. A value that is no object has none.
    pub(crate) fn fields<const N: usize>(
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
            if let (Some(value), Some(index)) = (value, names.iter().position(|known| *known == name)) {
                found[index] = Some(value);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The fields of these names that are strings.
    pub(crate) fn string_fields<const N: usize>(
        &self,
        object: &Range<usize>,
        names: [&[u8]; N],
    ) -> Result<[Option<Str>; N], Fault> {
        Ok(self.fields(object, names)?.map(|span| self.string_in(span)))
    }

    /// Calls `each` with every object in an array and its index in it. A value that is no array has none.
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

    /// The value at a span that was checked, if it is a string.
    pub(crate) fn string_at(&self, span: &Range<usize>) -> Option<Str> {
        let inside = self.record[span.clone()].strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let escaped = memchr::memchr(b'\\', inside).is_some();
        Some(Str { start: span.start + 1, end: span.end - 1, escaped, ascii: false })
    }

    /// The same for a value that may be missing.
    pub(crate) fn string_in(&self, span: Option<Range<usize>>) -> Option<Str> {
        self.string_at(&span?)
    }

    /// The text of a string.
    pub(crate) fn to_string(&self, string: Str) -> String {
        String::from_utf8_lossy(&unescaped(self.record, string)).into_owned()
    }

    /// The text of a string, for an event.
    pub(crate) fn string(&mut self, string: Str) -> Text {
        self.recorder.string(string)
    }

    /// The same for a string that may be missing. An empty one counts as missing.
    pub(crate) fn non_empty(&mut self, string: Option<Str>) -> Option<Text> {
        string.filter(|string| string.start < string.end).map(|string| self.string(string))
    }

    /// A copy of `bytes`, for an event.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Text {
        self.recorder.copy(bytes)
    }

    /// The index that a number of the record is; `None` unless it is an integer that fits.
    pub(crate) fn index(&self, number: Option<Range<usize>>) -> Option<Index> {
        Index::read(self.record, &number?)
    }

    /// The same for the index of a choice, which has 32 bits.
    pub(crate) fn choice_index(&self, number: Option<Range<usize>>) -> Option<Index> {
        self.index(number).filter(|index| u32::try_from(index.value).is_ok())
    }

    /// The value of an index. After this call, a record only matches this one if the index is equal.
    pub(crate) fn value(&mut self, index: &Index) -> u64 {
        self.recorder.value(index)
    }

    /// Declares a string that has no meaning, and differs in every record.
    pub(crate) fn ignore_string(&mut self, string: Option<Str>) {
        if let Some(string) = string {
            self.recorder.ignore(Ignored::String, &(string.start..string.end));
        }
    }

    /// Declares a number that has no meaning, and differs in every record.
    pub(crate) fn ignore_number(&mut self, number: Option<Range<usize>>) {
        if let Some(number) = number {
            self.recorder.ignore(Ignored::Number, &number);
        }
    }

    /// Declares a number that has no meaning, and is equal in most records.
    pub(crate) fn ignore_clock(&mut self, number: Option<Range<usize>>) {
        if let Some(number) = number {
            self.recorder.ignore(Ignored::Clock, &number);
        }
    }

    /// Whether the response has started.
    pub(crate) fn is_started(&self) -> bool {
        self.recorder.response().started
    }

    /// The response starts. Only the first call has an effect.
    pub(crate) fn start(
        &mut self,
        id: Option<Str>,
        model: Option<Str>,
        created: Option<u64>,
        role: Option<Str>,
    ) {
        if !self.is_started() {
            let (id, model, role) = (self.non_empty(id), self.non_empty(model), self.non_empty(role));
            self.start_with(EventRecord::Start { id, model, created, role });
        }
    }

    /// The same for copied texts.
    #[cfg(feature = "custom")]
    pub(crate) fn start_copied(&mut self, id: Option<&str>, model: Option<&str>) {
        if !self.is_started() {
            let [id, model] = [id, model].map(|text| text.map(|text| self.copy(text.as_bytes())));
            self.start_with(EventRecord::Start { id, model, created: None, role: None });
        }
    }

    fn start_with(&mut self, event: EventRecord) {
        let (response, queue) = self.recorder.change();
        response.started = true;
        queue.push(event);
    }

    /// Makes sure that a choice exists.
    pub(crate) fn touch(&mut self, choice: &Index) -> Result<(), Stop> {
        self.recorder.touch(choice).map_err(Stop::Limit)
    }

    /// A piece of text of a choice. An empty one is none.
    #[inline]
    pub(crate) fn text(&mut self, choice: &Index, kind: TextKind, text: Option<Str>) -> Result<(), Stop> {
        self.text_delta(choice, DeltaTarget::Text(kind), text)
    }

    /// A piece of text of a block, which begins with it unless it is open. An empty one is none.
    #[inline]
    pub(crate) fn block_text(
        &mut self,
        choice: &Index,
        block: u64,
        kind: TextKind,
        text: Option<Str>,
    ) -> Result<(), Stop> {
        self.text_delta(choice, DeltaTarget::Block(kind, block), text)
    }

    #[inline]
    fn text_delta(&mut self, choice: &Index, target: DeltaTarget, text: Option<Str>) -> Result<(), Stop> {
        let Some(text) = text.filter(|text| text.start < text.end) else { return Ok(()) };
        self.set_position(text.start);
        let delta = DeltaCall { choice: choice.value as u32, target, text };
        self.recorder.delta(delta, choice, None).map_err(Stop::Limit)
    }

    /// A piece of text that is a copy.
    pub(crate) fn copied_text(&mut self, choice: &Index, kind: TextKind, text: &[u8]) -> Result<(), Stop> {
        let text = self.copy(text);
        self.changed_text(choice, kind, text)
    }

    /// A piece of text that is no JSON string.
    pub(crate) fn raw_text(
        &mut self,
        choice: &Index,
        kind: TextKind,
        span: Range<usize>,
    ) -> Result<(), Stop> {
        self.changed_text(choice, kind, EventQueue::span(span))
    }

    fn changed_text(&mut self, choice: &Index, kind: TextKind, text: Text) -> Result<(), Stop> {
        let (record, choice) = (self.record, choice.value as u32);
        let (response, queue) = self.recorder.change();
        response.remember_text(choice, queue.find(record, text));
        response.blocks.text(&response.limits, queue, record, (choice, kind, text)).map_err(Stop::Limit)
    }

    /// Remembers all text that is sent from here on, for formats that repeat it at the end.
    pub(crate) fn remember_text(&mut self) {
        if self.recorder.response().sent_text.is_none() {
            self.recorder.change().0.sent_text = Some(Box::default());
        }
    }

    /// Whether text was sent since [`remember_text`](Self::remember_text).
    pub(crate) fn has_sent_text(&self) -> bool {
        self.recorder.response().sent_text.as_deref().is_some_and(SentText::has_text)
    }

    /// All text of a choice, as the server repeats it. The part that was not sent before is delivered. `prompt` is the
    /// prompt, if the server repeats it.
    pub(crate) fn repeated_text(
        &mut self,
        choice: &Index,
        text: Str,
        prompt: Option<Str>,
    ) -> Result<(), Stop> {
        let whole = unescaped(self.record, text);
        let prompt = prompt.map(|prompt| unescaped(self.record, prompt));
        let sent: Option<&SentText> = self.recorder.response().sent_text.as_deref();
        let Some(from) = sent.and_then(|sent| sent.missing(choice.value as u32, &whole, prompt.as_deref()))
        else {
            return Ok(());
        };
        self.set_position(text.start);
        self.copied_text(choice, TextKind::Text, &whole[from..])
    }

    /// The number of tool calls of a choice so far.
    pub(crate) fn call_count(&self, choice: &Index) -> u32 {
        self.recorder.response().blocks.call_count(choice.value as u32)
    }

    /// A piece of a tool call of a choice.
    #[inline]
    pub(crate) fn tool(&mut self, choice: &Index, tool: &ToolDelta) -> Result<(), Stop> {
        let ToolDelta { ref index, id, name, custom, element, input } = *tool;
        let number = choice.value as u32;
        if let (Some(text), Element::Further | Element::Whole(_)) = (input, element) {
            let input = (text.start < text.end).then(|| self.string(text));
            return self.changed_tool(choice, tool, input);
        }
        if let Some(text) = input {
            let index = index.as_ref();
            let in_pieces = element == Element::Piece;
            let spans = ToolSpans { index: index.map(|index| index.value), id, name, custom, in_pieces };
            let delta = DeltaCall { choice: number, target: DeltaTarget::Tool(spans), text };
            return self.recorder.delta(delta, choice, index).map_err(Stop::Limit);
        }
        self.changed_tool(choice, tool, None)
    }

    /// The whole input of a tool call, as a JSON value.
    pub(crate) fn tool_json(
        &mut self,
        choice: &Index,
        tool: &ToolDelta,
        json: Range<usize>,
    ) -> Result<(), Stop> {
        self.changed_tool(choice, tool, Some(EventQueue::span(json)))
    }

    fn changed_tool(&mut self, choice: &Index, tool: &ToolDelta, input: Option<Text>) -> Result<(), Stop> {
        let (id, name) = (self.non_empty(tool.id), self.non_empty(tool.name));
        let index = tool.index.as_ref().map(|index| index.value);
        let key = ToolKey { index, id, name, custom: tool.custom, element: tool.element };
        let call = (choice.value as u32, key, input);
        self.change_blocks(|blocks, limits, queue, record| blocks.tool(limits, queue, record, call))
    }

    /// A block begins, in a format that numbers its blocks and marks where they begin and end.
    pub(crate) fn begin(&mut self, choice: &Index, index: u64, block: Block) -> Result<(), Stop> {
        let record = self.record;
        let (response, queue) = self.recorder.change_meaning();
        let block = (choice.value as u32, index, block);
        response.blocks.begin(&response.limits, queue, record, block).map_err(Stop::Limit)
    }

    /// Begins a block of text, unless it is open.
    pub(crate) fn open(&mut self, choice: &Index, index: u64, kind: TextKind) -> Result<(), Stop> {
        let block = (choice.value as u32, index, kind);
        let record = self.record;
        let (response, queue) = self.recorder.change_meaning();
        response.open_block(queue, record, block).map_err(Stop::Limit)
    }

    /// Begins a block of text, unless it or a later one has begun: fields of a block may arrive after its end.
    pub(crate) fn open_new(&mut self, choice: &Index, index: u64, kind: TextKind) -> Result<(), Stop> {
        if self.recorder.response().blocks.is_new(choice.value as u32, index) {
            self.begin(choice, index, Block::Text(kind))?;
        }
        Ok(())
    }

    /// A block that the model has no name for begins, or is whole.
    pub(crate) fn begin_other(
        &mut self,
        choice: &Index,
        index: u64,
        (api, json): (Api, Range<usize>),
    ) -> Result<(), Stop> {
        self.set_position(json.start);
        self.begin(choice, index, Block::Other { api, json: EventQueue::span(json) })
    }

    /// More of such a block. After its end it belongs to no part.
    pub(crate) fn other_delta(&mut self, choice: &Index, json: Range<usize>) {
        let number = choice.value as u32;
        match self.recorder.response().blocks.open_other(number) {
            Some(part) => {
                self.push(EventRecord::OtherDelta { choice: number, part, json: EventQueue::span(json) });
            }
            None => self.other(Some(choice), Some(b"delta"), json),
        }
    }

    /// Whether this block is the last that began, and the model has no name for it.
    pub(crate) fn is_other(&self, choice: &Index, index: u64) -> bool {
        self.recorder.response().blocks.is_other(choice.value as u32, index)
    }

    /// The open tool call of a choice ends.
    pub(crate) fn end_call(&mut self, choice: &Index) {
        let (response, queue) = self.recorder.change();
        response.blocks.end_call(queue, choice.value as u32);
    }

    /// A block ends.
    pub(crate) fn end(&mut self, choice: &Index, index: u64) {
        let (response, queue) = self.recorder.change();
        response.blocks.end_block(queue, choice.value as u32, index);
    }

    /// The signature of a choice's reasoning.
    pub(crate) fn signature(&mut self, choice: &Index, text: Text) -> Result<(), Stop> {
        let (choice, part) = self.reasoning_part(choice)?;
        self.push(EventRecord::ReasoningSignature { choice, part, text });
        Ok(())
    }

    /// Reasoning of a choice that only its provider can read.
    pub(crate) fn redacted(&mut self, choice: &Index, data: Text) -> Result<(), Stop> {
        let (choice, part) = self.reasoning_part(choice)?;
        self.push(EventRecord::Redacted { choice, part, data });
        Ok(())
    }

    fn reasoning_part(&mut self, choice: &Index) -> Result<(u32, u32), Stop> {
        let choice = choice.value as u32;
        let (response, queue) = self.recorder.change();
        let part = response.blocks.reasoning_part(&response.limits, queue, choice);
        part.map(|part| (choice, part)).map_err(Stop::Limit)
    }

    /// A source that the text of a choice cites.
    pub(crate) fn citation(&mut self, choice: &Index, json: Range<usize>) {
        let choice = choice.value as u32;
        let (response, queue) = self.recorder.change();
        let part = response.blocks.open_part(queue, choice);
        queue.push(EventRecord::Citation { choice, part, json: EventQueue::span(json) });
    }

    /// The sources in a list. A value that is no array has none.
    pub(crate) fn citations(&mut self, choice: &Index, list: &Range<usize>) -> Result<(), Stop> {
        if self.record[list.start] != b'[' {
            return Ok(());
        }
        self.json(list.start).array(|json| {
            self.citation(choice, json.skip()?);
            Ok::<_, Stop>(())
        })
    }

    /// The log probabilities of a choice's tokens; null if there are none. They follow the text of these tokens.
    pub(crate) fn logprobs(&mut self, choice: &Index, json: Range<usize>) {
        self.recorder.logprobs(choice, json);
    }

    /// Token counts so far.
    pub(crate) fn usage(&mut self, mut usage: Usage) {
        if usage != Usage::default() {
            let (response, queue) = self.recorder.change();
            if !core::mem::replace(&mut response.is_counted, true) {
                usage.reasoning_tokens = usage.reasoning_tokens.or(queue.usage().reasoning_tokens);
            }
            queue.push_usage(usage);
        }
    }

    /// Reasoning tokens that are counted apart. They are delivered with the other counts, or alone at the end.
    pub(crate) fn reasoning_tokens(&mut self, tokens: u64) {
        let (response, queue) = self.recorder.change();
        let usage = Usage { reasoning_tokens: Some(tokens), ..queue.usage() };
        if response.is_counted { queue.push_usage(usage) } else { queue.hold_usage(usage) }
    }

    /// All counts of the source, if they contain more than the model has names for. Zeros, empty values and fields of known
    /// names, however deep, add nothing.
    pub(crate) fn more_usage(
        &mut self,
        usage: &Range<usize>,
        known: impl Fn(&[u8]) -> bool + Copy,
    ) -> Result<(), Stop> {
        if has_content(&mut self.json(usage.start), known)? {
            self.set_position(usage.start);
            self.other(None, Some(b"usage"), usage.clone());
        }
        Ok(())
    }

    /// A choice ends. Only the first call has an effect.
    pub(crate) fn finish(&mut self, choice: &Index, reason: Reason, stop: Option<Text>) -> Result<(), Stop> {
        let end = (choice.value as u32, reason, stop);
        self.change_blocks(|blocks, limits, queue, _| blocks.finish(limits, queue, end))
    }

    /// A choice ends without a reason.
    pub(crate) fn end_choice(&mut self, choice: &Index) -> Result<(), Stop> {
        let choice = choice.value as u32;
        self.change_blocks(|blocks, limits, queue, _| blocks.end_choice(limits, queue, choice))
    }

    fn change_blocks(
        &mut self,
        change: impl FnOnce(&mut BlockOrder, &Limits, &mut EventQueue, &[u8]) -> Result<(), DecodeErrorKind>,
    ) -> Result<(), Stop> {
        let record = self.record;
        let (response, queue) = self.recorder.change();
        change(&mut response.blocks, &response.limits, queue, record).map_err(Stop::Limit)
    }

    /// The terminal record: the response is complete, unless it failed before.
    pub(crate) fn done(&mut self) {
        let (response, queue) = self.recorder.change();
        response.done = true;
        response.blocks.end(true, queue);
    }

    /// Something that has no meaning here, perhaps of a choice, and its name.
    pub(crate) fn other(&mut self, choice: Option<&Index>, name: Option<&[u8]>, json: Range<usize>) {
        let name = name.map(|name| self.copy(name));
        let choice = choice.map(|choice| choice.value as u32);
        self.push(EventRecord::Other { choice, name, json: EventQueue::span(json) });
    }

    /// The fields of an object that have no meaning here and are not null.
    pub(crate) fn other_fields(
        &mut self,
        object: &Range<usize>,
        choice: Option<&Index>,
        known: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Stop> {
        self.json(object.start).object(|json, name| {
            match json.skip_some()? {
                Some(value) if !known(name) => self.other(choice, Some(name), value),
                _ => {}
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Bytes that cannot be read.
    pub(crate) fn malformed(&mut self, span: Range<usize>, why: &'static str) {
        let (response, queue) = self.recorder.change();
        response.malformed(queue, span, why);
    }

    /// Whether the record has more events than the limit.
    #[inline]
    pub(crate) fn exceeds_events(&self) -> bool {
        self.recorder.exceeds_events()
    }

    /// The error of a record with more events than the limit. Those within it are kept.
    #[cold]
    pub(crate) fn too_many_events(&mut self) -> DecodeErrorKind {
        self.recorder.too_many_events()
    }

    fn push(&mut self, event: EventRecord) {
        self.recorder.change().1.push(event);
    }

    /// The model failed. What was held back is released; nothing that follows counts.
    pub(crate) fn fail(&mut self, failure: Failure) {
        let (response, _) = self.recorder.change();
        if !core::mem::replace(&mut response.failed, true) {
            response.failure = Some(Box::new(failure));
        }
    }

    /// Whether this record or an earlier one reported a failure.
    pub(crate) fn is_failed(&self) -> bool {
        self.recorder.response().failed
    }

    /// Whether nothing that follows counts, because the terminal record or a failure was read.
    pub(crate) fn is_over(&self) -> bool {
        self.recorder.response().is_over()
    }

    /// Whether equal bytes may mean something else after this record.
    pub(crate) fn changes_meaning(&self) -> bool {
        self.recorder.changes_meaning()
    }

    /// The record was read. Returns the delta that is all of it, if it is one.
    pub(crate) fn close(mut self) -> Option<CacheableRecord> {
        if self.is_failed() {
            let (response, queue) = self.recorder.change();
            response.blocks.end(false, queue);
        }
        self.recorder.cacheable()
    }
}
