//! Messages and tools as OpenAI has them, for `{{messages}}` and `{{tools}}`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::convert_error::ConvertError;
use crate::json::value::Tree;
use crate::model::{Content, Message, Part, Role, Source, Tool};
use crate::model::{Losses, Outcome};

/// All messages, or all but those of the system.
pub(crate) fn messages(
    messages: &[Message<'_>],
    without_system: bool,
    losses: &mut Losses,
) -> Result<Tree, ConvertError> {
    let mut out = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if !(without_system && is_system(message)) {
            Writer { losses, at: format!("/messages/{index}"), out: &mut out }.message(message)?;
        }
    }
    Ok(Tree::Array(out))
}

/// The texts of the system's messages, an empty line between them; `None` where there are none.
pub(crate) fn system(messages: &[Message<'_>], losses: &mut Losses) -> Result<Option<String>, ConvertError> {
    let mut texts = Vec::new();
    let first = messages.iter().position(|message| !is_system(message)).unwrap_or(messages.len());
    for (index, message) in messages.iter().enumerate().filter(|(_, message)| is_system(message)) {
        if index > first {
            let why = "the system messages come first, together";
            losses.add_at(format!("/messages/{index}"), Outcome::Approximated, why);
        }
        for (part, content) in message.content.iter().enumerate() {
            match &content.content {
                Content::Text(text) => texts.push(&**text),
                _ => {
                    return Err(unsupported(
                        "a part that is no text",
                        &format!("/messages/{index}/content/{part}"),
                    ));
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
pub(crate) fn tools(tools: &[Tool<'_>], losses: &mut Losses) -> Result<Tree, ConvertError> {
    let mut out = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let at = format!("/tools/{index}");
        if tool.cache.is_some() {
            losses.add_at(at.clone(), Outcome::Dropped, "OpenAI's tools have no mark for a cache");
        }
        if let Some(other) = &tool.other {
            out.push(json(other.as_str(), &at)?);
            continue;
        }
        let mut function = Vec::from([field("name", &tool.name)]);
        function.extend(tool.description.as_ref().map(|text| field("description", text)));
        if let Some(schema) = &tool.schema {
            function.push(("parameters".to_string(), json(schema.as_str(), &at)?));
        }
        function.extend(tool.strict.map(|strict| ("strict".to_string(), Tree::Bool(strict))));
        out.push(Tree::Object(Vec::from([
            field("type", "function"),
            ("function".to_string(), Tree::Object(function)),
        ])));
    }
    Ok(Tree::Array(out))
}

/// Writes one message, or more where it has results of tools.
struct Writer<'a> {
    losses: &'a mut Losses,
    at: String,
    out: &'a mut Vec<Tree>,
}

impl Writer<'_> {
    fn message(&mut self, message: &Message<'_>) -> Result<(), ConvertError> {
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
        for (index, part) in message.content.iter().enumerate() {
            let at = format!("{}/content/{index}", self.at);
            if part.cache.is_some() {
                self.losses.add_at(
                    at.clone(),
                    Outcome::Dropped,
                    "OpenAI's messages have no mark for a cache",
                );
            }
            match &part.content {
                Content::ToolResult { id, content, is_error } => {
                    self.result(id.as_deref(), content, *is_error, &at)?;
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
                        self.losses.add_at(
                            at,
                            Outcome::Dropped,
                            "OpenAI's messages have no signature of reasoning",
                        );
                    }
                }
                Content::Redacted(_) => {
                    self.losses.add_at(at, Outcome::Dropped, "only its provider can read it")
                }
                other => content.push(self.part(other, &at)?),
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

    fn part(&self, content: &Content<'_>, at: &str) -> Result<Tree, ConvertError> {
        let text = |text: &str| Tree::Object(Vec::from([field("type", "text"), field("text", text)]));
        Ok(match content {
            Content::Text(part) | Content::Refusal(part) => text(part),
            Content::Json(json) => text(json.as_str()),
            Content::Image { source, detail } => {
                let url = match source {
                    Source::Url(url) => url.to_string(),
                    Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
                    _ => return Err(unsupported("an image that is neither here nor has an address", at)),
                };
                let mut image = Vec::from([field("url", &url)]);
                image.extend(detail.as_ref().map(|detail| field("detail", detail)));
                let image = ("image_url".to_string(), Tree::Object(image));
                Tree::Object(Vec::from([field("type", "image_url"), image]))
            }
            Content::Other(part) => json(part.as_str(), at)?,
            Content::Audio { .. } => return Err(unsupported("sound", at)),
            Content::Video { .. } => return Err(unsupported("a film", at)),
            Content::Document { .. } => return Err(unsupported("a document", at)),
            _ => return Err(unsupported("a result in a result", at)),
        })
    }

    /// The result of a tool is a message of its own.
    fn result(
        &mut self,
        id: Option<&str>,
        content: &[Part<'_>],
        is_error: Option<bool>,
        at: &str,
    ) -> Result<(), ConvertError> {
        if is_error == Some(true) {
            let why = "OpenAI's messages do not say that a tool failed";
            self.losses.add_at(at.to_string(), Outcome::Dropped, why);
        }
        let mut parts = Vec::new();
        for (index, part) in content.iter().enumerate() {
            parts.push(self.part(&part.content, &format!("{at}/content/{index}"))?);
        }
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

fn json(text: &str, at: &str) -> Result<Tree, ConvertError> {
    serde_json::from_str(text).map_err(|_| unsupported("something that is no JSON", at))
}

fn unsupported(what: &str, at: &str) -> ConvertError {
    ConvertError::unsupported(what, at)
}
