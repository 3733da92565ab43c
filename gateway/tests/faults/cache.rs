//! Fault 41: the cache.

use sagewire_codec::{Api, Decoder, Options};
use sagewire_emulator::ContainerFormat;
use sagewire_gateway::Gateway;
use serde_json::{Value, json};

use super::limits::{gateway, request};
use crate::common::{ECHO, Reply, emulator, send};

const CACHE: &str = "cache: {size: 1MiB, ttl: 60s}";

fn chat() -> Value {
    json!({"model": "e", "messages": [{"role": "user", "content": "one two three"}], "temperature": 0, "max_tokens": 5})
}

async fn post(gateway: &Gateway, key: &str, body: &Value, headers: &[(&'static str, &str)]) -> Reply {
    let mut request = request("/v1/chat/completions", key, body);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    send(gateway, request).await
}

fn streamed(usage: bool) -> Value {
    let mut body = chat();
    body["stream"] = true.into();
    if usage {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

/// The text and the number of tokens of a stream, which has to be complete.
fn read(reply: &Reply) -> (String, Option<u64>) {
    let mut response = sagewire_codec::model::Response::default();
    let mut decoder = Decoder::with_options(Options::new().api(Api::OpenAi));
    let mut take = |event: sagewire_codec::model::Event<'_>| response.add(&event);
    let fed = decoder.feed(reply.body.clone(), &mut take);
    fed.and_then(|()| decoder.end(&mut take)).unwrap_or_else(|error| panic!("{error}: {}", reply.text()));
    (response.choices[0].text().to_string(), response.usage.and_then(|usage| usage.output_tokens))
}

#[tokio::test]
async fn fault_41_a_response_is_for_one_key_and_one_request() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = gateway(&emulator, "", CACHE).await;
    let calls = || emulator.requests().len();
    let first = post(&gateway, "sk-a", &chat(), &[]).await;
    let hit = post(&gateway, "sk-a", &chat(), &[]).await;
    assert_eq!((calls(), hit.status.as_u16(), hit.header("x-sagewire-cache")), (1, 200, "hit"));
    // The first one is the container's own, with fields that are null.
    for field in ["/choices/0/message/content", "/choices/0/finish_reason"] {
        assert_eq!(hit.json().pointer(field), first.json().pointer(field));
    }
    assert_eq!(hit.json()["usage"], first.json()["usage"]);

    post(&gateway, "sk-b", &chat(), &[]).await;
    assert_eq!(calls(), 2, "another key");
    for (count, (field, value)) in
        [("seed", json!(1)), ("max_tokens", json!(4)), ("user", json!("u")), ("x-unknown", json!(null))]
            .into_iter()
            .enumerate()
    {
        let mut body = chat();
        body[field] = value;
        post(&gateway, "sk-a", &body, &[]).await;
        assert_eq!(calls(), 3 + count, "another `{field}`");
    }
    let sampled = json!({"model": "e", "messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..2 {
        post(&gateway, "sk-a", &sampled, &[]).await;
    }
    assert_eq!(calls(), 8, "sampled responses are kept only when asked");
    for _ in 0..2 {
        post(&gateway, "sk-a", &sampled, &[("x-sagewire-cache", "on")]).await;
    }
    assert_eq!(calls(), 9);
    post(&gateway, "sk-a", &chat(), &[("cache-control", "no-cache")]).await;
    assert_eq!(calls(), 10, "the client wants a new one");
}

#[tokio::test]
async fn fault_41_a_hit_is_a_stream_or_whole_as_requested() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let expected = ("You said: “one two three”".to_owned(), Some(5));
    // From a whole response.
    let whole = gateway(&emulator, "", CACHE).await;
    post(&whole, "sk-a", &chat(), &[]).await;
    let hit = post(&whole, "sk-a", &streamed(true), &[]).await;
    assert!(hit.header("content-type").starts_with("text/event-stream"));
    assert_eq!((read(&hit), hit.header("x-sagewire-cache")), (expected.clone(), "hit"));
    let hit = post(&whole, "sk-a", &streamed(false), &[]).await;
    assert!(!hit.text().contains("\"usage\":{"), "it was not requested: {}", hit.text());
    assert_eq!(emulator.requests().len(), 1);
    // From a stream, with and without usage.
    for usage in [true, false] {
        let stream = gateway(&emulator, "", CACHE).await;
        let calls = emulator.requests().len();
        assert_eq!(read(&post(&stream, "sk-a", &streamed(usage), &[]).await).0, expected.0);
        let hit = post(&stream, "sk-a", &chat(), &[]).await;
        assert_eq!((emulator.requests().len() - calls, hit.header("x-sagewire-cache")), (1, "hit"));
        assert_eq!(hit.json()["choices"][0]["message"]["content"], expected.0);
        assert_eq!(hit.json()["usage"]["completion_tokens"], 5, "{}", hit.text());
    }
}

#[tokio::test]
async fn fault_41_broken_responses_are_not_kept_and_hits_cost_nothing() {
    let broken = json!({"fault": {"hang_up": true, "after": 150}, "times": 2});
    let emulator = emulator(ContainerFormat::default(), &json!({"rules": [broken, {}]}).to_string()).await;
    let gateway = gateway(&emulator, "tokens: 10k/day", CACHE).await;
    let mut calls = 0;
    loop {
        let reply = post(&gateway, "sk-a", &streamed(true), &[]).await;
        assert_eq!(reply.header("x-sagewire-cache"), "", "nothing complete was there: {}", reply.text());
        assert!(emulator.requests().len() > calls);
        calls = emulator.requests().len();
        if reply.status == 200 && reply.text().contains("[DONE]") {
            break;
        }
    }
    let tokens =
        |reply: &Reply| reply.header("x-ratelimit-remaining-tokens").parse::<u64>().expect("a number");
    let hits = [post(&gateway, "sk-a", &chat(), &[]).await, post(&gateway, "sk-a", &chat(), &[]).await];
    assert_eq!(hits.each_ref().map(|hit| hit.header("x-sagewire-cache")), ["hit"; 2]);
    assert_eq!(tokens(&hits[0]), tokens(&hits[1]), "a hit takes no tokens");
}
