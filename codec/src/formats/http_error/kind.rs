//! The kinds of errors, and the names and statuses that the APIs have for them.

use crate::model::Failure;

/// The kinds of errors that APIs distinguish.
///
/// What a client of each API gets, by status and name:
///
/// | kind | OpenAI | Anthropic | Bedrock | SageMaker |
/// |---|---|---|---|---|
/// | `InvalidRequest` | 400 `invalid_request_error` | 400 `invalid_request_error` | 400 `ValidationException` | 400 `ValidationError` |
/// | `Authentication` | 401 `authentication_error` | 401 `authentication_error` | 403 `UnrecognizedClientException` | the same |
/// | `Signature` | 401 `authentication_error` | 401 `authentication_error` | 403 `InvalidSignatureException` | the same |
/// | `Permission` | 403 `permission_error` | 403 `permission_error` | 403 `AccessDeniedException` | the same |
/// | `NotFound` | 404 `not_found_error` | 404 `not_found_error` | 404 `ResourceNotFoundException` | 400 `ValidationError` |
/// | `TooLarge` | 413 `invalid_request_error` | 413 `request_too_large` | 413 `ValidationException` | 413 `ValidationError` |
/// | `RateLimit` | 429 `rate_limit_error` | 429 `rate_limit_error` | 429 `ThrottlingException` | the same |
/// | `Billing` | 429 `insufficient_quota` | 402 `billing_error` | 400 `ServiceQuotaExceededException` | the same |
/// | `NotReady` | 503 `server_error` | 529 `overloaded_error` | 429 `ModelNotReadyException` | the same |
/// | `Unavailable` | 503 `server_error` | 529 `overloaded_error` | 503 `ServiceUnavailableException` | 503 `ServiceUnavailable` |
/// | `Timeout` | 504 `timeout` | 504 `timeout_error` | 408 `ModelTimeoutException` | 424 `ModelError` |
/// | `Server` | 500 `server_error` | 500 `api_error` | 500 `InternalServerException` | 500 `InternalFailure` |
/// | the container's, 4xx | its status | its status | 424 `ModelErrorException` | 424 `ModelError` |
/// | the container's, 5xx | 502 `server_error` | 500 `api_error` | 424 `ModelErrorException` | 424 `ModelError` |
///
/// Errors of a container that are temporary or a timeout have their kind's row in OpenAI, Anthropic and Bedrock, so that clients
/// retry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// The request is invalid.
    InvalidRequest,
    /// Authentication failed: the key is missing or unknown.
    Authentication,
    /// The signature of the request is wrong.
    Signature,
    /// Permission denied.
    Permission,
    /// The endpoint or the model does not exist.
    NotFound,
    /// The request is too large.
    TooLarge,
    /// Too many requests. A later retry may succeed.
    RateLimit,
    /// The budget or the quota is spent. A retry does not help.
    Billing,
    /// The model is not ready yet: it starts, or was scaled to zero. A later retry may succeed.
    NotReady,
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
    pub(super) fn of(name: &str, status: u16) -> Self {
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
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let parts = [
            ("throttling", Self::RateLimit),
            ("toomanyrequests", Self::RateLimit),
            ("modelnotready", Self::NotReady),
            ("insufficient_quota", Self::Billing),
            ("billing", Self::Billing),
            ("servicequotaexceeded", Self::Billing),
            ("ratelimit", Self::RateLimit),
            ("rate_limit", Self::RateLimit),
            ("overloaded", Self::RateLimit),
            ("accessdenied", Self::Permission),
            ("permission", Self::Permission),
            ("expiredtoken", Self::Authentication),
            ("unrecognizedclient", Self::Authentication),
            ("invalidsignature", Self::Signature),
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

    /// The names of the kind in OpenAI, Anthropic and TGI.
    pub(super) fn names(self) -> [&'static str; 3] {
        match self {
            Self::InvalidRequest => ["invalid_request_error", "invalid_request_error", "validation"],
            Self::Authentication | Self::Signature => {
                ["authentication_error", "authentication_error", "generation"]
            }
            Self::Permission => ["permission_error", "permission_error", "generation"],
            Self::NotFound => ["not_found_error", "not_found_error", "generation"],
            Self::TooLarge => ["invalid_request_error", "request_too_large", "validation"],
            Self::RateLimit => ["rate_limit_error", "rate_limit_error", "overloaded"],
            Self::Billing => ["insufficient_quota", "billing_error", "generation"],
            Self::NotReady | Self::Unavailable => ["server_error", "overloaded_error", "overloaded"],
            Self::Timeout => ["timeout", "timeout_error", "generation"],
            Self::Server => ["server_error", "api_error", "generation"],
        }
    }

    /// The names of the kind in Bedrock and SageMaker. The authentication in front of both is the same.
    pub(super) fn aws_names(self) -> [&'static str; 2] {
        match self {
            Self::InvalidRequest | Self::TooLarge => ["ValidationException", "ValidationError"],
            Self::Authentication => ["UnrecognizedClientException"; 2],
            Self::Signature => ["InvalidSignatureException"; 2],
            Self::Permission => ["AccessDeniedException"; 2],
            Self::NotFound => ["ResourceNotFoundException", "ValidationError"],
            Self::RateLimit => ["ThrottlingException"; 2],
            Self::Billing => ["ServiceQuotaExceededException"; 2],
            Self::NotReady => ["ModelNotReadyException"; 2],
            Self::Timeout => ["ModelTimeoutException", "ModelError"],
            Self::Unavailable => ["ServiceUnavailableException", "ServiceUnavailable"],
            Self::Server => ["InternalServerException", "InternalFailure"],
        }
    }

    /// OpenAI's status for the kind.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication | Self::Signature => 401,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimit | Self::Billing => 429,
            Self::NotReady | Self::Unavailable => 503,
            Self::Timeout => 504,
            Self::Server => 500,
        }
    }

    /// OpenAI's `code` for the kind, if it has one.
    pub(super) fn code(self) -> Option<&'static str> {
        match self {
            Self::Authentication | Self::Signature => Some("invalid_api_key"),
            Self::NotFound => Some("model_not_found"),
            Self::RateLimit => Some("rate_limit_exceeded"),
            Self::Billing => Some("insufficient_quota"),
            _ => None,
        }
    }

    /// Anthropic's `type` for the kind. A name of Anthropic that is more precise than the kind is kept.
    pub(crate) fn anthropic(self, name: &str) -> &'static str {
        match name {
            "overloaded_error" => "overloaded_error",
            _ => self.names()[1],
        }
    }
}

/// Whether a name contains a part, ignoring case. The part is in lower case.
fn has_part(name: &str, part: &str) -> bool {
    name.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}
