//! Connects the providers of a configuration.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagewire_transport_reqwest::{AwsConfig, Bounds, Client, Credentials, Retry};

use super::call::{Connected, Connection, Pause};
use super::spec::{OpenAi, SageMaker, Spec, Target};
use super::{CallError, Provider};
use crate::cache::Cache;
use crate::server::Server;

/// The region without any setting, as in promptfoo.
const REGION: &str = "us-east-1";
/// How long to wait for the metadata of an instance, as in the AWS CLI.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects providers. Those with the same region and credentials share a client, and equal ones are the same provider.
#[derive(Default)]
pub struct Connector {
    endpoint_url: Option<String>,
    cache: Option<Arc<Cache>>,
    pause: Option<Arc<Pause>>,
    clients: Vec<(SageMaker, Client)>,
    providers: HashMap<usize, (Arc<Spec>, Arc<Provider>)>,
    losses: Arc<Mutex<BTreeSet<String>>>,
}

impl Connector {
    /// Without a cache, and with the services of AWS.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the URL of SageMaker Runtime, in place of that of the configuration and of the environment.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Sets the cache of responses.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(Arc::new(cache));
        self
    }

    /// Sets the pause between two calls of all providers together.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.pause = (!delay.is_zero()).then(|| Pause::new(delay));
        self
    }

    /// What the formats of containers could not express of the requests so far, with the ID of the provider.
    pub fn losses(&self) -> Vec<String> {
        self.losses.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter().cloned().collect()
    }

    /// Connects a provider. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// A profile or a URL is invalid.
    pub async fn connect(&mut self, spec: &Arc<Spec>) -> Result<Arc<Provider>, CallError> {
        let identity = Arc::as_ptr(spec) as usize;
        if let Some((_, provider)) = self.providers.get(&identity) {
            return Ok(Arc::clone(provider));
        }
        let connection = match &spec.target {
            Target::SageMaker(sagemaker) => Connection::SageMaker(self.client(sagemaker).await?),
            Target::OpenAi(openai) => Connection::OpenAi(server(openai)?),
        };
        let connected = Connected {
            spec: Arc::clone(spec),
            connection,
            cache: self.cache.clone(),
            pauses: [Pause::new(spec.delay)].into_iter().chain(self.pause.clone()).collect(),
            losses: Arc::clone(&self.losses),
        };
        let provider = Arc::new(Provider::new(&spec.id, connected));
        // The specification is kept, so that no other has its address.
        self.providers.insert(identity, (Arc::clone(spec), Arc::clone(&provider)));
        Ok(provider)
    }

    async fn client(&mut self, spec: &SageMaker) -> Result<Client, CallError> {
        let is_same = |other: &SageMaker| {
            (&other.region, &other.profile, &other.endpoint_url, &other.keys, other.retries)
                == (&spec.region, &spec.profile, &spec.endpoint_url, &spec.keys, spec.retries)
        };
        if let Some((_, client)) = self.clients.iter().find(|(other, _)| is_same(other)) {
            return Ok(client.clone());
        }
        let mut builder = Client::builder().retry(Retry::default().attempts(spec.retries + 1));
        if let Some(region) = &spec.region {
            builder = builder.region(region);
        }
        if let Some(url) = self.endpoint_url.as_ref().or(spec.endpoint_url.as_ref()) {
            builder = builder.endpoint_url(url);
        }
        if let Some(keys) = &spec.keys {
            let token = keys.token.as_ref().map(|token| token.0.clone());
            builder =
                builder.credentials(Credentials::new(&keys.id, &keys.key.0, token, None, "configuration"));
        }
        let mut source = AwsConfig::new().metadata_timeout(METADATA_TIMEOUT);
        source.profile.clone_from(&spec.profile);
        let mut builder =
            builder.load_aws_config(&source).await.map_err(|error| CallError::with_cause(&error))?;
        if builder.found_region().is_none() {
            builder = builder.region(REGION);
        }
        let client = builder.build().map_err(|error| CallError::with_cause(&error))?;
        self.clients.push((spec.clone(), client.clone()));
        Ok(client)
    }
}

fn server(spec: &OpenAi) -> Result<Server, CallError> {
    let server = match spec.embedding {
        true => Server::embeddings(&spec.url, Bounds::default()),
        false => Server::new(&spec.url, Bounds::default()),
    };
    let server = server.map_err(CallError::new)?;
    match &spec.key {
        Some(key) => server.api_key(&key.0).map_err(CallError::new),
        None => Ok(server),
    }
}
