//! Events and responses as data: serialized, deserialized and collected. Also the ways to decode without a loop.

mod common;

use std::io::Read;

use bytes::Bytes;
use sagewire_codec::io::{self, Events};
use sagewire_codec::model::{ConverseEncoding, Event, FinishReason, Response, ResponseOptions};
use sagewire_codec::{Api, Decoder, Framing, Limits, Options};
use serde_json::{Value, json};

/// The streams of every API, each with the API that is detected.
const STREAMS: [(&str, Api); 10] = [
    ("openai.sse", Api::OpenAi),
    ("completions.sse", Api::OpenAi),
    ("responses.sse", Api::Responses),
    ("anthropic.sse", Api::Anthropic),
    ("bedrock.jsonl", Api::Converse),
    ("tgi.sse", Api::TextGeneration),
    ("lmi.jsonl", Api::TextGeneration),
    ("triton.sse", Api::TextGeneration),
    ("cohere.sse", Api::Cohere),
    ("sglang.sse", Api::TextGeneration),
];

fn stream(name: &str) -> Vec<u8> {
    std::fs::read(common::testdata("golden").join(name)).expect("a stream")
}

fn events(body: &[u8]) -> Vec<Event<'static>> {
    Events::new(body).collect::<Result<_, _>>().expect("complete")
}

#[test]
fn events_survive_a_json_round_trip() {
    let mut kinds = std::collections::BTreeSet::new();
    for (name, _) in STREAMS {
        for event in events(&stream(name)) {
            let text = serde_json::to_string(&event).expect("JSON");
            assert_eq!(serde_json::from_str::<Event<'_>>(&text).expect(&text), event, "{text}");
            let value: Value = serde_json::from_str(&text).expect("JSON");
            kinds.insert(value["type"].as_str().expect("a type").to_owned());
        }
    }
    assert!(kinds.len() >= 11, "{kinds:?}");
    let malformed = br#"{"type":"malformed","offset":7,"bytes":"{","reason":"value is missing"}"#;
    let event: Event<'_> = serde_json::from_slice(malformed).expect("an event");
    assert_eq!(serde_json::to_string(&event).expect("JSON").as_bytes(), malformed);
    // JSON values stay as they were written, numbers included.
    let other = r#"{"type":"other","name":"n","json":[1.0e400, null, 12345678901234567890123]}"#;
    let event: Event<'_> = serde_json::from_str(other).expect("an event");
    assert_eq!(serde_json::to_string(&event).expect("JSON"), other);
    let null = r#"{"type":"logprobs","choice":0,"part":null,"json":null}"#;
    let event: Event<'_> = serde_json::from_str(null).expect("an event");
    assert_eq!(serde_json::to_string(&event).expect("JSON"), null);
}

#[test]
fn invalid_events_are_rejected() {
    for (text, reason) in [
        (r#"{"type":"text_delta","choice":0,"text":"a"}"#, "missing field `part`"),
        (r#"{"type":"part_start","choice":0,"part":0,"kind":"tool_call"}"#, "missing field `name`"),
        (r#"{"type":"nonsense"}"#, "unknown variant `nonsense`"),
        (r#"{"choice":0}"#, "missing field `type`"),
    ] {
        let error = serde_json::from_str::<Event<'_>>(text).expect_err(text).to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn responses_are_collected_from_events() {
    for (name, api) in STREAMS {
        let body = stream(name);
        let mut decoder = Decoder::new();
        let mut added = Response::default();
        decoder.feed(body.clone(), |event| added.add(&event)).expect(name);
        decoder.end(|event| added.add(&event)).expect(name);
        assert_eq!(decoder.api(), Some(api), "{name}");
        assert_eq!(events(&body).into_iter().collect::<Response>(), added, "{name}");
        let mut extended = Response::default();
        extended.extend(events(&body));
        assert_eq!(extended, added, "{name}");
    }
}

#[test]
fn responses_serialize() {
    let body = br#"{"id":"a","choices":[{"message":{"content":"hi","tool_calls":[{"id":"t","type":"function",
        "function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3}}"#;
    let response = Response::read(&body[..], Options::new()).expect("a response");
    let expected = json!({
        "id": "a",
        "choices": [{
            "index": 0,
            "content": [
                {"text": "hi"},
                {"tool_call": {"id": "t", "name": "f", "input": "{\"a\":1}"}},
            ],
            "finish": "tool_calls",
        }],
        "usage": {"input_tokens": 3},
    });
    assert_eq!(serde_json::to_value(&response).expect("JSON"), expected);
}

#[test]
fn finish_reasons_display_their_names() {
    for reason in [FinishReason::ToolCalls, FinishReason::Other("eos".into())] {
        assert_eq!(reason.to_string(), reason.as_str());
        let json = serde_json::to_string(&reason).expect("JSON");
        assert_eq!(serde_json::from_str::<FinishReason<'_>>(&json).expect("a reason"), reason);
    }
}

/// A reader that fails after its bytes.
struct Breaks<'a>(&'a [u8]);

impl Read for Breaks<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.is_empty() {
            true => Err(std::io::Error::other("the cable is cut")),
            false => self.0.read(out),
        }
    }
}

#[test]
fn a_failing_reader_is_an_error_after_the_events() {
    let body = stream("openai.sse");
    let half = &body[..body.len() / 2];
    let all: Vec<_> = Events::new(Breaks(half)).collect();
    let (last, before) = all.split_last().expect("events");
    assert!(before.iter().all(Result::is_ok) && !before.is_empty());
    assert!(
        matches!(last, Err(io::Error::Transport(error)) if error.to_string().contains("cable")),
        "{last:?}"
    );
    // A read error after the end of a complete stream is not reported.
    let mut complete = Events::new(Breaks(&body));
    assert!(complete.by_ref().all(|event| event.is_ok()));
    assert_eq!(complete.decoder().api(), Some(Api::OpenAi));
    let truncated = Events::new(half).last().expect("an error");
    assert!(matches!(truncated, Err(io::Error::Decode(error)) if error.is_truncated()));
}

#[test]
fn feeding_stops_at_the_fault_and_keeps_it() {
    let mut decoder = Decoder::new();
    let mut count = 0;
    let body = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"no\"}}\n\n";
    let error = decoder.feed(Bytes::from_static(body), |_| count += 1).expect_err("a failure");
    assert!(error.is_model_failure() && count > 0);
    assert_eq!(decoder.end(|_| ()).expect_err("the same"), error);
}

#[test]
fn options_come_from_a_config_file() {
    let text = r#"{"api": "converse", "framing": "json-lines", "limits": {"record": 65536}}"#;
    let options: Options = serde_json::from_str(text).expect("options");
    assert_eq!(
        options,
        Options::new()
            .api(Api::Converse)
            .framing(Framing::JsonLines)
            .limits(Limits { record: 65536, ..Limits::default() })
    );
    let text = serde_json::to_string(&options).expect("JSON");
    assert_eq!(serde_json::from_str::<Options>(&text).expect("options"), options);
    let error = serde_json::from_str::<Options>(r#"{"api": "opnai"}"#).expect_err("a typo").to_string();
    assert!(error.contains("did you mean `openai`?"), "{error}");
    let error = serde_json::from_str::<Options>(r#"{"apy": "openai"}"#).expect_err("a typo").to_string();
    assert!(error.contains("unknown field `apy`"), "{error}");
    let text = r#"{"id": "a", "created": 7, "encoding": "json-lines"}"#;
    let response: ResponseOptions = serde_json::from_str(text).expect("options");
    let expected = ResponseOptions::new().id("a").created(7).encoding(ConverseEncoding::JsonLines);
    assert_eq!(response, expected);
}

#[cfg(feature = "custom")]
#[test]
fn a_custom_format_in_options_is_its_description() {
    let text = r#"{"custom": {"stream": {"text": "$.t"}}}"#;
    let options: Options = serde_json::from_str(text).expect("options");
    assert!(options.custom.is_some());
    let text = serde_json::to_string(&options).expect("JSON");
    assert_eq!(serde_json::from_str::<Options>(&text).expect("options"), options);
    let error =
        serde_json::from_str::<Options>(r#"{"custom": {"stream": {"text": "$["}}}"#).expect_err("bad");
    assert!(error.to_string().contains("/stream/text"), "{error}");
}
