//! An answer that comes in chunks: each is cut and framed when it comes, and the next is asked for when all of it has
//! been sent.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use tokio::time::sleep;

use crate::call::Operation;
use crate::cut::{Chunks, Cut};
use crate::record::Recording;
use crate::script::{Exception, Fault, FaultKind, Rule};
use crate::upstream;
use crate::wire::Wire;

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
    Upstream(upstream::Stream),
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
    async fn next(&mut self) -> Piece {
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

/// How a container's bytes become a response body.
#[derive(Clone, Debug)]
pub(crate) struct Framing {
    /// In event-stream frames; or as they are.
    pub(crate) frames: bool,
    pub(crate) content_type: String,
    pub(crate) cut: Cut,
    pub(crate) chunks: Chunks,
    pub(crate) fault: Option<Fault>,
}

impl Framing {
    pub(crate) fn new(operation: Operation, content_type: Option<&HeaderValue>, rule: &Rule) -> Self {
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().into();
        let cut = if operation == Operation::Unary { Cut::Whole } else { rule.cut };
        Self {
            frames: operation == Operation::Stream,
            content_type,
            cut,
            chunks: rule.chunks,
            fault: rule.fault.clone(),
        }
    }

    /// A body that is there in one piece.
    pub(crate) fn whole(&self, body: &Bytes) -> Wire {
        if self.frames {
            return self.wire(body, 0, self.fault.as_ref());
        }
        Wire::plain(body, &self.content_type, self.cut, self.chunks, self.fault.as_ref())
    }

    fn wire(&self, body: &Bytes, index: u64, fault: Option<&Fault>) -> Wire {
        let chunks = self.chunks.of_chunk(index);
        if self.frames {
            Wire::frames(body, &self.content_type, self.cut.of_chunk(index), chunks, fault)
        } else {
            // A body that arrives in chunks is passed on in the same chunks.
            Wire::plain(body, &self.content_type, Cut::Whole, chunks, fault)
        }
    }
}

/// A response body in the making.
#[derive(Debug)]
pub(crate) struct Feed {
    flow: Option<Flow>,
    framing: Framing,
    recording: Option<Recording>,
    /// Bytes of the container so far.
    len: usize,
    count: u64,
}

impl Feed {
    pub(crate) fn new(flow: Flow, framing: Framing, recording: Option<Recording>) -> Self {
        Self { flow: Some(flow), framing, recording, len: 0, count: 0 }
    }

    /// What the container's next chunk becomes. `None`: nothing more comes.
    pub(crate) async fn next(&mut self) -> Option<Wire> {
        let flow = self.flow.as_mut()?;
        if let Some(recording) = &mut self.recording {
            recording.wait();
        }
        let piece = flow.next().await;
        if !matches!(piece, Piece::Chunk(_)) {
            // Its connection ends here, not when the client has read the rest.
            self.flow = None;
        }
        let wire = match piece {
            Piece::Chunk(bytes) => self.chunk(&bytes),
            Piece::End => {
                let fault = self.framing.fault.take();
                self.end(fault)
            }
            Piece::Broken => self.end(self.framing.failure(Exception::broken())),
            Piece::TimeExceeded => self.end(self.framing.failure(Exception::time_exceeded())),
        };
        Some(wire)
    }

    fn chunk(&mut self, bytes: &Bytes) -> Wire {
        if let Some(recording) = &mut self.recording {
            recording.chunk(bytes);
        }
        let due = self.framing.fault.take_if(|fault| fault.after < self.len + bytes.len());
        let fault = due.map(|fault| Fault { after: fault.after - self.len, ..fault });
        let wire = self.framing.wire(bytes, self.count, fault.as_ref());
        if let Some(fault) = fault {
            if let Some(recording) = &mut self.recording {
                recording.fault(&Fault { after: self.len + fault.after, ..fault.clone() });
            }
            if !matches!(fault.kind, FaultKind::CorruptByte) {
                (self.flow, self.recording) = (None, None);
            }
        }
        self.len += bytes.len();
        self.count += 1;
        wire
    }

    fn end(&mut self, fault: Option<Fault>) -> Wire {
        if let Some(mut recording) = self.recording.take() {
            if let Some(fault) = &fault {
                recording.fault(&Fault { after: self.len, kind: fault.kind.clone() });
            }
            recording.finish();
        }
        let fault = fault.map(|fault| Fault { after: 0, ..fault });
        self.framing.wire(&Bytes::new(), self.count, fault.as_ref())
    }
}

impl Framing {
    /// How a failure of the container ends the answer: a plain one can only break off.
    fn failure(&self, exception: Exception) -> Option<Fault> {
        let kind = if self.frames { FaultKind::Exception(exception) } else { FaultKind::HangUp };
        Some(Fault { kind, after: 0 })
    }
}
