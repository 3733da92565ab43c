//! The formats of the streams that are measured, and the formats that they are converted to.

/// What the bytes of a workload are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Server-sent events of OpenAI, in parts of SageMaker.
    #[default]
    OpenAi,
    /// Server-sent events of TGI's `/generate_stream`, in parts of SageMaker.
    Tgi,
    /// JSON lines of DJL-LMI, in parts of SageMaker.
    Lmi,
    /// Frames of Bedrock's ConverseStream.
    ConverseStream,
    /// Server-sent events of Anthropic Messages, in parts of SageMaker.
    Anthropic,
}

/// What a stream is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Server-sent events of OpenAI.
    OpenAi,
    /// Frames of Bedrock's ConverseStream.
    ConverseStream,
    /// Server-sent events of Anthropic Messages.
    Anthropic,
    /// Server-sent events of TGI's `/generate_stream`.
    Tgi,
}

impl Source {
    /// All, in the order of the table.
    pub const ALL: [Self; 5] = [Self::OpenAi, Self::Tgi, Self::Lmi, Self::ConverseStream, Self::Anthropic];

    /// Those that `formats` measures: all but OpenAI's, which has workloads enough.
    pub const OTHERS: [Self; 4] = [Self::Tgi, Self::Lmi, Self::ConverseStream, Self::Anthropic];

    /// The name of the workload, which is that in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Tgi => "tgi",
            Self::Lmi => "lmi",
            Self::ConverseStream => "converse-stream",
            Self::Anthropic => "anthropic",
        }
    }
}

impl Target {
    /// All, in the order of the table.
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
