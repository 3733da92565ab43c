//! Messages in the form that templates take: one text each, and every tool result in a message of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem;

use sagewire_codec::model::{Content, Losses, Message, Outcome, Part, Role};

use crate::call_ids::CallIds;
use crate::control_tokens::{BREAK, ControlTokens, TokenSet};
use crate::error::TemplateError;

/// What a template can express.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Tool definitions.
    pub(crate) tools: bool,
    pub(crate) tool_calls: bool,
    pub(crate) tool_results: bool,
    /// Markers for images.
    pub(crate) images: bool,
    /// Content as a list of parts instead of a string.
    pub(crate) content_lists: bool,
    pub(crate) reasoning: Reasoning,
    /// Text in a message with tool calls.
    pub(crate) text_with_calls: TextWithCalls,
    /// IDs of calls have to be nine letters and digits.
    pub(crate) short_call_ids: bool,
    /// The input of calls has to be a JSON object.
    pub(crate) object_inputs: bool,
    /// The role `developer`.
    pub(crate) developer: bool,
    /// Names of the authors of messages.
    pub(crate) names: bool,
}

/// Which reasoning a template writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reasoning {
    #[default]
    None,
    All,
    /// The reasoning after the last message of the user.
    AfterQuestion,
    /// The reasoning of calls after the last message of the assistant without calls.
    AfterAnswer,
}

/// Which text a template writes in messages with tool calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TextWithCalls {
    #[default]
    All,
    None,
    /// The text after the last message of the assistant without calls, if there is no reasoning.
    AfterAnswer,
}

/// A message in the form that a template takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PromptMessage {
    pub(crate) role: String,
    pub(crate) parts: Vec<PromptPart>,
    pub(crate) reasoning: Option<String>,
    pub(crate) tool_calls: Vec<ToolCall>,
    /// Name of the author, or of the tool that returned this result.
    pub(crate) name: Option<String>,
    /// ID of the call that this is the result of.
    pub(crate) tool_call_id: Option<String>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PromptPart {
    Text(String),
    /// The marker of an image.
    Image,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolCall {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    /// A JSON text.
    pub(crate) input: String,
    /// The JSON pointer of the call.
    pub(crate) pointer: String,
}

impl PromptMessage {
    /// The texts of the message, joined by line ends as vLLM does.
    pub(crate) fn text(&self) -> String {
        let texts: Vec<&str> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                PromptPart::Text(text) => Some(text.as_str()),
                PromptPart::Image => None,
            })
            .collect();
        texts.join("\n")
    }

    pub(crate) fn has_images(&self) -> bool {
        self.parts.contains(&PromptPart::Image)
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.tool_calls.is_empty() && self.reasoning.is_none()
    }
}

/// Handles control tokens in all texts of a prompt, and collects losses.
pub(crate) struct TextFilter<'a> {
    pub(crate) tokens: &'a TokenSet,
    pub(crate) policy: ControlTokens,
    pub(crate) losses: Losses,
}

impl TextFilter<'_> {
    /// The text at `pointer` without control tokens.
    pub(crate) fn text(&mut self, text: &str, pointer: &str) -> Result<String, TemplateError> {
        match self.policy {
            ControlTokens::Allow => Ok(text.to_string()),
            ControlTokens::Reject => match self.tokens.first(text) {
                None => Ok(text.to_string()),
                Some(token) => Err(TemplateError::control_token(token, pointer)),
            },
            ControlTokens::Escape => {
                let escaped = self.tokens.escape(text);
                if let Cow::Owned(_) = escaped {
                    self.escaped(pointer);
                }
                Ok(escaped.into_owned())
            }
        }
    }

    /// Handles a control token that starts in `before` and ends in `text`, which is written directly after it.
    fn boundary(&mut self, before: &str, text: &mut String, pointer: &str) -> Result<(), TemplateError> {
        let Some(token) = self.tokens.across(before, text) else { return Ok(()) };
        match self.policy {
            ControlTokens::Allow => {}
            ControlTokens::Reject => return Err(TemplateError::control_token(token, pointer)),
            ControlTokens::Escape => {
                text.insert(0, BREAK);
                self.escaped(pointer);
            }
        }
        Ok(())
    }

    fn escaped(&mut self, pointer: &str) {
        self.losses.add_at(pointer.to_string(), Outcome::Approximated, "a control token was escaped");
    }

    fn dropped(&mut self, pointer: &str, reason: &'static str) {
        self.losses.add_at(pointer.to_string(), Outcome::Dropped, reason);
    }
}

/// Converts the messages, whose JSON pointer is `/messages`.
pub(crate) fn read_messages(
    messages: &[Message<'_>],
    capabilities: Capabilities,
    filter: &mut TextFilter<'_>,
) -> Result<Vec<PromptMessage>, TemplateError> {
    let question = messages.iter().rposition(|message| {
        let is_result = |part: &Part<'_>| matches!(part.content, Content::ToolResult { .. });
        message.role == Role::User && (message.content.is_empty() || !message.content.iter().all(is_result))
    });
    let answer = messages.iter().rposition(|message| message.role == Role::Assistant && !has_calls(message));
    let mut reader = Reader {
        capabilities,
        filter,
        tool_names: BTreeMap::new(),
        call_ids: CallIds::default(),
        messages: Vec::new(),
        keeps_reasoning: false,
        keeps_text: true,
    };
    for (index, message) in messages.iter().enumerate() {
        let is_after = |other: Option<usize>| other.is_none_or(|other| index > other);
        let calls = has_calls(message);
        reader.keeps_reasoning = match capabilities.reasoning {
            Reasoning::None => false,
            Reasoning::All => true,
            Reasoning::AfterQuestion => is_after(question),
            Reasoning::AfterAnswer => calls && is_after(answer),
        };
        let has_reasoning =
            message.content.iter().any(|part| matches!(part.content, Content::Reasoning { .. }));
        reader.keeps_text = !calls
            || match capabilities.text_with_calls {
                TextWithCalls::All => true,
                TextWithCalls::None => false,
                TextWithCalls::AfterAnswer => is_after(answer) && !has_reasoning,
            };
        reader.message(message, &format!("/messages/{index}"))?;
    }
    Ok(reader.messages)
}

fn has_calls(message: &Message<'_>) -> bool {
    message.content.iter().any(|part| matches!(part.content, Content::ToolCall { .. }))
}

struct Reader<'a, 'b> {
    capabilities: Capabilities,
    filter: &'a mut TextFilter<'b>,
    /// The name of the tool for each call ID.
    tool_names: BTreeMap<String, String>,
    call_ids: CallIds,
    messages: Vec<PromptMessage>,
    /// Whether the template writes the reasoning of the current message, and its text.
    keeps_reasoning: bool,
    keeps_text: bool,
}

impl Reader<'_, '_> {
    fn message(&mut self, message: &Message<'_>, pointer: &str) -> Result<(), TemplateError> {
        let role = match &message.role {
            Role::Developer if !self.capabilities.developer => "system",
            role => role.as_str(),
        };
        let role = self.filter.text(role, &format!("{pointer}/role"))?;
        if role == "tool" && !self.capabilities.tool_results {
            return Err(TemplateError::unsupported("a tool result", pointer));
        }
        let before = self.messages.len();
        let mut out = PromptMessage { role: role.clone(), ..PromptMessage::default() };
        if let Some(name) = &message.name {
            let pointer = format!("{pointer}/name");
            if self.capabilities.names {
                out.name = Some(self.filter.text(name, &pointer)?);
            } else {
                self.filter.dropped(&pointer, "the template has no names of authors");
            }
        }
        for (index, part) in message.content.iter().enumerate() {
            let pointer = format!("{pointer}/content/{index}");
            if part.cache.is_some() {
                self.filter.dropped(&pointer, "a prompt has no cache markers");
            }
            if let Content::ToolResult { id, content, is_error } = &part.content {
                let rest =
                    PromptMessage { role: role.clone(), name: out.name.clone(), ..PromptMessage::default() };
                let finished = mem::replace(&mut out, rest);
                if !finished.is_empty() {
                    self.push(finished, &pointer)?;
                }
                self.tool_result(id.as_deref(), content, *is_error, &pointer)?;
            } else {
                self.part(&part.content, &mut out, &pointer)?;
            }
        }
        // A message that has only tool results adds no message besides them.
        if !out.is_empty() || self.messages.len() == before {
            self.push(out, pointer)?;
        }
        Ok(())
    }

    /// Adds the message at `pointer`. Templates write its texts one after the other.
    fn push(&mut self, mut message: PromptMessage, pointer: &str) -> Result<(), TemplateError> {
        let separator = if message.has_images() || self.capabilities.content_lists { "" } else { "\n" };
        let mut joined = String::new();
        for part in &mut message.parts {
            let PromptPart::Text(text) = part else { continue };
            if !joined.is_empty() {
                joined.push_str(separator);
                self.filter.boundary(&joined, text, pointer)?;
            }
            joined.push_str(text);
        }
        self.messages.push(message);
        Ok(())
    }

    fn part(
        &mut self,
        content: &Content<'_>,
        out: &mut PromptMessage,
        pointer: &str,
    ) -> Result<(), TemplateError> {
        match content {
            Content::Text(text) | Content::Refusal(text) if !self.keeps_text => {
                if !text.trim().is_empty() {
                    self.filter.dropped(pointer, "the template has no text beside tool calls");
                }
            }
            Content::Text(text) | Content::Refusal(text) => {
                out.parts.push(PromptPart::Text(self.filter.text(text, pointer)?));
            }
            Content::Json(json) => {
                out.parts.push(PromptPart::Text(self.filter.text(json.as_str(), pointer)?));
            }
            Content::Reasoning { text, signature } => {
                if signature.is_some() {
                    self.filter.dropped(pointer, "a prompt has no signature of reasoning");
                }
                if self.keeps_reasoning {
                    let mut text = self.filter.text(text, pointer)?;
                    let before = out.reasoning.get_or_insert_default();
                    self.filter.boundary(before, &mut text, pointer)?;
                    before.push_str(&text);
                } else if self.capabilities.reasoning == Reasoning::None {
                    self.filter.dropped(pointer, "the template has no reasoning");
                } else {
                    self.filter.dropped(pointer, "the template has no reasoning of earlier turns");
                }
            }
            Content::Redacted(_) => self.filter.dropped(pointer, "only its provider can read it"),
            Content::Image { .. } if self.capabilities.images => {
                let reason = "the prompt has the template's marker for an image, not its bytes";
                self.filter.losses.add_at(pointer.to_string(), Outcome::Approximated, reason);
                out.parts.push(PromptPart::Image);
            }
            Content::ToolCall { id, name, input, custom } if self.capabilities.tool_calls => {
                let name = self.filter.text(name, pointer)?;
                let id = self.call_id(id.as_deref(), pointer)?;
                if let Some(id) = &id {
                    self.tool_names.insert(id.clone(), name.clone());
                }
                let input = if *custom {
                    let reason = "the input has to be an object: the text is in its field `input`";
                    self.filter.losses.add_at(pointer.to_string(), Outcome::Approximated, reason);
                    serde_json::json!({ "input": &**input }).to_string()
                } else {
                    input.to_string()
                };
                out.tool_calls.push(ToolCall { id, name, input, pointer: pointer.to_string() });
            }
            Content::ToolCall { .. } => return Err(TemplateError::unsupported("a tool call", pointer)),
            Content::Image { .. } => return Err(TemplateError::unsupported("an image", pointer)),
            Content::Audio { .. } => return Err(TemplateError::unsupported("audio", pointer)),
            Content::Video { .. } => return Err(TemplateError::unsupported("a video", pointer)),
            Content::Document { .. } => return Err(TemplateError::unsupported("a document", pointer)),
            Content::ToolResult { .. } => {
                return Err(TemplateError::unsupported("a tool result inside a tool result", pointer));
            }
            // `Content::Other`, and kinds that the codec adds later.
            _ => return Err(TemplateError::unsupported("content of an unknown kind", pointer)),
        }
        Ok(())
    }

    /// Adds a tool result as a message of its own.
    fn tool_result(
        &mut self,
        id: Option<&str>,
        content: &[Part<'_>],
        is_error: Option<bool>,
        pointer: &str,
    ) -> Result<(), TemplateError> {
        if !self.capabilities.tool_results {
            return Err(TemplateError::unsupported("a tool result", pointer));
        }
        if is_error == Some(true) {
            self.filter.dropped(pointer, "a prompt does not express that a tool failed");
        }
        let tool_call_id = self.call_id(id, pointer)?;
        let name = tool_call_id.as_ref().and_then(|id| self.tool_names.get(id)).cloned();
        let mut out =
            PromptMessage { role: "tool".to_string(), tool_call_id, name, ..PromptMessage::default() };
        for (index, part) in content.iter().enumerate() {
            self.part(&part.content, &mut out, &format!("{pointer}/content/{index}"))?;
        }
        self.push(out, pointer)
    }

    /// The ID of a call, as the template takes it.
    fn call_id(&mut self, id: Option<&str>, pointer: &str) -> Result<Option<String>, TemplateError> {
        let Some(id) = id else { return Ok(None) };
        if !self.capabilities.short_call_ids || CallIds::is_short(id) {
            return self.filter.text(id, pointer).map(Some);
        }
        let reason = "the ID of a call has nine letters and digits";
        self.filter.losses.add_at(pointer.to_string(), Outcome::Approximated, reason);
        Ok(Some(self.call_ids.shorten(id)))
    }
}
