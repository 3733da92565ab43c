//! Event-stream frames: vectors, hostile input, round trips, and aws-smithy-eventstream as the oracle.

mod common;

use aws_smithy_types::event_stream::HeaderValue;
use bytes::Bytes;
use common::{every_cut, hex, payload_part};
use proptest::prelude::*;
use sagewire_codec::eventstream::{Decoder, Frame, Header, Value, encode, parse};
use sagewire_codec::{Error, ErrorKind, Limits};
use serde_json::json;

/// A frame as the vectors describe it.
fn describe(frame: &Frame<'_>) -> serde_json::Value {
    let headers: Vec<_> = frame
        .headers()
        .iter()
        .map(|header| {
            let value = match header.value {
                Value::Bool(value) => json!(value),
                Value::Byte(value) => json!(value),
                Value::Short(value) => json!(value),
                Value::Integer(value) => json!(value),
                Value::Long(value) | Value::Timestamp(value) => json!(value),
                Value::ByteArray(value) => json!(common::to_base64(value)),
                Value::String(value) => json!(value),
                Value::Uuid(value) => json!(value.map(|byte| format!("{byte:02x}")).concat()),
            };
            json!({"name": header.name, "type": header.value.type_name(), "value": value})
        })
        .collect();
    json!({"headers": headers, "payload": common::to_base64(frame.payload())})
}

fn decode(chunks: Vec<Bytes>) -> (Vec<serde_json::Value>, Result<(), Error>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(frame)) => frames.push(describe(&frame)),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut chunk).err(), Some(error.clone()), "errors are sticky");
                    assert_eq!(decoder.finish().err(), Some(error.clone()), "errors are sticky");
                    return (frames, Err(error));
                }
            }
        }
        assert!(chunk.is_empty(), "`Ok(None)` means that the chunk is empty");
    }
    (frames, decoder.finish())
}

#[test]
fn own_vectors() {
    let vectors = common::read_json(&common::testdata("eventstream.json"));
    let vectors = vectors.as_array().expect("a list");
    assert!(vectors.len() >= 20);
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{name} says why");
        let mut input = hex(vector["hex"].as_str().expect("bytes"));
        let (frames, ending) = every_cut(name, &input, decode);
        assert_eq!(json!(frames), vector["frames"], "{name}");
        match vector["error"].as_str() {
            Some(expected) => assert_eq!(ending.expect_err(name).to_string(), expected, "{name}"),
            None => {
                assert_eq!(ending, Ok(()), "{name}");
                // Trailing garbage costs nothing that stands before it.
                input.extend_from_slice(b"garbage behind the frames");
                let (again, ending) = every_cut(name, &input, decode);
                assert_eq!(again, frames, "{name} with garbage");
                let offset = input.len() as u64 - 25;
                assert_eq!(ending.as_ref().map_err(Error::offset), Err(offset), "{name}");
                assert!(ending.is_err_and(|error| error.is_corrupt()), "{name} with garbage");
            }
        }
    }
}

#[test]
fn vectors_of_other_implementations() {
    let Some(folder) = common::shared("vectors/eventstream") else {
        println!("SAGEWIRE_SHARED is not set: skipped");
        return;
    };
    let manifest = common::read_json(&folder.join("manifest.json"));
    let vectors = manifest["vectors"].as_array().expect("a list");
    let expected = |decoded: &serde_json::Value| json!({"headers": decoded["headers"], "payload": decoded["payload_b64"]});
    for vector in vectors {
        let id = vector["id"].as_str().expect("an id");
        let input = std::fs::read(folder.join(vector["file"].as_str().expect("a file"))).expect(id);
        let (frames, ending) = every_cut(id, &input, decode);
        match vector["expect"].as_str() {
            Some("message") => {
                assert_eq!(frames, [expected(&vector["decoded"])], "{id}");
                assert_eq!(ending, Ok(()), "{id}");
            }
            Some("messages") => {
                let all: Vec<_> =
                    vector["decoded"].as_array().expect("a list").iter().map(expected).collect();
                assert_eq!(frames, all, "{id}");
                assert_eq!(ending, Ok(()), "{id}");
            }
            Some("error") => assert!(frames.is_empty() && ending.is_err(), "{id}"),
            other => panic!("{id} expects {other:?}"),
        }
    }
    println!("{} vectors", vectors.len());
    assert!(vectors.len() >= 68);
}

#[test]
fn a_frame_in_one_chunk_is_not_copied() {
    let mut chunk = Bytes::from(payload_part(b"hello"));
    let all = chunk.clone();
    let mut decoder = Decoder::new();
    let frame = decoder.decode(&mut chunk).expect("a good frame").expect("a frame");
    assert!(all.as_ptr_range().contains(&frame.payload().as_ptr()));
    assert!(all.as_ptr_range().contains(&frame.payload_bytes().as_ptr()));
}

#[test]
fn every_bit_flip_is_found() {
    let frame = payload_part("data: {\"é\":1}\n\n".as_bytes());
    for bit in 0..frame.len() * 8 {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (frames, ending) = decode(vec![Bytes::from(flipped)]);
        assert!(frames.is_empty(), "bit {bit}");
        // Found at once, not by waiting for more.
        assert!(ending.is_err_and(|error| error.is_corrupt()), "bit {bit}");
    }
}

#[test]
fn every_cut_is_truncated() {
    let frame = payload_part(b"one");
    let two = [frame.clone(), payload_part(b"two")].concat();
    for len in 1..two.len() {
        let (frames, ending) = decode(vec![Bytes::copy_from_slice(&two[..len])]);
        assert_eq!(frames.len(), usize::from(len >= frame.len()));
        assert_eq!(ending.is_ok(), len == frame.len());
        assert!(ending.is_ok() || ending.is_err_and(|error| error.is_truncated()), "at {len}");
    }
}

#[test]
fn after_a_bad_frame_nothing_is_delivered() {
    let good = payload_part(b"good");
    let mut bad = good.clone();
    bad[40] ^= 1;
    let (frames, ending) = every_cut("good, bad, good", &[good.clone(), bad, good.clone()].concat(), decode);
    assert_eq!(frames.len(), 1);
    let error = ending.expect_err("the second is bad");
    assert!(matches!(error.kind(), ErrorKind::MessageChecksum { .. }));
    assert_eq!(error.offset(), good.len() as u64);
}

fn with_lengths(total: u32, headers: u32) -> Vec<u8> {
    let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
    prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
    prelude
}

#[test]
fn impossible_lengths_are_refused_with_the_prelude() {
    for (total, headers) in [
        (0, 0),
        (1, 0),
        (11, 0),
        (12, 0),
        (15, 0),
        (16, 1),
        (17, 1),
        (16, 2),
        (100, 85),
        (1 << 31, 0),
        (u32::MAX, 0),
        (u32::MAX, u32::MAX),
    ] {
        let (frames, ending) = every_cut("lengths", &with_lengths(total, headers), decode);
        assert!(frames.is_empty());
        assert!(ending.is_err_and(|error| !error.is_truncated() && error.offset() == 0), "{total} {headers}");
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let limits = Limits { payload: 100, headers: 89, header_count: 3, ..Limits::default() };
    let run = |limits, payload: usize| {
        let mut decoder = Decoder::with_limits(limits);
        let mut chunk = Bytes::from(payload_part(&vec![0; payload]));
        decoder.decode(&mut chunk).map(|frame| frame.is_some())
    };
    assert_eq!(run(limits, 100), Ok(true));
    assert!(run(limits, 101).is_err_and(|error| error.is_limit()));
    assert!(run(Limits { headers: 88, ..limits }, 1).is_err_and(|error| error.is_limit()));
    assert!(run(Limits { header_count: 2, ..limits }, 1).is_err_and(|error| error.is_limit()));
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let long = "x".repeat(32_768);
    for header in [
        Header::new("", Value::Bool(true)),
        Header::new(&long[..256], Value::Bool(true)),
        Header::new("a", Value::String(&long)),
        Header::new("a", Value::ByteArray(long.as_bytes())),
    ] {
        let mut out = b"before".to_vec();
        assert!(encode([Header::new("ok", Value::Byte(1)), header], b"", &mut out).is_err());
        assert_eq!(out, b"before");
    }
    let mut out = Vec::new();
    encode([Header::new(&long[..255], Value::String(&long[..32_767]))], b"", &mut out).expect("the largest");
    assert!(parse(&out, &Limits::default()).expect("good").is_some());
}

/// A header with owned parts.
fn any_header() -> impl Strategy<Value = (String, HeaderValue)> {
    let value = prop_oneof![
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i8>().prop_map(HeaderValue::Byte),
        any::<i16>().prop_map(HeaderValue::Int16),
        any::<i32>().prop_map(HeaderValue::Int32),
        any::<i64>().prop_map(HeaderValue::Int64),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| HeaderValue::ByteArray(bytes.into())),
        "\\PC{0,20}".prop_map(|text| HeaderValue::String(text.into())),
        // The oracle keeps seconds and nanoseconds: what it can hold comes back.
        (-4_000_000_000_000i64..4_000_000_000_000)
            .prop_map(|ms| HeaderValue::Timestamp(aws_smithy_types::DateTime::from_millis(ms))),
        any::<u128>().prop_map(HeaderValue::Uuid),
    ];
    ("[a-z:é]{1,20}", value)
}

fn ours<'a>((name, value): &'a (String, HeaderValue)) -> Header<'a> {
    let value = match value {
        HeaderValue::Bool(value) => Value::Bool(*value),
        HeaderValue::Byte(value) => Value::Byte(*value),
        HeaderValue::Int16(value) => Value::Short(*value),
        HeaderValue::Int32(value) => Value::Integer(*value),
        HeaderValue::Int64(value) => Value::Long(*value),
        HeaderValue::ByteArray(value) => Value::ByteArray(value),
        HeaderValue::String(value) => Value::String(value.as_str()),
        HeaderValue::Timestamp(value) => Value::Timestamp(value.to_millis().expect("in range")),
        HeaderValue::Uuid(value) => Value::Uuid(value.to_be_bytes()),
        _ => unreachable!("ten types"),
    };
    Header::new(name, value)
}

proptest! {
    #[test]
    fn agrees_with_smithy(
        mut headers in prop::collection::vec(any_header(), 0..6),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        headers.dedup_by(|a, b| a.0 == b.0);
        let mut out = Vec::new();
        encode(headers.iter().map(ours), &payload, &mut out).expect("encodable");
        // What we write, smithy writes too, and reads.
        let mut theirs = aws_smithy_types::event_stream::Message::new(payload.clone());
        for (name, value) in &headers {
            theirs = theirs.add_header(aws_smithy_types::event_stream::Header::new(name.clone(), value.clone()));
        }
        let mut written = Vec::new();
        aws_smithy_eventstream::frame::write_message_to(&theirs, &mut written).expect("encodable");
        prop_assert_eq!(&written, &out);
        let read = aws_smithy_eventstream::frame::read_message_from(&mut &out[..]).expect("readable");
        prop_assert_eq!(read, theirs);
        // What smithy writes, we read.
        let (frame, rest) = parse(&written, &Limits::default()).expect("good").expect("whole");
        prop_assert!(rest.is_empty());
        prop_assert_eq!(frame.payload(), &payload);
        let read: Vec<_> = frame.headers().iter().collect();
        let expected: Vec<_> = headers.iter().map(ours).collect();
        prop_assert_eq!(read, expected);
    }

    /// Any bytes with mended checksums: where both accept, both see the same; where we refuse and smithy does not, it
    /// is one of the decisions that the module documents.
    #[test]
    fn agrees_with_smithy_on_damaged_frames(
        headers in prop::collection::vec(any_header(), 0..4),
        at in 12usize..120,
        byte in any::<u8>(),
    ) {
        let mut frame = Vec::new();
        encode(headers.iter().map(ours), b"payload", &mut frame).expect("encodable");
        let end = frame.len() - 4;
        frame[at.min(end - 1)] = byte;
        let crc = crc32fast::hash(&frame[..end]).to_be_bytes();
        frame[end..].copy_from_slice(&crc);
        let theirs = aws_smithy_eventstream::frame::read_message_from(&mut &frame[..]);
        match (parse(&frame, &Limits::default()), theirs) {
            (Ok(Some((ours, _))), Ok(theirs)) => {
                prop_assert_eq!(ours.payload(), &theirs.payload()[..]);
                prop_assert_eq!(ours.headers().iter().count(), theirs.headers().len());
            }
            (Ok(_), Err(theirs)) => prop_assert!(false, "only smithy refuses: {}", theirs),
            (Err(ours), Ok(_)) => {
                let decided = ["name occurs twice", "longer than 32,767", "runs past the end of the headers"];
                prop_assert!(decided.iter().any(|why| ours.to_string().contains(why)), "only we refuse: {}", ours);
            }
            (Ok(None), Ok(_)) => prop_assert!(false, "a whole frame is enough"),
            (Err(_), Err(_)) => {}
        }
    }
}
