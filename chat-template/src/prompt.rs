//! What rendering returns.

use std::borrow::Cow;

use sagewire_codec::model::Losses;

/// A rendered prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prompt {
    /// The prompt.
    pub text: String,
    /// Stop sequences of the model. Send them with the request if the container does not know them.
    pub stop: Vec<Cow<'static, str>>,
    /// What the prompt does not express. Paths are JSON pointers such as `/messages/1/content/0`, where content is always a
    /// list.
    pub losses: Losses,
}

/// What a prompt ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The start of an assistant message, for the model to complete (`add_generation_prompt=True` in transformers).
    #[default]
    Prompt,
    /// The end of the last message.
    Message,
    /// The text of the last message, for the model to continue (`continue_final_message=True` in transformers).
    Continue,
}
