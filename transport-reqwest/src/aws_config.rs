//! Settings and credentials from the sources of the AWS tools.

use std::time::Duration;

use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::ServiceConfigKey;
use sagewire_transport::Error;

use crate::builder::{Builder, CA_BUNDLE, DUAL_STACK, FIPS, GLOBAL_URL, MAX_ATTEMPTS, SERVICE_URL, attempts};
use crate::chain::Chain;
use crate::connector::http_client;
use crate::identities::{Role, without_blank_urls};
use crate::profiles::{DEFAULT, Profiles};
use crate::settings::{Origin, Setting, variable};
use crate::sources::Sources;

/// The names of the service in a `services` section: as AWS documents it, and as the AWS SDK for Rust reads it.
const SERVICE_NAMES: [&str; 2] = ["sagemaker_runtime", "sagemaker-runtime"];

/// Which configuration of the AWS tools to use. By default, the environment decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsConfig {
    /// The profile. Its credentials take precedence over those of the environment. (If the environment selects the profile, they
    /// do not.)
    pub profile: Option<String>,
    /// A role to assume with the credentials that were found.
    pub role_arn: Option<String>,
    /// The external ID that the role requires.
    pub external_id: Option<String>,
    /// The session name of the role. Default: `sagewire`.
    pub session_name: Option<String>,
    /// The timeout of the instance metadata service, which is the last source. On machines outside of AWS it does not respond.
    /// Default: as in the AWS SDK, two seconds and several attempts.
    pub metadata_timeout: Option<Duration>,
}

impl AwsConfig {
    /// The configuration that the environment selects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`profile`](Self::profile).
    #[must_use]
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Sets [`role_arn`](Self::role_arn).
    #[must_use]
    pub fn role_arn(mut self, arn: impl Into<String>) -> Self {
        self.role_arn = Some(arn.into());
        self
    }

    /// Sets [`external_id`](Self::external_id).
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Sets [`session_name`](Self::session_name).
    #[must_use]
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// Sets [`metadata_timeout`](Self::metadata_timeout).
    #[must_use]
    pub fn metadata_timeout(mut self, timeout: Duration) -> Self {
        self.metadata_timeout = Some(timeout);
        self
    }

    /// Checks that the profile files can be read, as [`Builder::load_aws_config`] does first. Missing files are no error.
    ///
    /// # Errors
    ///
    /// A file cannot be read. The message has its path, the line and the reason.
    pub async fn check_files() -> Result<(), Error> {
        Profiles::load().await.map(drop)
    }

    fn metadata(&self, config: &ProviderConfig) -> imds::Client {
        let client = imds::Client::builder().configure(config);
        match self.metadata_timeout {
            // Connecting and reading are sequential.
            Some(timeout) => client.connect_timeout(timeout / 2).read_timeout(timeout / 2).max_attempts(1),
            None => client,
        }
        .build()
    }
}

impl Builder {
    /// Takes settings that are not set from a configuration of the AWS SDK: region, FIPS, dual stack, credentials, and the
    /// endpoint URL. The endpoint URL is the first of: one that the program set, `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME`,
    /// `AWS_ENDPOINT_URL`, `endpoint_url` of `sagemaker_runtime` (or `sagemaker-runtime`) in the `services` section of the
    /// profile, and the profile's own `endpoint_url`.
    pub fn from_aws_config(mut self, config: &SdkConfig) -> Self {
        self.region = self
            .region
            .or_else(|| config.region().map(|region| Setting::new(region.as_ref(), Origin::SdkConfig)));
        self.endpoint_url = self.endpoint_url.or_else(|| endpoint_url(config));
        let enabled = |enabled: Option<bool>| enabled?.then_some(Origin::SdkConfig);
        self.fips = self.fips.or_else(|| enabled(config.use_fips()));
        self.dual_stack = self.dual_stack.or_else(|| enabled(config.use_dual_stack()));
        let provider = || Some((config.credentials_provider()?, Origin::SdkConfig));
        self.credentials = self.credentials.or_else(provider);
        self
    }

    /// Takes settings that are not set from the environment, the profile files, and, for the region, the instance metadata: all
    /// settings of [`from_aws_config`](Self::from_aws_config), trusted certificates, the number of attempts (`AWS_MAX_ATTEMPTS`
    /// or `max_attempts`), and credentials from the default chain of the AWS SDK.
    ///
    /// Credentials are loaded later, with the first request.
    ///
    /// # Errors
    ///
    /// A profile file cannot be read, the selected profile does not exist, it refers to a section `services` that does not exist,
    /// or the HTTP client for credentials cannot be built.
    pub async fn load_aws_config(mut self, source: &AwsConfig) -> Result<Self, Error> {
        let profiles = Profiles::load().await?;
        let profile = profiles.selected(source.profile.as_deref())?;
        self.ca_bundle = self.ca_bundle.or_else(|| ca_bundle(&profiles, profile.as_deref()));
        let max_attempts = || setting(&profiles, profile.as_deref(), MAX_ATTEMPTS, "max_attempts");
        self.max_attempts = self.max_attempts.or_else(max_attempts);
        let http = http_client(self.ca_bundle.as_ref())?;
        let provider = ProviderConfig::without_region().with_http_client(http.clone());
        let metadata = source.metadata(&provider);
        if self.region.is_none() {
            self.region = region(&profiles, profile.as_deref(), &provider, &metadata).await;
        }
        let region = self.region.as_ref().map(|region| Region::new(region.value.clone()));
        // Those of calls are set by `Retry`. The SDK would panic at values of the environment that it does not know.
        let attempts = self.max_attempts.as_ref().and_then(|setting| attempts(setting).ok());
        let retries = attempts.iter().fold(RetryConfig::standard(), |retries, count| {
            retries.with_max_attempts((*count).try_into().unwrap_or(u32::MAX))
        });
        let loader = || {
            let loader = aws_config::defaults(BehaviorVersion::latest())
                .http_client(http.clone())
                .region(region.clone())
                .retry_config(retries.clone())
                .profile_files(profiles.files.clone());
            match &profile {
                Some(name) => loader.profile_name(name),
                None => loader,
            }
        };
        // The hosts of STS and SSO depend on all of these settings.
        let settings = without_blank_urls(&loader().no_credentials().load().await);
        let sources = Sources::new(settings, &provider.with_region(region.clone()), metadata);
        let of_profile = sources.profile(&profiles, profile.as_deref().unwrap_or(DEFAULT)).await;
        let chain = match &source.profile {
            Some(_) => Chain::single("profile", of_profile),
            None => Chain::new(&sources, of_profile),
        };
        let config = loader().credentials_provider(chain).load().await;
        if self.credentials.is_none() {
            let origin = source.profile.as_ref().map_or(Origin::Chain, |_| Origin::Profile("credentials"));
            self.credentials = credentials(source, &config).await.map(|provider| (provider, origin));
        }
        let enabled = |enabled: Option<bool>, name, key| enabled?.then(|| origin(name, key));
        self.fips = self.fips.or_else(|| enabled(config.use_fips(), FIPS, "use_fips_endpoint"));
        let dual_stack = || enabled(config.use_dual_stack(), DUAL_STACK, "use_dualstack_endpoint");
        self.dual_stack = self.dual_stack.or_else(dual_stack);
        Ok(self.from_aws_config(&config))
    }
}

/// The file of trusted certificates: of the AWS tools, of the profile, or of the library that the AWS CLI uses.
fn ca_bundle(profiles: &Profiles, profile: Option<&str>) -> Option<Setting> {
    let [aws, requests] = CA_BUNDLE;
    setting(profiles, profile, aws, "ca_bundle").or_else(|| of_variable(requests))
}

/// The value of a variable, or else of a key of the profile.
fn setting(
    profiles: &Profiles,
    profile: Option<&str>,
    name: &'static str,
    key: &'static str,
) -> Option<Setting> {
    of_variable(name)
        .or_else(|| profiles.get(profile, key).map(|value| Setting::new(value, Origin::Profile(key))))
}

fn of_variable(name: &'static str) -> Option<Setting> {
    Some(Setting::new(variable(name)?, Origin::Environment(name)))
}

/// The origin of a setting, which the AWS SDK does not report: the environment takes precedence over the profile.
fn origin(name: &'static str, key: &'static str) -> Origin {
    if variable(name).is_some() { Origin::Environment(name) } else { Origin::Profile(key) }
}

async fn region(
    profiles: &Profiles,
    profile: Option<&str>,
    config: &ProviderConfig,
    metadata: &imds::Client,
) -> Option<Setting> {
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        if let Some(value) = variable(name) {
            return Some(Setting::new(value, Origin::Environment(name)));
        }
    }
    let mut of_profile =
        ProfileFileRegionProvider::builder().configure(config).profile_files(profiles.files.clone());
    if let Some(name) = profile {
        of_profile = of_profile.profile_name(name);
    }
    if let Some(region) =
        of_profile.build().region().await.filter(|region| !region.as_ref().trim().is_empty())
    {
        return Some(Setting::new(region.as_ref(), Origin::Profile("region")));
    }
    let instance = ImdsRegionProvider::builder().configure(config).imds_client(metadata.clone()).build();
    Some(Setting::new(instance.region().await?.as_ref(), Origin::Instance))
}

async fn credentials(source: &AwsConfig, config: &SdkConfig) -> Option<SharedCredentialsProvider> {
    let found = config.credentials_provider()?;
    let Some(arn) = source.role_arn.clone() else { return Some(found) };
    let (external_id, session_name) = (source.external_id.clone(), source.session_name.clone());
    let role = Role { arn, external_id, session_name, ..Role::default() };
    let role = role.provider(&without_blank_urls(config), found).await;
    Some(SharedCredentialsProvider::new(Chain::single("role", role)))
}

/// The endpoint URL of SageMaker Runtime. The SDK knows only one of the two names of the service, does not report the origin of
/// a value, and returns the global value if there is none for the service, so several queries are needed.
fn endpoint_url(config: &SdkConfig) -> Option<Setting> {
    let from_config = || Some(Setting::new(config.endpoint_url()?, Origin::SdkConfig));
    let Some(found) = config.service_config().filter(|_| !is_set_by_program(config)) else {
        return from_config();
    };
    let load = |service, key| {
        let builder = ServiceConfigKey::builder().service_id(service).env(GLOBAL_URL).profile(key);
        // An empty value means that there is none.
        found.load_config(builder.build().ok()?).filter(|url| !url.trim().is_empty())
    };
    // No profile has a key with this name, so the value comes from the environment.
    if let Some(url) = load(SERVICE_NAMES[0], "") {
        let is_global = load("", "").as_ref() == Some(&url);
        return Some(Setting::new(
            url,
            Origin::Environment(if is_global { GLOBAL_URL } else { SERVICE_URL }),
        ));
    }
    if let Some(url) = load("", "") {
        return Some(Setting::new(url, Origin::Environment(GLOBAL_URL)));
    }
    const KEY: &str = "endpoint_url";
    let global = load("", KEY);
    let of_service = SERVICE_NAMES.into_iter().filter_map(|name| load(name, KEY));
    match of_service.into_iter().find(|url| global.as_ref() != Some(url)) {
        Some(url) => Some(Setting::new(url, Origin::Services)),
        None => global.map(|url| Setting::new(url, Origin::Profile(KEY))),
    }
}

fn is_set_by_program(config: &SdkConfig) -> bool {
    config.get_origin("endpoint_url").is_client_config()
}
