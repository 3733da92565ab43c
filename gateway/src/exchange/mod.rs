//! One request: identity, bounds, limits, the call, the response.

mod calls;
mod chat;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sagewire_codec::model::Losses;
use sagewire_codec::{Api, HttpErrorKind, detect_request, read_request};

use crate::body::{Body, Source};
use crate::cached::Tee;
use crate::door::{self, Call, Door, NoRoute, Route, error_response, with_common_headers};
use crate::early::{self, Early};
use crate::fault::Fault;
use crate::gateway::{Inner, Setup};
use crate::identity::Key;
use crate::policy::{Ask, Limit, Refusal};
use crate::record::ErrorClass;
use crate::recorder::Recorder;
use crate::route::attempt::{self, Attempts};
use crate::route::{Deployment, Group};

/// Bytes of the header with losses.
const LOSS_HEADER_MAX: usize = 1024;
/// Bytes of text for a token, in estimates.
const BYTES_PER_TOKEN: u64 = 4;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

type Result<T> = std::result::Result<T, Box<Fault>>;

/// A request in progress.
pub(crate) struct Exchange<'a> {
    inner: &'a Inner,
    setup: &'a Setup,
    parts: &'a Parts,
    recorder: Recorder,
    key: Option<Arc<Key>>,
    early: Option<Early>,
}

/// Serves a request. The record is finished with the body of the response.
pub(crate) async fn serve<B>(inner: Arc<Inner>, request: http::Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let arrived = Instant::now();
    let setup = inner.setup.load_full();
    let bounds = &setup.config.bounds;
    match bounds.ping.filter(|_| bounds.ping_before_response) {
        None => respond(&inner, &setup, request, arrived, None).await,
        Some(every) => {
            let respond = |early| async move { respond(&inner, &setup, request, arrived, Some(early)).await };
            early::serve(every, respond).await
        }
    }
}

async fn respond<B>(
    inner: &Inner,
    setup: &Setup,
    request: http::Request<B>,
    arrived: Instant,
    early: Option<Early>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let id: Arc<str> = format!("{:032x}", fastrand::u128(..)).into();
    let route = Route::find(&parts.method, &parts.uri, &parts.headers);
    let (door, template) = match &route {
        Ok(route) => (route.door, route.template),
        Err(NoRoute { door, .. }) => (*door, "unknown"),
    };
    let observers = Arc::clone(&inner.observers);
    let recorder = Recorder::new(observers, Arc::clone(&id), door, template, &parts.headers, arrived);
    let mut exchange = Exchange { inner, setup, parts: &parts, recorder, key: None, early };
    let content = match exchange.early {
        None => exchange.respond(body, route).await,
        // It may be in the middle of its stream, which ends if the gateway stops.
        Some(_) => {
            let mut closing = inner.closer.subscribe();
            tokio::select! {
                biased;
                content = exchange.respond(body, route) => content,
                () = poll_fn(|cx| closing.poll_closed(cx)) => Err(stops()),
            }
        }
    };
    let mut response = match content {
        Ok(Content::Whole(response)) => {
            exchange.recorder.record.status = response.status().as_u16();
            let is_head = parts.method == Method::HEAD;
            let (head, bytes) = response.into_parts();
            exchange.finish(head, bytes, is_head)
        }
        Ok(Content::Stream(source, mut headers, tee)) => {
            let Exchange { mut recorder, .. } = exchange;
            recorder.record.status = 200;
            recorder.first_event();
            let ping = setup.config.bounds.ping;
            let mut response =
                Response::new(Body::stream(source, recorder, inner.closer.subscribe(), ping, tee));
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            *response.headers_mut() = headers;
            response
        }
        Err(fault) => {
            let (head, bytes) = exchange.error(&fault).into_parts();
            exchange.recorder.fail(&fault, head.status.as_u16());
            exchange.finish(head, bytes, parts.method == Method::HEAD)
        }
    };
    with_common_headers(response.headers_mut(), &id);
    setup.cors.write(&parts.headers, response.headers_mut());
    response
}

/// What a request results in.
pub(crate) enum Content {
    Whole(Response<Bytes>),
    Stream(Source, HeaderMap, Option<Tee>),
}

impl Exchange<'_> {
    /// The response of a request that has failed: the error of the stream, if its head was sent.
    fn error(&self, fault: &Fault) -> Response<Bytes> {
        match self.early.as_ref().and_then(|early| early.error(fault)) {
            Some(stream) => Response::new(stream),
            None => error_response(self.recorder.record.door, fault),
        }
    }

    /// The head of a stream of this API may be sent before there is an event, if that is configured.
    fn allow_early(&mut self, api: Api) {
        let door = self.recorder.record.door;
        let (Some(_), Some(ping)) = (&self.early, door.ping()) else { return };
        let mut headers = self.headers(None, &Losses::default());
        headers.insert(CONTENT_TYPE, stream_type(door));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        with_common_headers(&mut headers, &self.recorder.record.id);
        self.setup.cors.write(&self.parts.headers, &mut headers);
        if let Some(early) = &mut self.early {
            early.allow(api, headers, ping);
        }
    }

    fn finish(self, head: http::response::Parts, bytes: Bytes, is_head: bool) -> Response<Body> {
        let Self { recorder, .. } = self;
        let body = if is_head || bytes.is_empty() {
            recorder.finish_whole();
            Body::empty()
        } else {
            Body::whole(bytes, recorder)
        };
        Response::from_parts(head, body)
    }

    async fn respond<B>(&mut self, body: B, route: std::result::Result<Route, NoRoute>) -> Result<Content>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // Browsers send no key with it.
        if self.parts.method == Method::OPTIONS {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = http::StatusCode::NO_CONTENT;
            return Ok(Content::Whole(response));
        }
        let permit = Arc::clone(&self.inner.requests).try_acquire_owned().map_err(|_| busy())?;
        self.recorder.permit = Some(permit);
        let door = self.recorder.record.door;
        let caller = self.setup.keys.identify(self.parts, door, SystemTime::now())?;
        self.recorder.record.key = Some(Arc::clone(&caller.key().name));
        let route = route.map_err(no_route)?;
        let body = self.read(body).await?;
        caller.verify(&body)?;
        self.key = Some(Arc::clone(caller.key()));
        match route.call {
            Call::Models => Ok(self.models()),
            Call::Model(name) => self.model(&name),
            Call::CountTokens => Err(Fault::new(
                ErrorClass::ClientNotFound,
                HttpErrorKind::NotFound,
                "Counting tokens is not supported for this model.",
            )),
            Call::Embeddings => self.embeddings(&body).await,
            Call::Chat(api) => {
                let request = read_request(api, &body)?;
                let model = request.model.as_ref().map(|model| model.value.to_string());
                let model = model.ok_or_else(|| Fault::invalid("The request has no model."))?;
                let streams = request.stream.as_ref().is_some_and(|stream| stream.value);
                self.chat(&model, request, api, streams, &body).await
            }
            Call::Converse { model, stream } => {
                let request = read_request(Api::Converse, &body)?;
                self.chat(door::bedrock::model_name(&model), request, Api::Converse, stream, &body).await
            }
            Call::InvokeModel { model, stream } => {
                let Some(api @ (Api::Anthropic | Api::OpenAi)) = detect_request(&body) else {
                    return Err(Fault::invalid("The body is neither a request of Anthropic nor of OpenAI."));
                };
                let request = read_request(api, &body)?;
                self.chat(door::bedrock::model_name(&model), request, api, stream, &body).await
            }
            Call::Invocation { endpoint, stream } => self.invocation(&endpoint, stream, body).await,
        }
    }

    /// Reads the body, within the bounds of size and time.
    async fn read<B>(&self, body: B) -> Result<Bytes>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let bounds = &self.setup.config.bounds;
        let announced =
            self.parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        // Before it is read: a client that expects to continue need not send it.
        if announced.is_some_and(|len: u64| len > bounds.body as u64) {
            return Err(Fault::too_large(bounds.body));
        }
        let read = Limited::new(body, bounds.body).collect();
        match tokio::time::timeout(bounds.receive, read).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Fault::too_large(bounds.body)),
            Ok(Err(_)) => Err(Fault::new(
                ErrorClass::ClientClosed,
                HttpErrorKind::InvalidRequest,
                "The body of the request broke off.",
            )),
            Err(_) => Err(Fault::new(
                ErrorClass::ClientInvalid,
                HttpErrorKind::Timeout,
                "The body of the request did not arrive in time.",
            )),
        }
    }

    fn models(&self) -> Content {
        let names = self.allowed_models();
        let names = names.iter().map(|name| &**name);
        json(&match self.recorder.record.door {
            Door::Anthropic => door::anthropic::models(names),
            _ => door::openai::models(names),
        })
    }

    fn model(&self, name: &str) -> Result<Content> {
        self.group(name)?;
        Ok(json(&match self.recorder.record.door {
            Door::Anthropic => door::anthropic::model(name),
            _ => door::openai::model(name),
        }))
    }

    fn allowed_models(&self) -> Vec<Arc<str>> {
        let key = self.key.as_ref();
        let names = self.setup.groups.iter().map(|group| &group.name);
        let mut names: Vec<_> =
            names.filter(|name| key.is_none_or(|key| key.allows(name))).map(Arc::clone).collect();
        names.sort();
        names
    }

    /// The group of a model that the client may use.
    fn group(&self, name: &str) -> Result<Arc<Group>> {
        let find = match self.recorder.record.door {
            Door::SageMaker | Door::Bedrock => self.setup.groups.of_endpoint(name),
            _ => self.setup.groups.get(name),
        };
        let Some(group) = find else {
            return Err(Fault::unknown_model(name, "The model is not in the configuration.".to_owned()));
        };
        if self.key.as_ref().is_some_and(|key| !key.allows(&group.name)) {
            let detail = format!("The key may not use the model `{}`.", group.name);
            return Err(Fault::unknown_model(name, detail));
        }
        Ok(Arc::clone(group))
    }

    /// Reserves what the request may cost at most.
    async fn reserve(&mut self, group: &Group, body_len: usize, max_tokens: Option<u64>) -> Result<()> {
        self.recorder.record.model = Some(Arc::clone(&group.name));
        let Some(model) = group.deployments.first().map(|deployment| &deployment.model) else {
            return Err(Fault::internal("the group has no deployment"));
        };
        let input = body_len as u64 / BYTES_PER_TOKEN;
        let output = max_tokens.unwrap_or(model.reserve_tokens);
        (self.recorder.input_estimate, self.recorder.max_tokens) = (input, max_tokens);
        let Some(key) = &self.key else { return Ok(()) };
        let ask = Ask::new(input, output, model.prices);
        let reservation = self.inner.policy.reserve(&key.config, ask).await.map_err(refused)?;
        self.recorder.reservation = Some(reservation);
        Ok(())
    }

    /// Calls the deployments of a group until one responds.
    async fn call<'c, T>(
        &mut self,
        group: &Arc<Group>,
        attempt: impl Fn(Arc<Deployment>) -> attempt::Call<'c, T>,
    ) -> Result<T> {
        let estimate = (self.recorder.input_estimate, self.recorder.max_tokens);
        let mut attempts = Attempts { estimate, ..Attempts::default() };
        let (groups, routing) = (&self.setup.groups, &self.setup.config.routing);
        let result = attempt::call(groups, group, routing, &self.inner.policy, &mut attempts, attempt).await;
        self.recorder.called(attempts);
        result
    }

    /// A response that is there as a whole, also if it consists of the events of a stream.
    fn whole(&mut self, body: Bytes, mut headers: HeaderMap, media_type: HeaderValue) -> Content {
        self.recorder.first_event();
        headers.insert(CONTENT_TYPE, media_type);
        let mut response = Response::new(body);
        *response.headers_mut() = headers;
        Content::Whole(response)
    }

    /// The headers of a response: the limits, the ID of the service, and what was lost.
    fn headers(&mut self, upstream_id: Option<&str>, losses: &Losses) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        self.recorder.losses(losses);
        self.recorder.record.upstream_id = upstream_id.map(str::to_owned);
        if let Some(id) = upstream_id {
            door::write_upstream_id(&mut headers, id);
        }
        if let Some(reservation) = &self.recorder.reservation {
            door::write_limits(&mut headers, &reservation.headers(), self.recorder.record.door);
        }
        if let Some(value) = loss_header(losses) {
            headers.insert("x-sagewire-loss", value);
        }
        headers
    }
}

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.amazon.eventstream");

fn stream_type(door: Door) -> HeaderValue {
    match door {
        Door::Bedrock | Door::SageMaker => EVENT_STREAM,
        _ => HeaderValue::from_static("text/event-stream"),
    }
}

/// The pointers of what was lost, as far as they fit.
fn loss_header(losses: &Losses) -> Option<HeaderValue> {
    let mut text = String::new();
    for loss in losses {
        let path = percent_encoding::utf8_percent_encode(&loss.path, percent_encoding::CONTROLS).to_string();
        if text.len() + path.len() + 2 > LOSS_HEADER_MAX {
            text.push_str(", …");
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&path);
    }
    HeaderValue::from_bytes(text.as_bytes()).ok().filter(|value| !value.is_empty())
}

fn json(value: &serde_json::Value) -> Content {
    let mut response = Response::new(Bytes::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Content::Whole(response)
}

fn busy() -> Box<Fault> {
    let message = "The gateway has too many requests at the moment.";
    Fault::new(ErrorClass::GatewayBusy, HttpErrorKind::Unavailable, message)
        .retry_after(Some(Duration::from_secs(1)))
}

fn stops() -> Box<Fault> {
    Fault::new(ErrorClass::GatewayBusy, HttpErrorKind::Unavailable, "The gateway stops.")
        .retry_after(Some(Duration::from_secs(1)))
}

fn no_route(missing: NoRoute) -> Box<Fault> {
    let (kind, message) = match missing.allowed {
        None => (HttpErrorKind::NotFound, "There is no such path.".to_owned()),
        Some(method) => (HttpErrorKind::InvalidRequest, format!("The method of this path is {method}.")),
    };
    let mut fault = Fault::new(ErrorClass::ClientNotFound, kind, message);
    if missing.allowed.is_some() {
        fault.error.status = 405;
    }
    fault
}

fn refused(refusal: Refusal) -> Box<Fault> {
    let (class, kind, message) = match refusal.limit {
        Limit::Budget => {
            (ErrorClass::PolicyBudget, HttpErrorKind::Billing, "The budget of this key is spent.")
        }
        Limit::Requests => {
            (ErrorClass::PolicyLimit, HttpErrorKind::RateLimit, "Too many requests with this key.")
        }
        Limit::Tokens => {
            (ErrorClass::PolicyLimit, HttpErrorKind::RateLimit, "Too many tokens with this key.")
        }
        Limit::Parallel => (
            ErrorClass::PolicyLimit,
            HttpErrorKind::RateLimit,
            "Too many requests with this key at the same time.",
        ),
        Limit::Unavailable => {
            (ErrorClass::GatewayBusy, HttpErrorKind::Unavailable, "The limits of this key cannot be checked.")
        }
    };
    let mut fault = Fault::new(class, kind, message).retry_after(refusal.retry_after);
    if refusal.limit == Limit::Budget || refusal.retry_after.is_none() {
        fault = fault.without_retry();
    }
    fault.limits = Some(refusal.headers);
    fault
}
