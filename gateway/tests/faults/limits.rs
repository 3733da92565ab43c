//! Faults 21 to 25: limits, budgets, and the state that several gateways share.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use sagewire_codec::Api;
use sagewire_emulator::{ContainerFormat, Emulator};
use sagewire_gateway::Gateway;
use sagewire_gateway::config::Config;
use serde_json::json;
use sha2::{Digest, Sha256};
use tower_service::Service;

use crate::common::state_server::StateServer;
use crate::common::{ECHO, Reply, emulator, model, send};

/// The gateway of an endpoint whose output tokens cost a dollar each, for the keys `sk-a` and `sk-b` with these limits. `more` is
/// added to the configuration.
pub(super) async fn gateway(emulator: &Emulator, limits: &str, more: &str) -> Gateway {
    let hash = |key: &str| hex::encode(Sha256::digest(key));
    let text = format!(
        "models: [{{name: e, endpoint: e, region: us-east-1, prices: {{input: 0, output: 1000000}}}}]\n\
         keys:\n- {{name: a, hash: 'sha256:{}', limits: {{{limits}}}}}\n- {{name: b, hash: 'sha256:{}'}}\n{more}",
        hash("sk-a"),
        hash("sk-b"),
    );
    let (mut config, _) =
        Config::read(&text, Path::new("test.yaml"), |_| None).unwrap_or_else(|error| panic!("{error}"));
    let prices = config.models[0].prices;
    config.models = vec![model(emulator, "e", Api::OpenAi)];
    config.models[0].prices = prices;
    // For requests without a limit of their own.
    config.models[0].reserve_tokens = 1;
    config.access_log = sagewire_gateway::config::AccessLog::Off;
    Gateway::new(config).await.expect("a gateway")
}

pub(super) fn request(path: &str, key: &str, body: &(impl ToString + ?Sized)) -> http::Request<Full<Bytes>> {
    let request = http::Request::post(path).header("authorization", format!("Bearer {key}"));
    request.body(Full::new(Bytes::from(body.to_string()))).expect("a request")
}

async fn chat(gateway: &Gateway, text: &str, max_tokens: Option<u64>) -> Reply {
    let mut body = json!({"model": "e", "messages": [{"role": "user", "content": text}]});
    if let Some(max_tokens) = max_tokens {
        body["max_tokens"] = max_tokens.into();
    }
    send(gateway, request("/v1/chat/completions", "sk-a", &body)).await
}

fn remaining(reply: &Reply, kind: &str) -> u64 {
    let value = reply.header(&format!("x-ratelimit-remaining-{kind}"));
    value.parse().unwrap_or_else(|_| panic!("{kind}: {value:?}, {}", reply.text()))
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_21_gateways_that_share_a_state_share_the_limit() {
    let Some(server) = StateServer::start() else { return };
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let state = format!("state: {{url: '{}', when_down: deny}}", server.url());
    let mut gateways = Vec::new();
    for _ in 0..3 {
        gateways.push(gateway(&emulator, "requests: 60/day", &state).await);
    }
    // Twenty for each, and then as many as there is room for.
    let load = gateways.iter().flat_map(|gateway| std::iter::repeat_n(gateway, 20));
    let calls: Vec<_> = load.map(|gateway| tokio::spawn(admitted(gateway.clone()))).collect();
    let mut count = 0;
    for call in calls {
        count += usize::from(call.await.expect("no panic"));
    }
    for gateway in gateways.iter().cycle() {
        if !admitted(gateway.clone()).await {
            break;
        }
        count += 1;
    }
    for gateway in gateways {
        assert!(!admitted(gateway).await);
    }
    assert_eq!((count, emulator.requests().len()), (60, 60));
}

/// Whether the limit of requests admits one. On a machine that is very busy, a decision may take too long: then the client
/// tries again.
async fn admitted(gateway: Gateway) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let reply = chat(&gateway, "hi", Some(1)).await;
        match reply.status.as_u16() {
            200 => return true,
            429 => {
                assert_eq!(reply.header("x-ratelimit-limit-requests"), "60");
                assert!(!reply.header("retry-after").is_empty());
                return false;
            }
            _ => assert!(reply.status == 503 && Instant::now() < deadline, "{}", reply.text()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_22_parallel_requests_do_not_spend_a_budget_twice() {
    let response = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}});
    let slow = json!({"rules": [{"first_byte_ms": 1000, "content_type": "application/json", "body": response.to_string()}]});
    let emulator = emulator(ContainerFormat::default(), &slow.to_string()).await;
    let gateway = gateway(&emulator, "budget: 100 USD/year", "").await;
    // Each reserves ten dollars, and takes three.
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move { chat(&gateway, "hi", Some(10)).await })
        })
        .collect();
    for call in calls {
        let reply = call.await.expect("no panic");
        if reply.status != 200 {
            assert_eq!((reply.status.as_u16(), reply.header("x-should-retry")), (429, "false"));
            assert_eq!(reply.json()["error"]["code"], "insufficient_quota", "{}", reply.text());
        }
    }
    assert_eq!(emulator.requests().len(), 10);
    // What is left can be reserved to the last dollar, and no more.
    assert_eq!(chat(&gateway, "hi", Some(71)).await.status, 429);
    assert_eq!(chat(&gateway, "hi", Some(70)).await.status, 200);
}

#[tokio::test]
async fn fault_23_a_client_that_leaves_early_is_charged_for_what_it_got() {
    let delta = |text| {
        let delta = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
        format!("data: {delta}\n\n")
    };
    let body = ["a", "b", "c"].map(delta).concat();
    let stalls = json!({"content_type": "text/event-stream", "body": body, "fault": {"stall": true, "after": body.len()}, "times": 1});
    let emulator = emulator(ContainerFormat::default(), &json!({"rules": [stalls, {}]}).to_string()).await;
    let mut gateway = gateway(&emulator, "tokens: 1000/day", "").await;
    let body = json!({"model": "e", "stream": true, "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]});
    let input = body.to_string().len() as u64 / 4;
    let response =
        gateway.call(request("/v1/chat/completions", "sk-a", &body)).await.expect("it never fails");
    let mut stream = response.into_body();
    let mut seen = String::new();
    while !seen.contains("\"c\"}") {
        let frame = stream.frame().await.expect("a frame").expect("it never fails");
        seen += &String::from_utf8_lossy(&frame.into_data().expect("data"));
    }
    drop(stream);
    // Three tokens of output and the estimate of the input, not the 500 that were reserved, and not nothing.
    let next = chat(&gateway, "hi", Some(1)).await;
    let own = json!({"model": "e", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1})
        .to_string()
        .len() as u64
        / 4
        + 1;
    assert_eq!(remaining(&next, "tokens"), 1000 - (input + 3) - own);
}

#[tokio::test]
async fn fault_24_a_limit_falls_by_the_tokens_and_cuts_no_stream() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = gateway(&emulator, "tokens: 900/day", "").await;
    let first = chat(&gateway, "one two three", Some(100)).await;
    let total = first.json()["usage"]["total_tokens"].as_u64().expect("usage");
    let second = chat(&gateway, "one two three", Some(100)).await;
    assert_eq!(remaining(&first, "tokens") - remaining(&second, "tokens"), total);
    // A stream that takes more than what is left: it was admitted with an estimate of one token of output.
    let words = vec!["word"; 1000].join(" ");
    let body = json!({"model": "e", "stream": true, "messages": [{"role": "user", "content": words}]});
    let small = json!({"model": "e", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": vec!["a"; 700].join(" ")}]});
    assert_eq!(send(&gateway, request("/v1/chat/completions", "sk-a", &body)).await.status, 429);
    let reply = send(&gateway, request("/v1/chat/completions", "sk-a", &small)).await;
    assert!(reply.status == 200 && reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    // The next one waits until that has refilled.
    let refused = chat(&gateway, "hi", Some(1)).await;
    assert_eq!((refused.status.as_u16(), remaining(&refused, "tokens")), (429, 0), "{}", refused.text());
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!(wait > 96, "{wait} seconds: at least one token of 900 in a day");
    let body = json!({"model": "e", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]});
    let refused = send(&gateway, request("/v1/messages", "sk-a", &body)).await;
    let anthropic =
        ["limit", "remaining"].map(|name| refused.header(&format!("anthropic-ratelimit-tokens-{name}")));
    assert_eq!((refused.status.as_u16(), anthropic), (429, ["900", "0"]), "{}", refused.text());
    // The other key is not affected.
    let body = json!({"model": "e", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(send(&gateway, request("/v1/chat/completions", "sk-b", &body)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_25_a_frozen_state_server_delays_no_request() {
    let Some(server) = StateServer::start() else { return };
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    for (when_down, status) in [("local", 200), ("deny", 503)] {
        let state = format!("state: {{url: '{}', when_down: {when_down}}}", server.url());
        let gateway = gateway(&emulator, "requests: 1000/day", &state).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while chat(&gateway, "hi", None).await.status != 200 {
            assert!(Instant::now() < deadline);
        }
        server.freeze();
        // One that waits for the server in vain, and those that do not wait.
        for _ in 0..20 {
            let start = Instant::now();
            let reply = chat(&gateway, "hi", None).await;
            assert_eq!(reply.status, status, "{}", reply.text());
            assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
            assert_eq!(reply.header("retry-after").is_empty(), status == 200);
        }
        server.thaw();
        let deadline = Instant::now() + Duration::from_secs(20);
        while chat(&gateway, "hi", None).await.status != 200 {
            assert!(Instant::now() < deadline, "it recovers");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
