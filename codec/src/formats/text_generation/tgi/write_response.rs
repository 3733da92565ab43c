//! Writes whole responses of TGI's `/generate`.

use alloc::vec::Vec;

use crate::formats::text_generation::tgi::write_stream::{FOREIGN, finish_reason, report_usage};
use crate::json::Object;
use crate::model::Content;
use crate::model::position::ResponseItem;
use crate::model::{Losses, Outcome, Response};

/// Writes a response of TGI's `/generate`. `/invocations` returns the same in a list.
///
/// TGI generates text and nothing else: tool calls and reasoning are dropped. `details` are written if the source
/// has a finish reason.
pub(crate) fn write_response(response: &Response) -> (Vec<u8>, Losses) {
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    let choice = response.only_choice(&mut losses);
    response.citations(choice, |_| false, &mut losses);
    for at in 0..response.others.len() {
        response.lose_other(None, at, "there is no place for a field of unknown meaning", &mut losses);
    }
    let usage = response.usage.unwrap_or_default();
    losses.set_here(response.positions.of(ResponseItem::Usage));
    report_usage(&usage, &mut losses);
    if usage.input_tokens.is_some() {
        losses.add("input tokens", Outcome::Dropped, "TGI counts those of the input in streams only");
    }
    if choice.finish.is_none() && usage.output_tokens.is_some() {
        losses.add("usage", Outcome::Dropped, "it belongs to a finish reason, and there is none");
    }
    losses.set_here(response.positions.of(ResponseItem::Finish { choice: choice.index }));
    if choice.stop.is_some() {
        losses.add("stop string", Outcome::Dropped, "TGI does not report which stop string was met");
    }
    let mut text = alloc::string::String::new();
    for (at, part) in choice.content.iter().enumerate() {
        losses.set_here(response.positions.of(ResponseItem::Part { choice: choice.index, part: at }));
        match &part.content {
            Content::Text(more) => text.push_str(more),
            Content::Refusal(more) => {
                losses.add("refusal", Outcome::Approximated, "TGI has no refusals: written as text");
                text.push_str(more);
            }
            Content::ToolCall { .. } => {
                losses.add("tool call", Outcome::Dropped, "TGI generates text, its tools belong to its chat");
            }
            Content::Other(_) => losses.add("other part", Outcome::Dropped, FOREIGN),
            _ => losses.add("reasoning", Outcome::Dropped, "TGI has one kind of text"),
        }
    }
    Object::write(&mut out, |object| {
        object.string("generated_text", &text);
        losses.set_here(response.positions.of(ResponseItem::Finish { choice: choice.index }));
        if let Some(reason) = &choice.finish {
            object.object("details", |details| {
                details.string("finish_reason", finish_reason(reason, choice.stop.as_deref(), &mut losses));
                if usage.output_tokens.is_none() {
                    losses.set_here(response.positions.of(ResponseItem::Usage));
                    losses.add("usage", Outcome::Defaulted, "counts that the source does not give are zero");
                }
                details.integer("generated_tokens", usage.output_tokens.unwrap_or(0));
                details.json("seed", "null");
                details.json("prefill", "[]");
                details.json("tokens", "[]");
            });
        }
    });
    losses.find(response.positions.document());
    (out, losses)
}
