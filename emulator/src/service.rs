//! Handles requests: authorizes them, finds the rule and responds.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response};
use axum::response::IntoResponse;
use futures_util::StreamExt;
use hyper::body::Body as _;
use sagewire_sigv4::{SignatureError, SignedHead, bearer};
use tokio::time::timeout;

use crate::call::{Call, Operation};
use crate::error::ServiceError;
use crate::gateway;
use crate::headers::{IDENTITY_TOKEN, REQUEST_ID, SESSION_ID};
use crate::invocation::Invocation;
use crate::limits::Limits;
use crate::log::{self, Observer};
use crate::origin;
use crate::socket::ConnectionHandle;
use crate::state::Service;

/// The service name in signatures, which differs from the host name.
const SERVICE: &str = "sagemaker";

/// What is still to be verified when the body has arrived.
enum Authorization<'a> {
    Signature(SignedHead<'a>),
    /// A bearer token was verified. The region is that of the token.
    Region(String),
}

impl<'a> Authorization<'a> {
    /// Checks what can be checked without the body.
    fn check(
        operation: Operation,
        parts: &'a Parts,
        credentials: &Credentials,
    ) -> Result<Self, SignatureError> {
        let check_key = |id: &str| match id == credentials.access_key_id() {
            true => Ok(()),
            false => Err(SignatureError::unknown_credentials()),
        };
        let now = SystemTime::now();
        if operation == Operation::OpenAi {
            let token = bearer::Token::parse(&parts.headers)?;
            check_key(token.access_key_id())?;
            token.verify(credentials.secret_access_key(), credentials.session_token(), now)?;
            return Ok(Self::Region(token.region().into()));
        }
        let head = SignedHead::parse(parts, &[SERVICE], now)?;
        check_key(head.access_key_id())?;
        Ok(Self::Signature(head))
    }

    /// Verifies the signature. Returns the region.
    fn verify(self, body: &[u8], credentials: &Credentials) -> Result<String, SignatureError> {
        match self {
            Self::Signature(head) => {
                head.verify(body, credentials.secret_access_key(), credentials.session_token())?;
                Ok(head.region().into())
            }
            Self::Region(region) => Ok(region),
        }
    }
}

/// Checks everything that can be checked without the body.
fn check_head<'a>(
    service: &Service,
    parts: &'a Parts,
    body: &Body,
) -> Result<(Call, Authorization<'a>), Box<ServiceError>> {
    origin::check(parts, &service.settings.allowed_hosts)?;
    let call = Call::parse(&parts.method, parts.uri.path()).ok_or_else(ServiceError::unknown_operation)?;
    let authorization = Authorization::check(call.operation, parts, &service.settings.credentials)?;
    let len_max = service.settings.limits.request_len;
    if body.size_hint().lower() > len_max as u64 {
        return Err(too_long(len_max));
    }
    Ok((call, authorization))
}

/// Reads the body of a request whose head has been checked, and verifies the signature.
async fn receive(
    service: &Service,
    parts: &Parts,
    body: Body,
    request: &mut log::Request,
) -> Result<(Call, String), Box<ServiceError>> {
    let Limits { request_len, receive, .. } = service.settings.limits;
    let (call, authorization) = match check_head(service, parts, &body) {
        Ok(checked) => checked,
        Err(error) => {
            // A client may not read the response before it has sent its request.
            if body.size_hint().lower() <= request_len as u64 {
                let _ = timeout(receive, discard(body, request_len)).await;
            }
            return Err(error);
        }
    };
    request.body = match timeout(receive, to_bytes(body, request_len)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(too_long(request_len)),
        Err(_) => {
            let message = format!("The request's body did not arrive within {} seconds", receive.as_secs());
            return Err(Box::new(ServiceError::validation(&message)));
        }
    };
    let region = authorization.verify(&request.body, &service.settings.credentials)?;
    if call.gateway && !call.has_endpoint_name() {
        return Err(Box::new(gateway::error(400, None)));
    }
    if !call.has_endpoint_name() {
        return Err(Box::new(ServiceError::validation(&format!(
            "1 validation error detected: Value '{}' at 'endpointName' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*",
            call.endpoint
        ))));
    }
    let session = parts.headers.get(SESSION_ID);
    if call.operation == Operation::Stream && session.is_some_and(|id| id == "NEW_SESSION") {
        let message = "A stateful session cannot be created by InvokeEndpointWithResponseStream";
        return Err(Box::new(ServiceError::validation(message)));
    }
    Ok((call, region))
}

/// Receives a body without keeping it.
async fn discard(body: Body, mut len_max: usize) {
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        let Some(left) = len_max.checked_sub(chunk.len()) else { return };
        len_max = left;
    }
}

fn too_long(len_max: usize) -> Box<ServiceError> {
    let message = format!("The request's body could not be read, or is longer than {len_max} bytes");
    Box::new(ServiceError::validation(&message))
}

async fn respond(
    mut invocation: Invocation,
    id: &str,
    connection_handle: ConnectionHandle,
) -> Result<Response<Body>, Box<ServiceError>> {
    if invocation.call.gateway {
        let Invocation { call, parts, body, .. } = &mut invocation;
        *body = gateway::admit(call, parts, body)?;
    } else {
        invocation.parts.headers.remove(IDENTITY_TOKEN);
    }
    let Invocation { service, call, .. } = &invocation;
    let not_found = if call.gateway { gateway::not_found } else { ServiceError::not_found };
    let rule = service.rule(&call.endpoint).ok_or_else(|| not_found(&call.endpoint))?.clone();
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
    service: Arc<Service>,
    connection_handle: ConnectionHandle,
    request: Request,
) -> Response<Body> {
    connection_handle.set_request();
    let (parts, body) = request.into_parts();
    let id = service.next_request_id();
    let mut request = log::Request::new(&parts);
    let received = receive(&service, &parts, body, &mut request).await;
    service.settings.log.push(request.clone());
    let response = match received {
        Ok((call, region)) => {
            let (service, body) = (Arc::clone(&service), request.body.clone());
            respond(Invocation { service, call, region, parts, body }, &id, connection_handle).await
        }
        Err(error) => Err(error),
    };
    let mut response = response.unwrap_or_else(|error| error.into_response());
    if let Some(Observer(tell)) = &service.settings.observer {
        tell(&request, response.status().as_u16());
    }
    let id = HeaderValue::from_str(&id);
    response.headers_mut().insert(REQUEST_ID, id.expect("digits are a header value"));
    response
}
