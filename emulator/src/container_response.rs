//! The response of a container, as the service passes it on.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// What a container answered, as far as the service hands it on.
#[derive(Debug)]
pub(crate) struct Said {
    /// 200, unless the route hands on others as well.
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: SaidBody,
}

impl Said {
    pub(crate) fn ok(content_type: HeaderValue, body: SaidBody) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), content_type: Some(content_type), body }
    }
}

#[derive(Debug)]
pub(crate) enum SaidBody {
    Whole(Bytes),
    Flow(Flow),
}

/// Chunks to come.
#[derive(Debug)]
pub(crate) enum Flow {
    /// Each after a pause.
    Scripted(std::vec::IntoIter<(Duration, Bytes)>),
    Upstream(UpstreamBody),
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Piece {
    Chunk(Bytes),
    End,
    /// The container broke off.
    Broken,
    TimeExceeded,
}

impl Flow {
    pub(crate) async fn next(&mut self) -> Piece {
        match self {
            Self::Scripted(chunks) => {
                let Some((pause, bytes)) = chunks.next() else { return Piece::End };
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                Piece::Chunk(bytes)
            }
            Self::Upstream(stream) => stream.next().await,
        }
    }

    /// All of it, where only the whole can be used. `None`: it did not come to its end.
    pub(crate) async fn whole(mut self) -> Option<Bytes> {
        let mut whole = Vec::new();
        loop {
            match self.next().await {
                Piece::Chunk(bytes) => whole.extend_from_slice(&bytes),
                Piece::End => return Some(whole.into()),
                Piece::Broken | Piece::TimeExceeded => return None,
            }
        }
    }
}

/// The rest of a streamed answer.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    data: BodyDataStream,
    deadline: Instant,
    /// The task that reads from the connection, and stops when this is dropped.
    _connection: JoinSet<()>,
}

impl UpstreamBody {
    pub(crate) fn new(data: BodyDataStream, deadline: Instant, connection: JoinSet<()>) -> Self {
        Self { data, deadline, _connection: connection }
    }

    async fn next(&mut self) -> Piece {
        match timeout_at(self.deadline, self.data.next()).await {
            Ok(Some(Ok(bytes))) => Piece::Chunk(bytes),
            Ok(Some(Err(_))) => Piece::Broken,
            Ok(None) => Piece::End,
            Err(_) => Piece::TimeExceeded,
        }
    }
}
