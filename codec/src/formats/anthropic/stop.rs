//! The names of stop reasons.

use crate::model::{FinishReason, Losses, Outcome};

/// The meaning of each stop reason. Any other reason is kept unchanged.
static REASONS: [(&str, FinishReason<'static>); 8] = [
    ("end_turn", FinishReason::Stop),
    ("stop_sequence", FinishReason::StopSequence),
    ("max_tokens", FinishReason::Length),
    ("tool_use", FinishReason::ToolCalls),
    ("pause_turn", FinishReason::Pause),
    ("compaction", FinishReason::Compaction),
    ("refusal", FinishReason::Refusal),
    ("model_context_window_exceeded", FinishReason::ContextWindow),
];

/// The meaning of a stop reason.
pub(crate) fn read(name: &[u8]) -> Option<&'static FinishReason<'static>> {
    REASONS.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, reason)| reason)
}

/// The equivalent or nearest stop reason; a reason with an unknown name is written unchanged. `has_stop` is true if a stop
/// string ended the response.
pub(crate) fn write<'a>(
    reason: &'a FinishReason<'_>,
    has_stop: bool,
    has_tools: bool,
    losses: &mut Losses,
) -> &'a str {
    let (name, why) = match reason {
        FinishReason::Stop if has_stop => return "stop_sequence",
        // vLLM sends `stop` when the request forced the tool; for the caller it is still a tool call.
        FinishReason::Stop if has_tools => ("tool_use", "`stop` after tool calls is `tool_use`"),
        FinishReason::ContentFilter | FinishReason::Guardrail => {
            ("refusal", "what was withheld is a `refusal`")
        }
        FinishReason::MalformedOutput | FinishReason::MalformedToolUse => {
            ("end_turn", "malformed output is `end_turn`")
        }
        reason => {
            let name = REASONS.iter().find(|(_, known)| known == reason).map(|(name, _)| *name);
            return name.unwrap_or(reason.as_str());
        }
    };
    losses.add("finish reason", Outcome::Approximated, why);
    name
}
