//! Encodes a container's body for the wire: parts, frames and faults.

use bytes::Bytes;
use sagewire_codec::eventstream::{Header, Value, encode};

use crate::cut::{self, Chunks, Cut};
use crate::fault::{Exception, Fault, FaultKind, UnmodelledError};

/// How a body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The last HTTP chunk is sent.
    #[default]
    Clean,
    Reset,
    HangUp,
    Stall,
}

/// A response body, cut into HTTP chunks.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) ending: Ending,
}

impl Wire {
    /// The body of the streaming operation: event-stream frames.
    pub(crate) fn frames(
        body: &[u8],
        content_type: &str,
        cut: Cut,
        chunks: Chunks,
        fault: Option<&Fault>,
    ) -> Self {
        let mut parts = cut.parts(body, content_type);
        let before = match fault {
            Some(fault) => cut::split(&mut parts, fault.after),
            None => parts.len(),
        };
        let (sound, rest) = parts.split_at(before);
        let mut frames = Frames::default();
        sound.iter().for_each(|part| frames.part(&body[part.clone()]));
        let mut ending = Ending::Clean;
        // After the last part, the next frame has an empty payload.
        let next = rest.first().map_or(&body[..0], |part| &body[part.clone()]);
        match fault.map(|fault| &fault.kind) {
            None => {}
            Some(FaultKind::Exception(exception)) => frames.exception(exception),
            Some(FaultKind::Error(error)) => frames.error(error),
            Some(FaultKind::TruncatedFrame) => frames.truncated(next),
            Some(FaultKind::CorruptByte) => {
                frames.corrupt(next);
                rest.iter().skip(1).for_each(|part| frames.part(&body[part.clone()]));
            }
            Some(FaultKind::Reset) => ending = Ending::Reset,
            Some(FaultKind::HangUp) => ending = Ending::HangUp,
            Some(FaultKind::Stall) => ending = Ending::Stall,
        }
        Self::cut(&frames.bytes.into(), &frames.ends, chunks, ending)
    }

    /// A body without frames. If it is a stream of server-sent events, as on the OpenAI route, it is cut like the payload of
    /// frames; other bodies are one part. Faults of frames do not apply to it.
    pub(crate) fn plain(
        body: &Bytes,
        content_type: &str,
        cut: Cut,
        chunks: Chunks,
        fault: Option<&Fault>,
    ) -> Self {
        let (ending, after) = match fault.map(|fault| (&fault.kind, fault.after)) {
            Some((FaultKind::Reset, after)) => (Ending::Reset, after),
            Some((FaultKind::HangUp, after)) => (Ending::HangUp, after),
            Some((FaultKind::Stall, after)) => (Ending::Stall, after),
            _ => (Ending::Clean, body.len()),
        };
        let body = body.slice(..after.min(body.len()));
        let cut = if cut::is_sse(content_type) { cut } else { Cut::Whole };
        let ends: Vec<usize> = cut.parts(&body, content_type).iter().map(|part| part.end).collect();
        Self::cut(&body, &ends, chunks, ending)
    }

    fn cut(bytes: &Bytes, ends: &[usize], chunks: Chunks, ending: Ending) -> Self {
        let chunks = chunks.ranges(bytes.len(), ends).into_iter().map(|range| bytes.slice(range)).collect();
        Self { chunks, ending }
    }
}

/// Consecutive frames, and the offset of the end of each.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Frames {
    fn part(&mut self, payload: &[u8]) {
        let headers = [
            (":event-type", "PayloadPart"),
            (":content-type", "application/octet-stream"),
            (":message-type", "event"),
        ];
        self.frame(headers, payload);
    }

    fn exception(&mut self, exception: &Exception) {
        // Scripts are validated: a header value has at most 32,767 bytes.
        exception.of_service().encode(&mut self.bytes).expect("the script's texts fit into a frame");
        self.ends.push(self.bytes.len());
    }

    fn error(&mut self, error: &UnmodelledError) {
        let headers =
            [(":error-code", &*error.code), (":error-message", &*error.message), (":message-type", "error")];
        self.frame(headers, b"");
    }

    /// Appends the first half of a frame.
    fn truncated(&mut self, payload: &[u8]) {
        let start = self.bytes.len();
        self.part(payload);
        self.bytes.truncate(start + (self.bytes.len() - start) / 2);
        if let Some(end) = self.ends.last_mut() {
            *end = self.bytes.len();
        }
    }

    /// Appends a frame with a flipped bit, in its payload or, if that is empty, in its checksum.
    fn corrupt(&mut self, payload: &[u8]) {
        self.part(payload);
        let at = self.bytes.len() - 4 - payload.len();
        self.bytes[at] ^= 1;
    }

    fn frame(&mut self, headers: [(&str, &str); 3], payload: &[u8]) {
        // Scripts are validated: a header value has at most 32,767 bytes.
        let headers = headers.map(|(name, value)| Header::new(name, Value::String(value)));
        encode(headers, payload, &mut self.bytes).expect("the script's texts fit into a frame");
        self.ends.push(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use sagewire_codec::eventstream::Decoder;

    use super::*;

    const BODY: &[u8] = b"data: 1\n\ndata: 2\n\ndata: 3\n\n";

    fn frames(fault: FaultKind, after: usize) -> Wire {
        Wire::frames(
            BODY,
            "text/event-stream",
            Cut::Events,
            Chunks::Frames,
            Some(&Fault { kind: fault, after }),
        )
    }

    /// The payloads of the valid frames, and the error after them.
    fn decode(wire: &Wire) -> (Vec<String>, Option<String>) {
        let (mut decoder, mut payloads) = (Decoder::new(), Vec::new());
        for chunk in &wire.chunks {
            let mut chunk = chunk.clone();
            loop {
                match decoder.decode(&mut chunk) {
                    Ok(Some(frame)) => payloads.push(String::from_utf8(frame.payload().into()).unwrap()),
                    Ok(None) => break,
                    Err(error) => return (payloads, Some(error.to_string())),
                }
            }
        }
        let end = decoder.finish().err().map(|error| error.to_string());
        (payloads, end)
    }

    #[test]
    fn faults_come_after_so_many_bytes_of_the_body() {
        for after in 0..=BODY.len() + 1 {
            let sent = std::str::from_utf8(&BODY[..after.min(BODY.len())]).unwrap();
            let exception = Exception { kind: "ModelStreamError".into(), code: None, message: "late".into() };
            let (payloads, end) = decode(&frames(FaultKind::Exception(exception), after));
            assert_eq!((payloads.concat(), end), (format!("{sent}{{\"Message\":\"late\"}}"), None));

            let (payloads, end) = decode(&frames(FaultKind::TruncatedFrame, after));
            assert_eq!(payloads.concat(), sent);
            assert!(end.unwrap().contains("frame ends early"));

            let (payloads, end) = decode(&frames(FaultKind::CorruptByte, after));
            assert_eq!(payloads.concat(), sent);
            assert!(end.unwrap().contains("checksum mismatch"));

            let wire = frames(FaultKind::Reset, after);
            assert_eq!((decode(&wire), wire.ending), ((decode(&wire).0, None), Ending::Reset));
            assert_eq!(decode(&wire).0.concat(), sent);
        }
    }

    #[test]
    fn a_corrupt_stream_goes_on() {
        let len = |wire: &Wire| wire.chunks.iter().map(Bytes::len).sum::<usize>();
        let sound = Wire::frames(BODY, "text/event-stream", Cut::Events, Chunks::Frames, None);
        assert_eq!(len(&frames(FaultKind::CorruptByte, 9)), len(&sound));
        assert_eq!(sound.chunks.len(), 3);
    }

    #[test]
    fn an_error_frame_has_code_and_message() {
        let error = UnmodelledError { code: "500".into(), message: "lost".into() };
        let wire = frames(FaultKind::Error(error), 9);
        let mut decoder = Decoder::new();
        let frame = decoder.decode(&mut wire.chunks[1].clone()).unwrap().map(|frame| {
            let header = |name| frame.headers().get(name).and_then(|value| value.as_str());
            [header(":message-type"), header(":error-code"), header(":error-message")]
                .map(|v| v.unwrap().to_string())
        });
        assert_eq!(frame.unwrap(), ["error", "500", "lost"]);
    }

    #[test]
    fn plain_bodies_only_break_off() {
        let plain = |kind| {
            Wire::plain(
                &Bytes::from_static(BODY),
                "",
                Cut::Whole,
                Chunks::Whole,
                Some(&Fault { kind, after: 4 }),
            )
        };
        assert_eq!(plain(FaultKind::HangUp).chunks, ["data"]);
        assert_eq!(plain(FaultKind::CorruptByte).chunks, [BODY]);
    }

    #[test]
    fn plain_streams_are_cut_like_frames() {
        let plain = |content_type, cut| {
            let body = Bytes::from_static(BODY);
            Wire::plain(&body, content_type, cut, Chunks::Frames, None).chunks
        };
        assert_eq!(plain("text/event-stream", Cut::Events), ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]);
        assert_eq!(plain("text/event-stream", Cut::Bytes).len(), BODY.len());
        assert_eq!(plain("application/json", Cut::Bytes), [BODY]);
    }
}
