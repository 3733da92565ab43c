//! The settings of a client and their origins, for diagnostics.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;

/// The settings of a client. They contain no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The region for which requests are signed.
    pub region: Setting,
    /// The URL of the service.
    pub endpoint_url: Setting,
    /// The origin of the setting that enables FIPS 140 hosts, if one does.
    pub fips: Option<Origin>,
    /// The origin of the setting that enables dual-stack hosts, if one does.
    pub dual_stack: Option<Origin>,
    /// The file of trusted certificates, if one replaces those of the platform.
    pub ca_bundle: Option<Setting>,
    /// The URL of the proxy of the environment, without user and password.
    pub proxy: Option<Setting>,
    /// The number of attempts, if the environment or the profile sets it and the program does not.
    pub max_attempts: Option<Setting>,
    /// The origin of the credentials provider. [`Client::credentials_source`](crate::Client::credentials_source) returns the
    /// source of the credentials themselves.
    pub credentials: Origin,
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The value.
    pub value: String,
    /// Its origin.
    pub origin: Origin,
}

impl Setting {
    pub(crate) fn new(value: impl Into<String>, origin: Origin) -> Self {
        Self { value: value.into(), origin }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.value, self.origin)
    }
}

/// The value of an environment variable. A blank value counts as not set.
#[cfg(feature = "aws-config")]
pub(crate) fn variable(name: &str) -> Option<String> {
    let text = std::env::var(name).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The origin of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The program set it.
    Program,
    /// The environment variable of this name.
    Environment(&'static str),
    /// The key of this name in the profile.
    Profile(&'static str),
    /// The key of this name in the `source_profile` of the profile, or in one further along that chain.
    SourceProfile(&'static str),
    /// The profile's `services` section.
    Services,
    /// The metadata of the instance.
    Instance,
    /// An `SdkConfig` of the AWS SDK that the program passed.
    SdkConfig,
    /// The default chain of the AWS SDK: environment, profile, web identity, container, instance.
    Chain,
    /// The default for the region.
    Region,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => write!(f, "set by the program"),
            Self::Environment(name) => write!(f, "environment: {name}"),
            Self::Profile(key) => write!(f, "profile: {key}"),
            Self::SourceProfile(key) => write!(f, "source_profile: {key}"),
            Self::Services => write!(f, "services section of the profile"),
            Self::Instance => write!(f, "instance metadata"),
            Self::SdkConfig => write!(f, "configuration of the AWS SDK"),
            Self::Chain => write!(f, "default chain of the AWS SDK"),
            Self::Region => write!(f, "default of the region"),
        }
    }
}

/// The source of credentials, and when they expire. It contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialsSource {
    /// The origin of the provider.
    pub origin: Origin,
    /// The steps of the provider in order, such as `profile, SSO`; empty if it does not report them.
    pub steps: Vec<&'static str>,
    /// The last four characters of the access key ID; empty if the ID is too short.
    pub key: String,
    /// They are temporary: there is a session token.
    pub has_session_token: bool,
    /// When they expire, if it is known.
    pub expiry: Option<SystemTime>,
}

impl CredentialsSource {
    pub(crate) fn new(origin: Origin, credentials: &Credentials) -> Self {
        let features = credentials.get_property::<Vec<Feature>>();
        let steps = features.into_iter().flatten().filter_map(step).collect();
        Self {
            origin,
            steps,
            key: end(credentials.access_key_id()).into(),
            has_session_token: credentials.session_token().is_some(),
            expiry: credentials.expiry(),
        }
    }
}

impl fmt::Display for CredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() { self.origin.fmt(f) } else { f.write_str(&self.steps.join(", ")) }
    }
}

/// The last four characters of an ID with at least eight.
fn end(id: &str) -> &str {
    id.len().checked_sub(4).filter(|at| *at >= 4).and_then(|at| id.get(at..)).unwrap_or_default()
}

fn step(feature: &Feature) -> Option<&'static str> {
    Some(match feature {
        Feature::CredentialsCode => "keys of the program",
        Feature::CredentialsEnvVars => "environment variables",
        Feature::CredentialsEnvVarsStsWebIdToken => "environment variables of a web identity",
        Feature::CredentialsStsAssumeRole => "assumed role",
        Feature::CredentialsStsAssumeRoleSaml => "assumed role of SAML",
        Feature::CredentialsStsAssumeRoleWebId => "assumed role of a web identity",
        Feature::CredentialsStsFederationToken => "federation token",
        Feature::CredentialsStsSessionToken => "session token",
        Feature::CredentialsProfile => "profile",
        Feature::CredentialsProfileSourceProfile => "source profile",
        Feature::CredentialsProfileNamedProvider => "credential source of the profile",
        Feature::CredentialsProfileStsWebIdToken => "web identity of the profile",
        Feature::CredentialsProfileSso => "SSO session of the profile",
        Feature::CredentialsSso => "SSO",
        Feature::CredentialsProfileProcess => "process of the profile",
        Feature::CredentialsProcess => "process",
        Feature::CredentialsHttp => "container",
        Feature::CredentialsImds => "instance metadata",
        Feature::CredentialsProfileLogin => "login of the profile",
        Feature::CredentialsLogin => "login",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_key_is_shown() {
        assert_eq!(end("AKIDEXAMPLE"), "MPLE");
        // Short keys, and a character boundary.
        for short in ["", "abc", "abcdefg", "aaaaaaaé你"] {
            assert_eq!(end(short), "", "{short}");
        }
    }
}
