//! Reads `tokenizer_config.json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Position, TemplateError, TemplateErrorKind};

/// The fields that concern prompts.
#[derive(Debug, Default)]
pub(crate) struct TokenizerConfig {
    /// The templates by name. The one without a name is `default`.
    pub(crate) templates: BTreeMap<String, String>,
    /// The fields `bos_token`, `eos_token` and the like.
    pub(crate) tokens: BTreeMap<String, String>,
    /// All special tokens.
    pub(crate) special: Vec<String>,
}

/// An element of the list `chat_template`.
#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

impl TokenizerConfig {
    pub(crate) fn parse(json: &str) -> Result<Self, TemplateError> {
        let fields: BTreeMap<String, Value> =
            serde_json::from_str(json).map_err(|error| malformed(json, error))?;
        let mut config = Self::default();
        for (name, value) in &fields {
            match (name.as_str(), value) {
                ("chat_template", Value::String(template)) => {
                    config.templates.insert("default".to_string(), template.clone());
                }
                ("chat_template", Value::Array(_)) => {
                    let named = Vec::<NamedTemplate>::deserialize(value).map_err(|error| {
                        Self::invalid(format!("chat_template: {error}")).with_source(error)
                    })?;
                    config.templates.extend(named.into_iter().map(|named| (named.name, named.template)));
                }
                ("chat_template", Value::Null) => {}
                ("chat_template", _) => {
                    return Err(Self::invalid("chat_template is neither a string nor a list of templates"));
                }
                ("added_tokens_decoder", Value::Object(tokens)) => {
                    let special = tokens.values().filter(|token| token["special"] == true);
                    config.special.extend(special.filter_map(token));
                }
                ("additional_special_tokens", Value::Array(tokens)) => {
                    config.special.extend(tokens.iter().filter_map(token));
                }
                (name, value) if name.ends_with("_token") => {
                    if let Some(token) = token(value) {
                        config.special.push(token.clone());
                        config.tokens.insert(name.to_string(), token);
                    }
                }
                _ => {}
            }
        }
        Ok(config)
    }

    /// An error about the content of valid JSON.
    pub(crate) fn invalid(reason: impl Into<Box<str>>) -> TemplateError {
        TemplateError::new(TemplateErrorKind::InvalidConfig { position: None, reason: reason.into() })
    }
}

/// A token: a string, or an object with the string as its `content`.
fn token(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(ToString::to_string)
}

/// The parser's error, with its position as a line and an offset.
fn malformed(json: &str, error: serde_json::Error) -> TemplateError {
    let mut position = Position::at_line(json, error.line());
    position.offset = (position.offset + error.column().saturating_sub(1)).min(json.len());
    let message = error.to_string();
    let reason = message.rsplit_once(" at line ").map_or(&*message, |(reason, _)| reason).into();
    let kind = TemplateErrorKind::InvalidConfig { position: Some(position), reason };
    TemplateError::new(kind).with_source(error)
}
