//! How the service is reached.

use std::pin::pin;
use std::time::Duration;

use sagewire_transport_reqwest::{AwsConfig, Builder, Client, Retry, Timeouts};

use crate::environment;
use crate::fault::{Fault, note};
use crate::profile::Profile;
use crate::service::{refused, without_credentials};

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
    region: Option<String>,
    /// The profile of AWS's configuration that settings and credentials come from
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// A role that is assumed with the credentials that are found
    #[arg(long, value_name = "ARN")]
    pub(crate) role_arn: Option<String>,
    /// What the role asks for besides
    #[arg(long, value_name = "ID", requires = "role_arn")]
    external_id: Option<String>,
    /// What the role's session is called [default: sagewire]
    #[arg(long, value_name = "NAME", requires = "role_arn")]
    role_session_name: Option<String>,
    /// Where the request goes, instead of the region's SageMaker Runtime
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
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
What is not given above comes from where AWS's own tools take it: the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
and AWS_SESSION_TOKEN; AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME, ...), the files ~/.aws/config and
~/.aws/credentials (keys, SSO, roles, processes), a web identity, a container, and at last the instance, unless
AWS_EC2_METADATA_DISABLED is true. sagewire doctor tells what was found, and where. AWS_SAGEMAKER_MAX_RETRIES stands for
--retries.";

/// What to do where there is no region.
pub(crate) const NO_REGION: &str = "not set: give --region, or set AWS_REGION, or region in a profile";

/// How long the metadata of an instance is waited for, as AWS's command line does it. Elsewhere nobody answers.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// Whoever waits longer is told what for.
const SILENCE: Duration = Duration::from_secs(1);

/// Reads a time that is not nothing.
fn seconds(text: &str) -> Result<Duration, String> {
    let unusable = || "not a number of seconds above 0".to_owned();
    let seconds: f64 = text.parse().map_err(|_| unusable())?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| unusable())?;
    if time.is_zero() { Err(unusable()) } else { Ok(time) }
}

/// Tells what may not be meant.
pub(crate) async fn tell_warnings(client: &Client) {
    for warning in client.warnings().await {
        note(&format!("warning: {warning}"));
    }
}

/// Waits, and says so where that takes its time.
pub(crate) async fn tell_wait<T>(found: impl Future<Output = T>) -> T {
    let mut found = pin!(found);
    if let Ok(found) = tokio::time::timeout(SILENCE, &mut found).await {
        return found;
    }
    note(
        "note: credentials are still being looked for: roles, SSO, processes and instances take their time; \
         AWS_EC2_METADATA_DISABLED=true leaves out the last",
    );
    found.await
}

impl Args {
    /// The client, with its credentials.
    pub(crate) async fn client(&self) -> Result<Client, Fault> {
        AwsConfig::check_files().await.map_err(Fault::usage)?;
        let profile = self.profile();
        if let Some(missing) = profile.missing() {
            return Err(Fault::usage(missing));
        }
        let client = tell_wait(async {
            let builder = self.builder().await?;
            if builder.found_region().is_none() {
                return Err(Fault::usage(format!("the region is {NO_REGION}")));
            }
            let client = builder.build().map_err(|error| refused(&error))?;
            client.credentials_source().await.map_err(|error| without_credentials(&error, &profile))?;
            Ok::<_, Fault>(client)
        });
        let client = client.await?;
        tell_warnings(&client).await;
        Ok(client)
    }

    /// The profile that is asked for.
    pub(crate) fn profile(&self) -> Profile {
        Profile::new(self.profile.as_deref())
    }

    /// The client's settings, with all that was found elsewhere.
    pub(crate) async fn builder(&self) -> Result<Builder, Fault> {
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
        builder.load_aws_config(&self.source()?).await.map_err(|error| refused(&error))
    }

    /// The same with the credentials that assume the role, if one is asked for.
    pub(crate) async fn caller(&self) -> Result<Option<Builder>, Fault> {
        if self.role_arn.is_none() {
            return Ok(None);
        }
        let mut source = self.source()?;
        source.role_arn = None;
        Client::builder().load_aws_config(&source).await.map(Some).map_err(|error| refused(&error))
    }

    fn source(&self) -> Result<AwsConfig, Fault> {
        let timeout = environment::parsed("AWS_METADATA_SERVICE_TIMEOUT", seconds)?;
        let mut source = AwsConfig::new().metadata_timeout(timeout.unwrap_or(METADATA_TIMEOUT));
        source.profile.clone_from(&self.profile);
        source.role_arn.clone_from(&self.role_arn);
        source.external_id.clone_from(&self.external_id);
        source.session_name.clone_from(&self.role_session_name);
        Ok(source)
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
