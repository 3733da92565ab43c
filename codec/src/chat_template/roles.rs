//! Prompts of a prefix and a suffix for each role.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Ending;
use super::messages::{Turn, unsupported};
use crate::error::DecodeError;

/// A prompt format that is nothing but a prefix and a suffix for each role, as LiteLLM has them. LiteLLM's names are read,
/// too.
///
/// ```
/// use sagewire_codec::model::{Content, Message, Part, Role};
/// use sagewire_codec::chat_template::{Roles, Template};
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
    /// By the name of the role: `system`, `user`, `assistant`. A message of any other role is refused.
    #[serde(default)]
    pub roles: BTreeMap<String, Affixes>,
    /// What the prompt begins with.
    #[serde(default, alias = "initial_prompt_value")]
    pub initial: String,
    /// What the prompt ends with: the beginning of the answer.
    #[serde(default, rename = "final", alias = "final_prompt_value")]
    pub final_: String,
    /// Strings that end an answer.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Tokens that texts must not have; see [`Control`](super::Control).
    #[serde(default)]
    pub control: Vec<String>,
}

/// What stands around a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affixes {
    /// Before its text.
    #[serde(default, alias = "pre_message")]
    pub prefix: String,
    /// Behind its text.
    #[serde(default, alias = "post_message")]
    pub suffix: String,
}

impl Roles {
    /// A format that knows no role.
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

    pub(super) fn render(&self, turns: &[Turn], ending: Ending) -> Result<String, DecodeError> {
        let mut out = self.initial.clone();
        for (index, turn) in turns.iter().enumerate() {
            let Some(affixes) = self.roles.get(&turn.role) else {
                let what = format!("the role `{}`, which has no prefix and no suffix,", turn.role);
                return Err(unsupported(&what, &format!("/messages/{index}")));
            };
            out.push_str(&affixes.prefix);
            out.push_str(&turn.text());
            if ending != Ending::Continue || index + 1 < turns.len() {
                out.push_str(&affixes.suffix);
            }
        }
        if ending == Ending::Prompt {
            out.push_str(&self.final_);
        }
        Ok(out)
    }
}
