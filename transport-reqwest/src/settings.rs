//! What a client was set up with, and where each of it was found: for people who wonder why a request goes there.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;

/// What a client was set up with. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The region that requests are signed for.
    pub region: Setting,
    /// Where requests go.
    pub endpoint_url: Setting,
    /// Who asked for hosts that are validated for FIPS 140, if anybody did.
    pub fips: Option<Origin>,
    /// Who asked for hosts that have IPv6 addresses, too, if anybody did.
    pub dual_stack: Option<Origin>,
    /// Where credentials are looked for. [`Client::credentials_source`](crate::Client::credentials_source) says where they
    /// were found.
    pub credentials: Origin,
}

/// A value, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The value.
    pub value: String,
    /// Where it was found.
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

/// Where a setting was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The program set it.
    Program,
    /// The environment variable of this name.
    Environment(&'static str),
    /// The key of this name in the profile.
    Profile(&'static str),
    /// The profile's `services` section.
    Services,
    /// The metadata of the instance.
    Instance,
    /// The configuration of AWS's SDK that the program brought, which does not say more.
    SdkConfig,
    /// The chain of AWS's SDK: environment, profile, web identity, container, instance.
    Chain,
    /// It follows from the region.
    Region,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => write!(f, "set by the program"),
            Self::Environment(name) => write!(f, "environment: {name}"),
            Self::Profile(key) => write!(f, "profile: {key}"),
            Self::Services => write!(f, "services section of the profile"),
            Self::Instance => write!(f, "instance metadata"),
            Self::SdkConfig => write!(f, "configuration of the AWS SDK"),
            Self::Chain => write!(f, "default chain of the AWS SDK"),
            Self::Region => write!(f, "default of the region"),
        }
    }
}

/// Where credentials were found, and how long they hold. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialsSource {
    /// Where they were looked for.
    pub origin: Origin,
    /// What provided them, one step after the other, such as `profile, SSO`; empty if the provider does not say.
    pub steps: Vec<&'static str>,
    /// The end of the access key's id, which tells people whose it is; empty if the id is too short to be cut.
    pub key: String,
    /// They are temporary: a session token goes with them.
    pub has_session_token: bool,
    /// When they expire, if they say so.
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

/// The last four characters of what has at least twice as many.
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
    fn of_a_key_little_is_shown() {
        assert_eq!(end("AKIDEXAMPLE"), "MPLE");
        // Not in the middle of a character.
        for short in ["", "abc", "abcdefg", "aaaaaaaé你"] {
            assert_eq!(end(short), "", "{short}");
        }
    }
}
