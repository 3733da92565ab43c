//! Writes items and responses, as events and whole responses have them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::openai_usage::{RESPONSES_USAGE, write_usage};
use crate::json::Object;
use crate::model::{FinishReason, Losses, Outcome, PAUSED, Usage};

/// How a response stands, or has ended.
#[derive(Clone, Debug, Default)]
pub(super) enum Status {
    #[default]
    InProgress,
    Completed,
    /// With the reason.
    Incomplete(String),
    /// With the error, as JSON.
    Failed(String),
}

impl Status {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed(_) => "failed",
        }
    }

    /// The status of a finish reason. Reasons that have no name here are kept as they came.
    pub(super) fn of(reason: &FinishReason<'_>, stop: Option<&str>, losses: &mut Losses) -> Self {
        let (status, is_exact) = match reason {
            FinishReason::Stop | FinishReason::ToolCalls => (Self::Completed, true),
            FinishReason::StopSequence | FinishReason::MalformedOutput | FinishReason::MalformedToolUse => {
                (Self::Completed, false)
            }
            FinishReason::Length => (Self::Incomplete("max_output_tokens".into()), true),
            FinishReason::ContextWindow | FinishReason::Pause | FinishReason::Compaction => {
                (Self::Incomplete("max_output_tokens".into()), false)
            }
            FinishReason::ContentFilter => (Self::Incomplete("content_filter".into()), true),
            FinishReason::Guardrail | FinishReason::Refusal => {
                (Self::Incomplete("content_filter".into()), false)
            }
            // What the reader makes of an incomplete response without a reason.
            FinishReason::Other(name) if name == "incomplete" => (Self::Incomplete(String::new()), true),
            FinishReason::Other(name) => (Self::Incomplete(name.clone().into_owned()), true),
        };
        if !is_exact {
            let why = if reason.is_paused() { PAUSED } else { "Responses has no name for it" };
            losses.add("finish reason", Outcome::Approximated, why);
        }
        if stop.is_some() {
            losses.add("stop string", Outcome::Dropped, "Responses does not name the stop string");
        }
        status
    }
}

/// The fields that all events of a response repeat.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// Seconds since the Unix epoch.
    pub(super) created: u64,
    pub(super) id: String,
    pub(super) model: String,
}

impl Head {
    /// Writes a response. `output` is the list of its items, without brackets.
    ///
    /// Fields that repeat the request are required. The response is written without the request, so they have the defaults of the
    /// API.
    pub(super) fn write(
        &self,
        status: &Status,
        output: &[Vec<u8>],
        (usage, more_usage): (Option<&Usage>, &str),
        others: &[(String, String)],
        out: &mut Vec<u8>,
    ) {
        Object::write(out, |object| {
            object.string("id", &self.id);
            object.string("object", "response");
            object.integer("created_at", self.created);
            object.string("status", status.name());
            object.raw("error", if let Status::Failed(error) = status { error } else { "null" });
            match status {
                Status::Incomplete(reason) if !reason.is_empty() => {
                    object.object("incomplete_details", |details| details.string("reason", reason));
                }
                _ => object.raw("incomplete_details", "null"),
            }
            object.raw("instructions", "null");
            object.string("model", &self.model);
            object.array("output", output, |item, out| out.extend_from_slice(item));
            object.bool("parallel_tool_calls", true);
            object.raw("temperature", "null");
            object.string("tool_choice", "auto");
            object.raw("tools", "[]");
            object.raw("top_p", "null");
            match usage {
                Some(usage) => write_usage(&RESPONSES_USAGE, usage, more_usage, object.name("usage")),
                None => object.raw("usage", "null"),
            }
            for (name, json) in others {
                object.raw(name, json);
            }
        });
    }
}

/// Writes a part of a message with text.
pub(super) fn write_text(text: &str, annotations: &[u8], logprobs: &[u8], out: &mut Vec<u8>) {
    Object::write(out, |part| {
        part.string("type", "output_text");
        part.string("text", text);
        part.begin_array("annotations").elements(annotations);
        part.begin_array("logprobs").elements(logprobs);
    });
}

/// Writes a part of another kind, the text of which is in the field `name`.
pub(super) fn write_part(kind: &str, name: &'static str, text: &str, out: &mut Vec<u8>) {
    Object::write(out, |part| {
        part.string("type", kind);
        part.string(name, text);
    });
}

/// Writes a message with these parts.
pub(super) fn write_message(id: &str, status: &Status, phase: Option<&str>, parts: &[u8], out: &mut Vec<u8>) {
    Object::write(out, |item| {
        item.string("type", "message");
        item.string("id", id);
        item.string("status", status.name());
        item.string("role", "assistant");
        item.begin_array("content").elements(parts);
        if let Some(phase) = phase {
            item.raw("phase", phase);
        }
    });
}

/// Writes reasoning with these summaries.
pub(super) fn write_reasoning(id: &str, summaries: &[u8], encrypted: &str, out: &mut Vec<u8>) {
    Object::write(out, |item| {
        item.string("type", "reasoning");
        item.string("id", id);
        item.begin_array("summary").elements(summaries);
        if !encrypted.is_empty() {
            item.string("encrypted_content", encrypted);
        }
    });
}

/// A call of a tool.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    /// Whether the input is free text.
    pub(super) custom: bool,
    /// The IDs of the item, and of the call, which the result refers to.
    pub(super) id: String,
    pub(super) call_id: String,
    pub(super) name: String,
}

impl Call {
    /// The name of the field with the input.
    pub(super) fn input_name(&self) -> &'static str {
        if self.custom { "input" } else { "arguments" }
    }

    pub(super) fn write(&self, status: &Status, input: &str, out: &mut Vec<u8>) {
        Object::write(out, |item| {
            item.string("type", if self.custom { "custom_tool_call" } else { "function_call" });
            item.string("id", &self.id);
            item.string("call_id", &self.call_id);
            item.string("name", &self.name);
            item.string(self.input_name(), input);
            // Calls of custom tools have no status.
            if !self.custom {
                item.string("status", status.name());
            }
        });
    }
}
