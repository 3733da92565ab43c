//! Requests in OpenAI's shapes, which several containers take: the parts that make a difference here.

use serde::Deserialize;
use serde_json::Value;

use super::echo::Echo;
use super::tool::{Demanded, Unknown};
use super::until::{Stop, Until};

/// What a chat template adds to each message, in tokens.
const MESSAGE_TOKENS: usize = 4;

/// A chat.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    model: Option<String>,
    pub(super) messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    pub(super) top_p: Option<f64>,
    /// Answers that are wanted.
    pub(super) n: Option<i64>,
    stop: Option<Stop>,
    include_stop_str_in_output: Option<bool>,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    tool_choice: Value,
}

impl ChatRequest {
    /// What the model says, or calls.
    ///
    /// # Errors
    ///
    /// The tool that is to be called is not there.
    pub(super) fn echo(&self, keeps_stop: bool) -> Result<Echo, Unknown> {
        let until = Until::tokens(self.max_completion_tokens.or(self.max_tokens)).stop(self.stop.as_ref());
        let until = Until { keeps_stop, ..until };
        let echo = Message::echo(&self.messages, &until);
        Ok(match Demanded::of_chat(&self.tools, &self.tool_choice)? {
            Some(tool) => echo.calling(tool, &Message::asked(&self.messages), &until),
            None => echo,
        })
    }

    /// What vLLM's own parameter says of it.
    pub(super) fn keeps_stop(&self) -> bool {
        self.include_stop_str_in_output.unwrap_or(false)
    }

    pub(super) fn model<'a>(&'a self, endpoint: &'a str) -> &'a str {
        named(self.model.as_deref(), endpoint)
    }

    pub(super) fn is_streamed(&self) -> bool {
        self.stream.unwrap_or(false)
    }

    pub(super) fn wants_usage(&self) -> bool {
        StreamOptions::want_usage(self.stream_options.as_ref())
    }
}

/// Text that is to go on.
#[derive(Debug, Deserialize)]
pub(super) struct CompletionRequest {
    model: Option<String>,
    prompt: Prompt,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    echo: Option<bool>,
    /// Answers to each prompt.
    pub(super) n: Option<i64>,
    stop: Option<Stop>,
    include_stop_str_in_output: Option<bool>,
}

impl CompletionRequest {
    /// What the model says to each prompt.
    pub(super) fn echoes(&self, default_max_tokens: Option<u64>, keeps_stop: bool) -> Vec<Echo> {
        let until = Until::tokens(self.max_tokens.or(default_max_tokens)).stop(self.stop.as_ref());
        let until = &Until { keeps_stop, ..until };
        match &self.prompt {
            Prompt::Text(prompt) => vec![Echo::new(prompt, until)],
            Prompt::Texts(prompts) => prompts.iter().map(|prompt| Echo::new(prompt, until)).collect(),
            Prompt::Tokens(tokens) => vec![Echo::with_count("", tokens.len(), until)],
            Prompt::ListsOfTokens(lists) => {
                lists.iter().map(|tokens| Echo::with_count("", tokens.len(), until)).collect()
            }
        }
    }

    /// What vLLM's own parameter says of it.
    pub(super) fn keeps_stop(&self) -> bool {
        self.include_stop_str_in_output.unwrap_or(false)
    }

    /// What is repeated before the answer to the prompt of this index.
    pub(super) fn prefix(&self, index: usize) -> &str {
        match &self.prompt {
            _ if !self.echo.unwrap_or(false) => "",
            Prompt::Text(prompt) => prompt,
            Prompt::Texts(prompts) => &prompts[index],
            _ => "",
        }
    }

    pub(super) fn model<'a>(&'a self, endpoint: &'a str) -> &'a str {
        named(self.model.as_deref(), endpoint)
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

/// A message of a chat, of a dialog, or of another API that calls these members the same.
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

    /// The last of the user's messages.
    pub(super) fn asked(messages: &[Self]) -> String {
        messages.iter().rev().find(|message| message.role == "user").map(Self::text).unwrap_or_default()
    }

    /// What the model says to it.
    pub(super) fn echo(messages: &[Self], until: &Until) -> Echo {
        let count = messages.iter().map(|m| m.text().split_whitespace().count() + MESSAGE_TOKENS).sum();
        Echo::with_count(&Self::asked(messages), count, until)
    }
}

/// The text of a message, or its parts.
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

/// The model that was asked for; the endpoint has only one.
pub(super) fn named<'a>(model: Option<&'a str>, endpoint: &'a str) -> &'a str {
    model.filter(|model| !model.is_empty()).unwrap_or(endpoint)
}
