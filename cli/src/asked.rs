//! The request that an answer answers.

use std::path::PathBuf;

use sagewire_codec::chat::{RequestFormat, ToolNames};
use sagewire_codec::format::{read_request, tool_names};
use sagewire_codec::{Format, Target};

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
    request_format: Option<RequestFormat>,
}

impl Args {
    /// The names of tools that were changed to send the request to what is read as `from`. Applications ask in the API that
    /// they are answered in.
    pub(crate) fn tool_names(&self, from: &Reading, to: Option<Target>) -> Result<ToolNames, Fault> {
        let Some(path) = &self.request else { return Ok(ToolNames::default()) };
        let text = input::read_text(path).map_err(|why| Fault::usage(format!("--request: {why}")))?;
        let format = self.request_format.unwrap_or(match to {
            Some(Target::Bedrock(_)) => RequestFormat::Bedrock,
            Some(Target::Anthropic) => RequestFormat::Anthropic,
            _ => RequestFormat::OpenAi,
        });
        let request = read_request(format, text.as_bytes())
            .map_err(|error| Fault::usage(format!("--request: {}: {error}", path.display())))?;
        Ok(tool_names(sent(from), &request))
    }
}

/// What the request was sent as. Where nobody says, names that no tool has are put back: they can only be changed ones, and
/// all formats that change names change them alike.
fn sent(from: &Reading) -> RequestFormat {
    match from {
        Reading::Known(Format::Auto | Format::Bedrock) => RequestFormat::Bedrock,
        Reading::Known(Format::Anthropic) => RequestFormat::Anthropic,
        _ => RequestFormat::OpenAi,
    }
}
