//! OpenAI's requests, which several containers accept: the fields that the emulator honours.

use serde::Deserialize;
use serde_json::Value;

use super::echo::Echo;
use super::stop_criteria::{Stop, StopCriteria};
use super::tool::{RequiredTool, Unknown};

/// Tokens that a chat template adds to each message.
const MESSAGE_TOKENS: usize = 4;

/// A chat completion request.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    model: Option<String>,
    pub(super) messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    pub(super) top_p: Option<f64>,
    /// Number of choices.
    pub(super) n: Option<i64>,
    stop: Option<Stop>,
    include_stop_str_in_output: Option<bool>,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    tool_choice: Value,
}

impl ChatRequest {
    /// The text or the tool call of the model.
    ///
    /// # Errors
    ///
    /// The request requires a tool that it does not define.
    pub(super) fn echo(&self, keeps_stop: bool) -> Result<Echo, Unknown> {
        let criteria =
            StopCriteria::tokens(self.max_completion_tokens.or(self.max_tokens)).stop(self.stop.as_ref());
        let criteria = StopCriteria { keeps_stop, ..criteria };
        let echo = Message::echo(&self.messages, &criteria);
        Ok(match RequiredTool::from_chat(&self.tools, &self.tool_choice)? {
            Some(tool) => echo.with_tool_call(tool, &Message::last_user_text(&self.messages), &criteria),
            None => echo,
        })
    }

    /// vLLM's parameter `include_stop_str_in_output`.
    pub(super) fn keeps_stop(&self) -> bool {
        self.include_stop_str_in_output.unwrap_or(false)
    }

    pub(super) fn model<'a>(&'a self, endpoint: &'a str) -> &'a str {
        model_or_endpoint(self.model.as_deref(), endpoint)
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    pub(super) fn wants_usage(&self) -> bool {
        StreamOptions::want_usage(self.stream_options.as_ref())
    }
}

/// A completion request.
#[derive(Debug, Deserialize)]
pub(super) struct CompletionRequest {
    model: Option<String>,
    prompt: Prompt,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    echo: Option<bool>,
    /// Number of choices for each prompt.
    pub(super) n: Option<i64>,
    stop: Option<Stop>,
    include_stop_str_in_output: Option<bool>,
}

impl CompletionRequest {
    /// The text of the model for each prompt.
    pub(super) fn echoes(&self, default_max_tokens: Option<u64>, keeps_stop: bool) -> Vec<Echo> {
        let criteria = StopCriteria::tokens(self.max_tokens.or(default_max_tokens)).stop(self.stop.as_ref());
        let criteria = &StopCriteria { keeps_stop, ..criteria };
        match &self.prompt {
            Prompt::Text(prompt) => vec![Echo::new(prompt, criteria)],
            Prompt::Texts(prompts) => prompts.iter().map(|prompt| Echo::new(prompt, criteria)).collect(),
            Prompt::Tokens(tokens) => vec![Echo::with_count("", tokens.len(), criteria)],
            Prompt::ListsOfTokens(lists) => {
                lists.iter().map(|tokens| Echo::with_count("", tokens.len(), criteria)).collect()
            }
        }
    }

    /// vLLM's parameter `include_stop_str_in_output`.
    pub(super) fn keeps_stop(&self) -> bool {
        self.include_stop_str_in_output.unwrap_or(false)
    }

    /// The prompt of this index, if the response repeats it.
    pub(super) fn prefix(&self, index: usize) -> &str {
        match &self.prompt {
            _ if !self.echo.unwrap_or(false) => "",
            Prompt::Text(prompt) => prompt,
            Prompt::Texts(prompts) => &prompts[index],
            _ => "",
        }
    }

    pub(super) fn model<'a>(&'a self, endpoint: &'a str) -> &'a str {
        model_or_endpoint(self.model.as_deref(), endpoint)
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    pub(super) fn wants_usage(&self) -> bool {
        StreamOptions::want_usage(self.stream_options.as_ref())
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ListsOfTokens(Vec<Vec<u32>>),
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl StreamOptions {
    fn want_usage(options: Option<&Self>) -> bool {
        options.and_then(|options| options.include_usage).unwrap_or(false)
    }
}

/// A message of any API with the same names for these fields.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) role: String,
    pub(super) content: Option<Content>,
}

impl Message {
    pub(super) fn text(&self) -> String {
        self.content.as_ref().map(Content::text).unwrap_or_default()
    }

    /// The text of the last user message.
    pub(super) fn last_user_text(messages: &[Self]) -> String {
        messages.iter().rev().find(|message| message.role == "user").map(Self::text).unwrap_or_default()
    }

    /// The text of the model.
    pub(super) fn echo(messages: &[Self], criteria: &StopCriteria) -> Echo {
        let count = messages.iter().map(|m| m.text().split_whitespace().count() + MESSAGE_TOKENS).sum();
        Echo::with_count(&Self::last_user_text(messages), count, criteria)
    }
}

/// The content of a message: a text or parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

impl Content {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => {
                parts.iter().filter_map(|part| part.text.as_deref()).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Part {
    text: Option<String>,
}

/// The requested model, or the name of the endpoint, which has only one model.
pub(super) fn model_or_endpoint<'a>(model: Option<&'a str>, endpoint: &'a str) -> &'a str {
    model.filter(|model| !model.is_empty()).unwrap_or(endpoint)
}
