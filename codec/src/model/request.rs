//! A request to a model.
//!
//! It borrows from the source document and keeps the offsets of its values, so that a loss in a conversion has a position in
//! the source.
//!
//! Values that this model has no name for are kept unchanged. Fields that only the source's API knows are in the
//! `extension_fields` of their object, by their path in it (`image_url/x`). They are written for the same
//! API, and are a loss in any other. Parameters of one container are in [`Request::extra_parameters`], by name.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use serde::{Serialize, Serializer};

use crate::json::Landmarks;
use crate::model::Api;
use crate::model::Json;
use crate::model::text::Text;

/// Bytes of the source document before a value; `None` for a value that was not read from a document.
pub type Offset = Option<u32>;

/// A parameter, and the offset of its value in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Param<T> {
    /// The value.
    pub value: T,
    /// Its offset.
    pub offset: Offset,
}

impl<T> Param<T> {
    /// A parameter without a source.
    pub fn new(value: T) -> Self {
        Self { value, offset: None }
    }
}

/// Fields as the source has them: their names or paths, and their values.
pub type Fields<'a> = Vec<(Cow<'a, str>, Param<Json<'a>>)>;

/// A request for a chat or a completion. A field that is `None` is not set: the default of the container applies.
///
/// Two requests are equal if all of their fields are, source and offsets included; floating-point numbers are compared by
/// their bits.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The model; SageMaker's endpoints mostly have one and ignore it.
    pub model: Option<Param<Cow<'a, str>>>,
    /// The conversation, system messages included.
    pub messages: Vec<Message<'a>>,
    /// The tools that the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether the model has to call a tool.
    pub tool_choice: Option<Param<ToolChoice<'a>>>,
    /// Whether the model may call several tools at once.
    pub parallel_tool_calls: Option<Param<bool>>,
    /// Maximum number of generated tokens.
    pub max_tokens: Option<Param<u64>>,
    /// Sampling temperature; 0 is greedy.
    pub temperature: Option<Param<f64>>,
    /// Nucleus sampling probability, 0 to 1.
    pub top_p: Option<Param<f64>>,
    /// Whether tokens are sampled at all (TGI, LMI, Hugging Face).
    pub do_sample: Option<Param<bool>>,
    /// Number of most likely tokens that are sampled from.
    pub top_k: Option<Param<i64>>,
    /// Minimum probability, relative to that of the most likely token (vLLM, SGLang).
    pub min_p: Option<Param<f64>>,
    /// Sampling seed.
    pub seed: Option<Param<i64>>,
    /// Number of choices.
    pub n: Option<Param<u64>>,
    /// Strings that end the generation.
    pub stop: Vec<Param<Cow<'a, str>>>,
    /// Penalty for each occurrence of a token.
    pub frequency_penalty: Option<Param<f64>>,
    /// Penalty for a token that has occurred.
    pub presence_penalty: Option<Param<f64>>,
    /// Factor for a token that has occurred; 1 is none.
    pub repetition_penalty: Option<Param<f64>>,
    /// Whether log probabilities are requested.
    pub logprobs: Option<Param<bool>>,
    /// Number of alternatives of each token with their log probabilities.
    pub top_logprobs: Option<Param<u64>>,
    /// Bias added to the scores of tokens, by token ID: an object.
    pub logit_bias: Option<Param<Json<'a>>>,
    /// The format of the generated text.
    pub response_format: Option<Param<ResponseFormat<'a>>>,
    /// How much the model reasons.
    pub reasoning: Option<Param<Reasoning<'a>>>,
    /// Whether the response is streamed.
    pub stream: Option<Param<bool>>,
    /// Whether a stream ends with token usage.
    pub include_usage: Option<Param<bool>>,
    /// An opaque identifier of the end user.
    pub user: Option<Param<Cow<'a, str>>>,
    /// The service tier.
    pub service_tier: Option<Param<Cow<'a, str>>>,
    /// ID or ARN of the project that the request is accounted to (Converse).
    pub project: Option<Param<Cow<'a, str>>>,
    /// Whether the prompt is returned before the text (TGI, Hugging Face, LMI).
    pub return_full_text: Option<Param<bool>>,
    /// Whether details of the generation are requested (TGI, LMI).
    pub details: Option<Param<bool>>,
    /// A prompt as text, in place of messages (completions, text generation).
    pub prompt: Option<Param<Text<'a>>>,
    /// Several prompts, or prompts of tokens, as the source has them: a list. Only completions take them, in place of
    /// [`prompt`](Self::prompt).
    pub prompts: Option<Param<Json<'a>>>,
    /// Parameters of one container, by name. They are passed on if the target takes such.
    pub extra_parameters: Fields<'a>,
    /// Fields that only the source's API knows, by their path in it.
    pub extension_fields: Fields<'a>,
    /// The API that this was read from.
    pub api: Option<Api>,
    /// The document that this was read from, in which all offsets count; empty for none.
    pub source: Cow<'a, str>,
    /// Known positions in the source.
    pub(crate) landmarks: Landmarks,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Message<'a> {
    /// Its role.
    pub role: Role<'a>,
    /// Its parts, in order.
    pub content: Vec<Part<'a>>,
    /// Name of the participant.
    pub name: Option<Cow<'a, str>>,
    /// Fields that only the source's API knows, by their path in the message.
    pub extension_fields: Fields<'a>,
    /// Its offset in the source.
    pub offset: Offset,
}

/// The role of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role<'a> {
    /// Instructions.
    System,
    /// Instructions, as OpenAI's newer models call them.
    Developer,
    /// The user. Results of tools are parts of such a message or of one of [`Tool`](Self::Tool).
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
    /// A role that has no name here.
    Other(Cow<'a, str>),
}

impl Role<'_> {
    /// OpenAI's name of the role, or the unknown role as it is.
    pub fn as_str(&self) -> &str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Other(role) => role,
        }
    }
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Part<'a> {
    /// Its content.
    pub content: Content<'a>,
    /// A cache point behind it, as the source's JSON.
    pub cache: Option<Json<'a>>,
    /// Fields that only the source's API knows, by their path in the part.
    pub extension_fields: Fields<'a>,
    /// Its offset in the source.
    pub offset: Offset,
}

/// As its content.
impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.content.serialize(serializer)
    }
}

/// The content of a part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content<'a> {
    /// Text.
    Text(Text<'a>),
    /// Reasoning of the model.
    Reasoning {
        /// The text.
        text: Text<'a>,
        /// The signature that its provider requires to accept it again.
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<Cow<'a, str>>,
    },
    /// Reasoning that only its provider can read, in Base64.
    Redacted(Cow<'a, str>),
    /// The model's refusal.
    Refusal(Text<'a>),
    /// An image.
    Image {
        /// Its bytes, or where they are.
        source: Source<'a>,
        /// Level of detail: `auto`, `low`, `high`.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Cow<'a, str>>,
    },
    /// Audio.
    Audio {
        /// Its bytes, or where they are.
        source: Source<'a>,
    },
    /// A video.
    Video {
        /// Its bytes, or where they are.
        source: Source<'a>,
    },
    /// A document.
    Document {
        /// Its bytes, or where they are.
        source: Source<'a>,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Cow<'a, str>>,
    },
    /// A call of a tool, in an assistant message.
    ToolCall {
        /// The ID that the result refers to.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
        /// The tool.
        name: Cow<'a, str>,
        /// Its input, a JSON text; empty for no arguments.
        input: Text<'a>,
        /// The input is free text instead of JSON: one of OpenAI's custom tools.
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        custom: bool,
    },
    /// The result of a tool.
    ToolResult {
        /// The ID of the call.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
        /// Texts, images, documents, JSON.
        content: Vec<Part<'a>>,
        /// Whether the tool failed, if it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
    },
    /// A JSON value, in the result of a tool.
    Json(Json<'a>),
    /// A part that this model has no name for, as the source has it.
    Other(Json<'a>),
}

/// The bytes of an image or a document, or where they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source<'a> {
    /// The bytes, encoded as Base64.
    Base64 {
        /// Media type, `image/png`.
        media_type: Cow<'a, str>,
        /// The bytes.
        data: Text<'a>,
    },
    /// A URL: `https` or `s3`.
    Url(Cow<'a, str>),
    /// The ID of a file that the provider stores.
    File(Cow<'a, str>),
    /// Plain text.
    Text(Text<'a>),
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tool<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its description.
    pub description: Option<Text<'a>>,
    /// JSON schema of its input.
    pub schema: Option<Json<'a>>,
    /// Whether the input has to follow the schema exactly.
    pub strict: Option<bool>,
    /// A cache point behind it, as the source's JSON.
    pub cache: Option<Json<'a>>,
    /// A tool that is not a function, as the source has it.
    pub other: Option<Json<'a>>,
    /// Fields that only the source's API knows, by their path in the tool.
    pub extension_fields: Fields<'a>,
    /// Its offset in the source.
    pub offset: Offset,
}

/// Whether the model has to call a tool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ToolChoice<'a> {
    /// The model decides.
    Auto,
    /// No tool.
    None,
    /// At least one tool.
    Required,
    /// This tool.
    Tool(Cow<'a, str>),
    /// Only these tools.
    Allowed {
        /// Their names.
        tools: Vec<Cow<'a, str>>,
        /// Whether the model has to call at least one of them.
        required: bool,
    },
    /// A choice that this model has no name for, as the source has it.
    Other(Json<'a>),
}

impl ToolChoice<'_> {
    /// The names of the tools that are allowed; `None` for all.
    pub(crate) fn allowed(&self) -> Option<BTreeSet<&str>> {
        match self {
            Self::Allowed { tools, .. } => Some(tools.iter().map(|name| &**name).collect()),
            _ => None,
        }
    }

    /// Whether the model decides, which is every container's default.
    pub fn is_auto(&self) -> bool {
        matches!(self, Self::Auto)
    }
}

/// The format of the generated text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseFormat<'a> {
    /// Any text.
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// Name of the schema.
        name: Option<Cow<'a, str>>,
        /// Its description.
        description: Option<Cow<'a, str>>,
        /// The schema.
        schema: Option<Json<'a>>,
        /// Whether the output has to follow it exactly.
        strict: Option<bool>,
    },
    /// Text that a regular expression matches (TGI).
    Regex(Cow<'a, str>),
    /// A format that this model has no name for, as the source has it.
    Other(Json<'a>),
}

impl ResponseFormat<'_> {
    /// Whether any text is allowed, which is every container's default.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text)
    }
}

/// How much the model reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Reasoning<'a> {
    /// `none`, `minimal`, `low`, `medium`, `high`, …
    pub effort: Option<Cow<'a, str>>,
    /// Maximum number of reasoning tokens.
    pub budget_tokens: Option<u64>,
    /// The source's JSON, if it has more than that.
    pub other: Option<Json<'a>>,
}

impl PartialEq for Request<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Request<'_> {}

impl Hash for Request<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// The bits of a floating-point number, which have an order and a hash.
fn bits(param: Option<Param<f64>>) -> Option<Param<u64>> {
    param.map(|Param { value, offset }| Param { value: value.to_bits(), offset })
}

impl<'a> Request<'a> {
    /// All fields, in a form that can be compared and hashed. The landmarks follow from the source.
    fn key(&self) -> impl Hash + Eq + use<'_, 'a> {
        let Self {
            model,
            messages,
            tools,
            tool_choice,
            parallel_tool_calls,
            max_tokens,
            top_k,
            seed,
            n,
            stop,
            ..
        } = self;
        let Self {
            logprobs,
            top_logprobs,
            logit_bias,
            response_format,
            reasoning,
            stream,
            include_usage,
            ..
        } = self;
        let Self {
            user, service_tier, project, return_full_text, details, prompt, prompts, do_sample, ..
        } = self;
        let Self { extra_parameters, extension_fields, api, source, .. } = self;
        (
            (api, source, model, messages, tools, tool_choice, parallel_tool_calls),
            (
                max_tokens,
                top_k,
                seed,
                n,
                stop,
                do_sample,
                bits(self.temperature),
                bits(self.top_p),
                bits(self.min_p),
            ),
            (bits(self.frequency_penalty), bits(self.presence_penalty), bits(self.repetition_penalty)),
            (logprobs, top_logprobs, logit_bias, response_format, reasoning, stream, include_usage),
            (user, service_tier, project, return_full_text, details, prompt, prompts),
            (extra_parameters, extension_fields),
        )
    }
}
