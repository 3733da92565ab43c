//! Writes whole responses of TGI's `/generate`.

use alloc::vec::Vec;

use crate::chat::request::Content;
use crate::chat::{Choice, Context, FinishReason, Losses, Outcome, Response};
use crate::json::Object;

/// Writes a response as TGI's `/generate` answers; on `/invocations` it stands in a list.
///
/// TGI generates text and nothing else: tool calls and reasoning are dropped. `details` are written where the source
/// says why it ended.
pub fn write_response(response: &Response, _: &Context) -> (Vec<u8>, Losses) {
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    let empty = Choice::default();
    let choice = response.choices.first().unwrap_or(&empty);
    if response.choices.len() > 1 {
        losses.add("choice", Outcome::Dropped, "TGI answers once");
    }
    if !choice.logprobs.is_empty() {
        losses.add("logprobs", Outcome::Dropped, "formats disagree on what they are");
    }
    if !choice.others.is_empty() || !response.others.is_empty() {
        losses.add("other", Outcome::Dropped, "a member of unknown meaning has no place");
    }
    if response.malformed > 0 {
        losses.add("malformed record", Outcome::Dropped, "what could not be read cannot be written");
    }
    let mut text = alloc::string::String::new();
    for part in &choice.content {
        match &part.content {
            Content::Text(more) => text.push_str(more),
            Content::Refusal(more) => {
                losses.add("refusal", Outcome::Approximated, "TGI has no refusals: written as text");
                text.push_str(more);
            }
            Content::ToolCall { .. } => {
                losses.add("tool call", Outcome::Dropped, "TGI generates text, its tools belong to its chat");
            }
            _ => losses.add("reasoning", Outcome::Dropped, "TGI has one kind of text"),
        }
    }
    Object::write(&mut out, |object| {
        object.string("generated_text", &text);
        if let Some(reason) = &choice.finish {
            object.object("details", |details| {
                details.string("finish_reason", finish_reason(reason, choice.stop.is_some(), &mut losses));
                let generated = response.usage.and_then(|usage| usage.output_tokens);
                if generated.is_none() {
                    losses.add("usage", Outcome::Defaulted, "counts that the source does not give are zero");
                }
                details.integer("generated_tokens", generated.unwrap_or(0));
                details.json("seed", "null");
                details.json("prefill", "[]");
                details.json("tokens", "[]");
            });
        }
    });
    (out, losses)
}

fn finish_reason(reason: &FinishReason<'_>, has_stop: bool, losses: &mut Losses) -> &'static str {
    match reason {
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Stop if has_stop => "stop_sequence",
        FinishReason::Stop => "eos_token",
        FinishReason::Length => "length",
        _ => {
            losses.add("finish reason", Outcome::Approximated, "TGI has no name for it: `eos_token`");
            "eos_token"
        }
    }
}
