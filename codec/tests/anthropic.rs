//! The Anthropic writer: its events, its losses, and that its output reads back as the same events. Also the golden conversions
//! between the formats.

// `json!` values are passed by value where they are built.
#![allow(clippy::needless_pass_by_value)]

mod common;

use bytes::Bytes;
use common::{transcode, transcode_as_it_is};
use sagewire_codec::model::{Event, ResponseOptions};
use sagewire_codec::{Api, DecodeError, Decoder, Options, sse};
use serde_json::{Value, json};

/// The events of a stream, which has to be complete.
fn events(body: &[u8]) -> Vec<Event<'static>> {
    let mut decoder = Decoder::new();
    let mut chunk = Bytes::copy_from_slice(body);
    let mut events = Vec::new();
    while let Some(event) = decoder.decode(&mut chunk).expect("good") {
        events.push(event.into_owned());
    }
    while let Some(event) = decoder.finish().expect("complete") {
        events.push(event.into_owned());
    }
    events
}

/// The data of each event. Checks that a complete stream follows Anthropic's event order.
fn data(body: Vec<u8>) -> Vec<Value> {
    let mut decoder = sse::Decoder::new();
    let mut chunk = Bytes::from(body);
    let mut events = Vec::new();
    let (mut blocks, mut open) = (0, None);
    while let Some(event) = decoder.decode(&mut chunk).expect("lines") {
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        let name = data["type"].as_str().expect("a type");
        assert_eq!(event.event, name, "the name is the type");
        match name {
            "message_start" => assert!(events.is_empty(), "first"),
            "content_block_start" => {
                assert_eq!((data["index"].as_u64(), open), (Some(blocks), None), "in order, one at a time");
                open = Some(blocks);
                blocks += 1;
            }
            "content_block_delta" => assert_eq!(data["index"].as_u64(), open, "of the open block"),
            "content_block_stop" => {
                assert_eq!(data["index"].as_u64(), open, "what is open ends");
                open = None;
            }
            "message_delta" => assert_eq!(open, None, "after all blocks"),
            "message_stop" => {
                assert_eq!(events.last().map(|last: &Value| &last["type"]), Some(&json!("message_delta")));
            }
            "error" => {}
            other => panic!("{other}"),
        }
        events.push(data);
    }
    decoder.finish().expect("whole events");
    events
}

/// Converts OpenAI chunks to an Anthropic stream.
fn written(chunks: &[Value], done: bool) -> (Vec<Value>, Vec<String>, Result<(), DecodeError>) {
    let mut body: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    body += if done { "data: [DONE]\n\n" } else { "" };
    let (out, losses, ending) = transcode(Api::Anthropic, ResponseOptions::new(), body.as_bytes());
    let events = data(out);
    let is_whole = events.last().is_some_and(|last| last["type"] == "message_stop");
    assert_eq!(is_whole, ending.is_ok(), "nothing that is not complete looks as if it were");
    (events, losses, ending)
}

fn choice(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn call(index: u32, id: &str, arguments: &str) -> Value {
    json!({"index": index, "id": id, "function": {"name": "f", "arguments": arguments}})
}

fn usage() -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
}

/// Recorded streams survive a round trip without losses.
#[test]
fn samples_read_back() {
    let Some(folder) = common::shared("wire/samples") else {
        println!("SAGEWIRE_SHARED is not set: skipped");
        return;
    };
    let bedrock = Api::Converse;
    for (name, target) in [
        ("anthropic-stream-text.jsonl", Api::Anthropic),
        ("anthropic-stream-thinking.jsonl", Api::Anthropic),
        ("anthropic-stream-tool-no-args.jsonl", Api::Anthropic),
        ("anthropic-stream-refusal.jsonl", Api::Anthropic),
        ("anthropic-stream-message-delta-input-tokens.jsonl", Api::Anthropic),
        ("bedrock-converse-stream-text.jsonl", bedrock),
        ("bedrock-converse-stream-reasoning.jsonl", bedrock),
        ("bedrock-eventstream-converse.bin", bedrock),
        ("bedrock-converse-stream-tool-no-args.jsonl", bedrock),
        ("bedrock-converse-stream-two-tools.jsonl", bedrock),
    ] {
        let body = std::fs::read(folder.join(name)).expect(name);
        let (out, losses, ending) = transcode(target, ResponseOptions::new().latency_ms(1), &body);
        assert_eq!((ending, losses), (Ok(()), vec![]), "{name}");
        let (before, after) = (events(&body), events(&out));
        if name.contains("tool") && target == bedrock {
            // Handmade: no messageStart, and usage before the end. The written stream is stable under another conversion.
            assert_eq!(transcode(target, ResponseOptions::new(), &out).0, out, "{name}");
            assert_eq!(common::texts(&values(&before)), common::texts(&values(&after)), "{name}");
        } else {
            assert_eq!(values(&after), values(&before), "{name}");
        }
        let options = ResponseOptions::new().latency_ms(1);
        let frames = transcode_as_it_is(Options::new(), Api::Converse, options, &out).0;
        let lines = transcode(bedrock, ResponseOptions::new().latency_ms(1), &out).0;
        assert_eq!(events(&frames), events(&lines), "{name}");
    }
}

fn values(events: &[Event<'_>]) -> Vec<Value> {
    events.iter().map(|event| serde_json::to_value(event).expect("JSON")).collect()
}

/// The output of the writers for every vector reads back as the same parts, in the same order, with the same ending.
#[test]
fn vectors_read_back() {
    let mut count = 0;
    let all = [
        "anthropic.json",
        "bedrock.json",
        "responses.json",
        "cohere.json",
        "streams.json",
        "generation.json",
        "sglang.json",
    ];
    for vector in all.iter().flat_map(|file| match common::read_json(&common::testdata(file)) {
        Value::Array(vectors) => vectors,
        _ => panic!("a list"),
    }) {
        let name = vector["name"].as_str().expect("a name");
        if !vector["error"].is_null() {
            continue;
        }
        let body = common::body(&vector);
        for target in [Api::Anthropic, Api::Converse] {
            let (out, losses, ending) = transcode(target, ResponseOptions::new().latency_ms(1), &body);
            assert_eq!(ending, Ok(()), "{name}");
            let again = transcode(target, ResponseOptions::new().latency_ms(1), &out);
            // Missing usage is written as zero where the format requires it, and then reads back as zero.
            if !losses.iter().any(|loss| loss.starts_with("usage")) {
                assert_eq!(again.0, out, "{name} to {target:?}: what is written stays as it is");
            }
            let of = |body: &[u8]| {
                let mut events = values(&events(body));
                events.retain(|event| event["type"] != "usage");
                events
            };
            assert_eq!(of(&again.0), of(&out), "{name} to {target:?}");
            let further: Vec<_> =
                again.1.iter().filter(|loss| !losses.contains(loss) && !loss.starts_with("usage")).collect();
            assert!(further.is_empty(), "{name} to {target:?}: {further:?}");
            if target == Api::Anthropic {
                data(out);
            }
            count += 1;
        }
    }
    assert!(count > 150);
}

#[test]
fn stop_reasons() {
    let stop = |reason: &str, tool: bool| {
        let delta = if tool { json!({"tool_calls": [call(0, "a", "{}")]}) } else { json!({"content": "x"}) };
        let (events, losses, _) = written(&[choice(delta, Some(reason)), usage()], true);
        (events[events.len() - 2]["delta"]["stop_reason"].as_str().expect("a reason").to_owned(), losses)
    };
    for (reason, tool, expected) in [
        ("stop", false, "end_turn"),
        ("length", false, "max_tokens"),
        ("tool_calls", true, "tool_use"),
        ("repetition", false, "repetition"),
    ] {
        assert_eq!(stop(reason, tool), (expected.to_owned(), vec![]));
    }
    assert_eq!(
        stop("stop", true),
        (
            "tool_use".to_owned(),
            vec!["/choices/0/finish_reason: approximated: `stop` after tool calls is `tool_use`".to_owned()]
        )
    );
    assert_eq!(
        stop("content_filter", false),
        (
            "refusal".to_owned(),
            vec!["/choices/0/finish_reason: approximated: what was withheld is a `refusal`".to_owned()]
        )
    );
    let mut with_string = choice(json!({"content": "x"}), Some("stop"));
    with_string["choices"][0]["stop_reason"] = json!("END");
    let (events, losses, _) = written(&[with_string, usage()], true);
    assert_eq!(events[4]["delta"], json!({"stop_reason": "stop_sequence", "stop_sequence": "END"}));
    assert!(losses.is_empty());
    // TGI's tool streams have no finish reason, only `[DONE]`.
    let (events, losses, _) =
        written(&[choice(json!({"tool_calls": [call(0, "a", "{}")]}), None), usage()], true);
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");
    assert_eq!(losses, ["finish reason: defaulted: the source gives none"]);
}

#[test]
fn losses_are_reported() {
    let mut second = choice(json!({"content": "no"}), Some("stop"));
    second["choices"][0]["index"] = json!(1);
    let mut first = choice(json!({"refusal": "never"}), Some("stop"));
    first["choices"][0]["logprobs"] = json!({"content": []});
    first["timings"] = json!({"n": 1});
    let calls = json!({"tool_calls": [call(0, "a b", "{}"), call(1, "", "{}")]});
    let (events, losses, _) = written(&[second, choice(calls, None), first], false);
    assert!(!events.iter().any(|event| event.to_string().contains("\"no\"")));
    assert!(events.iter().any(|event| event["delta"]["text"] == "never"));
    let ids: Vec<_> = events.iter().filter_map(|event| event["content_block"]["id"].as_str()).collect();
    assert_eq!(ids, ["a_b", "toolu_af63f54c86021707_1"]);
    let whats: Vec<_> =
        losses.iter().map(|loss| loss.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    assert_eq!(
        whats,
        [
            "/choices/0: dropped",
            "/choices/0/delta/tool_calls/0: approximated",
            "/choices/0/delta/tool_calls/1: defaulted",
            "/choices/0/delta/refusal: approximated",
            "/choices/0/logprobs: dropped",
            "/choices/0/finish_reason: approximated",
            "/timings: dropped",
            "usage: defaulted"
        ]
    );
}

/// A signature that arrives after the end of its block cannot be written any more; llama-server sends such signatures.
#[test]
fn a_late_signature_is_reported() {
    let body = common::read_json(&common::testdata("anthropic.json"));
    let late = body.as_array().expect("a list").iter().find(|vector| vector["name"] == "late_signature");
    let body = common::body(late.expect("a vector"));
    for target in [Api::Anthropic, Api::Converse] {
        let (_, losses, _) = transcode(target, ResponseOptions::new().latency_ms(1), &body);
        assert_eq!(losses, ["/delta/signature: dropped: it came after its block had ended"]);
    }
}

/// A signature that arrives in pieces is written in one piece: clients keep only the last one that they receive.
#[test]
fn signatures_are_joined() {
    let delta = |delta: Value| json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": delta}}});
    let lines = [
        delta(json!({"text": "a"})),
        delta(json!({"signature": "S1"})),
        delta(json!({"text": "b"})),
        delta(json!({"signature": "S2"})),
        delta(json!({"redactedContent": "UkVE"})),
        delta(json!({"text": "c"})),
        json!({"messageStop": {"stopReason": "end_turn"}}),
    ];
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let events = data(transcode(Api::Anthropic, ResponseOptions::new(), body.as_bytes()).0);
    let starts: Vec<_> = events.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect();
    assert_eq!(starts, ["thinking", "redacted_thinking", "thinking"]);
    let signatures: Vec<_> = events.iter().filter_map(|event| event["delta"]["signature"].as_str()).collect();
    assert_eq!(signatures, ["S1S2"]);
}

#[test]
fn failures_are_errors() {
    let text = choice(json!({"content": "x"}), None);
    let last = |more: &[Value]| {
        let chunks = [std::slice::from_ref(&text), more].concat();
        written(&chunks, false).0.last().expect("an error").clone()
    };
    let of = |error: Value| last(&[json!({"error": error})])["error"].clone();
    assert_eq!(
        of(json!({"message": "boom", "type": "InternalServerError", "code": 500})),
        json!({"type": "api_error", "message": "boom"})
    );
    for (code, expected) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (599, "api_error"),
    ] {
        assert_eq!(of(json!({"message": "m", "code": code}))["type"], expected, "{code}");
    }
    assert_eq!(of(json!({"message": "m", "type": "overloaded_error"}))["type"], "overloaded_error");
    let truncated = last(&[]);
    assert_eq!(truncated["error"]["type"], "api_error");
    assert!(truncated["error"]["message"].as_str().is_some_and(|why| why.contains("truncated")));
    let (events, ..) = written(&[], false);
    assert_eq!(events.len(), 1, "an empty stream is an error, and no message");
}
