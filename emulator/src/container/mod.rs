//! The emulated model containers, one file each: accepted requests, errors and responses.
//!
//! All of them run the same model, which echoes the prompt, except the one for embeddings.

mod anthropic;
mod chat;
mod cohere;
mod echo;
mod http;
pub(crate) mod json;
mod jumpstart;
mod llama_server;
mod lmi;
mod lmi_outputs;
mod lmi_vllm;
mod nova;
mod openai;
mod responses;
mod routes;
mod sglang;
mod stop_criteria;
mod tei;
mod tgi;
mod tool;
mod torchserve;
mod triton;

use std::fmt;
use std::str::FromStr;

pub use echo::echo;
pub(crate) use http::Request;
use http::{ErrorResponse, OkResponse};
use json::object;
use serde::Deserialize;

/// The API of an emulated container.
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
    /// Cohere Chat v2, as vLLM serves it.
    Cohere,
    /// Amazon Nova's container for custom models.
    Nova,
    /// Text Generation Inference: `inputs`, `messages` or `prompt`.
    Tgi,
    /// JumpStart's older containers, which do not stream: `inputs`, `text_inputs`, Llama 2 dialogs.
    #[serde(rename = "jumpstart")]
    JumpStart,
    /// LMI with a rolling batch: one JSON line per token.
    Lmi,
    /// LMI with vLLM's asynchronous engine: vLLM's records as JSON lines.
    LmiVllm,
    /// LMI with a dynamic batch: a JSON line of `outputs` per token.
    LmiOutputs,
    /// Triton with its generate extension.
    Triton,
    /// llama.cpp's server, with its own `/completion`.
    LlamaServer,
    /// SGLang, with its own `/generate`.
    #[serde(rename = "sglang")]
    Sglang,
    /// A TorchServe handler that streams plain text.
    #[serde(rename = "torchserve")]
    TorchServe,
    /// Text Embeddings Inference: vectors in place of text. It does not stream.
    Tei,
}

impl ContainerFormat {
    /// All formats.
    pub const ALL: [Self; 15] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Responses,
        Self::Cohere,
        Self::Nova,
        Self::Tgi,
        Self::JumpStart,
        Self::Lmi,
        Self::LmiVllm,
        Self::LmiOutputs,
        Self::Triton,
        Self::LlamaServer,
        Self::Sglang,
        Self::TorchServe,
        Self::Tei,
    ];

    /// The name in scripts and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Responses => "responses",
            Self::Cohere => "cohere",
            Self::Nova => "nova",
            Self::Tgi => "tgi",
            Self::JumpStart => "jumpstart",
            Self::Lmi => "lmi",
            Self::LmiVllm => "lmi-vllm",
            Self::LmiOutputs => "lmi-outputs",
            Self::Triton => "triton",
            Self::LlamaServer => "llama-server",
            Self::Sglang => "sglang",
            Self::TorchServe => "torchserve",
            Self::Tei => "tei",
        }
    }

    /// Responds to a request.
    ///
    /// # Errors
    ///
    /// The container's own error.
    pub(crate) fn respond(self, request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
        match routes::find(request.custom_attributes).filter(|_| self.has_routes()) {
            Some(route) => routes::respond(route, request),
            None => self.respond_to_invocation(request),
        }
    }

    /// Whether it is one of vLLM's APIs, which AWS's images serve by the custom attribute `route=`.
    fn has_routes(self) -> bool {
        matches!(self, Self::OpenAi | Self::Anthropic | Self::Responses | Self::Cohere)
    }

    /// Whether the container has stateful sessions.
    pub(crate) fn has_sessions(self) -> bool {
        self.has_routes() || matches!(self, Self::Lmi | Self::LmiVllm | Self::LmiOutputs)
    }

    /// The error of a stateful session, in the shape of the container's errors.
    pub(crate) fn session_error(self, status: u16, message: &str) -> String {
        let code = u64::from(status);
        if self.has_routes() {
            let error = object! { "message": message, "type": "BadRequestError", "param": (), "code": code };
            return object! { "error": error }.to_string();
        }
        object! { "error": message, "code": code }.to_string()
    }

    fn respond_to_invocation(self, request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
        match self {
            Self::OpenAi => openai::respond(request),
            Self::Anthropic => anthropic::respond(request),
            Self::Responses => responses::respond(request),
            Self::Cohere => cohere::respond(request),
            Self::Nova => nova::respond(request),
            Self::Tgi => tgi::respond(request),
            Self::JumpStart => jumpstart::respond(request),
            Self::Lmi => lmi::respond(request),
            Self::LmiVllm => lmi_vllm::respond(request),
            Self::LmiOutputs => lmi_outputs::respond(request),
            Self::Triton => triton::respond(request),
            Self::LlamaServer => llama_server::respond(request),
            Self::Sglang => sglang::respond(request),
            Self::TorchServe => torchserve::respond(request),
            Self::Tei => tei::respond(request),
        }
    }
}

impl fmt::Display for ContainerFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Parses a [name](Self::name).
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
