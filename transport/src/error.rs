//! Everything that can go wrong, as one type.
//!
//! The constructors are for those who write a transport.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use sagewire_codec::Failure;
use serde::Deserialize;
use serde_json::Value;

/// Characters of a message that [`Display`](fmt::Display) shows.
const SHOWN_MAX: usize = 512;

/// Why an invocation failed.
///
/// Never holds a secret: no key, no signature, no session token.
#[derive(Clone, Debug)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Config(String),
    InvalidRequest(String),
    Credentials(&'static str),
    Connect,
    Timeout(Timeout, Duration, Progress),
    BrokenOff(Progress),
    Service(ServiceError),
    Redirect { status: u16, location: Option<String> },
    ContentType { found: Option<String>, body: Bytes },
    TooLarge { limit: usize },
    Failure(Failure),
    Decode(sagewire_codec::DecodeError),
    Convert(sagewire_codec::ConvertError),
    Layer(String),
}

/// How far a response had come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of the body that arrived.
    pub(crate) received: u64,
    /// Some of them have been handed to the caller.
    pub(crate) delivered: bool,
}

/// Which time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// No connection was made in time.
    Connect,
    /// No response began in time.
    FirstByte,
    /// Nothing more of the body came in time.
    Idle,
    /// All of it, further tries included, was not done in time.
    Total,
}

/// An error that the service answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceError {
    /// HTTP status: 424 if the container answered an error.
    pub status: u16,
    /// The error's name, such as `ModelError`, without a namespace: of the header `x-amzn-errortype`, or of the body's
    /// `code` or `__type`.
    pub error_type: Option<String>,
    /// The body's `message`, `Message` or `errorMessage`.
    pub message: Option<String>,
    /// The header `x-amzn-requestid`.
    pub request_id: Option<String>,
    /// The header `Retry-After`, as a time from when the response came.
    pub retry_after: Option<Duration>,
    /// The whole body, up to 1 MiB.
    pub body: Bytes,
    /// The status of the container, in a `ModelError`; 0 if it did not answer.
    pub original_status_code: Option<u16>,
    /// The container's own body, in a `ModelError`.
    pub original_message: Option<String>,
    /// The body's `ErrorCode`, such as `ModelInvocationTimeExceeded` of a `ModelStreamError`.
    pub error_code: Option<String>,
    /// Where the container's log is, in a `ModelError`.
    pub log_stream_arn: Option<String>,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Arc::new(Inner { kind, source: None }))
    }

    /// The settings cannot be used: `what` says which and why.
    pub fn config(what: impl Into<String>) -> Self {
        Self::new(Kind::Config(what.into()))
    }

    /// The request cannot be sent as it is: `what` says why.
    pub fn invalid_request(what: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest(what.into()))
    }

    /// There are no credentials, or none that can be used. `what` must not hold any of them.
    pub fn credentials(what: &'static str) -> Self {
        Self::new(Kind::Credentials(what))
    }

    /// No connection could be made.
    pub fn connect() -> Self {
        Self::new(Kind::Connect)
    }

    /// A time was up before a response began.
    pub fn timed_out(which: Timeout, after: Duration) -> Self {
        Self::new(Kind::Timeout(which, after, Progress::default()))
    }

    /// The connection broke before the response was whole.
    pub fn broken_off() -> Self {
        Self::new(Kind::BrokenOff(Progress::default()))
    }

    /// The service answered with a redirect.
    pub fn redirect(status: u16, location: Option<String>) -> Self {
        Self::new(Kind::Redirect { status, location })
    }

    /// The service answered something other than an event stream: its content type, and the beginning of its body.
    pub fn content_type(found: Option<String>, body: Bytes) -> Self {
        Self::new(Kind::ContentType { found, body })
    }

    /// The response is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(Kind::TooLarge { limit })
    }

    /// The same error, which `source` led to.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner { source: Some(source.into()), ..inner })),
            Err(shared) => Self(shared),
        }
    }

    /// The same error after so much of the body, of which some may have been handed out.
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

    /// The client's settings cannot be used.
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config(_))
    }

    /// The request cannot be sent as it is. Nothing was sent.
    pub fn is_invalid_request(&self) -> bool {
        matches!(self.0.kind, Kind::InvalidRequest(_))
    }

    /// There are no credentials, or they cannot be used to sign. Nothing was sent.
    pub fn is_credentials(&self) -> bool {
        matches!(self.0.kind, Kind::Credentials(_))
    }

    /// No connection could be made, in time or at all.
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, Kind::Connect | Kind::Timeout(Timeout::Connect, ..))
    }

    /// A time was up: [`timeout`](Self::timeout) says which.
    pub fn is_timeout(&self) -> bool {
        self.timeout().is_some()
    }

    /// The time that was up, if that is what went wrong.
    pub fn timeout(&self) -> Option<Timeout> {
        match self.0.kind {
            Kind::Timeout(which, ..) => Some(which),
            _ => None,
        }
    }

    /// The connection broke before the response was whole: it was reset, or closed too early.
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

    /// The error that the service answered, if it did.
    pub fn service(&self) -> Option<&ServiceError> {
        match &self.0.kind {
            Kind::Service(error) => Some(error),
            _ => None,
        }
    }

    /// The service answered with a redirect. They are not followed: [`location`](Self::location) says where to.
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

    /// The streaming operation was answered with something other than an event stream: [`body`](Self::body) has it.
    pub fn is_content_type(&self) -> bool {
        matches!(self.0.kind, Kind::ContentType { .. })
    }

    /// The response is larger than the client allows.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::TooLarge { .. })
    }

    /// The failure that the service reported within the stream, where the transport has removed the frames around it. With
    /// frames it is in the error of the decoder.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.0.kind {
            Kind::Failure(failure) => Some(failure),
            _ => None,
        }
    }

    /// The response could not be read as a chat.
    pub fn decode(&self) -> Option<&sagewire_codec::DecodeError> {
        match &self.0.kind {
            Kind::Decode(error) => Some(error),
            _ => None,
        }
    }

    /// The request could not be read or written, or a response could not be written.
    pub fn convert(&self) -> Option<&sagewire_codec::ConvertError> {
        match &self.0.kind {
            Kind::Convert(error) => Some(error),
            _ => None,
        }
    }

    /// HTTP status of a service error or a redirect.
    pub fn status(&self) -> Option<u16> {
        match &self.0.kind {
            Kind::Service(error) => Some(error.status),
            Kind::Redirect { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The body of a response that was not what it should have been, up to 1 MiB.
    pub fn body(&self) -> Option<&Bytes> {
        match &self.0.kind {
            Kind::Service(ServiceError { body, .. }) | Kind::ContentType { body, .. } => Some(body),
            _ => None,
        }
    }

    /// How long the service asks to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        self.service()?.retry_after
    }

    /// The same request may succeed if it is sent again, and nothing of an answer has been handed out yet.
    ///
    /// True of connections that failed or broke, of times that were up but the total one, of throttling, of statuses 500
    /// and above, of a container's stream that broke before it began, and of a `ModelError` whose container did not
    /// answer, or answered 503 or 504.
    pub fn is_retryable(&self) -> bool {
        let is_delivered = match &self.0.kind {
            Kind::Timeout(_, _, progress) | Kind::BrokenOff(progress) => progress.delivered,
            _ => false,
        };
        self.is_transient() && !is_delivered
    }

    /// The same, whatever has been handed out.
    pub(crate) fn is_transient(&self) -> bool {
        match &self.0.kind {
            Kind::Connect | Kind::BrokenOff(_) => true,
            Kind::Timeout(which, ..) => *which != Timeout::Total,
            Kind::Service(error) => error.is_transient(),
            // It was told after the response had begun, and perhaps after some of it.
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Config(what) => write!(f, "invalid configuration: {what}"),
            Kind::InvalidRequest(what) => write!(f, "invalid request: {what}"),
            Kind::Credentials(what) => write!(f, "{what}"),
            Kind::Connect => write!(f, "connecting failed"),
            Kind::Timeout(Timeout::Connect, after, _) => write!(f, "no connection within {after:?}"),
            Kind::Timeout(Timeout::FirstByte, after, _) => write!(f, "no response within {after:?}"),
            Kind::Timeout(Timeout::Total, after, Progress { received, .. }) => {
                write!(f, "not done within {after:?}, after {received} bytes of the response")
            }
            Kind::Timeout(Timeout::Idle, after, Progress { received, .. }) => {
                write!(f, "nothing came for {after:?} after {received} bytes of the response")
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
            Kind::Convert(error) => error.fmt(f),
            Kind::Layer(what) => f.write_str(what),
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

impl From<sagewire_codec::DecodeError> for Error {
    fn from(error: sagewire_codec::DecodeError) -> Self {
        Self::new(Kind::Decode(error))
    }
}

impl From<sagewire_codec::ConvertError> for Error {
    fn from(error: sagewire_codec::ConvertError) -> Self {
        Self::new(Kind::Convert(error))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl ServiceError {
    /// What a response says that has another status than 200 or 202.
    pub fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // A body that is no JSON object, such as that of a load balancer, is kept as it is.
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
            body,
        }
    }

    fn is_transient(&self) -> bool {
        if self.status == 424 {
            return matches!(self.original_status_code, Some(0 | 503 | 504));
        }
        // `ThrottlingException` comes with status 400.
        let throttled = self.error_type.as_deref().is_some_and(|name| {
            name.starts_with("Throttl")
                || ["TooManyRequestsException", "RequestLimitExceeded", "ModelNotReadyException"]
                    .contains(&name)
        });
        // `ModelStreamError` does so, too: whether the container's stream broke, or it was too slow, its code tells.
        let broken = self.error_code.as_deref() == Some("StreamBroken");
        throttled || broken || self.status == 429 || self.status >= 500
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {}", self.status)?;
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

/// The members of an error's body, of whatever type they are.
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

/// Seconds or an HTTP date, [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Text of a stranger on one line, and not without end.
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
    fn types_are_found_where_sdks_look() {
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
    fn messages_are_spelled_in_three_ways() {
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
        assert_eq!(error.to_string(), "the service answered 424 ModelError: Received (request id)");
    }

    #[test]
    fn what_may_be_tried_again() {
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
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let seconds = |text| retry_after(text, now).map(|after| after.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn one_line_and_not_without_end() {
        let body = Box::leak("a\nb".repeat(1000).into_boxed_str());
        let text = service(500, &[], body).to_string();
        assert!(!text.contains('\n') && text.chars().count() < 600);
    }
}
