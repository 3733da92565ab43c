//! What a stream codec has to survive, row by row: see `RELIABILITY.md`. Each row prints its count.
//!
//! `cargo test -p sagewire-codec --test scorecard -- --nocapture`

mod common;
mod oracles;

use bytes::Bytes;
use common::counting::{Counting, Meter};
use common::frames::{self, frame};
use common::{decode, ending, every_cut, leak, payload_part, sse, streams, texts};
use sagewire_codec::eventstream::{self, Header, Value};
use sagewire_codec::{Decoder, Error, ErrorKind, Framing, Limits, Options};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// `12,345`.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The line that a row ends with: whatever was not right has failed the test before.
fn row(name: &str, count: usize, verdict: &str) {
    let count = grouped(count);
    println!("{name}: {count} of {count} {verdict}");
}

const BODY: &[u8] = b"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
const FINISH: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

#[test]
fn r1_event_stream_vectors() {
    let vectors = common::read_json(&common::testdata("eventstream.json"));
    let vectors = vectors.as_array().expect("a list");
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{name} says why");
        let mut input = common::hex(vector["hex"].as_str().expect("bytes"));
        let (found, ending) = every_cut(name, &input, frames::decode);
        assert_eq!(json!(found), vector["frames"], "{name}");
        match vector["error"].as_str() {
            Some(expected) => assert_eq!(ending.expect_err(name).to_string(), expected, "{name}"),
            None => {
                assert_eq!(ending, Ok(()), "{name}");
                // Trailing garbage costs nothing that stands before it.
                input.extend_from_slice(b"garbage behind the frames");
                let (again, ending) = every_cut(name, &input, frames::decode);
                assert_eq!(again, found, "{name} with garbage");
                let offset = input.len() as u64 - 25;
                assert_eq!(ending.as_ref().map_err(Error::offset), Err(offset), "{name}");
                assert!(ending.is_err_and(|error| error.is_corrupt()), "{name} with garbage");
            }
        }
    }
    assert!(vectors.len() >= 20);
    row("R1 event-stream vectors, our own", vectors.len(), "right in every cut");
}

#[test]
fn r1_event_stream_vectors_of_others() {
    let Some(folder) = common::shared("vectors/eventstream") else {
        println!("R1 event-stream vectors of AWS's SDKs: SAGEWIRE_SHARED is not set, skipped");
        return;
    };
    let manifest = common::read_json(&folder.join("manifest.json"));
    let vectors = manifest["vectors"].as_array().expect("a list");
    let expected = |decoded: &serde_json::Value| json!({"headers": decoded["headers"], "payload": decoded["payload_b64"]});
    for vector in vectors {
        let id = vector["id"].as_str().expect("an id");
        let input = std::fs::read(folder.join(vector["file"].as_str().expect("a file"))).expect(id);
        let (found, ending) = every_cut(id, &input, frames::decode);
        match vector["expect"].as_str() {
            Some("message") => {
                assert_eq!(found, [expected(&vector["decoded"])], "{id}");
                assert_eq!(ending, Ok(()), "{id}");
            }
            Some("messages") => {
                let all: Vec<_> =
                    vector["decoded"].as_array().expect("a list").iter().map(expected).collect();
                assert_eq!(found, all, "{id}");
                assert_eq!(ending, Ok(()), "{id}");
            }
            Some("error") => assert!(found.is_empty() && ending.is_err(), "{id}"),
            other => panic!("{id} expects {other:?}"),
        }
    }
    assert!(vectors.len() >= 68);
    row("R1 event-stream vectors of AWS's SDKs", vectors.len(), "right in every cut");
}

/// A header as it stands on the wire: name, type, value.
fn raw_header(name: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
    [&[name.len() as u8], name, &[kind], value].concat()
}

/// A text header as it stands on the wire, with any stated length.
fn raw_text(name: &[u8], stated: u16, value: &[u8]) -> Vec<u8> {
    raw_header(name, 7, &[&stated.to_be_bytes(), value].concat())
}

/// [`every_cut`], of large inputs whole and in chunks of 1 and 7 bytes only.
fn some_cuts<T: PartialEq + std::fmt::Debug>(name: &str, input: &[u8], run: impl Fn(Vec<Bytes>) -> T) -> T {
    if input.len() <= 2 * KIB {
        return every_cut(name, input, run);
    }
    let whole = run(vec![Bytes::copy_from_slice(input)]);
    for size in [1, 7] {
        let chunks = input.chunks(size).map(Bytes::copy_from_slice).collect();
        assert!(run(chunks) == whole, "{name}: in chunks of {size}");
    }
    whole
}

#[test]
fn r2_hostile_frames() {
    let impossible = |total, headers| (frames::prelude(total, headers), "impossible frame");
    let typed = |kind, value: &[u8]| frames::raw(&raw_header(b"n", kind, value), b"payload");
    let good = raw_text(b"n", 2, b"ok");
    let long = vec![b'x'; 65_535];
    let many = |count: usize, name: &dyn Fn(usize) -> String| -> Vec<u8> {
        frames::raw(&(0..count).flat_map(|n| raw_header(name(n).as_bytes(), 0, b"")).collect::<Vec<_>>(), b"")
    };
    let numbered = |n: usize| format!("{n}");
    let twice = |name: &[u8]| frames::raw(&[raw_text(name, 1, b"a"), raw_text(name, 1, b"b")].concat(), b"");
    let cases: Vec<(&str, (Vec<u8>, &str))> = vec![
        ("total 0", impossible(0, 0)),
        ("total 1", impossible(1, 0)),
        ("total 11", impossible(11, 0)),
        ("total 12", impossible(12, 0)),
        ("total 15", impossible(15, 0)),
        ("total 2^31", (frames::prelude(1 << 31, 0), "exceeds the limit")),
        ("total 2^32-1", (frames::prelude(u32::MAX, 0), "exceeds the limit")),
        ("one byte of headers too many", impossible(16, 1)),
        ("headers longer than the frame", impossible(100, 101)),
        ("headers into the checksum", impossible(100, 85)),
        ("headers 2^32-1", impossible(100, u32::MAX)),
        ("all 2^32-1", impossible(u32::MAX, u32::MAX)),
        ("headers over the limit", (frames::prelude(200_000, 131_073), "exceeds the limit")),
        (
            "a value that runs into the payload",
            (frames::raw(&raw_text(b"n", 3, b"ok"), b"payload"), "runs past"),
        ),
        ("bytes that run into the payload", (typed(6, b"\x00\x05ok"), "runs past")),
        ("a name that runs into the payload", (frames::raw(b"\x05n", b"payload"), "runs past")),
        ("a name and no type", (frames::raw(b"\x01n", b"payload"), "runs past")),
        ("half a length", (typed(7, b"\x00"), "runs past")),
        ("half a short", (typed(3, b"\x00"), "runs past")),
        ("half an integer", (typed(4, b"\x00\x00"), "runs past")),
        ("half a long", (typed(5, b"\x00\x00\x00\x00"), "runs past")),
        ("half a timestamp", (typed(8, b"\x00\x00\x00\x00"), "runs past")),
        ("half a UUID", (typed(9, &[0; 15]), "runs past")),
        ("no byte", (typed(2, b""), "runs past")),
        ("a bad second header", (frames::raw(&[good.clone(), vec![9, b'x']].concat(), b""), "runs past")),
        ("bad UTF-8 in a name", (frames::raw(&raw_header(b"\xff", 0, b""), b""), "UTF-8")),
        ("bad UTF-8 in a value", (frames::raw(&raw_text(b"n", 2, b"\xc3\x28"), b""), "UTF-8")),
        ("half a character in a value", (frames::raw(&raw_text(b"n", 1, b"\xc3"), b""), "UTF-8")),
        ("a surrogate in a value", (frames::raw(&raw_text(b"n", 3, b"\xed\xa0\x80"), b""), "UTF-8")),
        ("type 10", (typed(10, b""), "unknown value type 10")),
        ("type 255", (typed(255, b""), "unknown value type 255")),
        ("an empty name", (frames::raw(&raw_header(b"", 0, b""), b""), "empty")),
        (":message-type twice", (twice(b":message-type"), "occurs twice")),
        (":event-type twice", (twice(b":event-type"), "occurs twice")),
        ("any name twice", (twice(b"n"), "occurs twice")),
        (
            "a value of 32,768 bytes",
            (frames::raw(&raw_text(b"n", 32_768, &long[..32_768]), b""), "longer than 32,767"),
        ),
        ("a value of 65,535 bytes", (frames::raw(&raw_text(b"n", 65_535, &long), b""), "longer than 32,767")),
        ("8,192 empty headers", (many(8_192, &|_| String::new()), "empty")),
        ("8,192 headers", (many(8_192, &numbered), "exceeds the limit")),
        ("1,025 headers", (many(1_025, &numbered), "exceeds the limit")),
        ("HTML", (b"<html><body>502 Bad Gateway</body></html>".to_vec(), "prelude checksum mismatch")),
        ("JSON", (b"{\"message\":\"no such endpoint\"}".to_vec(), "prelude checksum mismatch")),
        ("server-sent events", (BODY.to_vec(), "prelude checksum mismatch")),
        ("gzip", (b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd".to_vec(), "prelude checksum mismatch")),
        ("zeros", (vec![0; 64], "prelude checksum mismatch")),
        ("0xff", (vec![0xff; 64], "prelude checksum mismatch")),
    ];
    let before = payload_part(b"good");
    for (name, (bytes, why)) in &cases {
        for good in [0, 1] {
            // Good, bad, good: what stood before is delivered, what comes behind never.
            let stream = [before.repeat(good), bytes.clone(), before.repeat(2)].concat();
            let (found, ending) = some_cuts(name, &stream, frames::decode);
            assert_eq!(found.len(), good, "{name}");
            let error = ending.expect_err(name);
            assert!(!error.is_truncated() && error.to_string().contains(why), "{name}: {error}");
            let in_frame = error.offset() - (before.len() * good) as u64;
            assert!(in_frame < bytes.len() as u64, "{name}: {error}");
        }
    }
    // What is strange and good.
    let fine: [(&str, Vec<u8>); 6] = [
        ("nothing at all in it", frames::raw(b"", b"")),
        ("1,024 headers", many(1_024, &numbered)),
        ("a value of 32,767 bytes", frames::raw(&raw_text(b"n", 32_767, &long[..32_767]), b"")),
        ("a name of 255 bytes", frames::raw(&raw_header(&long[..255], 0, b""), b"")),
        ("an empty value", frames::raw(&raw_text(b"n", 0, b""), b"")),
        ("frames in a payload", frames::raw(b"", &before)),
    ];
    for (name, bytes) in &fine {
        let (found, ending) = some_cuts(name, &bytes.repeat(2), frames::decode);
        assert_eq!((found.len(), ending), (2, Ok(())), "{name}");
    }
    row("R2 hostile frames", cases.len() * 2 + fine.len(), "with the exact verdict");
}

#[test]
fn r3_every_bit_flip_is_found() {
    let mut every_type = Vec::new();
    let headers = [
        Header::new("true", Value::Bool(true)),
        Header::new("byte", Value::Byte(-1)),
        Header::new("short", Value::Short(-2)),
        Header::new("integer", Value::Integer(-3)),
        Header::new("long", Value::Long(-4)),
        Header::new("bytes", Value::ByteArray(b"\0\xff")),
        Header::new("string", Value::String("é")),
        Header::new("timestamp", Value::Timestamp(0)),
        Header::new("uuid", Value::Uuid([7; 16])),
    ];
    eventstream::encode(headers, b"", &mut every_type).expect("a frame");
    let part = payload_part("data: {\"é\":1}\n\n".as_bytes());
    let mut flips = 0;
    for frame in [part, every_type, frames::raw(b"", b"")] {
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for size in [frame.len(), 7, 1] {
                let chunks = flipped.chunks(size).map(Bytes::copy_from_slice).collect();
                let (found, ending) = frames::decode(chunks);
                assert!(found.is_empty(), "bit {bit}");
                // Found with the frame, not by waiting for more of it.
                assert!(ending.is_err_and(|error| !error.is_truncated()), "bit {bit}");
            }
            let framed = Options::new().framing(Framing::EventStream);
            let (events, ending) = decode(framed, vec![Bytes::from(flipped)]);
            assert!(events.is_empty() && ending.is_err_and(|error| !error.is_truncated()), "bit {bit}");
            flips += 1;
        }
    }
    row("R3 bit flips", flips, "found");
}

#[test]
fn r4_every_cut_is_truncated() {
    let mut cuts = 0;
    // Frames.
    let one = payload_part(b"one");
    let two = [one.clone(), payload_part(b"two")].concat();
    for len in 0..=two.len() {
        let (found, ending) = frames::decode(vec![Bytes::copy_from_slice(&two[..len])]);
        assert_eq!(found.len(), len / one.len());
        match ending {
            Ok(()) => assert_eq!(len % one.len(), 0),
            Err(error) => assert!(len % one.len() != 0 && error.is_truncated(), "at {len}"),
        }
        cuts += 1;
    }
    // The stack: a part for each event, of which the last two say that the answer is whole.
    let mut events = streams::plain(20);
    let (finish, done) = (events.len(), events.len() + 1);
    events.extend([String::from_utf8_lossy(FINISH).into(), String::from_utf8_lossy(DONE).into()]);
    let mut stream = Vec::new();
    let mut ends = Vec::new();
    for event in &events {
        stream.extend(payload_part(event.as_bytes()));
        ends.push(stream.len());
    }
    let (all, whole) = decode(Options::new(), vec![Bytes::copy_from_slice(&stream)]);
    assert_eq!(whole, Ok(()));
    let deltas: Vec<String> =
        events.iter().map(|event| texts(&decode(Options::new(), vec![event.clone().into()]).0)).collect();
    assert_eq!(deltas.concat(), texts(&all));
    for len in 0..stream.len() {
        let (found, how) = decode(Options::new(), vec![Bytes::copy_from_slice(&stream[..len])]);
        let whole = ends.iter().filter(|&&end| end <= len).count();
        assert_eq!(texts(&found), deltas[..whole].concat(), "at {len}");
        // Between the finish reason and the terminal record nothing is missing.
        let expected = if len == ends[finish] { "complete" } else { "truncated" };
        assert_eq!(ending(&how), expected, "at {len}");
        cuts += 1;
    }
    assert_eq!(ends.len(), done + 1);
    row("R4 cuts", cuts, "told, whole events before them delivered");
}

#[test]
fn r5_a_wrong_length_is_refused_with_the_prelude() {
    let flipped = |bit: usize| {
        let mut part = payload_part(b"data");
        part[bit / 8] ^= 1 << (bit % 8);
        part.truncate(12);
        part
    };
    let wrong = [
        // Bits that make the frame 256 MiB, 2 GiB, one byte longer.
        flipped(4),
        flipped(7),
        flipped(24),
        // Lengths with a good checksum.
        frames::prelude(u32::MAX, 0),
        frames::prelude(u32::MAX, u32::MAX - 16),
        frames::prelude(300, 299),
        frames::prelude(15, 0),
    ];
    for prelude in &wrong {
        for size in [12, 1] {
            let chunks: Vec<Bytes> = prelude.chunks(size).map(|chunk| leak(chunk.to_vec())).collect();
            let meter = Meter::start();
            let mut decoder = eventstream::Decoder::new();
            let mut error = None;
            for mut chunk in chunks {
                assert!(error.is_none(), "refused before its prelude is in");
                error = decoder.decode(&mut chunk).err();
            }
            let error = error.expect("refused with its twelfth byte");
            assert!(error.offset() == 0 && !error.is_truncated(), "{error}");
            assert!(meter.read().peak <= KIB as i64, "{} bytes for {error}", meter.read().peak);
        }
    }
    // A frame as long as may be, of which only the beginning comes.
    let beginning = [&frames::prelude(24 * MIB as u32 + 16, 0)[..], &[0; 100]].concat();
    for size in [beginning.len(), 1] {
        let chunks: Vec<Bytes> = beginning.chunks(size).map(|chunk| leak(chunk.to_vec())).collect();
        let meter = Meter::start();
        let mut decoder = eventstream::Decoder::new();
        for mut chunk in chunks {
            assert!(decoder.decode(&mut chunk).expect("allowed").is_none());
        }
        assert!(meter.read().peak <= KIB as i64, "{} bytes for 112", meter.read().peak);
    }
    row("R5 wrong lengths", wrong.len(), "refused within 12 bytes; 1 KiB at most for 24 MiB announced");
}

#[test]
fn r6_after_a_bad_frame_nothing_is_delivered() {
    let good = payload_part(BODY);
    let mut bad = good.clone();
    bad[40] ^= 1;
    let stream = [good.clone(), bad, good.clone()].concat();
    let (found, ending) = every_cut("good, bad, good", &stream, frames::decode);
    assert_eq!(found.len(), 1);
    let error = ending.expect_err("the second is bad");
    assert!(matches!(error.kind(), ErrorKind::MessageChecksum { .. }));
    assert_eq!(error.offset(), good.len() as u64);
    let (events, again) = every_cut("good, bad, good", &stream, |chunks| decode(Options::new(), chunks));
    assert_eq!((texts(&events).as_str(), again), ("hi", Err(error.clone())));
    // Also when asked again, with more of the stream.
    let mut decoder = eventstream::Decoder::new();
    let mut chunk = Bytes::from(stream);
    assert!(decoder.decode(&mut chunk).expect("good").is_some());
    for _ in 0..10 {
        assert_eq!(decoder.decode(&mut chunk).err(), Some(error.clone()));
        assert_eq!(decoder.decode(&mut Bytes::from(good.clone())).err(), Some(error.clone()));
        assert_eq!(decoder.finish().err(), Some(error.clone()));
    }
    row("R6 good, bad, good", 1, "never delivered the third");
}

#[test]
fn r7_sse_vectors() {
    let vectors = common::read_json(&common::testdata("sse.json"));
    let vectors = vectors.as_array().expect("a list");
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{name} says why");
        let input = match vector["hex"].as_str() {
            Some(hex) => common::hex(hex),
            None => vector["text"].as_str().expect("text or hex").as_bytes().to_vec(),
        };
        let (events, how) = every_cut(name, &input, sse::decode);
        assert_eq!(json!(events), vector["events"], "{name}");
        assert_eq!(ending(&how), vector["ending"].as_str().unwrap_or("complete"), "{name}");
        let reference: Vec<_> = oracles::sse_reference::events(&input).iter().map(sse::describe).collect();
        assert_eq!(events, reference, "{name}");
        // Trailing garbage is an unfinished line: it costs nothing that stands before it.
        let (again, _) = every_cut(name, &[&input, &b"data: garbage"[..]].concat(), sse::decode);
        assert_eq!(again, events, "{name} with garbage");
    }
    row("R7 SSE vectors, our own with the standard's examples", vectors.len(), "right in every cut");
}

#[test]
fn r7_sse_vectors_of_others() {
    let Some(folder) = common::shared("vectors/sse") else {
        println!("R7 SSE vectors of others: SAGEWIRE_SHARED is not set, skipped");
        return;
    };
    let vectors = common::read_json(&folder.join("vectors.json"));
    let vectors = vectors["vectors"].as_array().expect("a list");
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        let chunks = vector["chunks"].as_array().expect("a list");
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| common::base64(chunk.as_str().expect("text"))).collect();
        let (as_given, _) = sse::decode(chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect());
        assert_eq!(json!(as_given), vector["expected"], "{name}");
        let (events, _) = every_cut(name, &chunks.concat(), sse::decode);
        assert_eq!(json!(events), vector["expected"], "{name}");
    }
    assert!(vectors.len() >= 39);
    row("R7 SSE vectors of browsers and eventsource-parser", vectors.len(), "right in every cut");
}

/// Gives `begin` and then 64 MiB of `filler`. Returns the bytes until the error, if there is one, and the peak heap.
fn endless(
    begin: &'static [u8],
    filler: &[u8],
    mut give: impl FnMut(&mut Bytes) -> Result<(), Error>,
) -> (Option<(usize, Error)>, usize) {
    let filler = leak(filler.repeat(64 * KIB / filler.len()));
    let meter = Meter::start();
    let mut given = begin.len();
    let mut fault = give(&mut Bytes::from_static(begin)).err();
    while fault.is_none() && given < 64 * MIB {
        fault = give(&mut filler.clone()).err();
        given += filler.len();
    }
    (fault.map(|error| (given, error)), meter.read().peak as usize)
}

#[test]
fn r8_endless_input() {
    // What an endless stream begins with and goes on with, and whether it means something.
    let bounded: [(&str, &[u8], &[u8]); 6] = [
        ("line", b"data: ", b"x"),
        ("event type", b"event: ", b"x"),
        ("ID", b"id: ", b"x"),
        ("event", b"data: x\n", b"data: 1\n"),
        ("event of empty lines", b"data\n", b"data\n"),
        ("line of byte order marks", b"data:", b"\xef\xbb\xbf"),
    ];
    let free: [(&str, &[u8], &[u8]); 5] = [
        ("comment", b": ", b"x"),
        ("comments", b"", b": x\n"),
        ("unknown field", b"unknown: ", b"x"),
        ("line that is nearly a field", b"datax", b"x"),
        ("blank lines", b"", b"\r\n"),
    ];
    let records: [(&str, &[u8], &[u8]); 4] = [
        ("line of an event stream", b"data: {", b"x"),
        ("JSON document", b"{\"a\":\"", b"x"),
        ("JSON in depth", b"{\"a\":", b"[{\"a\":"),
        ("event of JSON", b"data: [\n", b"data: 1,\n"),
    ];
    let limits = [64 * KIB, Limits::default().record];
    let mut count = 0;
    let mut worst = 0;
    let check = |name: &str, limit: usize, (fault, peak): (Option<(usize, Error)>, usize)| {
        let (given, error) = fault.expect(name);
        assert!(error.is_limit(), "{name}: {error}");
        assert!(given <= 64 * KIB + limit * 8 + 8, "{name}: {given} bytes until the error");
        // The quarter is what a buffer grows by.
        assert!(peak <= limit + limit / 4 + 64 * KIB, "{name}: {peak} bytes for a limit of {limit}");
        peak - limit.min(peak)
    };
    for limit in limits {
        let limits = Limits { record: limit, ..Limits::default() };
        for (name, begin, filler) in bounded {
            let mut decoder = sagewire_codec::sse::Decoder::with_limits(limits);
            let outcome = endless(begin, filler, |chunk| {
                while decoder.decode(chunk)?.is_some() {}
                Ok(())
            });
            worst = worst.max(check(name, limit, outcome));
            count += 1;
        }
        for (name, begin, filler) in records {
            let mut decoder = Decoder::with_options(Options::new().limits(limits));
            let outcome = endless(begin, filler, |chunk| {
                while decoder.decode(chunk)?.is_some() {}
                Ok(())
            });
            worst = worst.max(check(name, limit, outcome));
            count += 1;
        }
        for (name, begin, filler) in free {
            let mut strict = sagewire_codec::sse::Decoder::with_limits(limits);
            let (fault, peak) = endless(begin, filler, |chunk| {
                while strict.decode(chunk)?.is_some() {}
                Ok(())
            });
            assert_eq!(fault, None, "{name}");
            assert!(peak <= KIB, "{name}: {peak} bytes");
            let framing = Options::new().framing(Framing::Sse).limits(limits);
            let mut stack = Decoder::with_options(framing);
            let (fault, peak) = endless(begin, filler, |chunk| {
                while stack.decode(chunk)?.is_some() {}
                Ok(())
            });
            assert_eq!(fault, None, "{name}");
            assert!(peak <= KIB, "{name}: {peak} bytes");
            count += 2;
        }
    }
    row("R8 endless inputs of 64 MiB", count, &format!("bounded, {worst} bytes above the limit at most"));
}

#[test]
fn r11_endings() {
    let error: &[u8] = b"data: {\"error\":{\"message\":\"m\"}}\n\n";
    let part = payload_part;
    let exception =
        frame(&[(":message-type", "exception"), (":exception-type", "InternalStreamFailure")], b"{}");
    let mut corrupt = part(FINISH);
    corrupt[120] ^= 0x10;
    let cases: [(&str, Vec<u8>, &str); 15] = [
        ("finish and [DONE]", [part(BODY), part(FINISH), part(DONE)].concat(), "complete"),
        ("finish alone", [part(BODY), part(FINISH)].concat(), "complete"),
        ("[DONE] alone", [part(BODY), part(DONE)].concat(), "complete"),
        ("nothing at all", vec![], "truncated"),
        ("text and then nothing", part(BODY), "truncated"),
        ("in a frame", part(BODY)[..100].to_vec(), "truncated"),
        (
            "in a frame behind [DONE]",
            [part(BODY), part(DONE), part(DONE)[..3].to_vec()].concat(),
            "truncated",
        ),
        ("in a record", [part(BODY), part(&FINISH[..20])].concat(), "truncated"),
        ("in a character", part("data: {\"é".as_bytes().split_last().expect("bytes").1), "truncated"),
        ("exception", [part(BODY), exception.clone()].concat(), "failure"),
        ("exception behind [DONE]", [part(BODY), part(DONE), exception].concat(), "failure"),
        ("error in the stream and [DONE]", [part(BODY), part(error), part(DONE)].concat(), "failure"),
        ("corrupt frame", [part(BODY), corrupt].concat(), "corrupt"),
        ("no frames at all", b"\0<h>\0\0no frames here".to_vec(), "corrupt"),
        (
            "a record that never ends",
            [part(BODY), part(&[b"data: \"", &[b'x'; 900][..]].concat())].concat(),
            "limit",
        ),
    ];
    for (name, stream, expected) in &cases {
        let limits = Limits { record: 500, ..Limits::default() };
        let (_, how) = every_cut(name, stream, |chunks| decode(Options::new().limits(limits), chunks));
        assert_eq!(ending(&how), *expected, "{name}");
        // The four predicates are one another's opposites.
        if let Err(error) = how {
            let says = [error.is_truncated(), error.is_limit(), error.is_corrupt(), error.is_model_failure()];
            assert_eq!(says.iter().filter(|&&says| says).count(), 1, "{name}: {error}");
        }
    }
    row("R11 endings", cases.len(), "told, complete only with a terminal record or a finish reason");
}

#[test]
fn r12_exception_and_error_frames_anywhere() {
    let exception = |name, payload: &str| {
        frame(&[(":message-type", "exception"), (":exception-type", name)], payload.as_bytes())
    };
    let faults = [
        (
            exception(
                "ModelStreamError",
                r#"{"Message":"too slow","ErrorCode":"ModelInvocationTimeExceeded"}"#,
            ),
            ("ModelStreamError", Some("ModelInvocationTimeExceeded"), "too slow", false),
        ),
        (
            exception("ModelStreamError", r#"{"Message":"broken","ErrorCode":"StreamBroken"}"#),
            ("ModelStreamError", Some("StreamBroken"), "broken", true),
        ),
        (
            exception("InternalStreamFailure", r#"{"Message":"sorry"}"#),
            ("InternalStreamFailure", None, "sorry", true),
        ),
        (
            exception("throttlingException", r#"{"message":"slow down"}"#),
            ("throttlingException", None, "slow down", true),
        ),
        (exception("NewError", "no JSON"), ("NewError", None, "no JSON", false)),
        (
            frame(
                &[(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "é")],
                b"",
            ),
            ("error", Some("InternalFailure"), "é", true),
        ),
        (frame(&[(":message-type", "error")], b""), ("error", None, "", false)),
    ];
    let part = payload_part(BODY);
    let half = payload_part(&BODY[..30]);
    let places: [(&str, Vec<u8>, &str); 4] = [
        ("first", vec![], ""),
        ("in the middle", part.clone(), "hi"),
        ("in a record", [part.clone(), half].concat(), "hi"),
        ("last", [part.clone(), payload_part(FINISH), payload_part(DONE)].concat(), "hi"),
    ];
    for (fault, (name, code, message, retryable)) in &faults {
        for (place, before, text) in &places {
            // What comes behind it is never delivered.
            let stream = [before.clone(), fault.clone(), part.clone()].concat();
            let (events, ending) = every_cut(name, &stream, |chunks| decode(Options::new(), chunks));
            assert_eq!(texts(&events), *text, "{name} {place}");
            let error = ending.expect_err(name);
            assert_eq!(error.offset(), before.len() as u64, "{name} {place}");
            let failure = error.failure().expect(name);
            assert_eq!((failure.name.as_str(), failure.code.as_deref()), (*name, *code));
            assert_eq!((failure.message.as_str(), failure.is_retryable()), (*message, *retryable));
        }
    }
    let count = faults.len() * places.len();
    row("R12 exception and error frames", count, "with name, code, message and whether to retry");
}

/// What has been used to smuggle events and fields in.
const NASTY: [&str; 14] = [
    "",
    "\r",
    "\n",
    "\r\n",
    "\n\r",
    "\0",
    "\u{feff}",
    " ",
    ":",
    "a\n\ndata: b\n\n",
    "\ndata: x",
    "\rid: 1\r\r",
    "é\r\u{2028}",
    "[DONE]",
];

#[test]
fn r17_output_is_exactly_one_event() {
    let (mut written, mut refused) = (0, 0);
    for event in NASTY {
        for id in NASTY {
            for data in NASTY {
                let value = sagewire_codec::sse::Event {
                    event: event.into(),
                    id: id.into(),
                    ..sagewire_codec::sse::Event::new(data)
                };
                let mut out = Vec::new();
                if value.encode(&mut out).is_err() {
                    assert!(event.contains(['\r', '\n']) || id.contains(['\r', '\n', '\0']), "{value:?}");
                    assert!(out.is_empty());
                    refused += 1;
                    continue;
                }
                written += 1;
                out.extend_from_slice(b"data: next\n\n");
                let (events, ending) = sse::decode(vec![Bytes::from(out)]);
                assert_eq!((events.len(), ending), (2, Ok(())), "{value:?}");
                let expected = data.replace("\r\n", "\n").replace('\r', "\n");
                assert_eq!(events[0]["data"], expected, "{value:?}");
                assert_eq!(events[0]["event"], if event.is_empty() { "message" } else { event });
                assert_eq!(events[0]["id"], id);
            }
        }
    }
    assert!(written > 100 && refused > 100);
    row("R17 events with hostile fields", written + refused, "one event or refused");
}
