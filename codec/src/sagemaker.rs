//! The events of `InvokeEndpointWithResponseStream`.
//!
//! Source: the service model of SageMaker Runtime, shape
//! [`ResponseStream`](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_ResponseStream.html). A
//! `PayloadPart` carries raw bytes of the container. The boundaries between parts have no meaning: a
//! part may contain five records, half a line or half a character.

use alloc::string::{String, ToString};

use serde::Deserialize;

use crate::eventstream::{Frame, Value};
use crate::model::Failure;

/// An event of the response stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Bytes that the container wrote.
    PayloadPart(&'a [u8]),
    /// The stream failed: a modelled exception (`ModelStreamError`, `InternalStreamFailure`), an unmodelled one, or an
    /// `error` frame. Nothing follows.
    Failure(Failure),
    /// An unknown kind of event, or an `initial-response`, which REST services do not send.
    Other {
        /// The header `:event-type`; empty if it is missing.
        event_type: &'a str,
        /// The payload.
        payload: &'a [u8],
    },
}

impl<'a> Event<'a> {
    /// Parses a frame by the names of its headers. Their order is not guaranteed, and the content type is optional.
    pub fn parse(frame: &Frame<'a>) -> Self {
        let headers = frame.headers();
        let text = |name: &str| headers.get(name).and_then(|value: Value<'a>| value.as_str());
        Self::read(text, frame.payload())
    }

    /// The same for a frame that another decoder has parsed: `text` returns a string header by name.
    pub fn read(text: impl Fn(&str) -> Option<&'a str>, payload: &'a [u8]) -> Self {
        match text(":message-type") {
            Some("exception") => {
                let name = text(":exception-type").unwrap_or("exception");
                Self::Failure(exception(name, payload))
            }
            Some("error") => {
                let message = text(":error-message").unwrap_or_default().to_string();
                let code = text(":error-code").map(String::from);
                Self::Failure(Failure::of("error", code, message, payload))
            }
            _ => match text(":event-type") {
                Some("PayloadPart") => Self::PayloadPart(payload),
                event_type => Self::Other { event_type: event_type.unwrap_or_default(), payload },
            },
        }
    }
}

/// The body of an exception. SageMaker capitalizes the fields, Bedrock does not.
#[derive(Default, Deserialize)]
struct Body {
    #[serde(default, alias = "Message", alias = "errorMessage")]
    message: Option<String>,
    #[serde(default, rename = "ErrorCode", alias = "code")]
    code: Option<String>,
    /// Only in Bedrock's `modelStreamErrorException`: the status and message of the model server.
    #[serde(default, rename = "originalStatusCode")]
    status: Option<serde_json::Number>,
    #[serde(default, rename = "originalMessage")]
    original: Option<String>,
}

fn exception(name: &str, payload: &[u8]) -> Failure {
    match serde_json::from_slice::<Body>(payload) {
        Ok(body) => {
            let code = body.code.or_else(|| body.status.map(|status| status.to_string()));
            let message = body.message.filter(|message| !message.is_empty()).or(body.original);
            Failure::of(name, code, message.unwrap_or_default(), payload)
        }
        Err(_) => Failure::of(name, None, String::from_utf8_lossy(payload).into_owned(), payload),
    }
}
