//! The item of a stream that is being written.

use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::logprobs;
use crate::formats::openai::annotation;
use crate::formats::openai_responses::object::{
    Call, Status, write_message, write_part, write_reasoning, write_text,
};
use crate::json::{elements, member, write_integer, write_one_line, write_string};
use crate::model::Losses;

/// Writes an event: the line with its name, and its data. `fields` writes all fields but the type and the number, each with the
/// comma before it.
pub(super) fn event(sequence: &mut u64, name: &str, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"sequence_number\":");
    write_integer(*sequence, out);
    *sequence += 1;
    fields(out);
    out.extend_from_slice(b"}\n\n");
}

/// Writes the event that an item begins or is done.
pub(super) fn write_item_event(sequence: &mut u64, what: &str, index: usize, item: &[u8], out: &mut Vec<u8>) {
    let name = alloc::format!("response.output_item.{what}");
    event(sequence, &name, out, |out| {
        out.extend_from_slice(b",\"output_index\":");
        write_integer(index as u64, out);
        out.extend_from_slice(b",\"item\":");
        out.extend(item.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    });
}

/// The open item.
#[derive(Clone, Debug)]
pub(super) struct Open {
    index: usize,
    id: String,
    /// The index of its last part in the choice.
    pub(super) part: u32,
    /// That part has ended. The client is told so when another part begins or the item is done: the response may fail before.
    pub(super) is_ended: bool,
    pub(super) item: Item,
}

/// The kinds of items, with what is kept of each until it is done.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Message {
        phase: Option<String>,
        parts: Parts,
        /// The open part.
        text: Option<OpenText>,
    },
    Reasoning {
        parts: Parts,
        /// The open summary.
        text: Option<String>,
        encrypted: String,
    },
    Call {
        call: Call,
        input: String,
    },
}

/// The parts that are done, with commas between them, and their number.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    written: Vec<u8>,
    count: u64,
}

impl Parts {
    fn push(&mut self, part: &[u8]) {
        if self.count > 0 {
            self.written.push(b',');
        }
        self.written.extend_from_slice(part);
        self.count += 1;
    }
}

/// A part of a message that is not done.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenText {
    is_refusal: bool,
    text: String,
    annotations: Parts,
    logprobs: Parts,
}

impl OpenText {
    fn write(&self, out: &mut Vec<u8>) {
        if self.is_refusal {
            write_part("refusal", "refusal", &self.text, out);
        } else {
            write_text(&self.text, &self.annotations.written, &self.logprobs.written, out);
        }
    }

    /// The kind of its events, and the name of the field with its text.
    fn names(&self) -> (&'static str, &'static str) {
        if self.is_refusal { ("refusal", "refusal") } else { ("output_text", "text") }
    }
}

impl Item {
    pub(super) fn message(phase: Option<String>) -> Self {
        Self::Message { phase, parts: Parts::default(), text: None }
    }

    pub(super) fn reasoning() -> Self {
        Self::Reasoning { parts: Parts::default(), text: None, encrypted: String::new() }
    }

    pub(super) fn call(call_id: String, name: &str, custom: bool) -> Self {
        let call = Call { id: String::new(), call_id, name: name.into(), custom };
        Self::Call { call, input: String::new() }
    }

    fn write(&self, id: &str, status: &Status, out: &mut Vec<u8>) {
        match self {
            Self::Message { phase, parts, .. } => {
                write_message(id, status, phase.as_deref(), &parts.written, out);
            }
            Self::Reasoning { parts, encrypted, .. } => write_reasoning(id, &parts.written, encrypted, out),
            Self::Call { call, input } => call.write(status, input, out),
        }
    }
}

impl Open {
    /// Begins an item, and writes that it does.
    pub(super) fn new(
        index: usize,
        id: String,
        mut item: Item,
        sequence: &mut u64,
        out: &mut Vec<u8>,
    ) -> Self {
        if let Item::Call { call, .. } = &mut item {
            call.id.clone_from(&id);
        }
        let mut begun = Vec::new();
        item.write(&id, &Status::InProgress, &mut begun);
        write_item_event(sequence, "added", index, &begun, out);
        Self { index, id, part: 0, is_ended: false, item }
    }

    /// Whether it is reasoning that has its signature.
    pub(super) fn is_signed(&self) -> bool {
        matches!(&self.item, Item::Reasoning { encrypted, .. } if !encrypted.is_empty())
    }

    /// Whether a part of this kind is open.
    pub(super) fn has_text(&self, is_refusal: bool) -> bool {
        matches!(&self.item, Item::Message { text: Some(text), .. } if text.is_refusal == is_refusal)
    }

    /// Writes an event of this item; `fields` as [`event`] has them.
    fn event(&self, sequence: &mut u64, name: &str, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
        let Self { index, id, item, .. } = self;
        event(sequence, name, out, |out| {
            out.extend_from_slice(b",\"item_id\":");
            write_string(id, out);
            out.extend_from_slice(b",\"output_index\":");
            write_integer(*index as u64, out);
            let (name, count) = match item {
                Item::Message { parts, .. } => (&b",\"content_index\":"[..], parts.count),
                Item::Reasoning { parts, .. } => (&b",\"summary_index\":"[..], parts.count),
                Item::Call { .. } => return fields(out),
            };
            out.extend_from_slice(name);
            write_integer(count, out);
            fields(out);
        });
    }

    /// Begins a part of a message.
    pub(super) fn begin_text(&mut self, part: u32, is_refusal: bool, sequence: &mut u64, out: &mut Vec<u8>) {
        self.end_part(sequence, out);
        let begun = OpenText { is_refusal, ..OpenText::default() };
        self.event(sequence, "response.content_part.added", out, |out| {
            out.extend_from_slice(b",\"part\":");
            begun.write(out);
        });
        (self.part, self.is_ended) = (part, false);
        if let Item::Message { text, .. } = &mut self.item {
            *text = Some(begun);
        }
    }

    /// Adds text to the open part, or to a new summary.
    pub(super) fn extend(&mut self, more: &str, sequence: &mut u64, out: &mut Vec<u8>) {
        let name = match &self.item {
            Item::Message { text: Some(OpenText { is_refusal: true, .. }), .. } => "response.refusal.delta",
            Item::Message { .. } => "response.output_text.delta",
            Item::Reasoning { text, .. } => {
                if text.is_none() {
                    self.event(sequence, "response.reasoning_summary_part.added", out, |out| {
                        out.extend_from_slice(b",\"part\":");
                        write_part("summary_text", "text", "", out);
                    });
                }
                "response.reasoning_summary_text.delta"
            }
            Item::Call { call: Call { custom: true, .. }, .. } => "response.custom_tool_call_input.delta",
            Item::Call { .. } => "response.function_call_arguments.delta",
        };
        let is_text = self.has_text(false);
        self.event(sequence, name, out, |out| {
            out.extend_from_slice(b",\"delta\":");
            write_string(more, out);
            if is_text {
                out.extend_from_slice(b",\"logprobs\":[]");
            }
        });
        match &mut self.item {
            Item::Message { text: Some(text), .. } => text.text.push_str(more),
            Item::Message { text: None, .. } => {}
            Item::Reasoning { text, .. } => text.get_or_insert_default().push_str(more),
            Item::Call { input, .. } => input.push_str(more),
        }
    }

    /// Adds a citation to the open text. Returns whether it has the shape of one of OpenAI's.
    pub(super) fn annotate(&mut self, json: &str, sequence: &mut u64, out: &mut Vec<u8>) -> bool {
        let Some(annotation) = annotation(json) else { return false };
        let count = match &self.item {
            Item::Message { text: Some(text), .. } => text.annotations.count,
            _ => return false,
        };
        let mut written = Vec::new();
        write_one_line(&annotation, &mut written);
        self.event(sequence, "response.output_text.annotation.added", out, |out| {
            out.extend_from_slice(b",\"annotation_index\":");
            write_integer(count, out);
            out.extend_from_slice(b",\"annotation\":");
            out.extend_from_slice(&written);
        });
        if let Item::Message { text: Some(text), .. } = &mut self.item {
            text.annotations.push(&written);
        }
        true
    }

    /// Adds log probabilities to the open text, in an event without text: the text is not held back until they come.
    pub(super) fn add_logprobs(
        &mut self,
        json: &str,
        losses: &mut Losses,
        sequence: &mut u64,
        out: &mut Vec<u8>,
    ) {
        let Some(chat) = logprobs::of_chat(json, losses) else { return };
        let mut added = Parts::default();
        for token in member(&chat, "content").map(elements).unwrap_or_default() {
            let mut written = Vec::new();
            logprobs::write_with_bytes(token, &mut written);
            added.push(&written);
        }
        if added.count == 0 {
            return;
        }
        self.event(sequence, "response.output_text.delta", out, |out| {
            out.extend_from_slice(b",\"delta\":\"\",\"logprobs\":[");
            out.extend_from_slice(&added.written);
            out.push(b']');
        });
        if let Item::Message { text: Some(text), .. } = &mut self.item {
            text.logprobs.push(&added.written);
        }
    }

    /// Ends the open part.
    pub(super) fn end_part(&mut self, sequence: &mut u64, out: &mut Vec<u8>) {
        let mut written = Vec::new();
        match &mut self.item {
            Item::Message { text, .. } => {
                let Some(text) = text.take() else { return };
                let (kind, field) = text.names();
                self.event(sequence, &alloc::format!("response.{kind}.done"), out, |out| {
                    write_field(field, &text.text, out);
                    if !text.is_refusal {
                        out.extend_from_slice(b",\"logprobs\":[");
                        out.extend_from_slice(&text.logprobs.written);
                        out.push(b']');
                    }
                });
                text.write(&mut written);
                self.part_done("response.content_part.done", &written, sequence, out);
            }
            Item::Reasoning { text, .. } => {
                let Some(text) = text.take() else { return };
                self.event(sequence, "response.reasoning_summary_text.done", out, |out| {
                    write_field("text", &text, out);
                });
                write_part("summary_text", "text", &text, &mut written);
                self.part_done("response.reasoning_summary_part.done", &written, sequence, out);
            }
            Item::Call { .. } => {}
        }
    }

    fn part_done(&mut self, name: &str, part: &[u8], sequence: &mut u64, out: &mut Vec<u8>) {
        self.event(sequence, name, out, |out| {
            out.extend_from_slice(b",\"part\":");
            out.extend_from_slice(part);
        });
        if let Item::Message { parts, .. } | Item::Reasoning { parts, .. } = &mut self.item {
            parts.push(part);
        }
    }

    /// Ends the item. Returns its index, and the item as JSON.
    pub(super) fn close(
        mut self,
        status: &Status,
        sequence: &mut u64,
        out: &mut Vec<u8>,
    ) -> (usize, Vec<u8>) {
        self.end_part(sequence, out);
        if let Item::Call { call, input } = &self.item {
            // Clients that parse arguments need an empty object if there are none.
            if input.is_empty() && !call.custom {
                self.extend("{}", sequence, out);
            }
        }
        if let Item::Call { call, input } = &self.item {
            let name = if call.custom { "custom_tool_call_input" } else { "function_call_arguments" };
            self.event(sequence, &alloc::format!("response.{name}.done"), out, |out| {
                write_field(call.input_name(), input, out);
            });
        }
        let mut item = Vec::new();
        self.item.write(&self.id, status, &mut item);
        write_item_event(sequence, "done", self.index, &item, out);
        (self.index, item)
    }
}

/// Writes a field with a text, with the comma before it.
fn write_field(name: &str, text: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_string(name, out);
    out.push(b':');
    write_string(text, out);
}
