//! Writes whole messages.

use alloc::vec::Vec;

use super::stop;
use super::wire::write_usage;
use crate::chat::request::Content;
use crate::chat::{Choice, Context, FinishReason, Losses, Outcome, Response};
use crate::json::{self, Object};

/// Writes a response as a message.
///
/// A message is one answer: the first choice is written. What the source does not say comes from the [`Context`].
pub fn write_response(response: &Response, context: &Context) -> (Vec<u8>, Losses) {
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    let empty = Choice::default();
    let choice = response.choices.first().unwrap_or(&empty);
    report(response, choice, &mut losses);
    Object::write(&mut out, |object| {
        let id = response.id.as_deref().or(context.id.as_deref());
        object.string("id", id.unwrap_or("msg_0"));
        object.string("type", "message");
        object.string("role", "assistant");
        object.string("model", response.model.as_deref().or(context.model.as_deref()).unwrap_or(""));
        object.array("content", choice.content.iter().enumerate(), |(at, part), out| {
            Object::write(out, |block| write_block(at, &part.content, block, &mut losses));
        });
        object.string("stop_reason", stop_reason(choice, &mut losses));
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

/// What a message has no place for.
fn report(response: &Response, choice: &Choice, losses: &mut Losses) {
    let drops = [
        (response.choices.len() > 1, "choice", "a message is one answer"),
        (!choice.logprobs.is_empty(), "logprobs", "a message has no place for them"),
        (!choice.citations.is_empty(), "citation", "formats disagree on what a citation is"),
        (
            !choice.others.is_empty() || !response.others.is_empty(),
            "other",
            "a member of unknown meaning has no place in a message",
        ),
        (response.malformed > 0, "malformed record", "what could not be read cannot be written"),
    ];
    for (is_lost, what, why) in drops {
        if is_lost {
            losses.add(what, Outcome::Dropped, why);
        }
    }
}

fn stop_reason(choice: &Choice, losses: &mut Losses) -> &'static str {
    let has_tools = choice.tool_calls().next().is_some();
    match &choice.finish {
        Some(FinishReason::Stop) if choice.stop.is_some() => "stop_sequence",
        Some(FinishReason::Stop) if has_tools => {
            losses.add("finish reason", Outcome::Approximated, "`stop` after tool calls is `tool_use`");
            "tool_use"
        }
        Some(reason) => stop::name(reason).unwrap_or_else(|| {
            losses.add("finish reason", Outcome::Approximated, "Anthropic has no name for it");
            match reason {
                FinishReason::ContentFilter | FinishReason::Guardrail => "refusal",
                _ => "end_turn",
            }
        }),
        None => {
            losses.add("finish reason", Outcome::Defaulted, "the source gives none");
            if has_tools { "tool_use" } else { "end_turn" }
        }
    }
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
            let input = if input.trim().is_empty() { "{}" } else { input };
            if json::is_document(input) && input.trim_start().starts_with('{') {
                block.json("input", input);
            } else {
                losses.add("tool call input", Outcome::Approximated, "Anthropic wants an object");
                block.object("input", |object| object.json("input", input));
            }
        }
        _ => {
            losses.add("part", Outcome::Approximated, "a message has no such block: an empty text");
            block.string("type", "text");
            block.string("text", "");
        }
    }
}
