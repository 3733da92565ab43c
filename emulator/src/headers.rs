//! The headers that the service passes to the container and back.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::call::Operation;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
pub(crate) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
pub(crate) const CUSTOM_ATTRIBUTES: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-custom-attributes");
/// Passed on by gateways only.
pub(crate) const IDENTITY_TOKEN: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-customer-identity-token");
const VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");
const CONTAINER_CONTENT_TYPE: HeaderName = HeaderName::from_static("x-amzn-sagemaker-content-type");
const TARGET_VARIANT: HeaderName = HeaderName::from_static("x-amzn-sagemaker-target-variant");
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("x-amzn-sagemaker-session-id");
pub(crate) const NEW_SESSION: HeaderName = HeaderName::from_static("x-amzn-sagemaker-new-session-id");
pub(crate) const CLOSED_SESSION: HeaderName = HeaderName::from_static("x-amzn-sagemaker-closed-session-id");

/// The headers of `InvokeEndpoint`: the client's name and the container's name of each.
const UNARY: &[(&str, &str)] = &[
    ("content-type", "content-type"),
    ("accept", "accept"),
    ("x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-custom-attributes"),
    ("x-amzn-sagemaker-target-model", "x-amzn-sagemaker-target-model"),
    ("x-amzn-sagemaker-target-variant", "x-amzn-sagemaker-target-variant"),
    ("x-amzn-sagemaker-target-container-hostname", "x-amzn-sagemaker-target-container-hostname"),
    ("x-amzn-sagemaker-inference-id", "x-amzn-sagemaker-inference-id"),
    ("x-amzn-sagemaker-enable-explanations", "x-amzn-sagemaker-enable-explanations"),
    ("x-amzn-sagemaker-inference-component", "x-amzn-sagemaker-inference-component"),
    ("x-amzn-sagemaker-session-id", "x-amzn-sagemaker-session-id"),
    ("x-amzn-sagemaker-prefix-aware-id", "x-amzn-sagemaker-prefix-aware-id"),
    ("x-amzn-sagemaker-customer-identity-token", "x-amzn-sagemaker-customer-identity-token"),
];

const STREAM: &[(&str, &str)] = &[
    ("content-type", "content-type"),
    ("x-amzn-sagemaker-accept", "accept"),
    ("x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-custom-attributes"),
    ("x-amzn-sagemaker-target-variant", "x-amzn-sagemaker-target-variant"),
    ("x-amzn-sagemaker-target-container-hostname", "x-amzn-sagemaker-target-container-hostname"),
    ("x-amzn-sagemaker-inference-id", "x-amzn-sagemaker-inference-id"),
    ("x-amzn-sagemaker-inference-component", "x-amzn-sagemaker-inference-component"),
    ("x-amzn-sagemaker-session-id", "x-amzn-sagemaker-session-id"),
    ("x-amzn-sagemaker-prefix-aware-id", "x-amzn-sagemaker-prefix-aware-id"),
    ("x-amzn-sagemaker-customer-identity-token", "x-amzn-sagemaker-customer-identity-token"),
];

const ASYNCHRONOUS: &[(&str, &str)] = &[
    ("x-amzn-sagemaker-content-type", "content-type"),
    ("x-amzn-sagemaker-accept", "accept"),
    ("x-amzn-sagemaker-custom-attributes", "x-amzn-sagemaker-custom-attributes"),
    ("x-amzn-sagemaker-inference-id", "x-amzn-sagemaker-inference-id"),
];

/// Headers that belong to a connection instead of a response, or that are written again.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::DATE,
];

/// The headers that the container receives. "SageMaker strips all POST headers except those supported by the API",
/// such as `Authorization` and custom headers.
pub(crate) fn to_container(operation: Operation, headers: &HeaderMap) -> HeaderMap {
    let table = match operation {
        Operation::Unary | Operation::OpenAi => UNARY,
        Operation::Stream => STREAM,
        Operation::Asynchronous => ASYNCHRONOUS,
    };
    let passed = table.iter().filter_map(|(received, sent)| {
        headers.get(*received).map(|value| (HeaderName::from_static(sent), value.clone()))
    });
    passed.collect()
}

/// The container's headers that the client receives, without the content type.
pub(crate) fn from_container(operation: Operation, headers: &HeaderMap) -> HeaderMap {
    let passes = |name: &HeaderName| match operation {
        Operation::Unary => [CUSTOM_ATTRIBUTES, NEW_SESSION, CLOSED_SESSION].contains(name),
        Operation::Stream => *name == CUSTOM_ATTRIBUTES,
        Operation::Asynchronous => false,
        Operation::OpenAi => !HOP_BY_HOP.contains(name) && *name != header::CONTENT_TYPE,
    };
    let passed = headers.iter().filter(|(name, _)| passes(name));
    passed.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The headers of a response with status 200: those of the container and those that the service adds.
pub(crate) fn for_response(
    operation: Operation,
    request: &HeaderMap,
    container: &HeaderMap,
    content_type: Option<HeaderValue>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if operation != Operation::OpenAi {
        let variant = request.get(TARGET_VARIANT).cloned();
        headers.insert(VARIANT, variant.unwrap_or(HeaderValue::from_static("AllTraffic")));
        // The service sends an empty header if the container sets none.
        headers.insert(CUSTOM_ATTRIBUTES, HeaderValue::from_static(""));
    }
    for name in container.keys() {
        headers.remove(name);
    }
    for (name, value) in container {
        headers.append(name, value.clone());
    }
    let mut named = header::CONTENT_TYPE;
    if operation == Operation::Stream {
        headers.insert(named, HeaderValue::from_static("application/vnd.amazon.eventstream"));
        named = CONTAINER_CONTENT_TYPE;
    }
    if let Some(content_type) = content_type {
        headers.insert(named, content_type);
    }
    headers
}

/// Removes the headers that only SageMaker Runtime adds to a response.
pub(crate) fn remove_service(headers: &mut HeaderMap) {
    for name in [VARIANT, CUSTOM_ATTRIBUTES, CONTAINER_CONTENT_TYPE, NEW_SESSION, CLOSED_SESSION] {
        headers.remove(name);
    }
}
