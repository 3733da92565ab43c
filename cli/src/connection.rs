//! How calls reach the service: URL, route, retries and timeouts.

use std::time::Duration;

use sagewire_transport_reqwest::{Builder, Client, Retry, Timeouts};

use crate::aws_config::{self, seconds};
use crate::environment;
use crate::fault::Fault;

/// The variable with the default of `--retries`.
const MAX_RETRIES: &str = "AWS_SAGEMAKER_MAX_RETRIES";
/// Upper bound of `--retries`.
const RETRIES_MAX: u64 = 100;

/// Arguments of the commands that call the service.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Connection options")]
pub(crate) struct Args {
    #[command(flatten)]
    aws: aws_config::Args,
    #[command(flatten)]
    target: Target,
    /// Number of retries before the response has begun [default: 2] [env: AWS_SAGEMAKER_MAX_RETRIES]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=RETRIES_MAX))]
    retries: Option<u64>,
    /// Timeout for connecting [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    connect_timeout: Option<Duration>,
    /// Timeout for the first byte of the response [default: 70]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    first_byte_timeout: Option<Duration>,
    /// Timeout between two parts of the response [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_timeout: Option<Duration>,
    /// Timeout for the whole call, retries included [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

/// Arguments that select the host and the route.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Connection options")]
pub(crate) struct Target {
    /// URL to use instead of the region's SageMaker Runtime
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Route to the endpoint
    #[arg(long, value_enum, default_value_t, value_name = "ROUTE")]
    route: Route,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Route {
    /// operations of SageMaker Runtime, with signed requests
    #[default]
    Invocations,
    /// OpenAI chat completions of the container, with a bearer token
    #[value(name = "openai")]
    OpenAi,
}

impl Target {
    /// Sets host and route.
    pub(crate) fn apply(&self, mut builder: Builder) -> Builder {
        if let Some(url) = &self.endpoint_url {
            builder = builder.endpoint_url(url);
        }
        if let Route::OpenAi = self.route {
            builder = builder.route(sagewire_transport_reqwest::Route::OpenAi);
        }
        builder
    }
}

impl Args {
    /// Builds the client, with its credentials.
    pub(crate) async fn client(&self) -> Result<Client, Fault> {
        let mut builder = Client::builder();
        if let Some(retries) = self.retries()? {
            builder = builder.retry(Retry::default().attempts(retries + 1));
        }
        self.client_with(builder).await
    }

    /// Builds a client that does not retry, with its credentials.
    pub(crate) async fn client_without_retries(&self) -> Result<Client, Fault> {
        self.client_with(Client::builder().retry(Retry::never())).await
    }

    async fn client_with(&self, builder: Builder) -> Result<Client, Fault> {
        self.aws.client(self.target.apply(builder).timeouts(self.timeouts())).await
    }

    /// The timeouts.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts::default();
        timeouts.connect = self.connect_timeout.unwrap_or(timeouts.connect);
        timeouts.first_byte = self.first_byte_timeout.unwrap_or(timeouts.first_byte);
        timeouts.idle = self.idle_timeout.unwrap_or(timeouts.idle);
        timeouts.total = self.timeout;
        timeouts
    }

    /// The number of retries that is given as an option.
    pub(crate) fn retries_given(&self) -> Option<u64> {
        self.retries
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
