//! Responds to one authorized request: from the script, an emulated container or a real one.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use tokio::time::Instant;

use crate::call::{Call, Operation};
use crate::container::{self, ContainerFormat};
use crate::container_response::{BodyStream, ContainerResponse, ResponseBody};
use crate::cut;
use crate::error::{ContainerFailure, ServiceError, default_error};
use crate::framing::{FramedStream, Framing};
use crate::gateway;
use crate::headers::{self, CLOSED_SESSION, CUSTOM_ATTRIBUTES, NEW_SESSION, SESSION_ID};
use crate::limits::Limits;
use crate::pace::{Pace, QueueFull, Slot};
use crate::playback::{self, Alive};
use crate::record::Recording;
use crate::script::{Failure, Rule, Source};
use crate::sessions::Outcome;
use crate::socket::ConnectionHandle;
use crate::state::Service;
use crate::upstream::Upstream;

/// An authorized request.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) service: Arc<Service>,
    pub(crate) call: Call,
    pub(crate) region: String,
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
}

impl Invocation {
    /// Responds to a synchronous operation.
    pub(crate) async fn invoke(&self, rule: &Rule, connection_handle: ConnectionHandle) -> Response<Body> {
        let mut alive = self.service.alive.clone();
        let recording = self.record(rule);
        let slot = match &rule.pace {
            Some(pace) => match self.service.slots.acquire(&self.call.endpoint, pace).await {
                Ok(slot) => slot,
                Err(QueueFull) => return self.failed(&Failure::of_service(pace.overload()), &Source::Echo),
            },
            None => None,
        };
        // If the emulator is stopped, the response is not sent anyway.
        let _ = playback::pause(rule.first_byte, &mut alive).await;
        if let Some(failure) = &rule.failure {
            return self.failed(failure, &rule.body);
        }
        let response = tokio::select! {
            biased;
            response = self.invoke_container(rule, &self.body, &self.service.settings.limits) => response,
            _ = alive.changed() => Err(ContainerFailure::Stopped),
        };
        match response {
            Ok(mut response) => {
                if let Some(pace) = &rule.pace {
                    self.pace(pace, &mut response, &mut alive).await;
                }
                self.respond(rule, response, recording, slot, connection_handle, alive)
            }
            Err(failed) => {
                let answer = match self.call.gateway {
                    true => gateway::failed(&failed),
                    false => failed.answer(&self.call.endpoint, &self.region),
                };
                if let Some(recording) = recording {
                    recording.failed(&failed);
                }
                answer.into_response()
            }
        }
    }

    /// The real container, if there is one and the rule leaves the response to it.
    fn upstream(&self, rule: &Rule) -> Option<&Upstream> {
        let is_container =
            rule.failure.is_none() && rule.format.is_none() && matches!(rule.body, Source::Echo);
        self.service.settings.upstream.as_ref().filter(|_| is_container)
    }

    /// Starts a recording. Only a real container is recorded: other responses are in a script already.
    pub(crate) fn record(&self, rule: &Rule) -> Option<Recording> {
        self.upstream(rule)?;
        let recorder = self.service.settings.recorder.as_ref()?;
        Some(recorder.start(&self.call, rule, &self.parts, &self.body))
    }

    /// The response of the container.
    pub(crate) async fn invoke_container(
        &self,
        rule: &Rule,
        body: &Bytes,
        limits: &Limits,
    ) -> Result<ContainerResponse, ContainerFailure> {
        let json = HeaderValue::from_static("application/json");
        let mut response = match &rule.body {
            Source::Bytes(body) => ContainerResponse::ok(json, ResponseBody::Whole(body.clone())),
            Source::Chunks(chunks) => ContainerResponse::ok(
                json,
                ResponseBody::Stream(BodyStream::Scripted(chunks.clone().into_iter())),
            ),
            Source::Echo => match self.upstream(rule) {
                Some(upstream) => {
                    upstream
                        .invoke_container(self.call.operation, &self.parts.headers, body.clone(), limits)
                        .await?
                }
                None => self.echo(rule, body)?,
            },
            Source::File(path) => unreachable!("{} was read with the script", path.display()),
        };
        if let Some(content_type) = &rule.content_type {
            // A recording has an empty content type if the container sent none.
            response.content_type = Some(content_type.clone()).filter(|value| !value.is_empty());
        }
        Ok(response)
    }

    /// The response of the emulated container.
    fn echo(&self, rule: &Rule, body: &[u8]) -> Result<ContainerResponse, ContainerFailure> {
        let headers = headers::to_container(self.call.operation, &self.parts.headers);
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let format = rule.format.unwrap_or(self.service.settings.format);
        if let Some(response) = self.session(format, header(SESSION_ID), body)? {
            return Ok(response);
        }
        let answer = format.respond(&container::Request {
            endpoint: &self.call.endpoint,
            content_type: header(header::CONTENT_TYPE),
            custom_attributes: header(CUSTOM_ATTRIBUTES),
            body,
        });
        match answer {
            Ok(answer) => {
                let content_type = HeaderValue::from_static(answer.content_type);
                Ok(ContainerResponse::ok(content_type, ResponseBody::Whole(answer.body.into())))
            }
            // This route passes the container's error on unchanged.
            Err(refusal) if self.call.operation == Operation::OpenAi => {
                let json = HeaderValue::from_static("application/json");
                let status =
                    StatusCode::from_u16(refusal.status).expect("a container's status is one of HTTP");
                Ok(ContainerResponse {
                    status,
                    ..ContainerResponse::ok(json, ResponseBody::Whole(refusal.body.into()))
                })
            }
            Err(refusal) => {
                Err(ContainerFailure::Model { status: refusal.status, original: refusal.body, message: None })
            }
        }
    }

    /// The response to a request that opens or closes a session. `None` if it is for the model.
    fn session(
        &self,
        format: ContainerFormat,
        id: &str,
        body: &[u8],
    ) -> Result<Option<ContainerResponse>, ContainerFailure> {
        let operation = self.call.operation;
        let is_supported = matches!(operation, Operation::Unary | Operation::Stream) && !self.call.gateway;
        if !is_supported || !format.has_sessions() {
            return Ok(None);
        }
        let id = Some(id).filter(|id| !id.is_empty());
        let outcome = self.service.sessions.handle(&self.call.endpoint, id, body, SystemTime::now());
        let (name, value, text) = match outcome {
            Outcome::Model => return Ok(None),
            Outcome::Opened { id, header } => (NEW_SESSION, header, format!("Session {id} created")),
            Outcome::Closed { id } => (CLOSED_SESSION, id.clone(), format!("Session {id} closed")),
            Outcome::Refused(status, message) => {
                let original = format.session_error(status, &message);
                return Err(ContainerFailure::Model { status, original, message: None });
            }
        };
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        let mut response = ContainerResponse::ok(content_type, ResponseBody::Whole(text.into()));
        let value = HeaderValue::from_str(&value).expect("an ID and a time are a header value");
        let sent = HeaderMap::from_iter([(name, value)]);
        response.headers = headers::from_container(operation, &sent);
        Ok(Some(response))
    }

    /// Gives the parts of a streamed response their times, or waits until a container would have generated a whole one. The body of
    /// a real container has its own times.
    async fn pace(&self, pace: &Pace, response: &mut ContainerResponse, alive: &mut Alive) {
        let ResponseBody::Whole(body) = &response.body else { return };
        let content_type = response.content_type.as_ref().and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default();
        let request = self.service.next_paced();
        if self.call.operation == Operation::Stream || cut::is_sse(content_type) {
            if let Some(parts) = pace.parts(body, content_type, request) {
                let parts = BodyStream::Paced(Instant::now(), parts.into_iter());
                response.body = ResponseBody::Stream(parts);
            }
        } else if let Some(time) = pace.whole(body, request) {
            // If the emulator is stopped, the response is not sent anyway.
            let _ = playback::pause(time, alive).await;
        }
    }

    fn respond(
        &self,
        rule: &Rule,
        container: ContainerResponse,
        recording: Option<Recording>,
        slot: Option<Slot>,
        connection_handle: ConnectionHandle,
        alive: Alive,
    ) -> Response<Body> {
        let recording = recording.and_then(|recording| recording.response(&container));
        let operation = self.call.operation;
        let framing = Framing::new(operation, container.content_type.as_ref(), rule);
        let body = match container.body {
            ResponseBody::Whole(body) => {
                playback::body(framing.whole(&body), rule.pause, slot, connection_handle, alive)
            }
            ResponseBody::Stream(flow) => playback::stream(
                FramedStream::new(flow, framing, recording),
                rule.pause,
                slot,
                connection_handle,
                alive,
            ),
        };
        let mut response = Response::new(body);
        *response.status_mut() = container.status;
        *response.headers_mut() =
            headers::for_response(operation, &self.parts.headers, &container.headers, container.content_type);
        if self.call.gateway {
            headers::remove_service(response.headers_mut());
        }
        response
    }

    /// The response of a rule with a status other than 200.
    pub(crate) fn failed(&self, failure: &Failure, body: &Source) -> Response<Body> {
        match body {
            // This route passes the container's error on unchanged.
            Source::Bytes(body)
                if self.call.operation == Operation::OpenAi && failure.original_status.is_none() =>
            {
                let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
                let status = StatusCode::from_u16(failure.status).expect("the script was checked");
                (status, headers, body.clone()).into_response()
            }
            _ => self.service_error(failure, body).into_response(),
        }
    }

    fn service_error(&self, failure: &Failure, body: &Source) -> ServiceError {
        let status = StatusCode::from_u16(failure.status).expect("the script was checked");
        let message = failure.message.as_deref();
        let mut answer = match body {
            Source::Bytes(original) if failure.status == 424 => {
                self.model_error(failure, &String::from_utf8_lossy(original))
            }
            _ if failure.status == 424 => self.model_error(failure, OUT_OF_MEMORY),
            Source::Bytes(body) => {
                let (error_type, _) = self.default_error(failure.status);
                ServiceError { status, error_type: HeaderValue::from_static(error_type), body: body.clone() }
            }
            _ => {
                let (error_type, default_message) = self.default_error(failure.status);
                let shape = if failure.status == 403 { ServiceError::auth } else { ServiceError::service };
                shape(status, HeaderValue::from_static(error_type), message.unwrap_or(&default_message))
            }
        };
        if let Some(error_type) = &failure.error_type {
            answer.error_type = error_type.clone();
        }
        answer
    }

    fn model_error(&self, failure: &Failure, original: &str) -> ServiceError {
        let (status, message) = (failure.original_status.unwrap_or(500), failure.message.as_deref());
        ServiceError::model(&self.call.endpoint, &self.region, status, original, message)
    }

    /// The type and the message of the error with this status.
    fn default_error(&self, status: u16) -> (&'static str, String) {
        if self.call.gateway {
            return gateway::default_error(status);
        }
        let (error_type, message) = default_error(status);
        (error_type, message.into())
    }
}

/// The error of a container without a body in the script.
const OUT_OF_MEMORY: &str =
    r#"{"error":{"message":"out of memory","type":"InternalServerError","param":null,"code":500}}"#;
