//! The APIs that clients speak, one file for each.

/// The API that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    /// OpenAI: chat completions, completions, embeddings.
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Bedrock Converse and InvokeModel.
    Bedrock,
    /// SageMaker Runtime.
    SageMaker,
}

impl Door {
    /// Its name in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Bedrock => "bedrock",
            Self::SageMaker => "sagemaker",
        }
    }
}
