//! AWS's chain of credentials, which says where it looked, and why nothing was found there.

use std::error::Error;
use std::fmt;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};

use crate::credentials::EnvCredentials;

const PROFILE: &str = "profile";

/// Providers and their names, in the order in which they are asked. One that is not set up leaves it to the next, one that
/// fails does not: other credentials than those that were meant would be a surprise.
#[derive(Debug)]
pub(crate) struct Chain(Vec<(&'static str, SharedCredentialsProvider)>);

impl Chain {
    /// The order is that of AWS's SDK.
    pub(crate) fn new(config: &ProviderConfig, metadata: imds::Client) -> Self {
        let instance = ImdsCredentialsProvider::builder().configure(config).imds_client(metadata);
        let identity = WebIdentityTokenCredentialsProvider::builder().configure(config);
        let container = EcsCredentialsProvider::builder().configure(config);
        let profile = ProfileFileCredentialsProvider::builder().configure(config);
        Self(vec![
            ("environment", SharedCredentialsProvider::new(EnvCredentials::new())),
            (PROFILE, SharedCredentialsProvider::new(profile.build())),
            ("web identity", SharedCredentialsProvider::new(identity.build())),
            ("container", SharedCredentialsProvider::new(container.build())),
            ("instance metadata", SharedCredentialsProvider::new(instance.build())),
        ])
    }

    /// There is one provider only.
    pub(crate) fn of(name: &'static str, provider: impl ProvideCredentials + 'static) -> Self {
        Self(vec![(name, SharedCredentialsProvider::new(provider))])
    }

    async fn credentials(&self) -> provider::Result {
        let mut tried = Vec::with_capacity(self.0.len());
        for (name, provider) in &self.0 {
            match provider.provide_credentials().await {
                Ok(credentials) => return Ok(credentials),
                Err(error) => {
                    let is_set_up = match error {
                        // It gives its reason where somebody named a profile that cannot be used, and none otherwise.
                        CredentialsError::CredentialsNotLoaded(_) => {
                            *name == PROFILE && error.source().is_some()
                        }
                        _ => true,
                    };
                    tried.push((*name, error));
                    // The last is asked whether it is set up or not.
                    if is_set_up && tried.len() < self.0.len() {
                        tried.drain(..tried.len() - 1);
                        break;
                    }
                }
            }
        }
        Err(CredentialsError::not_loaded(Tried(tried)))
    }
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// Where credentials were looked for in vain. All is in one line, and so there is no source.
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

/// What an error says below its own sentence, which is always the same.
struct Causes<'a>(&'a CredentialsError);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        let causes = || std::iter::successors(self.0.source(), |error| Error::source(*error));
        if let Some(tried) = causes().find_map(|error| error.downcast_ref::<Tried>()) {
            return write!(f, "no credentials to ask with: {tried}");
        }
        for error in causes() {
            let text = error.to_string();
            // Some have another such error below them, and some repeat what is below them.
            if !error.is::<CredentialsError>() && !said.ends_with(&text) {
                write!(f, "{}{text}", if said.is_empty() { "" } else { ": " })?;
                said = text;
            }
        }
        if said.is_empty() { f.write_str("there are none") } else { Ok(()) }
    }
}
