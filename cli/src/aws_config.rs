//! Region and credentials: arguments, environment and AWS's configuration files.

use std::pin::pin;
use std::time::Duration;

use sagewire_transport_reqwest::{AwsConfig, Builder, Client, Error, Warning};

use crate::call_error::{setup_failed, without_credentials};
use crate::environment;
use crate::fault::{Fault, note};
use crate::profile::Profile;

/// Arguments of the commands that need credentials.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "AWS options")]
pub(crate) struct Args {
    /// AWS region of the endpoint
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Profile to take settings and credentials from
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Assume this role
    #[arg(long, value_name = "ARN")]
    pub(crate) role_arn: Option<String>,
    /// External id for assuming the role
    #[arg(long, value_name = "ID", requires = "role_arn")]
    external_id: Option<String>,
    /// Name of the role session [default: sagewire]
    #[arg(long, value_name = "NAME", requires = "role_arn")]
    role_session_name: Option<String>,
}

/// Where the commands that need credentials find settings that are not arguments.
pub(crate) const ENVIRONMENT: &str = "\
Settings that are not given as options come from the same sources as in the AWS CLI: environment variables \
(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_PROFILE, \
AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME, ...), ~/.aws/config and ~/.aws/credentials (keys, SSO, roles, processes), a web \
identity, the container, and the instance unless AWS_EC2_METADATA_DISABLED=true. Proxies come from HTTPS_PROXY, HTTP_PROXY and \
NO_PROXY, trusted certificates from AWS_CA_BUNDLE or SSL_CERT_FILE. Run `sagewire doctor` to see what is used.";

/// What to do if there is no region.
pub(crate) const NO_REGION: &str = "not set: give --region, or set AWS_REGION, or region in a profile";

/// How long to wait for the metadata of an instance, as in the AWS CLI. Elsewhere there is no response at all.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// A longer wait for credentials is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(1);

/// Parses a duration in seconds, which has to be above 0.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let invalid = || "not a number of seconds above 0".to_owned();
    let seconds: f64 = text.parse().map_err(|_| invalid())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
    if duration.is_zero() { Err(invalid()) } else { Ok(duration) }
}

/// Prints the warnings of a client, such as credentials that are sent unencrypted.
pub(crate) async fn print_warnings(client: &Client) {
    for warning in client.warnings().await {
        if matches!(warning, Warning::MissingFile { .. }) {
            // Scripts set the variable so that no file is read. `sagewire doctor` shows it.
            continue;
        }
        note(&format!("warning: {warning}"));
    }
}

/// Waits for credentials, and explains the wait if it is long.
pub(crate) async fn explain_wait<T>(credentials: impl Future<Output = T>) -> T {
    let mut credentials = pin!(credentials);
    if let Ok(found) = tokio::time::timeout(EXPLAIN_AFTER, &mut credentials).await {
        return found;
    }
    note(
        "note: still looking for credentials: roles, SSO, processes and instance metadata take time; \
         AWS_EC2_METADATA_DISABLED=true skips the last",
    );
    credentials.await
}

impl Args {
    /// Sets region and credentials of an endpoint behind the gateway.
    pub(crate) fn apply(&self, upstream: &mut sagewire_gateway::config::SageMaker) {
        upstream.region.clone_from(&self.region);
        upstream.credentials.profile.clone_from(&self.profile);
        upstream.credentials.role_arn.clone_from(&self.role_arn);
        upstream.credentials.external_id.clone_from(&self.external_id);
        upstream.credentials.session_name.clone_from(&self.role_session_name);
    }

    /// Builds a client with its credentials. `builder` has the settings of other arguments.
    pub(crate) async fn client(&self, builder: Builder) -> Result<Client, Fault> {
        let profile = self.profile().await.map_err(Fault::usage)?;
        if let Some(missing) = profile.missing() {
            return Err(Fault::usage(missing));
        }
        let client = explain_wait(async {
            let builder = self.load(builder).await?;
            if builder.found_region().is_none() {
                return Err(Fault::usage(format!("the region is {NO_REGION}")));
            }
            let client = builder.build().map_err(|error| setup_failed(&error))?;
            client.credentials_source().await.map_err(|error| without_credentials(&error, &profile))?;
            Ok::<_, Fault>(client)
        });
        let client = client.await?;
        print_warnings(&client).await;
        Ok(client)
    }

    /// The selected profile.
    pub(crate) async fn profile(&self) -> Result<Profile, Error> {
        Profile::new(self.profile.as_deref()).await
    }

    /// Adds region and credentials to the settings in `builder`.
    pub(crate) async fn load(&self, mut builder: Builder) -> Result<Builder, Fault> {
        if let Some(region) = &self.region {
            builder = builder.region(region);
        }
        builder.load_aws_config(&self.source()?).await.map_err(|error| setup_failed(&error))
    }

    /// The settings with the credentials that assume the role, if a role is given.
    pub(crate) async fn caller(&self) -> Result<Option<Builder>, Fault> {
        if self.role_arn.is_none() {
            return Ok(None);
        }
        let mut source = self.source()?;
        source.role_arn = None;
        Client::builder().load_aws_config(&source).await.map(Some).map_err(|error| setup_failed(&error))
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
}
