//! The bytes of an answer.

use std::time::Duration;

use bytes::Bytes;

use super::Way;
use crate::frames::frame;
use crate::openai_stream::Stream;

/// Between two tokens: long enough for the client to go to sleep.
const PAUSE: Duration = Duration::from_micros(200);

/// A chunk of HTTP where many frames are in one.
const CHUNK: usize = 16 * 1024;

/// What a server writes for each request.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Pieces of an HTTP response.
    pub(super) writes: Vec<Bytes>,
    /// Between two of them.
    pub(super) pause: Duration,
}

impl Answer {
    /// The answer that comes this way.
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

/// The frame that an event is sent in.
pub(super) fn framed(event: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(event.as_bytes(), &mut bytes);
    bytes
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The head goes out with the first piece of the body, the last chunk with the last one.
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
