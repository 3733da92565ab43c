//! Chat templates: of a family or a model, from a file, and by prefixes and suffixes.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sagewire_chat_template::{Date, Roles, Template as ChatTemplate};
use serde_json::json;

use super::Template;
use super::read::{FromYaml, Reader};
use super::yaml::{Node, Value};
use crate::observe::utc;

/// The name for a single message without a template.
const NONE: &str = "none";

/// A single user message is the prompt.
const SINGLE_MESSAGE: &str = "\
{%- if messages | length != 1 or messages[0].role != 'user' -%}
{{ raise_exception('without a chat template, the request has to have a single user message') }}
{%- endif -%}
{{ messages[0].content }}";

/// The texts of all messages with a space between them.
const JOINED: &str = "{%- for message in messages -%}
{{ message.content }}{% if not loop.last %}{{ ' ' }}{% endif %}
{%- endfor -%}";

impl Template {
    /// The template of a family or of a model by its name, or `none` for a single message as it is.
    ///
    /// # Errors
    ///
    /// The name is unknown.
    pub fn named(name: &str) -> Result<Self, sagewire_chat_template::TemplateError> {
        match name {
            NONE => Self::jinja(NONE, SINGLE_MESSAGE),
            name => Ok(Self::dated(name, ChatTemplate::named(name)?)),
        }
    }

    /// The template of a name or a path: a family, a model, `none`, or a file, which is relative to `folder`.
    ///
    /// # Errors
    ///
    /// The name is unknown, or the file cannot be read or has no valid template.
    pub fn find(folder: &Path, name: &str) -> Result<Self, String> {
        let path = folder.join(name);
        let is_config = path.extension().is_some_and(|end| end == "json");
        match is_config || is_jinja(&path) || path.is_file() {
            true => Self::from_file(&path),
            false => Self::named(name).map_err(|error| error.to_string()),
        }
    }

    /// The texts of all messages joined with spaces, as LiteLLM sends them to models that it does not know.
    pub(super) fn joined() -> Result<Self, sagewire_chat_template::TemplateError> {
        Self::jinja("joined", JOINED)
    }

    /// A template under a name.
    pub fn new(name: impl Into<String>, template: ChatTemplate) -> Self {
        Self { name: name.into(), template: Arc::new(template) }
    }

    fn jinja(name: &str, source: &str) -> Result<Self, sagewire_chat_template::TemplateError> {
        ChatTemplate::from_jinja(source, "{}").map(|template| Self::dated(name, template))
    }

    /// A template that reads the date of each request, if it reads one.
    fn dated(name: impl Into<String>, template: ChatTemplate) -> Self {
        Self::new(name, template.clock(today))
    }

    /// Reads the template in a file: a `tokenizer_config.json`, or a Jinja template with such a file next to it.
    fn from_file(path: &Path) -> Result<Self, String> {
        let in_file = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| in_file(&error))?;
        let template = match is_jinja(path) {
            true => {
                let config = std::fs::read_to_string(path.with_file_name("tokenizer_config.json"));
                ChatTemplate::from_jinja(&text, config.as_deref().unwrap_or("{}"))
            }
            false => ChatTemplate::from_tokenizer_config(&text),
        };
        let template = template.map_err(|error| in_file(&error))?;
        Ok(Self::dated(path.display().to_string(), template))
    }
}

/// The date in UTC.
fn today() -> Date {
    let ([year, month, day], time) = utc(SystemTime::now());
    let [hour, minute, second] = time.map(|part| part as u8);
    let date = u16::try_from(year).ok().and_then(|year| Date::new(year, month as u8, day as u8));
    let date = date.and_then(|date| date.time(hour, minute, second));
    date.or_else(|| Date::new(1970, 1, 1)).expect("it is a date")
}

fn is_jinja(path: &Path) -> bool {
    matches!(path.extension().and_then(|end| end.to_str()), Some("jinja" | "jinja2" | "j2"))
}

impl FromYaml for Template {
    fn schema() -> serde_json::Value {
        let affixes = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {"prefix": {"type": "string"}, "suffix": {"type": "string"}},
        });
        let texts = json!({"type": "array", "items": {"type": "string"}});
        let roles = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "roles": {"type": "object", "additionalProperties": affixes},
                "initial": {"type": "string"},
                "final": {"type": "string"},
                "stop": texts,
                "control": texts,
            },
        });
        json!({"anyOf": [{"type": "string"}, roles]})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Value::Section(_) = node.value {
            let json = serde_json::Value::read(node, reader)?;
            return match serde_json::from_value::<Roles>(json) {
                Ok(roles) => Some(Self::new("roles", ChatTemplate::from_roles(roles))),
                Err(error) => reader.problem(node.at, error.to_string()),
            };
        }
        let name = String::read(node, reader)?;
        let template = Self::find(reader.folder, &name);
        template.map_or_else(|reason| reader.problem(node.at, reason), Some)
    }
}

#[cfg(test)]
mod tests {
    use sagewire_codec::model::{Content, Message, Part, Role};

    use super::*;

    #[test]
    fn texts_are_joined_or_one_message_is_the_prompt() {
        let message =
            |role, text: &'static str| Message::new(role, vec![Part::new(Content::Text(text.into()))]);
        let conversation = [
            message(Role::System, "Be brief."),
            message(Role::User, "Why?"),
            message(Role::Assistant, "So."),
        ];
        let text = |template: &Template, messages: &[Message<'_>]| {
            template
                .template
                .render(messages, &[])
                .map(|prompt| prompt.text)
                .map_err(|error| error.to_string())
        };
        assert_eq!(text(&Template::joined().unwrap(), &conversation), Ok("Be brief. Why? So.".into()));
        let none = Template::named("none").unwrap();
        assert_eq!(text(&none, &conversation[1..2]), Ok("Why?".into()));
        assert!(text(&none, &conversation).unwrap_err().contains("a single user message"));
    }
}
