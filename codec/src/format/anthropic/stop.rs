//! The names of stop reasons.

use crate::chat::FinishReason;

/// What each stop reason means. A reason that is not here is kept as it came.
static REASONS: [(&str, FinishReason<'static>); 7] = [
    ("end_turn", FinishReason::Stop),
    ("stop_sequence", FinishReason::StopSequence),
    ("max_tokens", FinishReason::Length),
    ("tool_use", FinishReason::ToolCalls),
    ("pause_turn", FinishReason::Pause),
    ("refusal", FinishReason::Refusal),
    ("model_context_window_exceeded", FinishReason::ContextWindow),
];

/// What a stop reason means.
pub(super) fn read(name: &[u8]) -> Option<&'static FinishReason<'static>> {
    REASONS.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, reason)| reason)
}

/// The stop reason that means the same.
pub(super) fn name(reason: &FinishReason<'_>) -> Option<&'static str> {
    REASONS.iter().find(|(_, known)| known == reason).map(|(name, _)| *name)
}
