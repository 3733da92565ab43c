//! Credentials that STS and SSO issue: roles, web identities, and sessions of SSO.
//!
//! The AWS SDK's own providers for the last two do not pass on all settings of the files, and use blank endpoint URLs.
//! Sources: [AssumeRole](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html),
//! [AssumeRoleWithWebIdentity](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html),
//! [GetRoleCredentials](https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html).

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_config::sso::SsoTokenProvider;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::token::ProvideToken;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use serde_json::Value;
use sha1::{Digest, Sha1};

/// The session name of roles for which none is set.
pub(crate) const SESSION_NAME: &str = "sagewire";

/// The configuration for calls of STS and SSO: blank endpoint URLs count as not set.
pub(crate) fn without_blank_urls(config: &SdkConfig) -> SdkConfig {
    let url = config.endpoint_url().filter(|url| !url.trim().is_empty()).map(str::to_owned);
    let mut builder = config.to_builder().service_config(WithoutBlank(config.clone()));
    builder.set_endpoint_url(url);
    builder.build()
}

#[derive(Debug)]
struct WithoutBlank(SdkConfig);

impl LoadServiceConfig for WithoutBlank {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        self.0.service_config()?.load_config(key).filter(|value| !value.trim().is_empty())
    }
}

/// A role to assume with other credentials.
#[derive(Debug, Default)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) external_id: Option<String>,
    pub(crate) session_name: Option<String>,
    pub(crate) duration: Option<Duration>,
    /// The profile that requires a second factor, which is not supported.
    pub(crate) profile_with_mfa: Option<String>,
}

impl Role {
    pub(crate) async fn provider(
        self,
        config: &SdkConfig,
        caller: SharedCredentialsProvider,
    ) -> SharedCredentialsProvider {
        let session_name = self.session_name.as_deref().unwrap_or(SESSION_NAME);
        let mut role = AssumeRoleProvider::builder(self.arn).configure(config).session_name(session_name);
        if let Some(id) = self.external_id {
            role = role.external_id(id);
        }
        if let Some(duration) = self.duration {
            role = role.session_length(duration);
        }
        let role = role.build_from_provider(caller).await;
        match self.profile_with_mfa {
            Some(profile) => SharedCredentialsProvider::new(WithoutMfa { role, profile }),
            None => SharedCredentialsProvider::new(role),
        }
    }
}

/// A role that is assumed without the second factor that its profile has. If the service refuses it, the reason is added.
#[derive(Debug)]
struct WithoutMfa {
    role: AssumeRoleProvider,
    profile: String,
}

impl ProvideCredentials for WithoutMfa {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let refused = |source| MfaIsMissing { profile: self.profile.clone(), source };
            let found = self.role.provide_credentials().await;
            found.map_err(|error| CredentialsError::provider_error(refused(error)))
        })
    }
}

#[derive(Debug)]
struct MfaIsMissing {
    profile: String,
    source: CredentialsError,
}

impl fmt::Display for MfaIsMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the profile {:?} has mfa_serial, which is not supported", self.profile)
    }
}

impl Error for MfaIsMissing {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// A token of an OIDC provider, for [`AwsConfig::web_identity_token`](crate::AwsConfig::web_identity_token).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebIdentityToken {
    /// The path of a file with the token. It is read each time that the role is assumed, because it is renewed.
    File(PathBuf),
    /// The token itself.
    Text(String),
}

impl WebIdentityToken {
    async fn read(&self) -> Result<String, CredentialsError> {
        match self {
            Self::Text(token) => Ok(token.clone()),
            Self::File(path) => tokio::fs::read_to_string(path).await.map_err(|error| {
                let message = format!("the token in {} cannot be read: {error}", path.display());
                CredentialsError::invalid_configuration(message)
            }),
        }
    }
}

/// Without the token.
impl fmt::Debug for WebIdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}

/// A role that is assumed with a token, as on EKS.
#[derive(Debug)]
pub(crate) struct WebIdentity {
    pub(crate) config: SdkConfig,
    pub(crate) token: WebIdentityToken,
    pub(crate) role_arn: String,
    pub(crate) session_name: Option<String>,
    /// What has selected it.
    pub(crate) feature: AwsCredentialFeature,
}

impl WebIdentity {
    async fn credentials(&self) -> provider::Result {
        let token = self.token.read().await?;
        let call = aws_sdk_sts::Client::new(&self.config).assume_role_with_web_identity();
        let call = call.role_arn(&self.role_arn).web_identity_token(token);
        let call = call.role_session_name(self.session_name.as_deref().unwrap_or(SESSION_NAME));
        let response = call.send().await.map_err(CredentialsError::provider_error)?;
        let found = response.credentials.ok_or_else(|| incomplete("STS"))?;
        let expiry = SystemTime::try_from(found.expiration).map_err(CredentialsError::provider_error)?;
        let (id, secret) = (found.access_key_id, found.secret_access_key);
        let token = Some(found.session_token);
        Ok(with_feature(Credentials::new(id, secret, token, Some(expiry), "sts"), self.feature.clone()))
    }
}

/// Credentials of a role in an account, for a session of SSO.
#[derive(Debug)]
pub(crate) struct Sso {
    pub(crate) config: SdkConfig,
    /// The name of the session; without one, the token belongs to the start URL.
    pub(crate) session: Option<String>,
    pub(crate) start_url: String,
    pub(crate) region: String,
    pub(crate) account_id: String,
    pub(crate) role_name: String,
}

impl Sso {
    async fn credentials(&self) -> provider::Result {
        let region = Region::new(self.region.clone());
        let token = match &self.session {
            Some(name) => {
                // It refreshes the token, if it can.
                let tokens = SsoTokenProvider::builder().configure(&self.config).start_url(&self.start_url);
                let tokens = tokens.session_name(name).region(region.clone()).build().await;
                let token = tokens.provide_token().await.map_err(CredentialsError::provider_error)?;
                token.token().to_owned()
            }
            None => self.token_of_start_url().await?,
        };
        let config = self.config.to_builder().region(region).build();
        let call = aws_sdk_sso::Client::new(&config).get_role_credentials().access_token(token);
        let call = call.account_id(&self.account_id).role_name(&self.role_name);
        let response = call.send().await.map_err(CredentialsError::provider_error)?;
        let found = response.role_credentials.ok_or_else(|| incomplete("SSO"))?;
        let expiry = DateTime::from_millis(found.expiration);
        let expiry = SystemTime::try_from(expiry).map_err(CredentialsError::provider_error)?;
        let (Some(id), Some(secret)) = (found.access_key_id, found.secret_access_key) else {
            return Err(incomplete("SSO"));
        };
        let credentials = Credentials::new(id, secret, found.session_token, Some(expiry), "sso");
        Ok(with_feature(credentials, AwsCredentialFeature::CredentialsSso))
    }

    /// The token that a login without a session has left. Old tools wrote `UTC` for the time zone.
    async fn token_of_start_url(&self) -> Result<String, CredentialsError> {
        let name = format!("{:x}", Sha1::digest(self.start_url.as_bytes()));
        let path = std::env::home_dir().unwrap_or_default().join(format!(".aws/sso/cache/{name}.json"));
        let invalid = |what: &str| {
            CredentialsError::invalid_configuration(format!("the SSO token in {} {what}", path.display()))
        };
        let text = tokio::fs::read(&path).await;
        let text = text.map_err(|error| invalid(&format!("cannot be read: {error}")))?;
        let cached: Value = serde_json::from_slice(&text).map_err(|_| invalid("is not JSON"))?;
        let field = |name: &str| cached[name].as_str();
        let expiry = field("expiresAt").and_then(|text| {
            let text = text.strip_suffix("UTC").map_or(text.into(), |text| format!("{text}Z"));
            SystemTime::try_from(DateTime::from_str(&text, Format::DateTimeWithOffset).ok()?).ok()
        });
        match (field("accessToken"), expiry) {
            (Some(token), Some(expiry)) if expiry > SystemTime::now() => Ok(token.to_owned()),
            (Some(_), Some(_)) => Err(invalid("has expired")),
            _ => Err(invalid("has no accessToken with expiresAt")),
        }
    }
}

macro_rules! provides {
    ($($provider:ty),*) => {$(
        impl ProvideCredentials for $provider {
            fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
            where
                Self: 'a,
            {
                future::ProvideCredentials::new(self.credentials())
            }
        }
    )*};
}

provides!(WebIdentity, Sso);

/// Adds a step to those that [`CredentialsSource`](crate::CredentialsSource) shows.
pub(crate) fn with_feature(mut credentials: Credentials, feature: AwsCredentialFeature) -> Credentials {
    credentials.get_property_mut_or_default::<Vec<AwsCredentialFeature>>().push(feature);
    credentials
}

fn incomplete(service: &str) -> CredentialsError {
    CredentialsError::provider_error(format!("the response of {service} has no credentials"))
}
