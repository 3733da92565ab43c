//! Frames the response of a container. Each chunk of a streamed body is cut and framed when it arrives; the next one is
//! read once all of it has been sent.

use axum::http::HeaderValue;
use bytes::Bytes;

use crate::call::Operation;
use crate::container_response::{BodyEvent, BodyStream};
use crate::cut::{Chunks, Cut};
use crate::fault::{Exception, Fault, FaultKind};
use crate::record::Recording;
use crate::script::Rule;
use crate::wire::Wire;

/// How the body of a container becomes a response body.
#[derive(Clone, Debug)]
pub(crate) struct Framing {
    /// Whether the bytes are wrapped in event-stream frames.
    pub(crate) frames: bool,
    pub(crate) content_type: String,
    pub(crate) cut: Cut,
    pub(crate) chunks: Chunks,
    pub(crate) fault: Option<Fault>,
}

impl Framing {
    pub(crate) fn new(operation: Operation, content_type: Option<&HeaderValue>, rule: &Rule) -> Self {
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().into();
        let frames = operation == Operation::Stream;
        let cut = if operation == Operation::Unary { Cut::Whole } else { rule.cut };
        Self { frames, content_type, cut, chunks: rule.chunks, fault: rule.fault.clone() }
    }

    /// Frames a complete body.
    pub(crate) fn whole(&self, body: &Bytes) -> Wire {
        if self.frames {
            return self.wire(body, 0, self.fault.as_ref());
        }
        Wire::plain(body, &self.content_type, self.cut, self.chunks, self.fault.as_ref())
    }

    fn wire(&self, body: &Bytes, index: u64, fault: Option<&Fault>) -> Wire {
        let chunks = self.chunks.for_chunk(index);
        if self.frames {
            Wire::frames(body, &self.content_type, self.cut.for_chunk(index), chunks, fault)
        } else {
            // A body that arrives in chunks is passed on in the same chunks.
            Wire::plain(body, &self.content_type, Cut::Whole, chunks, fault)
        }
    }
}

/// A streamed response body.
#[derive(Debug)]
pub(crate) struct FramedStream {
    flow: Option<BodyStream>,
    framing: Framing,
    recording: Option<Recording>,
    /// Bytes received from the container.
    len: usize,
    count: u64,
}

impl FramedStream {
    pub(crate) fn new(flow: BodyStream, framing: Framing, recording: Option<Recording>) -> Self {
        Self { flow: Some(flow), framing, recording, len: 0, count: 0 }
    }

    /// Frames the next chunk of the container. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Wire> {
        let flow = self.flow.as_mut()?;
        if let Some(recording) = &mut self.recording {
            recording.wait();
        }
        let piece = flow.next().await;
        if !matches!(piece, BodyEvent::Chunk(_)) {
            // Closes the connection now, not when the client has read the rest.
            self.flow = None;
        }
        let wire = match piece {
            BodyEvent::Chunk(bytes) => self.chunk(&bytes),
            BodyEvent::End => {
                let fault = self.framing.fault.take();
                self.end(fault)
            }
            BodyEvent::Broken => self.end(self.framing.failure(Exception::broken())),
            BodyEvent::TimeExceeded => self.end(self.framing.failure(Exception::time_exceeded())),
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
    /// The fault that reports a failure of the container: an exception in frames, a closed connection without them.
    fn failure(&self, exception: Exception) -> Option<Fault> {
        let kind = if self.frames { FaultKind::Exception(exception) } else { FaultKind::HangUp };
        Some(Fault { kind, after: 0 })
    }
}
