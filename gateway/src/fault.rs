//! Why a request has no response: the error for the client, and what the log and the metrics say of it.

use std::time::Duration;

use sagewire_codec::{ConvertError, ConvertErrorKind, HttpError, HttpErrorKind};
use sagewire_transport::{Error, ServiceError};

use crate::policy::RateHeaders;
use crate::record::ErrorClass;

/// A request that failed before its response has begun.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The error, which each API writes in its own shape.
    pub(crate) error: HttpError,
    pub(crate) class: ErrorClass,
    /// When the client may try again.
    pub(crate) retry_after: Option<Duration>,
    /// False: another attempt of the client is pointless.
    pub(crate) should_retry: Option<bool>,
    /// The state of the client's limits.
    pub(crate) limits: Option<RateHeaders>,
    /// For the log, if that is to say something else than the client is told.
    pub(crate) detail: Option<String>,
    /// The ID that the service gave the call.
    pub(crate) upstream_id: Option<String>,
}

impl Fault {
    pub(crate) fn new(class: ErrorClass, kind: HttpErrorKind, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            error: HttpError::new(kind, message),
            class,
            retry_after: None,
            should_retry: None,
            limits: None,
            detail: None,
            upstream_id: None,
        })
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Box<Self> {
        Self::new(ErrorClass::ClientInvalid, HttpErrorKind::InvalidRequest, message)
    }

    /// The model does not exist, or is not for this client: the same error for both, so that names do not leak. `detail` is for the
    /// log, in place of what the client has sent as the name: that may be its key.
    pub(crate) fn unknown_model(name: &str, detail: String) -> Box<Self> {
        let name: String = name.chars().take(256).collect();
        let message = format!("The model `{name}` does not exist or you do not have access to it.");
        let mut fault = Self::new(ErrorClass::ClientNotFound, HttpErrorKind::NotFound, message);
        fault.error.code = Some("model_not_found".into());
        fault.detail = Some(detail);
        fault
    }

    pub(crate) fn too_large(limit: usize) -> Box<Self> {
        let message =
            format!("The body of the request is larger than the limit of this gateway, {limit} bytes.");
        Self::new(ErrorClass::ClientTooLarge, HttpErrorKind::TooLarge, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Box<Self> {
        Self::new(ErrorClass::GatewayInternal, HttpErrorKind::Server, message)
    }

    pub(crate) fn retry_after(mut self: Box<Self>, delay: Option<Duration>) -> Box<Self> {
        self.retry_after = delay;
        self
    }

    pub(crate) fn without_retry(mut self: Box<Self>) -> Box<Self> {
        self.should_retry = Some(false);
        self
    }

    /// The error of a call that was not retried, or not any more.
    pub(crate) fn of_call(error: &Error) -> Box<Self> {
        let class = class(error);
        let mut found = error.to_http_error();
        match class {
            ErrorClass::UpstreamNotReady if found.kind != HttpErrorKind::RateLimit => {
                found = HttpError::new(HttpErrorKind::NotReady, found.message);
            }
            ErrorClass::GatewayCredentials => {
                found = HttpError::new(
                    HttpErrorKind::Server,
                    "The gateway cannot call the endpoint of this model.",
                );
            }
            // The gateway is between: it is not its own failure.
            ErrorClass::UpstreamFailed if found.status == 500 => found.status = 502,
            _ => {}
        }
        let service = error.service();
        let mut fault = Box::new(Self {
            error: found,
            class,
            retry_after: error.retry_after(),
            should_retry: None,
            limits: None,
            detail: Some(error.to_string()),
            upstream_id: service.and_then(|error| error.request_id.clone()),
        });
        match class {
            // Every 429 and 503 says when to come again.
            ErrorClass::UpstreamNotReady => {
                fault.retry_after.get_or_insert(Duration::from_secs(5));
            }
            // It may have run, and been paid for.
            ErrorClass::UpstreamTimeout => fault.should_retry = Some(false),
            _ => {}
        }
        fault
    }
}

impl From<ConvertError> for Box<Fault> {
    fn from(error: ConvertError) -> Self {
        let class = match error.kind() {
            ConvertErrorKind::Limit { .. } => ErrorClass::ClientTooLarge,
            _ => ErrorClass::ClientInvalid,
        };
        let mut fault = Fault::of_call(&Error::from(error));
        fault.class = class;
        fault.detail = None;
        fault
    }
}

/// Whose fault it is that a call failed.
pub(crate) fn class(error: &Error) -> ErrorClass {
    if error.is_request_conversion() || error.is_invalid_request() || error.is_unsupported() {
        return ErrorClass::ClientInvalid;
    }
    if error.is_credentials() || error.is_config() {
        return ErrorClass::GatewayCredentials;
    }
    if error.is_timeout() {
        return ErrorClass::UpstreamTimeout;
    }
    let Some(service) = error.service() else {
        return match (error.is_connect(), error.failure()) {
            (true, _) | (_, Some(_)) => ErrorClass::UpstreamFailed,
            _ => ErrorClass::UpstreamBroken,
        };
    };
    if is_not_ready(service) {
        return ErrorClass::UpstreamNotReady;
    }
    let found = error.to_http_error();
    match found.kind {
        HttpErrorKind::RateLimit | HttpErrorKind::Unavailable | HttpErrorKind::NotReady => {
            ErrorClass::UpstreamNotReady
        }
        HttpErrorKind::Timeout => ErrorClass::UpstreamTimeout,
        // What the service itself says is about the gateway's configuration; what the container says, about the request.
        _ if service.original_status_code.is_none() && matches!(service.status, 401 | 403 | 404) => {
            ErrorClass::GatewayCredentials
        }
        HttpErrorKind::NotFound if service.original_status_code.is_none() => ErrorClass::GatewayCredentials,
        _ if (400..500).contains(&found.status) => ErrorClass::UpstreamRefused,
        _ => ErrorClass::UpstreamFailed,
    }
}

/// The endpoint is scaled to zero, or its model is being loaded. SageMaker reports the former as an invalid request:
/// "Inference Component has no capacity to process this request."
pub(crate) fn is_not_ready(error: &ServiceError) -> bool {
    let name = error.error_type.as_deref().unwrap_or_default();
    let message = error.message.as_deref().unwrap_or_default();
    name.starts_with("ModelNotReady") || (error.status == 400 && message.contains("no capacity"))
}
