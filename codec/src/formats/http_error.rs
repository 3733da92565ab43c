//! Errors that come with an HTTP status: reads those of any service or container, and writes them in the shape of any API.
//!
//! Sources: the errors of the service models `sagemaker-runtime` 2017-05-13 and `bedrock-runtime` 2023-09-30, Anthropic's
//! [errors](https://docs.anthropic.com/en/api/errors), OpenAI's
//! [error codes](https://platform.openai.com/docs/guides/error-codes), and recordings of servers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::formats::error_record as failure;
use crate::json::{DEPTH_MAX, Json, Kind, Object};
use crate::model::Api;
use crate::model::Failure;

/// An error response of a service or a container.
///
/// ```
/// use sagewire_codec::{Api, HttpError, HttpErrorKind};
///
/// let body = br#"{"Message":"failed","OriginalStatusCode":422,"OriginalMessage":"{\"error\":\"`top_p` must be < 1.0\"}"}"#;
/// let error = HttpError::read(424, Some("ModelError"), body);
/// assert_eq!((error.status, error.kind), (422, HttpErrorKind::InvalidRequest));
/// assert_eq!(
///     String::from_utf8_lossy(&error.write(Api::Anthropic)),
///     r#"{"type":"error","error":{"type":"invalid_request_error","message":"`top_p` must be < 1.0"}}"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpError {
    /// The HTTP status for the caller: the container's own if SageMaker passes it on, 502 if the container did not respond,
    /// and otherwise the status that other APIs use for this kind of error.
    pub status: u16,
    /// The kind of error.
    pub kind: HttpErrorKind,
    /// The service's or the container's name for the error; `error` if it has none.
    pub name: String,
    /// The container's code for the error.
    pub code: Option<String>,
    /// The field of the request that caused the error, if the container names it: OpenAI's `param`.
    pub param: Option<String>,
    /// The message; empty if there is none.
    pub message: String,
}

/// The kinds of errors that APIs distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// The request is invalid.
    InvalidRequest,
    /// Authentication failed.
    Authentication,
    /// Permission denied.
    Permission,
    /// The endpoint or the model does not exist.
    NotFound,
    /// The request is too large.
    TooLarge,
    /// Too many requests, or the model is not ready. A later retry may succeed.
    RateLimit,
    /// The request timed out.
    Timeout,
    /// The service is overloaded or unavailable.
    Unavailable,
    /// The service or the model failed.
    Server,
}

impl HttpErrorKind {
    /// The kind of a failure within a stream. It has a status only if the server wrote one as its code.
    pub(crate) fn of_failure(failure: &Failure) -> Self {
        let code = failure.code.as_deref().unwrap_or_default();
        match code.parse() {
            Ok(status) if (100..600).contains(&status) => Self::of(&failure.name, status),
            _ => Self::of_name(code).unwrap_or_else(|| Self::of(&failure.name, 0)),
        }
    }

    /// The kind of an error by its name, or else by its status. SageMaker throttles with status 400, so the name decides.
    fn of(name: &str, status: u16) -> Self {
        if let Some(kind) = Self::of_name(name) {
            return kind;
        }
        match status {
            401 => Self::Authentication,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 | 529 => Self::RateLimit,
            503 => Self::Unavailable,
            400..=499 if status != 424 => Self::InvalidRequest,
            // A name that servers use for any invalid request. The status is more precise.
            0 if ["validation", "invalid_request"].iter().any(|part| has_part(name, part)) => {
                Self::InvalidRequest
            }
            _ => Self::Server,
        }
    }

    /// The kind of an error by its name, whichever service or container uses it.
    fn of_name(name: &str) -> Option<Self> {
        let parts = [
            ("throttling", Self::RateLimit),
            ("toomanyrequests", Self::RateLimit),
            ("modelnotready", Self::RateLimit),
            ("ratelimit", Self::RateLimit),
            ("rate_limit", Self::RateLimit),
            ("overloaded", Self::RateLimit),
            ("accessdenied", Self::Permission),
            ("permission", Self::Permission),
            ("expiredtoken", Self::Authentication),
            ("unrecognizedclient", Self::Authentication),
            ("invalidsignature", Self::Authentication),
            ("missingauthenticationtoken", Self::Authentication),
            ("authentication", Self::Authentication),
            ("resourcenotfound", Self::NotFound),
            ("not_found", Self::NotFound),
            ("request_too_large", Self::TooLarge),
            ("timeout", Self::Timeout),
            ("modelinvocationtimeexceeded", Self::Timeout),
            ("streambroken", Self::Server),
            ("modelstreamerror", Self::Server),
            ("serviceunavailable", Self::Unavailable),
        ];
        parts.iter().find(|(part, _)| has_part(name, part)).map(|(_, kind)| *kind)
    }

    /// The names of the kind in OpenAI, Anthropic, TGI and Bedrock.
    #[rustfmt::skip]
    fn names(self) -> [&'static str; 4] {
        match self {
            Self::InvalidRequest => ["invalid_request_error", "invalid_request_error", "validation", "ValidationException"],
            Self::Authentication => ["authentication_error", "authentication_error", "generation", "AccessDeniedException"],
            Self::Permission => ["permission_error", "permission_error", "generation", "AccessDeniedException"],
            Self::NotFound => ["not_found_error", "not_found_error", "generation", "ResourceNotFoundException"],
            Self::TooLarge => ["invalid_request_error", "request_too_large", "validation", "ValidationException"],
            Self::RateLimit => ["rate_limit_error", "rate_limit_error", "overloaded", "ThrottlingException"],
            Self::Timeout => ["timeout", "timeout_error", "generation", "ModelTimeoutException"],
            Self::Unavailable => ["server_error", "overloaded_error", "overloaded", "ServiceUnavailableException"],
            Self::Server => ["server_error", "api_error", "generation", "InternalServerException"],
        }
    }

    /// Anthropic's `type` for the kind. Two names of Anthropic are more precise than the kind and are kept.
    pub(crate) fn anthropic(self, name: &str) -> &'static str {
        match name {
            "billing_error" => "billing_error",
            "overloaded_error" => "overloaded_error",
            _ => self.names()[1],
        }
    }
}

impl HttpError {
    /// Reads the body of an error response. `error_type` is the header `x-amzn-errortype`, if there is one. This never fails:
    /// a body of unknown shape becomes the message.
    ///
    /// SageMaker's `ModelError` is unwrapped to the container's own error.
    pub fn read(status: u16, error_type: Option<&str>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let wrapper = Wrapper::read(text.as_bytes());
        let name = error_type.or(wrapper.name.as_deref()).map(local_name).unwrap_or_default();
        if let Some(original) = wrapper.original_status {
            let inner = wrapper.original_message.as_deref().unwrap_or_default();
            // 0: the container did not respond.
            let status = if (400..600).contains(&original) { original } else { 502 };
            let mut error = Self::of_container(status, inner);
            if error.message.is_empty() {
                error.message = wrapper.message.unwrap_or_default();
            }
            return error;
        }
        if name.is_empty() {
            return Self::of_container(status, &text);
        }
        Self::of_service(status, name.to_string(), wrapper)
    }

    /// Reads an error of the service itself.
    fn of_service(status: u16, name: String, wrapper: Wrapper) -> Self {
        let message = wrapper.message.filter(|message| !message.is_empty()).or(wrapper.model_message);
        let message = message.unwrap_or_default();
        let by_code = wrapper.code.as_deref().and_then(HttpErrorKind::of_name);
        let kind = match by_code.or(HttpErrorKind::of_name(&name)) {
            Some(kind) => kind,
            None if is_missing_endpoint(&name, &message) => HttpErrorKind::NotFound,
            None => HttpErrorKind::of(&name, status),
        };
        let status = match kind {
            HttpErrorKind::RateLimit => 429,
            HttpErrorKind::Authentication => 401,
            HttpErrorKind::NotFound => 404,
            HttpErrorKind::Timeout if status != 504 => 408,
            HttpErrorKind::Server if status == 400 => 502,
            _ => status,
        };
        Self { status, kind, name, code: wrapper.code, param: None, message }
    }

    /// Reads an error that a container wrote.
    fn of_container(status: u16, body: &str) -> Self {
        let trimmed = body.trim();
        let range = 0..trimmed.len();
        let is_object = crate::json::as_object(trimmed).is_some();
        let found = if is_object {
            failure::read_nested(trimmed.as_bytes(), &range, DEPTH_MAX).ok().flatten()
        } else {
            None
        };
        let (failure, is_nested) = found.unwrap_or_else(|| {
            let message = detail(trimmed).unwrap_or_else(|| trimmed.to_string());
            (Failure::new("error", None, message), false)
        });
        let kind = match is_nested {
            true => HttpErrorKind::of_failure(&failure),
            false => HttpErrorKind::of(&failure.name, status),
        };
        let Failure { name, code, message, param, .. } = failure;
        Self { status, kind, name, code, param, message }
    }

    /// Whether a retry of the same request may succeed.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            HttpErrorKind::RateLimit | HttpErrorKind::Unavailable => true,
            HttpErrorKind::Server => matches!(self.status, 500 | 502 | 530),
            HttpErrorKind::Timeout => self.status == 504,
            _ => false,
        }
    }

    /// The name of Bedrock's exception, for the header `x-amzn-errortype`.
    pub fn bedrock_name(&self) -> &'static str {
        let own = BEDROCK_NAMES.iter().find(|own| **own == self.name);
        own.copied().unwrap_or_else(|| self.kind.names()[3])
    }

    /// The body of the error in the shape of an API: OpenAI's, Anthropic's, Bedrock's, or TGI's for all text generation.
    pub fn write(&self, api: Api) -> Vec<u8> {
        let mut out = Vec::new();
        Object::write(&mut out, |object| match api {
            Api::Anthropic => {
                object.string("type", "error");
                object.object("error", |error| {
                    error.string("type", self.kind.anthropic(&self.name));
                    error.string("message", &self.message);
                });
            }
            Api::Converse => object.string("message", &self.message),
            api if api.is_text_generation() => {
                object.string("error", &self.message);
                object.string("error_type", self.kind.names()[2]);
            }
            _ => object.object("error", |error| {
                error.string("message", &self.message);
                error.string("type", self.kind.names()[0]);
                match &self.param {
                    Some(param) => error.string("param", param),
                    None => error.json("param", "null"),
                }
                // vLLM and SGLang write HTTP status codes as numbers.
                match self.code.as_deref().map(|code| code.parse().map_err(|_| code)) {
                    Some(Ok(number)) => error.integer("code", number),
                    Some(Err(code)) => error.string("code", code),
                    None => error.json("code", "null"),
                }
            }),
        });
        out
    }
}

/// The names of Bedrock's exceptions. An error that has one of them keeps it.
const BEDROCK_NAMES: [&str; 11] = [
    "ValidationException",
    "AccessDeniedException",
    "ResourceNotFoundException",
    "ModelTimeoutException",
    "ModelErrorException",
    "ModelStreamErrorException",
    "ThrottlingException",
    "ModelNotReadyException",
    "InternalServerException",
    "ServiceUnavailableException",
    "ServiceQuotaExceededException",
];

/// Whether a name contains a part, ignoring case. The part is in lower case.
fn has_part(name: &str, part: &str) -> bool {
    name.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// SageMaker reports a missing endpoint as an invalid request: "Endpoint x of account 1 not found."
fn is_missing_endpoint(name: &str, message: &str) -> bool {
    name == "ValidationError"
        && message.starts_with("Endpoint ")
        && message.trim_end_matches('.').ends_with(" not found")
}

/// The wrapper that AWS puts around a container's error.
#[derive(Default)]
struct Wrapper {
    name: Option<String>,
    code: Option<String>,
    message: Option<String>,
    /// The error of the model server behind Bedrock.
    model_message: Option<String>,
    original_status: Option<u16>,
    original_message: Option<String>,
}

impl Wrapper {
    fn read(body: &[u8]) -> Self {
        let mut wrapper = Self::default();
        let mut json = Json::new(body, 0, DEPTH_MAX);
        if json.kind() != Ok(Kind::Object) {
            return wrapper;
        }
        let (mut named, mut is_containers) = (None, false);
        let read = json.object(|json, name| {
            let text = |json: &mut Json<'_>| {
                let string = json.string_or_skip()?;
                Ok(string.map(|string| String::from_utf8_lossy(&json.unescaped(string)).into_owned()))
            };
            match name {
                b"__type" => wrapper.name = text(json)?,
                b"code" => named = text(json)?,
                b"message" | b"Message" | b"errorMessage" => {
                    wrapper.message = text(json)?.or(wrapper.message.take())
                }
                b"ErrorCode" => wrapper.code = text(json)?,
                b"OriginalMessage" => wrapper.original_message = text(json)?,
                b"originalMessage" => wrapper.model_message = text(json)?,
                b"OriginalStatusCode" => {
                    wrapper.original_status =
                        json.integer_or_skip()?.and_then(|status| status.try_into().ok());
                }
                name => {
                    is_containers |=
                        matches!(name, b"error" | b"object" | b"type" | b"error_type" | b"detail");
                    json.skip()?;
                }
            }
            Ok(())
        });
        // Errors of containers have codes too.
        wrapper.name = named.filter(|_| !is_containers).or(wrapper.name);
        if read.is_err() { Self::default() } else { wrapper }
    }
}

/// `com.amazonaws.sagemaker#ModelError:http://internal.amazon.com/` → `ModelError`
fn local_name(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default()
}

/// `{"detail":…}`, as Python servers write it: a text, or a list of errors.
fn detail(body: &str) -> Option<String> {
    let mut json = Json::new(body.as_bytes(), 0, DEPTH_MAX);
    let (mut string, mut range) = (None, None);
    json.object(|json, name| {
        match name {
            b"detail" if json.kind()? == Kind::String => string = Some(json.string()?),
            b"detail" => range = Some(json.skip()?),
            _ => json.skip().map(drop)?,
        }
        Ok(())
    })
    .ok()?;
    match (string, range) {
        (Some(string), _) => Some(String::from_utf8_lossy(&json.unescaped(string)).into_owned()),
        (None, Some(range)) => Some(body[range].to_string()),
        _ => None,
    }
}
