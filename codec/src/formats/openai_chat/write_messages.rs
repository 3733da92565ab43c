//! Writes the messages of a chat completion request.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use core::convert::Infallible;

use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::{Put, has};
use crate::formats::media;
use crate::json::{Array, Object, write_escaped};
use crate::model::{Content, Message, Part, Role, Source, Text};

pub(crate) fn write_messages(c: &Conversion<'_, '_>, messages: &[Message<'_>], mut array: Array<'_>) {
    for message in messages {
        let mut parts = Vec::with_capacity(message.content.len());
        for part in &message.content {
            match &part.content {
                Content::ToolResult { .. } => result(c, message, part, &mut array),
                _ => parts.push(part),
            }
        }
        // Results are messages of their own, before what else the user says.
        if parts.is_empty() && !message.content.is_empty() {
            continue;
        }
        let mut object = array.begin_object();
        object.string("role", message.role.as_str());
        if let Some(name) = &message.name {
            object.string("name", name);
        }
        match message.role {
            Role::Assistant => assistant(c, message, &parts, &mut object),
            _ => content(c, &parts, message.role == Role::User, &mut object),
        }
        if c.same {
            object.extension_fields(&message.extension_fields, "");
        }
    }
}

fn result(c: &Conversion<'_, '_>, message: &Message<'_>, part: &Part<'_>, array: &mut Array<'_>) {
    let Content::ToolResult { id, content: parts, is_error } = &part.content else { return };
    let mut object = array.begin_object();
    // Before tools had IDs, there were functions.
    let is_function = id.is_none() && message.name.is_some();
    object.string("role", if is_function { "function" } else { "tool" });
    if let Some(name) = message.name.as_deref().filter(|_| message.role == Role::Tool) {
        object.string("name", name);
    }
    if let Some(id) = id {
        object.string("tool_call_id", id);
    }
    if *is_error == Some(true) {
        c.report_dropped(part.offset, "is_error", "OpenAI's results do not say that a tool failed");
    }
    if part.cache.is_some() && !c.same {
        c.report_dropped(part.offset, "cache", "OpenAI's results have no cache points");
    }
    let parts: Vec<_> = parts.iter().collect();
    content(c, &parts, false, &mut object);
    if c.same && message.role == Role::Tool {
        object.extension_fields(&message.extension_fields, "");
    }
}

fn assistant(c: &Conversion<'_, '_>, message: &Message<'_>, parts: &[&Part<'_>], object: &mut Object<'_>) {
    let (mut thoughts, mut refusal, mut thoughts_at) = (None, None, None);
    let (mut said, mut calls) = (Vec::new(), Vec::new());
    for part in parts {
        match &part.content {
            Content::Reasoning { text, signature } => {
                if signature.is_some() {
                    c.report_dropped(part.offset, "signature", "OpenAI's reasoning has no signature");
                }
                append(&mut thoughts, text);
                thoughts_at = thoughts_at.or(part.offset);
            }
            Content::Redacted(_) => c.report_dropped(part.offset, "redacted", "OpenAI has no redacted reasoning"),
            Content::Refusal(text) if !is_object(c, part) => {
                append(&mut refusal, text);
            }
            Content::ToolCall { .. } => calls.push(*part),
            _ => {
                if !calls.is_empty() {
                    c.report_approximated(part.offset, "content", "OpenAI has all calls of tools behind the text");
                }
                said.push(*part);
            }
        }
    }
    if let Some(thoughts) = thoughts {
        let name = if c.is_spelled(thoughts_at, "reasoning") { "reasoning" } else { "reasoning_content" };
        object.text(name, &thoughts);
    }
    if !said.is_empty() {
        content(c, &said, false, object);
    } else if !c.same || !has(&message.extension_fields, "content") {
        object.raw("content", "null");
    }
    if let Some(refusal) = refusal {
        object.text("refusal", &refusal);
    }
    write_calls(c, &calls, object);
}

/// Adds a text to others; one alone stays as it is.
fn append<'p, 'a>(texts: &mut Option<Cow<'p, Text<'a>>>, text: &'p Text<'a>) {
    match texts {
        None => *texts = Some(Cow::Borrowed(text)),
        Some(texts) => texts.to_mut().to_mut().push_str(text),
    }
}

fn write_calls(c: &Conversion<'_, '_>, calls: &[&Part<'_>], object: &mut Object<'_>) {
    if let [part] = calls {
        if let Content::ToolCall { id: None, name, input, custom: false } = &part.content {
            let mut call = object.begin_object("function_call");
            call.string("name", name);
            write_arguments(c, &mut call, input);
            if c.same {
                call.extension_fields(&part.extension_fields, "function_call");
            }
            return;
        }
    }
    if calls.is_empty() {
        return;
    }
    let mut array = object.begin_array("tool_calls");
    for part in calls {
        if part.cache.is_some() {
            c.report_dropped(part.offset, "cache", "OpenAI's calls of tools have no cache points");
        }
        let Content::ToolCall { id, name, input, custom } = &part.content else { continue };
        let mut call = array.begin_object();
        if let Some(id) = id {
            call.string("id", id);
        }
        let kind = if *custom { "custom" } else { "function" };
        call.string("type", kind);
        let mut tool = call.begin_object(kind);
        tool.string("name", name);
        if *custom {
            tool.text("input", input);
        } else {
            write_arguments(c, &mut tool, input);
        }
        if c.same {
            tool.extension_fields(&part.extension_fields, kind);
            drop(tool);
            call.extension_fields(&part.extension_fields, "");
        }
    }
}

fn write_arguments(c: &Conversion<'_, '_>, function: &mut Object<'_>, input: &Text<'_>) {
    if input.is_empty() && !c.same {
        function.string("arguments", "{}");
    } else {
        function.text("arguments", input);
    }
}

/// Whether a part stood as an object of its own in the source, and the target is of its format.
fn is_object(c: &Conversion<'_, '_>, part: &Part<'_>) -> bool {
    c.first_byte(part.offset) == Some(b'{')
}

/// Writes `content`: a string where it is nothing but text, which every container takes, else a list of parts.
fn content(c: &Conversion<'_, '_>, parts: &[&Part<'_>], is_user: bool, object: &mut Object<'_>) {
    let cached = parts.iter().filter(|part| part.cache.is_some() && !c.same);
    cached.for_each(|part| c.report_dropped(part.offset, "cache", "containers with OpenAI's chat cache by themselves"));
    if is_text(c, parts) {
        return write_text(c, parts, object.name("content"));
    }
    let mut written = Vec::new();
    let mut array = Array::new(&mut written);
    let mut any = false;
    for part in parts {
        let kept = array.maybe(|out| Ok::<_, Infallible>(write_part(c, part, is_user, out)));
        any |= kept == Ok(true);
    }
    drop(array);
    if any {
        object.name("content").append(&mut written);
    } else {
        object.string("content", "");
    }
}

/// Whether parts are nothing but text. Several become one: not every container takes a list.
fn is_text(c: &Conversion<'_, '_>, parts: &[&Part<'_>]) -> bool {
    let is_text = |part: &&Part<'_>| match &part.content {
        _ if c.same && (is_object(c, part) || part.cache.is_some()) => false,
        Content::Text(_) | Content::Json(_) => true,
        _ => false,
    };
    parts.iter().all(is_text)
}

fn write_text(c: &Conversion<'_, '_>, parts: &[&Part<'_>], out: &mut Vec<u8>) {
    out.push(b'"');
    for (index, part) in parts.iter().enumerate() {
        if index == 1 {
            let why = "texts are joined by lines: not every container takes a list";
            c.report_approximated(part.offset, "content", why);
        }
        if index > 0 {
            out.extend_from_slice(b"\\n");
        }
        match &part.content {
            Content::Json(json) => {
                c.report_approximated(part.offset, "json", "JSON is sent as text");
                write_escaped(json.as_str(), out);
            }
            Content::Text(text) => text.write_inside(out),
            _ => {}
        }
    }
    out.push(b'"');
}

fn write_part(c: &Conversion<'_, '_>, part: &Part<'_>, is_user: bool, out: &mut Vec<u8>) -> bool {
    let is_medium = matches!(
        part.content,
        Content::Image { .. } | Content::Audio { .. } | Content::Video { .. } | Content::Document { .. }
    );
    if is_medium && !is_user && !c.same {
        c.report_dropped(part.offset, "content", "OpenAI takes media in messages of the user only");
        return false;
    }
    let before = out.len();
    let mut object = Object::new(out);
    let written = match &part.content {
        Content::Text(text) => text_part(&mut object, "text", text),
        Content::Json(json) => {
            c.report_approximated(part.offset, "json", "JSON is sent as text");
            text_part(&mut object, "text", &json.as_str().into())
        }
        Content::Refusal(text) => text_part(&mut object, "refusal", text),
        Content::Other(other) if c.same => {
            drop(object);
            out.truncate(before);
            out.extend_from_slice(other.as_str().as_bytes());
            return true;
        }
        Content::Image { source, detail } => image(c, part, source, detail.as_deref(), &mut object),
        Content::Audio { source: Source::Base64 { media_type, data } } => {
            object.string("type", "input_audio");
            let mut audio = object.begin_object("input_audio");
            audio.text("data", data);
            audio.string("format", media::short_name(media_type));
            if c.same {
                audio.extension_fields(&part.extension_fields, "input_audio");
            }
            true
        }
        Content::Audio { source } => link(c, part, "audio_url", source, &mut object),
        Content::Video { source } => link(c, part, "video_url", source, &mut object),
        Content::Document { source, name } => document(c, part, source, name.as_deref(), &mut object),
        _ => {
            c.report_dropped(part.offset, "content", "OpenAI has no such part");
            false
        }
    };
    if let (true, true, Some(cache)) = (written, c.same, &part.cache) {
        object.raw("prompt_cache_breakpoint", cache.as_str());
    }
    if c.same {
        object.extension_fields(&part.extension_fields, "");
    }
    drop(object);
    if !written {
        out.truncate(before);
    }
    written
}

fn text_part(object: &mut Object<'_>, kind: &'static str, text: &Text<'_>) -> bool {
    object.string("type", kind);
    object.text(kind, text);
    true
}

fn image(
    c: &Conversion<'_, '_>,
    part: &Part<'_>,
    source: &Source<'_>,
    detail: Option<&str>,
    object: &mut Object<'_>,
) -> bool {
    let Some(url) = reachable(c, part, source) else { return false };
    object.string("type", "image_url");
    let mut image = object.begin_object("image_url");
    image.string("url", &url);
    if let Some(detail) = detail {
        image.string("detail", detail);
    }
    if c.same {
        image.extension_fields(&part.extension_fields, "image_url");
    }
    true
}

fn link(
    c: &Conversion<'_, '_>,
    part: &Part<'_>,
    kind: &'static str,
    source: &Source<'_>,
    object: &mut Object<'_>,
) -> bool {
    let Some(url) = reachable(c, part, source) else { return false };
    object.string("type", kind);
    let mut link = object.begin_object(kind);
    link.string("url", &url);
    if c.same {
        link.extension_fields(&part.extension_fields, kind);
    }
    true
}

/// The URL under which the target finds the bytes.
fn reachable<'s>(c: &Conversion<'_, '_>, part: &Part<'_>, source: &'s Source<'_>) -> Option<Cow<'s, str>> {
    let url = media::to_url(source).filter(|url| c.same || !url.starts_with("s3:"));
    if url.is_none() {
        c.report_dropped(part.offset, "source", "OpenAI takes data and http URLs only: the caller has to fetch it");
    }
    url
}

fn document(
    c: &Conversion<'_, '_>,
    part: &Part<'_>,
    source: &Source<'_>,
    name: Option<&str>,
    object: &mut Object<'_>,
) -> bool {
    let is_elsewhere = match source {
        Source::Url(_) => true,
        Source::File(_) => !c.same,
        _ => false,
    };
    if is_elsewhere && !(c.same && matches!(source, Source::Url(_))) {
        c.report_dropped(
            part.offset,
            "source",
            "OpenAI's chat takes the bytes of a document: the caller has to fetch it",
        );
        return false;
    }
    object.string("type", "file");
    let mut file = object.begin_object("file");
    match source {
        Source::File(id) => file.string("file_id", id),
        Source::Base64 { media_type, data } if media_type.is_empty() => file.text("file_data", data),
        _ => {
            if let Some(url) = media::to_url(source) {
                file.string("file_data", &url);
            }
        }
    }
    if let Some(name) = name {
        file.string("filename", name);
    }
    if c.same {
        file.extension_fields(&part.extension_fields, "file");
    }
    true
}
