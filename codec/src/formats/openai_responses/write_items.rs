//! Writes the instructions and the input.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::media;
use crate::formats::request_reader::{Result, string_field};
use crate::json::{Array, Object};
use crate::model::{Content, Json, Message, Param, Part, Role, Source, Text};

/// Writes the items of one request.
pub(super) struct Items<'i, 'c, 'a> {
    c: &'i Conversion<'c, 'a>,
    /// The IDs of calls of custom tools: their results are items of another type.
    custom: BTreeSet<&'i str>,
}

/// What becomes one item.
enum Piece<'p, 'a> {
    /// The parts of a message.
    Message(Vec<&'p Part<'a>>),
    /// Texts of reasoning, of which the last one may be signed.
    Reasoning(Vec<&'p Part<'a>>),
    /// A call, a result, or an item without a name in the model.
    Part(&'p Part<'a>),
}

impl<'i, 'c, 'a> Items<'i, 'c, 'a> {
    pub(super) fn new(c: &'i Conversion<'c, 'a>, messages: &'i [Message<'a>]) -> Self {
        let parts = messages.iter().flat_map(|message| &message.content);
        let custom = parts.filter_map(|part| match &part.content {
            Content::ToolCall { id, custom: true, .. } => id.as_deref(),
            _ => None,
        });
        Self { c, custom: custom.collect() }
    }

    /// Writes the instructions and the input.
    pub(super) fn write(&self, messages: &[Message<'a>], object: &mut Object<'_>) -> Result<()> {
        let mut rest = messages;
        if let [first, others @ ..] = messages {
            if let Some(text) = self.only_text(first).filter(|_| first.role == Role::System) {
                text.write(object.name("instructions"));
                rest = others;
            }
        }
        match rest {
            // A request that refers to a stored conversation may have no input.
            [] if self.c.is_native() => return Ok(()),
            [only] if only.role == Role::User => {
                if let Some(text) = self.only_text(only) {
                    text.write(object.name("input"));
                    return Ok(());
                }
            }
            _ => {}
        }
        let mut array = object.begin_array("input");
        let mut count = 0;
        for message in rest {
            self.message(message, &mut count, &mut array)?;
        }
        Ok(())
    }

    /// The text of a message that consists of one text, and was not an item of the source.
    fn only_text<'m>(&self, message: &'m Message<'a>) -> Option<&'m Text<'a>> {
        let was_item = self.c.original.is_some_and(|original| original.is_object(message.offset));
        match &message.content[..] {
            [Part { content: Content::Text(text), cache: None, .. }]
                if message.name.is_none() && !was_item =>
            {
                Some(text)
            }
            _ => None,
        }
    }

    /// Writes the items that a message is. `count` is the number of items before, of which IDs are made.
    fn message(&self, message: &Message<'a>, count: &mut usize, array: &mut Array<'_>) -> Result<()> {
        let c = self.c;
        if let Some(copy) = c.original.and_then(|original| original.message(message)) {
            array.element().extend_from_slice(copy.as_bytes());
            return Ok(());
        }
        if message.name.is_some() {
            c.report_dropped(message.offset, "name", "Responses has no names of participants");
        }
        let mut is_first = true;
        for piece in pieces(message) {
            array.maybe(|out| {
                let start = out.len();
                let is_written = match &piece {
                    Piece::Message(parts) => self.message_item(message, parts, *count, out)?,
                    Piece::Reasoning(parts) => self.reasoning(message, parts, *count, out),
                    Piece::Part(part) => match &part.content {
                        // Its fields are its own.
                        Content::Other(_) => return c.part(part, out, |_| Ok(false)),
                        _ => self.call_or_result(part, out)?,
                    },
                };
                if is_written {
                    // Fields of the source's item belong to the first of the items that it becomes.
                    if core::mem::replace(&mut is_first, false) {
                        c.put_back(out, start, &message.extension_fields);
                    }
                }
                Ok(is_written)
            })?;
            *count += 1;
        }
        Ok(())
    }

    fn message_item(
        &self,
        message: &Message<'a>,
        parts: &[&Part<'a>],
        count: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let c = self.c;
        let is_assistant = message.role == Role::Assistant;
        let role = match &message.role {
            Role::Tool => "user",
            Role::Other(_) if !c.is_native() => {
                let why = "the role is unknown: sent as the user's";
                c.report_approximated(message.offset, "role", why);
                "user"
            }
            role => role.as_str(),
        };
        let mut object = Object::new(out);
        object.string("type", "message");
        object.string("role", role);
        if !self.content("content", parts, is_assistant, &mut object)? {
            // The form of the service's own messages, which has an ID.
            self.id(message, "msg", count, &mut object);
            if !has(c.kept(&message.extension_fields), "status") {
                object.string("status", "completed");
            }
        }
        if let Some(phase) = c.phase(message) {
            object.raw("phase", phase);
        }
        Ok(true)
    }

    /// Writes an ID, unless the source's is put back.
    fn id(&self, message: &Message<'a>, prefix: &str, count: usize, object: &mut Object<'_>) {
        if !has(self.c.kept(&message.extension_fields), "id") {
            object.string("id", &format!("{prefix}_{count}"));
        }
    }

    /// Writes a string if there is only one text, else a list of parts. Returns whether a message of this content needs no ID.
    fn content(
        &self,
        name: &'static str,
        parts: &[&Part<'a>],
        is_assistant: bool,
        object: &mut Object<'_>,
    ) -> Result<bool> {
        let c = self.c;
        match parts {
            [] => {
                object.string(name, "");
                return Ok(true);
            }
            [part] if !self.is_listed(part) => match &part.content {
                Content::Text(text) => {
                    self.report_cache(part);
                    text.write(object.name(name));
                    return Ok(true);
                }
                Content::Json(json) => {
                    c.report_approximated(part.offset, "json", "JSON is sent as text");
                    object.string(name, json.as_str());
                    return Ok(true);
                }
                _ => {}
            },
            _ => {}
        }
        let mut written = Vec::new();
        let (mut array, mut any) = (Array::new(&mut written), false);
        for part in parts {
            any |= array.maybe(|out| c.part(part, out, |out| Ok(self.part(part, is_assistant, out))))?;
        }
        drop(array);
        if any {
            object.name(name).append(&mut written);
        } else {
            object.string(name, "");
        }
        Ok(!any || !is_assistant)
    }

    /// Whether a part has to stay in a list.
    fn is_listed(&self, part: &Part<'a>) -> bool {
        (part.cache.is_some() && self.c.keeps_openai_fields())
            || self.c.is_copied(part)
            || !self.c.kept(&part.extension_fields).is_empty()
    }

    fn report_cache(&self, part: &Part<'a>) {
        if part.cache.is_some() && !self.c.keeps_openai_fields() {
            self.c.report_dropped(part.offset, "cache", "OpenAI's servers cache by themselves");
        }
    }

    fn part(&self, part: &Part<'a>, is_assistant: bool, out: &mut Vec<u8>) -> bool {
        let c = self.c;
        let mut object = Object::new(out);
        let written = match &part.content {
            Content::Text(text) => write_text(&mut object, text, is_assistant),
            Content::Json(json) => {
                c.report_approximated(part.offset, "json", "JSON is sent as text");
                write_text(&mut object, &json.as_str().into(), is_assistant)
            }
            Content::Refusal(text) if is_assistant => {
                object.string("type", "refusal");
                text.write(object.name("refusal"));
                true
            }
            Content::Refusal(text) => {
                c.report_approximated(part.offset, "refusal", "only the assistant refuses: sent as text");
                write_text(&mut object, text, false)
            }
            _ if is_assistant && !c.is_native() => {
                c.report_dropped(part.offset, "content", "OpenAI takes media of the user only");
                false
            }
            Content::Image { .. } | Content::Document { .. } => self.medium(part, &mut object),
            _ => {
                c.report_dropped(part.offset, "content", "Responses takes texts, images and files only");
                false
            }
        };
        match &part.cache {
            Some(cache) if written && c.keeps_openai_fields() => {
                object.raw("prompt_cache_breakpoint", cache.as_str());
            }
            _ => self.report_cache(part),
        }
        written
    }

    /// Writes an image or a file.
    fn medium(&self, part: &Part<'a>, object: &mut Object<'_>) -> bool {
        let (kind, source, url, data) = match &part.content {
            Content::Image { source, .. } => ("input_image", source, "image_url", "image_url"),
            Content::Document { source, .. } => ("input_file", source, "file_url", "file_data"),
            _ => return false,
        };
        object.string("type", kind);
        match (source, media::to_url(source)) {
            (Source::File(id), _) if self.c.keeps_openai_fields() => object.string("file_id", id),
            (Source::Url(link), _) if !link.starts_with("s3:") => object.string(url, link),
            (Source::Base64 { media_type, data: bytes }, _) if media_type.is_empty() => {
                bytes.write(object.name(data));
            }
            (Source::Base64 { .. } | Source::Text(_), Some(link)) => object.string(data, &link),
            _ => return self.report_source(part),
        }
        match &part.content {
            Content::Image { detail, .. } => {
                // It is required, and this is its default in all APIs.
                let default = (!self.c.is_native()).then_some("auto");
                if let Some(detail) = detail.as_deref().or(default) {
                    object.string("detail", detail);
                }
            }
            Content::Document { name: Some(name), .. } => object.string("filename", name),
            _ => {}
        }
        true
    }

    fn report_source(&self, part: &Part<'a>) -> bool {
        let why = "OpenAI takes data and http URLs only: the caller has to fetch it";
        self.c.report_dropped(part.offset, "source", why);
        false
    }

    /// Writes reasoning as summaries: unlike the model's own text, every server takes them back.
    fn reasoning(&self, message: &Message<'a>, parts: &[&Part<'a>], count: usize, out: &mut Vec<u8>) -> bool {
        let mut object = Object::new(out);
        object.string("type", "reasoning");
        self.id(message, "rs", count, &mut object);
        let (mut any, mut encrypted) = (false, None);
        let mut summary = object.begin_array("summary");
        for part in parts {
            match &part.content {
                Content::Reasoning { text, signature } => {
                    any = true;
                    if !text.is_empty() {
                        let mut entry = summary.begin_object();
                        entry.string("type", "summary_text");
                        text.write(entry.name("text"));
                    }
                    encrypted = signature.as_deref();
                }
                _ => {
                    let why = "OpenAI has no redacted reasoning";
                    self.c.report_dropped(part.offset, "redacted", why);
                }
            }
        }
        drop(summary);
        if let Some(encrypted) = encrypted {
            object.string("encrypted_content", encrypted);
        }
        any
    }

    fn call_or_result(&self, part: &Part<'a>, out: &mut Vec<u8>) -> Result<bool> {
        let c = self.c;
        if part.cache.is_some() {
            c.report_dropped(part.offset, "cache", "OpenAI's calls and results have no cache points");
        }
        let mut object = Object::new(out);
        match &part.content {
            Content::ToolCall { id, name, input, custom } => {
                let (kind, field) =
                    if *custom { ("custom_tool_call", "input") } else { ("function_call", "arguments") };
                object.string("type", kind);
                object.string("call_id", id.as_deref().unwrap_or_default());
                object.string("name", name);
                if input.is_empty() && !custom {
                    object.string(field, "{}");
                } else {
                    input.write(object.name(field));
                }
            }
            Content::ToolResult { id, content, is_error } => {
                let is_custom =
                    id.as_deref().is_some_and(|id| self.custom.contains(id)) || self.was_custom(part);
                let kind = if is_custom { "custom_tool_call_output" } else { "function_call_output" };
                object.string("type", kind);
                object.string("call_id", id.as_deref().unwrap_or_default());
                if *is_error == Some(true) {
                    let why = "OpenAI's results do not say that a tool failed";
                    c.report_dropped(part.offset, "is_error", why);
                }
                self.content("output", &content.iter().collect::<Vec<_>>(), false, &mut object)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether a result was one of a custom tool in the source, of which the call may not be in the request.
    fn was_custom(&self, part: &Part<'a>) -> bool {
        let item = self.c.original.and_then(|original| original.source_of(part.offset));
        let kind = item.and_then(|item| string_field(&Json(item.into()), "type"));
        kind.as_deref() == Some("custom_tool_call_output")
    }
}

/// Whether there is a field of this name.
fn has(fields: &[(Cow<'_, str>, Param<Json<'_>>)], name: &str) -> bool {
    fields.iter().any(|(path, _)| path == name)
}

/// The items of a message, in their order. Results come first, as those of the calls before.
fn pieces<'p, 'a>(message: &'p Message<'a>) -> Vec<Piece<'p, 'a>> {
    let mut pieces: Vec<Piece<'p, 'a>> = Vec::new();
    let is_result = |part: &&Part<'_>| matches!(part.content, Content::ToolResult { .. });
    pieces.extend(message.content.iter().filter(is_result).map(Piece::Part));
    if message.content.is_empty() {
        pieces.push(Piece::Message(Vec::new()));
    }
    let mut is_signed = false;
    for part in message.content.iter().filter(|part| !is_result(part)) {
        match (&part.content, pieces.last_mut()) {
            (Content::Reasoning { .. } | Content::Redacted(_), last) => {
                match last {
                    Some(Piece::Reasoning(parts)) if !is_signed => parts.push(part),
                    _ => pieces.push(Piece::Reasoning(Vec::from([part]))),
                }
                is_signed = !matches!(part.content, Content::Reasoning { signature: None, .. });
            }
            (Content::ToolCall { .. }, _) => pieces.push(Piece::Part(part)),
            // An item that only Responses has. In other messages, it is a part of unknown meaning.
            (Content::Other(_), _) if part.offset == message.offset && part.offset.is_some() => {
                pieces.push(Piece::Part(part));
            }
            (_, Some(Piece::Message(parts))) => parts.push(part),
            _ => pieces.push(Piece::Message(Vec::from([part]))),
        }
    }
    pieces
}

fn write_text(object: &mut Object<'_>, text: &Text<'_>, is_assistant: bool) -> bool {
    object.string("type", if is_assistant { "output_text" } else { "input_text" });
    text.write(object.name("text"));
    if is_assistant {
        drop(object.begin_array("annotations"));
    }
    true
}
