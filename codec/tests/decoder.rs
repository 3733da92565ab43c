//! The full decoder on real container output, in every framing and every split. How streams end is tested in `scorecard.rs`.

mod common;
mod oracles;

use bytes::Bytes;
use common::frames::frame;
use common::{decode, every_cut, texts};
use proptest::prelude::*;
use sagewire_codec::model::Event;
use sagewire_codec::{Decoder, Framing, Limits, Options};
use serde_json::json;

#[test]
fn streams() {
    assert!(common::run_vectors("streams.json") >= 90);
}

const BODY: &[u8] = b"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";

/// A complete record without its blank line is delivered before the fault that interrupts the stream.
#[test]
fn a_complete_record_before_a_fault_is_delivered() {
    let part = common::payload_part(&BODY[..BODY.len() - 2]);
    let exception = frame(&[(":message-type", "exception"), (":exception-type", "ModelStreamError")], b"{}");
    let mut corrupt = common::payload_part(b"x");
    corrupt[50] ^= 1;
    for fault in [exception, corrupt, part[..20].to_vec()] {
        let (events, ending) =
            every_cut("fault", &[part.clone(), fault].concat(), |chunks| decode(Options::new(), chunks));
        assert_eq!(texts(&events), "hi");
        assert!(ending.is_err());
    }
}

#[test]
fn unknown_frames_are_kept_and_are_not_errors() {
    let stream = [
        frame(&[], b""),
        frame(&[(":message-type", "event"), (":event-type", "initial-response")], b"{}"),
        frame(&[(":message-type", "event"), (":event-type", "Progress")], b"{\"done\":0.5}"),
        frame(&[(":message-type", "event"), (":event-type", "Note")], b"no JSON"),
        common::payload_part(BODY),
        common::payload_part(b"data: [DONE]\n\n"),
    ]
    .concat();
    let (events, ending) = every_cut("unknown", &stream, |chunks| decode(Options::new(), chunks));
    assert_eq!(ending, Ok(()));
    assert_eq!(events[0], json!({"type": "other", "name": "Progress", "json": {"done": 0.5}}));
    assert_eq!(events[1], json!({"type": "other", "name": "Note", "json": "no JSON"}));
    assert_eq!(texts(&events), "hi");
}

/// The decoder caches the kind of a frame: the cache must only apply to frames with equal headers.
#[test]
fn frame_kinds_are_not_confused() {
    let long = "x".repeat(300);
    let part = |extra: &str| frame(&[(":event-type", "PayloadPart"), ("extra", extra)], BODY);
    let note = frame(&[(":event-type", "Note")], b"1");
    let stream = [
        part(&long),
        frame(&[], b"not a part"),
        part(""),
        part(""),
        note.clone(),
        note,
        part(&long),
        part(&long),
        common::payload_part(b"data: [DONE]\n\n"),
    ]
    .concat();
    let (events, ending) = every_cut("kinds", &stream, |chunks| decode(Options::new(), chunks));
    assert_eq!(ending, Ok(()));
    assert_eq!(texts(&events), "hi".repeat(5));
    assert_eq!(events.iter().filter(|event| event["type"] == "other").count(), 3);
}

#[test]
fn limits_hold_for_every_split() {
    let run = |limits, body: &[u8]| {
        every_cut("limit", body, |chunks| decode(Options::new().limits(limits), chunks))
    };
    let limits = Limits { record: 100, ..Limits::default() };
    for body in [
        [BODY, b"data: {\"a\":\"", &[b'x'; 100], b"\"}\n\n", BODY].concat(),
        [BODY, b"{\"a\":\"", &[b'x'; 100], b"\"}\n"].concat(),
        [BODY, b"data: {\"a\":[\ndata: \"", &[b'x'; 80], b"\",\ndata: \"1234567890123456\"]}\n\n"].concat(),
    ] {
        let (events, ending) = run(limits, &body);
        assert_eq!(texts(&events), "hi");
        let error = ending.expect_err("too long");
        assert!(error.is_limit() && error.offset() >= BODY.len() as u64, "{error}");
    }
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
    let choices = many(5, &|n| {
        format!("data: {{\"choices\":[{{\"index\":{n},\"delta\":{{\"content\":\"x\"}}}}]}}\n\n")
    });
    assert!(
        run(Limits { choices: 4, ..Limits::default() }, choices.as_bytes()).1.is_err_and(|e| e.is_limit())
    );
    assert!(
        run(Limits { choices: 5, ..Limits::default() }, choices.as_bytes())
            .1
            .is_err_and(|e| e.is_truncated())
    );
    let call = |n, input: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{n},\"id\":\"{n}\",\"function\":\
             {{\"name\":\"f\",\"arguments\":\"{input}\"}}}}]}}}}]}}\n\n"
        )
    };
    let calls = many(5, &|n| call(n, "{}"));
    assert!(run(Limits { tools: 4, ..Limits::default() }, calls.as_bytes()).1.is_err_and(|e| e.is_limit()));
    // The first call never ends, so the deltas of the second are held back, up to a limit.
    let input = "x".repeat(2_000);
    let held = [call(0, "{"), call(1, &input), call(1, &input)].concat();
    let (events, ending) = run(Limits { pending: 4_000, ..Limits::default() }, held.as_bytes());
    assert!(ending.is_err_and(|error| error.is_limit()));
    assert!(events.iter().any(|event| event["text"] == input.repeat(2)), "what was held back is delivered");
}

#[test]
fn text_in_one_chunk_is_not_copied() {
    let frame = Bytes::from(common::payload_part(BODY));
    for (framing, bytes) in [(Framing::EventStream, frame), (Framing::Sse, Bytes::from_static(BODY))] {
        let mut decoder = Decoder::with_options(Options::new().framing(framing));
        let mut chunk = bytes.clone();
        let mut seen = 0;
        while let Some(event) = decoder.decode(&mut chunk).expect("good") {
            if let Event::TextDelta { text, .. } = event {
                assert!(matches!(text, std::borrow::Cow::Borrowed(_)));
                assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
                seen += 1;
            }
        }
        assert_eq!(seen, 1);
    }
}

#[test]
fn the_first_delta_comes_with_the_first_record() {
    let mut decoder = Decoder::new();
    // Only the end of the data line has arrived, not the blank line.
    let mut chunk = Bytes::from_static(&BODY[..BODY.len() - 1]);
    let mut texts = 0;
    while let Some(event) = decoder.decode(&mut chunk).expect("good") {
        texts += usize::from(matches!(event, Event::TextDelta { .. }));
    }
    assert_eq!(texts, 1);
}

#[test]
fn a_chunk_that_arrives_early_is_buffered() {
    // The caller passes the next chunk before the last one is fully decoded: nothing is lost or reordered.
    let mut decoder = Decoder::new();
    let mut first = Bytes::from(BODY.repeat(3));
    let mut second = Bytes::from_static(b"data: [DONE]\n\n");
    assert!(matches!(decoder.decode(&mut first), Ok(Some(Event::Start { .. }))));
    let mut texts = 0;
    while let Some(event) = decoder.decode(&mut second).expect("good") {
        texts += usize::from(matches!(event, Event::TextDelta { .. }));
    }
    assert_eq!(texts, 3);
    assert!(second.is_empty());
    while decoder.finish().expect("complete").is_some() {}
}

/// Any value that is borrowed as JSON is accepted by `serde_json`.
#[test]
fn depth_is_that_of_serde_json() {
    for depth in [126, 127] {
        let text = format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        let mut decoder = Decoder::new();
        let mut chunk = Bytes::from(format!("data: {text}\n\n"));
        let event = decoder.decode(&mut chunk).expect("good").expect("an event");
        assert_eq!(matches!(event, Event::Other { .. }), theirs, "{} levels", depth + 1);
    }
}

#[test]
fn framing_is_detected() {
    let wrapping = |framing, body: &'static str| {
        let mut decoder = Decoder::with_options(Options::new().framing(framing));
        let mut chunk = Bytes::from(body);
        while let Ok(Some(_)) = decoder.decode(&mut chunk) {}
        decoder.framing()
    };
    assert_eq!(wrapping(Framing::Auto, "data: {\"a\":1}\n\n"), Some(Framing::Sse));
    assert_eq!(wrapping(Framing::Auto, ": keep-alive\n\n"), Some(Framing::Sse));
    assert_eq!(wrapping(Framing::Auto, "{\"a\":1}\n{\"a\":2}\n"), Some(Framing::JsonLines));
    assert_eq!(wrapping(Framing::Auto, "[{\"a\":1},{\"a\":2}]"), Some(Framing::JsonLines));
    assert_eq!(wrapping(Framing::Auto, "<html>\n</html>\n"), Some(Framing::PlainText));
    assert_eq!(wrapping(Framing::Sse, "<html>\n</html>\n"), Some(Framing::Sse));
}

/// Pieces from which unusual streams are built.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z\"{}\\[\\]:, é\r\n]{0,6}",
        Just("data: ".to_owned()),
        Just("\n\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("[DONE]".to_owned()),
        Just("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é\"}}]}".to_owned()),
        Just("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}".to_owned()),
        Just("{\"error\":{\"message\":\"m\"}}".to_owned()),
        Just("{\"index\":1,\"token\":{\"id\":1,\"text\":\"é\",\"logprob\":-1,\"special\":false}}".to_owned()),
        Just("{\"token\":{\"id\":1,\"text\":\"a\"},\"generated_text\":\"ab\"}".to_owned()),
        Just("{\"generated_text\":\"x\"}".to_owned()),
        Just("{\"text_output\":\"x\"}".to_owned()),
        Just("\u{feff}".to_owned()),
        (0..3u8, 0..3u8, "[{}x\"]{0,3}").prop_map(|(index, id, input)| {
            let call =
                json!({"index": index, "id": id.to_string(), "function": {"name": "f", "arguments": input}});
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).to_string()
        }),
    ]
}

proptest! {
    #[test]
    fn every_split_gives_the_same_events(pieces in prop::collection::vec(piece(), 0..14), seed: u8) {
        let body = pieces.concat();
        oracles::nested(&[&[seed], body.as_bytes()].concat());
    }

    /// The contents of strings and numbers are inserted unescaped, even if that breaks the surrounding JSON.
    #[test]
    fn the_shape_cache_is_exact_for_chunks(chunks in prop::collection::vec(
        (
            "(1|2|0|01|1e1|-1|99999999999|\"\")",
            ("(0|1|2|01|4294967296)", "(0|1|00|1.0)"),
            0..4usize,
            "([a-c]|é|\\\\[nu\"0dD8]|\"|,|\t|\u{0}|\\{|\\}|\\\\){0,5}",
            "(null|null|\\{\\}|\\{\"a\":[1]\\}|\\{\\]|[1])",
        ),
        0..24,
    )) {
        let body: String = chunks
            .iter()
            .map(|(created, (index, tool), kind, raw, logprobs)| {
                let delta = match kind {
                    0 => format!("\"content\":\"{raw}\""),
                    1 => format!("\"reasoning\":\"{raw}\",\"content\":null"),
                    2 => format!("\"tool_calls\":[{{\"index\":{tool},\"function\":{{\"arguments\":\"{raw}\"}}}}]"),
                    _ => "\"content\":\"x\"}},{\"index\":1,\"delta\":{".to_owned(),
                };
                format!(
                    "data: {{\"created\":{created},\"choices\":[{{\"index\":{index},\"delta\":{{{delta}}},\
                     \"logprobs\":{logprobs},\"finish_reason\":null}}],\"obfuscation\":\"{raw}\"}}\n\n"
                )
            })
            .collect();
        oracles::alike(body.as_bytes());
    }

    /// The same for text generation. Its records vary in more fields, and it is tested in each framing that is detected.
    #[test]
    fn the_shape_cache_is_exact_for_records(records in prop::collection::vec(
        (
            "(1|2|0|0|0|01|1e1|-1|4294967296|\"\")",
            "(-0.5|0|null|1e-05|-1E+5|01|-|1.)",
            0..6usize,
            "([a-c]|é|\\\\[nu\"0dD8]|\"|,|\t|\u{0}|\\{|\\}|\\\\){0,4}",
            "(null|null|null|null|null|\"a\"|\"ab\")",
        ),
        0..24,
    ), shape in 0..6usize, wrapping in 0..4usize) {
        let body: String = records
            .iter()
            .map(|(index, number, kind, raw, whole)| {
                // Most have one shape; the others break the cached one.
                let record = match if *kind == 0 { shape + 1 } else { shape } {
                    0 => format!(
                        "\"index\":{index},\"token\":{{\"id\":{index},\"text\":\"{raw}\",\"logprob\":{number},\
                         \"special\":false}},\"generated_text\":{whole},\"details\":null"
                    ),
                    1 => format!(
                        "\"index\":{index},\"token\":{{\"id\":{index},\"text\":\"{raw}\",\"logprob\":{number}}},\
                         \"generated_text\":{whole}"
                    ),
                    2 => format!("\"token\":{{\"id\":{index},\"text\":\"{raw}\",\"log_prob\":{number}}}"),
                    3 => format!(
                        "\"body\":{{\"generation\":\"{raw}\",\"generation_token_count\":{index},\"stop_reason\":{whole}}},\
                         \"metering\":{{\"outputTokenCount\":{number}}}"
                    ),
                    4 => format!("\"sequence_id\":{index},\"text_output\":\"{raw}\""),
                    _ => format!(
                        "\"index\":{index},\"content\":\"{raw}\",\"tokens\":[{number}],\"stop\":false,\
                         \"tokens_predicted\":{number}"
                    ),
                };
                match (if *kind == 1 { wrapping + 1 } else { wrapping }) % 4 {
                    0 => format!("data: {{{record}}}\n\n"),
                    1 => format!("data:{{{record}}}\n\n"),
                    2 => format!("{{{record}}}\n"),
                    _ => format!("event: e\ndata: {{{record}}}\n\n"),
                }
            })
            .collect();
        oracles::alike(body.as_bytes());
        oracles::nested(&[&[7], body.as_bytes()].concat());
        oracles::transcode(&[&[7], body.as_bytes()].concat());
    }

    #[test]
    fn transcoding_loses_no_text(pieces in prop::collection::vec(piece(), 0..14), seed: u8) {
        let body: String = pieces.iter().map(|piece| format!("data: {piece}\n\n")).collect();
        oracles::transcode(&[&[seed], body.as_bytes()].concat());
    }
}
