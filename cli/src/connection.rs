//! How the service is reached.

use std::time::Duration;

use sagewire_transport_reqwest::{Builder, Client, Retry, Timeouts};

use crate::environment;
use crate::fault::{Fault, note};
use crate::service::refused;

/// Says how often a call is tried again.
const MAX_RETRIES: &str = "AWS_SAGEMAKER_MAX_RETRIES";
/// More are a mistake.
const RETRIES_MAX: u64 = 100;

/// Arguments of the commands that call the service.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Args {
    /// Region of the endpoint
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Where the request goes, instead of the region's SageMaker Runtime
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// How requests go to the endpoint
    #[arg(long, value_enum, default_value_t, value_name = "ROUTE")]
    route: Route,
    /// How often a call is tried again that failed before anything of an answer came; 0 is never [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=RETRIES_MAX))]
    retries: Option<u64>,
    /// Seconds until there is a connection [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    connect_timeout: Option<Duration>,
    /// Seconds until an answer begins [default: 70]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    first_byte_timeout: Option<Duration>,
    /// Seconds until more of an answer comes [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_timeout: Option<Duration>,
    /// Seconds until all is done, further tries included [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Route {
    /// Signed, to the operations of SageMaker Runtime
    #[default]
    Invocations,
    /// With a bearer token, to the container's chat completions of OpenAI
    #[value(name = "openai")]
    OpenAi,
}

/// What the commands that call the service take from the environment.
pub(crate) const ENVIRONMENT: &str = "\
The request is signed with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. What is not given above comes
from AWS_REGION or AWS_DEFAULT_REGION, from AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME or AWS_ENDPOINT_URL, and from
AWS_SAGEMAKER_MAX_RETRIES.";

/// Reads a time that is not nothing.
fn seconds(text: &str) -> Result<Duration, String> {
    let unusable = || "not a number of seconds above 0".to_owned();
    let seconds: f64 = text.parse().map_err(|_| unusable())?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| unusable())?;
    if time.is_zero() { Err(unusable()) } else { Ok(time) }
}

impl Args {
    /// The client. What may not be meant is told.
    pub(crate) async fn client(&self) -> Result<Client, Fault> {
        let client = self.builder()?.build().map_err(|error| refused(&error))?;
        for warning in client.warnings().await {
            note(&format!("warning: {warning}"));
        }
        Ok(client)
    }

    /// The client's settings, those of the environment included.
    pub(crate) fn builder(&self) -> Result<Builder, Fault> {
        let mut builder = Client::builder();
        if let Some(region) = &self.region {
            builder = builder.region(region);
        }
        if let Some(url) = &self.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        if let Some(retries) = self.retries()? {
            builder = builder.retry(Retry::default().attempts(retries + 1));
        }
        if let Route::OpenAi = self.route {
            builder = builder.route(sagewire_transport_reqwest::Route::OpenAi);
        }
        let mut timeouts = Timeouts::default();
        timeouts.connect = self.connect_timeout.unwrap_or(timeouts.connect);
        timeouts.first_byte = self.first_byte_timeout.unwrap_or(timeouts.first_byte);
        timeouts.idle = self.idle_timeout.unwrap_or(timeouts.idle);
        timeouts.total = self.timeout;
        builder = builder.timeouts(timeouts);
        Ok(builder.from_env())
    }

    fn retries(&self) -> Result<Option<usize>, Fault> {
        let parse = |text: &str| match text.parse() {
            Ok(retries) if retries <= RETRIES_MAX => Ok(retries),
            _ => Err(format!("not a whole number from 0 to {RETRIES_MAX}")),
        };
        let retries = match self.retries {
            Some(retries) => Some(retries),
            None => environment::parsed(MAX_RETRIES, parse)?,
        };
        Ok(retries.and_then(|retries| retries.try_into().ok()))
    }
}
