//! Properties that hold for every input. Used by the property tests, run over the fuzzing corpora in `tests/corpus.rs`, and
//! the bodies of the fuzz targets in `fuzz/`.
// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports)]

#[cfg(feature = "custom")]
mod custom;
mod embeddings;
mod errors;
mod readers;
mod requests;
mod responses;
pub mod sse_reference;
mod transcode;

#[cfg(feature = "custom")]
pub use custom::custom;
pub use embeddings::embeddings;
pub use errors::errors;
pub use readers::{COHERE, readers};
pub use requests::requests;
pub use responses::responses;
pub use transcode::transcode;

use bytes::Bytes;
use sagewire_codec::eventstream::{self, Header, Value};
use sagewire_codec::model::Event;
use sagewire_codec::{DecodeError, Decoder, Framing, Limits, Options, sse};

/// Splits `data` into chunks of random sizes, many of them very small.
pub fn cut(data: &[u8], mut seed: u64) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = match seed >> 62 {
            0 => 1,
            1 => 1 + (seed >> 40) as usize % 8,
            2 => 1 + (seed >> 40) as usize % 64,
            _ => 1 + (seed >> 40) as usize % 1024,
        };
        let (chunk, tail) = rest.split_at(size.min(rest.len()));
        chunks.push(Bytes::copy_from_slice(chunk));
        rest = tail;
    }
    chunks
}

/// The parts of an input that has several: separated by bytes of 0xFF, which never occur in UTF-8 text.
fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == 0xff)
}

/// The first byte is the seed of the splits, the rest is the data.
fn seeded(data: &[u8]) -> (u64, &[u8]) {
    data.split_first().map_or((0, data), |(&seed, rest)| (seed.into(), rest))
}

// Frames.

type Frames = Vec<(Vec<(String, String)>, Vec<u8>)>;

fn frames_of(chunks: Vec<Bytes>) -> (Frames, Result<(), DecodeError>) {
    let mut decoder = eventstream::Decoder::new();
    let mut frames = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(frame)) => {
                    let headers = frame.headers().iter();
                    let headers =
                        headers.map(|header| (header.name.to_owned(), format!("{:?}", header.value)));
                    frames.push((headers.collect(), frame.payload().to_vec()));
                }
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, decoder.finish())
}

/// Frames: every split gives the same frames; smithy reads the same frames; frames that were read can be written.
pub fn frames(data: &[u8]) {
    let (seed, data) = seeded(data);
    let whole = frames_of(vec![Bytes::copy_from_slice(data)]);
    assert_eq!(frames_of(cut(data, seed)), whole, "cut with {seed}");
    let mut rest = data;
    for (headers, payload) in &whole.0 {
        let (frame, tail) =
            eventstream::parse(rest, &Limits::default()).expect("read before").expect("whole");
        let theirs = aws_smithy_eventstream::frame::read_message_from(&mut &rest[..]).expect("we accept it");
        assert_eq!(theirs.payload(), payload);
        assert_eq!(theirs.headers().len(), headers.len());
        let mut written = Vec::new();
        eventstream::encode(frame.headers(), frame.payload(), &mut written).expect("read before");
        assert_eq!(written, frame.as_bytes());
        rest = tail;
    }
    // If we report an error, smithy does too, or the reason is a decision that `eventstream` documents: smithy does not check
    // names, the length of values, the number of headers, or headers that extend into the payload.
    if let (Err(ours), Ok(theirs)) =
        (&whole.1, aws_smithy_eventstream::frame::read_message_from(&mut &rest[..]))
    {
        let decided = [
            "is empty",
            "occurs twice",
            "longer than 32,767",
            "runs past the end",
            "exceeds the limit",
            "not UTF-8",
            "impossible",
        ];
        assert!(
            decided.iter().any(|why| ours.to_string().contains(why)),
            "only we refuse: {ours}; {theirs:?}"
        );
    }
}

/// The same with repaired checksums: without that, a fuzzer never gets past them.
pub fn frames_repaired(data: &[u8]) {
    let mut data = data.to_vec();
    let mut at = 1;
    while data.len() >= at + 16 {
        // The length is the real one, the rest comes from the fuzzer.
        let total =
            16 + usize::from(u16::from_be_bytes([data[at + 2], data[at + 3]])) % (data.len() - at - 15);
        data[at..at + 4].copy_from_slice(&(total as u32).to_be_bytes());
        let headers = u32::from_be_bytes([data[at + 4], data[at + 5], data[at + 6], data[at + 7]]);
        if headers as usize > total {
            let bounded = headers % (total as u32 - 15);
            data[at + 4..at + 8].copy_from_slice(&bounded.to_be_bytes());
        }
        let prelude = crc32fast::hash(&data[at..at + 8]).to_be_bytes();
        data[at + 8..at + 12].copy_from_slice(&prelude);
        let message = crc32fast::hash(&data[at..at + total - 4]).to_be_bytes();
        data[at + total - 4..at + total].copy_from_slice(&message);
        at += total;
    }
    frames(&data);
}

// Server-sent events.

fn sse_events_of(chunks: Vec<Bytes>) -> (Vec<sse::Event<'static>>, bool) {
    let mut decoder = sse::Decoder::new();
    let mut events = Vec::new();
    for mut chunk in chunks {
        while let Some(event) = decoder.decode(&mut chunk).expect("far below the limit") {
            events.push(event.into_owned());
        }
    }
    (events, decoder.finish().is_ok())
}

/// Server-sent events: every split gives the result of the literal reference; events that were read can be written.
pub fn sse(data: &[u8]) {
    let (seed, data) = seeded(data);
    let whole = sse_events_of(vec![Bytes::copy_from_slice(data)]);
    assert_eq!(sse_events_of(cut(data, seed)), whole, "cut with {seed}");
    assert_eq!(whole.0, sse_reference::events(data));
    for event in &whole.0 {
        let mut written = Vec::new();
        event.encode(&mut written).expect("no line ends in what was a line");
        let (again, ended) = sse_events_of(vec![Bytes::from(written)]);
        assert!(ended && again.len() == 1);
        assert_eq!(again[0].data, event.data);
        assert_eq!(again[0].event, event.event);
    }
}

// The full decoder.

fn events_of(options: Options, chunks: Vec<Bytes>) -> (Vec<Event<'static>>, Result<(), DecodeError>) {
    let mut decoder = Decoder::with_options(options);
    let mut events = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(event)) => events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => return (events, Err(error)),
            }
        }
        assert!(chunk.is_empty());
    }
    loop {
        match decoder.finish() {
            Ok(Some(event)) => events.push(event.into_owned()),
            Ok(None) => return (events, Ok(())),
            Err(error) => return (events, Err(error)),
        }
    }
}

/// Splits `body` at random into `PayloadPart` frames.
pub fn parts(body: &[u8], seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for part in cut(body, seed) {
        let headers = [
            Header::new(":message-type", Value::String("event")),
            Header::new(":event-type", Value::String("PayloadPart")),
        ];
        eventstream::encode(headers, &part, &mut out).expect("a frame");
    }
    out
}

/// Checks the event order that `chat` guarantees.
pub fn check_order(events: &[Event<'_>]) {
    let mut started = false;
    let mut open: Vec<(u32, u32, bool)> = Vec::new();
    let mut finished = Vec::new();
    for event in events {
        let (choice, part) = match *event {
            Event::Start { .. } => {
                assert!(!started && open.is_empty(), "one start, before all parts");
                started = true;
                continue;
            }
            Event::Finish { choice, .. } => {
                assert!(!finished.contains(&choice), "one finish a choice");
                assert!(open.iter().all(|&(of, _, is_open)| of != choice || !is_open), "parts end first");
                finished.push(choice);
                continue;
            }
            Event::PartStart { choice, part, .. } => {
                match open.iter_mut().find(|(of, ..)| *of == choice) {
                    Some(last) => {
                        assert!(!last.2, "parts do not overlap");
                        assert_eq!(part, last.1 + 1, "parts are counted");
                        *last = (choice, part, true);
                    }
                    None => {
                        assert_eq!(part, 0);
                        open.push((choice, part, true));
                    }
                }
                continue;
            }
            Event::TextDelta { choice, part, ref text }
            | Event::ReasoningDelta { choice, part, ref text }
            | Event::RefusalDelta { choice, part, ref text }
            | Event::ToolInputDelta { choice, part, ref text } => {
                assert!(!text.is_empty());
                (choice, part)
            }
            Event::OtherDelta { choice, part, .. } => (choice, part),
            Event::PartEnd { choice, part } => {
                let last = open.iter_mut().find(|last| **last == (choice, part, true));
                last.expect("what ends was open").2 = false;
                continue;
            }
            _ => continue,
        };
        assert!(open.contains(&(choice, part, true)), "a delta belongs to the open part");
    }
}

/// Text in frames: text that is split anywhere into parts, with the frames split anywhere into chunks, gives the same events
/// as the text alone, in the guaranteed order.
pub fn nested(data: &[u8]) {
    let (seed, body) = seeded(data);
    for framing in [Framing::Sse, Framing::JsonLines] {
        let plain = events_of(Options::new().framing(framing), vec![Bytes::copy_from_slice(body)]);
        check_order(&plain.0);
        let cuts = events_of(Options::new().framing(framing), cut(body, seed));
        assert_eq!(cuts, plain, "cut with {seed}");
    }
    let frames = parts(body, seed ^ 0x5555);
    let whole = events_of(Options::new().framing(Framing::EventStream), vec![Bytes::from(frames.clone())]);
    check_order(&whole.0);
    let cuts = events_of(Options::new().framing(Framing::EventStream), cut(&frames, seed));
    assert_eq!(cuts, whole, "frames cut with {seed}");
    let one_part = {
        let mut frame = Vec::new();
        let headers = [Header::new(":event-type", Value::String("PayloadPart"))];
        eventstream::encode(headers, body, &mut frame).expect("a frame");
        events_of(Options::new().framing(Framing::EventStream), vec![Bytes::from(frame)])
    };
    assert_eq!(one_part, whole, "parts cut with {seed}");
    // Without frames, the framing is detected from the first bytes of the text.
    if !eventstream::looks_like_frames(body) {
        let auto = events_of(Options::new(), cut(body, seed));
        assert_eq!(auto, one_part, "told by the bytes, cut with {seed}");
    }
}

/// Chunks of one shape are read from the shape cache. The same chunks with varying white space miss the cache, and have the
/// same events.
pub fn alike(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut varied = String::new();
    for (number, line) in text.split_inclusive(['\n', '\r']).enumerate() {
        let begin = ["data: {", "data:{", "{"].into_iter().find(|begin| line.starts_with(begin));
        let (begin, rest) = line.split_at(begin.map_or(0, str::len));
        let space = if begin.is_empty() { "" } else { &"       "[..number % 7] };
        varied.extend([begin, space, rest]);
    }
    let read = |body: &str| {
        let (mut events, ending) =
            events_of(Options::new().framing(Framing::Sse), vec![Bytes::copy_from_slice(body.as_bytes())]);
        // These contain the record itself, white space included.
        events.retain(|event| !matches!(event, Event::Malformed { .. } | Event::Other { .. }));
        let ending = ending.map_err(|error| match error.failure() {
            Some(failure) => format!("{} {:?} {}", failure.name, failure.code, failure.message),
            None => error.kind().to_string().split(',').next().unwrap_or_default().to_owned(),
        });
        (events, ending)
    };
    assert_eq!(read(&text), read(&varied));
}
