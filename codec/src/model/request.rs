//! A request: what a caller asks of a model.
//!
//! It borrows from the document that it was read from, and remembers where in it each thing stood, so that what a target
//! format cannot say is reported by its place in the source.
//!
//! What a format says and this model has no name for is kept as it came. Members that only the source's format gives a
//! meaning are in the `own` list of what they stood in, by their path in it (`image_url/x`). They go back into the same
//! format, and are a loss in any other. Parameters of one container are in [`Request::others`], by name.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::json::Landmarks;
use crate::model::Api;
use crate::model::Json;
use crate::model::text::Text;

/// Bytes of the source document before a value; `None` for what no source said.
pub type Offset = Option<u32>;

/// A parameter and where it stood.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Param<T> {
    /// The value.
    pub value: T,
    /// Where it stood.
    pub offset: Offset,
}

impl<T> Param<T> {
    /// A parameter that no source said.
    pub fn new(value: T) -> Self {
        Self { value, offset: None }
    }
}

/// Members as the source has them: their names or paths, their values, and where these stood.
pub type Fields<'a> = Vec<(Cow<'a, str>, Param<Json<'a>>)>;

/// A chat request, as far as any of the formats can say it. What is `None` was not said, and its default is the
/// container's.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The model; SageMaker's endpoints mostly have one and ignore it.
    pub model: Option<Param<Cow<'a, str>>>,
    /// The conversation, system messages in their places.
    pub messages: Vec<Message<'a>>,
    /// The tools that the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether it has to call one.
    pub tool_choice: Option<Param<ToolChoice<'a>>>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<Param<bool>>,
    /// Most tokens of the answer.
    pub max_tokens: Option<Param<u64>>,
    /// Temperature of sampling; 0 is greedy.
    pub temperature: Option<Param<f64>>,
    /// Nucleus of sampling, 0 to 1.
    pub top_p: Option<Param<f64>>,
    /// Whether tokens are sampled at all (TGI, LMI, Hugging Face).
    pub do_sample: Option<Param<bool>>,
    /// Most likely tokens that are sampled from.
    pub top_k: Option<Param<i64>>,
    /// Least share of the likeliest token's probability (vLLM, SGLang).
    pub min_p: Option<Param<f64>>,
    /// Seed of sampling.
    pub seed: Option<Param<i64>>,
    /// How many answers.
    pub n: Option<Param<u64>>,
    /// Strings that end the answer.
    pub stop: Vec<Param<Cow<'a, str>>>,
    /// Added for each time that a token has come.
    pub frequency_penalty: Option<Param<f64>>,
    /// Added once a token has come.
    pub presence_penalty: Option<Param<f64>>,
    /// Factor once a token has come; 1 is none.
    pub repetition_penalty: Option<Param<f64>>,
    /// Whether probabilities are wanted.
    pub logprobs: Option<Param<bool>>,
    /// For how many alternatives of each token.
    pub top_logprobs: Option<Param<u64>>,
    /// Added to the scores of tokens, by token ID: an object.
    pub logit_bias: Option<Param<Json<'a>>>,
    /// What shape the answer's text has to have.
    pub response_format: Option<Param<ResponseFormat<'a>>>,
    /// How much the model thinks first.
    pub reasoning: Option<Param<Reasoning<'a>>>,
    /// Whether the answer comes as a stream.
    pub stream: Option<Param<bool>>,
    /// Whether a stream ends with token counts.
    pub include_usage: Option<Param<bool>>,
    /// Who asks: the end user's opaque name.
    pub user: Option<Param<Cow<'a, str>>>,
    /// The class of service.
    pub service_tier: Option<Param<Cow<'a, str>>>,
    /// Whether the prompt comes back before the text (TGI, Hugging Face, LMI).
    pub return_full_text: Option<Param<bool>>,
    /// Whether details of the generation are wanted (TGI, LMI).
    pub details: Option<Param<bool>>,
    /// A prompt as text, in place of messages (completions, text generation).
    pub prompt: Option<Param<Text<'a>>>,
    /// Several prompts, or prompts of tokens, as the source has them: a list. Only completions take them, in place of
    /// [`prompt`](Self::prompt).
    pub prompts: Option<Param<Json<'a>>>,
    /// Parameters of one container, by name. They go where the target takes such, if it does.
    pub extra_parameters: Fields<'a>,
    /// Members that only the source's format knows, by their path in it.
    pub extension_fields: Fields<'a>,
    /// The API that this was read from.
    pub api: Option<Api>,
    /// The document that this was read from, and all of `at` counts in; empty for none.
    pub source: Cow<'a, str>,
    /// Where things stand in the source.
    pub(crate) landmarks: Landmarks,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role<'a>,
    /// What it says, in order.
    pub content: Vec<Part<'a>>,
    /// Name of the speaker.
    pub name: Option<Cow<'a, str>>,
    /// Members that only the source's format knows, by their path in the message.
    pub extension_fields: Fields<'a>,
    /// Where it stood.
    pub offset: Offset,
}

impl<'a> Message<'a> {
    /// A message that no source said.
    pub fn new(role: Role<'a>, content: Vec<Part<'a>>) -> Self {
        Self { role, content, name: None, extension_fields: Vec::new(), offset: None }
    }
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role<'a> {
    /// The one who sets the rules.
    System,
    /// The same, as OpenAI's newer models call it.
    Developer,
    /// The one who asks. Results of tools are parts of such a message or of one of [`Tool`](Self::Tool).
    User,
    /// The model.
    Assistant,
    /// A tool, whose result this is.
    Tool,
    /// A role that has no name here.
    Other(Cow<'a, str>),
}

impl Role<'_> {
    /// OpenAI's name of the role, or the role as it came.
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
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Part<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// The provider may cache everything up to here: the source's JSON for it.
    pub cache: Option<Json<'a>>,
    /// Members that only the source's format knows, by their path in the part.
    pub extension_fields: Fields<'a>,
    /// Where it stood.
    pub offset: Offset,
}

impl<'a> Part<'a> {
    /// A part that no source said.
    pub fn new(content: Content<'a>) -> Self {
        Self { content, cache: None, extension_fields: Vec::new(), offset: None }
    }
}

/// What a part of a message is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content<'a> {
    /// Text.
    Text(Text<'a>),
    /// What the model thought.
    Reasoning {
        /// The text of it.
        text: Text<'a>,
        /// With which its provider takes it back.
        signature: Option<Cow<'a, str>>,
    },
    /// Reasoning that only its provider can read, in Base64.
    Redacted(Cow<'a, str>),
    /// Why the model would not answer.
    Refusal(Text<'a>),
    /// An image.
    Image {
        /// Where its bytes are.
        source: Source<'a>,
        /// How closely it is looked at: `auto`, `low`, `high`.
        detail: Option<Cow<'a, str>>,
    },
    /// Sound.
    Audio {
        /// Where its bytes are.
        source: Source<'a>,
    },
    /// A film.
    Video {
        /// Where its bytes are.
        source: Source<'a>,
    },
    /// A document.
    Document {
        /// Where its bytes are.
        source: Source<'a>,
        /// Its name.
        name: Option<Cow<'a, str>>,
    },
    /// A call of a tool, in a message of the assistant.
    ToolCall {
        /// The ID that the result names.
        id: Option<Cow<'a, str>>,
        /// The tool.
        name: Cow<'a, str>,
        /// Its input, a JSON text; empty for no arguments.
        input: Text<'a>,
        /// The input is free text and no JSON: a custom tool of OpenAI's.
        custom: bool,
    },
    /// What a tool returned.
    ToolResult {
        /// The ID of the call.
        id: Option<Cow<'a, str>>,
        /// What it returned: texts, images, documents, JSON.
        content: Vec<Part<'a>>,
        /// Whether the tool failed, where the source says.
        is_error: Option<bool>,
    },
    /// A JSON value, in the result of a tool.
    Json(Json<'a>),
    /// A part that has no name here, as the source has it.
    Other(Json<'a>),
}

/// Where the bytes of an image or a document are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source<'a> {
    /// Here, in Base64.
    Base64 {
        /// Media type, `image/png`.
        media_type: Cow<'a, str>,
        /// The bytes.
        data: Text<'a>,
    },
    /// Elsewhere: `https` or `s3`.
    Url(Cow<'a, str>),
    /// With the provider, under this ID.
    File(Cow<'a, str>),
    /// Here, as plain text.
    Text(Text<'a>),
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tool<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What it does.
    pub description: Option<Text<'a>>,
    /// JSON schema of its input.
    pub schema: Option<Json<'a>>,
    /// Whether the input has to follow the schema exactly.
    pub strict: Option<bool>,
    /// The provider may cache everything up to here: the source's JSON for it.
    pub cache: Option<Json<'a>>,
    /// The whole of a tool that is no function, as the source has it.
    pub other: Option<Json<'a>>,
    /// Members that only the source's format knows, by their path in the tool.
    pub extension_fields: Fields<'a>,
    /// Where it stood.
    pub offset: Offset,
}

impl<'a> Tool<'a> {
    /// A function that no source said.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self {
            name: name.into(),
            description: None,
            schema: None,
            strict: None,
            cache: None,
            other: None,
            extension_fields: Vec::new(),
            offset: None,
        }
    }
}

/// Whether the model has to call a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolChoice<'a> {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Tool(Cow<'a, str>),
    /// Only these: at least one of them, or as it likes.
    Allowed {
        /// Their names.
        tools: Vec<Cow<'a, str>>,
        /// At least one.
        required: bool,
    },
    /// A choice that has no name here, as the source has it.
    Other(Json<'a>),
}

impl ToolChoice<'_> {
    /// Whether the model may do as it likes, which is every container's default.
    pub fn is_auto(&self) -> bool {
        matches!(self, Self::Auto)
    }
}

/// What shape the answer's text has to have.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat<'a> {
    /// Any.
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// Name of the schema.
        name: Option<Cow<'a, str>>,
        /// What it is for.
        description: Option<Cow<'a, str>>,
        /// The schema.
        schema: Option<Json<'a>>,
        /// Whether to follow it exactly.
        strict: Option<bool>,
    },
    /// Text that a regular expression matches (TGI).
    Regex(Cow<'a, str>),
    /// A shape that has no name here, as the source has it.
    Other(Json<'a>),
}

impl ResponseFormat<'_> {
    /// Whether any text will do, which is every container's default.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text)
    }
}

/// How much the model thinks first.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Reasoning<'a> {
    /// `none`, `minimal`, `low`, `medium`, `high`, …
    pub effort: Option<Cow<'a, str>>,
    /// Most tokens of it.
    pub budget_tokens: Option<u64>,
    /// The source's JSON, where it says more than that.
    pub other: Option<Json<'a>>,
}
