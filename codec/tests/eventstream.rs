//! Event-stream frames: zero copy, limits, round trips, and aws-smithy-eventstream as the oracle. Vectors and hostile
//! input are in `scorecard.rs`.

mod common;

use aws_smithy_types::event_stream::HeaderValue;
use bytes::Bytes;
use common::payload_part;
use proptest::prelude::*;
use sagewire_codec::Limits;
use sagewire_codec::eventstream::{Decoder, Header, Value, encode, parse};

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
fn invalid_frames_are_not_encoded() {
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

/// A header with owned fields.
fn any_header() -> impl Strategy<Value = (String, HeaderValue)> {
    let value = prop_oneof![
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i8>().prop_map(HeaderValue::Byte),
        any::<i16>().prop_map(HeaderValue::Int16),
        any::<i32>().prop_map(HeaderValue::Int32),
        any::<i64>().prop_map(HeaderValue::Int64),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| HeaderValue::ByteArray(bytes.into())),
        "\\PC{0,20}".prop_map(|text| HeaderValue::String(text.into())),
        // The oracle stores seconds and nanoseconds: timestamps in its range survive a round trip.
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
        // Smithy writes the same bytes, and reads ours.
        let mut theirs = aws_smithy_types::event_stream::Message::new(payload.clone());
        for (name, value) in &headers {
            theirs = theirs.add_header(aws_smithy_types::event_stream::Header::new(name.clone(), value.clone()));
        }
        let mut written = Vec::new();
        aws_smithy_eventstream::frame::write_message_to(&theirs, &mut written).expect("encodable");
        prop_assert_eq!(&written, &out);
        let read = aws_smithy_eventstream::frame::read_message_from(&mut &out[..]).expect("readable");
        prop_assert_eq!(read, theirs);
        // We read the bytes that smithy writes.
        let (frame, rest) = parse(&written, &Limits::default()).expect("good").expect("whole");
        prop_assert!(rest.is_empty());
        prop_assert_eq!(frame.payload(), &payload);
        let read: Vec<_> = frame.headers().iter().collect();
        let expected: Vec<_> = headers.iter().map(ours).collect();
        prop_assert_eq!(read, expected);
    }

    /// Any bytes with repaired checksums. If both accept a frame, both read the same; if only we reject it, the reason is one
    /// of the decisions that the module documents.
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
