//! The model containers that an endpoint may have. One file each: what it takes, what it refuses, how it answers.
//!
//! All of them have the same model, which echoes.

mod anthropic;
mod chat;
mod echo;
mod http;
pub(crate) mod json;
mod jumpstart;
mod llama_server;
mod lmi;
mod lmi_outputs;
mod lmi_vllm;
mod openai;
mod responses;
mod tgi;
mod tool;
mod torchserve;
mod triton;
mod until;

use std::fmt;
use std::str::FromStr;

pub use echo::echo;
pub(crate) use http::Request;
use http::{Answer, Refusal};
use serde::Deserialize;

/// What a container speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ContainerFormat {
    /// vLLM: OpenAI chat completions, and completions where the body has a `prompt`.
    #[default]
    #[serde(rename = "openai")]
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses, as vLLM serves them.
    Responses,
    /// Text Generation Inference: `inputs`, `messages` or `prompt`.
    Tgi,
    /// JumpStart's older containers, which do not stream: `inputs`, `text_inputs`, dialogs of Llama 2.
    #[serde(rename = "jumpstart")]
    JumpStart,
    /// LMI with a rolling batch: one JSON line a token.
    Lmi,
    /// LMI with vLLM's asynchronous engine: vLLM's records as JSON lines.
    LmiVllm,
    /// LMI with a dynamic batch: a JSON line of `outputs` a token.
    LmiOutputs,
    /// Triton with its generate extension.
    Triton,
    /// llama.cpp's server, with its own `/completion`.
    LlamaServer,
    /// A TorchServe handler that streams plain text.
    #[serde(rename = "torchserve")]
    TorchServe,
}

impl ContainerFormat {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Responses,
        Self::Tgi,
        Self::JumpStart,
        Self::Lmi,
        Self::LmiVllm,
        Self::LmiOutputs,
        Self::Triton,
        Self::LlamaServer,
        Self::TorchServe,
    ];

    /// What it is called in scripts and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Responses => "responses",
            Self::Tgi => "tgi",
            Self::JumpStart => "jumpstart",
            Self::Lmi => "lmi",
            Self::LmiVllm => "lmi-vllm",
            Self::LmiOutputs => "lmi-outputs",
            Self::Triton => "triton",
            Self::LlamaServer => "llama-server",
            Self::TorchServe => "torchserve",
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    ///
    /// The container's own error.
    pub(crate) fn answer(self, request: &Request<'_>) -> Result<Answer, Refusal> {
        match self {
            Self::OpenAi => openai::answer(request),
            Self::Anthropic => anthropic::answer(request),
            Self::Responses => responses::answer(request),
            Self::Tgi => tgi::answer(request),
            Self::JumpStart => jumpstart::answer(request),
            Self::Lmi => lmi::answer(request),
            Self::LmiVllm => lmi_vllm::answer(request),
            Self::LmiOutputs => lmi_outputs::answer(request),
            Self::Triton => triton::answer(request),
            Self::LlamaServer => llama_server::answer(request),
            Self::TorchServe => torchserve::answer(request),
        }
    }
}

impl fmt::Display for ContainerFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Reads a [name](Self::name).
impl FromStr for ContainerFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownFormat(name.into()))
    }
}

/// No [`ContainerFormat`] has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ContainerFormat::ALL.map(ContainerFormat::name).join(", ");
        write!(f, "unknown format {:?}, expected one of {names}", self.0)
    }
}

impl std::error::Error for UnknownFormat {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike_and_the_help_has_all() {
        for format in ContainerFormat::ALL {
            let name = format.name();
            assert_eq!((name.parse(), format.to_string()), (Ok(format), name.to_string()));
            assert_eq!(serde_json::from_str::<ContainerFormat>(&format!("\"{name}\"")).unwrap(), format);
            assert!(crate::SCRIPT_HELP.contains(name), "{name}");
        }
        let unknown = "bedrock".parse::<ContainerFormat>().unwrap_err().to_string();
        assert!(
            unknown.starts_with("unknown format \"bedrock\", expected one of openai, anthropic, "),
            "{unknown}"
        );
    }
}
