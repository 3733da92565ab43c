//! Reads chunks and whole responses.

use alloc::string::{String, ToString};
use core::ops::Range;

use crate::assemble::{Element, Emitter, Index, Reason, Stop, TextKind, ToolDelta, Tracked, hash};
use crate::formats::error_record as failure;
use crate::formats::openai_chat::chunk::{
    Arguments, Choice, Chunk, Delta, REPEATED_FIELDS, ToolCall, integer, non_empty,
};
use crate::formats::openai_usage::{is_count, read_usage};
use crate::json::{Json, Kind, unescaped};
use crate::model::Failure;
use crate::model::FinishReason;

/// What is kept from one chunk to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamState {
    /// Hashes of the last values of [`REPEATED_FIELDS`].
    repeated: [Option<u64>; REPEATED_FIELDS.len()],
}

/// Reads the chunk that comes next.
pub(crate) fn read_record(
    state: &mut Tracked<StreamState>,
    json: &mut Json<'_>,
    emitter: &mut Emitter<'_>,
) -> Result<(), Stop> {
    // Finding the fields checks the whole chunk before any of it is used.
    let chunk = Chunk::find(json)?;
    ChunkReader { state, emitter, is_whole: chunk.is_whole, is_message: false }.chunk(&chunk)
}

/// Reads one chunk.
struct ChunkReader<'a, 'b> {
    state: &'a mut Tracked<StreamState>,
    emitter: &'a mut Emitter<'b>,
    /// The chunk is a non-streaming response.
    is_whole: bool,
    /// The choice has a whole message instead of a delta, so its tool calls are whole, too.
    is_message: bool,
}

impl ChunkReader<'_, '_> {
    fn chunk(&mut self, chunk: &Chunk) -> Result<(), Stop> {
        let (record, depth) = (self.emitter.record, self.emitter.depth());
        if !self.emitter.is_started() {
            self.start(chunk)?;
        }
        let is_answer = chunk.choices.is_some() || chunk.usage.is_some();
        if is_answer {
            self.repeated_fields(chunk);
        }
        // Before the choices: an error is more precise than the finish reason beside it.
        if chunk.error.is_some() || chunk.is_error || !is_answer {
            self.error(&chunk.range)?;
        }
        match (&chunk.choices, &chunk.first) {
            (Some(_), Some(choice)) if chunk.count == 1 => self.choice(choice, 0)?,
            (Some(choices), _) => {
                let mut position = 0;
                Json::new(record, choices.start, depth).array(|json| {
                    if json.kind()? == Kind::Object {
                        let choice = Choice::find(json)?;
                        self.choice(&choice, position)?;
                    } else {
                        json.skip()?;
                    }
                    position += 1;
                    Ok::<_, Stop>(())
                })?;
            }
            (None, _) => {}
        }
        if let Some(usage) = &chunk.usage {
            self.emitter.set_position(usage.start);
            self.emitter.usage(read_usage(record, usage, depth)?);
            self.emitter.more_usage(usage, is_count)?;
        }
        if !self.emitter.is_failed() && !is_answer {
            self.emitter.other(None, None, chunk.range.clone());
        } else if chunk.has_other_fields {
            let of_error = self.emitter.is_failed();
            let known = |name: &[u8]| Chunk::is_known(name) || (of_error && Chunk::is_of_error(name));
            self.emitter.other_fields(&chunk.range, None, known)?;
        }
        self.emitter.ignore_clock(chunk.created.clone());
        self.emitter.ignore_string(chunk.obfuscation);
        Ok(())
    }

    /// Reports the error that a chunk or a choice has, if it is one.
    fn error(&mut self, object: &Range<usize>) -> Result<(), Stop> {
        if let Some(failure) = failure::read(self.emitter.record, object, self.emitter.depth())? {
            self.emitter.fail(failure);
        }
        Ok(())
    }

    /// Delivers the fields that nearly every chunk repeats, where their value is new.
    fn repeated_fields(&mut self, chunk: &Chunk) {
        for (index, name) in REPEATED_FIELDS.iter().enumerate() {
            let Some(value) = &chunk.repeated[index] else { continue };
            let hash = Some(hash(&self.emitter.record[value.clone()]));
            if self.state.repeated[index] != hash {
                self.state.repeated[index] = hash;
                self.emitter.other(None, Some(name.as_bytes()), value.clone());
            }
        }
    }

    /// The response starts with the first chunk that has an ID or a choice.
    fn start(&mut self, chunk: &Chunk) -> Result<(), Stop> {
        let record = self.emitter.record;
        if chunk.id.is_none() && chunk.first.is_none() {
            return Ok(());
        }
        let role = chunk.first.as_ref().and_then(|choice| choice.delta.as_ref()?.role);
        self.emitter.start(chunk.id, chunk.model, integer(record, chunk.created.as_ref()), role);
        Ok(())
    }

    fn choice(&mut self, choice: &Choice, position: u32) -> Result<(), Stop> {
        let record = self.emitter.record;
        let index = self.emitter.choice_index(choice.index.clone());
        let index = &index.unwrap_or(Index::fixed(u64::from(position)));
        self.emitter.touch(index)?;
        self.is_message = choice.is_message;
        if let Some(delta) = &choice.delta {
            self.delta(delta, index)?;
        }
        self.emitter.text(index, TextKind::Text, choice.text)?;
        if let Some(logprobs) = choice.logprobs.clone() {
            self.emitter.logprobs(index, logprobs);
        }
        if choice.has_error {
            self.error(&choice.range)?;
        }
        if choice.has_other_fields {
            let is_stop =
                |name: &[u8]| choice.stop.is_some() && matches!(name, b"stop_reason" | b"matched_stop");
            let of_error = choice.has_error && self.emitter.is_failed();
            let known =
                |name: &[u8]| Choice::is_known(name) || is_stop(name) || (of_error && name == b"error");
            self.emitter.other_fields(&choice.range, Some(index), known)?;
        }
        let Some(finish) = non_empty(choice.finish) else {
            // The document is complete, so the message is, too.
            let is_end = self.is_whole && choice.is_message && !self.emitter.is_failed();
            return if is_end { self.emitter.end_choice(index) } else { Ok(()) };
        };
        self.emitter.set_position(finish.start);
        let reason = match &*unescaped(record, finish) {
            b"stop" | b"eos_token" => Reason::Known(&FinishReason::Stop),
            // TGI's reason for a stop string.
            b"stop_sequence" => Reason::Known(&FinishReason::StopSequence),
            b"length" => Reason::Known(&FinishReason::Length),
            b"tool_calls" | b"function_call" => Reason::Known(&FinishReason::ToolCalls),
            b"content_filter" => Reason::Known(&FinishReason::ContentFilter),
            reason @ (b"error" | b"abort") => {
                let code = String::from_utf8_lossy(reason).into_owned();
                let message = "the model ended its response with this finish reason".to_string();
                let original = &record[choice.range.clone()];
                self.emitter.fail(Failure::of("finish_reason", Some(code), message, original));
                return Ok(());
            }
            _ => Reason::Other(self.emitter.string(finish)),
        };
        let stop = choice.stop.map(|stop| self.emitter.string(stop));
        self.emitter.finish(index, reason, stop)
    }

    fn delta(&mut self, delta: &Delta, index: &Index) -> Result<(), Stop> {
        let (record, depth) = (self.emitter.record, self.emitter.depth());
        self.emitter.text(index, TextKind::Reasoning, delta.reasoning_content.or(delta.reasoning))?;
        self.emitter.text(index, TextKind::Text, delta.content)?;
        if let Some(parts) = &delta.content_parts {
            self.content_parts(index, parts)?;
        }
        let is_cited = delta.has_other_fields && self.annotations(delta, index)?;
        self.emitter.text(index, TextKind::Refusal, delta.refusal)?;
        let mut element = match self.is_message {
            true => Element::Whole(self.emitter.call_count(index)),
            false => Element::Piece,
        };
        match (&delta.tool_calls, &delta.first_call) {
            (Some(_), Some(call)) if delta.call_count == 1 => self.tool_call(call, index, element)?,
            (Some(calls), _) => Json::new(record, calls.start, depth).array(|json| {
                if json.kind()? == Kind::Object {
                    let call = ToolCall::find(json)?;
                    self.tool_call(&call, index, element)?;
                    if !self.is_message {
                        element = Element::Further;
                    }
                } else {
                    json.skip()?;
                }
                Ok::<_, Stop>(())
            })?,
            (None, _) => {
                if let Some(call) = &delta.function_call {
                    let call = ToolCall::find(&mut self.emitter.json(call.start))?;
                    self.tool_call(&call, index, element)?;
                }
            }
        }
        if delta.has_other_fields {
            let known = |name: &[u8]| Delta::is_known(name) || (is_cited && name == b"annotations");
            self.emitter.other_fields(&delta.range, Some(index), known)?;
        }
        Ok(())
    }

    /// Reads content as a list of parts: texts, refusals, and parts that have no name here.
    fn content_parts(&mut self, index: &Index, parts: &Range<usize>) -> Result<(), Stop> {
        self.emitter.objects(parts, |emitter, _, part| {
            let names: [&[u8]; 6] = [b"text", b"refusal", b"thinking", b"signature", b"reasoning", b"type"];
            let [mut text, refusal, thinking, signature, reasoning, kind] = emitter.fields(&part, names)?;
            let is_reasoning = kind.is_some_and(|kind| &emitter.record[kind] == b"\"reasoning\"");
            let reasoning = if is_reasoning { reasoning.or(text.take()) } else { None };
            let thinking = thinking.or(reasoning);
            let [text, refusal, signature] = [text, refusal, signature].map(|text| emitter.string_in(text));
            emitter.text(index, TextKind::Text, text)?;
            emitter.text(index, TextKind::Refusal, refusal)?;
            let is_thinking = thinking.is_some();
            if let Some(thinking) = thinking {
                Self::thinking(emitter, index, &thinking)?;
            }
            if let (true, Some(signature)) = (is_thinking, non_empty(signature)) {
                let signature = emitter.string(signature);
                emitter.signature(index, signature)?;
            }
            if text.is_none() && refusal.is_none() && !is_thinking {
                emitter.other(Some(index), Some(b"content"), part);
            }
            Ok(())
        })
    }

    /// Reads reasoning as a part of the content: a text, or a list of texts as Mistral writes it.
    fn thinking(emitter: &mut Emitter<'_>, index: &Index, thinking: &Range<usize>) -> Result<(), Stop> {
        let whole = emitter.string_at(thinking);
        emitter.text(index, TextKind::Reasoning, whole)?;
        emitter.objects(thinking, |emitter, _, part| {
            let [text] = emitter.string_fields(&part, [b"text"])?;
            emitter.text(index, TextKind::Reasoning, text)?;
            if text.is_none() {
                emitter.other(Some(index), Some(b"content"), part);
            }
            Ok(())
        })
    }

    /// Reads the sources that the text cites. Returns whether there is a list of them, which is mostly empty.
    fn annotations(&mut self, delta: &Delta, index: &Index) -> Result<bool, Stop> {
        let [list] = self.emitter.fields(&delta.range, [b"annotations"])?;
        let Some(list) = list.filter(|list| self.emitter.record[list.start] == b'[') else {
            return Ok(false);
        };
        self.emitter.citations(index, &list)?;
        Ok(true)
    }

    fn tool_call(&mut self, call: &ToolCall, index: &Index, element: Element) -> Result<(), Stop> {
        self.emitter.set_position(call.start);
        let number = self.emitter.index(call.index.clone());
        // Elements of a list are distinguished by their index.
        let element = match element {
            Element::Further if number.is_some() => Element::Piece,
            element => element,
        };
        let ToolCall { id, name, custom, .. } = *call;
        let mut tool = ToolDelta { index: number, id, name, custom, element, input: None };
        match &call.arguments {
            Some(Arguments::Json(range)) => self.emitter.tool_json(index, &tool, range.clone())?,
            Some(Arguments::String(text)) => {
                tool.input = Some(*text);
                self.emitter.tool(index, &tool)?;
            }
            None => self.emitter.tool(index, &tool)?,
        }
        if call.custom && self.is_message {
            self.emitter.end_call(index);
        }
        Ok(())
    }
}
