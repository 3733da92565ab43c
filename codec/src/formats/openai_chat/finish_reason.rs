//! Why a choice ended, in OpenAI's terms.

use alloc::vec::Vec;

use crate::json::write_string;
use crate::model::{FinishReason, Losses, Outcome, PAUSED};

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

/// The finish reason of a completion, which has no calls.
pub(crate) fn completion_reason<'r, 'a>(
    reason: &'r FinishReason<'a>,
    losses: &mut Losses,
) -> &'r FinishReason<'a> {
    if !matches!(reason, FinishReason::ToolCalls) {
        return reason;
    }
    losses.add("finish reason", Outcome::Approximated, "a completion has no calls: `stop`");
    &FinishReason::Stop
}

/// Appends the finish reason, the last field of a choice in a chunk, and the end of the choices.
pub(crate) fn write_finish(reason: &FinishReason<'_>, stop: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"finish_reason\":");
    write_string(finish_reason(reason), out);
    if let Some(stop) = stop {
        // vLLM's name for it.
        out.extend_from_slice(b",\"stop_reason\":");
        write_string(stop, out);
    }
    out.extend_from_slice(b"}]");
}
