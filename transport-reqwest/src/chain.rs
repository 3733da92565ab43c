//! The credential chain of the AWS SDK, with errors that list the providers that were tried and why each failed.

use std::error::Error;
use std::fmt;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};

use crate::sources::Sources;

/// What the AWS SDK says about a request that did not reach its host. The cause follows.
const WITHOUT_CONTENT: [&str; 2] = ["dispatch failure", "io error"];

/// Providers and their names, in order. If a provider is not configured, the next one is tried. If a provider fails, the chain
/// fails: it must not use credentials other than those that were configured.
#[derive(Debug)]
pub(crate) struct Chain(Vec<(&'static str, SharedCredentialsProvider)>);

impl Chain {
    /// All providers, in the order of the AWS SDK.
    pub(crate) fn new(sources: &Sources, profile: SharedCredentialsProvider) -> Self {
        Self(vec![
            ("environment", sources.environment.clone()),
            ("profile", profile),
            ("web identity", sources.web_identity()),
            ("container", sources.container.clone()),
            ("instance metadata", sources.instance.clone()),
        ])
    }

    /// A chain of a single provider.
    pub(crate) fn single(name: &'static str, provider: SharedCredentialsProvider) -> Self {
        Self(vec![(name, provider)])
    }

    async fn credentials(&self) -> provider::Result {
        let mut tried = Vec::with_capacity(self.0.len());
        for (name, provider) in &self.0 {
            match provider.provide_credentials().await {
                Ok(credentials) => return Ok(without_empty_token(credentials)),
                Err(error) => {
                    let is_configured = !matches!(error, CredentialsError::CredentialsNotLoaded(_));
                    tried.push((*name, error));
                    // If the last provider fails, all errors are reported.
                    if is_configured && tried.len() < self.0.len() {
                        tried.drain(..tried.len() - 1);
                        break;
                    }
                }
            }
        }
        Err(CredentialsError::not_loaded(Tried(tried)))
    }
}

/// Tools write an empty session token to a file if there is none. The service would reject it.
fn without_empty_token(credentials: Credentials) -> Credentials {
    if credentials.session_token().is_none_or(|token| !token.trim().is_empty()) {
        return credentials;
    }
    let mut without = Credentials::builder()
        .access_key_id(credentials.access_key_id())
        .secret_access_key(credentials.secret_access_key())
        .provider_name("sagewire");
    without.set_expiry(credentials.expiry());
    without.set_account_id(credentials.account_id().cloned());
    let mut without = without.build();
    if let Some(features) = credentials.get_property::<Vec<AwsCredentialFeature>>() {
        without.set_property(features.clone());
    }
    without
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// The errors of all providers that were tried, on one line. It has no source, because they are in its message.
#[derive(Debug)]
struct Tried(Vec<(&'static str, CredentialsError)>);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, error)) in self.0.iter().enumerate() {
            write!(f, "{}{name}: {}", if at == 0 { "" } else { "; " }, Causes(error))?;
        }
        Ok(())
    }
}

impl Error for Tried {}

/// The sources of an error. Its own message is always the same, so it is not shown.
struct Causes<'a>(&'a CredentialsError);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = String::new();
        let causes = || std::iter::successors(self.0.source(), |error| Error::source(*error));
        if let Some(tried) = causes().find_map(|error| error.downcast_ref::<Tried>()) {
            return write!(f, "no credentials to ask with: {tried}");
        }
        for error in causes() {
            let text = error.to_string();
            // Skip nested errors of the same type, messages that repeat their source, and those that only say that there is one.
            let is_empty = error.is::<CredentialsError>() || WITHOUT_CONTENT.contains(&text.as_str());
            if !is_empty && !last.ends_with(&text) {
                write!(f, "{}{text}", if last.is_empty() { "" } else { ": " })?;
                last = text;
            }
        }
        if last.is_empty() { f.write_str("there are none") } else { Ok(()) }
    }
}
