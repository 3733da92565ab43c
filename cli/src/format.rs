//! The formats, as they are called on the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sagewire_codec::format::bedrock::Encoding;
use sagewire_codec::{Format, Target, chat, embedding};
use sagewire_emulator::ContainerFormat;

/// Reads the name of a container's format.
pub(crate) fn container() -> impl TypedValueParser<Value = ContainerFormat> {
    PossibleValuesParser::new(ContainerFormat::ALL.map(ContainerFormat::name))
        .try_map(|name| name.parse::<ContainerFormat>())
}

/// What is read.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(crate) enum From {
    /// Tell by the shape
    #[default]
    Auto,
    /// OpenAI chat completions, and the completions before them
    #[value(name = "openai")]
    OpenAi,
    /// OpenAI Responses
    Responses,
    /// Bedrock's Converse and ConverseStream
    Bedrock,
    /// Anthropic Messages
    Anthropic,
    /// TGI, JumpStart, LMI, Triton and llama-server in their own shapes
    #[value(alias = "jumpstart", alias = "lmi", alias = "triton", alias = "generate")]
    Tgi,
    /// Raw text, as TorchServe streams it
    Text,
}

impl From {
    /// The codec's name for it.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Auto => Format::Auto,
            Self::OpenAi => Format::OpenAi,
            Self::Responses => Format::Responses,
            Self::Bedrock => Format::Bedrock,
            Self::Anthropic => Format::Anthropic,
            Self::Tgi => Format::Generate,
            Self::Text => Format::Text,
        }
    }
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum To {
    /// OpenAI chat completions
    #[value(name = "openai")]
    OpenAi,
    /// Bedrock's Converse
    Bedrock,
    /// Anthropic Messages
    Anthropic,
    /// TGI's generate
    Tgi,
}

impl To {
    /// The codec's name for it; `encoding` is that of Bedrock's streams.
    pub(crate) fn target(self, encoding: Encoding) -> Target {
        match self {
            Self::OpenAi => Target::OpenAi,
            Self::Bedrock => Target::Bedrock(encoding),
            Self::Anthropic => Target::Anthropic,
            Self::Tgi => Target::Tgi,
        }
    }
}

/// A format of requests.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum RequestFormat {
    /// OpenAI chat completions
    #[value(name = "openai")]
    OpenAi,
    /// OpenAI completions: a prompt as text
    Completions,
    /// Bedrock's Converse
    Bedrock,
    /// Anthropic Messages
    Anthropic,
    /// TGI's generate
    Tgi,
    /// LMI, DJL-Serving: text
    Lmi,
    /// JumpStart's Hugging Face models: text
    #[value(name = "jumpstart")]
    JumpStart,
    /// JumpStart's models of text to text
    #[value(name = "jumpstart-text")]
    JumpStartText,
    /// JumpStart's first Llama 2 chat models
    #[value(name = "jumpstart-dialogs")]
    JumpStartDialogs,
    /// Triton's generate extension: text
    Triton,
}

impl RequestFormat {
    /// The codec's name for it.
    pub(crate) fn format(self) -> chat::RequestFormat {
        match self {
            Self::OpenAi => chat::RequestFormat::OpenAi,
            Self::Completions => chat::RequestFormat::Completions,
            Self::Bedrock => chat::RequestFormat::Bedrock,
            Self::Anthropic => chat::RequestFormat::Anthropic,
            Self::Tgi => chat::RequestFormat::Tgi,
            Self::Lmi => chat::RequestFormat::Lmi,
            Self::JumpStart => chat::RequestFormat::JumpStart,
            Self::JumpStartText => chat::RequestFormat::JumpStartText,
            Self::JumpStartDialogs => chat::RequestFormat::JumpStartDialogs,
            Self::Triton => chat::RequestFormat::Triton,
        }
    }
}

/// A format of requests for embeddings.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum EmbeddingFormat {
    /// OpenAI
    #[value(name = "openai")]
    OpenAi,
    /// `inputs`: TEI, the Hugging Face containers, LMI
    #[value(alias = "tei")]
    Inputs,
    /// `text_inputs`: JumpStart
    #[value(name = "jumpstart")]
    TextInputs,
    /// `text_inputs` with `"mode": "embedding"`: JumpStart's sentence similarity models
    #[value(name = "jumpstart-mode")]
    TextInputsMode,
    /// A JSON list of texts as application/x-text
    #[value(name = "text-list")]
    TextList,
    /// One text as application/x-text
    Text,
    /// Cohere
    Cohere,
    /// Voyage
    Voyage,
}

impl EmbeddingFormat {
    /// The codec's name for it.
    pub(crate) fn target(self) -> embedding::Target {
        match self {
            Self::OpenAi => embedding::Target::OpenAi,
            Self::Inputs => embedding::Target::Inputs,
            Self::TextInputs => embedding::Target::TextInputs { mode: false },
            Self::TextInputsMode => embedding::Target::TextInputs { mode: true },
            Self::TextList => embedding::Target::TextList,
            Self::Text => embedding::Target::Text,
            Self::Cohere => embedding::Target::Cohere,
            Self::Voyage => embedding::Target::Voyage,
        }
    }
}

/// Prints what is read and written.
pub(crate) fn table() -> &'static str {
    TABLE
}

const TABLE: &str = "\
FORMAT             REQUEST       RESPONSE      STREAM        WHAT
openai             read, write   read, write   read, write   chat completions of OpenAI, vLLM, SGLang, llama.cpp, TGI, LMI
completions        read, write   read          read          completions as text, of the same
responses          -             read          read          OpenAI Responses
bedrock            read, write   read, write   read, write   Converse, ConverseStream; InvokeModel's chunks are read
anthropic          read, write   read, write   read, write   Messages
tgi                read, write   read, write   read, write   TGI's generate
lmi                read, write   read          read          DJL-Serving, three generations
jumpstart          read, write   read          -             Hugging Face and text-to-text models, Llama 2 dialogs
triton             read, write   read          read          Triton's generate extension
llama-server       -             read          read          llama.cpp's own /completion
text               -             read          read          raw text, as TorchServe sends it
embeddings         read, write   read, write   -             OpenAI's to and from TEI, JumpStart, Cohere, Voyage

Streams are written as server-sent events; ConverseStream as frames or as JSON lines too. What a conversion cannot carry
over is told on standard error.
";
