//! Signed events of bidirectional streams, with aws-sigv4 as the oracle.

mod common;

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::event_stream::{sign_empty_message, sign_message};
use aws_sigv4::sign::v4;
use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use bytes::Bytes;
use common::random::Random;
use sagewire_codec::eventstream::{Decoder, Header, Signer, SigningParams, Value, Verifier, encode, parse};
use sagewire_codec::sagemaker::{CompletionState, DataType, Event, PayloadPart};
use sagewire_codec::{DecodeError, Limits};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const PARAMS: SigningParams<'_> =
    SigningParams { secret_access_key: SECRET, region: "us-east-1", service: "sagemaker" };
const REQUEST: &str = "be1f8c7d79ef8e1abc5254a2c70e4da3bfaf4f07328f527444e1fc6ea67273e2";

/// Signs events with aws-sigv4, at these times; `None` is the end of the stream.
fn sign_theirs(events: &[(u64, Option<Vec<u8>>)]) -> Vec<u8> {
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET, None, None, "test");
    let identity = credentials.into();
    let (mut out, mut last) = (Vec::new(), REQUEST.to_owned());
    for (seconds, event) in events {
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(PARAMS.region)
            .name(PARAMS.service)
            // The fraction is left out of what is signed.
            .time(UNIX_EPOCH + Duration::new(*seconds, 123_456_789))
            .settings(())
            .build()
            .expect("parameters");
        let signed = match event {
            Some(event) => {
                let message = read_message_from(&mut &event[..]).expect("a frame");
                sign_message(&message, &last, &params)
            }
            None => sign_empty_message(&last, &params),
        };
        let (message, signature) = signed.expect("signed").into_parts();
        write_message_to(&message, &mut out).expect("encodable");
        last = signature;
    }
    out
}

fn sign_ours(events: &[(u64, Option<Vec<u8>>)]) -> Vec<u8> {
    let mut signer = Signer::new(&PARAMS, REQUEST).expect("a signature");
    let mut out = Vec::new();
    for (seconds, event) in events {
        let signed = match event {
            Some(event) => signer.sign(*seconds, event, &mut out),
            None => signer.finish(*seconds, &mut out),
        };
        signed.expect("signed");
    }
    out
}

fn part(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PayloadPart::new(bytes).data_type(DataType::Utf8).encode(&mut out).expect("encodable");
    out
}

/// Some events with their times, and the end. The times cross midnight, leap days and ends of years.
fn events(random: &mut Random, count: usize) -> Vec<(u64, Option<Vec<u8>>)> {
    let starts = [0, 951_782_340, 1_709_251_140, 4_107_542_340, 253_402_300_000];
    let start = starts[random.below(starts.len())];
    let event = |random: &mut Random| {
        let len = random.below(300);
        let mut bytes = vec![0; len];
        bytes.iter_mut().for_each(|byte| *byte = random.below(256) as u8);
        part(&bytes)
    };
    let mut events: Vec<_> = (0..count).map(|at| (start + at as u64 / 7, Some(event(random)))).collect();
    events.push((start + 300, None));
    events
}

/// The dates and payloads of the events in `wire`, which arrives in pieces of up to `largest` bytes, and how the stream ended.
#[allow(clippy::type_complexity)]
fn verify(
    wire: &[u8],
    random: &mut Random,
    largest: usize,
) -> (Vec<(i64, Option<Vec<u8>>)>, Result<(), DecodeError>) {
    let (mut decoder, mut verifier) = (Decoder::new(), Verifier::new(&PARAMS, REQUEST).expect("a signature"));
    let (mut found, mut rest) = (Vec::new(), wire);
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at((1 + random.below(largest)).min(rest.len()));
        rest = tail;
        let mut piece = Bytes::copy_from_slice(piece);
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(frame)) => match verifier.verify(&frame, &Limits::DEFAULT) {
                    Ok(signed) => {
                        let event = signed.event.map(|event| event.as_bytes().to_vec());
                        found.push((signed.date, event));
                    }
                    Err(error) => {
                        // The error is permanent.
                        assert_eq!(verifier.verify(&frame, &Limits::DEFAULT).err(), Some(error.clone()));
                        assert_eq!(verifier.finish(), Err(error.clone()));
                        return (found, Err(error));
                    }
                },
                Ok(None) => break,
                Err(error) => return (found, Err(error)),
            }
        }
    }
    let ending = decoder.finish().and_then(|()| verifier.finish());
    (found, ending)
}

#[test]
fn signatures_are_those_of_aws_sigv4() {
    let mut random = Random(17);
    for count in [0, 1, 2, 10, 3000] {
        for _ in 0..if count > 100 { 1 } else { 10 } {
            let events = events(&mut random, count);
            let (ours, theirs) = (sign_ours(&events), sign_theirs(&events));
            assert!(ours == theirs, "{count} events from {}", events[0].0);
            let expected: Vec<_> =
                events.into_iter().map(|(seconds, event)| (seconds as i64 * 1000, event)).collect();
            for largest in [1, 7, 100, 100_000] {
                let (found, ending) = verify(&theirs, &mut random, largest);
                assert!(
                    ending.is_ok() && found == expected,
                    "{count} events in pieces of {largest}: {ending:?}"
                );
            }
        }
    }
}

/// The frames of a stream, each with its bytes.
fn frames(mut wire: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = parse(wire, &Limits::DEFAULT).expect("good") {
        frames.push(frame.as_bytes().to_vec());
        wire = rest;
    }
    frames
}

#[test]
fn whatever_is_changed_is_detected() {
    let mut random = Random(23);
    let events = events(&mut random, 6);
    let frames = frames(&sign_ours(&events));
    let run = |frames: &[Vec<u8>]| {
        let (found, ending) = verify(&frames.concat(), &mut Random(1), 50);
        (found.len(), ending.err().map(|error| error.to_string()).unwrap_or_default())
    };
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut frames = frames.clone();
        change(&mut frames);
        run(&frames)
    };
    assert_eq!(run(&frames), (7, String::new()));
    let no_match = |(count, error): (usize, String)| {
        assert!(error.contains("the signature does not match"), "{error}");
        count
    };
    assert_eq!(no_match(changed(&|frames| frames.swap(2, 3))), 2);
    assert_eq!(no_match(changed(&|frames| drop(frames.remove(2)))), 2);
    assert_eq!(no_match(changed(&|frames| frames.insert(3, frames[2].clone()))), 3);
    // A byte of the date, the signature, and the event, with a valid checksum.
    for frame in 0..frames.len() {
        for at in 12..frames[frame].len() - 4 {
            let (count, error) = changed(&|frames| {
                frames[frame][at] ^= 1;
                let end = frames[frame].len() - 4;
                let checksum = crc32fast::hash(&frames[frame][..end]).to_be_bytes();
                frames[frame][end..].copy_from_slice(&checksum);
            });
            assert!(count == frame && !error.is_empty(), "byte {at} of frame {frame}: {error}");
        }
    }
    // The end is missing, or is not the end.
    let (count, error) = changed(&|frames| drop(frames.pop()));
    assert!(count == 6 && error.contains("truncated"), "{error}");
    let (count, error) = changed(&|frames| frames.push(frames[0].clone()));
    assert!(count == 7 && error.contains("follows the end"), "{error}");
}

#[test]
fn another_secret_region_service_or_request_is_refused() {
    let frame = sign_ours(&[(1_790_000_000, Some(part(b"hi")))]);
    let (frame, _) = parse(&frame, &Limits::DEFAULT).expect("good").expect("whole");
    let is_valid = |params: SigningParams<'_>, request: &str| {
        let mut verifier = Verifier::new(&params, request).expect("a signature");
        verifier.verify(&frame, &Limits::DEFAULT).is_ok()
    };
    assert!(is_valid(PARAMS, REQUEST));
    assert!(!is_valid(SigningParams { secret_access_key: "other", ..PARAMS }, REQUEST));
    assert!(!is_valid(SigningParams { region: "us-east-2", ..PARAMS }, REQUEST));
    assert!(!is_valid(SigningParams { service: "bedrock", ..PARAMS }, REQUEST));
    assert!(!is_valid(PARAMS, &REQUEST.replace('b', "c")));
    for request in ["", "abc", &REQUEST.to_uppercase(), &REQUEST.replace('b', "é")] {
        assert!(Signer::new(&PARAMS, request).is_err() && Verifier::new(&PARAMS, request).is_err());
    }
}

#[test]
fn what_cannot_be_signed_leaves_the_chain_as_it_was() {
    let mut signer = Signer::new(&PARAMS, REQUEST).expect("a signature");
    let mut out = Vec::new();
    assert!(signer.sign(0, b"", &mut out).is_err());
    for seconds in [253_402_300_800, u64::MAX / 1000, u64::MAX] {
        assert!(signer.sign(seconds, &part(b"far"), &mut out).is_err());
        assert!(signer.finish(seconds, &mut out).is_err());
    }
    assert!(out.is_empty());
    let events = [(1_790_000_000, Some(part(b"hi"))), (1_790_000_000, None)];
    signer.sign(events[0].0, &part(b"hi"), &mut out).expect("signed");
    signer.finish(events[1].0, &mut out).expect("signed");
    assert_eq!(out, sign_theirs(&events));
    assert!(signer.sign(1_790_000_001, &part(b"late"), &mut out).is_err());
    assert!(signer.finish(1_790_000_001, &mut out).is_err());
    // Secrets are not printed.
    assert!(!format!("{signer:?}{PARAMS:?}").contains("wJalr"));
}

#[test]
fn frames_without_a_signature_or_a_whole_event_are_refused() {
    let error = |headers: &[Header<'_>], payload: &[u8]| {
        let mut wire = Vec::new();
        encode(headers.iter().copied(), payload, &mut wire).expect("encodable");
        let (frame, _) = parse(&wire, &Limits::DEFAULT).expect("good").expect("whole");
        let mut verifier = Verifier::new(&PARAMS, REQUEST).expect("a signature");
        verifier.verify(&frame, &Limits::DEFAULT).expect_err("refused").to_string()
    };
    let date = Header::new(":date", Value::Timestamp(1_790_000_000_000));
    let signature = Header::new(":chunk-signature", Value::ByteArray(&[0; 32]));
    assert!(error(&[], &part(b"hi")).contains("no date"));
    assert!(error(&[Header::new(":date", Value::Long(1)), signature], b"").contains("no date"));
    assert!(error(&[date], b"").contains("no signature"));
    assert!(
        error(&[date, Header::new(":chunk-signature", Value::String("00"))], b"").contains("no signature")
    );
    assert!(
        error(&[date, Header::new(":chunk-signature", Value::ByteArray(&[0; 31]))], b"").contains("match")
    );
    assert!(error(&[date, signature], b"").contains("match"));
    for far in [i64::MIN, i64::MAX, -62_200_000_000_000, 253_402_300_800_000] {
        assert!(error(&[Header::new(":date", Value::Timestamp(far)), signature], b"").contains("year"));
    }
    // The payload has a valid signature, and is not one whole frame.
    let whole = part(b"hi");
    for event in [&b"text instead of a frame"[..], &whole[..whole.len() - 1], &[&whole[..], b"0"].concat()] {
        let mut wire = Vec::new();
        let mut signer = Signer::new(&PARAMS, REQUEST).expect("a signature");
        signer.sign(1_790_000_000, event, &mut wire).expect("signed");
        let (_, ending) = verify(&wire, &mut Random(1), 1000);
        assert!(ending.expect_err("refused").is_corrupt());
    }
}

#[test]
fn parts_keep_their_headers() {
    for data_type in [None, Some(DataType::Utf8), Some(DataType::Binary), Some(DataType::Other("NEW"))] {
        for state in [
            None,
            Some(CompletionState::Partial),
            Some(CompletionState::Complete),
            Some(CompletionState::Other("later")),
        ] {
            let mut part = PayloadPart::new(b"bytes");
            (part.data_type, part.completion_state) = (data_type, state);
            let mut wire = Vec::new();
            part.encode(&mut wire).expect("encodable");
            let (frame, _) = parse(&wire, &Limits::DEFAULT).expect("good").expect("whole");
            assert_eq!(Event::parse(&frame), Event::PayloadPart(part));
        }
    }
    // Padding is ignored, and so is a header of another type.
    let headers = [
        Header::new(":event-type", Value::String("PayloadPart")),
        Header::new("P", Value::String("abcdef")),
        Header::new("DataType", Value::Long(1)),
    ];
    let mut wire = Vec::new();
    encode(headers, b"bytes", &mut wire).expect("encodable");
    let (frame, _) = parse(&wire, &Limits::DEFAULT).expect("good").expect("whole");
    assert_eq!(Event::parse(&frame), Event::PayloadPart(PayloadPart::new(b"bytes")));
}
