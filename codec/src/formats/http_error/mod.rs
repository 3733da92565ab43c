//! Errors that come with an HTTP status: reads those of any service or container, and writes them in the shape of any API.
//!
//! Sources: the errors of the service models `sagemaker-runtime` 2017-05-13 and `bedrock-runtime` 2023-09-30, Anthropic's
//! [errors](https://docs.anthropic.com/en/api/errors), OpenAI's
//! [error codes](https://platform.openai.com/docs/guides/error-codes), and recordings of servers.

use alloc::string::{String, ToString};

mod kind;
mod read;
mod status;
mod write;

pub use kind::HttpErrorKind;

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
/// assert_eq!((error.status_for(Api::Converse), error.bedrock_name()), (424, "ModelErrorException"));
///
/// let error = HttpError::new(HttpErrorKind::Billing, "the budget of this month is spent");
/// assert_eq!([Api::OpenAi, Api::Anthropic, Api::Converse].map(|api| error.status_for(api)), [429, 402, 400]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpError {
    /// The HTTP status: the container's own if SageMaker passes it on, 502 if the container did not respond, and otherwise
    /// the one that OpenAI uses for this kind of error. [`status_for`](Self::status_for) is the status for a client.
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
    /// The status with which the container responded, if the error is the container's; 0 if it did not respond.
    pub original_status: Option<u16>,
    /// The model or the container whose error it is: `resourceName` of Bedrock's `ModelErrorException`.
    pub resource_name: Option<String>,
}

impl HttpError {
    /// An error of a proxy itself, with the [status](Self::status) and the [code](Self::code) that OpenAI uses for this kind.
    pub fn new(kind: HttpErrorKind, message: impl Into<String>) -> Self {
        Self {
            status: kind.status(),
            kind,
            name: kind.names()[0].to_string(),
            code: kind.code().map(ToString::to_string),
            param: None,
            message: message.into(),
            original_status: None,
            resource_name: None,
        }
    }

    /// Whether a retry of the same request may succeed.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            HttpErrorKind::RateLimit | HttpErrorKind::NotReady | HttpErrorKind::Unavailable => true,
            HttpErrorKind::Server => matches!(self.status, 500 | 502 | 530),
            HttpErrorKind::Timeout => self.status == 504,
            _ => false,
        }
    }
}
