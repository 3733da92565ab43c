//! Restores the names of tools that were changed to send a request.

use std::path::PathBuf;

use sagewire_codec::model::ToolNames;
use sagewire_codec::{Api, read_request, tool_names};

use crate::fault::Fault;
use crate::format::{self, Reading, RequestApi};
use crate::input;

/// Arguments of the commands that read responses.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Original request, to restore tool names that were changed to send it
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// API of that request
    #[arg(
        long,
        value_name = "FORMAT",
        requires = "request",
        default_value = "auto",
        hide_possible_values = true,
        value_parser = format::requests_read()
    )]
    request_format: RequestApi,
}

impl Args {
    /// The tool names that were changed when the request was sent to what is read as `from`.
    pub(crate) fn tool_names(&self, from: &Reading) -> Result<ToolNames, Fault> {
        let Some(path) = &self.request else { return Ok(ToolNames::default()) };
        let body = input::read_text(path).map_err(|reason| Fault::usage(format!("--request: {reason}")))?;
        let invalid = |reason: &str| Fault::usage(format!("--request: {}: {reason}", path.display()));
        let api = self
            .request_format
            .detect(body.as_bytes())
            .ok_or_else(|| invalid("its API is not recognized; hint: --request-format names it"))?;
        let request = read_request(api, body.as_bytes()).map_err(|error| invalid(&error.to_string()))?;
        Ok(tool_names(sent_as(from), &request))
    }
}

/// The API that the request was sent in. If it is not known, names that no tool has are restored: they must have been changed,
/// and all APIs that change names change them in the same way.
fn sent_as(from: &Reading) -> Api {
    match from {
        Reading::Known(None | Some(Api::Converse)) => Api::Converse,
        Reading::Known(Some(Api::Anthropic)) => Api::Anthropic,
        _ => Api::OpenAi,
    }
}
