//! `sagewire token`: creates a bearer token for the OpenAI route.

use std::time::Duration;

use sagewire_transport_reqwest::Client;

use crate::aws_config::{self, ENVIRONMENT};
use crate::call_error::setup_failed;
use crate::fault::Fault;
use crate::output;

/// Maximum lifetime of a token, in seconds.
const LIFETIME_MAX: u64 = 43_200;

/// Arguments of `sagewire token`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Args {
    /// Lifetime in seconds; ends early if the credentials expire
    #[arg(long, value_name = "SECONDS", default_value_t = LIFETIME_MAX, value_parser = clap::value_parser!(u64).range(1..=LIFETIME_MAX))]
    lifetime: u64,
    #[command(flatten)]
    aws: aws_config::Args,
}

/// Creates a token locally and prints it.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let client = args.aws.client(Client::builder()).await?;
    let token =
        client.token(Duration::from_secs(args.lifetime)).await.map_err(|error| setup_failed(&error))?;
    output::print(&format!("{}\n", token.expose()))
}
