//! Processes asynchronous requests: accepts them, invokes the container, and writes its response to storage.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode};
use tokio::time::timeout;

use crate::asynchronous::{Input, Job};
use crate::container_response::{ContainerResponse, ResponseBody};
use crate::error::{ContainerFailure, ServiceError, default_error};
use crate::invocation::Invocation;
use crate::limits::Limits;
use crate::script::Rule;

impl Invocation {
    /// Accepts an asynchronous request. The container is invoked only if there is storage for its response.
    pub(crate) fn accept(self, rule: Rule, id: &str) -> Result<Response<Body>, Box<ServiceError>> {
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
                return Err(Box::new(ServiceError::service(
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

    /// Invokes the container and writes its response or failure to the location that the client was given.
    async fn work(&self, rule: &Rule, job: &Job, folder: &Path) {
        let recording = self.record(rule);
        tokio::time::sleep(rule.first_byte).await;
        let answer = self.work_within(rule, job, folder).await;
        if let Some(recording) = recording {
            match &answer {
                Ok(response) => drop(recording.response(response)),
                Err(failed) => recording.failed(failed),
            }
        }
        let answer = match answer {
            Ok(ContainerResponse { body: ResponseBody::Whole(body), .. }) => Ok(body),
            Ok(ContainerResponse { body: ResponseBody::Stream(flow), .. }) => {
                flow.whole().await.ok_or_else(ContainerFailure::incomplete)
            }
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

    async fn work_within(
        &self,
        rule: &Rule,
        job: &Job,
        folder: &Path,
    ) -> Result<ContainerResponse, ContainerFailure> {
        let body = match &job.input {
            Input::Inline(body) => body.clone(),
            Input::At(location) => {
                let (place, folder) = (location.clone(), folder.to_path_buf());
                let read = blocking(move || place.read(&folder)).await;
                read.map_err(|error| {
                    ContainerFailure::no_response(format!(
                        "The input could not be read from {location}: {error}"
                    ))
                })?
            }
        };
        let limits = Limits { unary: job.timeout, ..self.service.settings.limits };
        timeout(job.timeout, self.invoke_container(rule, &body, &limits))
            .await
            .unwrap_or_else(|_| Err(ContainerFailure::timed_out()))
    }
}

/// Runs file I/O on a blocking thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(io::Error::other(stopped)),
    }
}
