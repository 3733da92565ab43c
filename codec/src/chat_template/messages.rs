//! Messages as templates know them: one text each, tool results in messages of their own.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::control::{BREAK, Control, Tokens};
use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::model::custom_tool_input::{CUSTOM_INPUT, custom_object};
use crate::model::{Content, Message, Part, Role};
use crate::model::{Losses, Outcome};

/// What a template can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Definitions of tools.
    pub(super) tools: bool,
    /// Calls of tools.
    pub(super) calls: bool,
    /// Results of tools.
    pub(super) results: bool,
    /// Places of images.
    pub(super) images: bool,
    /// Content as a list of parts, and not as a text.
    pub(super) lists: bool,
    /// What the model thought.
    pub(super) reasoning: bool,
    /// The role `developer`.
    pub(super) developer: bool,
    /// Names of speakers.
    pub(super) names: bool,
}

/// A message as a template knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Turn {
    pub(super) role: String,
    pub(super) pieces: Vec<Piece>,
    pub(super) reasoning: Option<String>,
    pub(super) calls: Vec<Call>,
    /// Name of the speaker, or of the tool whose result this is.
    pub(super) name: Option<String>,
    /// The call whose result this is.
    pub(super) call_id: Option<String>,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// The place of an image.
    Image,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) id: Option<String>,
    pub(super) name: String,
    /// A JSON text.
    pub(super) input: String,
    /// Where it stands.
    pub(super) at: String,
}

impl Turn {
    /// All text of the message. Its texts stand on lines of their own, as vLLM puts them.
    pub(super) fn text(&self) -> String {
        let texts: Vec<&str> = self
            .pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::Image => None,
            })
            .collect();
        texts.join("\n")
    }

    pub(super) fn has_images(&self) -> bool {
        self.pieces.contains(&Piece::Image)
    }

    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.calls.is_empty() && self.reasoning.is_none()
    }
}

/// Texts on their way into a prompt.
pub(super) struct Texts<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) control: Control,
    pub(super) losses: Losses,
}

impl Texts<'_> {
    /// A text without control tokens, which stands at `at`.
    pub(super) fn text(&mut self, text: &str, at: &str) -> Result<String, DecodeError> {
        match self.control {
            Control::Allow => Ok(text.to_string()),
            Control::Refuse => match self.tokens.first(text) {
                None => Ok(text.to_string()),
                Some(token) => {
                    let (token, at) = (token.into(), at.into());
                    Err(DecodeError::new(Layer::Template, 0, DecodeErrorKind::ControlToken { token, at }))
                }
            },
            Control::Escape => {
                let escaped = self.tokens.escape(text);
                if let Cow::Owned(_) = escaped {
                    self.losses.add_at(at.to_string(), Outcome::Approximated, "a control token was escaped");
                }
                Ok(escaped.into_owned())
            }
        }
    }

    /// A text that comes to stand behind another, so that no token begins in one and ends in the other.
    fn behind(&mut self, before: &str, text: &mut String, at: &str) -> Result<(), DecodeError> {
        let Some(token) = self.tokens.across(before, text) else { return Ok(()) };
        match self.control {
            Control::Allow => {}
            Control::Refuse => {
                let (token, at) = (token.into(), at.into());
                return Err(DecodeError::new(
                    Layer::Template,
                    0,
                    DecodeErrorKind::ControlToken { token, at },
                ));
            }
            Control::Escape => {
                text.insert(0, BREAK);
                self.losses.add_at(at.to_string(), Outcome::Approximated, "a control token was escaped");
            }
        }
        Ok(())
    }

    fn drop(&mut self, at: &str, why: &'static str) {
        self.losses.add_at(at.to_string(), Outcome::Dropped, why);
    }
}

/// An error for something that a template cannot say.
pub(super) fn unsupported(what: &str, at: &str) -> DecodeError {
    DecodeError::new(Layer::Template, 0, DecodeErrorKind::Unsupported { what: what.into(), at: at.into() })
}

/// Reads messages.
pub(super) struct Reader<'a, 'b> {
    pub(super) abilities: Abilities,
    pub(super) texts: &'a mut Texts<'b>,
    /// The names of the tools that were called, by the IDs of the calls.
    called: BTreeMap<String, String>,
    turns: Vec<Turn>,
}

impl<'a, 'b> Reader<'a, 'b> {
    pub(super) fn new(abilities: Abilities, texts: &'a mut Texts<'b>) -> Self {
        Self { abilities, texts, called: BTreeMap::new(), turns: Vec::new() }
    }

    /// The messages, which stand at `/messages`.
    pub(super) fn read(mut self, messages: &[Message<'_>]) -> Result<Vec<Turn>, DecodeError> {
        for (index, message) in messages.iter().enumerate() {
            self.message(message, &format!("/messages/{index}"))?;
        }
        Ok(self.turns)
    }

    fn message(&mut self, message: &Message<'_>, at: &str) -> Result<(), DecodeError> {
        let role = match &message.role {
            Role::Developer if self.abilities.developer => "developer",
            Role::System | Role::Developer => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
            Role::Other(role) => role,
        };
        let role = self.texts.text(role, &format!("{at}/role"))?;
        if role == "tool" && !self.abilities.results {
            return Err(unsupported("the result of a tool", at));
        }
        let before = self.turns.len();
        let mut turn = Turn { role: role.clone(), ..Turn::default() };
        if let Some(name) = &message.name {
            let at = format!("{at}/name");
            if self.abilities.names {
                turn.name = Some(self.texts.text(name, &at)?);
            } else {
                self.texts.drop(&at, "the template has no names of speakers");
            }
        }
        for (index, part) in message.content.iter().enumerate() {
            let at = format!("{at}/content/{index}");
            if part.cache.is_some() {
                self.texts.drop(&at, "a prompt has no marks for a cache");
            }
            if let Content::ToolResult { id, content, is_error } = &part.content {
                let rest = Turn { role: role.clone(), name: turn.name.clone(), ..Turn::default() };
                let begun = core::mem::replace(&mut turn, rest);
                if !begun.is_empty() {
                    self.push(begun, &at)?;
                }
                self.result(id.as_deref(), content, *is_error, &at)?;
            } else {
                self.part(&part.content, &mut turn, &at)?;
            }
        }
        // A message of nothing but results is no message of its own.
        if !turn.is_empty() || self.turns.len() == before {
            self.push(turn, at)?;
        }
        Ok(())
    }

    /// Adds a message that stands at `at`. Templates put its texts behind each other.
    fn push(&mut self, mut turn: Turn, at: &str) -> Result<(), DecodeError> {
        let between = if turn.has_images() || self.abilities.lists { "" } else { "\n" };
        let mut said = String::new();
        for piece in &mut turn.pieces {
            let Piece::Text(text) = piece else { continue };
            if !said.is_empty() {
                said.push_str(between);
                self.texts.behind(&said, text, at)?;
            }
            said.push_str(text);
        }
        self.turns.push(turn);
        Ok(())
    }

    fn part(&mut self, content: &Content<'_>, turn: &mut Turn, at: &str) -> Result<(), DecodeError> {
        match content {
            Content::Text(text) | Content::Refusal(text) => {
                turn.pieces.push(Piece::Text(self.texts.text(text, at)?));
            }
            Content::Json(json) => turn.pieces.push(Piece::Text(self.texts.text(json.as_str(), at)?)),
            Content::Reasoning { text, signature } => {
                if signature.is_some() {
                    self.texts.drop(at, "a prompt has no signature of reasoning");
                }
                if self.abilities.reasoning {
                    let mut text = self.texts.text(text, at)?;
                    let before = turn.reasoning.get_or_insert_default();
                    self.texts.behind(before, &mut text, at)?;
                    before.push_str(&text);
                } else {
                    self.texts.drop(at, "the template has no reasoning");
                }
            }
            Content::Redacted(_) => self.texts.drop(at, "only its provider can read it"),
            Content::Image { .. } if self.abilities.images => {
                let why = "the prompt has the template's mark for an image, not its bytes";
                self.texts.losses.add_at(at.to_string(), Outcome::Approximated, why);
                turn.pieces.push(Piece::Image);
            }
            Content::ToolCall { id, name, input, custom } if self.abilities.calls => {
                let name = self.texts.text(name, at)?;
                let id = id.as_ref().map(|id| self.texts.text(id, at)).transpose()?;
                if let Some(id) = &id {
                    self.called.insert(id.clone(), name.clone());
                }
                let input = if *custom {
                    self.texts.losses.add_at(at.to_string(), Outcome::Approximated, CUSTOM_INPUT);
                    custom_object(input)
                } else {
                    input.to_string()
                };
                turn.calls.push(Call { id, name, input, at: at.to_string() });
            }
            Content::ToolCall { .. } => return Err(unsupported("the call of a tool", at)),
            Content::Image { .. } => return Err(unsupported("an image", at)),
            Content::Audio { .. } => return Err(unsupported("sound", at)),
            Content::Video { .. } => return Err(unsupported("a film", at)),
            Content::Document { .. } => return Err(unsupported("a document", at)),
            Content::ToolResult { .. } => return Err(unsupported("a result in a result", at)),
            Content::Other(_) => return Err(unsupported("a part of an unknown kind", at)),
        }
        Ok(())
    }

    /// The result of a tool is a message of its own.
    fn result(
        &mut self,
        id: Option<&str>,
        content: &[Part<'_>],
        is_error: Option<bool>,
        at: &str,
    ) -> Result<(), DecodeError> {
        if !self.abilities.results {
            return Err(unsupported("the result of a tool", at));
        }
        if is_error == Some(true) {
            self.texts.drop(at, "a prompt does not say that a tool failed");
        }
        let call_id = id.map(|id| self.texts.text(id, at)).transpose()?;
        let name = call_id.as_ref().and_then(|id| self.called.get(id)).cloned();
        let mut turn = Turn { role: "tool".to_string(), call_id, name, ..Turn::default() };
        for (index, part) in content.iter().enumerate() {
            self.part(&part.content, &mut turn, &format!("{at}/content/{index}"))?;
        }
        self.push(turn, at)
    }
}
