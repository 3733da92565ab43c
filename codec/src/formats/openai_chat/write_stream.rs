//! Writes chunks.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::formats::call_ids::CallIds;
use crate::formats::logprobs;
use crate::formats::openai::chat_annotation;
use crate::formats::openai_chat::chunk;
use crate::formats::openai_chat::chunk::{Chunk, Delta, REPEATED_FIELDS};
use crate::formats::openai_usage::{CHAT_USAGE, is_chat_usage, whole_usage, write_usage};
use crate::json;
use crate::json::{Object, is_document, write_integer, write_one_line, write_string};
use crate::model::{Event, FinishReason, Json, Losses, Outcome, PAUSED, PartKind, ResponseOptions, Usage};

/// Why a field of another API is dropped.
const OWN: &str = "in OpenAI's this name has a meaning of its own";

/// Why a part is lost that the model has no name for.
pub(crate) const FOREIGN: &str =
    "only its own API has such a block: a message of OpenAI's is text, and calls that the client runs";

/// Writes canonical events as the server-sent events of a chat completion.
///
/// The [`ResponseOptions`] have defaults for values that the source does not have. The usage is in the last chunk before `[DONE]`,
/// which has no choices. A stream that fails ends with an `error` and without `[DONE]`, so that it does not look complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    context: ResponseOptions,
    /// The beginning of every chunk, up to its choices.
    prefix: Vec<u8>,
    /// The length of the prefix without the fields of [`REPEATED_FIELDS`], and these fields.
    head: usize,
    repeated: [String; REPEATED_FIELDS.len()],
    /// No chunk has these fields yet.
    is_unsaid: bool,
    choices: Vec<Choice>,
    ids: CallIds,
    usage: Option<Usage>,
    /// All counts of the source, if they contain more than the model has names for.
    more_usage: String,
    /// Fields that came before the response had an ID, each with the comma before it.
    early: Vec<u8>,
    pub(crate) losses: Losses,
}

/// The largest length of such fields that are held back, in bytes.
const EARLY_MAX: usize = 64 * 1024;

/// The largest length of a field that is in each chunk, in bytes as JSON. Larger ones would let a container make a large stream of
/// a small one.
const REPEATED_MAX: usize = 256;

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
        Self { ids: CallIds::new(context.id.as_deref(), context.created), context, ..Self::default() }
    }

    /// Appends the output for `event` to `out`.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created, .. } => {
                self.begin(id.as_deref(), model.as_deref(), *created);
                self.write_early(out);
            }
            Event::PartStart { choice, part, kind: PartKind::ToolCall { id, name, custom } } => {
                let given = id.as_deref().map(Cow::Borrowed);
                let id = self.ids.next(given, "call", format_args!("{choice}_{part}"), &mut self.losses);
                self.tool_start(*choice, (&id, name, *custom), out);
            }
            Event::PartStart { choice, kind, .. } => {
                if let PartKind::Other { .. } = kind {
                    self.losses.add("other part", Outcome::Dropped, FOREIGN);
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
                if let Some(json) = logprobs::of_chat(json.as_str(), &mut self.losses) {
                    self.member(*choice, "logprobs", &Json(json), out);
                }
            }
            Event::ReasoningSignature { .. } | Event::Redacted { .. } => {
                self.losses.add("reasoning signature", Outcome::Dropped, "a chunk has no place for it");
            }
            Event::Citation { choice, json, .. } => {
                let Some(annotation) = chat_annotation(json.as_str()) else {
                    let why = "formats disagree on what a citation is";
                    self.losses.add("citation", Outcome::Dropped, why);
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
            Event::Usage(usage) => {
                self.usage = Some(*usage);
                self.more_usage.clear();
            }
            Event::Other { choice: None, name: Some(name), json } if is_chat_usage(name, json) => {
                self.more_usage = json::one_line(json.as_str());
            }
            Event::Other { choice: Some(choice), name: Some(name), json } if Delta::has(name) => {
                self.choice(*choice, out);
                self.delta(*choice, out, |out| write_member(name, json, out));
            }
            Event::Other { choice: Some(choice), name: Some(name), json } if !is_taken_in_choice(name) => {
                self.member(*choice, name, json, out);
            }
            Event::Other { choice: None, name: Some(name), json } if self.take_repeated(name, json) => {}
            Event::Other { choice: None, name: Some(name), json } if !is_taken(name) => {
                self.early.push(b',');
                write_member(name, json, &mut self.early);
                if !self.prefix.is_empty() || self.early.len() > EARLY_MAX {
                    self.write_early(out);
                }
            }
            Event::Other { name: Some(name), .. } => {
                self.losses.add("other", Outcome::Dropped, why_taken(name));
            }
            Event::Other { name: None, .. } => {
                self.losses.add(
                    "record",
                    Outcome::Dropped,
                    "a record of unknown meaning has no place in a chunk",
                );
            }
            // The loss of the whole part is in the list.
            Event::OtherDelta { .. } => {}
            Event::Malformed { .. } => {
                self.losses.add(
                    "malformed record",
                    Outcome::Dropped,
                    "what could not be read cannot be written",
                );
            }
        }
    }

    /// Appends the end of the stream to `out`: the usage and `[DONE]`, or the error that it ended with.
    pub(crate) fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        self.write_early(out);
        if ending.is_ok() {
            self.finish_choices(out);
        }
        if let Some(usage) = self.usage.take() {
            let usage = whole_usage(&usage, &mut self.losses);
            let more = core::mem::take(&mut self.more_usage);
            self.chunk(out, |out| {
                out.extend_from_slice(b"],\"usage\":");
                write_usage(&CHAT_USAGE, &usage, &more, out);
            });
        }
        if self.is_unsaid {
            self.chunk(out, |out| out.push(b']'));
        }
        match ending {
            Ok(()) => out.extend_from_slice(b"data: [DONE]\n\n"),
            Err(error) => write_error(error, out),
        }
    }

    /// Ends the choices for which the source gives no finish reason. Clients treat a choice without one as truncated.
    fn finish_choices(&mut self, out: &mut Vec<u8>) {
        if self.choices.is_empty() && self.usage.is_none() {
            // A complete response without content.
            self.choice(0, out);
        }
        for at in 0..self.choices.len() {
            let Choice { index, tools, finished, .. } = self.choices[at];
            if !finished {
                self.losses.add("finish reason", Outcome::Defaulted, "the source gives none");
                let reason = if tools > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
                self.finish_choice(index, &reason, None, out);
            }
        }
    }

    /// Writes the fields that belong to no choice.
    fn write_early(&mut self, out: &mut Vec<u8>) {
        if !self.early.is_empty() {
            let mut early = core::mem::take(&mut self.early);
            self.chunk(out, |out| {
                out.push(b']');
                out.extend_from_slice(&early);
            });
            early.clear();
            self.early = early;
        }
    }

    fn begin(&mut self, id: Option<&str>, model: Option<&str>, created: Option<u64>) {
        let Self { context, prefix, losses, .. } = self;
        let id = id.or(context.id.as_deref());
        let model = model.or(context.model.as_deref());
        self.ids.set_response(id, created.or(context.created));
        let mut short = |name, text| {
            let short = json::shortened(text, REPEATED_MAX);
            if short != text {
                losses.add(name, Outcome::Approximated, "it is in each chunk, and cut to 256 bytes");
            }
            short
        };
        prefix.clear();
        prefix.extend_from_slice(b"data: {\"id\":");
        write_string(short("id", id.unwrap_or("chatcmpl-0")), prefix);
        prefix.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        write_integer(created.or(context.created).unwrap_or(0), prefix);
        prefix.extend_from_slice(b",\"model\":");
        write_string(short("model", model.unwrap_or("")), prefix);
        self.head = self.prefix.len();
        self.end_prefix();
    }

    /// Renews the part of the prefix behind its fixed length.
    fn end_prefix(&mut self) {
        let Self { prefix, repeated, .. } = self;
        prefix.truncate(self.head);
        for (name, json) in REPEATED_FIELDS.into_iter().zip(repeated).filter(|(_, json)| !json.is_empty()) {
            prefix.push(b',');
            write_string(name, prefix);
            prefix.push(b':');
            prefix.extend_from_slice(json.as_bytes());
        }
        prefix.extend_from_slice(b",\"choices\":[");
    }

    /// Keeps a field for all chunks that follow, if it is one of [`REPEATED_FIELDS`].
    fn take_repeated(&mut self, name: &str, json: &Json<'_>) -> bool {
        let index = Chunk::repeated(name.as_bytes());
        let Some(index) = index.filter(|_| json.as_str().len() <= REPEATED_MAX && is_document(json.as_str()))
        else {
            return false;
        };
        self.repeated[index] = json::one_line(json.as_str());
        self.is_unsaid = true;
        if !self.prefix.is_empty() {
            self.end_prefix();
        }
        true
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

    /// Writes a chunk; `rest` follows the bracket that opens the choices.
    fn chunk(&mut self, out: &mut Vec<u8>, rest: impl FnOnce(&mut Vec<u8>)) {
        if self.prefix.is_empty() {
            self.begin(None, None, None);
        }
        self.is_unsaid = false;
        out.extend_from_slice(&self.prefix);
        rest(out);
        out.extend_from_slice(b"}\n\n");
    }

    fn delta(&mut self, choice: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        self.chunk(out, |out| {
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
        self.chunk(out, |out| {
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
        note_finish_reason(reason, stop, &mut self.losses);
        self.chunk(out, |out| {
            write_index(choice, out);
            out.extend_from_slice(b",\"delta\":{},\"finish_reason\":");
            write_string(finish_reason(reason), out);
            if let Some(stop) = stop {
                // vLLM's name for it.
                out.extend_from_slice(b",\"stop_reason\":");
                write_string(stop, out);
            }
            out.extend_from_slice(b"}]");
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

/// Whether a field of a response has its own meaning here, so that fields of other APIs cannot have this name.
pub(crate) fn is_taken(name: &str) -> bool {
    Chunk::is_known(name.as_bytes()) && Chunk::repeated(name.as_bytes()).is_none()
}

/// The same for a field of a choice, or of an object in it.
pub(crate) fn is_taken_in_choice(name: &str) -> bool {
    chunk::Choice::is_known(name.as_bytes()) || Delta::is_known(name.as_bytes())
}

/// Why such a field is lost.
pub(crate) fn why_taken(name: &str) -> &'static str {
    if name == "usage" { "OpenAI has no names for these counts" } else { OWN }
}

/// Adds the loss of a finish reason that OpenAI has no name for. A stop string is not lost.
pub(crate) fn note_finish_reason(reason: &FinishReason<'_>, stop: Option<&str>, losses: &mut Losses) {
    let is_said = matches!(reason, FinishReason::Other(_))
        || (matches!(reason, FinishReason::StopSequence) && stop.is_some());
    if !is_said && finish_reason(reason) != reason.as_str() {
        let why = if reason.is_paused() { PAUSED } else { "OpenAI has no name for it" };
        losses.add("finish reason", Outcome::Approximated, why);
    }
}

/// The nearest reason that OpenAI has a name for; unknown names are written unchanged.
pub(crate) fn finish_reason<'a>(reason: &'a FinishReason<'_>) -> &'a str {
    match reason {
        FinishReason::StopSequence | FinishReason::MalformedOutput | FinishReason::MalformedToolUse => "stop",
        FinishReason::ContextWindow | FinishReason::Pause | FinishReason::Compaction => "length",
        FinishReason::Guardrail | FinishReason::Refusal => "content_filter",
        reason => reason.as_str(),
    }
}

fn write_index(choice: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"index\":");
    write_integer(choice.into(), out);
}

fn write_member(name: &str, json: &Json<'_>, out: &mut Vec<u8>) {
    write_string(name, out);
    out.push(b':');
    if is_document(json.as_str()) {
        write_one_line(json.as_str(), out);
    } else {
        write_string(json.as_str(), out);
    }
}

fn write_error(error: &DecodeError, out: &mut Vec<u8>) {
    let text = alloc::format!("{error}");
    let (message, name, code) = match error.failure() {
        Some(failure) => (failure.message.as_str(), failure.name.as_str(), failure.code.as_deref()),
        None if error.is_unrecognized() => (text.as_str(), "stream_unrecognized", None),
        None if error.is_truncated() => (text.as_str(), "stream_truncated", None),
        None => (text.as_str(), "stream_corrupt", None),
    };
    out.extend_from_slice(b"data: {\"error\":{\"message\":");
    write_string(message, out);
    out.extend_from_slice(b",\"type\":");
    write_string(name, out);
    out.extend_from_slice(b",\"param\":");
    match error.failure().and_then(|failure| failure.param.as_deref()) {
        Some(param) => write_string(param, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"code\":");
    match code {
        // vLLM and SGLang write the HTTP status as a number.
        Some(code) => match code.parse() {
            Ok(number) => write_integer(number, out),
            Err(_) => write_string(code, out),
        },
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}}\n\n");
}
