//! The bytes of an HTTP response.

use std::time::Duration;

use bytes::Bytes;

use super::Way;
use crate::frames::frame;
use crate::openai_stream::Stream;

/// Pause between two tokens, long enough for the client's thread to sleep.
const PAUSE: Duration = Duration::from_micros(200);

/// Bytes of an HTTP chunk with many frames.
const CHUNK: usize = 16 * 1024;

/// The response that the server writes to each request.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The pieces of the response.
    pub(super) writes: Vec<Bytes>,
    /// The pause between two pieces.
    pub(super) pause: Duration,
}

impl Answer {
    /// The response for a way of sending.
    pub(super) fn new(way: Way, stream: &Stream) -> Self {
        let frames: Vec<Vec<u8>> = stream.events.iter().map(|event| framed(event)).collect();
        let (chunks, pause) = match way {
            Way::Paced => (frames.iter().map(|frame| chunk(frame)).collect(), PAUSE),
            Way::Frames => (vec![frames.iter().flat_map(|frame| chunk(frame)).collect()], Duration::ZERO),
            Way::Chunks => (vec![frames.concat().chunks(CHUNK).flat_map(chunk).collect()], Duration::ZERO),
        };
        Self { writes: with_head(chunks), pause }
    }
}

/// The frame of an event.
pub(super) fn framed(event: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(event.as_bytes(), &mut bytes);
    bytes
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The head is sent with the first piece of the body, the last chunk with the last piece.
fn with_head(mut chunks: Vec<Vec<u8>>) -> Vec<Bytes> {
    let head = "HTTP/1.1 200 OK\r\n\
        x-amzn-RequestId: 5a9e0005-0000-4000-8000-000000000000\r\n\
        x-amzn-Invoked-Production-Variant: AllTraffic\r\n\
        X-Amzn-SageMaker-Content-Type: text/event-stream\r\n\
        Content-Type: application/vnd.amazon.eventstream\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    if let Some(first) = chunks.first_mut() {
        first.splice(..0, head.bytes());
    }
    if let Some(last) = chunks.last_mut() {
        last.extend_from_slice(b"0\r\n\r\n");
    }
    chunks.into_iter().map(Bytes::from).collect()
}
