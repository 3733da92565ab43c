//! Writes whole responses of Converse.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::formats::call_ids::CallIds;
use crate::formats::converse::extra_fields::{ExtraFields, is_citation};
use crate::formats::converse::other_blocks as own;
use crate::formats::converse::write_common::{Counts, Names, RESPONSE_FIELDS, write_response_fields};
use crate::formats::converse::write_stream::stop_reason;
use crate::json::Object;
use crate::model::Content;
use crate::model::call_input;
use crate::model::position::ResponseItem;
use crate::model::{Losses, Outcome, Response, ResponseOptions};

/// Writes a response as one of Converse.
///
/// Converse has one choice: the first is written. The latency comes from Bedrock or from the [`ResponseOptions`].
pub(crate) fn write_response(response: &Response, context: &ResponseOptions) -> (Vec<u8>, Losses) {
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    let choice = response.only_choice(&mut losses);
    let citations = response.citations(choice, is_citation, &mut losses);
    let (mut own, latency_ms) = own(response, &mut losses);
    let id = response.id.as_deref().or(context.id.as_deref());
    let mut ids = CallIds::new(id, response.created.or(context.created));
    Object::write(&mut out, |object| {
        object.object("output", |output| {
            output.object("message", |message| {
                message.string("role", "assistant");
                let mut content = message.begin_array("content");
                for (at, part) in choice.content.iter().enumerate() {
                    losses.set_here(
                        response.positions.of(ResponseItem::Part { choice: choice.index, part: at }),
                    );
                    let cited = citations.get(&at).map_or(&[][..], Vec::as_slice);
                    match &part.content {
                        Content::Other(json) => match own::why_lost(response.api, json.as_str()) {
                            None => {
                                let deltas =
                                    part.extension_fields.iter().map(|(_, delta)| delta.value.as_str());
                                let block = own::join(json.as_str(), deltas, &mut losses);
                                content.element().extend_from_slice(block.as_bytes());
                            }
                            Some(why) => losses.add("other part", Outcome::Dropped, why),
                        },
                        known => {
                            let block = &mut content.begin_object();
                            write_block((at, known), cited, &mut ids, block, &mut losses);
                        }
                    }
                }
            });
        });
        let (reason, has_tools) = choice.reason(&response.positions, &mut losses);
        let stop = choice.stop.as_deref();
        object.string("stopReason", stop_reason(&reason, stop.is_some(), has_tools, &mut losses));
        losses.set_here(response.positions.of(ResponseItem::Usage));
        let more = own.remove("usage").unwrap_or_default();
        Counts::new(response.usage.unwrap_or_default(), &mut losses).write(more, object.name("usage"));
        losses.set_here(None);
        let latency_ms = latency_ms.or(context.latency_ms);
        if latency_ms.is_none() {
            losses.add("latency", Outcome::Defaulted, "the source does not give the latency");
        }
        object.object("metrics", |metrics| metrics.integer("latencyMs", latency_ms.unwrap_or(0)));
        // The source's own fields have the stop string and the reasoning tokens, if there are any.
        if !own.contains_key(RESPONSE_FIELDS) {
            write_response_fields(stop, response.usage.as_ref(), object);
        }
        own.into_iter().for_each(|(name, json)| object.raw(name, json));
    });
    losses.find(response.positions.document());
    (out, losses)
}

/// The fields that only Bedrock has, and the latency in them.
fn own<'r>(response: &'r Response, losses: &mut Losses) -> (BTreeMap<&'r str, &'r str>, Option<u64>) {
    let (mut extra_fields, mut own) = (ExtraFields::default(), BTreeMap::new());
    for (at, (name, json)) in response.others.iter().enumerate() {
        match name.as_deref() {
            Some(name) if extra_fields.take(name, json) => {
                own.insert(name, json.as_str());
            }
            _ => {
                response.lose_other(None, at, "Converse has no place for a field of unknown meaning", losses)
            }
        }
    }
    own.remove("metrics");
    (own, extra_fields.latency_ms)
}

fn write_block(
    (at, content): (usize, &Content<'_>),
    cited: &[&str],
    ids: &mut CallIds,
    block: &mut Object<'_>,
    losses: &mut Losses,
) {
    match content {
        Content::Text(text) if !cited.is_empty() => block.object("citationsContent", |content| {
            content.array("content", [text], |text, out| {
                Object::write(out, |piece| piece.string("text", text));
            });
            content.array("citations", cited, |json, out| out.extend_from_slice(json.as_bytes()));
        }),
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
        Content::ToolCall { id, name, input, custom } => block.object("toolUse", |tool| {
            let given = Names::given_id(id.as_deref(), losses);
            tool.string("toolUseId", &ids.next(given, "tooluse", format_args!("{at}"), losses));
            tool.string("name", &Names::tool(Cow::Borrowed(name), losses));
            tool.json("input", &call_input(input, *custom, losses));
        }),
        _ => {
            losses.add("other part", Outcome::Dropped, "Converse has no such block");
        }
    }
}
