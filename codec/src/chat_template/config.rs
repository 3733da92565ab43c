//! What a `tokenizer_config.json` says of prompts.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{DecodeError, DecodeErrorKind, Layer};

/// The members that matter here.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// The templates by their names. The one that has none is `default`.
    pub(super) templates: BTreeMap<String, String>,
    /// `bos_token`, `eos_token` and the like, by these names.
    pub(super) tokens: BTreeMap<String, String>,
    /// All special tokens.
    pub(super) special: Vec<String>,
}

/// A template of several.
#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

impl Config {
    pub(super) fn parse(json: &str) -> Result<Self, DecodeError> {
        let members: BTreeMap<String, Value> =
            serde_json::from_str(json).map_err(|error| invalid(&error.to_string()))?;
        let mut config = Self::default();
        for (name, value) in &members {
            match (name.as_str(), value) {
                ("chat_template", Value::String(template)) => {
                    config.templates.insert("default".to_string(), template.clone());
                }
                ("chat_template", Value::Array(_)) => {
                    let named = Vec::<Named>::deserialize(value)
                        .map_err(|error| invalid(&format!("chat_template: {error}")))?;
                    config.templates.extend(named.into_iter().map(|named| (named.name, named.template)));
                }
                ("chat_template", Value::Null) => {}
                ("chat_template", _) => {
                    return Err(invalid("chat_template is neither a string nor a list of templates"));
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
}

/// A token: a string, or an object that has it as `content`.
fn token(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(ToString::to_string)
}

fn invalid(why: &str) -> DecodeError {
    DecodeError::new(
        Layer::Template,
        0,
        DecodeErrorKind::Invalid { what: "tokenizer_config.json", why: why.into() },
    )
}
