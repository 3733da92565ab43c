//! One request that is allowed, and who answers it: the script, an emulated container or a real one.

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;

use crate::call::{Call, Operation};
use crate::container;
use crate::error::{ErrorAnswer, Failed, default_error};
use crate::feed::{Feed, Flow, Framing, Said, SaidBody};
use crate::front::{self, CUSTOM_ATTRIBUTES};
use crate::limits::Limits;
use crate::playback::{self, Alive};
use crate::record::Recording;
use crate::script::{Failure, Rule, Source};
use crate::service::Service;
use crate::socket::Hold;
use crate::upstream::Upstream;

/// A request that is allowed.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) service: Arc<Service>,
    pub(crate) call: Call,
    pub(crate) region: String,
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
}

impl Invocation {
    /// What the client gets from an operation that answers at once.
    pub(crate) async fn invoke(&self, rule: &Rule, hold: Hold) -> Response<Body> {
        let mut alive = self.service.alive.clone();
        let recording = self.record(rule);
        // An emulator that is gone answers at once, to nobody.
        let _ = playback::pause(rule.first_byte, &mut alive).await;
        if let Some(failure) = &rule.failure {
            return self.failed(failure, &rule.body);
        }
        let said = tokio::select! {
            biased;
            said = self.ask(rule, &self.body, &self.service.settings.limits) => said,
            _ = alive.changed() => Err(Failed::Stopped),
        };
        match said {
            Ok(said) => self.respond(rule, said, recording, hold, alive),
            Err(failed) => {
                let answer = failed.answer(&self.call.endpoint, &self.region);
                if let Some(recording) = recording {
                    recording.failed(&failed);
                }
                answer.into_response()
            }
        }
    }

    /// The real container that answers for this rule, if there is one.
    fn upstream(&self, rule: &Rule) -> Option<&Upstream> {
        let is_container =
            rule.failure.is_none() && rule.format.is_none() && matches!(rule.body, Source::Echo);
        self.service.settings.upstream.as_ref().filter(|_| is_container)
    }

    /// Only a real container is recorded: the other answers are in a script already.
    pub(crate) fn record(&self, rule: &Rule) -> Option<Recording> {
        self.upstream(rule)?;
        let recorder = self.service.settings.recorder.as_ref()?;
        Some(recorder.start(&self.call, rule, &self.parts, &self.body))
    }

    /// What the container answers.
    pub(crate) async fn ask(&self, rule: &Rule, body: &Bytes, limits: &Limits) -> Result<Said, Failed> {
        let json = HeaderValue::from_static("application/json");
        let mut said = match &rule.body {
            Source::Bytes(body) => Said::ok(json, SaidBody::Whole(body.clone())),
            Source::Chunks(chunks) => {
                Said::ok(json, SaidBody::Flow(Flow::Scripted(chunks.clone().into_iter())))
            }
            Source::Echo => match self.upstream(rule) {
                Some(upstream) => {
                    upstream.ask(self.call.operation, &self.parts.headers, body.clone(), limits).await?
                }
                None => self.echo(rule, body)?,
            },
            Source::File(path) => unreachable!("{} was read with the script", path.display()),
        };
        if let Some(content_type) = &rule.content_type {
            // A recording says so where the container named none.
            said.content_type = Some(content_type.clone()).filter(|value| !value.is_empty());
        }
        Ok(said)
    }

    /// What the emulated container answers.
    fn echo(&self, rule: &Rule, body: &[u8]) -> Result<Said, Failed> {
        let headers = front::to_container(self.call.operation, &self.parts.headers);
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let answer = rule.format.unwrap_or(self.service.settings.format).answer(&container::Request {
            endpoint: &self.call.endpoint,
            content_type: header(header::CONTENT_TYPE),
            custom_attributes: header(CUSTOM_ATTRIBUTES),
            body,
        });
        match answer {
            Ok(answer) => {
                let content_type = HeaderValue::from_static(answer.content_type);
                Ok(Said::ok(content_type, SaidBody::Whole(answer.body.into())))
            }
            // On this route a container's error passes as it is.
            Err(refusal) if self.call.operation == Operation::OpenAi => {
                let json = HeaderValue::from_static("application/json");
                let status =
                    StatusCode::from_u16(refusal.status).expect("a container's status is one of HTTP");
                Ok(Said { status, ..Said::ok(json, SaidBody::Whole(refusal.body.into())) })
            }
            Err(refusal) => {
                Err(Failed::Model { status: refusal.status, original: refusal.body, message: None })
            }
        }
    }

    fn respond(
        &self,
        rule: &Rule,
        said: Said,
        recording: Option<Recording>,
        hold: Hold,
        alive: Alive,
    ) -> Response<Body> {
        let recording = recording.and_then(|recording| recording.said(&said));
        let operation = self.call.operation;
        let framing = Framing::new(operation, said.content_type.as_ref(), rule);
        let body = match said.body {
            SaidBody::Whole(body) => playback::body(framing.whole(&body), rule.pause, hold, alive),
            SaidBody::Flow(flow) => {
                playback::stream(Feed::new(flow, framing, recording), rule.pause, hold, alive)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = said.status;
        *response.headers_mut() =
            front::answer(operation, &self.parts.headers, &said.headers, said.content_type);
        response
    }

    /// What a rule with a status other than 200 answers.
    pub(crate) fn failed(&self, failure: &Failure, body: &Source) -> Response<Body> {
        match body {
            // On this route a container's error passes as it is.
            Source::Bytes(body)
                if self.call.operation == Operation::OpenAi && failure.original_status.is_none() =>
            {
                let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
                let status = StatusCode::from_u16(failure.status).expect("the script was checked");
                (status, headers, body.clone()).into_response()
            }
            _ => failed(failure, body, &self.call.endpoint, &self.region).into_response(),
        }
    }
}

fn failed(failure: &Failure, body: &Source, endpoint: &str, region: &str) -> ErrorAnswer {
    let status = StatusCode::from_u16(failure.status).expect("the script was checked");
    let (error_type, default_message) = default_error(failure.status);
    let message = failure.message.as_deref();
    let original_status = failure.original_status.unwrap_or(500);
    let mut answer = match body {
        Source::Bytes(original) if failure.status == 424 => {
            let original = String::from_utf8_lossy(original);
            ErrorAnswer::model(endpoint, region, original_status, &original, message)
        }
        _ if failure.status == 424 => {
            let original = r#"{"error":{"message":"out of memory","type":"InternalServerError","param":null,"code":500}}"#;
            ErrorAnswer::model(endpoint, region, original_status, original, message)
        }
        Source::Bytes(body) => {
            ErrorAnswer { status, error_type: HeaderValue::from_static(error_type), body: body.clone() }
        }
        _ => {
            let shape = if failure.status == 403 { ErrorAnswer::auth } else { ErrorAnswer::service };
            shape(status, HeaderValue::from_static(error_type), message.unwrap_or(default_message))
        }
    };
    if let Some(error_type) = &failure.error_type {
        answer.error_type = error_type.clone();
    }
    answer
}
