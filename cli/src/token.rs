//! `sagewire token`: a bearer token for the OpenAI route.

use std::time::Duration;

use crate::connection::{self, ENVIRONMENT};
use crate::fault::Fault;
use crate::output;
use crate::service::refused;

/// The longest that a token lasts, in seconds.
const LIFETIME_MAX: u64 = 43_200;

/// Arguments of `sagewire token`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Args {
    /// Seconds that the token lasts, unless the credentials expire before
    #[arg(long, value_name = "SECONDS", default_value_t = LIFETIME_MAX, value_parser = clap::value_parser!(u64).range(1..=LIFETIME_MAX))]
    lifetime: u64,
    #[command(flatten)]
    connection: connection::Args,
}

/// Makes a token, without asking anybody, and prints nothing else.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let client = args.connection.client().await?;
    let token = client.token(Duration::from_secs(args.lifetime)).await.map_err(|error| refused(&error))?;
    output::print(&format!("{}\n", token.expose()))
}
