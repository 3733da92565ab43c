//! Prompts that have a prefix and a suffix for each role.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::TemplateError;
use crate::messages::PromptMessage;
use crate::prompt::Ending;

/// A prompt format that has a prefix and a suffix for each role. It also deserializes from LiteLLM's `roles`,
/// `initial_prompt_value` and `final_prompt_value`.
///
/// ```
/// use sagewire_chat_template::{Roles, Template};
/// use sagewire_codec::model::{Content, Message, Part, Role};
///
/// let roles: Roles = serde_json::from_str(
///     r#"{"roles": {"user": {"prefix": "Q: ", "suffix": "\n"}}, "final": "A:", "stop": ["\nQ:"]}"#,
/// )?;
/// let message = Message::new(Role::User, vec![Part::new(Content::Text("Why?".into()))]);
/// let prompt = Template::from_roles(roles).render(&[message], &[])?;
/// assert_eq!(prompt.text, "Q: Why?\nA:");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Roles {
    /// By role: `system`, `user`, `assistant`. A message with any other role is an error.
    #[serde(default)]
    pub roles: BTreeMap<String, Affixes>,
    /// The start of the prompt.
    #[serde(default, alias = "initial_prompt_value")]
    pub initial: String,
    /// The end of the prompt, which starts the response.
    #[serde(default, rename = "final", alias = "final_prompt_value")]
    pub final_: String,
    /// Stop sequences.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Control tokens, which a text must not contain; see [`ControlTokens`](crate::ControlTokens).
    #[serde(default)]
    pub control: Vec<String>,
}

/// The texts around a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affixes {
    /// Written before the text of the message.
    #[serde(default, alias = "pre_message")]
    pub prefix: String,
    /// Written after the text of the message.
    #[serde(default, alias = "post_message")]
    pub suffix: String,
}

impl Roles {
    /// A format without roles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a role.
    #[must_use]
    pub fn role(
        mut self,
        name: impl Into<String>,
        prefix: impl Into<String>,
        suffix: impl Into<String>,
    ) -> Self {
        self.roles.insert(name.into(), Affixes { prefix: prefix.into(), suffix: suffix.into() });
        self
    }

    /// Sets [`initial`](Self::initial).
    #[must_use]
    pub fn initial(mut self, text: impl Into<String>) -> Self {
        self.initial = text.into();
        self
    }

    /// Sets [`final_`](Self::final_).
    #[must_use]
    pub fn final_(mut self, text: impl Into<String>) -> Self {
        self.final_ = text.into();
        self
    }

    pub(crate) fn render(&self, messages: &[PromptMessage], ending: Ending) -> Result<String, TemplateError> {
        let mut out = self.initial.clone();
        for (index, message) in messages.iter().enumerate() {
            let Some(affixes) = self.roles.get(&message.role) else {
                let what = format!("the role `{}`", message.role);
                return Err(TemplateError::unsupported(&what, &format!("/messages/{index}")));
            };
            out.push_str(&affixes.prefix);
            out.push_str(&message.text());
            if ending != Ending::Continue || index + 1 < messages.len() {
                out.push_str(&affixes.suffix);
            }
        }
        if ending == Ending::Prompt {
            out.push_str(&self.final_);
        }
        Ok(out)
    }
}
