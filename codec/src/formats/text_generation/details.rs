//! How an answer ended, and what it counts.

use alloc::string::{String, ToString};
use core::ops::Range;

use crate::assemble::{Emitter, EventQueue, Index, Reason, Stop, Text};
use crate::formats::text_generation::record::{is_empty, number};
use crate::json::{Fault, Kind, Str, unescaped};
use crate::model::Failure;
use crate::model::{FinishReason, Usage};

/// The members of `details`, and of each of its `best_of_sequences`.
#[derive(Default)]
pub(crate) struct Details {
    range: Range<usize>,
    pub(crate) generated_text: Option<Str>,
    pub(crate) inputs: Option<Str>,
    pub(crate) sequences: Option<Range<usize>>,
    finish_reason: Option<Range<usize>>,
    generated_tokens: Option<u64>,
    input_length: Option<u64>,
    /// The prompt's tokens, where they were asked for: how many.
    prefill: Option<u64>,
    tokens: Option<Range<usize>>,
    has_other_fields: bool,
}

impl Details {
    /// Finds the members of an object that was checked.
    pub(crate) fn find(emitter: &Emitter<'_>, range: Range<usize>) -> Result<Self, Fault> {
        let mut details = Self { range: range.clone(), ..Self::default() };
        emitter.json(range.start).object(|json, name| {
            match name {
                b"finish_reason" => details.finish_reason = Some(json.skip()?),
                b"generated_tokens" => details.generated_tokens = json.integer_or_skip()?,
                b"input_length" => details.input_length = json.integer_or_skip()?,
                b"inputs" => details.inputs = json.string_or_skip()?,
                b"generated_text" => details.generated_text = json.string_or_skip()?,
                b"tokens" | b"best_of_sequences" => {
                    let is_array = json.kind()? == Kind::Array;
                    let value = json.skip()?;
                    let value = Some(value).filter(|value| is_array && !is_empty(emitter.record, value));
                    if name == b"tokens" {
                        details.tokens = value;
                    } else {
                        details.sequences = value;
                    }
                }
                name => {
                    let is_list = json.kind()? == Kind::Array;
                    let value = json.skip()?;
                    if is_some(emitter.record, &value) {
                        details.has_other_fields = true;
                        if is_list && name == b"prefill" {
                            details.prefill = Some(count(emitter, &value)?);
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(details)
    }

    fn is_known(name: &[u8]) -> bool {
        matches!(
            name,
            b"finish_reason"
                | b"generated_tokens"
                | b"input_length"
                | b"inputs"
                | b"generated_text"
                | b"tokens"
                | b"best_of_sequences"
        )
    }

    /// All that is said of a choice besides its text: logprobs, members of unknown meaning, and how it ended.
    pub(crate) fn read(&self, emitter: &mut Emitter<'_>, choice: &Index) -> Result<(), Stop> {
        if let Some(tokens) = self.tokens.clone() {
            emitter.logprobs(choice, tokens);
        }
        if self.has_other_fields {
            other_fields(emitter, &self.range, Some(choice), Self::is_known)?;
        }
        self.finish(emitter, choice)
    }

    /// How a choice ended, where that is said.
    pub(crate) fn finish(&self, emitter: &mut Emitter<'_>, choice: &Index) -> Result<(), Stop> {
        finish(emitter, choice, self.finish_reason.clone(), None)
    }

    /// Where they stand.
    pub(crate) fn start(&self) -> usize {
        self.range.start
    }

    /// What was counted.
    pub(crate) fn usage(&self) -> Usage {
        let input_tokens = self.input_length.or(self.prefill);
        Usage { input_tokens, output_tokens: self.generated_tokens, ..Usage::default() }
    }
}

/// How many values an array has.
fn count(emitter: &Emitter<'_>, array: &Range<usize>) -> Result<u64, Fault> {
    let mut count = 0;
    emitter.json(array.start).array(|json| {
        count += 1;
        json.skip().map(drop)
    })?;
    Ok(count)
}

/// Whether a value says something: TGI and llama-server always send some lists, which mostly are empty.
fn is_some(record: &[u8], value: &Range<usize>) -> bool {
    record[value.start] != b'n' && !is_empty(record, value)
}

/// The members of an object that have no meaning here and say something.
pub(crate) fn other_fields(
    emitter: &mut Emitter<'_>,
    object: &Range<usize>,
    choice: Option<&Index>,
    known: impl Fn(&[u8]) -> bool,
) -> Result<(), Stop> {
    emitter.json(object.start).object(|json, name| {
        json.kind()?;
        let value = json.skip()?;
        if !known(name) && is_some(emitter.record, &value) {
            emitter.other(choice, Some(name), value);
        }
        Ok(())
    })?;
    Ok(())
}

/// A choice ends for this reason, where there is one; it may have ended for none. The reason `error` is a failure.
pub(crate) fn finish(
    emitter: &mut Emitter<'_>,
    choice: &Index,
    reason: Option<Range<usize>>,
    stop: Option<Text>,
) -> Result<(), Stop> {
    let Some(range) = reason.filter(|_| !emitter.is_failed()) else { return Ok(()) };
    emitter.set_position(range.start);
    let reason = match emitter.string_at(&range).filter(|string| string.start < string.end) {
        Some(string) => match &*unescaped(emitter.record, string) {
            b"eos_token" | b"eos" | b"stop" => Reason::Known(&FinishReason::Stop),
            b"stop_sequence" | b"word" => Reason::Known(&FinishReason::StopSequence),
            b"length" | b"limit" => Reason::Known(&FinishReason::Length),
            reason @ (b"error" | b"abort") => {
                let code = String::from_utf8_lossy(reason).into_owned();
                let message = "the model ended its answer with this finish reason".to_string();
                emitter.fail(Failure::of("finish_reason", Some(code), message, emitter.record));
                return Ok(());
            }
            _ => Reason::Other(emitter.string(string)),
        },
        // LMI on vLLM says here which token it stopped at.
        None => match number(emitter.record, Some(range)) {
            Some(number) => Reason::Other(EventQueue::span(number)),
            None => return Ok(()),
        },
    };
    emitter.finish(choice, reason, stop)
}
