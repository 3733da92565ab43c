//! The request that an answer answers.

use std::path::PathBuf;

use sagewire_codec::model::ToolNames;
use sagewire_codec::{Api, read_request, tool_names};

use crate::fault::Fault;
use crate::format::{self, Reading};
use crate::input;

/// Arguments of the commands that read answers.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The request that this answers, as the application made it: tools whose names could not be sent get them back
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// What that request is; told by --to if nothing is said
    #[arg(long, value_name = "FORMAT", requires = "request", value_parser = format::requests_read())]
    request_format: Option<Api>,
}

impl Args {
    /// The names of tools that were changed to send the request to what is read as `from`. Applications ask in the API that
    /// they are answered in.
    pub(crate) fn tool_names(&self, from: &Reading, to: Option<Api>) -> Result<ToolNames, Fault> {
        let Some(path) = &self.request else { return Ok(ToolNames::default()) };
        let text = input::read_text(path).map_err(|why| Fault::usage(format!("--request: {why}")))?;
        let format = self.request_format.unwrap_or(match to {
            Some(api @ (Api::Converse | Api::Anthropic)) => api,
            _ => Api::OpenAi,
        });
        let request = read_request(format, text.as_bytes())
            .map_err(|error| Fault::usage(format!("--request: {}: {error}", path.display())))?;
        Ok(tool_names(sent(from), &request))
    }
}

/// What the request was sent as. Where nobody says, names that no tool has are put back: they can only be changed ones, and
/// all formats that change names change them alike.
fn sent(from: &Reading) -> Api {
    match from {
        Reading::Known(None | Some(Api::Converse)) => Api::Converse,
        Reading::Known(Some(Api::Anthropic)) => Api::Anthropic,
        _ => Api::OpenAi,
    }
}
