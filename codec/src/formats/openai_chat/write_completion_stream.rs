//! Writes the chunks of a completion, which have text and nothing else.

use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::formats::logprobs;
use crate::formats::openai_chat::chunk_writer::{ChunkWriter, Names, why_taken, write_index, write_member};
use crate::formats::openai_chat::finish_reason::{completion_reason, note_finish_reason, write_finish};
use crate::formats::openai_chat::write_stream::is_taken_in_choice;
use crate::json::{write_one_line, write_string};
use crate::model::{Event, FinishReason, Outcome, PartKind, ResponseOptions};

const NAMES: Names = Names { id: "cmpl-0", object: "text_completion" };

/// Why a part is lost that is no text.
pub(crate) const TEXT_ONLY: &str = "a completion is text";

/// Why a refusal becomes a text.
pub(crate) const REFUSAL: &str = "completions have no refusals: written as text";

/// Writes canonical events as the server-sent events of a completion.
#[derive(Clone, Debug)]
pub(crate) struct CompletionWriter {
    pub(crate) chunks: ChunkWriter,
    choices: Vec<Choice>,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    index: u32,
    /// The offset of the next token in the text, in characters.
    offset: u64,
    /// Its finish reason was written.
    finished: bool,
}

impl CompletionWriter {
    /// A writer with these defaults for values that the source does not have.
    pub(crate) fn new(context: ResponseOptions) -> Self {
        Self { chunks: ChunkWriter::new(NAMES, context), choices: Vec::new() }
    }

    /// Appends the output for `event` to `out`.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::PartStart { choice, kind, .. } => {
                self.choice(*choice);
                let mut lose = |what| self.chunks.losses.add(what, Outcome::Dropped, TEXT_ONLY);
                match kind {
                    PartKind::ToolCall { .. } => lose("tool call"),
                    PartKind::Reasoning => lose("reasoning"),
                    PartKind::Other { .. } => lose("other part"),
                    PartKind::Refusal => {
                        self.chunks.losses.add("refusal", Outcome::Approximated, REFUSAL);
                    }
                    PartKind::Text => {}
                }
            }
            Event::TextDelta { choice, text, .. } | Event::RefusalDelta { choice, text, .. } => {
                self.choice(*choice);
                self.chunk(*choice, text, out, |out| out.extend_from_slice(b",\"logprobs\":null"));
            }
            Event::Logprobs { choice, json, .. } => {
                let at = self.choice(*choice);
                let offset = &mut self.choices[at].offset;
                let found = logprobs::of_completion(json.as_str(), offset, &mut self.chunks.losses);
                if let Some(json) = found {
                    self.chunk(*choice, "", out, |out| {
                        out.extend_from_slice(b",\"logprobs\":");
                        write_one_line(&json, out);
                    });
                }
            }
            Event::Citation { .. } => {
                self.chunks.losses.add("citation", Outcome::Dropped, TEXT_ONLY);
            }
            Event::Finish { choice, reason, stop } => {
                self.finish_choice(*choice, (reason, stop.as_deref()), out)
            }
            Event::Other { choice: Some(choice), name: Some(name), json } => {
                if is_taken_in_choice(name) {
                    self.chunks.losses.add("other", Outcome::Dropped, why_taken(name));
                    return;
                }
                self.choice(*choice);
                self.chunk(*choice, "", out, |out| {
                    out.extend_from_slice(b",\"logprobs\":null,");
                    write_member(name, json, out);
                });
            }
            // The loss of the whole part is in the list, or the event belongs to no choice.
            event => _ = self.chunks.write(event, out),
        }
    }

    /// Appends the end of the stream to `out`: the usage and `[DONE]`, or the error that it ended with.
    pub(crate) fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        self.chunks.write_early(out);
        if ending.is_ok() {
            if self.choices.is_empty() && !self.chunks.has_usage() {
                // A complete response without content.
                self.choice(0);
            }
            for at in 0..self.choices.len() {
                let Choice { index, finished, .. } = self.choices[at];
                if !finished {
                    let why = "the source gives none";
                    self.chunks.losses.add("finish reason", Outcome::Defaulted, why);
                    self.finish_choice(index, (&FinishReason::Stop, None), out);
                }
            }
        }
        self.chunks.finish(ending, out);
    }

    /// The position of a choice in the list.
    fn choice(&mut self, index: u32) -> usize {
        let is_at = |choice: &Choice| choice.index == index;
        let expected = self.choices.get(index as usize).is_some_and(is_at).then_some(index as usize);
        expected.or_else(|| self.choices.iter().position(is_at)).unwrap_or_else(|| {
            self.choices.push(Choice { index, offset: 0, finished: false });
            self.choices.len() - 1
        })
    }

    /// Writes a chunk of a choice; `fields` are those between its text and its finish reason.
    fn chunk(&mut self, choice: u32, text: &str, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
        self.chunks.chunk(out, |out| {
            write_index(choice, out);
            out.extend_from_slice(b",\"text\":");
            write_string(text, out);
            fields(out);
            out.extend_from_slice(b",\"finish_reason\":null}]");
        });
    }

    fn finish_choice(&mut self, choice: u32, end: (&FinishReason<'_>, Option<&str>), out: &mut Vec<u8>) {
        let (reason, stop) = end;
        let at = self.choice(choice);
        self.choices[at].finished = true;
        let reason = completion_reason(reason, &mut self.chunks.losses);
        note_finish_reason(reason, stop, &mut self.chunks.losses);
        self.chunks.chunk(out, |out| {
            write_index(choice, out);
            out.extend_from_slice(b",\"text\":\"\",\"logprobs\":null");
            write_finish(reason, stop, out);
        });
    }
}
