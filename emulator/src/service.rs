//! Handles requests: authorizes them, finds the rule and responds.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response};
use axum::response::IntoResponse;
use bytes::Bytes;

use crate::bearer;
use crate::call::{Call, Operation};
use crate::error::ServiceError;
use crate::headers::REQUEST_ID;
use crate::invocation::Invocation;
use crate::log::{self, Observer};
use crate::sigv4;
use crate::socket::ConnectionHandle;
use crate::state::Service;

fn authorize(service: &Service, parts: &Parts, body: &[u8]) -> Result<(Call, String), Box<ServiceError>> {
    let call = Call::parse(&parts.method, parts.uri.path()).ok_or_else(ServiceError::unknown_operation)?;
    let (credentials, now) = (&service.settings.credentials, SystemTime::now());
    let region = match call.operation {
        Operation::OpenAi => bearer::verify(&parts.headers, credentials, now)?,
        _ => sigv4::verify(parts, body, credentials, now)?,
    };
    if !call.has_endpoint_name() {
        return Err(Box::new(ServiceError::validation(&format!(
            "1 validation error detected: Value '{}' at 'endpointName' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*",
            call.endpoint
        ))));
    }
    Ok((call, region))
}

async fn respond(
    service: &Arc<Service>,
    parts: Parts,
    body: Bytes,
    id: &str,
    connection_handle: ConnectionHandle,
) -> Result<Response<Body>, Box<ServiceError>> {
    let (call, region) = authorize(service, &parts, &body)?;
    let rule = service.rule(&call.endpoint).ok_or_else(|| ServiceError::not_found(&call.endpoint))?.clone();
    let invocation = Invocation { service: Arc::clone(service), call, region, parts, body };
    let headers = rule.headers.clone();
    let mut response = match invocation.call.operation {
        Operation::Asynchronous => invocation.accept(rule, id)?,
        _ => invocation.invoke(&rule, connection_handle).await,
    };
    for (name, value) in &headers {
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}

/// Responds to every request.
pub(crate) async fn handle(
    State(service): State<Arc<Service>>,
    ConnectInfo(connection_handle): ConnectInfo<ConnectionHandle>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let id = service.next_request_id();
    let len_max = service.settings.limits.request_len;
    let mut response = match to_bytes(body, len_max).await {
        Ok(body) => {
            let request = log::Request::new(&parts, body.clone());
            let observed = service.settings.observer.as_ref().map(|observer| (observer, request.clone()));
            service.settings.log.push(request);
            let response = respond(&service, parts, body, &id, connection_handle)
                .await
                .unwrap_or_else(|error| error.into_response());
            if let Some((Observer(tell), request)) = observed {
                tell(&request, response.status().as_u16());
            }
            response
        }
        Err(_) => {
            let message = format!("The request's body could not be read, or is longer than {len_max} bytes");
            ServiceError::validation(&message).into_response()
        }
    };
    let id = HeaderValue::from_str(&id);
    response.headers_mut().insert(REQUEST_ID, id.expect("digits are a header value"));
    response
}
