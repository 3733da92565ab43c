//! Faults 1 to 16: streams.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use sagewire_codec::model::Response;
use sagewire_codec::{Api, DecodeError, Decoder, Options};
use sagewire_emulator::ContainerFormat;
use serde_json::{Value, json};
use tower_service::Service;

use crate::common::{ECHO, Reply, emulator, gateway, model, post, send_raw};

const CHAT: &str = r#"{"model":"e","messages":[{"role":"user","content":"one two three"}],"stream":true}"#;
const MESSAGES: &str =
    r#"{"model":"e","max_tokens":99,"messages":[{"role":"user","content":"one two three"}],"stream":true}"#;
const CONVERSE: &str = r#"{"messages":[{"role":"user","content":[{"text":"one two three"}]}]}"#;
const RESPONSES: &str = r#"{"model":"e","input":"one two three","stream":true}"#;

/// The streaming doors: path, body, API.
pub(super) const DOORS: [(&str, &str, Api); 4] = [
    ("/v1/chat/completions", CHAT, Api::OpenAi),
    ("/v1/messages", MESSAGES, Api::Anthropic),
    ("/model/e/converse-stream", CONVERSE, Api::Converse),
    ("/v1/responses", RESPONSES, Api::Responses),
];

/// What a client of the API makes of a body.
fn decode(api: Api, body: &[u8]) -> (Response, Result<(), DecodeError>) {
    let mut response = Response::default();
    let mut decoder = Decoder::with_options(Options::new().api(api));
    let mut take = |event: sagewire_codec::model::Event<'_>| response.add(&event);
    let fed = decoder.feed(Bytes::copy_from_slice(body), &mut take);
    let end = fed.and_then(|()| decoder.end(&mut take));
    (response, end)
}

fn sse(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

fn delta(text: &str) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}

fn script(body: &str, fault: &Value) -> String {
    json!({"rules": [{"content_type": "text/event-stream", "body": body, "fault": fault}]}).to_string()
}

#[tokio::test]
async fn fault_01_a_client_that_leaves_cancels_the_call() {
    // Whole and streamed, before the headers, after a ping, and after the first event.
    let slow = json!({"rules": [{"first_byte_ms": 20_000}]}).to_string();
    let stalled = script(&sse(&[delta("a"), delta("b")]), &json!({"stall": true, "after": 120}));
    for (script, whole, early) in
        [(&slow, true, false), (&slow, false, false), (&slow, false, true), (&stalled, false, false)]
    {
        let emulator = emulator(ContainerFormat::default(), script).await;
        let mut config = crate::common::config(vec![model(&emulator, "e", Api::OpenAi)]);
        config.bounds.ping = early.then_some(Duration::from_millis(20));
        config.bounds.ping_before_response = early;
        let mut gateway = sagewire_gateway::Gateway::new(config).await.expect("a gateway");
        let body = if whole { CHAT.replace("true", "false") } else { CHAT.to_owned() };
        let request =
            http::Request::post("/v1/chat/completions").body(http_body_util::Full::new(Bytes::from(body)));
        let call = gateway.call(request.expect("a request"));
        // The client leaves after 200 ms, whether there is a response or not.
        if let Ok(response) = tokio::time::timeout(Duration::from_millis(200), call).await {
            let mut body = response.expect("it never fails").into_body();
            let first = body.frame().await.expect("a frame").expect("it never fails");
            assert!(first.into_data().is_ok_and(|data| !data.is_empty()));
            drop(body);
        } else {
            assert!(!early, "there is a ping");
        }
        // The emulator stops when its last connection ends: it would wait for 20 seconds, or for ever.
        let start = Instant::now();
        drop(gateway);
        emulator.stop().await;
        assert!(start.elapsed() < Duration::from_secs(5), "{script}: the call goes on");
    }
}

#[tokio::test]
async fn fault_02_an_error_in_the_stream_is_not_followed_by_an_end_marker() {
    let fault =
        json!({"exception": {"type": "ModelStreamError", "message": "the model is gone"}, "after": 300});
    let body = sse(&[delta("a"), delta("b"), delta("c"), delta("d")]);
    let emulator = emulator(ContainerFormat::default(), &script(&body, &fault)).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    for (path, request, api) in DOORS {
        let reply = post(&gateway, path, request).await;
        assert_eq!(reply.status, 200, "{api}: {}", reply.text());
        let text = reply.text();
        assert!(text.contains("the model is gone"), "{api}: {text}");
        for marker in ["[DONE]", "message_stop", "messageStop", "response.completed"] {
            assert!(!text.contains(marker), "{api}: {text}");
        }
        let (response, end) = decode(api, &reply.body);
        assert!(end.expect_err("it failed").is_model_failure(), "{api}");
        assert!(response.choices[0].text().starts_with('a'), "{api}: what came before is there");
    }
}

#[tokio::test]
async fn fault_03_a_broken_stream_is_not_closed_as_if_it_were_whole() {
    let body = sse(&[delta("grü"), delta("ße 你好"), delta("👋"), delta("!")]);
    for fault in [
        json!({"truncated_frame": true, "after": 200}),
        json!({"corrupt_byte": true, "after": 200}),
        json!({"reset": true, "after": 200}),
        json!({"hang_up": true, "after": 200}),
    ] {
        let emulator = emulator(ContainerFormat::default(), &script(&body, &fault)).await;
        let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
        for (path, request, api) in DOORS {
            let reply = post(&gateway, path, request).await;
            if reply.status == 200 {
                assert!(decode(api, &reply.body).1.is_err(), "{api}, {fault}: {}", reply.text());
            } else {
                assert!(reply.status.is_server_error(), "{api}, {fault}: {}", reply.status);
            }
        }
    }
}

#[tokio::test]
async fn fault_04_an_upstream_that_ends_early_is_never_complete() {
    let whole = sse(&[delta("one"), delta(" two")])
        + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let finish = whole.find("finish_reason\":\"stop").expect("it finishes");
    // Before the first event there is no stream at all.
    for cut in (160..finish).step_by(13) {
        let Some(part) = whole.get(..cut) else { continue };
        let emulator = emulator(
            ContainerFormat::default(),
            &script(part, &Value::Null).replace(",\"fault\":null", "").replace("\"fault\":null,", ""),
        )
        .await;
        let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
        for (path, request, api) in DOORS {
            let reply = post(&gateway, path, request).await;
            if reply.status == 200 {
                assert!(decode(api, &reply.body).1.is_err(), "{api}, cut at {cut}: {}", reply.text());
            }
            assert!(
                !reply.text().contains("[DONE]") && !reply.text().contains("message_stop"),
                "{api}, {cut}"
            );
        }
    }
}

#[tokio::test]
async fn fault_05_an_error_before_the_first_event_is_a_status() {
    for (upstream, status, error_type, expected) in [
        (400, 424, "ModelError", [400, 400, 424, 400]),
        (429, 429, "ThrottlingException", [429, 429, 429, 429]),
        // The order of the doors: OpenAI, Anthropic, Bedrock, Responses.
        (503, 503, "ServiceUnavailable", [503, 529, 429, 503]),
    ] {
        let rule = json!({"status": status, "error_type": error_type, "original_status": upstream, "message": "no", "body": "{\"error\":{\"message\":\"no\"}}"});
        let rule = if status == 424 {
            rule
        } else {
            json!({"status": status, "error_type": error_type, "message": "no"})
        };
        let emulator = emulator(ContainerFormat::default(), &json!({"rules": [rule]}).to_string()).await;
        for (i, (path, request, api)) in DOORS.into_iter().enumerate() {
            let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
            let reply = post(&gateway, path, request).await;
            assert_eq!(reply.status.as_u16(), expected[i], "{error_type} through {api}: {}", reply.text());
            assert_eq!(reply.header("content-type"), "application/json");
        }
    }
}

#[tokio::test]
async fn fault_06_the_message_of_the_container_arrives() {
    let rule = json!({"status": 424, "original_status": 422, "body": "{\"error\":{\"message\":\"top_p must be below 1\",\"type\":\"BadRequestError\"}}"});
    let emulator = emulator(ContainerFormat::default(), &json!({"rules": [rule]}).to_string()).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    for (path, request, api) in DOORS {
        let reply = post(&gateway, path, request).await;
        assert!(reply.text().contains("top_p must be below 1"), "{api}: {}", reply.text());
        assert!(reply.status.is_client_error(), "{api}");
    }
}

#[tokio::test]
async fn fault_07_a_silent_stream_gets_pings() {
    let fault = json!({"stall": true, "after": 150});
    let emulator =
        emulator(ContainerFormat::default(), &script(&sse(&[delta("a"), delta("b")]), &fault)).await;
    let mut config = crate::common::config(vec![model(&emulator, "e", Api::OpenAi)]);
    config.models[0].timeouts.idle = Duration::from_millis(400);
    config.bounds.ping = Some(Duration::from_millis(50));
    let gateway = sagewire_gateway::Gateway::new(config).await.expect("a gateway");
    let pings = |text: &str, ping: &str| text.matches(ping).count();
    let reply = post(&gateway, "/v1/chat/completions", CHAT).await;
    assert!(pings(&reply.text(), ": ping\n\n") >= 3, "{}", reply.text());
    let reply = post(&gateway, "/v1/messages", MESSAGES).await;
    assert!(pings(&reply.text(), "event: ping\ndata: {\"type\": \"ping\"}\n\n") >= 3, "{}", reply.text());
    // What came before is there, and the end is an error.
    let (response, end) = decode(Api::Anthropic, &reply.body);
    assert!(end.is_err() && response.choices[0].text() == "a");
    // Frames have nothing of this kind, whatever is in them.
    let invoke = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    for (path, body) in [
        ("/model/e/converse-stream", CONVERSE.to_owned()),
        ("/model/e/invoke-with-response-stream", invoke.to_string()),
    ] {
        let reply = post(&gateway, path, body).await;
        assert!(reply.status == 200 && !reply.text().contains("ping"), "{path}: {}", reply.text());
    }
}

/// The requests of streams to a gateway that pings before there is a response, in front of an endpoint with this rule.
async fn early_replies(rule: &Value) -> Vec<(Reply, Api)> {
    let emulator = emulator(ContainerFormat::default(), &json!({"rules": [rule]}).to_string()).await;
    let mut config = crate::common::config(vec![model(&emulator, "e", Api::OpenAi)]);
    config.bounds.ping = Some(Duration::from_millis(50));
    config.bounds.ping_before_response = true;
    config.routing.attempts = 1;
    config.routing.cooldown.failures = u32::MAX;
    let gateway = sagewire_gateway::Gateway::new(config).await.expect("a gateway");
    let mut replies = Vec::new();
    for (path, body, api) in DOORS {
        replies.push((post(&gateway, path, body).await, api));
    }
    replies
}

#[tokio::test]
async fn fault_07_pings_before_the_response_cost_its_status_only_if_it_takes_long() {
    let pings = |reply: &Reply| reply.text().matches("ping\n").count();
    for (reply, api) in early_replies(&json!({"first_byte_ms": 400})).await {
        assert_eq!(reply.status, 200, "{api}");
        assert_eq!(pings(&reply) >= 3, api != Api::Converse, "{api}: {}", reply.text());
        let (response, end) = decode(api, &reply.body);
        assert!(
            end.is_ok() && response.choices[0].text().contains("one two three"),
            "{api}: {}",
            reply.text()
        );
        assert!(!reply.header("x-request-id").is_empty() && !reply.header("content-type").is_empty());
    }
    let failure = json!({"status": 503, "error_type": "ServiceUnavailable", "message": "not today"});
    for (reply, api) in early_replies(&failure).await {
        assert!(!reply.status.is_success() && pings(&reply) == 0, "{api}: {}", reply.text());
    }
    let late = json!({"status": 503, "error_type": "ServiceUnavailable", "message": "not today", "first_byte_ms": 400});
    for (reply, api) in early_replies(&late).await {
        assert_eq!(reply.status.is_success(), api != Api::Converse, "{api}: {}", reply.text());
        if api == Api::Converse {
            continue;
        }
        assert!(pings(&reply) >= 3 && reply.text().contains("not today"), "{api}: {}", reply.text());
        let failure = decode(api, &reply.body).1.expect_err("it has failed");
        assert!(failure.is_model_failure(), "{api}: {failure}");
        for marker in ["[DONE]", "message_stop", "response.completed"] {
            assert!(!reply.text().contains(marker), "{api}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn fault_10_usage_is_sent_if_and_only_if_it_was_requested() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    let usages = |reply: &Reply| {
        let text = reply.text();
        let records = text.lines().filter_map(|line| line.strip_prefix("data: {"));
        let records = records.map(|json| serde_json::from_str::<Value>(&format!("{{{json}")).expect("JSON"));
        records.filter(|record| record["usage"].is_object()).collect::<Vec<_>>()
    };
    let reply = post(&gateway, "/v1/chat/completions", CHAT).await;
    assert!(usages(&reply).is_empty() && reply.text().contains("[DONE]"), "{}", reply.text());
    let with = CHAT.replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    let reply = post(&gateway, "/v1/chat/completions", with).await;
    let found = usages(&reply);
    assert_eq!(found.len(), 1, "{}", reply.text());
    assert_eq!(found[0]["choices"], json!([]));
}

#[tokio::test]
async fn faults_11_12_13_streams_of_tools_and_thinking_are_well_formed() {
    let call = |arguments: &str| json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}}]});
    let events = [
        json!({"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "let me"}}]}),
        json!({"choices": [{"index": 0, "delta": {"reasoning_content": " think"}}]}),
        json!({"choices": [{"index": 0, "delta": {"content": "I"}}]}),
        json!({"choices": [{"index": 0, "delta": {"content": " look"}}]}),
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}}]}),
        call("{\"a\":"),
        call("\"b\""),
        call("}"),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
    ];
    let body = sse(&events) + "data: [DONE]\n\n";
    for cut in ["\"events\"", "\"bytes\"", "\"characters\""] {
        let rule = format!(
            r#"{{"rules":[{{"content_type":"text/event-stream","cut":{cut},"body":{}}}]}}"#,
            json!(body)
        );
        let emulator = emulator(ContainerFormat::default(), &rule).await;
        let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
        for (path, request, api) in DOORS {
            let reply = post(&gateway, path, request).await;
            let (response, end) = decode(api, &reply.body);
            end.unwrap_or_else(|error| panic!("{api}: {error}: {}", reply.text()));
            let choice = &response.choices[0];
            assert_eq!(choice.text(), "I look", "{api}");
            let calls: Vec<_> = choice.tool_calls().map(|(_, name, input)| (name, input)).collect();
            assert_eq!(calls, [("f", r#"{"a":"b"}"#)], "{api}");
            if api == Api::Anthropic {
                anthropic_grammar(&reply.text());
                // Arguments leave as they came.
                assert_eq!(reply.text().matches("input_json_delta").count(), 3, "{}", reply.text());
            }
        }
    }
}

/// One `message_start`, blocks one after the other, each delta within a block of its kind.
fn anthropic_grammar(text: &str) {
    let mut open: Option<(u64, String)> = None;
    let mut starts = 0;
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(data).expect("JSON");
        let index = event["index"].as_u64();
        match event["type"].as_str().expect("a type") {
            "message_start" => starts += 1,
            "content_block_start" => {
                assert!(open.is_none(), "{text}");
                let kind = event["content_block"]["type"].as_str().expect("a type").to_owned();
                open = index.map(|index| (index, kind));
            }
            "content_block_delta" => {
                let (current, kind) = open.as_ref().expect("an open block");
                assert_eq!(Some(*current), index);
                let expected = match kind.as_str() {
                    "thinking" => ["thinking_delta", "signature_delta"],
                    "tool_use" => ["input_json_delta"; 2],
                    _ => ["text_delta"; 2],
                };
                assert!(expected.contains(&event["delta"]["type"].as_str().expect("a type")), "{text}");
            }
            "content_block_stop" => assert_eq!(open.take().map(|(index, _)| index), index),
            _ => {}
        }
    }
    assert_eq!((starts, open), (1, None), "{text}");
}

#[tokio::test]
async fn fault_16_a_fallback_shows_nothing_of_the_first_attempt() {
    // The first endpoint breaks before its first event, the second one responds.
    let rules = json!({"rules": [
        {"endpoint": "a", "content_type": "text/event-stream", "body": sse(&[delta("never")]), "fault": {"reset": true, "after": 10}},
        {"endpoint": "b"}
    ]});
    let emulator = emulator(ContainerFormat::default(), &rules.to_string()).await;
    let (mut a, mut b) = (model(&emulator, "a", Api::OpenAi), model(&emulator, "b", Api::OpenAi));
    (a.name, b.name) = ("e".into(), "e".into());
    b.weight = 0;
    let gateway = gateway(vec![a, b]).await;
    for (path, request, api) in DOORS {
        let reply = post(&gateway, path, request).await;
        let (response, end) = decode(api, &reply.body);
        assert!(end.is_ok(), "{api}: {}", reply.text());
        assert!(
            response.choices[0].text().contains("one two three") && !reply.text().contains("never"),
            "{api}"
        );
    }
    // After the first byte there is no second attempt.
    let fault = json!({"reset": true, "after": 250});
    let script = script(&sse(&[delta("first"), delta("x"), delta("y")]), &fault);
    let broken = crate::common::emulator(ContainerFormat::default(), &script).await;
    let gateway = crate::common::gateway(vec![model(&broken, "e", Api::OpenAi)]).await;
    let reply = send_raw(&gateway, "/v1/chat/completions", CHAT, &[]).await;
    assert!(reply.text().contains("first") && !reply.text().contains("[DONE]"));
    assert_eq!(broken.requests().len(), 1);
}
