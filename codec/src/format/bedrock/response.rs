//! Writes whole responses of Converse.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::writer::{Counts, Names, stop_reason};
use crate::chat::request::Content;
use crate::chat::{Context, Losses, Outcome, Response, input_object};
use crate::json::Object;

/// Writes a response as one of Converse.
///
/// Converse has one answer: the first choice is written. The latency, which no source says, comes from the [`Context`].
pub fn write_response(response: &Response, context: &Context) -> (Vec<u8>, Losses) {
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    let choice = response.only_choice(&mut losses);
    Object::write(&mut out, |object| {
        object.object("output", |output| {
            output.object("message", |message| {
                message.string("role", "assistant");
                message.array("content", choice.content.iter().enumerate(), |(at, part), out| {
                    Object::write(out, |block| write_block(at, &part.content, block, &mut losses));
                });
            });
        });
        let (reason, has_tools) = choice.reason(&mut losses);
        let stop = choice.stop.as_deref();
        object.string("stopReason", stop_reason(&reason, stop.is_some(), has_tools, &mut losses));
        Counts::new(response.usage.unwrap_or_default(), &mut losses).write(object.name("usage"));
        if context.latency_ms.is_none() {
            losses.add("latency", Outcome::Defaulted, "nobody said how long it took");
        }
        object.object("metrics", |metrics| metrics.integer("latencyMs", context.latency_ms.unwrap_or(0)));
        if let Some(stop) = stop {
            object.object("additionalModelResponseFields", |fields| fields.string("stop_sequence", stop));
        }
    });
    (out, losses)
}

fn write_block(at: usize, content: &Content<'_>, block: &mut Object<'_>, losses: &mut Losses) {
    match content {
        Content::Text(text) => block.string("text", text),
        Content::Refusal(text) => {
            losses.add("refusal", Outcome::Approximated, "Converse has no refusals: written as text");
            block.string("text", text);
        }
        Content::Reasoning { text, signature } => block.object("reasoningContent", |reasoning| {
            reasoning.object("reasoningText", |inner| {
                inner.string("text", text);
                if let Some(signature) = signature {
                    inner.string("signature", signature);
                }
            });
        }),
        Content::Redacted(data) => {
            block.object("reasoningContent", |reasoning| reasoning.string("redactedContent", data));
        }
        Content::ToolCall { id, name, input } => block.object("toolUse", |tool| {
            let given = id.as_deref().map_or_else(
                || {
                    losses.add("tool call id", Outcome::Defaulted, "the source gives none");
                    Cow::Owned(alloc::format!("tooluse_{at}"))
                },
                Cow::Borrowed,
            );
            tool.string("toolUseId", &Names::id(given, losses));
            tool.string("name", &Names::tool(Cow::Borrowed(name), losses));
            tool.json("input", &input_object(input, losses));
        }),
        _ => {
            losses.add("part", Outcome::Dropped, "Converse has no such block");
        }
    }
}
