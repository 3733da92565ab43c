//! Writes the records of a stream.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::json::{write_integer, write_string};
use crate::model::{Event, FinishReason, Losses, Outcome, PAUSED, PartKind, Usage};

/// The longest `generated_text`, which repeats all streamed text: 8 MiB, like all data that is held back. Longer text is cut,
/// and reported as a loss.
const GENERATED_TEXT_MAX: usize = 8 * 1024 * 1024;

/// Fields of every token in TGI that no other format has for a text.
const NO_TOKENS: [(&str, &str); 2] = [
    ("token id", "a text is no token, and has no ID"),
    ("token logprob", "a text is no token, and has no probability"),
];

/// Why a part is lost that has no name in the model.
pub(crate) const FOREIGN: &str = "only its own API has such a block: TGI generates text";

/// TGI responses have one choice.
const CHOICE: u32 = 0;

/// Writes canonical events as the server-sent events of TGI's `/generate_stream`, which any TGI client reads.
///
/// A stream that fails ends with an `error`, and without the record that has `generated_text`, so that an incomplete stream
/// never looks complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    /// Records so far.
    index: u64,
    generated_text: String,
    /// The text was too long for that.
    is_cut: bool,
    /// TGI's finish reason.
    finish: Option<String>,
    usage: Usage,
    pub(crate) losses: Losses,
}

impl Writer {
    /// A writer of one choice.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends the records of `event` to `out`.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let mut lose = |what, why| self.losses.add(what, Outcome::Dropped, why);
        match event {
            Event::PartStart { choice, .. }
            | Event::TextDelta { choice, .. }
            | Event::RefusalDelta { choice, .. }
            | Event::Finish { choice, .. }
                if *choice != CHOICE =>
            {
                lose("choice", "TGI streams only one choice");
            }
            Event::PartStart { kind: PartKind::ToolCall { .. }, .. } => {
                lose("tool call", "TGI generates text, its tools belong to its chat");
            }
            Event::PartStart { kind: PartKind::Other { .. }, .. } => lose("other part", FOREIGN),
            Event::PartStart { kind: PartKind::Reasoning, .. }
            | Event::ReasoningSignature { .. }
            | Event::Redacted { .. } => lose("reasoning", "TGI has one kind of text"),
            Event::TextDelta { text, .. } | Event::RefusalDelta { text, .. } => self.text(text, out),
            Event::PartStart { kind, .. } => {
                if let PartKind::Refusal = kind {
                    let why = "TGI has no refusals: written as text";
                    self.losses.add("refusal", Outcome::Approximated, why);
                }
                for (name, why) in NO_TOKENS {
                    self.losses.add(name, Outcome::Defaulted, why);
                }
            }
            Event::Finish { reason, stop, .. } => {
                let reason = finish_reason(reason, stop.as_deref(), &mut self.losses);
                self.finish = Some(String::from(reason));
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Logprobs { .. } => lose("logprobs", "formats disagree on what they are"),
            Event::Citation { .. } => lose("citation", "TGI has no place for it"),
            Event::Other { .. } => {
                lose("other", "there is no place for a field of unknown meaning in TGI's records")
            }
            Event::Malformed { .. } => lose("malformed record", "what could not be read cannot be written"),
            Event::Start { .. }
            | Event::PartEnd { .. }
            | Event::ReasoningDelta { .. }
            | Event::ToolInputDelta { .. }
            | Event::OtherDelta { .. } => {}
        }
    }

    /// Appends the end of the stream to `out`: the last record, or the error that it ended with.
    pub(crate) fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        match ending {
            Ok(()) => self.last(out),
            Err(error) => self.error(error, out),
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        self.token(text, out);
        out.extend_from_slice(b",\"special\":false},\"generated_text\":null,\"details\":null}\n\n");
        // Once text was left out, all later text is left out, too.
        self.is_cut |= self.generated_text.len() + text.len() > GENERATED_TEXT_MAX;
        if !self.is_cut {
            self.generated_text.push_str(text);
        }
    }

    /// Begins a record.
    fn token(&mut self, text: &str, out: &mut Vec<u8>) {
        self.index += 1;
        out.extend_from_slice(b"data: {\"index\":");
        write_integer(self.index, out);
        out.extend_from_slice(b",\"token\":{\"id\":0,\"text\":");
        write_string(text, out);
        out.extend_from_slice(b",\"logprob\":0.0");
    }

    fn last(&mut self, out: &mut Vec<u8>) {
        if self.is_cut {
            let why = "it repeats the first 8 MiB, and no more";
            self.losses.add("generated_text", Outcome::Approximated, why);
        }
        self.token("", out);
        out.extend_from_slice(b",\"special\":true},\"generated_text\":");
        write_string(&self.generated_text, out);
        out.extend_from_slice(b",\"details\":");
        match self.finish.take() {
            Some(reason) => self.details(&reason, out),
            None => {
                if self.usage != Usage::default() {
                    self.losses.add(
                        "usage",
                        Outcome::Dropped,
                        "it belongs to a finish reason, and there is none",
                    );
                }
                out.extend_from_slice(b"null");
            }
        }
        out.extend_from_slice(b"}\n\n");
    }

    fn details(&mut self, reason: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"finish_reason\":");
        write_string(reason, out);
        for (name, count) in
            [("generated_tokens", self.usage.output_tokens), ("input_length", self.usage.input_tokens)]
        {
            if count.is_none() {
                self.losses.add("usage", Outcome::Defaulted, "the source reports no counts");
            }
            out.push(b',');
            write_string(name, out);
            out.push(b':');
            write_integer(count.unwrap_or(0), out);
        }
        report_usage(&self.usage, &mut self.losses);
        out.extend_from_slice(b",\"seed\":null}");
    }

    fn error(&mut self, error: &DecodeError, out: &mut Vec<u8>) {
        let text = alloc::format!("{error}");
        let (message, name) = match error.failure() {
            Some(failure) => {
                if failure.code.is_some() {
                    self.losses.add("error code", Outcome::Dropped, "TGI's errors have a type only");
                }
                (failure.message.as_str(), failure.name.as_str())
            }
            // TGI's own name for a stream that ends without its last record.
            None => (text.as_str(), "incomplete_generation_stream"),
        };
        out.extend_from_slice(b"data: {\"error\":");
        write_string(if message.is_empty() { name } else { message }, out);
        out.extend_from_slice(b",\"error_type\":");
        write_string(name, out);
        out.extend_from_slice(b"}\n\n");
    }
}

/// The nearest finish reason of TGI. A reason with an unknown name is written unchanged.
pub(crate) fn finish_reason<'a>(
    reason: &'a FinishReason<'_>,
    stop: Option<&str>,
    losses: &mut Losses,
) -> &'a str {
    if stop.is_some() {
        losses.add("stop string", Outcome::Dropped, "TGI does not report which stop string was met");
    }
    match reason {
        FinishReason::Stop if stop.is_some() => "stop_sequence",
        FinishReason::Stop => "eos_token",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "length",
        FinishReason::Other(reason) => reason,
        reason => {
            let why = if reason.is_paused() { PAUSED } else { "TGI has no name for it" };
            losses.add("finish reason", Outcome::Approximated, why);
            match reason {
                FinishReason::ContextWindow | FinishReason::Pause | FinishReason::Compaction => "length",
                _ => "eos_token",
            }
        }
    }
}

/// Reports the counts that TGI has no fields for.
pub(crate) fn report_usage(usage: &Usage, losses: &mut Losses) {
    if usage.cache_read_tokens.or(usage.cache_write_tokens).or(usage.reasoning_tokens).is_some() {
        losses.add("usage details", Outcome::Dropped, "TGI counts neither caches nor reasoning");
    }
}
