//! The settings of a provider.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sagewire_codec::{Api, custom};
use serde_json::{Map, Value};

use super::output::OutputPath;
use super::transform::Transform;
use crate::results::Tokens;

/// Tokens that prices are for.
const PRICED_TOKENS: f64 = 1e6;

/// A provider of a configuration, before it is connected.
///
/// | ID | what is called |
/// |---|---|
/// | `sagemaker:NAME` | an endpoint, with the type `custom`, or `jumpstart` if its name contains this; `modelType` sets another |
/// | `sagemaker:TYPE:NAME` | an endpoint with the type `openai`, `anthropic`, `llama`, `huggingface`, `jumpstart` or `custom` |
/// | `sagemaker:embedding:NAME` | an endpoint that returns embeddings |
/// | `openai:chat:MODEL`, `openai:embedding:MODEL` | anything that has OpenAI's API, at `apiBaseUrl` |
///
/// The keys of `config` are those of promptfoo's SageMaker provider, and:
///
/// | key | what it has |
/// |---|---|
/// | `format` | an API of the codec, or the `file://` path of a custom format, in which requests are written in place of those of the type |
/// | `template` | with `format`: the chat template of containers that take a prompt, by name or `file://` path |
/// | `parameters`, `tools` | more parameters, which are sent as they are |
/// | `inferenceComponent`, `variant` | which model of the endpoint is invoked |
/// | `endpointUrl` | the URL of the service |
/// | `prices` | `input` and `output`: US dollars for a million tokens |
#[derive(Clone, Debug)]
pub struct Spec {
    pub(crate) id: String,
    pub(crate) label: Option<String>,
    pub(crate) prompts: Option<Vec<String>>,
    pub(crate) prices: Option<Prices>,
    pub(crate) tools: Vec<Value>,
    pub(crate) delay: Duration,
    pub(crate) transform: Option<Transform>,
    pub(crate) path: Option<OutputPath>,
    pub(crate) target: Target,
}

impl Spec {
    /// The ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The label, which reports show in place of the ID.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Whether it returns embeddings.
    pub fn is_embedding(&self) -> bool {
        match &self.target {
            Target::SageMaker(sagemaker) => sagemaker.embedding,
            Target::OpenAi(openai) => openai.embedding,
        }
    }

    /// Whether a name in a configuration is that of this provider: its ID or its label.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.id == name || self.label.as_deref() == Some(name)
    }

    /// US dollars for a call, if there are prices.
    pub(crate) fn cost(&self, tokens: Tokens) -> Option<f64> {
        let Prices { input, output } = self.prices?;
        Some((tokens.prompt as f64 * input + tokens.completion as f64 * output) / PRICED_TOKENS)
    }
}

/// US dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prices {
    pub(crate) input: f64,
    pub(crate) output: f64,
}

/// What is called.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    SageMaker(Box<SageMaker>),
    OpenAi(Box<OpenAi>),
}

/// An endpoint of SageMaker.
#[derive(Clone, Debug)]
pub(crate) struct SageMaker {
    pub(crate) endpoint: String,
    pub(crate) model: ModelType,
    pub(crate) embedding: bool,
    pub(crate) keys: Option<Keys>,
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) content_type: String,
    pub(crate) accept: String,
    pub(crate) inference_component: Option<String>,
    pub(crate) variant: Option<String>,
    pub(crate) retries: usize,
    pub(crate) sampling: Sampling,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) format: Option<Format>,
    pub(crate) template: Option<Template>,
}

/// A server with OpenAI's API.
#[derive(Clone, Debug)]
pub(crate) struct OpenAi {
    pub(crate) model: String,
    pub(crate) embedding: bool,
    pub(crate) url: String,
    pub(crate) key: Option<Secret>,
    pub(crate) parameters: Map<String, Value>,
}

/// How requests are written, in the terms of promptfoo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelType {
    OpenAi,
    Anthropic,
    Llama,
    HuggingFace,
    JumpStart,
    Custom,
}

/// Parameters that all types have, as far as they are set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampling {
    pub(crate) max_tokens: Option<usize>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) stop: Vec<String>,
}

/// How requests are written by the codec.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    Known(Api),
    Custom(Arc<custom::Format>),
}

/// A chat template.
#[derive(Clone)]
pub(crate) struct Template(pub(crate) Arc<sagewire_chat_template::Template>);

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}

/// AWS's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) key: Secret,
    pub(crate) token: Option<Secret>,
}

/// A secret, which has no `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}
