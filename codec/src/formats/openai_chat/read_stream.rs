//! Reads chunks and whole responses.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use crate::assemble::{TextKind, EventQueue, Reason, Emitter, Stop, ToolKey, hash};
use crate::decode::shape_cache::{Target, Trace};
use crate::formats::error_record as failure;
use crate::formats::openai_chat::chunk::{
    Arguments, Choice, Chunk, Delta, OF_ANSWER, ToolCall, integer, is_count, non_empty, read_usage,
};
use crate::json::{Json, Kind, Str, unescaped};
use crate::model::Failure;
use crate::model::FinishReason;

/// Reads chunks into the queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    /// What the last chunks said of [`OF_ANSWER`]; hashed, so that it takes no space.
    said: [Option<u64>; OF_ANSWER.len()],
}

impl Reader {
    /// Reads the chunk that comes next.
    pub(crate) fn read(
        &mut self,
        json: &mut Json<'_>,
        emitter: &mut Emitter<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        // Finding the members checks all of the chunk, before any of it is used.
        let chunk = Chunk::find(json)?;
        Walk { said: &mut self.said, emitter, trace, is_whole: false }.chunk(&chunk)
    }
}

/// The way through one chunk.
struct Walk<'a, 'b> {
    said: &'a mut [Option<u64>; OF_ANSWER.len()],
    emitter: &'a mut Emitter<'b>,
    trace: &'a mut Trace,
    /// The choice is no piece of one: so are its calls.
    is_whole: bool,
}

impl Walk<'_, '_> {
    fn chunk(&mut self, chunk: &Chunk) -> Result<(), Stop> {
        let (record, depth) = (self.emitter.record, self.emitter.depth());
        if !self.emitter.is_started() {
            self.start(chunk)?;
        }
        let is_answer = chunk.choices.is_some() || chunk.usage.is_some();
        if is_answer {
            self.of_answer(chunk);
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
            self.emitter.at(usage.start);
            self.emitter.usage(read_usage(record, usage, depth)?);
            self.emitter.more_usage(usage, is_count)?;
        }
        if chunk.error.is_some() || chunk.is_error || !is_answer {
            if let (false, Some(failure)) =
                (self.emitter.is_failed(), failure::read(record, &chunk.range, depth)?)
            {
                self.emitter.fail(failure);
            }
        }
        if !self.emitter.is_failed() && !is_answer {
            self.emitter.other(None, None, chunk.range.clone());
        } else if chunk.has_others {
            let of_error = self.emitter.is_failed();
            let known = |name: &[u8]| Chunk::is_known(name) || (of_error && Chunk::is_of_error(name));
            self.emitter.others(&chunk.range, None, known)?;
        }
        (self.trace.places.clock, self.trace.places.padding) = (chunk.created.clone(), chunk.obfuscation);
        Ok(())
    }

    /// Where and at which price the answer is made: said where it is new.
    fn of_answer(&mut self, chunk: &Chunk) {
        let known = self.said.iter_mut().zip(OF_ANSWER).zip(&chunk.of_answer);
        for ((said, name), value) in known {
            let Some(value) = value else { continue };
            let hash = Some(hash(&self.emitter.record[value.clone()]));
            if core::mem::replace(said, hash) != hash {
                self.emitter.other(None, Some(name.as_bytes()), value.clone());
            }
        }
    }

    /// The answer starts with the first chunk that has an ID or a choice.
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
        let index = integer(record, choice.index.as_ref()).and_then(|index| u32::try_from(index).ok());
        let index = index.unwrap_or(position);
        self.emitter.touch(index)?;
        self.is_whole = choice.is_whole;
        if let Some(delta) = &choice.delta {
            self.delta(delta, index)?;
        }
        if let Some(text) = choice.text {
            self.plain(index, TextKind::Text, Some(text))?;
        }
        if let Some(logprobs) = choice.logprobs.clone().filter(|range| record[range.start] != b'n') {
            self.emitter.logprobs(index, logprobs);
        }
        self.trace.counts.0 += 1;
        (self.trace.places.choice, self.trace.places.logprobs) =
            (choice.index.clone(), choice.logprobs.clone());
        if choice.has_others {
            let is_stop =
                |name: &[u8]| choice.stop.is_some() && matches!(name, b"stop_reason" | b"matched_stop");
            let known = |name: &[u8]| Choice::is_known(name) || is_stop(name);
            self.emitter.others(&choice.range, Some(index), known)?;
        }
        let Some(finish) = non_empty(choice.finish) else { return Ok(()) };
        // What ends a choice is more than a piece of a part, also where the choice has ended before.
        self.trace.more();
        self.emitter.at(finish.start);
        let reason = match &*unescaped(record, finish) {
            b"stop" | b"eos_token" => Reason::Known(&FinishReason::Stop),
            // TGI's, where it met a stop string.
            b"stop_sequence" => Reason::Known(&FinishReason::StopSequence),
            b"length" => Reason::Known(&FinishReason::Length),
            b"tool_calls" | b"function_call" => Reason::Known(&FinishReason::ToolCalls),
            b"content_filter" => Reason::Known(&FinishReason::ContentFilter),
            reason @ (b"error" | b"abort") => {
                let code = String::from_utf8_lossy(reason).into_owned();
                let message = "the model ended its answer with this finish reason".to_string();
                let original = &record[choice.range.clone()];
                self.emitter.fail(Failure::of("finish_reason", Some(code), message, original));
                return Ok(());
            }
            _ => Reason::Other(self.emitter.string(finish)),
        };
        let stop = choice.stop.map(|stop| self.emitter.string(stop));
        self.emitter.finish(index, reason, stop)
    }

    fn delta(&mut self, delta: &Delta, index: u32) -> Result<(), Stop> {
        let (record, depth) = (self.emitter.record, self.emitter.depth());
        self.plain(index, TextKind::Reasoning, delta.reasoning_content.or(delta.reasoning))?;
        self.plain(index, TextKind::Text, delta.content)?;
        if let Some(parts) = &delta.content_parts {
            self.content_parts(index, parts)?;
        }
        let is_cited = delta.has_others && self.annotations(delta, index)?;
        self.plain(index, TextKind::Refusal, delta.refusal)?;
        match (&delta.tool_calls, &delta.first_call) {
            (Some(_), Some(call)) if delta.call_count == 1 => self.tool_call(call, index)?,
            (Some(calls), _) => Json::new(record, calls.start, depth).array(|json| {
                if json.kind()? == Kind::Object {
                    let call = ToolCall::find(json)?;
                    self.tool_call(&call, index)
                } else {
                    Ok(json.skip().map(drop)?)
                }
            })?,
            (None, _) => {
                if let Some(call) = &delta.function_call {
                    let call = ToolCall::find(&mut self.emitter.json(call.start))?;
                    self.tool_call(&call, index)?;
                }
            }
        }
        if delta.has_others {
            let known = |name: &[u8]| Delta::is_known(name) || (is_cited && name == b"annotations");
            self.emitter.others(&delta.range, Some(index), known)?;
        }
        Ok(())
    }

    /// Content as a list of parts: texts, refusals, and what has no name here.
    fn content_parts(&mut self, index: u32, parts: &Range<usize>) -> Result<(), Stop> {
        let mut found = Vec::new();
        self.emitter.objects(parts, |emitter, _, part| {
            let [text, refusal] = emitter.members(&part, [b"text", b"refusal"])?;
            let [text, refusal] = [text, refusal].map(|range| range.and_then(|range| emitter.text(&range)));
            found.push((part, text, refusal));
            Ok(())
        })?;
        for (part, text, refusal) in found {
            self.plain(index, TextKind::Text, text)?;
            self.plain(index, TextKind::Refusal, refusal)?;
            if text.is_none() && refusal.is_none() {
                self.emitter.other(Some(index), Some(b"content"), part);
            }
        }
        Ok(())
    }

    /// The sources that the text cites. Returns whether there is a list of them, which is mostly empty.
    fn annotations(&mut self, delta: &Delta, index: u32) -> Result<bool, Stop> {
        let [list] = self.emitter.members(&delta.range, [b"annotations"])?;
        let Some(list) = list.filter(|list| self.emitter.record[list.start] == b'[') else { return Ok(false) };
        self.emitter.json(list.start).array(|json| {
            self.emitter.citation(index, json.skip()?);
            Ok::<_, Stop>(())
        })?;
        Ok(true)
    }

    fn plain(&mut self, index: u32, kind: TextKind, text: Option<Str>) -> Result<(), Stop> {
        let Some(text) = non_empty(text) else { return Ok(()) };
        self.trace.plain(index, kind, text);
        self.emitter.at(text.start);
        let text = self.emitter.string(text);
        self.emitter.plain(index, kind, text)
    }

    fn tool_call(&mut self, call: &ToolCall, index: u32) -> Result<(), Stop> {
        self.emitter.at(call.start);
        let tool = integer(self.emitter.record, call.index.as_ref());
        let (id, name) = (self.emitter.non_empty(call.id), self.emitter.non_empty(call.name));
        self.trace.more();
        let input = match &call.arguments {
            // Pieces of a custom call look like nothing before: only here it is known what they are.
            Some(Arguments::String(text)) if call.custom => self.emitter.non_empty(Some(*text)),
            Some(Arguments::String(text)) => {
                let text = *text;
                let places = &mut self.trace.places;
                (places.text, places.tool) = (Some(text), call.index.clone());
                (places.id, places.name) = (call.id, call.name);
                self.trace.target = Some((Target::Tool(tool), index));
                self.emitter.non_empty(Some(text))
            }
            Some(Arguments::Json(range)) => Some(EventQueue::place(range.clone())),
            None => None,
        };
        self.emitter.tool(index, ToolKey { index: tool, id, name, custom: call.custom }, input)?;
        if call.custom && self.is_whole {
            self.emitter.end_call(index);
        }
        Ok(())
    }
}
