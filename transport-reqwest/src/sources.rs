//! The credentials of a profile, and the sources that profiles and the chain share.
//!
//! Source: [Configuration and credential file settings](https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html),
//! [roles](https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-role.html).

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::credential_process::CredentialProcessProvider;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use crate::credentials::EnvCredentials;
use crate::identities::{Role, Sso, WebIdentity, WebIdentityToken, with_feature};
use crate::profiles::{Profiles, decoded};
use crate::settings::variable;

/// The keys of a profile with SSO.
const SSO: [&str; 5] = ["sso_session", "sso_start_url", "sso_region", "sso_account_id", "sso_role_name"];

/// The sources of credentials that need no profile, and the configuration for calls of STS and SSO.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) environment: SharedCredentialsProvider,
    pub(crate) container: SharedCredentialsProvider,
    pub(crate) instance: SharedCredentialsProvider,
    config: SdkConfig,
}

impl Sources {
    /// `config` is for calls of STS and SSO, `provider` for the metadata services.
    pub(crate) fn new(config: SdkConfig, provider: &ProviderConfig, metadata: imds::Client) -> Self {
        let instance = ImdsCredentialsProvider::builder().configure(provider).imds_client(metadata);
        let container = EcsCredentialsProvider::builder().configure(provider);
        Self {
            environment: SharedCredentialsProvider::new(EnvCredentials::new()),
            container: SharedCredentialsProvider::new(container.build()),
            instance: SharedCredentialsProvider::new(instance.build()),
            config,
        }
    }

    /// The web identity of the environment.
    pub(crate) fn web_identity(&self) -> SharedCredentialsProvider {
        let (file, role) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN"));
        let (token_file, role_arn) = match (file, role) {
            (None, _) => return Failing::not_configured("AWS_WEB_IDENTITY_TOKEN_FILE is not set"),
            (Some(_), None) => {
                return Failing::invalid(
                    "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not".into(),
                );
            }
            (Some(file), Some(role)) => (file, role),
        };
        SharedCredentialsProvider::new(WebIdentity {
            config: self.config.clone(),
            token: WebIdentityToken::File(token_file.into()),
            role_arn,
            session_name: variable("AWS_ROLE_SESSION_NAME"),
            feature: AwsCredentialFeature::CredentialsEnvVarsStsWebIdToken,
        })
    }

    /// The credentials of a profile, by its encoded name.
    pub(crate) async fn profile(&self, profiles: &Profiles, name: &str) -> Found {
        let mut roles = Vec::new();
        let mut provider = match self.base(profiles, name, &mut roles) {
            Ok(Some(base)) => base,
            Ok(None) => return Found::new(Failing::not_configured("there are none"), false),
            Err(invalid) => return Found::new(Failing::invalid(invalid), true),
        };
        let profile_with_mfa = roles.iter().find_map(|role| role.profile_with_mfa.clone());
        for role in roles.into_iter().rev() {
            provider = role.provider(&self.config, provider).await;
        }
        let provider = SharedCredentialsProvider::new(OfProfile(provider));
        Found { profile_with_mfa, ..Found::new(provider, true) }
    }

    /// The credentials with which the first of the roles is assumed: those at the end of the chain of source profiles.
    ///
    /// # Errors
    ///
    /// A profile of the chain is missing or contradicts itself.
    fn base(
        &self,
        profiles: &Profiles,
        name: &str,
        roles: &mut Vec<Role>,
    ) -> Result<Option<SharedCredentialsProvider>, String> {
        let mut visited = vec![name];
        loop {
            let profile = Profile { profiles, name: visited[visited.len() - 1] };
            let (arn, has_identity) =
                (profile.get("role_arn"), profile.get("web_identity_token_file").is_some());
            let is_source = visited.len() > 1;
            if is_source && profile.has_keys() {
                return profile.keys();
            }
            let Some(arn) = arn.filter(|_| !has_identity) else {
                return match self.of_single(&profile)? {
                    None if is_source => Err(profile.error("it is a source_profile, but has no credentials")),
                    base => Ok(base),
                };
            };
            roles.push(profile.role(arn)?);
            match (profile.get("source_profile"), profile.get("credential_source")) {
                (Some(_), Some(_)) => {
                    return Err(profile.error("it has both source_profile and credential_source"));
                }
                (None, None) => {
                    return Err(profile.error("it has role_arn without source_profile or credential_source"));
                }
                (None, Some(source)) => return self.named(&profile, source).map(Some),
                (Some(own), None) if own == profile.name => return profile.keys(),
                (Some(next), None) if visited.contains(&next) => {
                    return Err(profile.error("its source_profile leads back to itself"));
                }
                (Some(next), None) if !profiles.has(next) => {
                    return Err(profile.error(&format!("there is no source_profile {:?}", decoded(next))));
                }
                (Some(next), None) => visited.push(next),
            }
        }
    }

    fn named(&self, profile: &Profile<'_>, source: &str) -> Result<SharedCredentialsProvider, String> {
        let known = [
            ("Environment", &self.environment),
            ("EcsContainer", &self.container),
            ("Ec2InstanceMetadata", &self.instance),
        ];
        let found = known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(source));
        found.map(|(_, provider)| provider.clone()).ok_or_else(|| {
            profile.error(&format!(
                "credential_source is none of Environment, EcsContainer and Ec2InstanceMetadata: {source:?}"
            ))
        })
    }

    /// The credentials of a profile that assumes no role.
    fn of_single(&self, profile: &Profile<'_>) -> Result<Option<SharedCredentialsProvider>, String> {
        if let Some(file) = profile.get("web_identity_token_file") {
            return Ok(Some(SharedCredentialsProvider::new(WebIdentity {
                config: self.config.clone(),
                token: WebIdentityToken::File(file.into()),
                role_arn: profile.required("role_arn", profile.get("role_arn"))?,
                session_name: profile.get("role_session_name").map(str::to_owned),
                feature: AwsCredentialFeature::CredentialsProfileStsWebIdToken,
            })));
        }
        if SSO.iter().any(|key| profile.get(key).is_some()) {
            return Ok(Some(SharedCredentialsProvider::new(profile.sso(self.config.clone())?)));
        }
        if let Some(command) = profile.get("credential_process") {
            return Ok(Some(SharedCredentialsProvider::new(CredentialProcessProvider::new(
                command.to_owned(),
            ))));
        }
        match profile.get("login_session") {
            Some(_) if !profile.has_keys() => Err(profile.error("login_session is not supported")),
            _ if profile.has_keys() => profile.keys(),
            _ => Ok(None),
        }
    }
}

/// The credentials of a profile.
pub(crate) struct Found {
    pub(crate) provider: SharedCredentialsProvider,
    /// The profile configures credentials, even if they cannot be used.
    pub(crate) is_configured: bool,
    /// The profile of the chain that has `mfa_serial`.
    pub(crate) profile_with_mfa: Option<String>,
}

impl Found {
    fn new(provider: SharedCredentialsProvider, is_configured: bool) -> Self {
        Self { provider, is_configured, profile_with_mfa: None }
    }
}

/// The profile whose credentials are resolved.
struct Profile<'p> {
    profiles: &'p Profiles,
    name: &'p str,
}

impl<'p> Profile<'p> {
    fn get(&self, key: &str) -> Option<&'p str> {
        self.profiles.get(Some(self.name), key)
    }

    fn error(&self, what: &str) -> String {
        format!("{:?}: {what}", decoded(self.name))
    }

    fn required(&self, key: &str, value: Option<&str>) -> Result<String, String> {
        value.map(str::to_owned).ok_or_else(|| self.error(&format!("{key} is missing")))
    }

    fn has_keys(&self) -> bool {
        self.get("aws_access_key_id").or_else(|| self.get("aws_secret_access_key")).is_some()
    }

    fn keys(&self) -> Result<Option<SharedCredentialsProvider>, String> {
        let key = |key| self.required(key, self.get(key));
        let (id, secret) = (key("aws_access_key_id")?, key("aws_secret_access_key")?);
        let token = self.get("aws_session_token").map(str::to_owned);
        Ok(Some(SharedCredentialsProvider::new(Credentials::new(id, secret, token, None, "profile"))))
    }

    fn role(&self, arn: &str) -> Result<Role, String> {
        let text = |key| self.get(key).map(str::to_owned);
        let duration = self.get("duration_seconds").map(|text| {
            let seconds = text.parse::<u32>().ok().filter(|seconds| i32::try_from(*seconds).is_ok());
            let seconds = seconds
                .ok_or_else(|| self.error(&format!("duration_seconds is not a whole number: {text:?}")))?;
            Ok::<_, String>(Duration::from_secs(seconds.into()))
        });
        Ok(Role {
            arn: arn.to_owned(),
            external_id: text("external_id"),
            session_name: text("role_session_name"),
            duration: duration.transpose()?,
            profile_with_mfa: self.get("mfa_serial").map(|_| decoded(self.name).into_owned()),
        })
    }

    /// The session of the profile. Its settings may be repeated in the profile.
    fn sso(&self, config: SdkConfig) -> Result<Sso, String> {
        let session = self.get("sso_session");
        if let Some(name) = session.filter(|name| !self.profiles.has_session(name)) {
            return Err(self.error(&format!("there is no section [sso-session {}]", decoded(name))));
        }
        let shared = |key: &'static str| match (
            self.get(key),
            session.and_then(|name| self.profiles.of_session(name, key)),
        ) {
            (Some(own), Some(other)) if own != other => {
                Err(self.error(&format!("{key} is {own:?}, but {other:?} in its sso-session")))
            }
            (own, other) => self.required(key, own.or(other)),
        };
        let own = |key| self.required(key, self.get(key));
        Ok(Sso {
            config,
            session: session.map(|name| decoded(name).into_owned()),
            start_url: shared("sso_start_url")?,
            region: shared("sso_region")?,
            account_id: own("sso_account_id")?,
            role_name: own("sso_role_name")?,
        })
    }
}

/// Credentials that a profile has selected.
#[derive(Debug)]
struct OfProfile(SharedCredentialsProvider);

impl ProvideCredentials for OfProfile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let found = self.0.provide_credentials().await?;
            Ok(with_feature(found, AwsCredentialFeature::CredentialsProfile))
        })
    }
}

/// A provider that fails when credentials are needed. Others may come first.
#[derive(Debug)]
enum Failing {
    NotConfigured(&'static str),
    Invalid(String),
}

impl Failing {
    fn not_configured(why: &'static str) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self::NotConfigured(why))
    }

    fn invalid(why: String) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self::Invalid(why))
    }
}

impl ProvideCredentials for Failing {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(match self {
            Self::NotConfigured(why) => CredentialsError::not_loaded(*why),
            Self::Invalid(why) => CredentialsError::invalid_configuration(why.clone()),
        }))
    }
}
