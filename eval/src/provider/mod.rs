//! Models that are evaluated, and models that grade.

mod call;
mod connect;
pub(crate) mod output;
mod payload;
pub(crate) mod spec;
pub(crate) mod transform;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::connect::Connector;
pub use self::spec::Spec;
use crate::results::Tokens;

/// A model of a configuration: an endpoint with the settings of its calls.
pub struct Provider {
    id: String,
    backend: Box<dyn Backend>,
}

/// What calls a model.
///
/// The providers of a configuration are made by this crate. An implementation of its own makes anything else a provider.
pub trait Backend: Send + Sync {
    /// Sends a prompt, and waits for the complete response.
    fn chat<'a>(&'a self, prompt: &'a Prompt) -> CallFuture<'a, Reply>;

    /// Computes the embedding of a text.
    fn embed<'a>(&'a self, text: &'a str) -> CallFuture<'a, Vec<f32>>;
}

/// A call in progress.
pub type CallFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send + 'a>>;

impl Provider {
    /// A provider with this ID.
    pub fn new(id: impl Into<String>, backend: impl Backend + 'static) -> Self {
        Self { id: id.into(), backend: Box::new(backend) }
    }

    /// Its ID, as in the configuration: `sagemaker:openai:my-llm`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends a prompt, and waits for the complete response.
    ///
    /// # Errors
    ///
    /// The call has failed, or its response is not complete or has no output.
    pub async fn chat(&self, prompt: &Prompt) -> Result<Reply, CallError> {
        self.backend.chat(prompt).await
    }

    /// Computes the embedding of a text.
    ///
    /// # Errors
    ///
    /// The call has failed, or its response has no embedding.
    pub async fn embed(&self, text: &str) -> Result<Vec<f32>, CallError> {
        self.backend.embed(text).await
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A prompt, with its variables replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// The text. A JSON array of messages is a conversation.
    pub text: String,
    /// The variables of the test, for transformations.
    pub vars: Map<String, Value>,
    /// The number of the repetition, from 0: repetitions of a prompt are not from the same cached response.
    pub repeat: usize,
}

impl Prompt {
    /// A prompt without variables.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A complete response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Usually text, JSON if a path selects a value that is not text.
    pub output: Value,
    /// The tool calls, in the shape that they have in OpenAI's chat completions.
    pub tool_calls: Vec<Value>,
    /// Why the model has stopped, in the terms of OpenAI's API.
    pub finish_reason: Option<String>,
    /// The tokens that the container has counted.
    pub tokens: Option<Tokens>,
    /// How long the call took; of a cached response, what the original call took.
    pub latency: Duration,
    /// The response is from the cache.
    pub cached: bool,
}

/// Why a call has failed, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    message: String,
}

impl CallError {
    /// An error with this message, of which line ends become spaces.
    pub fn new(message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { message: message.lines().map(str::trim).collect::<Vec<_>>().join(" ") }
    }

    /// An error with its cause: the last one, because those before it only repeat that there was one.
    pub(crate) fn with_cause(error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |error| error.source());
        match causes.last() {
            Some(cause) => Self::new(format_args!("{error}: {cause}")),
            None => Self::new(error),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CallError {}
