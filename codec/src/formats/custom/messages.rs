//! Messages and tools as OpenAI has them, for `{{messages}}` and `{{tools}}`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::convert_error::ConvertError;
use crate::formats::conversion::Conversion;
use crate::formats::request_reader::Result;
use crate::json::value::Tree;
use crate::model::{Content, Message, Offset, Part, Role, Source};

/// All messages, or all but those of the system.
pub(crate) fn messages(conversion: &Conversion<'_, '_>, without_system: bool) -> Result<Tree> {
    let mut writer = Writer { conversion, out: Vec::new() };
    for message in &conversion.request.messages {
        if !(without_system && is_system(message)) {
            writer.message(message)?;
        }
    }
    Ok(Tree::Array(writer.out))
}

/// The texts of the system's messages, an empty line between them; `None` where there are none.
pub(crate) fn system(conversion: &Conversion<'_, '_>) -> Result<Option<String>> {
    let messages = &conversion.request.messages;
    let mut texts = Vec::new();
    let first = messages.iter().position(|message| !is_system(message)).unwrap_or(messages.len());
    for (index, message) in messages.iter().enumerate().filter(|(_, message)| is_system(message)) {
        if index > first {
            let why = "the system messages come first, together";
            conversion.report_approximated(message.offset, "system", why);
        }
        for part in &message.content {
            match &part.content {
                Content::Text(text) => texts.push(&**text),
                _ => {
                    return Err(unsupported(conversion, part.offset, "a part of the system that is no text"));
                }
            }
        }
    }
    Ok((!texts.is_empty()).then(|| texts.join("\n\n")))
}

fn is_system(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// Tools.
pub(crate) fn tools(conversion: &Conversion<'_, '_>) -> Result<Tree> {
    let mut out = Vec::new();
    for tool in &conversion.request.tools {
        if tool.cache.is_some() {
            conversion.report_dropped(tool.offset, "cache", "OpenAI's tools have no mark for a cache");
        }
        if let Some(other) = &tool.other {
            out.push(json(conversion, other.as_str(), tool.offset)?);
            continue;
        }
        let mut function = Vec::from([field("name", &tool.name)]);
        function.extend(tool.description.as_ref().map(|text| field("description", text)));
        if let Some(schema) = &tool.schema {
            function.push(("parameters".to_string(), json(conversion, schema.as_str(), tool.offset)?));
        }
        function.extend(tool.strict.map(|strict| ("strict".to_string(), Tree::Bool(strict))));
        out.push(Tree::Object(Vec::from([
            field("type", "function"),
            ("function".to_string(), Tree::Object(function)),
        ])));
    }
    Ok(Tree::Array(out))
}

/// Writes messages, results of tools as messages of their own.
struct Writer<'c, 'a> {
    conversion: &'c Conversion<'c, 'a>,
    out: Vec<Tree>,
}

impl Writer<'_, '_> {
    fn message(&mut self, message: &Message<'_>) -> Result<()> {
        let role = match &message.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
            Role::Other(role) => role,
        };
        let (mut content, mut calls, mut reasoning) = (Vec::new(), Vec::new(), String::new());
        let before = self.out.len();
        for part in &message.content {
            let dropped = |name, why| self.conversion.report_dropped(part.offset, name, why);
            if part.cache.is_some() {
                dropped("cache", "OpenAI's messages have no mark for a cache");
            }
            match &part.content {
                Content::ToolResult { id, content, is_error } => {
                    if *is_error == Some(true) {
                        dropped("is_error", "OpenAI's messages do not say that a tool failed");
                    }
                    self.result(id.as_deref(), content)?;
                }
                Content::ToolCall { id, name, input, custom } => {
                    let (kind, input) = match *custom {
                        true => ("custom", field("input", input)),
                        false if input.trim().is_empty() => ("function", field("arguments", "{}")),
                        false => ("function", field("arguments", input)),
                    };
                    let tool = Tree::Object(Vec::from([field("name", name), input]));
                    let mut call = Vec::new();
                    call.extend(id.as_ref().map(|id| field("id", id)));
                    call.extend([field("type", kind), (kind.to_string(), tool)]);
                    calls.push(Tree::Object(call));
                }
                Content::Reasoning { text, signature } => {
                    reasoning.push_str(text);
                    if signature.is_some() {
                        dropped("signature", "OpenAI's messages have no signature of reasoning");
                    }
                }
                Content::Redacted(_) => dropped("reasoning", "only its provider can read it"),
                _ => content.push(self.part(part)?),
            }
        }
        if content.is_empty() && calls.is_empty() && reasoning.is_empty() && self.out.len() > before {
            return Ok(());
        }
        let mut fields = Vec::from([field("role", role)]);
        fields.extend(message.name.as_ref().map(|name| field("name", name)));
        if !reasoning.is_empty() {
            fields.push(field("reasoning_content", &reasoning));
        }
        fields.push(("content".to_string(), text_or_parts(content, !calls.is_empty())));
        if !calls.is_empty() {
            fields.push(("tool_calls".to_string(), Tree::Array(calls)));
        }
        self.out.push(Tree::Object(fields));
        Ok(())
    }

    fn part(&self, part: &Part<'_>) -> Result<Tree> {
        let unsupported = |what: &str| Err(unsupported(self.conversion, part.offset, what));
        let text = |text: &str| Tree::Object(Vec::from([field("type", "text"), field("text", text)]));
        Ok(match &part.content {
            Content::Text(part) | Content::Refusal(part) => text(part),
            Content::Json(json) => text(json.as_str()),
            Content::Image { source, detail } => {
                let url = match source {
                    Source::Url(url) => url.to_string(),
                    Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
                    _ => return unsupported("an image that is neither here nor has an address"),
                };
                let mut image = Vec::from([field("url", &url)]);
                image.extend(detail.as_ref().map(|detail| field("detail", detail)));
                let image = ("image_url".to_string(), Tree::Object(image));
                Tree::Object(Vec::from([field("type", "image_url"), image]))
            }
            Content::Other(json_part) => json(self.conversion, json_part.as_str(), part.offset)?,
            Content::Audio { .. } => return unsupported("audio"),
            Content::Video { .. } => return unsupported("a video"),
            Content::Document { .. } => return unsupported("a document"),
            _ => return unsupported("a result in a result"),
        })
    }

    /// The result of a tool is a message of its own.
    fn result(&mut self, id: Option<&str>, content: &[Part<'_>]) -> Result<()> {
        let parts = content.iter().map(|part| self.part(part)).collect::<Result<_>>()?;
        let mut fields = Vec::from([field("role", "tool")]);
        fields.extend(id.map(|id| field("tool_call_id", id)));
        fields.push(("content".to_string(), text_or_parts(parts, false)));
        self.out.push(Tree::Object(fields));
        Ok(())
    }
}

/// One text is a string, anything else a list.
fn text_or_parts(mut parts: Vec<Tree>, may_be_null: bool) -> Tree {
    if parts.is_empty() {
        return if may_be_null { Tree::Null } else { Tree::String(String::new()) };
    }
    if let [Tree::Object(fields)] = &mut parts[..] {
        if let [(_, Tree::String(kind)), (name, Tree::String(text))] = &mut fields[..] {
            if kind == "text" && name == "text" {
                return Tree::String(core::mem::take(text));
            }
        }
    }
    Tree::Array(parts)
}

fn field(name: &str, text: &str) -> (String, Tree) {
    (name.to_string(), Tree::String(text.to_string()))
}

fn json(conversion: &Conversion<'_, '_>, text: &str, offset: Offset) -> Result<Tree> {
    serde_json::from_str(text).map_err(|_| unsupported(conversion, offset, "something that is no JSON"))
}

fn unsupported(conversion: &Conversion<'_, '_>, offset: Offset, what: &str) -> ConvertError {
    conversion.error(offset, format!("{what} cannot be written in this format"))
}
