//! Asynchronous requests, from the answer that they are taken to the file with the container's.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};
use tokio::time::timeout;

use crate::asynchronous::{Input, Job};
use crate::container_response::{Said, SaidBody};
use crate::error::{ErrorAnswer, Failed, default_error};
use crate::invocation::Invocation;
use crate::limits::Limits;
use crate::script::Rule;

impl Invocation {
    /// Takes an asynchronous request. The container is asked only if there is a place for its answer.
    pub(crate) fn accept(self, rule: Rule, id: &str) -> Result<Response<Body>, Box<ErrorAnswer>> {
        let limits = &self.service.settings.limits;
        let job = Job::parse(&self.parts.headers, &self.body, &self.call.endpoint, &self.region, id, limits)?;
        if let Some(failure) = &rule.failure {
            return Ok(self.failed(failure, &rule.body));
        }
        let accepted = job.accepted();
        if let Some(folder) = self.service.settings.storage.clone() {
            let Ok(permit) = Arc::clone(&self.service.jobs).try_acquire_owned() else {
                let (error_type, message) = default_error(503);
                let error_type = HeaderValue::from_static(error_type);
                return Err(Box::new(ErrorAnswer::service(
                    StatusCode::SERVICE_UNAVAILABLE,
                    error_type,
                    message,
                )));
            };
            let mut alive = self.service.alive.clone();
            tokio::spawn(async move {
                let _permit = permit;
                tokio::select! {
                    () = self.work(&rule, &job, &folder) => {}
                    _ = alive.changed() => {}
                }
            });
        }
        Ok(accepted)
    }

    /// Asks the container, and puts its answer or its failure where the client was told.
    async fn work(&self, rule: &Rule, job: &Job, folder: &Path) {
        let recording = self.record(rule);
        tokio::time::sleep(rule.first_byte).await;
        let answer = self.work_within(rule, job, folder).await;
        if let Some(recording) = recording {
            match &answer {
                Ok(said) => drop(recording.said(said)),
                Err(failed) => recording.failed(failed),
            }
        }
        let answer = match answer {
            Ok(Said { body: SaidBody::Whole(body), .. }) => Ok(body),
            Ok(Said { body: SaidBody::Flow(flow), .. }) => flow.whole().await.ok_or_else(Failed::unloaded),
            Err(failed) => Err(failed),
        };
        let (location, bytes) = match answer {
            Ok(bytes) => (&job.output, bytes),
            Err(failed) => (&job.failure, failed.answer(&self.call.endpoint, &self.region).body),
        };
        let (place, folder) = (location.clone(), folder.to_path_buf());
        let written = blocking(move || place.write(&folder, &bytes)).await;
        if let Err(error) = written {
            self.service.settings.reporter.tell(&format!("{location}: {error}"));
        }
    }

    async fn work_within(&self, rule: &Rule, job: &Job, folder: &Path) -> Result<Said, Failed> {
        let body = match &job.input {
            Input::Inline(body) => body.clone(),
            Input::At(location) => {
                let (place, folder) = (location.clone(), folder.to_path_buf());
                let read = blocking(move || place.read(&folder)).await;
                read.map_err(|error| {
                    Failed::unanswered(format!("The input could not be read from {location}: {error}"))
                })?
            }
        };
        let limits = Limits { unary: job.timeout, ..self.service.settings.limits };
        timeout(job.timeout, self.ask(rule, &body, &limits))
            .await
            .unwrap_or_else(|_| Err(Failed::timed_out()))
    }
}

/// Runs what touches files away from the tasks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(io::Error::other(stopped)),
    }
}
