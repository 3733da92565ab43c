//! Puts the parts of each choice in order.
//!
//! Formats differ in how they assign a delta to a part, and some interleave parts: a second tool call may begin while the
//! first still receives input, and text may come with a tool call. Canonical parts never overlap. So one part is open at a
//! time, and its deltas are delivered at once. When another part begins:
//!
//! - after text, reasoning or a refusal, the open part ends at once;
//! - after a tool call, the open part ends if its input is a whole JSON document, which is the normal case;
//! - otherwise the new part is held back until then, or until the choice ends. The input of a custom tool is free text, so
//!   its end is only known if the format marks it, or when the choice ends.
//!
//! A tool call is identified by its index, by its ID, and by being opened. Each call of a non-streaming message is a call of its
//! own, whatever it lacks. In a stream, a piece without ID and name belongs to the call that was opened last, unless its index
//! names another open one; a whole call that repeats an earlier one with the same ID and the same input adds nothing; and names
//! that come in pieces are joined, so the start of a call is delivered with its first input, or when the call ends.
//!
//! Before you change this, consider a call without arguments, a call without index, ID or name, and a call whose ID and name
//! are repeated in every chunk.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::size_of;

use crate::assemble::delta_call::Element;
use crate::assemble::event_queue::{Delta, DeltaKind, EventQueue, EventRecord, Reason, Text, TextKind};
use crate::assemble::input_hash::InputHash;
use crate::assemble::tool_calls::{State, Tool, ToolCalls};
use crate::buffer;
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::model::Api;
use crate::model::position::RecordOffset;

/// What kind of block begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Block {
    Text(TextKind),
    Tool {
        id: Option<Text>,
        name: Option<Text>,
    },
    /// A block that the model has no name for, as JSON of its own format.
    Other {
        api: Api,
        json: Text,
    },
}

/// How a delta identifies its tool call. Empty texts are `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ToolKey {
    pub(crate) index: Option<u64>,
    pub(crate) id: Option<Text>,
    pub(crate) name: Option<Text>,
    /// The input is free text.
    pub(crate) custom: bool,
    pub(crate) element: Element,
}

/// The parts of all choices.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockOrder {
    choices: Vec<Choice>,
    /// What is held back in all choices, and the calls, in bytes of memory.
    held: usize,
}

/// Bytes that a waiting part costs: an entry of the queue, and, once it is released, its three events. Both lists grow by doubling.
const WAITING_COST: usize = 2 * (size_of::<Waiting>() + 3 * size_of::<EventRecord>());
impl BlockOrder {
    /// Adds text to a choice.
    pub(crate) fn text(
        &mut self,
        limits: &Limits,
        queue: &mut EventQueue,
        record: &[u8],
        (index, kind, text): (u32, TextKind, Text),
    ) -> Result<(), DecodeErrorKind> {
        if queue.bytes(record, text).is_empty() {
            return Ok(());
        }
        let choice = Self::choice(&mut self.choices, limits, index)?;
        if choice.is_blocked() {
            self.held += choice.hold_text(kind, queue.bytes(record, text));
            return Self::check_held(self.held, limits);
        }
        if choice.open != Some(Open::Text(kind)) {
            choice.open_text(kind, queue);
        }
        choice.text_delta(kind, text, queue);
        Ok(())
    }

    /// Adds to a tool call of a choice.
    pub(crate) fn tool(
        &mut self,
        limits: &Limits,
        queue: &mut EventQueue,
        record: &[u8],
        (index, key, input): (u32, ToolKey, Option<Text>),
    ) -> Result<(), DecodeErrorKind> {
        let choice = Self::choice(&mut self.choices, limits, index)?;
        let input = input.filter(|&input| !queue.bytes(record, input).is_empty());
        if let Some(at) = choice.open_tool_of(&key) {
            choice.tool_delta(at, input, queue, record);
            return Ok(());
        }
        if choice.is_repetition(&key, input, queue, record) {
            return Ok(());
        }
        if let Element::Whole(_) = key.element {
            if key.id.is_none() && key.name.is_none() && input.is_none() {
                return Ok(());
            }
            self.held -= choice.release(true, queue);
        }
        let at = match choice.find_tool(&key, input, queue, record) {
            Some(at) => at,
            None if choice.tools.len() >= limits.tools => {
                return Err(limit("number of tool calls", limits.tools));
            }
            None => {
                self.held += choice.tools.push(key.index, key.element);
                choice.tools.len() - 1
            }
        };
        let is_whole = matches!(key.element, Element::Whole(_));
        let blocked = !is_whole && choice.is_blocked();
        let tool = &mut choice.tools[at];
        tool.custom |= key.custom && tool.state == State::New;
        if let (true, Some(id)) = (tool.id.is_empty(), key.id) {
            self.held += choice.tools.set_id(at, queue.bytes(record, id));
        }
        let tool = &mut choice.tools[at];
        if let Some(name) = key.name {
            match tool.add_name(queue.bytes(record, name)) {
                Some(added) => self.held += added,
                None => {
                    let why = "a piece of the name of a tool call whose input has begun";
                    queue.push(EventRecord::Malformed { bytes: name, why });
                }
            }
        }
        match choice.tools[at].state {
            // Without a name and input there is no event yet.
            State::New if !is_whole && choice.tools[at].name.is_empty() && input.is_none() => {}
            State::New if blocked => {
                choice.tools[at].state = State::Waiting;
                choice.waiting.push_back(Waiting::Tool(at));
                self.held += WAITING_COST + choice.hold(at, input, queue, record);
            }
            State::New => {
                choice.open_tool(at, queue);
                choice.tool_delta(at, input, queue, record);
            }
            State::Waiting => self.held += choice.hold(at, input, queue, record),
            State::Named | State::Open if choice.is_stray(&key, at, input, queue, record) => {
                if let Some(bytes) = input {
                    let why = "input for a tool call that has not begun";
                    queue.push(EventRecord::Malformed { bytes, why });
                    choice.broken.get_or_insert(queue.offset());
                }
            }
            State::Named | State::Open => {
                choice.tool_delta(at, input, queue, record);
                if choice.tools[at].input.is_complete() {
                    self.held -= choice.release(false, queue);
                }
            }
            State::Ended => {
                if let Some(bytes) =
                    input.filter(|&input| !queue.bytes(record, input).trim_ascii().is_empty())
                {
                    queue.push(EventRecord::Malformed { bytes, why: "input for a tool call that has ended" });
                    choice.broken.get_or_insert(queue.offset());
                }
            }
        }
        Self::check_held(self.held, limits)
    }

    /// Begins a block. The open part ends.
    pub(crate) fn begin(
        &mut self,
        limits: &Limits,
        queue: &mut EventQueue,
        record: &[u8],
        (choice, index, block): (u32, u64, Block),
    ) -> Result<(), DecodeErrorKind> {
        let at = Self::choice(&mut self.choices, limits, choice)?;
        self.held -= at.release(true, queue);
        at.close(queue);
        at.block = Some(index);
        at.is_other = matches!(block, Block::Other { .. });
        match block {
            Block::Other { api, json } => at.open_other(api, json, queue),
            Block::Text(kind) => at.open_text(kind, queue),
            Block::Tool { id, name } => {
                let key = ToolKey { index: Some(index), id, name, ..ToolKey::default() };
                return self.tool(limits, queue, record, (choice, key, None));
            }
        }
        Ok(())
    }

    /// The open part, if it is of this kind and, if `block` is given, of this block.
    #[inline]
    pub(crate) fn open_text(&self, choice: u32, block: Option<u64>, kind: TextKind) -> Option<u32> {
        let choice = self.choices.iter().find(|known| known.index == choice)?;
        let is_open = choice.open == Some(Open::Text(kind)) && (block.is_none() || choice.block == block);
        is_open.then(|| choice.parts - 1)
    }

    /// Adds input to the open tool call if it has this index, and returns its part.
    #[inline]
    pub(crate) fn more_input(&mut self, choice: u32, index: Option<u64>, input: &[u8]) -> Option<u32> {
        let choice = self.choices.iter_mut().find(|known| known.index == choice)?;
        let at = choice.open_tool_of(&ToolKey { index, ..ToolKey::default() })?;
        if input.is_empty() {
            return None;
        }
        choice.tools[at].feed(input);
        Some(choice.parts - 1)
    }

    /// Whether neither the block of this number nor a later one has begun.
    pub(crate) fn is_new(&self, choice: u32, index: u64) -> bool {
        let choice = self.choices.iter().find(|known| known.index == choice);
        choice.is_none_or(|choice| choice.block.is_none_or(|block| block < index))
    }

    /// The open part, if it is a block that the model has no name for.
    pub(crate) fn open_other(&self, choice: u32) -> Option<u32> {
        let choice = self.choices.iter().find(|known| known.index == choice)?;
        (choice.open == Some(Open::Other)).then(|| choice.parts - 1)
    }

    /// Whether this block is the last that began, and the model has no name for it.
    pub(crate) fn is_other(&self, choice: u32, index: u64) -> bool {
        let choice = self.choices.iter().find(|known| known.index == choice);
        choice.is_some_and(|choice| choice.is_other && choice.block == Some(index))
    }

    /// Ends a block. If another block has ended it already, this has no effect.
    pub(crate) fn end_block(&mut self, queue: &mut EventQueue, choice: u32, index: u64) {
        let Some(choice) = self.choices.iter_mut().find(|known| known.index == choice) else { return };
        let is_open = match choice.open {
            Some(Open::Tool(at)) => choice.tools[at].index == Some(index),
            _ => choice.block.is_none_or(|block| block == index),
        };
        if is_open {
            choice.close(queue);
        }
    }

    /// Ends the open tool call, unless parts are held back behind it.
    pub(crate) fn end_call(&mut self, queue: &mut EventQueue, choice: u32) {
        let Some(choice) = self.choices.iter_mut().find(|known| known.index == choice) else { return };
        if let (Some(Open::Tool(_)), true) = (choice.open, choice.waiting.is_empty()) {
            choice.close(queue);
        }
    }

    /// The last reasoning part of a choice, or a new one.
    pub(crate) fn reasoning_part(
        &mut self,
        limits: &Limits,
        queue: &mut EventQueue,
        choice: u32,
    ) -> Result<u32, DecodeErrorKind> {
        let choice = Self::choice(&mut self.choices, limits, choice)?;
        if let Some(part) = choice.reasoning {
            return Ok(part);
        }
        self.held -= choice.release(true, queue);
        choice.open_text(TextKind::Reasoning, queue);
        Ok(choice.parts - 1)
    }

    /// The open part of a choice, whose start is delivered if it was not yet.
    pub(crate) fn open_part(&mut self, queue: &mut EventQueue, index: u32) -> Option<u32> {
        let choice = self.choices.iter_mut().find(|choice| choice.index == index)?;
        choice.announce(queue);
        choice.open.map(|_| choice.parts - 1)
    }

    /// The number of tool calls of a choice so far.
    pub(crate) fn call_count(&self, index: u32) -> u32 {
        let choice = self.choices.iter().find(|choice| choice.index == index);
        choice.map_or(0, |choice| choice.tools.len() as u32)
    }

    /// A record could not be read. The open tool calls may lack input, so their choices get no finish reason.
    pub(crate) fn lose_record(&mut self, queue: &EventQueue) {
        for choice in &mut self.choices {
            if let Some(Open::Tool(_)) = choice.open {
                choice.broken.get_or_insert(queue.offset());
            }
        }
    }

    /// The offset in the stream of the first record whose input for a tool call was lost.
    pub(crate) fn broken(&self) -> Option<u64> {
        self.choices.iter().filter_map(|choice| choice.broken).min()
    }

    /// Ends a choice. Only the first call delivers a finish reason.
    pub(crate) fn finish(
        &mut self,
        limits: &Limits,
        queue: &mut EventQueue,
        (index, reason, stop): (u32, Reason, Option<Text>),
    ) -> Result<(), DecodeErrorKind> {
        let choice = Self::choice(&mut self.choices, limits, index)?;
        self.held -= choice.release(true, queue);
        choice.close(queue);
        if !core::mem::replace(&mut choice.finished, true) && choice.broken.is_none() {
            queue.push(EventRecord::Finish { choice: index, reason, stop, offset: queue.position() });
        }
        Ok(())
    }

    /// Ends a choice without a finish reason: only its open part ends.
    pub(crate) fn end_choice(
        &mut self,
        limits: &Limits,
        queue: &mut EventQueue,
        index: u32,
    ) -> Result<(), DecodeErrorKind> {
        let choice = Self::choice(&mut self.choices, limits, index)?;
        self.held -= choice.release(true, queue);
        choice.close(queue);
        choice.finished = true;
        Ok(())
    }

    /// The end of the stream: releases what was held back. With `close`, open parts end.
    pub(crate) fn end(&mut self, close: bool, queue: &mut EventQueue) {
        for choice in &mut self.choices {
            self.held -= choice.release(true, queue);
            choice.announce(queue);
            if close {
                choice.close(queue);
            }
        }
    }

    /// Whether there are choices.
    pub(crate) fn has_choices(&self) -> bool {
        !self.choices.is_empty()
    }

    /// Whether there are choices and all of them have ended.
    pub(crate) fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished)
    }

    /// Makes sure that the choice of this index exists.
    pub(crate) fn touch(&mut self, limits: &Limits, index: u32) -> Result<(), DecodeErrorKind> {
        Self::choice(&mut self.choices, limits, index).map(drop)
    }

    fn choice<'a>(
        choices: &'a mut Vec<Choice>,
        limits: &Limits,
        index: u32,
    ) -> Result<&'a mut Choice, DecodeErrorKind> {
        // Nearly all servers count choices from 0.
        let is_there = choices.get(index as usize).is_some_and(|choice| choice.index == index);
        let find = || choices.iter().position(|choice| choice.index == index);
        let at = match if is_there { Some(index as usize) } else { find() } {
            Some(at) => at,
            None if choices.len() >= limits.choices => {
                return Err(limit("number of choices", limits.choices));
            }
            None => {
                choices.push(Choice { index, ..Choice::default() });
                choices.len() - 1
            }
        };
        Ok(&mut choices[at])
    }

    fn check_held(held: usize, limits: &Limits) -> Result<(), DecodeErrorKind> {
        if held > limits.pending { Err(limit("parts held back", limits.pending)) } else { Ok(()) }
    }
}

#[cold]
pub(super) fn limit(what: &'static str, limit: usize) -> DecodeErrorKind {
    DecodeErrorKind::Limit { what, len: None, limit: limit as u64 }
}

#[derive(Clone, Debug, Default)]
struct Choice {
    index: u32,
    /// The number of parts that were opened.
    parts: u32,
    /// The last part, while it is open.
    open: Option<Open>,
    /// The number of the last block that began, in a format that numbers them.
    block: Option<u64>,
    /// The model has no name for that block.
    is_other: bool,
    /// The last reasoning part.
    reasoning: Option<u32>,
    tools: ToolCalls,
    waiting: VecDeque<Waiting>,
    /// The texts that wait, one after the other, and how much of it was released.
    text: Vec<u8>,
    text_released: usize,
    finished: bool,
    /// The offset in the stream of the first record whose input for a tool call was lost.
    broken: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text(TextKind),
    Tool(usize),
    Other,
}

#[derive(Clone, Debug)]
enum Waiting {
    /// As many bytes of the waiting texts.
    Text(TextKind, usize),
    Tool(usize),
}

impl Choice {
    /// Whether the open part must not end yet, or other parts are held back already.
    fn is_blocked(&self) -> bool {
        match self.open {
            Some(Open::Tool(at)) => !self.waiting.is_empty() || !self.tools[at].input.is_complete(),
            _ => false,
        }
    }

    /// The open call, if the delta is more input for it and nothing is held back.
    #[inline]
    fn open_tool_of(&self, key: &ToolKey) -> Option<usize> {
        let Some(Open::Tool(at)) = self.open else { return None };
        let is_last = at + 1 == self.tools.len() && self.waiting.is_empty();
        let tool = &self.tools[at];
        let is_same = key.index.is_some() && key.index == tool.index && tool.state == State::Open;
        let is_piece = !matches!(key.element, Element::Whole(_)) && key.id.is_none() && key.name.is_none();
        (is_last && is_same && is_piece).then_some(at)
    }

    /// Whether the delta is a whole call that came before, with this ID.
    fn is_repetition(&self, key: &ToolKey, input: Option<Text>, queue: &EventQueue, record: &[u8]) -> bool {
        let Some(id) = key.id else { return false };
        let input = input.map_or(&[][..], |input| queue.bytes(record, input));
        // In one message, equal calls are calls of their own.
        let (known, is_whole) = match key.element {
            Element::Whole(known) => (known as usize, true),
            _ => (self.tools.len(), false),
        };
        let is_object = input.trim_ascii().starts_with(b"{") && input.trim_ascii_end().ends_with(b"}");
        if !is_whole && !is_object {
            return false;
        }
        let repeats = |tool: &Tool| {
            tool.hash.len() == input.len()
                && key.name.is_none_or(|name| tool.name == queue.bytes(record, name))
                && tool.state != State::New
                && (is_whole || (!tool.custom && tool.input.is_complete()))
                && tool.hash == InputHash::of(input)
        };
        let same_id = self.tools.with_id(queue.bytes(record, id));
        same_id.filter(|&at| at < known).any(|at| repeats(&self.tools[at]))
    }

    /// Whether the delta has input for a call of an index that never began, after the input of the last call was complete.
    fn is_stray(
        &self,
        key: &ToolKey,
        at: usize,
        input: Option<Text>,
        queue: &EventQueue,
        record: &[u8],
    ) -> bool {
        let tool = &self.tools[at];
        key.index.is_some()
            && key.index != tool.index
            && tool.input.is_complete()
            && input.is_some_and(|input| !queue.bytes(record, input).trim_ascii().is_empty())
    }

    /// The call that a delta belongs to; `None` for a new one.
    fn find_tool(
        &self,
        key: &ToolKey,
        input: Option<Text>,
        queue: &EventQueue,
        record: &[u8],
    ) -> Option<usize> {
        let same = |known: &[u8], text| known == queue.bytes(record, text);
        let is_nameless = key.id.is_none() && key.name.is_none();
        let has_content = input.is_some_and(|input| !queue.bytes(record, input).trim_ascii().is_empty());
        match key.element {
            Element::Whole(_) => return None,
            Element::Further if key.name.is_some() => return None,
            _ => {}
        }
        let last = self.tools.len().checked_sub(1)?;
        let at = match (key.index, key.id) {
            (Some(index), _) => match self.tools.last_with_index(index) {
                Some(at) if is_nameless && has_content && self.tools[at].state == State::Ended => last,
                Some(at) => at,
                None if is_nameless => last,
                None => return None,
            },
            (None, Some(id)) => self.tools.with_id(queue.bytes(record, id)).next()?,
            (None, None) => last,
        };
        let tool = &self.tools[at];
        if let Some(name) = key.name {
            // Some servers give every call the same index, or none. There, a call begins with a name that comes with another
            // ID, differs from the known name, or comes with input after the input was whole.
            let other_id = key.id.is_some_and(|id| !tool.id.is_empty() && !same(&tool.id, id));
            let is_complete = tool.input.is_complete();
            let may_differ = key.index.is_none() || is_complete;
            let other_name = may_differ && !tool.name.is_empty() && !same(&tool.name, name);
            let after_end = is_complete && input.is_some();
            if other_id || other_name || after_end {
                return None;
            }
        }
        Some(at)
    }

    fn close(&mut self, queue: &mut EventQueue) {
        self.announce(queue);
        if let Some(open) = self.open.take() {
            if let Open::Tool(at) = open {
                self.tools[at].state = State::Ended;
            }
            queue.push(EventRecord::PartEnd { choice: self.index, part: self.parts - 1 });
        }
    }

    fn open_text(&mut self, kind: TextKind, queue: &mut EventQueue) {
        self.close(queue);
        let (choice, part) = (self.index, self.parts);
        self.parts += 1;
        self.open = Some(Open::Text(kind));
        if kind == TextKind::Reasoning {
            self.reasoning = Some(part);
        }
        let offset = queue.position();
        queue.push(match kind {
            TextKind::Text => EventRecord::TextStart { choice, part, offset },
            TextKind::Reasoning => EventRecord::ReasoningStart { choice, part, offset },
            TextKind::Refusal => EventRecord::RefusalStart { choice, part, offset },
        });
    }

    fn open_other(&mut self, api: Api, json: Text, queue: &mut EventQueue) {
        self.close(queue);
        let (choice, part) = (self.index, self.parts);
        self.parts += 1;
        self.open = Some(Open::Other);
        queue.push(EventRecord::OtherStart { choice, part, api, json, offset: queue.position() });
    }

    fn text_delta(&self, kind: TextKind, text: Text, queue: &mut EventQueue) {
        let (choice, part) = (self.index, self.parts - 1);
        queue.push(EventRecord::Delta(Delta { kind: kind.into(), choice, part, text }));
    }

    fn input_delta(&self, text: Text, queue: &mut EventQueue) {
        let (choice, part) = (self.index, self.parts - 1);
        queue.push(EventRecord::Delta(Delta { kind: DeltaKind::ToolInput, choice, part, text }));
    }

    fn open_tool(&mut self, at: usize, queue: &mut EventQueue) {
        self.close(queue);
        self.parts += 1;
        self.open = Some(Open::Tool(at));
        let tool = &mut self.tools[at];
        tool.opened = (queue.offset(), queue.position());
        if matches!(tool.element, Element::Piece | Element::Further) {
            tool.state = State::Named;
        } else {
            self.start_tool(at, queue.position(), queue);
        }
    }

    /// Delivers the start of the open call, if it was not delivered yet.
    fn announce(&mut self, queue: &mut EventQueue) {
        if let Some(Open::Tool(at)) = self.open {
            let Tool { state, opened: (record, position), .. } = self.tools[at];
            if state == State::Named {
                // The record of its name may be gone.
                let is_here = record == queue.offset();
                self.start_tool(at, if is_here { position } else { Some(RecordOffset::UNAVAILABLE) }, queue);
            }
        }
    }

    fn start_tool(&mut self, at: usize, offset: Option<RecordOffset>, queue: &mut EventQueue) {
        let (choice, part) = (self.index, self.parts - 1);
        let tool = &mut self.tools[at];
        tool.state = State::Open;
        let id = (!tool.id.is_empty()).then(|| queue.copy(&tool.id));
        let (name, custom) = (queue.copy(&tool.name), tool.custom);
        queue.push(EventRecord::ToolCallStart { choice, part, id, name, custom, offset });
    }

    fn tool_delta(&mut self, at: usize, input: Option<Text>, queue: &mut EventQueue, record: &[u8]) {
        if let Some(text) = input {
            if self.tools[at].state == State::Named {
                self.start_tool(at, queue.position(), queue);
            }
            self.tools[at].feed(queue.bytes(record, text));
            self.input_delta(text, queue);
        }
    }

    /// Holds text back, and returns the number of bytes that it costs.
    fn hold_text(&mut self, kind: TextKind, bytes: &[u8]) -> usize {
        buffer::push(&mut self.text, bytes, usize::MAX);
        match self.waiting.back_mut() {
            Some(Waiting::Text(last, len)) if *last == kind => {
                *len += bytes.len();
                bytes.len()
            }
            _ => {
                self.waiting.push_back(Waiting::Text(kind, bytes.len()));
                WAITING_COST + bytes.len()
            }
        }
    }

    /// Delivers the next `len` bytes of the waiting texts.
    fn release_text(&mut self, kind: TextKind, len: usize, queue: &mut EventQueue) {
        self.open_text(kind, queue);
        let (from, to) = (self.text_released, self.text_released + len);
        let text = queue.copy(&self.text[from..to]);
        self.text_delta(kind, text, queue);
        self.text_released = to;
        if to == self.text.len() {
            (self.text, self.text_released) = (Vec::new(), 0);
        } else if to > self.text.len() / 2 {
            self.text.drain(..to);
            self.text_released = 0;
        }
    }

    fn hold(&mut self, at: usize, input: Option<Text>, queue: &EventQueue, record: &[u8]) -> usize {
        let bytes = input.map_or(&[][..], |input| queue.bytes(record, input));
        self.tools[at].feed(bytes);
        buffer::push(&mut self.tools[at].held, bytes, usize::MAX);
        bytes.len()
    }

    /// Opens held-back parts as long as the open part may end; all of them with `force`. Returns the number of bytes
    /// released.
    fn release(&mut self, force: bool, queue: &mut EventQueue) -> usize {
        if self.waiting.is_empty() {
            return 0;
        }
        // Their records are gone, so they have no position.
        let here = queue.position();
        queue.set_position(RecordOffset::UNAVAILABLE);
        let mut released = 0;
        while !self.waiting.is_empty() {
            if let (false, Some(Open::Tool(at))) = (force, self.open) {
                if !self.tools[at].input.is_complete() {
                    break;
                }
            }
            match self.waiting.pop_front() {
                Some(Waiting::Text(kind, len)) => {
                    self.release_text(kind, len, queue);
                    released += WAITING_COST + len;
                }
                Some(Waiting::Tool(at)) => {
                    let held = core::mem::take(&mut self.tools[at].held);
                    self.open_tool(at, queue);
                    if !held.is_empty() {
                        self.announce(queue);
                        let text = queue.copy(&held);
                        self.input_delta(text, queue);
                    }
                    released += WAITING_COST + held.len();
                }
                None => break,
            }
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        queue.set_position(here.unwrap_or(RecordOffset::UNAVAILABLE));
        released
    }
}
