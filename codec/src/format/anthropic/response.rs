//! Writes whole messages.

use alloc::vec::Vec;

use super::stop;
use super::wire::write_usage;
use crate::chat::request::Content;
use crate::chat::{Context, Losses, Outcome, Response, input_object};
use crate::json::Object;

/// Writes a response as a message.
///
/// A message is one answer: the first choice is written. What the source does not say comes from the [`Context`].
pub fn write_response(response: &Response, context: &Context) -> (Vec<u8>, Losses) {
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    let choice = response.only_choice(&mut losses);
    Object::write(&mut out, |object| {
        let id = response.id.as_deref().or(context.id.as_deref());
        object.string("id", id.unwrap_or("msg_0"));
        object.string("type", "message");
        object.string("role", "assistant");
        object.string("model", response.model.as_deref().or(context.model.as_deref()).unwrap_or(""));
        object.array("content", choice.content.iter().enumerate(), |(at, part), out| {
            Object::write(out, |block| write_block(at, &part.content, block, &mut losses));
        });
        let (reason, has_tools) = choice.reason(&mut losses);
        let has_stop = choice.stop.is_some();
        object.string("stop_reason", stop::write(&reason, has_stop, has_tools, &mut losses));
        match &choice.stop {
            Some(stop) => object.string("stop_sequence", stop),
            None => object.json("stop_sequence", "null"),
        }
        let usage = response.usage.unwrap_or_default();
        if usage.input_tokens.is_none() || usage.output_tokens.is_none() {
            losses.add("usage", Outcome::Defaulted, "counts that the source does not give are zero");
        }
        write_usage(&usage, true, object.name("usage"));
    });
    (out, losses)
}

fn write_block(at: usize, content: &Content<'_>, block: &mut Object<'_>, losses: &mut Losses) {
    match content {
        Content::Text(text) => {
            block.string("type", "text");
            block.string("text", text);
        }
        Content::Refusal(text) => {
            losses.add("refusal", Outcome::Approximated, "a message has no refusals: written as text");
            block.string("type", "text");
            block.string("text", text);
        }
        Content::Reasoning { text, signature } => {
            block.string("type", "thinking");
            block.string("thinking", text);
            block.string("signature", signature.as_deref().unwrap_or(""));
        }
        Content::Redacted(data) => {
            block.string("type", "redacted_thinking");
            block.string("data", data);
        }
        Content::ToolCall { id, name, input } => {
            block.string("type", "tool_use");
            match id {
                Some(id) => block.string("id", id),
                None => {
                    losses.add("tool call id", Outcome::Defaulted, "the source gives none");
                    block.string("id", &alloc::format!("toolu_{at}"));
                }
            }
            block.string("name", name);
            block.json("input", &input_object(input, losses));
        }
        _ => {
            losses.add("part", Outcome::Approximated, "a message has no such block: an empty text");
            block.string("type", "text");
            block.string("text", "");
        }
    }
}
