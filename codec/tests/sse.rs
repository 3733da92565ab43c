//! Server-sent events: vectors, the literal reference, limits, and output that cannot be injected into.

mod common;
mod oracles;

use bytes::Bytes;
use common::every_cut;
use proptest::prelude::*;
use sagewire_codec::sse::{Decoder, Event};
use sagewire_codec::{Error, Limits};
use serde_json::json;

fn describe(event: &Event<'_>) -> serde_json::Value {
    json!({"event": event.event, "data": event.data, "id": event.id, "retry": event.retry})
}

fn decode(chunks: Vec<Bytes>) -> (Vec<serde_json::Value>, Result<(), Error>) {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    for mut chunk in chunks {
        while let Some(event) = decoder.decode(&mut chunk).expect("far below the limit") {
            events.push(describe(&event));
        }
        assert!(chunk.is_empty(), "`Ok(None)` means that the chunk is empty");
    }
    (events, decoder.finish())
}

#[test]
fn own_vectors() {
    let vectors = common::read_json(&common::testdata("sse.json"));
    for vector in vectors.as_array().expect("a list") {
        let name = vector["name"].as_str().expect("a name");
        assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{name} says why");
        let input = match vector["hex"].as_str() {
            Some(hex) => common::hex(hex),
            None => vector["text"].as_str().expect("text or hex").as_bytes().to_vec(),
        };
        let (events, ending) = every_cut(name, &input, decode);
        assert_eq!(json!(events), vector["events"], "{name}");
        assert_eq!(common::ending(&ending), vector["ending"].as_str().unwrap_or("complete"), "{name}");
        let reference: Vec<_> = oracles::sse_reference::events(&input).iter().map(describe).collect();
        assert_eq!(events, reference, "{name}");
        // Trailing garbage is an unfinished line: it costs nothing that stands before it.
        let (again, _) = every_cut(name, &[&input, &b"data: garbage"[..]].concat(), decode);
        assert_eq!(again, events, "{name} with garbage");
    }
}

#[test]
fn vectors_of_other_implementations() {
    let Some(folder) = common::shared("vectors/sse") else {
        println!("SAGEWIRE_SHARED is not set: skipped");
        return;
    };
    let vectors = common::read_json(&folder.join("vectors.json"));
    let vectors = vectors["vectors"].as_array().expect("a list");
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        let chunks = vector["chunks"].as_array().expect("a list");
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| common::base64(chunk.as_str().expect("text"))).collect();
        let (as_given, _) = decode(chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect());
        assert_eq!(json!(as_given), vector["expected"], "{name}");
        let (events, _) = every_cut(name, &chunks.concat(), decode);
        assert_eq!(json!(events), vector["expected"], "{name}");
    }
    println!("{} vectors", vectors.len());
    assert!(vectors.len() >= 39);
}

#[test]
fn data_in_one_chunk_is_not_copied() {
    let mut chunk = Bytes::from_static(b": ping\n\nevent: x\ndata: hello\n\n");
    let all = chunk.clone();
    let mut decoder = Decoder::new();
    let event = decoder.decode(&mut chunk).expect("good").expect("an event");
    assert!(all.as_ptr_range().contains(&event.data.as_ptr()));
}

#[test]
fn limits_do_not_depend_on_the_cut() {
    let run = |input: &[u8]| {
        every_cut("limit", input, |chunks| {
            let limits = Limits { record: 20, ..Limits::default() };
            let mut decoder = Decoder::with_limits(limits);
            let mut events = 0;
            for mut chunk in chunks {
                loop {
                    match decoder.decode(&mut chunk) {
                        Ok(Some(_)) => events += 1,
                        Ok(None) => break,
                        Err(error) => return (events, Some(error)),
                    }
                }
            }
            (events, None)
        })
    };
    // 20 bytes of line fit, 21 do not.
    assert_eq!(run(b"data: 12345678901234\n\n").1, None);
    let (events, error) = run(b"data: 1\n\ndata: 123456789012345\n\ndata: 3\n\n");
    assert_eq!(events, 1);
    let error = error.expect("too long");
    assert!(error.is_limit() && error.offset() == 9, "{error}");
    // So do the lines of one event together.
    assert!(run(b"data: 1234567890\ndata: 1234567890\n\n").1.is_some_and(|error| error.is_limit()));
    // Comments and unknown fields are free.
    assert_eq!(
        run(b": 123456789012345678901234567890\nunknown: 123456789012345678901234\ndata: 1\n\n").1,
        None
    );
}

#[test]
fn endless_lines_that_mean_nothing_take_no_memory() {
    let mut decoder = Decoder::with_limits(Limits { record: 1024, ..Limits::default() });
    for begin in [&b": "[..], b"unknown: ", b"datax"] {
        assert_eq!(decoder.decode(&mut Bytes::from(begin)), Ok(None));
        for _ in 0..1_000 {
            assert_eq!(decoder.decode(&mut Bytes::from_static(&[b'x'; 4096])), Ok(None));
        }
        assert_eq!(decoder.decode(&mut Bytes::from_static(b"\n")), Ok(None));
    }
    assert_eq!(decoder.decode(&mut Bytes::from_static(b"data: 1\n\n")), Ok(Some(Event::new("1"))));
    for field in ["data: ", "event: ", "id: "] {
        let mut decoder = Decoder::with_limits(Limits { record: 1024, ..Limits::default() });
        assert_eq!(decoder.decode(&mut Bytes::from(field)), Ok(None));
        let error = decoder.decode(&mut Bytes::from_static(&[b'x'; 4096])).expect_err("too long");
        assert!(error.is_limit());
    }
}

#[test]
fn output_is_exactly_one_event() {
    // Every string field, with what has been used to smuggle events in.
    let nasty =
        ["", "\r", "\n", "\r\n", "\0", "\u{feff}", " ", ":", "a\n\ndata: b\n\n", "\ndata: x", "é\r\u{2028}"];
    let mut written = 0;
    for event in nasty {
        for id in nasty {
            for data in nasty {
                let value = Event { event: event.into(), id: id.into(), ..Event::new(data) };
                let mut out = Vec::new();
                if value.encode(&mut out).is_err() {
                    assert!(event.contains(['\r', '\n']) || id.contains(['\r', '\n', '\0']), "{value:?}");
                    assert!(out.is_empty());
                    continue;
                }
                written += 1;
                out.extend_from_slice(b"data: next\n\n");
                let (events, ending) = decode(vec![Bytes::from(out)]);
                assert_eq!((events.len(), ending), (2, Ok(())), "{value:?}");
                let expected = data.replace("\r\n", "\n").replace('\r', "\n");
                assert_eq!(events[0]["data"], expected, "{value:?}");
                assert_eq!(events[0]["event"], if event.is_empty() { "message" } else { event });
                assert_eq!(events[0]["id"], id);
            }
        }
    }
    assert!(written > 100);
}

proptest! {
    #[test]
    fn agrees_with_the_reference(input in "([a-z]{0,3}(data|event|id|retry|:|\u{feff})?:? ?[0-9é\0]{0,4}(\r\n|\n|\r)){0,12}.{0,5}", seed: u8) {
        oracles::sse(&[&[seed], input.as_bytes()].concat());
    }

    #[test]
    fn agrees_with_the_reference_on_any_bytes(input in prop::collection::vec(prop_oneof![
        Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'd'), Just(0xef), Just(0xbb), Just(0xbf), any::<u8>(),
    ], 0..80)) {
        oracles::sse(&input);
    }
}
