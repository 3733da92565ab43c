//! The formats of answers.

use serde::Serialize;

/// What the records of a response mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// Tell by the shape of the records.
    #[default]
    Auto,
    /// OpenAI chat completions, and the completions before them.
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Bedrock's Converse and ConverseStream.
    Bedrock,
    /// Anthropic Messages.
    Anthropic,
    /// Text generation: TGI, JumpStart, LMI, Triton and llama-server's own shapes, which share their members.
    Generate,
    /// No records at all: all bytes of the container are text, as TorchServe streams it. This cannot be told by the
    /// bytes, and has to be asked for. Nothing says where such an answer ends, so it is complete when the input ends,
    /// unless that is empty; a body that is nothing but a JSON error is a failure.
    Text,
}
