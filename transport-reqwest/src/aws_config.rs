//! Settings and credentials from the sources of the AWS tools.

use std::time::Duration;

use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use sagewire_transport::Error;

use crate::builder::{Builder, CA_BUNDLE, DUAL_STACK, FIPS, GLOBAL_URL, MAX_ATTEMPTS, SERVICE_URL, attempts};
use crate::chain::Chain;
use crate::connector::http_client;
use crate::identities::{Role, WebIdentity, WebIdentityToken, without_blank_urls};
use crate::profiles::{DEFAULT, ProfileFile, Profiles, decoded};
use crate::settings::{Origin, Setting, variable};
use crate::sources::{Found, Sources};
use crate::warning::{Warning, not_boolean};

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
    /// The credentials with which the role is assumed, in place of those that are found; without a role, they are used
    /// themselves.
    pub credentials: Option<Credentials>,
    /// The token with which the role is assumed, as issued by an OIDC provider. It takes precedence over credentials.
    pub web_identity_token: Option<WebIdentityToken>,
    /// The URL of STS, which issues the credentials of the role. Default: that of the environment or of the region.
    pub sts_endpoint_url: Option<String>,
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

    /// Sets [`credentials`](Self::credentials).
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets [`web_identity_token`](Self::web_identity_token).
    #[must_use]
    pub fn web_identity_token(mut self, token: WebIdentityToken) -> Self {
        self.web_identity_token = Some(token);
        self
    }

    /// Sets [`sts_endpoint_url`](Self::sts_endpoint_url).
    #[must_use]
    pub fn sts_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.sts_endpoint_url = Some(url.into());
        self
    }

    /// Sets [`metadata_timeout`](Self::metadata_timeout).
    #[must_use]
    pub fn metadata_timeout(mut self, timeout: Duration) -> Self {
        self.metadata_timeout = Some(timeout);
        self
    }

    /// Reads the profile files, as [`Builder::load_aws_config`] does first: the configuration, and the credentials. Missing files are
    /// no error.
    ///
    /// # Errors
    ///
    /// A file cannot be read. The message has its path, the line and the reason.
    pub async fn profile_files() -> Result<[ProfileFile; 2], Error> {
        Profiles::load().await.map(|profiles| profiles.paths)
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
            self.region = match region(&profiles, profile.as_deref().unwrap_or(DEFAULT)) {
                Some(region) => Some(region),
                None => region_of_instance(&provider, &metadata).await,
            };
        }
        let region = self.region.as_ref().map(|region| Region::new(region.value.clone()));
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(region.clone())
            .retry_config(retries(self.max_attempts.as_ref()))
            .profile_name(profile.as_deref().unwrap_or(DEFAULT))
            .profile_files(profiles.files.clone());
        let config = without_blank_urls(&loader.no_credentials().load().await);
        let sources = Sources::new(config.clone(), &provider.with_region(region), metadata);
        let of_profile = sources.profile(&profiles, profile.as_deref().unwrap_or(DEFAULT)).await;
        self.warnings.extend(warnings(&profiles, profile.as_deref(), source, &of_profile));
        if self.credentials.is_none() {
            let sts = match &source.sts_endpoint_url {
                Some(url) => config.to_builder().service_config(NoServices).endpoint_url(url).build(),
                None => config.clone(),
            };
            self.credentials = Some(credentials(source, &sts, &sources, of_profile.provider).await?);
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

/// The region of the environment, of the profile, or else of its source profiles.
fn region(profiles: &Profiles, profile: &str) -> Option<Setting> {
    let of_environment = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(of_variable);
    if of_environment.is_some() {
        return of_environment;
    }
    let mut visited = vec![profile];
    loop {
        let name = Some(visited[visited.len() - 1]);
        let origin = if visited.len() == 1 { Origin::Profile } else { Origin::SourceProfile };
        if let Some(region) = profiles.get(name, "region") {
            return Some(Setting::new(region, origin("region")));
        }
        visited.push(profiles.get(name, "source_profile").filter(|next| !visited.contains(next))?);
    }
}

async fn region_of_instance(config: &ProviderConfig, metadata: &imds::Client) -> Option<Setting> {
    let instance = ImdsRegionProvider::builder().configure(config).imds_client(metadata.clone()).build();
    Some(Setting::new(instance.region().await?.as_ref(), Origin::Instance))
}

/// What may be a mistake in the environment and the files.
fn warnings(profiles: &Profiles, profile: Option<&str>, source: &AwsConfig, found: &Found) -> Vec<Warning> {
    let is_selected = source.profile.is_some();
    let default_profile = || variable("AWS_DEFAULT_PROFILE").filter(|name| name != DEFAULT);
    let default_profile = (!is_selected && variable("AWS_PROFILE").is_none()).then(default_profile).flatten();
    let flags = [(FIPS, "use_fips_endpoint"), (DUAL_STACK, "use_dualstack_endpoint")];
    let flags =
        flags.into_iter().filter_map(|(name, key)| not_boolean(setting(profiles, profile, name, key)?));
    let missing = profiles.paths.iter().filter(|file| file.is_selected && !file.exists);
    let missing = missing
        .map(|file| Warning::MissingFile { variable: file.variable, path: file.path.display().to_string() });
    let has_identity = !is_selected
        && found.is_configured
        && variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
        && variable("AWS_ACCESS_KEY_ID").is_none();
    let profile = decoded(profile.unwrap_or(DEFAULT)).into_owned();
    let mut warnings: Vec<Warning> = missing.collect();
    warnings.extend(default_profile.map(|name| Warning::DefaultProfile { name }));
    warnings.extend(flags);
    warnings.extend(found.profile_with_mfa.clone().map(|profile| Warning::SecondFactor { profile }));
    warnings.extend(has_identity.then_some(Warning::WebIdentityNotUsed { profile }));
    warnings
}

/// The attempts of the providers. Those of calls are set by `Retry`. The SDK would panic at values of the environment that it does
/// not know; an invalid number is an error when the client is built.
fn retries(max_attempts: Option<&Setting>) -> RetryConfig {
    let count = max_attempts.and_then(|setting| attempts(setting).ok());
    let retries = RetryConfig::standard();
    match count {
        Some(count) => retries.with_max_attempts(count.try_into().unwrap_or(u32::MAX)),
        None => retries,
    }
}

/// The credentials that the program selects, and where they come from. `config` is for calls of STS.
async fn credentials(
    source: &AwsConfig,
    config: &SdkConfig,
    sources: &Sources,
    of_profile: SharedCredentialsProvider,
) -> Result<(SharedCredentialsProvider, Origin), Error> {
    if let Some(token) = source.web_identity_token.clone() {
        let Some(role_arn) = source.role_arn.clone() else {
            return Err(Error::config("a web identity token is for a role, and there is none"));
        };
        let (session_name, config) = (source.session_name.clone(), config.clone());
        let feature = AwsCredentialFeature::CredentialsStsAssumeRoleWebId;
        let identity = WebIdentity { config, token, role_arn, session_name, feature };
        let chain = Chain::single("web identity", SharedCredentialsProvider::new(identity));
        return Ok((SharedCredentialsProvider::new(chain), Origin::Program));
    }
    let (chain, origin) = match (&source.credentials, &source.profile) {
        (Some(keys), _) => {
            (Chain::single("keys", SharedCredentialsProvider::new(keys.clone())), Origin::Program)
        }
        (None, Some(_)) => (Chain::single("profile", of_profile), Origin::Profile("credentials")),
        (None, None) => (Chain::new(sources, of_profile), Origin::Chain),
    };
    let provider = with_role(source, config, SharedCredentialsProvider::new(chain)).await;
    Ok((provider, origin))
}

/// No settings of single services, which would take precedence over the URL that the program sets.
#[derive(Debug)]
struct NoServices;

impl LoadServiceConfig for NoServices {
    fn load_config(&self, _: ServiceConfigKey<'_>) -> Option<String> {
        None
    }
}

/// The credentials of the role that the program has set, if any.
async fn with_role(
    source: &AwsConfig,
    config: &SdkConfig,
    caller: SharedCredentialsProvider,
) -> SharedCredentialsProvider {
    let Some(arn) = source.role_arn.clone() else { return caller };
    let (external_id, session_name) = (source.external_id.clone(), source.session_name.clone());
    let role = Role { arn, external_id, session_name, ..Role::default() };
    let role = role.provider(config, caller).await;
    SharedCredentialsProvider::new(Chain::single("role", role))
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
