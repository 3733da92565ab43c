//! The formats, as they are called on the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sagewire_codec::format::bedrock::Encoding;
use sagewire_codec::{Format, Target};
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
