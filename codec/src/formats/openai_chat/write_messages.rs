//! Writes the messages of a chat completion request.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::chat_parts::{text_part, url_part, write_content};
use crate::formats::conversion::Conversion;
use crate::formats::media;
use crate::formats::request_reader::Result;
use crate::formats::thinking::write_thinking;
use crate::json::{Array, Object, write_escaped};
use crate::model::{Content, Message, Part, Role, Source, Text};

/// Why a file that has no such URL is lost.
const FETCH: &str = "OpenAI takes data and http URLs only: the caller has to fetch it";

/// Writes messages. Results of tools are messages of their own, before the rest of their message.
pub(crate) fn write_messages<'a>(
    c: &Conversion<'_, 'a>,
    messages: &[Message<'a>],
    array: Array<'_>,
) -> Result<()> {
    c.messages_and_results(
        messages,
        array,
        |message, part, out| result(c, message, part, out),
        |message, parts, out| write_message(c, message, parts, out),
    )
}

fn write_message<'a>(
    c: &Conversion<'_, 'a>,
    message: &Message<'a>,
    parts: &[&Part<'a>],
    out: &mut Vec<u8>,
) -> Result<bool> {
    let start = out.len();
    let mut object = Object::new(out);
    object.string("role", message.role.as_str());
    if let Some(name) = &message.name {
        object.string("name", name);
    }
    match message.role {
        Role::Assistant => assistant(c, parts, &mut object)?,
        _ => content(c, parts, message.role == Role::User, &mut object)?,
    }
    if let Some(phase) = c.phase(message) {
        object.raw("phase", phase);
    }
    drop(object);
    // The fields of a deprecated `function_call` are the message's.
    if let [.., Part { content: Content::ToolCall { id: None, .. }, extension_fields, .. }] = parts {
        if extension_fields.iter().all(|(path, _)| path.starts_with("function_call/")) {
            c.put_back(out, start, extension_fields);
        }
    }
    Ok(true)
}

fn result<'a>(
    c: &Conversion<'_, 'a>,
    message: &Message<'a>,
    part: &Part<'a>,
    out: &mut Vec<u8>,
) -> Result<bool> {
    let Content::ToolResult { id, content: parts, is_error } = &part.content else { return Ok(false) };
    let mut object = Object::new(out);
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
    if part.cache.is_some() {
        c.report_dropped(part.offset, "cache", "OpenAI's results have no cache points");
    }
    let parts: Vec<_> = parts.iter().collect();
    content(c, &parts, false, &mut object)?;
    Ok(true)
}

fn assistant<'a>(c: &Conversion<'_, 'a>, parts: &[&Part<'a>], object: &mut Object<'_>) -> Result<()> {
    let (mut thoughts, mut refusal) = (None, None);
    let (mut contents, mut calls) = (Vec::new(), Vec::new());
    let blocks: Vec<_> = parts.iter().filter(|part| is_thinking(part) && !c.is_copied(part)).collect();
    let has_blocks = c.is_native() && blocks.iter().any(|part| is_provider_checked(part));
    for part in parts {
        match &part.content {
            // A part of the content list.
            Content::Reasoning { .. } | Content::Redacted(_) if c.is_copied(part) => contents.push(*part),
            Content::Reasoning { text, signature } => {
                if signature.is_some() && !has_blocks {
                    c.report_dropped(part.offset, "signature", "OpenAI's reasoning has no signature");
                }
                append(&mut thoughts, text);
            }
            Content::Redacted(_) if has_blocks => {}
            Content::Redacted(_) => {
                c.report_dropped(part.offset, "redacted", "OpenAI has no redacted reasoning");
            }
            Content::Refusal(text) if !c.is_copied(part) => append(&mut refusal, text),
            Content::ToolCall { .. } => calls.push(*part),
            _ => {
                if !calls.is_empty() && !matches!(part.content, Content::Other(_)) {
                    let reason = "OpenAI has all calls of tools behind the text";
                    c.report_approximated(part.offset, "content", reason);
                }
                contents.push(*part);
            }
        }
    }
    if let Some(thoughts) = thoughts {
        thoughts.write(object.name("reasoning_content"));
    }
    if has_blocks {
        let mut array = object.begin_array("thinking_blocks");
        blocks.iter().for_each(|part| write_thinking(&part.content, &mut array.begin_object()));
    }
    if contents.is_empty() {
        object.raw("content", "null");
    } else {
        content(c, &contents, false, object)?;
    }
    if let Some(refusal) = refusal {
        refusal.write(object.name("refusal"));
    }
    write_calls(c, &calls, object)
}

fn is_thinking(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Reasoning { .. } | Content::Redacted(_))
}

/// Whether its provider checks that it comes back unchanged.
fn is_provider_checked(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Reasoning { signature: Some(_), .. } | Content::Redacted(_))
}

/// Adds a text to others; a single one stays as it is.
fn append<'p, 'a>(texts: &mut Option<Cow<'p, Text<'a>>>, text: &'p Text<'a>) {
    match texts {
        None => *texts = Some(Cow::Borrowed(text)),
        Some(texts) => texts.to_mut().to_mut().push_str(text),
    }
}

fn write_calls<'a>(c: &Conversion<'_, 'a>, calls: &[&Part<'a>], object: &mut Object<'_>) -> Result<()> {
    if let [part] = calls {
        if let Content::ToolCall { id: None, name, input, custom: false } = &part.content {
            let mut call = object.begin_object("function_call");
            call.string("name", name);
            write_arguments(&mut call, input);
            return Ok(());
        }
    }
    if calls.is_empty() {
        return Ok(());
    }
    let mut array = object.begin_array("tool_calls");
    for part in calls {
        array.maybe(|out| c.part(part, out, |out| Ok(write_call(c, part, out))))?;
    }
    Ok(())
}

fn write_call(c: &Conversion<'_, '_>, part: &Part<'_>, out: &mut Vec<u8>) -> bool {
    let Content::ToolCall { id, name, input, custom } = &part.content else { return false };
    if part.cache.is_some() {
        c.report_dropped(part.offset, "cache", "OpenAI's calls of tools have no cache points");
    }
    let mut call = Object::new(out);
    if let Some(id) = id {
        call.string("id", id);
    }
    let kind = if *custom { "custom" } else { "function" };
    call.string("type", kind);
    let mut tool = call.begin_object(kind);
    tool.string("name", name);
    if *custom {
        input.write(tool.name("input"));
    } else {
        write_arguments(&mut tool, input);
    }
    true
}

fn write_arguments(function: &mut Object<'_>, input: &Text<'_>) {
    if input.is_empty() {
        function.string("arguments", "{}");
    } else {
        input.write(function.name("arguments"));
    }
}

/// Writes `content`: a string if it is only text, which every container accepts, else a list of parts.
fn content<'a>(
    c: &Conversion<'_, 'a>,
    parts: &[&Part<'a>],
    is_user: bool,
    object: &mut Object<'_>,
) -> Result<()> {
    for part in parts.iter().filter(|part| part.cache.is_some() && !c.keeps_openai_fields()) {
        c.report_dropped(part.offset, "cache", "containers with OpenAI's chat cache by themselves");
    }
    if is_text(c, parts) {
        write_text(c, parts, object.name("content"));
        return Ok(());
    }
    write_content(c, parts, object, |part, out| write_part(c, part, is_user, out))
}

/// Whether parts are only text that can be joined: not every container takes a list.
fn is_text<'a>(c: &Conversion<'_, 'a>, parts: &[&Part<'a>]) -> bool {
    let is_text = |part: &&Part<'a>| matches!(&part.content, Content::Text(_) | Content::Json(_));
    let has_cache = c.keeps_openai_fields() && parts.iter().any(|part| part.cache.is_some());
    let is_list = has_cache
        || match parts {
            [part] => c.is_native() && (c.is_copied(part) || !part.extension_fields.is_empty()),
            _ => c.is_native() && !parts.is_empty(),
        };
    !is_list && parts.iter().all(is_text)
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
    let is_media = matches!(
        part.content,
        Content::Image { .. } | Content::Audio { .. } | Content::Video { .. } | Content::Document { .. }
    );
    if is_media && !is_user && !c.is_native() {
        c.report_dropped(part.offset, "content", "OpenAI takes media in messages of the user only");
        return false;
    }
    let mut object = Object::new(out);
    let written = match &part.content {
        Content::Text(text) => text_part(&mut object, "text", text),
        Content::Json(json) => {
            c.report_approximated(part.offset, "json", "JSON is sent as text");
            text_part(&mut object, "text", &json.as_str().into())
        }
        Content::Refusal(text) => text_part(&mut object, "refusal", text),
        Content::Image { source, detail } => {
            url_part(c, part, ("image_url", FETCH), source, detail.as_deref(), &mut object)
        }
        Content::Audio { source: Source::Base64 { media_type, data } } => {
            object.string("type", "input_audio");
            let mut audio = object.begin_object("input_audio");
            data.write(audio.name("data"));
            audio.string("format", media::short_name(media_type));
            true
        }
        Content::Audio { source } => url_part(c, part, ("audio_url", FETCH), source, None, &mut object),
        Content::Video { source } => url_part(c, part, ("video_url", FETCH), source, None, &mut object),
        Content::Document { source, name } => document(c, part, source, name.as_deref(), &mut object),
        _ => {
            c.report_dropped(part.offset, "content", "OpenAI has no such part");
            false
        }
    };
    if let (true, true, Some(cache)) = (written, c.keeps_openai_fields(), &part.cache) {
        object.raw("prompt_cache_breakpoint", cache.as_str());
    }
    written
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
        Source::File(_) => !c.keeps_openai_fields(),
        _ => false,
    };
    if is_elsewhere {
        let reason = "OpenAI's chat takes the bytes of a document: the caller has to fetch it";
        c.report_dropped(part.offset, "source", reason);
        return false;
    }
    object.string("type", "file");
    let mut file = object.begin_object("file");
    match source {
        Source::File(id) => file.string("file_id", id),
        Source::Base64 { media_type, data } if media_type.is_empty() => data.write(file.name("file_data")),
        _ => {
            if let Some(url) = media::to_url(source) {
                file.string("file_data", &url);
            }
        }
    }
    if let Some(name) = name {
        file.string("filename", name);
    }
    true
}
