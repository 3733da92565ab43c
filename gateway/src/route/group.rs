//! The models of the configuration: groups of deployments under a name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sagewire_codec::model::{ConversionOptions, Json, Param, Request, ZeroTemperature};
use sagewire_codec::{Api, Options};
use sagewire_transport::{Bounds, Chat, Embeddings, Error, Retry};
use sagewire_transport_reqwest::{AwsConfig, Client, Credentials, Route, WebIdentityToken, http_client};
use sha2::{Digest, Sha256};

use crate::config::{self, Config, Model, ModelKind, ModelName, Streams};
use crate::route::budget::RetryBudget;
use crate::route::cooldown::Health;
use crate::route::upstream::{Plain, Upstream};

/// All groups, by name.
#[derive(Debug, Default)]
pub(crate) struct Groups(HashMap<Arc<str>, Arc<Group>>);

/// The deployments of a model, and the groups that are called when all of them have failed.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: Arc<str>,
    pub(crate) deployments: Vec<Arc<Deployment>>,
    pub(crate) fallback: Vec<Arc<str>>,
    pub(crate) retries: Arc<RetryBudget>,
}

/// One endpoint of a model.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// The endpoint's name, for logs and metrics.
    pub(crate) label: Arc<str>,
    pub(crate) model: Model,
    pub(crate) upstream: Upstream,
    pub(crate) chat: Chat<Upstream>,
    pub(crate) embeddings: Embeddings<Upstream>,
    pub(crate) health: Arc<Health>,
    /// The name under which its limits are counted.
    pub(crate) account: Arc<str>,
}

/// What survives a reload of the configuration: connections, and the health of deployments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    clients: HashMap<String, Client>,
    health: HashMap<String, Arc<Health>>,
    retries: HashMap<Arc<str>, Arc<RetryBudget>>,
}

impl Groups {
    /// Makes the groups of a configuration. `kept` is that of the configuration before, and gets what the new one uses.
    pub(crate) async fn new(config: &Config, kept: &mut Kept) -> Result<Self, Error> {
        let mut before = std::mem::take(kept);
        let mut groups: Vec<(Arc<str>, Vec<Arc<Deployment>>)> = Vec::new();
        for model in &config.models {
            let deployment = Arc::new(deployment(model, &mut before, kept).await?);
            match groups.iter_mut().find(|(name, _)| **name == *model.name) {
                Some((_, deployments)) => deployments.push(deployment),
                None => groups.push((model.name.as_str().into(), vec![deployment])),
            }
        }
        let groups = groups.into_iter().map(|(name, deployments)| {
            let fallback = config.routing.fallback.get(&*name).into_iter().flatten();
            let fallback = fallback.map(|name| name.as_str().into()).collect();
            let retries = before.retries.remove(&name).unwrap_or_else(|| Arc::new(RetryBudget::new()));
            kept.retries.insert(Arc::clone(&name), Arc::clone(&retries));
            (Arc::clone(&name), Arc::new(Group { name, deployments, fallback, retries }))
        });
        Ok(Self(groups.collect()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Group>> {
        self.0.get(name)
    }

    /// The group of an endpoint, for clients that name the endpoint and not the model.
    pub(crate) fn of_endpoint(&self, name: &str) -> Option<&Arc<Group>> {
        self.get(name).or_else(|| {
            let has = |group: &&Arc<Group>| group.deployments.iter().any(|found| *found.label == *name);
            self.0.values().find(has)
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.0.values()
    }

    /// Whether the limits of a deployment are counted under this name.
    pub(crate) fn has_account(&self, name: &str) -> bool {
        self.iter().flat_map(|group| &group.deployments).any(|deployment| *deployment.account == *name)
    }
}

impl Group {
    /// A deployment that was not tried yet and is not left out: by weight, and among those without weight in their order.
    pub(crate) fn choose(&self, tried: &[usize], now: Instant) -> Option<&Arc<Deployment>> {
        let mut total = 0;
        let mut last = None;
        let mut chosen = None;
        for deployment in &self.deployments {
            if tried.contains(&address(deployment)) || deployment.health.cools_for(now).is_some() {
                continue;
            }
            let weight = deployment.model.weight;
            if weight == 0 {
                last = last.or(Some(deployment));
                continue;
            }
            total += weight;
            // Each replaces the one chosen so far with the probability of its share.
            if total == weight || fastrand::u32(..total) < weight {
                chosen = Some(deployment);
            }
        }
        chosen.or(last)
    }

    /// When the first of the deployments that are left out is called again.
    pub(crate) fn cools_for(&self, now: Instant) -> Option<Duration> {
        self.deployments.iter().filter_map(|deployment| deployment.health.cools_for(now)).min()
    }
}

/// What tells deployments of a group apart.
pub(crate) fn address(deployment: &Arc<Deployment>) -> usize {
    Arc::as_ptr(deployment).addr()
}

impl Deployment {
    /// Whether a stream is requested from the container, for a client that requests one or not.
    pub(crate) fn streams(&self, requested: bool) -> bool {
        match self.model.streams {
            Streams::Both => requested,
            Streams::Never => false,
            Streams::Always => true,
        }
    }

    /// How its responses are decoded.
    pub(crate) fn decode_options(&self) -> Options {
        decode_options(&self.model)
    }

    /// Sets what the configuration adds to a request.
    pub(crate) fn prepare(&self, request: &mut Request<'_>) {
        for (name, value) in &self.model.defaults {
            set_default(request, name, value);
        }
    }
}

/// Sets a parameter that the request does not have.
fn set_default(request: &mut Request<'_>, name: &str, value: &serde_json::Value) {
    fn fill<T>(field: &mut Option<Param<T>>, value: Option<T>) {
        if let (None, Some(value)) = (&field, value) {
            *field = Some(Param::new(value));
        }
    }
    match name {
        "max_tokens" | "max_new_tokens" => fill(&mut request.max_tokens, value.as_u64()),
        "temperature" => fill(&mut request.temperature, value.as_f64()),
        "top_p" => fill(&mut request.top_p, value.as_f64()),
        "top_k" => fill(&mut request.top_k, value.as_i64()),
        "seed" => fill(&mut request.seed, value.as_i64()),
        "n" => fill(&mut request.n, value.as_u64()),
        "frequency_penalty" => fill(&mut request.frequency_penalty, value.as_f64()),
        "presence_penalty" => fill(&mut request.presence_penalty, value.as_f64()),
        "repetition_penalty" => fill(&mut request.repetition_penalty, value.as_f64()),
        "return_full_text" => fill(&mut request.return_full_text, value.as_bool()),
        "details" => fill(&mut request.details, value.as_bool()),
        "stop" | "stop_sequences" if request.stop.is_empty() => {
            let texts = match value {
                serde_json::Value::Array(items) => items.as_slice(),
                other => std::slice::from_ref(other),
            };
            let texts = texts.iter().filter_map(serde_json::Value::as_str);
            request.stop = texts.map(|text| Param::new(text.to_owned().into())).collect();
        }
        "stop" | "stop_sequences" => {}
        _ => {
            let has = |(found, _): &(_, _)| *found == *name;
            if request.extra_parameters.iter().any(has) || request.extension_fields.iter().any(has) {
                return;
            }
            let json = Json(value.to_string().into());
            request.extra_parameters.push((name.to_owned().into(), Param::new(json)));
        }
    }
}

async fn deployment(model: &Model, before: &mut Kept, kept: &mut Kept) -> Result<Deployment, Error> {
    let (label, key) = identity(model);
    let health = match kept.health.get(&key) {
        Some(health) => Arc::clone(health),
        None => before.health.remove(&key).unwrap_or_else(|| Arc::new(Health::new())),
    };
    let account = account(model, &key);
    kept.health.insert(key, Arc::clone(&health));
    let bounds = bounds(&model.timeouts);
    let (upstream, endpoint) = match &model.upstream {
        config::Upstream::SageMaker(sagemaker) => {
            let key = client_key(sagemaker, &model.timeouts);
            let client = match (kept.clients.get(&key), before.clients.get(&key)) {
                (Some(client), _) | (None, Some(client)) => client.clone(),
                (None, None) => client(sagemaker, bounds).await?,
            };
            kept.clients.insert(key, client.clone());
            (Upstream::SageMaker(client), sagemaker.endpoint.clone())
        }
        config::Upstream::Url(server) => {
            let http = http_client(server.url.starts_with("https"))?;
            let http = http.connect_timeout(model.timeouts.connect).build().map_err(Error::other)?;
            let plain = Plain::new(server, model, http, bounds)?;
            (Upstream::Plain(Arc::new(plain)), "plain".into())
        }
    };
    let mut options = ConversionOptions::new();
    if model.allow_zero_temperature {
        options.zero_temperature = ZeroTemperature::Send;
    }
    let mut chat = Chat::new(upstream.clone(), endpoint.clone())
        .api(model.format)
        .conversion_options(options)
        .decode_options(decode_options(model));
    if let Some(format) = &model.custom {
        chat = chat.custom(Arc::clone(format));
    }
    chat = match &model.model {
        ModelName::Unchanged => chat,
        ModelName::Set(name) => chat.model(name),
        ModelName::Omitted => chat.without_model(),
    };
    if let Some(template) = &model.template {
        let template = Arc::clone(&template.template);
        chat = chat.template(move |messages, tools| template.rendered(messages, tools));
    }
    let mut embeddings = Embeddings::new(upstream.clone(), endpoint);
    if let ModelKind::Embeddings(shape) = model.kind {
        embeddings = embeddings.shape(shape);
    }
    Ok(Deployment { label, model: model.clone(), upstream, chat, embeddings, health, account })
}

/// The API of responses is detected, but for plain text, which looks like nothing, and custom formats.
fn decode_options(model: &Model) -> Options {
    match (&model.custom, model.format) {
        (Some(format), _) if format.reads_responses() => Options::new().custom(Arc::clone(format)),
        (None, Api::PlainText) => Options::new().api(Api::PlainText),
        _ => Options::new(),
    }
}

/// The name of a deployment for logs, and what identifies it across reloads.
fn identity(model: &Model) -> (Arc<str>, String) {
    match &model.upstream {
        config::Upstream::SageMaker(sagemaker) => {
            let endpoint = &sagemaker.endpoint;
            let label = match &endpoint.inference_component {
                Some(component) => format!("{}/{component}", endpoint.name),
                None => endpoint.name.clone(),
            };
            (label.as_str().into(), format!("{label} {:?} {:?}", sagemaker.region, sagemaker.endpoint_url))
        }
        config::Upstream::Url(server) => {
            // A URL may contain a password.
            let host = server.url.rsplit('@').next().unwrap_or_default();
            let host = host.split_once("://").map_or(host, |(_, rest)| rest);
            (host.into(), host.to_owned())
        }
    }
}

/// The name under which the limits of a deployment are counted: models that call the same share it, under any name. Names of
/// keys do not begin like this.
fn account(model: &Model, identity: &str) -> Arc<str> {
    let called = match &model.model {
        ModelName::Set(name) => name,
        ModelName::Unchanged => &model.name,
        ModelName::Omitted => "",
    };
    format!("\u{1}{identity} {called}").into()
}

fn bounds(timeouts: &config::Timeouts) -> Bounds {
    let mut bounds = Bounds::default();
    bounds.timeouts.connect = timeouts.connect;
    bounds.timeouts.first_byte = timeouts.first_byte;
    bounds.timeouts.idle = timeouts.idle;
    bounds.timeouts.total = Some(timeouts.total);
    bounds.retry = Retry::never();
    bounds
}

/// Deployments with the same key share a client, its connections and its credentials.
fn client_key(sagemaker: &config::SageMaker, timeouts: &config::Timeouts) -> String {
    let config::SageMaker { openai_route, region, endpoint_url, credentials, .. } = sagemaker;
    let secrets = credentials.keys.as_ref().map(|keys| {
        let token = keys.session_token.as_ref().map(config::Secret::expose).unwrap_or_default();
        hashed([keys.secret.expose(), token])
    });
    let token = match &credentials.web_identity_token {
        Some(WebIdentityToken::Text(token)) => Some(hashed([token, ""])),
        _ => None,
    };
    // The secrets are not in the text of the credentials.
    format!("{openai_route} {region:?} {endpoint_url:?} {credentials:?} {secrets:?} {token:?} {timeouts:?}")
}

fn hashed(secrets: [&str; 2]) -> String {
    hex::encode(Sha256::new().chain_update(secrets[0]).chain_update([0]).chain_update(secrets[1]).finalize())
}

async fn client(sagemaker: &config::SageMaker, bounds: Bounds) -> Result<Client, Error> {
    let config::SageMaker { openai_route, region, endpoint_url, credentials, .. } = sagemaker;
    let mut builder = Client::builder().bounds(bounds);
    if *openai_route {
        builder = builder.route(Route::OpenAi);
    }
    if let Some(region) = region {
        builder = builder.region(region);
    }
    if let Some(url) = endpoint_url {
        builder = builder.endpoint_url(url);
    }
    let keys = credentials.keys.as_ref().map(|keys| {
        let token = keys.session_token.as_ref().map(|token| token.expose().to_owned());
        Credentials::new(keys.access_key_id.as_str(), keys.secret.expose(), token, None, "configuration")
    });
    match keys {
        // Neither profiles nor STS are needed.
        Some(keys) if credentials.role_arn.is_none() => builder.credentials(keys).from_env().build(),
        keys => {
            let mut source = AwsConfig::new();
            source.profile.clone_from(&credentials.profile);
            source.role_arn.clone_from(&credentials.role_arn);
            source.external_id.clone_from(&credentials.external_id);
            source.session_name.clone_from(&credentials.session_name);
            source.credentials = keys;
            source.web_identity_token.clone_from(&credentials.web_identity_token);
            source.sts_endpoint_url.clone_from(&credentials.sts_endpoint_url);
            builder.load_aws_config(&source).await?.build()
        }
    }
}
