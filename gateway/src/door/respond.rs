//! Headers and errors of responses.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::Door;
use crate::fault::Fault;
use crate::policy::RateHeaders;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// The ID of a request, in the headers where SDKs look for it: OpenAI's, Anthropic's, AWS's.
const IDS: [HeaderName; 3] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-amzn-requestid"),
];

/// An error in the shape of the client's API.
pub(crate) fn error_response(door: Door, fault: &Fault) -> Response<Bytes> {
    let error = &fault.error;
    let (status, body, name) = match door {
        Door::SageMaker => {
            (error.sagemaker_status(), error.write_sagemaker(door.api()), Some(error.sagemaker_name()))
        }
        Door::Bedrock => (error.status_for(door.api()), error.write(door.api()), Some(error.bedrock_name())),
        _ => (error.status_for(door.api()), error.write(door.api()), None),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if let Some(name) = name {
        headers.insert(ERROR_TYPE, HeaderValue::from_static(name));
    }
    if let Some(delay) = fault.retry_after {
        write_retry_after(headers, delay);
    }
    if let Some(retry) = fault.should_retry {
        headers.insert("x-should-retry", HeaderValue::from_static(if retry { "true" } else { "false" }));
    }
    if let Some(limits) = &fault.limits {
        write_limits(headers, limits, door);
    }
    if let Some(id) = fault.upstream_id.as_deref() {
        write_upstream_id(headers, id);
    }
    response
}

/// When the client may try again: in seconds, in milliseconds for the SDKs of OpenAI and Anthropic, and for those of AWS.
fn write_retry_after(headers: &mut HeaderMap, delay: Duration) {
    let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    headers.insert(RETRY_AFTER, milliseconds.div_ceil(1000).into());
    headers.insert("retry-after-ms", milliseconds.into());
    headers.insert("x-amz-retry-after", milliseconds.into());
}

/// The state of the client's limits: in the headers that gateways have in common, and in those of Anthropic for its clients.
pub(crate) fn write_limits(headers: &mut HeaderMap, limits: &RateHeaders, door: Door) {
    headers.extend(limits.openai());
    if door == Door::Anthropic {
        headers.extend(limits.anthropic(SystemTime::now()));
    }
}

/// The ID that the service gave the call.
pub(crate) fn write_upstream_id(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-sagewire-upstream-id", id);
    }
}

/// The headers that every response has.
pub(crate) fn with_common_headers(headers: &mut HeaderMap, id: &str) {
    let Ok(id) = HeaderValue::from_str(id) else { return };
    for name in IDS {
        headers.insert(name, id.clone());
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
