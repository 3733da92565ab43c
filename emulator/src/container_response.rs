//! The response of a container, as the service passes it on.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// The response of a container, with the headers that the service passes on.
#[derive(Debug)]
pub(crate) struct ContainerResponse {
    /// 200, or any status on the OpenAI route.
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: ResponseBody,
}

impl ContainerResponse {
    pub(crate) fn ok(content_type: HeaderValue, body: ResponseBody) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), content_type: Some(content_type), body }
    }
}

#[derive(Debug)]
pub(crate) enum ResponseBody {
    Whole(Bytes),
    Stream(BodyStream),
}

/// A body that arrives in chunks.
#[derive(Debug)]
pub(crate) enum BodyStream {
    /// The chunks of a script, each after a pause.
    Scripted(std::vec::IntoIter<(Duration, Bytes)>),
    /// Chunks, each at its time from the start.
    Paced(Instant, std::vec::IntoIter<(Duration, Bytes)>),
    Upstream(UpstreamBody),
}

/// What the next read of a body returns.
#[derive(Debug)]
pub(crate) enum BodyEvent {
    Chunk(Bytes),
    End,
    /// The container closed the connection early.
    Broken,
    TimeExceeded,
}

impl BodyStream {
    pub(crate) async fn next(&mut self) -> BodyEvent {
        match self {
            Self::Scripted(chunks) => {
                let Some((pause, bytes)) = chunks.next() else { return BodyEvent::End };
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                BodyEvent::Chunk(bytes)
            }
            Self::Paced(start, chunks) => {
                let Some((time, bytes)) = chunks.next() else { return BodyEvent::End };
                // Counted from the start, so that delays do not add up.
                sleep_until(*start + time).await;
                BodyEvent::Chunk(bytes)
            }
            Self::Upstream(stream) => stream.next().await,
        }
    }

    /// Reads the body to its end. `None` if it breaks off.
    pub(crate) async fn whole(mut self) -> Option<Bytes> {
        let mut whole = Vec::new();
        loop {
            match self.next().await {
                BodyEvent::Chunk(bytes) => whole.extend_from_slice(&bytes),
                BodyEvent::End => return Some(whole.into()),
                BodyEvent::Broken | BodyEvent::TimeExceeded => return None,
            }
        }
    }
}

/// The streamed body of a real container.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    data: BodyDataStream,
    deadline: Instant,
    /// The task that drives the connection. It stops when this is dropped.
    _connection: JoinSet<()>,
}

impl UpstreamBody {
    pub(crate) fn new(data: BodyDataStream, deadline: Instant, connection: JoinSet<()>) -> Self {
        Self { data, deadline, _connection: connection }
    }

    async fn next(&mut self) -> BodyEvent {
        match timeout_at(self.deadline, self.data.next()).await {
            Ok(Some(Ok(bytes))) => BodyEvent::Chunk(bytes),
            Ok(Some(Err(_))) => BodyEvent::Broken,
            Ok(None) => BodyEvent::End,
            Err(_) => BodyEvent::TimeExceeded,
        }
    }
}
