//! Writes whole responses of TGI's `/generate`.

use alloc::vec::Vec;

use super::writer::{finish_reason, note_details};
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
    report(response, choice, &mut losses);
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
            let reason = match reason {
                FinishReason::Stop if choice.stop.is_some() => &FinishReason::StopSequence,
                reason => reason,
            };
            object.object("details", |details| {
                details.string("finish_reason", finish_reason(reason, &mut losses));
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

/// What TGI has no place for.
fn report(response: &Response, choice: &Choice, losses: &mut Losses) {
    let usage = response.usage.unwrap_or_default();
    let has_others = !choice.others.is_empty() || !response.others.is_empty();
    let uncounted = choice.finish.is_none() && usage.output_tokens.is_some();
    let drops = [
        (response.choices.len() > 1, "choice", "TGI answers once"),
        (!choice.logprobs.is_empty(), "logprobs", "formats disagree on what they are"),
        (!choice.citations.is_empty(), "citation", "TGI has no place for it"),
        (choice.stop.is_some(), "stop string", "TGI does not say which one was met"),
        (usage.input_tokens.is_some(), "input tokens", "TGI counts them in streams only"),
        (uncounted, "usage", "it stands beside a finish reason, and there is none"),
        (has_others, "other", "a member of unknown meaning has no place"),
        (response.malformed > 0, "malformed record", "what could not be read cannot be written"),
    ];
    for (is_lost, what, why) in drops {
        if is_lost {
            losses.add(what, Outcome::Dropped, why);
        }
    }
    note_details(&usage, losses);
}
