//! The error type of all transports, and of what is built on them.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use sagewire_codec::{ConvertError, DecodeError, Failure};
use serde::Deserialize;
use serde_json::Value;

use crate::BoxError;
use crate::quoted_request::redacted;
use crate::runtime::Rules;

/// Characters of a message that [`Display`](fmt::Display) shows.
const SHOWN_MAX: usize = 512;

/// Why a call failed.
///
/// The predicates (`is_*`) identify the kind of error; accessors return the details, if there are any.
/// [`source`](StdError::source) is the underlying error: the [`ConvertError`] of a request, the [`DecodeError`] of a
/// response, the [`ServiceError`] of the service, or the error of the HTTP client.
///
/// An error never contains a secret: no key, no signature, no session token. If a service or a proxy quotes them of the
/// request, they are removed from what it says.
///
/// ```
/// use std::error::Error as _;
/// use sagewire_codec::{Api, ConvertError, read_request};
/// use sagewire_transport::Error;
///
/// let error = Error::from(read_request(Api::OpenAi, b"{").unwrap_err());
/// assert!(error.convert().is_some() && !error.is_retryable());
/// assert!(error.source().unwrap().is::<ConvertError>());
/// ```
#[derive(Clone, Debug)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    source: Option<BoxError>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Config(String),
    InvalidRequest(String),
    Unsupported(String),
    Credentials(&'static str),
    Connect,
    Timeout(Timeout, Duration, Progress),
    BrokenOff(Progress),
    Service(ServiceError),
    Redirect {
        status: u16,
        location: Option<String>,
    },
    ContentType {
        found: Option<String>,
        body: Bytes,
    },
    TooLarge {
        limit: usize,
    },
    Failure(Failure),
    Decode(DecodeError),
    /// A request could not be converted.
    ConvertRequest(ConvertError),
    /// A response could not be converted.
    ConvertResponse(ConvertError),
    /// The message of the source.
    Other(String),
}

/// How much of a response had arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of the body that arrived.
    pub(crate) received: u64,
    /// Some of them were passed to the caller.
    pub(crate) delivered: bool,
}

/// Which timeout expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// No connection was established in time.
    Connect,
    /// No response started in time.
    FirstByte,
    /// No more bytes of the body arrived in time.
    Idle,
    /// The whole call, retries included, was not complete in time.
    Total,
}

/// An error response of the service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceError {
    /// The HTTP status: 424 if the container responded with an error.
    pub status: u16,
    /// The name of the error without a namespace, such as `ModelError`: from the header `x-amzn-errortype`, or from the
    /// field `code` or `__type` of the body.
    pub error_type: Option<String>,
    /// The field `message`, `Message` or `errorMessage` of the body.
    pub message: Option<String>,
    /// The header `x-amzn-requestid`.
    pub request_id: Option<String>,
    /// The header `Retry-After`, as a duration from the arrival of the response.
    pub retry_after: Option<Duration>,
    /// The whole body, up to 1 MiB.
    pub body: Bytes,
    /// The status of the container, in a `ModelError`; 0 if it did not respond.
    pub original_status_code: Option<u16>,
    /// The body of the container, in a `ModelError`.
    pub original_message: Option<String>,
    /// The field `ErrorCode` of the body, such as `ModelInvocationTimeExceeded` of a `ModelStreamError`.
    pub error_code: Option<String>,
    /// The log stream of the container, in a `ModelError`.
    pub log_stream_arn: Option<String>,
    /// The part of a Global Inference Gateway that failed, as its message begins: `Global Inference Gateway` is the service
    /// itself, `inference gateway` that of a cluster, and `scheduler` or `model server` what is behind it. The status that the
    /// part responded with is the [`original_status_code`](Self::original_status_code).
    pub layer: Option<String>,
    /// The request may have run, so it must not be sent again.
    may_have_run: bool,
}

/// Constructors, for authors of transports.
impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Arc::new(Inner { kind, source: None }))
    }

    /// The configuration is invalid; `what` describes which part of it, and why.
    pub fn config(what: impl Into<String>) -> Self {
        Self::new(Kind::Config(what.into()))
    }

    /// The request is invalid and was not sent; `what` is the reason.
    pub fn invalid_request(what: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest(what.into()))
    }

    /// The transport does not support the operation or a part of the request, named by `what`. Nothing was sent.
    ///
    /// ```
    /// let error = sagewire_transport::Error::unsupported("asynchronous invocations");
    /// assert!(error.is_unsupported() && !error.is_retryable());
    /// assert_eq!(error.to_string(), "not supported: asynchronous invocations");
    /// ```
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported(what.into()))
    }

    /// There are no credentials, or they are unusable. `what` must not contain any of them.
    pub fn credentials(what: &'static str) -> Self {
        Self::new(Kind::Credentials(what))
    }

    /// No connection could be established.
    pub fn connect() -> Self {
        Self::new(Kind::Connect)
    }

    /// A timeout expired before a response started.
    pub fn timed_out(which: Timeout, after: Duration) -> Self {
        Self::new(Kind::Timeout(which, after, Progress::default()))
    }

    /// The connection broke before the response was complete.
    pub fn broken_off() -> Self {
        Self::new(Kind::BrokenOff(Progress::default()))
    }

    /// The service responded with a redirect.
    pub fn redirect(status: u16, location: Option<String>) -> Self {
        Self::new(Kind::Redirect { status, location })
    }

    /// The service responded with something other than an event stream: its content type, and the start of its body.
    pub fn content_type(found: Option<String>, body: Bytes) -> Self {
        Self::new(Kind::ContentType { found, body })
    }

    /// The response is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(Kind::TooLarge { limit })
    }

    /// Any other error, such as that of a `tower` layer. It is not retryable. A `source` that is an [`Error`] is returned
    /// unchanged.
    ///
    /// ```
    /// use sagewire_transport::Error;
    ///
    /// let error = Error::other("the queue is full");
    /// assert!(error.is_other());
    /// assert_eq!(error.to_string(), "the queue is full");
    /// assert!(Error::other(Error::connect()).is_connect());
    /// ```
    pub fn other(source: impl Into<BoxError>) -> Self {
        match source.into().downcast::<Self>() {
            Ok(error) => *error,
            Err(source) => Self::new(Kind::Other(source.to_string())).because(source),
        }
    }

    /// The same error with a source.
    #[must_use]
    pub fn because(self, source: impl Into<BoxError>) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner { source: Some(source.into()), ..inner })),
            Err(shared) => Self(shared),
        }
    }

    /// The same error, with how much of the body had arrived.
    pub(crate) fn after(self, progress: Progress) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(Inner { kind, source }) => {
                let kind = match kind {
                    Kind::Timeout(which, after, _) => Kind::Timeout(which, after, progress),
                    Kind::BrokenOff(_) => Kind::BrokenOff(progress),
                    kind => kind,
                };
                Self(Arc::new(Inner { kind, source }))
            }
            Err(shared) => Self(shared),
        }
    }

    /// A response, other than a stream, could not be converted.
    pub fn response_conversion(error: ConvertError) -> Self {
        Self::new(Kind::ConvertResponse(error))
    }
}

impl Error {
    /// The kind of the error as one word, for metrics: the name that the service or the model has for it, if there is one, such as
    /// `ThrottlingException`; else one for the kind, such as `timeout`.
    ///
    /// ```
    /// assert_eq!(sagewire_transport::Error::connect().type_name(), "connect");
    /// ```
    pub fn type_name(&self) -> Cow<'_, str> {
        if let Some(failure) = self.failure() {
            return (&*failure.name).into();
        }
        let name = match &self.0.kind {
            Kind::Service(error) => match &error.error_type {
                Some(name) => name,
                None => return error.status.to_string().into(),
            },
            Kind::Config(_) => "config",
            Kind::InvalidRequest(_) => "invalid_request",
            Kind::Unsupported(_) => "unsupported",
            Kind::Credentials(_) => "credentials",
            Kind::Connect => "connect",
            Kind::Timeout(..) => "timeout",
            Kind::BrokenOff(_) => "broken_off",
            Kind::Redirect { .. } => "redirect",
            Kind::ContentType { .. } => "content_type",
            Kind::TooLarge { .. } => "too_large",
            Kind::Decode(error) if error.is_truncated() => "truncated",
            Kind::Failure(_) | Kind::Decode(_) => "decode",
            Kind::ConvertRequest(_) | Kind::ConvertResponse(_) => "convert",
            Kind::Other(_) => "_OTHER",
        };
        name.into()
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The configuration of the client is invalid.
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config(_))
    }

    /// The request is invalid. Nothing was sent.
    pub fn is_invalid_request(&self) -> bool {
        matches!(self.0.kind, Kind::InvalidRequest(_))
    }

    /// The transport does not support the operation or a part of the request. Nothing was sent.
    pub fn is_unsupported(&self) -> bool {
        matches!(self.0.kind, Kind::Unsupported(_))
    }

    /// There are no credentials, or they cannot be used for signing. Nothing was sent. Credentials that the service
    /// refuses are a [`service`](Self::service) error.
    pub fn is_credentials(&self) -> bool {
        matches!(self.0.kind, Kind::Credentials(_))
    }

    /// No connection could be established, in time or at all.
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, Kind::Connect | Kind::Timeout(Timeout::Connect, ..))
    }

    /// A timeout expired: [`timeout`](Self::timeout) returns which one.
    pub fn is_timeout(&self) -> bool {
        self.timeout().is_some()
    }

    /// The timeout that expired.
    pub fn timeout(&self) -> Option<Timeout> {
        match self.0.kind {
            Kind::Timeout(which, ..) => Some(which),
            _ => None,
        }
    }

    /// The connection broke before the response was complete: it was reset, or closed too early.
    pub fn is_broken_off(&self) -> bool {
        matches!(self.0.kind, Kind::BrokenOff(_))
    }

    /// Bytes of the response's body that were received before a timeout, or before the connection broke.
    pub fn received(&self) -> u64 {
        match &self.0.kind {
            Kind::Timeout(_, _, progress) | Kind::BrokenOff(progress) => progress.received,
            _ => 0,
        }
    }

    /// The error response of the service.
    pub fn service(&self) -> Option<&ServiceError> {
        match &self.0.kind {
            Kind::Service(error) => Some(error),
            _ => None,
        }
    }

    /// The service responded with a redirect. Redirects are not followed; [`location`](Self::location) is the target.
    pub fn is_redirect(&self) -> bool {
        matches!(self.0.kind, Kind::Redirect { .. })
    }

    /// The `Location` of a redirect.
    pub fn location(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Redirect { location, .. } => location.as_deref(),
            _ => None,
        }
    }

    /// The response of a streaming call is not an event stream. [`body`](Self::body) is what it is instead.
    pub fn is_content_type(&self) -> bool {
        matches!(self.0.kind, Kind::ContentType { .. })
    }

    /// The response is larger than [`Bounds::max_response_len`](crate::Bounds::max_response_len).
    pub fn is_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::TooLarge { .. })
    }

    /// An error of another kind, such as that of a `tower` layer: see [`other`](Self::other).
    pub fn is_other(&self) -> bool {
        matches!(self.0.kind, Kind::Other(_))
    }

    /// The failure that the service or the model reported inside the response: in a frame of the stream, in a record of it,
    /// or as the body.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.0.kind {
            Kind::Failure(failure) => Some(failure),
            Kind::Decode(error) => error.failure(),
            Kind::ConvertResponse(error) => error.failure(),
            _ => None,
        }
    }

    /// The error of reading a response as a chat: it is truncated, corrupt, or reports a [`failure`](Self::failure).
    pub fn decode(&self) -> Option<&DecodeError> {
        match &self.0.kind {
            Kind::Decode(error) => Some(error),
            _ => None,
        }
    }

    /// The error of converting a request, or of converting a non-streaming response.
    /// [`is_request_conversion`](Self::is_request_conversion) distinguishes the two.
    pub fn convert(&self) -> Option<&ConvertError> {
        match &self.0.kind {
            Kind::ConvertRequest(error) | Kind::ConvertResponse(error) => Some(error),
            _ => None,
        }
    }

    /// The request could not be read, or not be written for the container. Nothing was sent.
    pub fn is_request_conversion(&self) -> bool {
        matches!(self.0.kind, Kind::ConvertRequest(_))
    }

    /// The HTTP status of a service error or a redirect.
    pub fn status(&self) -> Option<u16> {
        match &self.0.kind {
            Kind::Service(error) => Some(error.status),
            Kind::Redirect { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The body of an unexpected response, up to 1 MiB.
    pub fn body(&self) -> Option<&Bytes> {
        match &self.0.kind {
            Kind::Service(ServiceError { body, .. }) | Kind::ContentType { body, .. } => Some(body),
            _ => None,
        }
    }

    /// How long the client should wait before the next attempt, as requested by the service.
    pub fn retry_after(&self) -> Option<Duration> {
        self.service()?.retry_after
    }

    /// Whether the same request may succeed if it is sent again, and nothing of a response was passed to the caller.
    ///
    /// True for connections that failed or broke, for timeouts other than [`Timeout::Total`], for throttling, for statuses
    /// of 500 and above, for a container's stream that broke before it started, and for a `ModelError` if the container did
    /// not respond, or responded with 503 or 504. False for 502 and 504 of a [gateway](crate::Rules::Gateway).
    pub fn is_retryable(&self) -> bool {
        let is_delivered = match &self.0.kind {
            Kind::Timeout(_, _, progress) | Kind::BrokenOff(progress) => progress.delivered,
            _ => false,
        };
        self.is_transient() && !is_delivered
    }

    /// The same, whether or not anything was passed to the caller.
    pub(crate) fn is_transient(&self) -> bool {
        match &self.0.kind {
            Kind::Connect | Kind::BrokenOff(_) => true,
            Kind::Timeout(which, ..) => *which != Timeout::Total,
            Kind::Service(error) => error.is_transient(),
            // A failure is reported after the response has started, and perhaps after a part of it.
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Config(what) => write!(f, "invalid configuration: {what}"),
            Kind::InvalidRequest(what) => write!(f, "invalid request: {what}"),
            Kind::Unsupported(what) => write!(f, "not supported: {what}"),
            Kind::Credentials(what) => write!(f, "{what}"),
            Kind::Connect => write!(f, "connecting failed"),
            Kind::Timeout(Timeout::Connect, after, _) => write!(f, "no connection within {after:?}"),
            Kind::Timeout(Timeout::FirstByte, after, _) => write!(f, "no response within {after:?}"),
            Kind::Timeout(Timeout::Total, after, Progress { received, .. }) => {
                write!(f, "not done within {after:?}, after {received} bytes of the response")
            }
            Kind::Timeout(Timeout::Idle, after, Progress { received, .. }) => {
                write!(f, "no data for {after:?} after {received} bytes of the response")
            }
            Kind::BrokenOff(Progress { received: 0, .. }) => {
                write!(f, "the connection broke off before the response")
            }
            Kind::BrokenOff(Progress { received, .. }) => {
                write!(f, "the response broke off after {received} bytes")
            }
            Kind::Service(error) => error.fmt(f),
            Kind::Redirect { status, location } => {
                write!(
                    f,
                    "redirected with status {status} to {}",
                    Shown(location.as_deref().unwrap_or("nowhere"))
                )
            }
            Kind::ContentType { found, body } => {
                let found = found.as_deref().unwrap_or("nothing");
                let body = String::from_utf8_lossy(body);
                write!(f, "the response is {} instead of an event stream: {}", Shown(found), Shown(&body))
            }
            Kind::Failure(failure) => failure.fmt(f),
            Kind::Decode(error) => error.fmt(f),
            Kind::ConvertRequest(error) | Kind::ConvertResponse(error) => error.fmt(f),
            Kind::Other(what) => f.write_str(what),
            Kind::TooLarge { limit } => write!(f, "the response is larger than the limit of {limit} bytes"),
        }
    }
}

impl From<ServiceError> for Error {
    fn from(error: ServiceError) -> Self {
        Self::new(Kind::Service(error))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::new(Kind::Failure(failure))
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::new(Kind::Decode(error))
    }
}

/// The error of converting a request.
impl From<ConvertError> for Error {
    fn from(error: ConvertError) -> Self {
        Self::new(Kind::ConvertRequest(error))
    }
}

impl From<sagewire_codec::stream::Error<Error>> for Error {
    fn from(error: sagewire_codec::stream::Error<Error>) -> Self {
        match error {
            sagewire_codec::stream::Error::Transport(error) => error,
            sagewire_codec::stream::Error::Decode(error) => error.into(),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if let Some(source) = &self.0.source {
            return Some(&**source);
        }
        match &self.0.kind {
            Kind::Service(error) => Some(error),
            Kind::Failure(failure) => Some(failure),
            Kind::Decode(error) => Some(error),
            Kind::ConvertRequest(error) | Kind::ConvertResponse(error) => Some(error),
            _ => None,
        }
    }
}

impl StdError for ServiceError {}

impl ServiceError {
    /// Reads a response with a status other than 200 and 202.
    pub fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // A body that is not a JSON object, such as that of a load balancer, is only kept as bytes.
        let parsed: Body = serde_json::from_slice(&body).unwrap_or_default();
        let string = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let error_type = text("x-amzn-errortype").map(Cow::Borrowed);
        let error_type =
            error_type.or_else(|| string(parsed.code).or_else(|| string(parsed.kind)).map(Cow::Owned));
        let message =
            [parsed.message, parsed.capital_message, parsed.error_message].into_iter().find_map(string);
        Self {
            status: status.as_u16(),
            error_type: error_type.map(|name| bare(&name).to_string()).filter(|name| !name.is_empty()),
            message,
            request_id: text("x-amzn-requestid").map(Into::into),
            retry_after: text(header::RETRY_AFTER.as_str())
                .and_then(|text| retry_after(text, SystemTime::now())),
            original_status_code: parsed.original_status_code.and_then(|code| code.as_u64()?.try_into().ok()),
            original_message: string(parsed.original_message),
            error_code: string(parsed.error_code),
            log_stream_arn: string(parsed.log_stream_arn),
            layer: None,
            may_have_run: false,
            body,
        }
    }

    /// Removes what the service or a proxy in front of it quotes of the request: signatures and tokens by their names, everything
    /// from the canonical request or the string to sign on that services explain a refused signature with, and the given secrets.
    /// For authors of transports.
    #[must_use]
    pub fn without_secrets<'s>(mut self, secrets: impl IntoIterator<Item = &'s str>) -> Self {
        if !(400..500).contains(&self.status) {
            return self;
        }
        let secrets: Vec<&str> = secrets.into_iter().filter(|secret| !secret.is_empty()).collect();
        for text in [&mut self.message, &mut self.original_message].into_iter().flatten() {
            *text = redacted(text, &secrets).unwrap_or_else(|| std::mem::take(text));
        }
        if let Some(text) = redacted(&String::from_utf8_lossy(&self.body), &secrets) {
            self.body = text.into();
        }
        self
    }

    /// Applies the rules of the service: with those of a gateway, the [`layer`](Self::layer) and its status are read from the
    /// message, and a status of 502 or 504 is not retryable. For authors of transports.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        if rules == Rules::Gateway {
            self.may_have_run = matches!(self.status, 502 | 504);
            if let Some((layer, status)) = self.message.as_deref().and_then(gateway_layer) {
                self.layer = Some(layer.into());
                self.original_status_code = status;
            }
        }
        self
    }

    /// Whether the service or the container refused the request because there are too many.
    pub fn is_throttling(&self) -> bool {
        // `ThrottlingException` has status 400.
        let is_name = |name: &str| {
            name.starts_with("Throttl")
                || ["TooManyRequestsException", "RequestLimitExceeded"].contains(&name)
        };
        let status = if self.status == 424 { self.original_status_code } else { Some(self.status) };
        status == Some(429) || self.error_type.as_deref().is_some_and(is_name)
    }

    fn is_transient(&self) -> bool {
        if self.status == 424 {
            return matches!(self.original_status_code, Some(0 | 503 | 504));
        }
        let not_ready = self.error_type.as_deref() == Some("ModelNotReadyException");
        // `ModelStreamError` has status 400, as has `ThrottlingException`. Its code distinguishes a broken stream from one that
        // took too long.
        let broken = self.error_code.as_deref() == Some("StreamBroken");
        !self.may_have_run && (self.is_throttling() || not_ready || broken || self.status >= 500)
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service responded with {}", self.status)?;
        if let Some(error_type) = &self.error_type {
            write!(f, " {}", Shown(error_type))?;
        }
        match &self.message {
            Some(message) => write!(f, ": {}", Shown(message))?,
            None if !self.body.is_empty() => write!(f, ": {}", Shown(&String::from_utf8_lossy(&self.body)))?,
            None => {}
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {})", Shown(id)),
            None => Ok(()),
        }
    }
}

/// The fields of an error body, of any type.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    code: Option<Value>,
    #[serde(rename = "__type")]
    kind: Option<Value>,
    message: Option<Value>,
    #[serde(rename = "Message")]
    capital_message: Option<Value>,
    #[serde(rename = "errorMessage")]
    error_message: Option<Value>,
    #[serde(rename = "OriginalStatusCode")]
    original_status_code: Option<Value>,
    #[serde(rename = "OriginalMessage")]
    original_message: Option<Value>,
    #[serde(rename = "ErrorCode")]
    error_code: Option<Value>,
    #[serde(rename = "LogStreamArn")]
    log_stream_arn: Option<Value>,
}

/// `com.amazonaws.sagemaker#ModelError:http://internal.amazon.com/` → `ModelError`
fn bare(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default().trim()
}

/// The layer that the message of a gateway begins with, and the status that the layer responded with.
///
/// The heads are `Global Inference Gateway: …`, `inference gateway: 503 …` and `inference gateway (model server): 400 …`.
fn gateway_layer(message: &str) -> Option<(&str, Option<u16>)> {
    let (head, rest) = message.split_once(':')?;
    let layer = match head.split_once(" (") {
        Some(("inference gateway", layer)) => layer.strip_suffix(')')?,
        None if ["Global Inference Gateway", "inference gateway"].contains(&head) => head,
        _ => return None,
    };
    let status = rest.split_whitespace().next().and_then(|word| word.parse().ok());
    Some((layer, status.filter(|status| (100..600).contains(status))))
}

/// Seconds or an HTTP date, [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Untrusted text, shortened and on one line.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(SHOWN_MAX) {
            f.write_char(if c.is_control() { ' ' } else { c })?;
        }
        if chars.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> ServiceError {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect();
        ServiceError::new(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            Bytes::from_static(body.as_bytes()),
        )
    }

    #[test]
    fn error_types_are_found_where_sdks_look() {
        for (headers, body, found) in [
            (&[("x-amzn-errortype", "ModelError")][..], r#"{"code": "Other"}"#, Some("ModelError")),
            (&[("x-amzn-errortype", "a.b#ModelError:http://c#d/")], "", Some("ModelError")),
            (&[], r#"{"code": "Code", "__type": "Type"}"#, Some("Code")),
            (&[], r#"{"code": 424, "__type": "a.b#Type"}"#, Some("Type")),
            (&[("x-amzn-errortype", "")], "", None),
            (&[], "<html>", None),
            (&[], "[]", None),
        ] {
            assert_eq!(service(400, headers, body).error_type.as_deref(), found, "{headers:?} {body}");
        }
    }

    #[test]
    fn messages_have_three_spellings() {
        for body in
            [r#"{"message": "m"}"#, r#"{"Message": "m"}"#, r#"{"message": null, "errorMessage": "m"}"#]
        {
            assert_eq!(service(400, &[], body).message.as_deref(), Some("m"), "{body}");
        }
        assert_eq!(service(400, &[], r#"{"message": null}"#).message, None);
    }

    #[test]
    fn a_model_error_is_unwrapped() {
        let body = r#"{"ErrorCode":"CLIENT_ERROR_FROM_MODEL","LogStreamArn":"arn:aws:logs","Message":"Received",
            "OriginalMessage":"{\"code\":500}","OriginalStatusCode":404}"#;
        let error = service(424, &[("x-amzn-errortype", "ModelError"), ("x-amzn-requestid", "id")], body);
        assert_eq!(error.original_status_code, Some(404));
        assert_eq!(error.original_message.as_deref(), Some(r#"{"code":500}"#));
        assert_eq!(error.error_code.as_deref(), Some("CLIENT_ERROR_FROM_MODEL"));
        assert_eq!(error.log_stream_arn.as_deref(), Some("arn:aws:logs"));
        assert_eq!(error.to_string(), "the service responded with 424 ModelError: Received (request id)");
    }

    #[test]
    fn retryable_errors() {
        for (status, body, transient) in [
            (400, r#"{"__type": "ThrottlingException", "message": null}"#, true),
            (400, r#"{"__type": "ValidationError"}"#, false),
            (400, r#"{"__type": "ModelStreamError", "ErrorCode": "StreamBroken"}"#, true),
            (400, r#"{"__type": "ModelStreamError", "ErrorCode": "ModelInvocationTimeExceeded"}"#, false),
            (403, "", false),
            (424, r#"{"OriginalStatusCode": 400}"#, false),
            (424, r#"{"OriginalStatusCode": 503}"#, true),
            (424, r#"{"OriginalStatusCode": 0}"#, true),
            (424, "", false),
            (429, "", true),
            (500, "", true),
            (530, "", true),
        ] {
            let error = Error::new(Kind::Service(service(status, &[], body)));
            assert_eq!(error.is_retryable(), transient, "{status} {body}");
        }
        let broken = |delivered| Error::new(Kind::BrokenOff(Progress { received: 1, delivered }));
        assert!(broken(false).is_retryable() && !broken(true).is_retryable());
    }

    #[test]
    fn a_gateway_names_the_layer_that_failed() {
        for (status, message, layer, original, transient) in [
            (
                502,
                "Global Inference Gateway: could not reach c1",
                Some("Global Inference Gateway"),
                None,
                false,
            ),
            (504, "Global Inference Gateway: timed out", Some("Global Inference Gateway"), None, false),
            (502, "inference gateway: 503 no backend", Some("inference gateway"), Some(503), false),
            (502, "inference gateway (model server): 400 too long", Some("model server"), Some(400), false),
            (502, "inference gateway (model selector): 404 m", Some("model selector"), Some(404), false),
            (502, "inference gateway: response ended unexpectedly", Some("inference gateway"), None, false),
            (503, "inference gateway (scheduler): 99999 busy", Some("scheduler"), None, true),
            (500, "An error: 500", None, None, true),
            (429, "Rate exceeded", None, None, true),
            (404, "inference gateway (", None, None, false),
        ] {
            let body = Box::leak(format!(r#"{{"Message":"{message}"}}"#).into_boxed_str());
            let error = service(status, &[], body).with_rules(Rules::Gateway);
            assert_eq!((error.layer.as_deref(), error.original_status_code), (layer, original), "{message}");
            assert_eq!(Error::from(error).is_retryable(), transient, "{status} {message}");
            let error = service(status, &[], body).with_rules(Rules::SageMaker);
            assert_eq!(
                (error.layer.as_deref(), error.is_transient()),
                (None, status == 429 || status >= 500)
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let seconds = |text| retry_after(text, now).map(|after| after.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn what_is_quoted_of_the_request_is_removed() {
        let quoted = r#"{"message":"Does not match. The Canonical String for this request should have been 'x-amz-security-token:TOKEN'"}"#;
        let error = service(403, &[], quoted).without_secrets([]);
        assert_eq!(error.message.as_deref(), Some("Does not match. "));
        assert_eq!(error.body, r#"{"message":"Does not match. "#);
        let echoed = r#"{"Message":"no: TOKEN TOKEN","OriginalMessage":"a KEY"}"#;
        let error = service(400, &[], echoed).without_secrets(["TOKEN", "", "KEY"]);
        assert_eq!(error.message.as_deref(), Some("no: REDACTED REDACTED"));
        assert_eq!(error.original_message.as_deref(), Some("a REDACTED"));
        assert!(!format!("{error} {error:?}").contains("TOKEN"));
        // Nothing else is changed.
        let error = service(400, &[], echoed).without_secrets(["other"]);
        assert_eq!(error.body, echoed);
        assert_eq!(service(500, &[], echoed).without_secrets(["KEY"]).body, echoed);
    }

    #[test]
    fn messages_are_one_short_line() {
        let body = Box::leak("a\nb".repeat(1000).into_boxed_str());
        let text = service(500, &[], body).to_string();
        assert!(!text.contains('\n') && text.chars().count() < 600);
    }
}
