//! Errors in the shapes of AWS.
//!
//! Errors of the service have the field `Message`, errors of the authentication layer in front of it `message`.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use sagewire_sigv4::SignatureError;
use serde::Serialize;

use crate::fault::Exception;
use crate::headers::ERROR_TYPE;
use crate::json_text::to_json;

/// The account of all endpoints.
pub(crate) const ACCOUNT: &str = "123456789012";

/// A response of the service with a status other than 200.
#[derive(Clone, Debug)]
pub(crate) struct ServiceError {
    pub(crate) status: StatusCode,
    pub(crate) error_type: HeaderValue,
    pub(crate) body: Bytes,
}

impl ServiceError {
    /// An error of the service.
    pub(crate) fn service(status: StatusCode, error_type: HeaderValue, message: &str) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(rename = "Message")]
            message: &'a str,
        }
        Self { status, error_type, body: to_json(&Body { message }).into() }
    }

    /// An error of the authentication layer.
    pub(crate) fn auth(status: StatusCode, error_type: HeaderValue, message: &str) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            message: &'a str,
        }
        Self { status, error_type, body: to_json(&Body { message }).into() }
    }

    pub(crate) fn validation(message: &str) -> Self {
        Self::service(StatusCode::BAD_REQUEST, HeaderValue::from_static("ValidationError"), message)
    }

    /// An exception of a stream that has not started yet.
    pub(crate) fn stream(exception: &Exception) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_type: HeaderValue::from_str(&exception.kind).expect("the name of an exception"),
            body: exception.payload().into(),
        }
    }

    pub(crate) fn not_found(endpoint: &str) -> Self {
        Self::validation(&format!("Endpoint {endpoint} of account {ACCOUNT} not found."))
    }

    /// The error for a path that is not an operation.
    pub(crate) fn unknown_operation() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            error_type: HeaderValue::from_static("UnknownOperationException"),
            body: "<UnknownOperationException/>\n".into(),
        }
    }

    /// The container responded with `status` and the body `original`. The fields are in the order of the real service.
    pub(crate) fn model(
        endpoint: &str,
        region: &str,
        status: u16,
        original: &str,
        message: Option<&str>,
    ) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body<'a> {
            error_code: &'a str,
            log_stream_arn: String,
            message: String,
            original_message: &'a str,
            original_status_code: u16,
        }
        let (side, error_code) = match status {
            400..500 => ("client", "CLIENT_ERROR_FROM_MODEL"),
            _ => ("server", "SERVER_ERROR_FROM_MODEL"),
        };
        let group = format!("/aws/sagemaker/Endpoints/{endpoint}");
        let message = message.map_or_else(
            || {
                format!(
                    "Received {side} error ({status}) from primary with message \"{original}\". See \
                     https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:\
                     group={group} in account {ACCOUNT} for more information."
                )
            },
            Into::into,
        );
        let body = Body {
            error_code,
            log_stream_arn: format!("arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}"),
            message,
            original_message: original,
            original_status_code: status,
        };
        Self {
            status: StatusCode::FAILED_DEPENDENCY,
            error_type: HeaderValue::from_static("ModelError"),
            body: to_json(&body).into(),
        }
    }
}

impl From<SignatureError> for Box<ServiceError> {
    fn from(error: SignatureError) -> Self {
        let error_type = HeaderValue::from_static(error.error_type());
        Self::new(ServiceError::auth(StatusCode::FORBIDDEN, error_type, &error.to_string()))
    }
}

impl IntoResponse for ServiceError {
    fn into_response(self) -> Response<Body> {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ERROR_TYPE, self.error_type),
        ];
        (self.status, headers, self.body).into_response()
    }
}

/// Why the service has no response of the container to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContainerFailure {
    /// The container responded with a status other than 200. Status 0 means no response.
    Model { status: u16, original: String, message: Option<String> },
    /// A stream did not start before its timeout.
    StreamTime,
    /// The emulator is being stopped.
    Stopped,
}

impl ContainerFailure {
    /// There was no response, for this reason.
    pub(crate) fn no_response(why: impl Into<String>) -> Self {
        Self::Model { status: 0, original: why.into(), message: None }
    }

    /// The response broke off or exceeded the limit.
    pub(crate) fn incomplete() -> Self {
        let message = "Received server error (500) from primary and could not load the entire response body.";
        Self::Model { status: 500, original: String::new(), message: Some(message.into()) }
    }

    pub(crate) fn timed_out() -> Self {
        Self::no_response(
            "Your invocation timed out while waiting for a response from container primary. Review the latency \
             metrics for each container in Amazon CloudWatch, resolve the issue, and try again.",
        )
    }

    pub(crate) fn answer(&self, endpoint: &str, region: &str) -> ServiceError {
        match self {
            Self::Model { status, original, message } => {
                ServiceError::model(endpoint, region, *status, original, message.as_deref())
            }
            Self::StreamTime => ServiceError::stream(&Exception::time_exceeded()),
            Self::Stopped => {
                let (error_type, message) = default_error(503);
                let error_type = HeaderValue::from_static(error_type);
                ServiceError::service(StatusCode::SERVICE_UNAVAILABLE, error_type, message)
            }
        }
    }
}

/// The type and message of the service's error with this status.
pub(crate) fn default_error(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("ValidationError", "1 validation error detected"),
        403 => ("AccessDeniedException", "User is not authorized to perform: sagemaker:InvokeEndpoint"),
        429 => ("ThrottlingException", "Rate exceeded"),
        503 => ("ServiceUnavailable", "Service is temporarily unavailable"),
        530 => ("InternalDependencyException", "A dependency of the service failed"),
        _ => ("InternalFailure", "An internal failure occurred"),
    }
}
