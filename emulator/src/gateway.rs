//! The Global Inference Gateway of SageMaker HyperPod: what it insists on, and its errors.
//!
//! Source: the model of the service `sagemaker-gateway-runtime` (2026-10-01) in the AWS SDKs. That an error of the model server
//! becomes status 502 is inferred from the errors of that model and the heads of their messages.

use std::fmt;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::call::{Call, Operation};
use crate::error::{ContainerFailure, ServiceError};
use crate::headers::IDENTITY_TOKEN;

/// The largest body of a request.
const BODY_MAX: usize = 10 << 20;
/// Most bytes of the model server's error that the gateway quotes.
const QUOTE_MAX: usize = 256;
/// The names of the errors, and the messages of those that the service itself reports.
const ERRORS: [(u16, &str, &str); 10] = [
    (400, "ValidationException", "the request is not valid"),
    (403, "AccessDeniedException", "not authorized to perform sagemaker:InvokeGlobalInferenceGateway"),
    (404, "ResourceNotFoundException", "the gateway does not exist"),
    (413, "PayloadTooLargeException", "the request is larger than 10 MiB"),
    (415, "UnsupportedMediaTypeException", "the content type has to be application/json"),
    (429, "ThrottlingException", "rate exceeded"),
    (500, "InternalServerException", "internal error"),
    (502, "BadGatewayException", "could not reach a cluster"),
    (503, "ServiceUnavailableException", "no cluster is available"),
    (504, "GatewayTimeoutException", "timed out"),
];

/// The error of the service itself with this status: its type and its message.
pub(crate) fn default_error(status: u16) -> (&'static str, String) {
    let found = ERRORS.iter().find(|(known, ..)| *known == status);
    let (_, error_type, message) = found.unwrap_or(&ERRORS[6]);
    (error_type, format!("Global Inference Gateway: {message}"))
}

pub(crate) fn error(status: u16, message: Option<&str>) -> ServiceError {
    let (error_type, default) = default_error(status);
    let status = StatusCode::from_u16(status).expect("a status of HTTP");
    ServiceError::service(status, HeaderValue::from_static(error_type), message.unwrap_or(&default))
}

/// The gateway does not exist.
pub(crate) fn not_found(id: &str) -> ServiceError {
    let (_, message) = default_error(404);
    let body = json!({ "Message": message, "ResourceId": id, "ResourceType": "GlobalInferenceGateway" });
    ServiceError { body: body.to_string().into(), ..error(404, None) }
}

/// The error for a failure of the container, which is the model server of a cluster.
pub(crate) fn failed(failure: &ContainerFailure) -> ServiceError {
    match failure {
        ContainerFailure::Model { status: 0, .. } => error(502, None),
        ContainerFailure::Model { original, .. } if original.is_empty() => {
            error(502, Some("inference gateway: response ended unexpectedly"))
        }
        ContainerFailure::Model { status, original, .. } => {
            let end = (0..=QUOTE_MAX).rev().find(|end| original.is_char_boundary(*end)).unwrap_or_default();
            let quoted = original.get(..end).unwrap_or(original);
            error(502, Some(&format!("inference gateway (model server): {status} {quoted}")))
        }
        ContainerFailure::StreamTime => error(504, None),
        ContainerFailure::Stopped => error(503, None),
    }
}

/// Checks a request, and converts it to what the model server gets: `stream` follows from the operation, and of the headers
/// only the media types and the token of the customer are left.
pub(crate) fn admit(call: &Call, parts: &mut Parts, body: &Bytes) -> Result<Bytes, Box<ServiceError>> {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Box::new(error(415, None)));
    }
    if body.len() > BODY_MAX {
        return Err(Box::new(error(413, None)));
    }
    let is_stream = call.operation == Operation::Stream;
    let body = Body::read(body)
        .map_err(|reason| Box::new(error(400, Some(&format!("Global Inference Gateway: {reason}")))))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &parts.headers {
        let is_passed = [header::ACCEPT, header::CONTENT_TYPE, IDENTITY_TOKEN].contains(name);
        // The streaming operation of an endpoint has another name for `accept`.
        let name = match *name {
            header::ACCEPT if is_stream => HeaderName::from_static("x-amzn-sagemaker-accept"),
            _ if is_passed => name.clone(),
            _ => continue,
        };
        headers.insert(name, value.clone());
    }
    parts.headers = headers;
    Ok(body.streamed(is_stream))
}

/// A request: its fields in order, of which a name may be repeated.
struct Body(Vec<(String, Value)>);

impl Body {
    fn read(body: &[u8]) -> Result<Self, String> {
        let body: Self =
            serde_json::from_slice(body).map_err(|error| format!("the body is no JSON object: {error}"))?;
        let mut models = body.0.iter().filter(|(name, _)| name == "model").map(|(_, value)| value);
        let model = models.next().and_then(Value::as_str).filter(|model| !model.is_empty());
        match model {
            None => Err("model is required".into()),
            Some(model) if models.any(|other| other != model) => Err("model is given twice".into()),
            Some(_) => Ok(body),
        }
    }

    fn streamed(self, is_stream: bool) -> Bytes {
        let mut object: Map<String, Value> = self.0.into_iter().collect();
        object.insert("stream".into(), is_stream.into());
        Value::Object(object).to_string().into()
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Body(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
