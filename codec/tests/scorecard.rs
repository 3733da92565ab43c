//! The requirements for a stream codec, row by row: see `RELIABILITY.md`. Each row prints its count.
//!
//! `cargo test -p sagewire-codec --test scorecard -- --nocapture`

mod common;
mod oracles;

use bytes::Bytes;
use common::counting::{Counting, Meter};
use common::frames::{self, frame};
use common::{decode, ending, every_cut, leak, payload_part, sse, streams, texts};
use sagewire_codec::eventstream::{self, Header, Value};
use sagewire_codec::{
    Api, DecodeError, DecodeErrorKind, Decoder, Framing, Limits, Options, Transcoder, model,
};
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

/// Prints the last line of a row. A failed check has already failed the test.
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
        let name = common::name_of(vector);
        let mut input = common::hex(vector["hex"].as_str().expect("bytes"));
        let (found, ending) = every_cut(name, &input, frames::decode);
        assert_eq!(json!(found), vector["frames"], "{name}");
        match vector["error"].as_str() {
            Some(expected) => assert_eq!(ending.expect_err(name).to_string(), expected, "{name}"),
            None => {
                assert_eq!(ending, Ok(()), "{name}");
                // Trailing garbage does not affect the frames before it.
                input.extend_from_slice(b"garbage behind the frames");
                let (again, ending) = every_cut(name, &input, frames::decode);
                assert_eq!(again, found, "{name} with garbage");
                let offset = input.len() as u64 - 25;
                assert_eq!(ending.as_ref().map_err(DecodeError::offset), Err(offset), "{name}");
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

/// The wire form of a header: name, type, value.
fn raw_header(name: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
    [&[name.len() as u8], name, &[kind], value].concat()
}

/// The wire form of a string header, with any declared length.
fn raw_text(name: &[u8], stated: u16, value: &[u8]) -> Vec<u8> {
    raw_header(name, 7, &[&stated.to_be_bytes(), value].concat())
}

/// [`every_cut`]; large inputs only unsplit and in chunks of 1 and 7 bytes.
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
        ("two bytes of headers too many", impossible(16, 2)),
        ("headers of one byte, which hold no header", impossible(17, 1)),
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
            // Good, bad, good: frames before the bad one are delivered, frames after it never.
            let stream = [before.repeat(good), bytes.clone(), before.repeat(2)].concat();
            let (found, ending) = some_cuts(name, &stream, frames::decode);
            assert_eq!(found.len(), good, "{name}");
            let error = ending.expect_err(name);
            assert!(!error.is_truncated() && error.to_string().contains(why), "{name}: {error}");
            let in_frame = error.offset() - (before.len() * good) as u64;
            assert!(in_frame < bytes.len() as u64, "{name}: {error}");
        }
    }
    // Unusual, but valid.
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
                // The error is found with the frame, without waiting for more bytes.
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
    // The full decoder: a part for each event, of which the last two mark the response as complete.
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
        // Between the finish reason and the terminal record no content is missing.
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
        // Flipped bits that make the frame 256 MiB, 2 GiB, or one byte longer.
        flipped(4),
        flipped(7),
        flipped(24),
        // Wrong lengths with a valid checksum.
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
    // A frame of the maximum length, of which only the beginning arrives.
    let beginning = [&frames::prelude(24 * MIB as u32 + 16, 0)[..], &[0; 100]].concat();
    for size in [beginning.len(), 1] {
        let chunks: Vec<Bytes> = beginning.chunks(size).map(|chunk| leak(chunk.to_vec())).collect();
        let meter = Meter::start();
        let mut decoder = eventstream::Decoder::new();
        for mut chunk in chunks {
            assert!(decoder.decode(&mut chunk).expect("allowed").is_none());
        }
        // At least the received bytes, which shows that the allocator counts.
        assert!((112..=KIB as i64).contains(&meter.read().peak), "{} bytes for 112", meter.read().peak);
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
    assert!(matches!(error.kind(), DecodeErrorKind::MessageChecksum { .. }));
    assert_eq!(error.offset(), good.len() as u64);
    let (events, again) = every_cut("good, bad, good", &stream, |chunks| decode(Options::new(), chunks));
    assert_eq!((texts(&events).as_str(), again), ("hi", Err(error.clone())));
    // The error stays the same if the decoder gets more of the stream.
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
        let name = common::name_of(vector);
        let input = match vector["hex"].as_str() {
            Some(hex) => common::hex(hex),
            None => vector["text"].as_str().expect("text or hex").as_bytes().to_vec(),
        };
        let (events, how) = every_cut(name, &input, sse::decode);
        assert_eq!(json!(events), vector["events"], "{name}");
        assert_eq!(ending(&how), vector["ending"].as_str().unwrap_or("complete"), "{name}");
        let reference: Vec<_> = oracles::sse_reference::events(&input).iter().map(sse::describe).collect();
        assert_eq!(events, reference, "{name}");
        // Trailing garbage is an unfinished line: it does not affect the events before it.
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

/// Feeds `begin` and then 64 MiB of `filler`. Returns the bytes until the error, if there is one, and the peak heap.
fn endless(
    begin: &'static [u8],
    filler: &[u8],
    mut give: impl FnMut(&mut Bytes) -> Result<(), DecodeError>,
) -> (Option<(usize, DecodeError)>, usize) {
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
    // The beginning of an endless stream, its continuation, and whether it contains events.
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
    let check = |name: &str, limit: usize, (fault, peak): (Option<(usize, DecodeError)>, usize)| {
        let (given, error) = fault.expect(name);
        assert!(error.is_limit(), "{name}: {error}");
        assert!(given <= 64 * KIB + limit * 8 + 8, "{name}: {given} bytes until the error");
        // The allowance covers the error itself.
        assert!(peak <= limit + 64 * KIB + 128, "{name}: {peak} bytes for a limit of {limit}");
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
            let mut next = Bytes::from_static(b"\ndata: 1\n\n");
            let event = strict.decode(&mut next).expect("good").expect("what comes behind is read");
            assert_eq!(event.data, "1", "{name}");
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
        // Exactly one of the four predicates holds.
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
            // Bytes after the fault are never delivered.
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

/// Known payloads for the injection of events and fields.
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

/// The five cases in which AWS's own SDKs and SSE readers differ, with the documented decisions.
#[test]
fn decisions() {
    let refused = |frame: Vec<u8>, why: &str| {
        let (found, ending) = some_cuts(why, &frame, frames::decode);
        let error = ending.expect_err(why);
        assert!(found.is_empty() && error.is_corrupt() && error.to_string().contains(why), "{error}");
    };
    // Duplicate header names.
    for (first, second) in [("a", "a"), ("a", "b")] {
        let headers = [raw_text(b"n", 1, first.as_bytes()), raw_text(b"n", 1, second.as_bytes())];
        refused(frames::raw(&headers.concat(), b""), "name occurs twice");
    }
    // Header values of 32,768 to 65,535 bytes, strings and byte arrays; they cannot be written either.
    for len in [32_768u16, 65_535] {
        let value = vec![b'x'; len.into()];
        let stated = [&len.to_be_bytes()[..], &value].concat();
        for kind in [6, 7] {
            refused(frames::raw(&raw_header(b"n", kind, &stated), b""), "longer than 32,767");
        }
        let header = Header::new("n", Value::ByteArray(&value));
        assert!(eventstream::encode([header], b"", &mut Vec::new()).is_err());
    }
    // A final CR ends its line, here the blank one.
    let data = |input: &[u8]| {
        let (events, ending) = every_cut("SSE", input, sse::decode);
        (events.iter().map(|event| event["data"].clone()).collect::<Vec<_>>(), ending.is_ok())
    };
    assert_eq!(data(b"data: 1\r\r"), (vec![json!("1")], true));
    assert_eq!(data(b"data: 1\n\r"), (vec![json!("1")], true));
    assert_eq!(data(b"data: 1\r"), (vec![], false));
    let (events, ending) =
        every_cut("CR", &BODY.repeat(2)[..BODY.len() - 1], |chunks| decode(Options::new(), chunks));
    assert!(texts(&events) == "hi" && ending.is_err_and(|error| error.is_truncated()));
    // Invalid UTF-8 in data becomes U+FFFD, as in the decoder of the standard and in the standard library.
    for bytes in [
        &b"\xff"[..],
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98",
        b"a\xc0\x80b",
        b"\xf4\x90\x80\x80",
    ] {
        let expected = String::from_utf8_lossy(bytes);
        assert_eq!(data(&[b"data: ", bytes, b"\n\n"].concat()), (vec![json!(expected)], true));
        let record =
            [b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"", bytes, b"\"}}]}\n\n"].concat();
        let (events, _) = every_cut("UTF-8", &record, |chunks| decode(Options::new(), chunks));
        assert_eq!(texts(&events), expected);
    }
    // Events without data are not delivered; an empty data line is data.
    assert_eq!(data(b"event: x\n\nid: 1\n\nretry: 5\n\n"), (vec![], true));
    assert_eq!(data(b"data\n\n"), (vec![json!("")], true));
    let (events, _) = sse::decode(vec![Bytes::from_static(b"id: 1\nretry: 5\n\nevent: x\n\ndata: 2\n\n")]);
    assert_eq!(events, [json!({"event": "message", "data": "2", "id": "1", "retry": 5})]);
    row("Decisions", 5, "as documented");
}

/// Feeds `stream` byte by byte to `give`, and returns the bytes that were allocated meanwhile.
fn heap_of_drip(stream: &Bytes, mut give: impl FnMut(&mut Bytes)) -> u64 {
    let meter = Meter::start();
    for at in 0..stream.len() {
        give(&mut stream.slice(at..=at));
    }
    meter.read().bytes
}

/// A decoder is superlinear in one of two ways. If it moves its buffer again and again, the allocated bytes grow faster than
/// the input, which is counted here. If it scans its buffer again and again, nothing outside can count that. Therefore the
/// last round feeds 4 MiB in single bytes: such a decoder scans 8.8 × 10¹² bytes, which takes many minutes.
#[test]
fn r9_linear_time() {
    let event = |len: usize| {
        let open = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
        format!("{open}{}\"}}}}]}}\n\n", "x".repeat(len)).into_bytes()
    };
    let in_frame = |len| leak(payload_part(&event(len)));
    let in_parts = |len| leak(event(len).chunks(1_000).flat_map(payload_part).collect());
    let frame_drip = |stream: &Bytes| {
        let mut decoder = eventstream::Decoder::new();
        let mut frames = 0;
        let heap = heap_of_drip(stream, |chunk| {
            frames += usize::from(decoder.decode(chunk).expect("good").is_some());
        });
        assert_eq!(frames, 1);
        heap
    };
    let sse_drip = |stream: &Bytes| {
        let mut decoder = sagewire_codec::sse::Decoder::new();
        let mut events = 0;
        let heap = heap_of_drip(stream, |chunk| {
            events += usize::from(decoder.decode(chunk).expect("good").is_some());
        });
        assert_eq!(events, 1);
        heap
    };
    let stack_drip = |stream: &Bytes| {
        let mut decoder = Decoder::new();
        let mut deltas = 0;
        let heap = heap_of_drip(stream, |chunk| {
            while let Some(event) = decoder.decode(chunk).expect("good") {
                deltas += usize::from(matches!(event, model::Event::TextDelta { .. }));
            }
        });
        assert_eq!(deltas, 1);
        heap
    };
    type Stream<'a> = &'a dyn Fn(usize) -> Bytes;
    type Drip<'a> = &'a dyn Fn(&Bytes) -> u64;
    let drips: [(&str, Stream<'_>, Drip<'_>); 5] = [
        ("frame", &in_frame, &frame_drip),
        ("event", &|len| leak(event(len)), &sse_drip),
        ("event through the stack", &|len| leak(event(len)), &stack_drip),
        ("event in a frame", &in_frame, &stack_drip),
        ("event in many frames", &in_parts, &stack_drip),
    ];
    for (name, stream, drip) in drips {
        let [small, large] = [64 * KIB, MIB].map(|len| drip(&stream(len)));
        let growth = large as f64 / small as f64;
        println!(
            "R9 {name} of 64 KiB and of 1 MiB in single bytes: {small} and {large} bytes of heap, {growth:.1}-fold"
        );
        // A buffer grows by a quarter at a time, so the position of the last step can add another quarter.
        assert!(growth <= 16.0 * 1.25, "{name}");
        let longer = stream(4 * MIB);
        assert!(drip(&longer) <= 20 * longer.len() as u64, "{name}");
    }
    // Any number of tiny frames in one chunk allocates nothing, and the frames are borrowed.
    let tiny = |count: usize| leak(frames::raw(b"", b"").repeat(count));
    for count in [6_250, 100_000] {
        let stream = tiny(count);
        let meter = Meter::start();
        let mut decoder = eventstream::Decoder::new();
        let mut chunk = stream.clone();
        let mut found = 0;
        while let Some(frame) = decoder.decode(&mut chunk).expect("good") {
            assert_eq!(frame.as_bytes().as_ptr(), stream[found * 16..].as_ptr());
            found += 1;
        }
        assert_eq!(found, count);
        assert!(meter.read().bytes <= KIB as u64, "{} bytes", meter.read().bytes);
    }
    row("R9 inputs", drips.len() + 1, "in linear time");
}

#[test]
fn r10_nested_cuts() {
    let body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"caf\u{e9} \\ud83d\\ude00\"}}]}\r\n\r\n: ping\n\n\
                event: x\ndata: {\"choices\":[{\"delta\":\ndata: {\"content\":\"\u{1f642}\"},\"finish_reason\":\"stop\"}]}\n\n\
                data: [DONE]\r\r";
    let body = body.as_bytes();
    let (expected, ending) = decode(Options::new(), vec![Bytes::copy_from_slice(body)]);
    assert_eq!((texts(&expected).as_str(), &ending), ("caf\u{e9} \u{1f600}\u{1f642}", &Ok(())));
    let part = |bytes: &[u8]| frame(&[(":event-type", "PayloadPart")], bytes);
    let mut cuts = 0;
    let mut check = |chunks: Vec<Bytes>, how: std::fmt::Arguments<'_>| {
        let (events, ending) = decode(Options::new(), chunks);
        assert!(events == expected && ending.is_ok(), "{how}: {events:#?} {ending:?}");
        cuts += 1;
    };
    // Every split of the body with every split of the frames.
    for cut in 0..body.len() {
        let (left, right) = body.split_at(cut);
        let frames = Bytes::from([part(left), part(right)].concat());
        for split in 0..frames.len() {
            check(vec![frames.slice(..split), frames.slice(split..)], format_args!("{cut}, {split}"));
        }
    }
    // Every small size of parts with every small size of chunks.
    for part_len in 1..=32 {
        let frames: Bytes = body.chunks(part_len).flat_map(part).collect();
        for chunk_len in 1..=48 {
            let starts = (0..frames.len()).step_by(chunk_len);
            let chunks = starts.map(|at| frames.slice(at..(at + chunk_len).min(frames.len()))).collect();
            check(chunks, format_args!("parts of {part_len}, chunks of {chunk_len}"));
        }
    }
    row("R10 nested cuts", cuts, "with the same events");
}

#[test]
fn r15_json() {
    let run = |body: &str| {
        let found = every_cut(body, body.as_bytes(), |chunks| decode(Options::new(), chunks));
        // Also split into parts at every byte: an escape, a surrogate pair or a character is then in two frames.
        for at in 0..=body.len().min(400) {
            let frames =
                [payload_part(&body.as_bytes()[..at]), payload_part(&body.as_bytes()[at..])].concat();
            assert!(
                decode(Options::new(), vec![Bytes::from(frames)]) == found,
                "{body} in parts, cut at {at}"
            );
        }
        found
    };
    let mut count = 0;
    // The raw content between the quotes, and its value.
    let strings: [(&str, &str); 19] = [
        (r"\ud83d", "\u{fffd}"),
        (r"\ude00", "\u{fffd}"),
        (r"\ud83d\ude00", "\u{1f600}"),
        (r"\uD83D\uDE00", "\u{1f600}"),
        (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        (r"\ud83dx", "\u{fffd}x"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\ud83d\\ude00", "\u{fffd}\\ude00"),
        (r"a\ud800b\udfffc", "a\u{fffd}b\u{fffd}c"),
        (r"\udbff\udfff", "\u{10ffff}"),
        (r"\ud800\udc00", "\u{10000}"),
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"\u0000", "\0"),
        (r"\ufeff\u2028", "\u{feff}\u{2028}"),
        ("\u{feff}\u{2028}\u{85}", "\u{feff}\u{2028}\u{85}"),
        (r"\\", "\\"),
        ("é🙂", "é🙂"),
    ];
    for (raw, text) in strings {
        // If `serde_json` accepts the string, the value is the same.
        if let Ok(theirs) = serde_json::from_str::<String>(&format!("\"{raw}\"")) {
            assert_eq!(theirs, text, "{raw}");
        }
        for (kind, delta) in [
            ("text_delta", format!("\"content\":\"{raw}\"")),
            ("reasoning_delta", format!("\"reasoning_content\":\"{raw}\"")),
            (
                "tool_input_delta",
                format!(
                    "\"tool_calls\":[{{\"index\":0,\"id\":\"1\",\"function\":{{\"name\":\"f\",\"arguments\":\"{raw}\"}}}}]"
                ),
            ),
        ] {
            let chunk = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{{delta}}}}}]}}\n\n");
            // Twice: the second chunk has the shape of the first, and may use the shape cache.
            let (events, _) = run(&chunk.repeat(2));
            let found: String = events
                .iter()
                .filter(|event| event["type"] == kind)
                .filter_map(|event| event["text"].as_str())
                .collect();
            assert_eq!(found, text.repeat(2), "{chunk}");
            count += 1;
        }
    }
    // Halves of a surrogate pair in two deltas are two lone halves: each delta is decoded separately.
    let delta = |content: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n")
    };
    assert_eq!(texts(&run(&[delta(r"\ud83d"), delta(r"\ude00")].concat()).0), "\u{fffd}\u{fffd}");
    // Invalid JSON loses only its own record, which is reported.
    for broken in [r"\x", r"\u12", r"\u12g4", r"\ud83d\u", "\u{1}", "\t"] {
        let (events, _) = run(&[delta("a"), delta(broken), delta("b")].concat());
        assert_eq!(texts(&events), "ab", "{broken}");
        assert_eq!(events.iter().filter(|event| event["type"] == "malformed").count(), 1, "{broken}");
        count += 1;
    }
    // Numbers.
    let max = u64::MAX;
    for (number, value) in [
        ("0".to_owned(), Some(0)),
        (max.to_string(), Some(max)),
        ("18446744073709551616".to_owned(), None),
        ("1".repeat(400), None),
        ("1e400".to_owned(), None),
        ("-1".to_owned(), None),
        ("-0".to_owned(), None),
        ("1.5".to_owned(), None),
    ] {
        let body = format!(
            "data: {{\"created\":{number},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}},\"finish_reason\":\"stop\"}}],\
             \"usage\":{{\"prompt_tokens\":{number},\"completion_tokens\":1,\"total_tokens\":{number}}}}}\n\n"
        );
        let (events, ending) = run(&body);
        assert_eq!((texts(&events).as_str(), ending), ("a", Ok(())), "{number}");
        let of = |kind: &str| events.iter().find(|event| event["type"] == kind).expect(kind);
        assert_eq!(of("start")["created"].as_u64(), value, "{number}");
        assert_eq!(of("usage")["input_tokens"].as_u64(), value, "{number}");
        assert_eq!(of("usage")["output_tokens"], 1, "{number}");
        // As the index of a choice it is ignored: the position of the choice is used.
        let (events, _) = run(&format!(
            "data: {{\"choices\":[{{\"index\":{number},\"delta\":{{\"content\":\"a\"}}}}]}}\n\n"
        ));
        let delta = events.iter().find(|event| event["type"] == "text_delta").expect("a delta");
        assert_eq!((delta["text"].as_str(), delta["choice"].as_u64()), (Some("a"), Some(0)), "{number}");
        count += 2;
    }
    // Depth: the object itself counts as one.
    let nested = |depth: usize| format!("data: {{\"x\":{}{}}}\n\n", "[".repeat(depth), "]".repeat(depth));
    for (depth, good) in [(126, true), (128, false), (100_000, false)] {
        let body = [delta("a"), nested(depth), delta("b")].concat();
        let (events, _) = if depth < 1_000 { run(&body) } else { decode(Options::new(), vec![body.into()]) };
        assert_eq!(texts(&events), "ab", "{depth}");
        let malformed = events.iter().filter(|event| event["type"] == "malformed").count();
        assert_eq!(malformed, usize::from(!good), "{depth}");
        count += 1;
    }
    // The last of several equal names counts, however they are escaped.
    for twice in [
        r#"{"choices":[{"index":0,"delta":{"content":"no","content":"hi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"no","con\u0074ent":"hi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"no"},"delta":{"content":"hi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"no"}}],"choices":[{"index":0,"delta":{"content":"hi"}}]}"#,
        r#"{"choices":[{"index":7,"index":0,"delta":{"content":"hi"}}]}"#,
    ] {
        let (events, _) = run(&format!("data: {twice}\n\n"));
        assert_eq!(texts(&events), "hi", "{twice}");
        let delta = events.iter().find(|event| event["type"] == "text_delta").expect("a delta");
        assert_eq!(delta["choice"], 0, "{twice}");
        count += 1;
    }
    row("R15 JSON", count, "as documented");
}

/// The writer of OpenAI chunks: no text can break out of its event.
#[test]
fn r17_transcoded_output_is_one_event_a_chunk() {
    let mut count = 0;
    for nasty in NASTY {
        let chunk = |delta: serde_json::Value, finish: Option<&str>| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            json!({"id": nasty, "model": nasty, "choices": [choice], "unknown": nasty})
        };
        let call =
            json!({"index": 0, "id": nasty, "function": {"name": format!("f{nasty}"), "arguments": nasty}});
        let records = [
            chunk(json!({"role": nasty, "content": nasty}), None),
            chunk(json!({"reasoning_content": nasty}), None),
            chunk(json!({"refusal": nasty}), None),
            chunk(json!({"tool_calls": [call]}), None),
            chunk(json!({}), Some(&format!("f{nasty}"))),
            json!({"error": {"message": nasty, "type": nasty, "code": nasty}}),
        ];
        let source: String = records.iter().map(|record| format!("data: {record}\n\n")).collect();
        let context = model::ResponseOptions::new();
        let mut transcoder = Transcoder::new(Options::new(), Api::OpenAi, context).expect("it is written");
        let mut out = Vec::new();
        let mut chunk = Bytes::from(source);
        while let Ok(Some(bytes)) = transcoder.decode(&mut chunk) {
            out.extend_from_slice(bytes);
        }
        let (events, ending) = sse::decode(vec![Bytes::from(out.clone())]);
        assert_eq!(ending, Ok(()), "{nasty:?}");
        let mut again = String::new();
        for event in &events {
            let data = event["data"].as_str().expect("text");
            serde_json::from_str::<serde_json::Value>(data).expect("a document");
            again.extend(["data: ", data, "\n\n"]);
            count += 1;
        }
        // One data line for each event, and nothing else.
        assert_eq!(again.as_bytes(), out, "{nasty:?}");
        let (read, ending) = decode(Options::new(), vec![Bytes::from(out)]);
        assert_eq!(texts(&read), nasty, "{nasty:?}");
        let error = ending.expect_err("the model failed");
        assert_eq!(error.failure().expect("its own").message, nasty);
    }
    row("R17 transcoded events", count, "one document in one data line");
}
