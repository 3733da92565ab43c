//! Writes the events of a Messages stream.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::formats::anthropic::other_blocks::{split, why_lost};
use crate::formats::anthropic::stop;
use crate::formats::anthropic::write_common::{
    MoreUsage, add_usage, event, given_id, is_citation, is_object, is_own_field, is_own_usage, note_usage,
    write_error, write_index, write_usage,
};
use crate::formats::call_ids::CallIds;
use crate::json::{write_one_line, write_string};
use crate::model::custom_tool_input::{CUSTOM_INPUT, CustomInput};
use crate::model::{Event, FinishReason, Json, Losses, Outcome, PartKind, ResponseOptions, Usage};

/// Writes canonical events as the server-sent events of a message.
///
/// The [`ResponseOptions`] have defaults for values that the source does not have. The message starts with its first part or its
/// finish reason, so that earlier counts are in its start; the last counts are in `message_delta`. A stream that fails ends
/// with an `error` and without `message_stop`, so that it does not look complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    context: ResponseOptions,
    started: bool,
    /// The number of blocks so far.
    blocks: u64,
    /// The open part.
    open: Option<Open>,
    /// The content of `message_delta`.
    stop: Option<Stop>,
    usage: Option<Usage>,
    /// Counts that have no name here, since the start.
    more_usage: MoreUsage,
    has_tools: bool,
    ids: CallIds,
    /// Of the open call of a custom tool.
    custom_input: CustomInput,
    pub(crate) losses: Losses,
}

#[derive(Clone, Debug)]
struct Open {
    part: u32,
    block: Block,
    /// The signature of a reasoning part, which may come in pieces. Clients use the last signature only.
    signature: String,
}

/// The block that the open part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// None yet: the kind depends on the content of the reasoning part.
    Pending,
    /// None any more: its content was redacted, which has blocks of its own.
    Redacted,
    Text,
    Thinking,
    Tool {
        has_input: bool,
        custom: bool,
    },
    /// A block of Anthropic's that the model has no name for, unchanged.
    Own,
    /// None at all: it is a block of another API.
    Lost,
}

#[derive(Clone, Debug, Default)]
struct Stop {
    reason: Option<Cow<'static, str>>,
    /// The stop string that ended the response.
    sequence: Option<String>,
    /// Further fields of the message in `message_start`, of the delta, and of the event, each with the comma before it.
    start: Vec<u8>,
    delta: Vec<u8>,
    event: Vec<u8>,
    /// Further fields of `message_stop`, the same.
    end: Vec<u8>,
}

impl Writer {
    /// A writer with these defaults for values that the source does not have.
    pub(crate) fn new(context: ResponseOptions) -> Self {
        Self { ids: CallIds::new(context.id.as_deref(), context.created), context, ..Self::default() }
    }

    /// Appends the output for `event` to `out`.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, role, created } => {
                let created = created.or(self.context.created);
                self.ids.set_response(id.as_deref().or(self.context.id.as_deref()), created);
                self.begin(id.as_deref(), model.as_deref(), role.as_deref());
            }
            event if event.choice_of_part().is_some_and(|choice| choice != 0) => {
                self.losses.add("choice", Outcome::Dropped, "a message has only one choice");
            }
            Event::PartStart { part, kind, .. } => self.part_start(*part, kind, out),
            Event::TextDelta { text, .. } | Event::RefusalDelta { text, .. } => {
                self.delta("text_delta\",\"text", text, out);
            }
            Event::ReasoningDelta { text, .. } => {
                self.thinking(out);
                self.delta("thinking_delta\",\"thinking", text, out);
            }
            Event::ToolInputDelta { text, .. } => self.tool_input(text, out),
            Event::OtherDelta { json, .. } => self.other_delta(json, out),
            Event::ReasoningSignature { part, signature, .. } => self.signature(*part, signature, out),
            Event::Redacted { part, data, .. } => self.redacted(*part, data, out),
            Event::Citation { part, json, .. } => self.citation(*part, json, out),
            Event::PartEnd { .. } => self.part_end(out),
            Event::Finish { reason, stop, .. } => {
                self.start(out);
                self.finish_reason(reason, stop.as_deref());
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Other { choice: None, name: Some(name), json } => self.other(name, json),
            Event::Logprobs { .. } => {
                self.losses.add("logprobs", Outcome::Dropped, "a message has no place for them");
            }
            Event::Malformed { .. } => {
                self.losses.add(
                    "malformed record",
                    Outcome::Dropped,
                    "what could not be read cannot be written",
                );
            }
            Event::Other { .. } => {
                self.losses.add(
                    "other",
                    Outcome::Dropped,
                    "a message has no place for a field of unknown meaning",
                );
            }
        }
    }

    /// Appends the end of the stream to `out`: the finish reason, the counts and `message_stop`, or the error that the stream
    /// ended with.
    pub(crate) fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        if let Err(error) = ending {
            return write_error(error, out);
        }
        self.start(out);
        self.part_end(out);
        let mut stop = self.stop.take().unwrap_or_default();
        let reason = stop.reason.take().unwrap_or_else(|| {
            self.losses.add("finish reason", Outcome::Defaulted, "the source gives none");
            Cow::Borrowed(if self.has_tools { "tool_use" } else { "end_turn" })
        });
        let usage = self.usage.take().unwrap_or_default();
        note_usage(&usage, &mut self.losses);
        event("message_delta", out, |out| {
            out.extend_from_slice(b",\"delta\":{\"stop_reason\":");
            write_string(&reason, out);
            out.extend_from_slice(b",\"stop_sequence\":");
            match &stop.sequence {
                Some(sequence) => write_string(sequence, out),
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(&stop.delta);
            out.extend_from_slice(b"},\"usage\":");
            write_usage(&usage, &self.more_usage, false, out);
            out.extend_from_slice(&stop.event);
        });
        event("message_stop", out, |out| out.extend_from_slice(&stop.end));
    }

    /// Keeps what the start of the message will contain.
    fn begin(&mut self, id: Option<&str>, model: Option<&str>, role: Option<&str>) {
        if role.is_some_and(|role| role != "assistant") {
            self.losses.add("role", Outcome::Approximated, "a message is always from the assistant");
        }
        self.context.id = id.map(String::from).or(self.context.id.take());
        self.context.model = model.map(String::from).or(self.context.model.take());
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if core::mem::replace(&mut self.started, true) {
            return;
        }
        let Self { context, usage, more_usage, stop, .. } = self;
        event("message_start", out, |out| {
            out.extend_from_slice(b",\"message\":{\"id\":");
            write_string(context.id.as_deref().unwrap_or("msg_0"), out);
            out.extend_from_slice(b",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
            write_string(context.model.as_deref().unwrap_or(""), out);
            out.extend_from_slice(b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
            write_usage(&usage.unwrap_or_default(), more_usage, true, out);
            out.extend_from_slice(stop.as_ref().map_or(&[], |stop| &stop.start));
            out.push(b'}');
        });
        // Counts of the start need not be repeated.
        more_usage.clear();
    }

    fn part_start(&mut self, part: u32, kind: &PartKind<'_>, out: &mut Vec<u8>) {
        self.start(out);
        let block = match kind {
            PartKind::Reasoning => Block::Pending,
            PartKind::Text => Block::Text,
            PartKind::Refusal => {
                self.losses.add(
                    "refusal",
                    Outcome::Approximated,
                    "Anthropic has no refusals: written as text",
                );
                Block::Text
            }
            PartKind::ToolCall { custom, .. } => Block::Tool { has_input: false, custom: *custom },
            PartKind::Other { api, json } => match why_lost(Some(*api), json) {
                None => Block::Own,
                Some(why) => {
                    self.losses.add("other part", Outcome::Dropped, why);
                    Block::Lost
                }
            },
        };
        self.open = Some(Open { part, block, signature: String::new() });
        match kind {
            PartKind::Reasoning => {}
            PartKind::Text | PartKind::Refusal => {
                self.block_start(out, |out| out.extend_from_slice(b"\"text\",\"text\":\"\""));
            }
            PartKind::ToolCall { id, name, custom } => {
                self.has_tools = true;
                let given = given_id(id.as_deref(), &mut self.losses);
                let id = self.ids.next(given, "toolu", format_args!("{part}"), &mut self.losses);
                self.block_start(out, |out| {
                    out.extend_from_slice(b"\"tool_use\",\"id\":");
                    write_string(&id, out);
                    out.extend_from_slice(b",\"name\":");
                    write_string(name, out);
                    out.extend_from_slice(b",\"input\":{}");
                });
                if *custom {
                    self.losses.add("tool call input", Outcome::Approximated, CUSTOM_INPUT);
                    self.input_delta(CustomInput::BEGIN, out);
                }
            }
            PartKind::Other { json, .. } if block == Block::Own => {
                let (start, delta) = split(json.as_str());
                self.block_begin(out, |out| write_one_line(&start, out));
                if let Some(delta) = delta {
                    self.block_delta(out, |out| write_one_line(&delta, out));
                }
            }
            PartKind::Other { .. } => {}
        }
    }

    /// Begins a block, of which `block` writes all fields but its type.
    fn block_start(&mut self, out: &mut Vec<u8>, block: impl FnOnce(&mut Vec<u8>)) {
        self.block_begin(out, |out| {
            out.extend_from_slice(b"{\"type\":");
            block(out);
            out.push(b'}');
        });
    }

    fn block_begin(&mut self, out: &mut Vec<u8>, block: impl FnOnce(&mut Vec<u8>)) {
        let index = self.blocks;
        self.blocks += 1;
        event("content_block_start", out, |out| {
            write_index(index, out);
            out.extend_from_slice(b",\"content_block\":");
            block(out);
        });
    }

    fn block_stop(&self, out: &mut Vec<u8>) {
        event("content_block_stop", out, |out| write_index(self.blocks.saturating_sub(1), out));
    }

    /// Writes a delta of the open block; `delta` writes its fields.
    fn block_delta(&self, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        event("content_block_delta", out, |out| {
            write_index(self.blocks.saturating_sub(1), out);
            out.extend_from_slice(b",\"delta\":");
            delta(out);
        });
    }

    /// The same for a text; `kind` is the type of the delta and the name of its field.
    fn delta(&self, kind: &str, text: &str, out: &mut Vec<u8>) {
        self.block_delta(out, |out| {
            out.extend_from_slice(b"{\"type\":\"");
            out.extend_from_slice(kind.as_bytes());
            out.extend_from_slice(b"\":");
            write_string(text, out);
            out.push(b'}');
        });
    }

    /// Writes a delta of a block that the model has no name for, unchanged.
    fn other_delta(&mut self, json: &Json<'_>, out: &mut Vec<u8>) {
        if self.open.as_ref().is_none_or(|open| open.block != Block::Own) {
            return;
        }
        if !is_object(json) {
            self.losses.add("other part", Outcome::Dropped, "a delta is an object");
            return;
        }
        self.block_delta(out, |out| write_one_line(json.as_str(), out));
    }

    /// Makes sure that the open part has a block of thinking.
    fn thinking(&mut self, out: &mut Vec<u8>) {
        if let Some(open) = &mut self.open {
            if matches!(open.block, Block::Pending | Block::Redacted) {
                open.block = Block::Thinking;
                self.block_start(out, |out| {
                    out.extend_from_slice(b"\"thinking\",\"thinking\":\"\",\"signature\":\"\"");
                });
            }
        }
    }

    fn signature(&mut self, part: u32, signature: &str, out: &mut Vec<u8>) {
        if self.open.as_ref().is_none_or(|open| open.part != part) {
            self.losses.add("reasoning signature", Outcome::Dropped, "it came after its block had ended");
            return;
        }
        self.thinking(out);
        if let Some(open) = &mut self.open {
            if open.signature.len() + signature.len() > SIGNATURE_MAX {
                self.losses.add("reasoning signature", Outcome::Dropped, "it is longer than 8 MiB");
            } else {
                open.signature.push_str(signature);
            }
        }
    }

    /// Writes redacted thinking, which is a whole block.
    fn redacted(&mut self, part: u32, data: &str, out: &mut Vec<u8>) {
        if self.open.as_ref().is_none_or(|open| open.part != part) {
            self.losses.add("redacted reasoning", Outcome::Dropped, "it came after its block had ended");
            return;
        }
        self.thinking_end(out);
        self.block_start(out, |out| {
            out.extend_from_slice(b"\"redacted_thinking\",\"data\":");
            write_string(data, out);
        });
        self.block_stop(out);
        if let Some(open) = &mut self.open {
            open.block = Block::Redacted;
        }
    }

    fn citation(&mut self, part: Option<u32>, json: &Json<'_>, out: &mut Vec<u8>) {
        let is_open =
            self.open.as_ref().is_some_and(|open| Some(open.part) == part && open.block == Block::Text);
        if !is_open || !is_citation(json) {
            self.losses.add("citation", Outcome::Dropped, "formats disagree on what a citation is");
            return;
        }
        self.block_delta(out, |out| {
            out.extend_from_slice(b"{\"type\":\"citations_delta\",\"citation\":");
            write_one_line(json.as_str(), out);
            out.push(b'}');
        });
    }

    fn tool_input(&mut self, text: &str, out: &mut Vec<u8>) {
        match &mut self.open {
            Some(Open { block: Block::Tool { custom: true, .. }, .. }) => {
                let mut input = core::mem::take(&mut self.custom_input);
                self.input_delta(&input.piece(text), out);
                self.custom_input = input;
                return;
            }
            Some(Open { block: Block::Tool { has_input, .. }, .. }) => *has_input = true,
            _ => {}
        }
        self.input_delta(text, out);
    }

    fn input_delta(&self, text: &str, out: &mut Vec<u8>) {
        self.delta("input_json_delta\",\"partial_json", text, out);
    }

    /// Ends the block of thinking, if the open part has one.
    fn thinking_end(&mut self, out: &mut Vec<u8>) {
        let Some(Open { block: Block::Thinking, signature, .. }) = &mut self.open else { return };
        let signature = core::mem::take(signature);
        if !signature.is_empty() {
            self.delta("signature_delta\",\"signature", &signature, out);
        }
        self.block_stop(out);
    }

    fn part_end(&mut self, out: &mut Vec<u8>) {
        let Some(open) = &self.open else { return };
        match open.block {
            Block::Redacted | Block::Lost => {}
            Block::Pending | Block::Thinking => {
                self.thinking(out);
                self.thinking_end(out);
            }
            Block::Text | Block::Own => self.block_stop(out),
            Block::Tool { has_input, custom } => {
                if custom {
                    self.input_delta(CustomInput::END, out);
                } else if !has_input {
                    // This is how Anthropic writes a call without arguments.
                    self.input_delta("", out);
                }
                self.block_stop(out);
            }
        }
        self.open = None;
    }

    fn finish_reason(&mut self, reason: &FinishReason<'_>, sequence: Option<&str>) {
        let name = stop::write(reason, sequence.is_some(), self.has_tools, &mut self.losses);
        let stop = self.stop.get_or_insert_default();
        stop.reason = Some(Cow::Owned(String::from(name)));
        stop.sequence = sequence.map(String::from);
    }

    /// Keeps fields of a message that only Anthropic has. Its reader delivers them unchanged.
    fn other(&mut self, name: &str, json: &Json<'_>) {
        if is_own_usage(name, json) && add_usage(&mut self.more_usage, json) {
            return;
        }
        let stop = self.stop.get_or_insert_default();
        let members = match name {
            "amazon-bedrock-invocationMetrics" => &mut stop.end,
            "stop_details" | "container" => &mut stop.delta,
            "context_management" | "input_transformations" => &mut stop.event,
            "diagnostics" if !self.started => &mut stop.start,
            _ => {
                self.losses.add(
                    "other",
                    Outcome::Dropped,
                    "a message has no place for a field of unknown meaning",
                );
                return;
            }
        };
        let is_own = is_own_field(name, json) || is_object(json);
        if !is_own || members.len() + json.as_str().len() > MEMBERS_MAX {
            self.losses.add("other", Outcome::Dropped, "it has not the shape that Anthropic gives it");
            return;
        }
        members.push(b',');
        write_string(name, members);
        members.push(b':');
        write_one_line(json.as_str(), members);
    }
}

/// The longest signature that is held back, which `Limits::record` bounds, too.
const SIGNATURE_MAX: usize = 8 * 1024 * 1024;
/// The same for further fields.
const MEMBERS_MAX: usize = 64 * 1024;
