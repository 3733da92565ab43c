//! Writes the messages of a chat request.

use alloc::vec::Vec;

use crate::formats::chat_parts::{text_part, url_part, write_content};
use crate::formats::conversion::Conversion;
use crate::formats::request_reader::Result;
use crate::json::{Object, as_object};
use crate::model::{Content, Json, Message, Part, Role};

/// Why an image that has no such URL is lost.
const FETCH: &str = "Cohere takes data and http URLs only: the caller has to fetch it";

/// Writes the result of a tool as a message.
pub(super) fn result<'a>(c: &Conversion<'_, 'a>, part: &Part<'a>, out: &mut Vec<u8>) -> Result<bool> {
    let Content::ToolResult { id, content: parts, is_error } = &part.content else { return Ok(false) };
    if *is_error == Some(true) {
        c.report_dropped(part.offset, "is_error", "Cohere's results do not say that a tool failed");
    }
    report_cache(c, part);
    let mut object = Object::new(out);
    object.string("role", "tool");
    if let Some(id) = id {
        object.string("tool_call_id", id);
    }
    content(c, &parts.iter().collect::<Vec<_>>(), &Role::Tool, &mut object)?;
    Ok(true)
}

/// Writes a message without the results of tools in it.
pub(super) fn write_message<'a>(
    c: &Conversion<'_, 'a>,
    message: &Message<'a>,
    parts: &[&Part<'a>],
    out: &mut Vec<u8>,
) -> Result<bool> {
    let mut object = Object::new(out);
    // Cohere's own containers do not know the role of developers.
    let is_developer = message.role == Role::Developer && !c.is_native();
    object.string("role", if is_developer { "system" } else { message.role.as_str() });
    if message.name.is_some() {
        c.report_dropped(message.offset, "name", "Cohere's messages have no names");
    }
    let is_call = |part: &&Part<'a>| matches!(part.content, Content::ToolCall { .. });
    // A plan is a string of the message; a thinking item is an object.
    let is_plan = |part: &&Part<'a>| {
        let was_item = c.original.is_none_or(|original| original.is_object(part.offset));
        matches!(part.content, Content::Reasoning { .. }) && part.offset.is_some() && !was_item
    };
    let contents: Vec<_> = parts.iter().copied().filter(|part| !is_call(part) && !is_plan(part)).collect();
    for part in parts.iter().copied().filter(is_plan) {
        if let Content::Reasoning { text, .. } = &part.content {
            text.write(object.name("tool_plan"));
        }
    }
    if !contents.is_empty() || parts.is_empty() {
        content(c, &contents, &message.role, &mut object)?;
    }
    let calls: Vec<_> = parts.iter().copied().filter(is_call).collect();
    if calls.is_empty() {
        return Ok(true);
    }
    let first_call = parts.iter().position(is_call).unwrap_or(0);
    for part in parts[first_call..].iter().filter(|part| !is_call(part)) {
        c.report_approximated(part.offset, "content", "Cohere has all calls of tools behind the content");
    }
    let mut array = object.begin_array("tool_calls");
    for part in calls {
        array.maybe(|out| c.part(part, out, |out| write_call(c, part, out)))?;
    }
    Ok(true)
}

fn write_call<'a>(c: &Conversion<'_, 'a>, part: &Part<'a>, out: &mut Vec<u8>) -> Result<bool> {
    let Content::ToolCall { id, name, input, custom } = &part.content else { return Ok(false) };
    report_cache(c, part);
    let mut call = Object::new(out);
    if let Some(id) = id {
        call.string("id", id);
    }
    call.string("type", "function");
    let mut function = call.begin_object("function");
    function.string("name", name);
    function.string("arguments", &c.input(part, input, *custom)?);
    Ok(true)
}

fn report_cache(c: &Conversion<'_, '_>, part: &Part<'_>) {
    if part.cache.is_some() && !c.is_native() {
        c.report_dropped(part.offset, "cache", "Cohere has no cache points");
    }
}

/// Writes `content`: a string if it is one text, else a list of items.
fn content<'a>(
    c: &Conversion<'_, 'a>,
    parts: &[&Part<'a>],
    role: &Role<'_>,
    object: &mut Object<'_>,
) -> Result<()> {
    if let [part] = parts {
        let was_item = c.original.is_some_and(|original| original.is_object(part.offset));
        if let (Content::Text(text), false) = (&part.content, was_item) {
            report_cache(c, part);
            text.write(object.name("content"));
            return Ok(());
        }
    }
    write_content(c, parts, object, |part, out| write_item(c, part, role, out))
}

fn write_item(c: &Conversion<'_, '_>, part: &Part<'_>, role: &Role<'_>, out: &mut Vec<u8>) -> bool {
    report_cache(c, part);
    let mut object = Object::new(out);
    let (name, why) = match &part.content {
        Content::Text(text) => return text_part(&mut object, "text", text),
        Content::Json(json) => return json_item(c, part, json, role, &mut object),
        Content::Refusal(text) => {
            c.report_approximated(part.offset, "refusal", "Cohere has no refusals: sent as text");
            return text_part(&mut object, "text", text);
        }
        Content::Reasoning { text, signature } => {
            if signature.is_some() {
                c.report_dropped(part.offset, "signature", "Cohere's thinking has no signature");
            }
            return text_part(&mut object, "thinking", text);
        }
        Content::Image { source, detail } if *role == Role::User || c.is_native() => {
            return url_part(c, part, ("image_url", FETCH), source, detail.as_deref(), &mut object);
        }
        Content::Image { .. } => ("content", "Cohere takes images in messages of the user only"),
        Content::Redacted(_) => ("redacted", "Cohere has no redacted reasoning"),
        _ => ("content", "Cohere takes text and images only"),
    };
    c.report_dropped(part.offset, name, why);
    false
}

/// Writes JSON as a document, which only results have.
fn json_item(
    c: &Conversion<'_, '_>,
    part: &Part<'_>,
    json: &Json<'_>,
    role: &Role<'_>,
    object: &mut Object<'_>,
) -> bool {
    if *role == Role::Tool && as_object(json.as_str()).is_some() {
        object.string("type", "document");
        object.begin_object("document").raw("data", json.as_str());
        return true;
    }
    c.report_approximated(part.offset, "json", "JSON is sent as text");
    text_part(object, "text", &json.as_str().into())
}
