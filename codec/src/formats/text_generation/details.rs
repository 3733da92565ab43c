//! Reads how a response ended, and its counts.

use alloc::string::{String, ToString};
use core::ops::Range;

use crate::assemble::{Emitter, EventQueue, Index, Reason, Stop, Text};
use crate::formats::text_generation::record::{is_empty, number};
use crate::json::{Fault, Kind, Str, unescaped};
use crate::model::Failure;
use crate::model::{FinishReason, Usage};

/// The fields of `details`, and of each of its `best_of_sequences`.
#[derive(Default)]
pub(crate) struct Details {
    range: Range<usize>,
    pub(crate) generated_text: Option<Str>,
    pub(crate) inputs: Option<Str>,
    pub(crate) sequences: Option<Range<usize>>,
    finish_reason: Option<Range<usize>>,
    generated_tokens: Option<u64>,
    input_length: Option<u64>,
    /// The number of the prompt's tokens, if they were requested.
    prefill: Option<u64>,
    tokens: Option<Range<usize>>,
    has_other_fields: bool,
}

impl Details {
    /// Finds the fields of an object that was checked.
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

    /// Delivers everything about a choice except its text: log probabilities, unknown fields, and how it ended.
    pub(crate) fn read(&self, emitter: &mut Emitter<'_>, choice: &Index) -> Result<(), Stop> {
        if let Some(tokens) = self.tokens.clone() {
            emitter.logprobs(choice, tokens);
        }
        if self.has_other_fields {
            other_fields(emitter, &self.range, Some(choice), Self::is_known)?;
        }
        self.finish(emitter, choice)
    }

    /// Delivers how a choice ended, if that is known.
    pub(crate) fn finish(&self, emitter: &mut Emitter<'_>, choice: &Index) -> Result<(), Stop> {
        finish(emitter, choice, self.finish_reason.clone(), None)
    }

    /// The start of the object.
    pub(crate) fn start(&self) -> usize {
        self.range.start
    }

    /// The token counts.
    pub(crate) fn usage(&self) -> Usage {
        let input_tokens = self.input_length.or(self.prefill);
        Usage { input_tokens, output_tokens: self.generated_tokens, ..Usage::default() }
    }
}

/// The number of values of an array.
pub(crate) fn count(emitter: &Emitter<'_>, array: &Range<usize>) -> Result<u64, Fault> {
    let mut count = 0;
    emitter.json(array.start).array(|json| {
        count += 1;
        json.skip().map(drop)
    })?;
    Ok(count)
}

/// Whether a value is neither null nor empty. TGI and llama-server always send some lists, which are mostly empty.
fn is_some(record: &[u8], value: &Range<usize>) -> bool {
    record[value.start] != b'n' && !is_empty(record, value)
}

/// Delivers the fields of an object that have no meaning here and are neither null nor empty.
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

/// Ends a choice if there is a reason. The reason `error` is a failure.
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
                let message = "the model ended its response with this finish reason".to_string();
                emitter.fail(Failure::of("finish_reason", Some(code), message, emitter.record));
                return Ok(());
            }
            _ => Reason::Other(emitter.string(string)),
        },
        // LMI on vLLM has the token here that it stopped at.
        None => match number(emitter.record, Some(range)) {
            Some(number) => Reason::Other(EventQueue::span(number)),
            None => return Ok(()),
        },
    };
    emitter.finish(choice, reason, stop)
}
