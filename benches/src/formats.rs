//! The formats of the streams that are measured, and the formats that they are converted to.

/// The format of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// OpenAI's server-sent events, in SageMaker's frames.
    #[default]
    OpenAi,
    /// Server-sent events of TGI's `/generate_stream`, in SageMaker's frames.
    Tgi,
    /// JSON lines of DJL-LMI, in SageMaker's frames.
    Lmi,
    /// Frames of Bedrock's ConverseStream.
    ConverseStream,
    /// Server-sent events of Anthropic Messages, in SageMaker's frames.
    Anthropic,
    /// Server-sent events of Cohere Chat v2, as vLLM sends them, in SageMaker's frames.
    Cohere,
    /// Server-sent events of SGLang's `/generate` with `--incremental-streaming-output`, in SageMaker's frames.
    Sglang,
    /// Server-sent events of Amazon Nova's container, in SageMaker's frames.
    Nova,
    /// Server-sent events of OpenAI Responses, in SageMaker's frames.
    Responses,
}

/// The format that a stream is converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// OpenAI's server-sent events.
    OpenAi,
    /// Frames of Bedrock's ConverseStream.
    ConverseStream,
    /// Server-sent events of Anthropic Messages.
    Anthropic,
    /// Server-sent events of TGI's `/generate_stream`.
    Tgi,
}

impl Source {
    /// All formats, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::OpenAi,
        Self::Tgi,
        Self::Lmi,
        Self::ConverseStream,
        Self::Anthropic,
        Self::Cohere,
        Self::Sglang,
        Self::Nova,
        Self::Responses,
    ];

    /// The formats other than OpenAI's.
    pub const OTHERS: [Self; 8] = [
        Self::Tgi,
        Self::Lmi,
        Self::ConverseStream,
        Self::Anthropic,
        Self::Cohere,
        Self::Sglang,
        Self::Nova,
        Self::Responses,
    ];

    /// The name of the workload and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Tgi => "tgi",
            Self::Lmi => "lmi",
            Self::ConverseStream => "converse-stream",
            Self::Anthropic => "anthropic",
            Self::Cohere => "cohere",
            Self::Sglang => "sglang",
            Self::Nova => "nova",
            Self::Responses => "responses",
        }
    }
}

impl Target {
    /// All formats, in the order of the table.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::ConverseStream, Self::Anthropic, Self::Tgi];

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::ConverseStream => "converse-stream",
            Self::Anthropic => "anthropic",
            Self::Tgi => "tgi",
        }
    }
}
