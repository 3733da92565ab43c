//! Writes whole completions, which have text and nothing else.

use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::logprobs;
use crate::formats::openai_chat::finish_reason::completion_reason;
use crate::formats::openai_chat::write_completion_stream::{REFUSAL, TEXT_ONLY};
use crate::formats::openai_chat::write_response::{
    joined_logprobs, write_object, write_others, write_reason,
};
use crate::json::Object;
use crate::model::position::ResponseItem;
use crate::model::{Choice, Content, Losses, Outcome, Response, ResponseOptions};

/// Writes a response as a completion. Several texts of one choice become one.
pub(crate) fn write_completion(response: &Response, context: &ResponseOptions) -> (Vec<u8>, Losses) {
    write_object(response, context, ["cmpl-0", "text_completion"], |choice, out, losses| {
        Object::write(out, |object| write_choice(response, choice, object, losses));
    })
}

fn write_choice(response: &Response, choice: &Choice, object: &mut Object<'_>, losses: &mut Losses) {
    let index = choice.index;
    let mut text = String::new();
    for (part, content) in choice.content.iter().map(|part| &part.content).enumerate() {
        losses.set_here(response.positions.of(ResponseItem::Part { choice: index, part }));
        let lost = match content {
            Content::Text(more) => {
                text.push_str(more);
                continue;
            }
            Content::Refusal(more) => {
                text.push_str(more);
                losses.add("refusal", Outcome::Approximated, REFUSAL);
                continue;
            }
            Content::ToolCall { .. } => "tool call",
            Content::Reasoning { .. } | Content::Redacted(_) => "reasoning",
            _ => "other part",
        };
        losses.add(lost, Outcome::Dropped, TEXT_ONLY);
    }
    for at in 0..choice.citations.len() {
        losses.set_here(response.positions.of(ResponseItem::Citation { choice: index, index: at }));
        losses.add("citation", Outcome::Dropped, TEXT_ONLY);
    }
    response.lose_phases(choice, losses);
    object.integer("index", index.into());
    object.string("text", &text);
    let mut offset = 0;
    let convert = |json, losses: &mut Losses| logprobs::of_completion(json, &mut offset, losses);
    match joined_logprobs(response, choice, &logprobs::COMPLETION, losses, convert) {
        Some(logprobs) => object.json("logprobs", &logprobs),
        None => object.json("logprobs", "null"),
    }
    let (reason, _) = choice.reason(&response.positions, losses);
    let reason = completion_reason(&reason, losses);
    write_reason(reason, choice, object, losses);
    write_others(response, Some(choice), |_| true, object, losses);
}
