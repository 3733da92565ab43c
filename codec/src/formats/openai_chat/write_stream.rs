//! Writes chunks.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::formats::call_ids::CallIds;
use crate::formats::logprobs;
use crate::formats::openai::chat_annotation;
use crate::formats::openai_chat::chunk;
use crate::formats::openai_chat::chunk::Delta;
use crate::formats::openai_chat::chunk_writer::{ChunkWriter, Names, why_taken, write_index, write_member};
use crate::formats::openai_chat::finish_reason::{note_finish_reason, write_finish};
use crate::json::{Object, write_integer, write_one_line, write_string};
use crate::model::{Event, FinishReason, Json, Outcome, PartKind, ResponseOptions};

const NAMES: Names = Names { id: "chatcmpl-0", object: "chat.completion.chunk" };

/// Why a part is lost that the model has no name for.
pub(crate) const FOREIGN: &str =
    "only its own API has such a block: a message of OpenAI's is text, and calls that the client runs";

/// Writes canonical events as the server-sent events of a chat completion.
///
/// The [`ResponseOptions`] have defaults for values that the source does not have.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) chunks: ChunkWriter,
    choices: Vec<Choice>,
    ids: CallIds,
}

#[derive(Clone, Copy, Debug, Default)]
struct Choice {
    index: u32,
    /// The number of tool calls so far.
    tools: u64,
    /// The open tool call has input.
    has_input: bool,
    /// The open part is a tool call.
    in_tool: bool,
    /// It calls a custom tool.
    custom: bool,
    /// Its finish reason was written.
    finished: bool,
}

impl Writer {
    /// A writer with these defaults for values that the source does not have.
    pub(crate) fn new(context: ResponseOptions) -> Self {
        let ids = CallIds::new(context.id.as_deref(), context.created);
        Self { chunks: ChunkWriter::new(NAMES, context), choices: Vec::new(), ids }
    }

    /// Appends the output for `event` to `out`.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, created, .. } => {
                let context = &self.chunks.context;
                self.ids.set_response(id.as_deref().or(context.id.as_deref()), created.or(context.created));
                self.chunks.write(event, out);
            }
            Event::PartStart { choice, part, kind: PartKind::ToolCall { id, name, custom } } => {
                let given = id.as_deref().map(Cow::Borrowed);
                let id =
                    self.ids.next(given, "call", format_args!("{choice}_{part}"), &mut self.chunks.losses);
                self.tool_start(*choice, (&id, name, *custom), out);
            }
            Event::PartStart { choice, kind, .. } => {
                if let PartKind::Other { .. } = kind {
                    self.chunks.losses.add("other part", Outcome::Dropped, FOREIGN);
                }
                let at = self.choice(*choice, out);
                self.choices[at].in_tool = false;
            }
            Event::TextDelta { choice, text, .. } => self.text(*choice, "content", text, out),
            Event::ReasoningDelta { choice, text, .. } => self.text(*choice, "reasoning_content", text, out),
            Event::RefusalDelta { choice, text, .. } => self.text(*choice, "refusal", text, out),
            Event::ToolInputDelta { choice, text, .. } => self.tool_input(*choice, text, out),
            Event::PartEnd { choice, .. } => {
                let at = self.choice(*choice, out);
                // Clients that parse arguments need an empty object if there are none.
                let Choice { in_tool, has_input, custom, .. } = self.choices[at];
                if in_tool && !has_input && !custom {
                    self.tool_input(*choice, "{}", out);
                }
                self.choices[at].in_tool = false;
            }
            Event::Logprobs { choice, json, .. } => {
                if let Some(json) = logprobs::of_chat(json.as_str(), &mut self.chunks.losses) {
                    self.member(*choice, "logprobs", &Json(json), out);
                }
            }
            Event::ReasoningSignature { .. } | Event::Redacted { .. } => {
                self.chunks.losses.add(
                    "reasoning signature",
                    Outcome::Dropped,
                    "a chunk has no place for it",
                );
            }
            Event::Citation { choice, json, .. } => {
                let Some(annotation) = chat_annotation(json.as_str()) else {
                    let why = "formats disagree on what a citation is";
                    self.chunks.losses.add("citation", Outcome::Dropped, why);
                    return;
                };
                self.choice(*choice, out);
                self.delta(*choice, out, |out| {
                    out.extend_from_slice(b"\"annotations\":[");
                    write_one_line(&annotation, out);
                    out.push(b']');
                });
            }
            Event::Finish { choice, reason, stop } => {
                self.finish_choice(*choice, reason, stop.as_deref(), out)
            }
            Event::Other { choice: Some(choice), name: Some(name), json } if Delta::has(name) => {
                self.choice(*choice, out);
                self.delta(*choice, out, |out| write_member(name, json, out));
            }
            Event::Other { choice: Some(choice), name: Some(name), json } if !is_taken_in_choice(name) => {
                self.member(*choice, name, json, out);
            }
            Event::Other { choice: Some(_), name: Some(name), .. } => {
                self.chunks.losses.add("other", Outcome::Dropped, why_taken(name));
            }
            // The loss of the whole part is in the list, or the event belongs to no choice.
            event => _ = self.chunks.write(event, out),
        }
    }

    /// Appends the end of the stream to `out`: the usage and `[DONE]`, or the error that it ended with.
    pub(crate) fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        self.chunks.write_early(out);
        if ending.is_ok() {
            self.finish_choices(out);
        }
        self.chunks.finish(ending, out);
    }

    /// Ends the choices for which the source gives no finish reason. Clients treat a choice without one as truncated.
    fn finish_choices(&mut self, out: &mut Vec<u8>) {
        if self.choices.is_empty() && !self.chunks.has_usage() {
            // A complete response without content.
            self.choice(0, out);
        }
        for at in 0..self.choices.len() {
            let Choice { index, tools, finished, .. } = self.choices[at];
            if !finished {
                self.chunks.losses.add("finish reason", Outcome::Defaulted, "the source gives none");
                let reason = if tools > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
                self.finish_choice(index, &reason, None, out);
            }
        }
    }

    /// The position of a choice in the list. The first call for a choice writes its role.
    fn choice(&mut self, index: u32, out: &mut Vec<u8>) -> usize {
        if self.choices.get(index as usize).is_some_and(|choice| choice.index == index) {
            return index as usize;
        }
        if let Some(at) = self.choices.iter().position(|choice| choice.index == index) {
            return at;
        }
        self.choices.push(Choice { index, ..Choice::default() });
        self.delta(index, out, |out| out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\""));
        self.choices.len() - 1
    }

    fn delta(&mut self, choice: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        self.chunks.chunk(out, |out| {
            write_index(choice, out);
            out.extend_from_slice(b",\"delta\":{");
            delta(out);
            out.extend_from_slice(b"},\"finish_reason\":null}]");
        });
    }

    fn text(&mut self, choice: u32, name: &str, text: &str, out: &mut Vec<u8>) {
        self.choice(choice, out);
        self.delta(choice, out, |out| {
            write_string(name, out);
            out.push(b':');
            write_string(text, out);
        });
    }

    fn tool_start(&mut self, choice: u32, (id, name, custom): (&str, &str, bool), out: &mut Vec<u8>) {
        let at = self.choice(choice, out);
        let index = self.choices[at].tools;
        self.choices[at] =
            Choice { tools: index + 1, has_input: false, in_tool: true, custom, ..self.choices[at] };
        self.delta(choice, out, |out| {
            out.extend_from_slice(b"\"tool_calls\":[");
            Object::write(out, |call| {
                call.integer("index", index);
                write_call(call, (id, name, custom), "");
            });
            out.push(b']');
        });
    }

    fn tool_input(&mut self, choice: u32, text: &str, out: &mut Vec<u8>) {
        let at = self.choice(choice, out);
        self.choices[at].has_input = true;
        let index = self.choices[at].tools.saturating_sub(1);
        let member = match self.choices[at].custom {
            false => &b",\"function\":{\"arguments\":"[..],
            true => &b",\"custom\":{\"input\":"[..],
        };
        self.delta(choice, out, |out| {
            out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
            write_integer(index, out);
            out.extend_from_slice(member);
            write_string(text, out);
            out.extend_from_slice(b"}}]");
        });
    }

    fn member(&mut self, choice: u32, name: &str, json: &Json<'_>, out: &mut Vec<u8>) {
        self.choice(choice, out);
        self.chunks.chunk(out, |out| {
            write_index(choice, out);
            out.extend_from_slice(b",\"delta\":{},");
            write_member(name, json, out);
            out.extend_from_slice(b",\"finish_reason\":null}]");
        });
    }

    fn finish_choice(
        &mut self,
        choice: u32,
        reason: &FinishReason<'_>,
        stop: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let at = self.choice(choice, out);
        self.choices[at].finished = true;
        note_finish_reason(reason, stop, &mut self.chunks.losses);
        self.chunks.chunk(out, |out| {
            write_index(choice, out);
            out.extend_from_slice(b",\"delta\":{}");
            write_finish(reason, stop, out);
        });
    }
}

/// Writes the fields of a call. Its kind is also the name of the field with its name and its input.
pub(crate) fn write_call(call: &mut Object<'_>, (id, name, custom): (&str, &str, bool), input: &str) {
    let (kind, member) = if custom { ("custom", "input") } else { ("function", "arguments") };
    call.string("id", id);
    call.string("type", kind);
    call.object(kind, |tool| {
        tool.string("name", name);
        tool.string(member, input);
    });
}

/// Whether a field of a choice, or of an object in it, has its own meaning here.
pub(crate) fn is_taken_in_choice(name: &str) -> bool {
    chunk::Choice::is_known(name.as_bytes()) || Delta::is_known(name.as_bytes())
}
