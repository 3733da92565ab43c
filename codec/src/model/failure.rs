//! Failures that a model or a service reports within a stream.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A failure that was reported in the stream itself: by SageMaker in an exception frame, or by the container in a
/// record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The name of the exception (`ModelStreamError`), or the type of the container's error (`InternalServerError`);
    /// `error` if it has none.
    pub name: String,
    /// The code, as text: `ModelInvocationTimeExceeded`, `500`.
    pub code: Option<String>,
    /// The message; empty if there is none.
    pub message: String,
    /// The field of the request that caused the failure, if the container names it: OpenAI's `param`.
    pub param: Option<String>,
    /// The bytes that reported it: the payload of the frame, or the record.
    pub original: Vec<u8>,
}

impl Failure {
    /// A failure without original bytes, for a transport that removes the frames itself.
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

    /// Whether a retry of the same request may succeed: after internal errors of the service, throttling, an overloaded
    /// container, or a broken connection to it; not after a request that is too long or takes too long.
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
            // Always one line: control characters are escaped.
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
