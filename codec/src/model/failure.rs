//! What a model or a service says when it fails in the middle of a stream.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A failure that was reported in the stream itself: by SageMaker in an exception frame, or by the container in a
/// record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The name of the exception (`ModelStreamError`) or the type that the container gave its error
    /// (`InternalServerError`); `error` where it gave none.
    pub name: String,
    /// The code, as text: `ModelInvocationTimeExceeded`, `500`.
    pub code: Option<String>,
    /// The message, empty where there was none.
    pub message: String,
    /// The member of the request that is at fault, where the container says so: OpenAI's `param`.
    pub param: Option<String>,
    /// The bytes that said so: the payload of the frame, or the record.
    pub original: Vec<u8>,
}

impl Failure {
    /// A failure that no bytes said in so many words: for a transport that has removed the frames.
    pub fn new(name: impl Into<String>, code: Option<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), code, message: message.into(), param: None, original: Vec::new() }
    }

    pub(crate) fn of(
        name: impl Into<String>,
        code: Option<String>,
        message: impl Into<String>,
        original: &[u8],
    ) -> Self {
        Self { original: original.to_vec(), ..Self::new(name, code, message) }
    }

    /// Whether the same request may well succeed when it is sent again: the service's own faults, throttling, a container
    /// that has too much to do, and a broken connection to it; not a request that is too long or takes too long.
    pub fn is_retryable(&self) -> bool {
        const NAMES: [&str; 11] = [
            "InternalStreamFailure",
            "InternalFailure",
            "ServiceUnavailable",
            "ThrottlingException",
            "internalServerException",
            "serviceUnavailableException",
            "throttlingException",
            "overloaded",
            "Overloaded",
            "overloaded_error",
            "rate_limit_error",
        ];
        const CODES: [&str; 8] =
            ["StreamBroken", "InternalFailure", "ServiceUnavailable", "429", "500", "502", "503", "504"];
        NAMES.contains(&self.name.as_str()) || self.code.as_deref().is_some_and(|code| CODES.contains(&code))
    }
}

impl core::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        if !self.message.is_empty() {
            // One line, whatever the model wrote.
            f.write_str(": ")?;
            for c in self.message.chars() {
                if c.is_control() {
                    write!(f, "{}", c.escape_default())?
                } else {
                    fmt::Write::write_char(f, c)?
                }
            }
        }
        Ok(())
    }
}
