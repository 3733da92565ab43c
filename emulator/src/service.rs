//! One request, one answer: route, authenticate, find the rule.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::bearer;
use crate::call::{Call, Operation};
use crate::container::ContainerFormat;
use crate::error::ErrorAnswer;
use crate::front::{ERROR_TYPE, REQUEST_ID};
use crate::invocation::Invocation;
use crate::limits::Limits;
use crate::log::{self, Log, Observer, Reporter};
use crate::playback::Alive;
use crate::record::Recorder;
use crate::script::{Rule, Script};
use crate::sigv4;
use crate::socket::Hold;
use crate::upstream::Upstream;

/// Asynchronous requests that are worked on at the same time; more are refused, so that they do not pile up.
const JOBS_MAX: usize = 64;

/// What a service is made of.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) credentials: Credentials,
    pub(crate) script: Script,
    pub(crate) format: ContainerFormat,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) limits: Limits,
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// The folder that plays S3.
    pub(crate) storage: Option<PathBuf>,
    pub(crate) log: Arc<Log>,
    pub(crate) observer: Option<Observer>,
    pub(crate) reporter: Reporter,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) settings: Settings,
    /// Requests that each rule has answered.
    used: Vec<AtomicU64>,
    /// Places for asynchronous requests.
    pub(crate) jobs: Arc<Semaphore>,
    count: AtomicU64,
    pub(crate) alive: Alive,
}

impl Service {
    pub(crate) fn new(settings: Settings, alive: Alive) -> Self {
        let used = settings.script.rules.iter().map(|_| AtomicU64::new(0)).collect();
        let jobs = Arc::new(Semaphore::new(JOBS_MAX));
        Self { settings, used, jobs, count: AtomicU64::new(0), alive }
    }

    /// The rule that answers, which is used up by one more request.
    fn rule(&self, endpoint: &str) -> Option<&Rule> {
        let left = |rule: &Rule, used: &AtomicU64| {
            let Some(times) = rule.times else { return true };
            used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < times).then_some(used + 1))
                .is_ok()
        };
        let mut rules = self.settings.script.rules.iter().zip(&self.used);
        rules.find(|(rule, used)| rule.fits(endpoint) && left(rule, used)).map(|(rule, _)| rule)
    }

    fn authorize(&self, parts: &Parts, body: &[u8]) -> Result<(Call, String), Box<ErrorAnswer>> {
        let call = Call::parse(&parts.method, parts.uri.path()).ok_or_else(ErrorAnswer::unknown_operation)?;
        let (credentials, now) = (&self.settings.credentials, SystemTime::now());
        let region = match call.operation {
            Operation::OpenAi => bearer::verify(&parts.headers, credentials, now)?,
            _ => sigv4::verify(parts, body, credentials, now)?,
        };
        if !call.has_endpoint_name() {
            return Err(Box::new(ErrorAnswer::validation(&format!(
                "1 validation error detected: Value '{}' at 'endpointName' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*",
                call.endpoint
            ))));
        }
        Ok((call, region))
    }

    async fn answer(
        self: &Arc<Self>,
        parts: Parts,
        body: Bytes,
        id: &str,
        hold: Hold,
    ) -> Result<Response<Body>, Box<ErrorAnswer>> {
        let (call, region) = self.authorize(&parts, &body)?;
        let rule = self.rule(&call.endpoint).ok_or_else(|| ErrorAnswer::not_found(&call.endpoint))?.clone();
        let invocation = Invocation { service: Arc::clone(self), call, region, parts, body };
        let headers = rule.headers.clone();
        let mut response = match invocation.call.operation {
            Operation::Asynchronous => invocation.accept(rule, id)?,
            _ => invocation.invoke(&rule, hold).await,
        };
        for (name, value) in &headers {
            response.headers_mut().insert(name, value.clone());
        }
        Ok(response)
    }
}

/// Answers every request.
pub(crate) async fn handle(
    State(service): State<Arc<Service>>,
    ConnectInfo(hold): ConnectInfo<Hold>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let count = service.count.fetch_add(1, Ordering::Relaxed) + 1;
    let id = format!("00000000-0000-4000-8000-{count:012x}");
    let len_max = service.settings.limits.request_len;
    let mut response = match to_bytes(body, len_max).await {
        Ok(body) => {
            let request = log::Request::new(&parts, body.clone());
            let observed = service.settings.observer.as_ref().map(|observer| (observer, request.clone()));
            service.settings.log.push(request);
            let response =
                service.answer(parts, body, &id, hold).await.unwrap_or_else(|error| error.into_response());
            if let Some((Observer(tell), request)) = observed {
                tell(&request, response.status().as_u16());
            }
            response
        }
        Err(_) => {
            let message = format!("The request's body could not be read, or is longer than {len_max} bytes");
            ErrorAnswer::validation(&message).into_response()
        }
    };
    let id = HeaderValue::from_str(&id);
    response.headers_mut().insert(REQUEST_ID, id.expect("digits are a header value"));
    response
}

impl IntoResponse for ErrorAnswer {
    fn into_response(self) -> Response<Body> {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ERROR_TYPE, self.error_type),
        ];
        (self.status, headers, self.body).into_response()
    }
}
