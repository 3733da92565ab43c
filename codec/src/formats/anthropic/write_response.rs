//! Writes whole messages.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::formats::anthropic::other_blocks::{join, why_lost};
use crate::formats::anthropic::stop;
use crate::formats::anthropic::write_common::{
    MoreUsage, add_usage, given_id, is_citation, is_own_field, is_own_usage, note_usage, write_usage,
};
use crate::formats::call_ids::CallIds;
use crate::json::Object;
use crate::model::position::ResponseItem;
use crate::model::{Content, Losses, Outcome, Response, ResponseOptions, call_input};

/// Writes a response as a message.
///
/// A message has one choice: the first is written. The [`ResponseOptions`] have defaults for what the source does not have.
pub(crate) fn write_response(response: &Response, context: &ResponseOptions) -> (Vec<u8>, Losses) {
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    let choice = response.only_choice(&mut losses);
    let citations = response.citations(choice, is_citation, &mut losses);
    let id = response.id.as_deref().or(context.id.as_deref());
    let mut ids = CallIds::new(id, response.created.or(context.created));
    Object::write(&mut out, |object| {
        object.string("id", id.unwrap_or("msg_0"));
        object.string("type", "message");
        object.string("role", "assistant");
        object.string("model", response.model.as_deref().or(context.model.as_deref()).unwrap_or(""));
        let mut content = object.begin_array("content");
        for (at, part) in choice.content.iter().enumerate() {
            losses.set_here(response.positions.of(ResponseItem::Part { choice: choice.index, part: at }));
            let cited = citations.get(&at).map_or(&[][..], Vec::as_slice);
            match &part.content {
                Content::Other(json) => match why_lost(response.api, json) {
                    None => {
                        let deltas = part.extension_fields.iter().map(|(_, delta)| delta.value.as_str());
                        let block = join(json.as_str(), deltas, &mut losses);
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
        drop(content);
        let (reason, has_tools) = choice.reason(&response.positions, &mut losses);
        let has_stop = choice.stop.is_some();
        object.string("stop_reason", stop::write(&reason, has_stop, has_tools, &mut losses));
        match &choice.stop {
            Some(stop) => object.string("stop_sequence", stop),
            None => object.json("stop_sequence", "null"),
        }
        losses.set_here(response.positions.of(ResponseItem::Usage));
        let usage = response.usage.unwrap_or_default();
        note_usage(&usage, &mut losses);
        let mut more = MoreUsage::new();
        if response.more_usage(is_own_usage).is_some_and(|json| !add_usage(&mut more, json)) {
            losses.add("other", Outcome::Dropped, "the counts are longer than 64 KiB");
        }
        write_usage(&usage, &more, true, object.name("usage"));
        write_own(response, object, &mut losses);
    });
    losses.find(response.positions.document());
    (out, losses)
}

/// Writes the fields that only Anthropic has. Its reader delivers them unchanged.
fn write_own(response: &Response, object: &mut Object<'_>, losses: &mut Losses) {
    let mut own = BTreeMap::new();
    for (at, (name, json)) in response.others.iter().enumerate() {
        match name.as_deref() {
            Some(name) if is_own_field(name, json) => _ = own.insert(name, json),
            Some(name) if is_own_usage(name, json) => {}
            _ => {
                response.lose_other(None, at, "a message has no place for a field of unknown meaning", losses)
            }
        }
    }
    for (name, json) in own {
        object.raw(name, json.as_str());
    }
}

fn write_block(
    (at, content): (usize, &Content<'_>),
    cited: &[&str],
    ids: &mut CallIds,
    block: &mut Object<'_>,
    losses: &mut Losses,
) {
    match content {
        Content::Text(text) => {
            block.string("type", "text");
            block.string("text", text);
            if !cited.is_empty() {
                block.array("citations", cited, |json, out| out.extend_from_slice(json.as_bytes()));
            }
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
        Content::ToolCall { id, name, input, custom } => {
            block.string("type", "tool_use");
            let given = given_id(id.as_deref(), losses);
            block.string("id", &ids.next(given, "toolu", format_args!("{at}"), losses));
            block.string("name", name);
            block.json("input", &call_input(input, *custom, losses));
        }
        _ => {
            losses.add("other part", Outcome::Approximated, "a message has no such block: an empty text");
            block.string("type", "text");
            block.string("text", "");
        }
    }
}
