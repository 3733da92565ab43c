//! Why a request is not authenticated.

use std::fmt;

/// A request is not authenticated: the kind, and a message for its sender that contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureError {
    kind: SignatureErrorKind,
    message: String,
}

/// The kinds of [`SignatureError`], by the names that AWS gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureErrorKind {
    /// The request has no signature or token of the expected kind.
    MissingAuthenticationToken,
    /// A part of the signature is missing or malformed.
    IncompleteSignature,
    /// The access key or the session token is unknown, or the bearer token is malformed.
    UnrecognizedClient,
    /// The signature, its scope, its date or its list of headers is wrong.
    InvalidSignature,
    /// The bearer token has expired.
    ExpiredToken,
}

impl SignatureErrorKind {
    /// The name in the header `x-amzn-errortype` of AWS. AWS sends all of them with status 403.
    pub fn error_type(self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::ExpiredToken => "ExpiredTokenException",
        }
    }
}

impl SignatureError {
    /// The error for an access key that the server does not know.
    pub fn unknown_credentials() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(SignatureErrorKind::UnrecognizedClient, message)
    }

    pub(crate) fn new(kind: SignatureErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn missing() -> Self {
        Self::new(SignatureErrorKind::MissingAuthenticationToken, "Missing Authentication Token")
    }

    pub(crate) fn incomplete(message: impl Into<String>) -> Self {
        Self::new(SignatureErrorKind::IncompleteSignature, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(SignatureErrorKind::InvalidSignature, message)
    }

    pub(crate) fn mismatch() -> Self {
        Self::invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    }

    /// What is wrong.
    pub fn kind(&self) -> SignatureErrorKind {
        self.kind
    }

    /// The name in the header `x-amzn-errortype` of AWS.
    pub fn error_type(&self) -> &'static str {
        self.kind.error_type()
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SignatureError {}
