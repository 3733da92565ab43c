//! The calls of the providers of a configuration: delay, cache, request and response.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sagewire_codec::model::ToolNames;
use sagewire_codec::{Api, Options, read_request, tool_names};
use sagewire_transport_reqwest::{Chat, Client, Endpoint, Request, Transport};
use serde_json::{Map, Value, json};

use super::spec::{Format, ModelType, SageMaker, Spec, Target};
use super::{Backend, CallError, CallFuture, Prompt, Reply, output, payload};
use crate::cache::{Cache, Key};
use crate::server::Server;
use crate::template;

/// A provider of a configuration with its connection.
pub(super) struct Connected {
    pub(super) spec: Arc<Spec>,
    pub(super) connection: Connection,
    pub(super) cache: Option<Arc<Cache>>,
    /// The pauses between calls: of this provider, and of all.
    pub(super) pauses: Vec<Arc<Pause>>,
    /// What requests could not express, once each.
    pub(super) losses: Arc<Mutex<BTreeSet<String>>>,
}

/// How a provider is reached.
pub(super) enum Connection {
    SageMaker(Client),
    OpenAi(Server),
}

/// A pause between the starts of two calls.
pub(super) struct Pause {
    delay: Duration,
    next: Mutex<Option<tokio::time::Instant>>,
}

impl Pause {
    pub(super) fn new(delay: Duration) -> Arc<Self> {
        Arc::new(Self { delay, next: Mutex::new(None) })
    }

    /// Waits until the next call may start.
    async fn wait(&self) {
        if self.delay.is_zero() {
            return;
        }
        let at = {
            let now = tokio::time::Instant::now();
            let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let at = next.map_or(now, |next| next.max(now));
            *next = Some(at + self.delay);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

/// A request, and how its response is read.
struct Built {
    body: Bytes,
    content_type: String,
    options: Options,
    names: ToolNames,
}

impl Built {
    fn json(body: &Value, content_type: &str) -> Self {
        let body = Bytes::from(body.to_string());
        Self { body, content_type: content_type.into(), options: Options::new(), names: ToolNames::default() }
    }
}

impl Connected {
    /// The prompt, or what a transformation makes of it.
    fn transformed(&self, prompt: &str, vars: &Map<String, Value>) -> Result<Value, CallError> {
        let failed = |reason| CallError::new(format!("transform: {reason}"));
        match &self.spec.transform {
            Some(transform) => transform.apply(prompt, vars).map_err(failed),
            None => Ok(prompt.into()),
        }
    }

    /// The body of a request for a text.
    fn request(&self, prompt: &Prompt) -> Result<Built, CallError> {
        let transformed = self.transformed(&prompt.text, &prompt.vars)?;
        let text = template::text(&transformed);
        match &self.spec.target {
            Target::SageMaker(sagemaker) => match (&sagemaker.format, transformed) {
                // A transformation that makes an object has made the whole request.
                (_, body @ Value::Object(_)) => Ok(Built::json(&body, &sagemaker.content_type)),
                (Some(format), _) => self.formatted(sagemaker, format, &text),
                (None, _) => {
                    let body =
                        payload::chat(sagemaker.model, &text, &sagemaker.sampling, &sagemaker.parameters);
                    Ok(Built::json(&body, &sagemaker.content_type))
                }
            },
            Target::OpenAi(openai) => {
                let mut body = json!({"model": openai.model, "messages": messages(&text)});
                merge(&mut body, &openai.parameters);
                let options = Options::new().api(Api::OpenAi);
                Ok(Built { options, ..Built::json(&body, "application/json") })
            }
        }
    }

    /// A request that the codec writes.
    fn formatted(&self, sagemaker: &SageMaker, format: &Format, text: &str) -> Result<Built, CallError> {
        let sampling = &sagemaker.sampling;
        let mut body = json!({"messages": messages(text)});
        let set = [
            ("max_tokens", sampling.max_tokens.map(Value::from)),
            ("temperature", sampling.temperature.map(Value::from)),
            ("top_p", sampling.top_p.map(Value::from)),
            ("stop", (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into())),
        ];
        for (name, value) in set {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        merge(&mut body, &sagemaker.parameters);
        let body = body.to_string();
        let request = read_request(Api::OpenAi, body.as_bytes()).map_err(CallError::new)?;
        let mut chat = Chat::new((), Endpoint::new(&sagemaker.endpoint));
        let (mut options, mut names) = (Options::new(), ToolNames::default());
        match format {
            Format::Known(api) => {
                chat = chat.api(*api);
                names = tool_names(*api, &request);
            }
            Format::Custom(format) => {
                chat = chat.custom(Arc::clone(format));
                if format.reads_responses() {
                    options = match format.for_whole_responses() {
                        Some(format) => options.custom(format),
                        None => options.custom(Arc::clone(format)),
                    };
                }
            }
        }
        if let Some(template) = &sagemaker.template {
            let template = Arc::clone(&template.0);
            chat = chat.template(move |messages, tools| template.rendered(messages, tools));
        }
        let (request, losses) = chat.request(&request, false).map_err(CallError::new)?;
        let mut notes = self.losses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        notes.extend(losses.iter().map(|loss| format!("{}: {loss}", self.spec.id)));
        drop(notes);
        let content_type = request.content_type.clone();
        Ok(Built { body: request.body, content_type, options, names })
    }

    /// The key of a call in the cache: everything that its response depends on, and no secret.
    fn key(&self, built: &Built, repeat: usize) -> Key {
        let path = self.spec.path.as_ref().map(|path| path.source());
        let target = match (&self.spec.target, &self.connection) {
            (Target::SageMaker(sagemaker), Connection::SageMaker(client)) => json!([
                client.endpoint_url(),
                client.region(),
                sagemaker.endpoint,
                sagemaker.inference_component,
                sagemaker.variant,
                sagemaker.accept,
                format!("{:?}", sagemaker.model),
                format!("{:?}", sagemaker.format),
            ]),
            (Target::OpenAi(openai), _) => json!([openai.url, openai.embedding]),
            (Target::SageMaker(_), Connection::OpenAi(_)) => Value::Null,
        };
        let parts = json!([self.spec.id, target, path, built.content_type, repeat]);
        Key::new(&[parts.to_string().as_bytes(), &built.body])
    }

    /// Sends a request, after the pauses. The time is that of the last attempt and those before it.
    async fn send(&self, built: &Built) -> Result<(Bytes, Duration), CallError> {
        for pause in &self.pauses {
            pause.wait().await;
        }
        let start = Instant::now();
        let body = match (&self.spec.target, &self.connection) {
            (Target::SageMaker(sagemaker), Connection::SageMaker(client)) => {
                let mut endpoint = Endpoint::new(&sagemaker.endpoint);
                endpoint.inference_component.clone_from(&sagemaker.inference_component);
                endpoint.target_variant.clone_from(&sagemaker.variant);
                let request = Request::new(endpoint, built.body.clone())
                    .content_type(&built.content_type)
                    .accept(&sagemaker.accept);
                let response = client.invoke(request).await.map_err(|error| self.without_secrets(&error))?;
                response.body
            }
            // The transport ignores the endpoint.
            (_, Connection::OpenAi(server)) => {
                let request = Request::new(Endpoint::default(), built.body.clone());
                server.invoke(request).await.map_err(|error| self.without_secrets(&error))?.body
            }
            (Target::OpenAi(_), Connection::SageMaker(_)) => {
                return Err(CallError::new("the provider is not connected"));
            }
        };
        Ok((body, start.elapsed()))
    }

    /// An error without the keys of the configuration.
    fn without_secrets(&self, error: &dyn std::error::Error) -> CallError {
        let mut message = CallError::with_cause(error).to_string();
        let secrets = match &self.spec.target {
            Target::SageMaker(sagemaker) => {
                let keys = sagemaker.keys.as_ref();
                [keys.map(|keys| &keys.key), keys.and_then(|keys| keys.token.as_ref())]
            }
            Target::OpenAi(openai) => [openai.key.as_ref(), None],
        };
        for secret in secrets.into_iter().flatten().filter(|secret| !secret.0.is_empty()) {
            message = message.replace(&secret.0, "***");
        }
        CallError::new(message)
    }

    fn model(&self) -> ModelType {
        match &self.spec.target {
            Target::SageMaker(sagemaker) => sagemaker.model,
            Target::OpenAi(_) => ModelType::OpenAi,
        }
    }
}

/// The messages of a prompt: those of a conversation, or the text as that of the user.
fn messages(prompt: &str) -> Value {
    payload::messages(prompt).unwrap_or_else(|| json!([{"role": "user", "content": prompt}]))
}

fn merge(body: &mut Value, extra: &Map<String, Value>) {
    if let Value::Object(body) = body {
        body.extend(extra.clone());
    }
}

impl Backend for Connected {
    fn chat<'a>(&'a self, prompt: &'a Prompt) -> CallFuture<'a, Reply> {
        Box::pin(async move {
            if self.spec.is_embedding() {
                return Err(CallError::new(format!("{} returns embeddings, no text", self.spec.id)));
            }
            let built = self.request(prompt)?;
            let key = self.key(&built, prompt.repeat);
            if let Some(reply) = self.cache.as_ref().and_then(|cache| cache.get::<Reply>(&key)) {
                return Ok(Reply { cached: true, ..reply });
            }
            let (body, latency) = self.send(&built).await?;
            let path = self.spec.path.as_ref();
            let reply = output::read(&body, &built.options, &built.names, self.model(), path);
            let reply = Reply { latency, ..reply.map_err(|error| self.without_secrets(&error))? };
            if let Some(cache) = &self.cache {
                cache.put(&key, &reply);
            }
            Ok(reply)
        })
    }

    fn embed<'a>(&'a self, text: &'a str) -> CallFuture<'a, Vec<f32>> {
        Box::pin(async move {
            let text = &*template::text(&self.transformed(text, &Map::new())?);
            let body = match &self.spec.target {
                Target::SageMaker(sagemaker) => {
                    payload::embedding(sagemaker.model, text, &sagemaker.parameters)
                }
                Target::OpenAi(openai) => {
                    let mut body = json!({"model": openai.model, "input": text});
                    merge(&mut body, &openai.parameters);
                    body
                }
            };
            let content_type = match &self.spec.target {
                Target::SageMaker(sagemaker) => &sagemaker.content_type,
                Target::OpenAi(_) => "application/json",
            };
            let built = Built::json(&body, content_type);
            let key = self.key(&built, 0);
            if let Some(vector) = self.cache.as_ref().and_then(|cache| cache.get::<Vec<f32>>(&key)) {
                return Ok(vector);
            }
            let (body, _) = self.send(&built).await?;
            let vector = output::vector(&body, self.spec.path.as_ref())?;
            if let Some(cache) = &self.cache {
                cache.put(&key, &vector);
            }
            Ok(vector)
        })
    }
}
