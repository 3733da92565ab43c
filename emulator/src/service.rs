//! One request, one answer: route, authenticate, find the rule.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;

use crate::container::{self, ContainerFormat, Refusal};
use crate::error::{ErrorAnswer, default_error};
use crate::log::{self, Log, Observer};
use crate::playback::{self, Alive};
use crate::script::{Failure, Rule, Script, Source};
use crate::sigv4;
use crate::socket::Hold;
use crate::wire::Wire;

/// The payload that the service takes: 25 MB, says its FAQ.
const BODY_LEN_MAX: usize = 25_000_000;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");
const CONTAINER_CONTENT_TYPE: HeaderName = HeaderName::from_static("x-amzn-sagemaker-content-type");
const CUSTOM_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Service {
    credentials: Credentials,
    rules: Vec<(Rule, AtomicU64)>,
    format: ContainerFormat,
    log: Arc<Log>,
    observer: Option<Observer>,
    count: AtomicU64,
    alive: Alive,
}

impl Service {
    pub(crate) fn new(
        credentials: Credentials,
        script: Script,
        format: ContainerFormat,
        log: Arc<Log>,
        observer: Option<Observer>,
        alive: Alive,
    ) -> Self {
        let rules = script.rules.into_iter().map(|rule| (rule, AtomicU64::new(0))).collect();
        Self { credentials, rules, format, log, observer, count: AtomicU64::new(0), alive }
    }

    /// The rule that answers, which is used up by one more request.
    fn rule(&self, endpoint: &str) -> Option<&Rule> {
        let left = |rule: &Rule, used: &AtomicU64| {
            let Some(times) = rule.times else { return true };
            used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < times).then_some(used + 1))
                .is_ok()
        };
        self.rules.iter().find(|(rule, used)| rule.fits(endpoint) && left(rule, used)).map(|(rule, _)| rule)
    }

    fn authorize(&self, parts: &Parts, body: &[u8]) -> Result<(Call, String), Box<ErrorAnswer>> {
        let call = Call::parse(&parts.method, parts.uri.path()).ok_or_else(ErrorAnswer::unknown_operation)?;
        let region = sigv4::verify(parts, body, &self.credentials, SystemTime::now())?;
        if !is_endpoint_name(&call.endpoint) {
            return Err(Box::new(ErrorAnswer::validation(&format!(
                "1 validation error detected: Value '{}' at 'endpointName' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*",
                call.endpoint
            ))));
        }
        Ok((call, region))
    }

    async fn answer(
        &self,
        parts: &Parts,
        body: &[u8],
        hold: Hold,
    ) -> Result<Response<Body>, Box<ErrorAnswer>> {
        let (call, region) = self.authorize(parts, body)?;
        let rule = self.rule(&call.endpoint).ok_or_else(|| ErrorAnswer::not_found(&call.endpoint))?;
        let mut alive = self.alive.clone();
        // An emulator that is gone answers at once, to nobody.
        let _ = playback::pause(rule.first_byte, &mut alive).await;
        let mut response = match &rule.failure {
            Some(failure) => failed(failure, &rule.body, &call.endpoint, &region).into_response(),
            None => match call.produce(rule, self.format, parts, body) {
                Ok((content_type, body)) => call.response(rule, content_type, &body, hold, alive),
                Err(Refusal { status, body }) => {
                    ErrorAnswer::model(&call.endpoint, &region, status, &body, None).into_response()
                }
            },
        };
        for (name, value) in &rule.headers {
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
    let mut response = match to_bytes(body, BODY_LEN_MAX).await {
        Ok(body) => {
            let request = log::Request::new(&parts, body.clone());
            let observed = service.observer.as_ref().map(|observer| (observer, request.clone()));
            service.log.push(request);
            let response =
                service.answer(&parts, &body, hold).await.unwrap_or_else(|error| error.into_response());
            if let Some((Observer(tell), request)) = observed {
                tell(&request, response.status().as_u16());
            }
            response
        }
        Err(_) => {
            let message =
                format!("The request's body could not be read, or is longer than {BODY_LEN_MAX} bytes");
            ErrorAnswer::validation(&message).into_response()
        }
    };
    let id = HeaderValue::from_str(&format!("00000000-0000-4000-8000-{count:012x}"));
    response.headers_mut().insert(REQUEST_ID, id.expect("digits are a header value"));
    response
}

/// An operation on an endpoint.
#[derive(Debug)]
struct Call {
    endpoint: String,
    stream: bool,
}

impl Call {
    fn parse(method: &Method, path: &str) -> Option<Self> {
        let (endpoint, operation) = path.strip_prefix("/endpoints/")?.split_once('/')?;
        let stream = match operation {
            "invocations" => false,
            "invocations-response-stream" => true,
            _ => return None,
        };
        (method == Method::POST).then(|| Self { endpoint: endpoint.into(), stream })
    }

    /// What the container answers, with its content type; or its own error.
    fn produce(
        &self,
        rule: &Rule,
        format: ContainerFormat,
        parts: &Parts,
        body: &[u8],
    ) -> Result<(HeaderValue, Bytes), Refusal> {
        let (content_type, body) = match &rule.body {
            Source::Bytes(body) => ("application/json", body.clone()),
            Source::Echo => {
                let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
                let answer = rule.format.unwrap_or(format).answer(&container::Request {
                    endpoint: &self.endpoint,
                    content_type: header(header::CONTENT_TYPE).unwrap_or_default(),
                    custom_attributes: header(CUSTOM_ATTRIBUTES).unwrap_or_default(),
                    body,
                })?;
                (answer.content_type, answer.body.into())
            }
            Source::File(path) => unreachable!("{} was read with the script", path.display()),
        };
        Ok((rule.content_type.clone().unwrap_or(HeaderValue::from_static(content_type)), body))
    }

    fn response(
        &self,
        rule: &Rule,
        content_type: HeaderValue,
        body: &Bytes,
        hold: Hold,
        alive: Alive,
    ) -> Response<Body> {
        let mut headers = HeaderMap::new();
        headers.insert(VARIANT, HeaderValue::from_static("AllTraffic"));
        // The service sends it empty when the container sets none.
        headers.insert(CUSTOM_ATTRIBUTES, HeaderValue::from_static(""));
        let fault = rule.fault.as_ref();
        let wire = if self.stream {
            let wire =
                Wire::frames(body, content_type.to_str().unwrap_or_default(), rule.cut, rule.chunks, fault);
            headers
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.amazon.eventstream"));
            headers.insert(CONTAINER_CONTENT_TYPE, content_type);
            wire
        } else {
            headers.insert(header::CONTENT_TYPE, content_type);
            Wire::plain(body, rule.chunks, fault)
        };
        let mut response = Response::new(playback::body(wire, rule.pause, hold, alive));
        *response.headers_mut() = headers;
        response
    }
}

fn failed(failure: &Failure, body: &Source, endpoint: &str, region: &str) -> ErrorAnswer {
    let status = StatusCode::from_u16(failure.status).expect("the script was checked");
    let (error_type, default_message) = default_error(failure.status);
    let message = failure.message.as_deref();
    let mut answer = match body {
        Source::Bytes(original) if failure.status == 424 => {
            let original = String::from_utf8_lossy(original);
            ErrorAnswer::model(endpoint, region, failure.original_status, &original, message)
        }
        _ if failure.status == 424 => {
            let original = r#"{"error":{"message":"out of memory","type":"InternalServerError","param":null,"code":500}}"#;
            ErrorAnswer::model(endpoint, region, failure.original_status, original, message)
        }
        Source::Bytes(body) => {
            ErrorAnswer { status, error_type: HeaderValue::from_static(error_type), body: body.clone() }
        }
        _ => {
            let shape = if failure.status == 403 { ErrorAnswer::auth } else { ErrorAnswer::service };
            shape(status, HeaderValue::from_static(error_type), message.unwrap_or(default_message))
        }
    };
    if let Some(error_type) = &failure.error_type {
        answer.error_type = error_type.clone();
    }
    answer
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

/// `^[a-zA-Z0-9](-*[a-zA-Z0-9])*`, at most 63 characters.
fn is_endpoint_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}
