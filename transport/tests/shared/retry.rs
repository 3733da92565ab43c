//! Retries, counted by the emulator.

use std::time::{Duration, Instant};

use sagewire_codec::model::Event;
use sagewire_emulator::Emulator;
use sagewire_transport::{Chat, Request, Retry, Timeout};
use serde_json::{Value, json};

use crate::common::{CHAT, Setup, client, read, with_rules};

fn quick() -> Retry {
    let mut retry = Retry::default();
    retry.initial_delay = Duration::from_millis(5);
    retry
}

fn setup(emulator: &Emulator) -> Setup {
    Setup::new(emulator).bounds(|bounds| bounds.retry = quick())
}

#[tokio::test]
async fn transient_errors_are_retried() {
    for failure in [
        json!({"status": 503, "times": 2}),
        json!({"status": 500, "times": 2}),
        json!({"status": 530, "times": 2}),
        json!({"status": 429, "times": 2}),
        json!({"status": 400, "error_type": "ThrottlingException", "times": 2}),
        json!({"status": 424, "original_status": 503, "times": 2}),
    ] {
        for is_stream in [false, true] {
            let emulator = with_rules(&json!([failure, {}])).await;
            let client = client(&setup(&emulator));
            if is_stream {
                let mut stream = client.invoke_stream(Request::new("e", CHAT)).await.expect("a response");
                while stream.chunk().await.expect("a chunk").is_some() {}
            } else {
                client.invoke(Request::new("e", CHAT)).await.expect("a response");
            }
            assert_eq!(emulator.requests().len(), 3, "{failure}");
        }
    }
}

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    for (failure, attempts, count) in [
        (json!({"status": 503}), 3, 3),
        (json!({"status": 503}), 5, 5),
        (json!({"status": 503}), 1, 1),
        (json!({"status": 400}), 3, 1),
        (json!({"status": 404}), 3, 1),
        (json!({"status": 424, "original_status": 400}), 3, 1),
        (json!({"status": 403}), 3, 1),
    ] {
        let emulator = with_rules(&json!([failure])).await;
        let client = client(&setup(&emulator).bounds(|bounds| bounds.retry.attempts = attempts));
        client.invoke_stream(Request::new("e", CHAT)).await.expect_err("a failure");
        assert_eq!(emulator.requests().len(), count, "{failure}");
    }
}

#[tokio::test]
async fn broken_connections_are_retried_before_the_first_byte() {
    let broken = json!({"body": "one\ntwo\n", "fault": {"hang_up": true, "after": 4}, "times": 1});
    let emulator = with_rules(&json!([broken, {"body": "whole"}])).await;
    let whole = client(&setup(&emulator)).invoke(Request::new("e", "")).await.expect("a response");
    assert_eq!((whole.body.as_ref(), emulator.requests().len()), (&b"whole"[..], 2));

    let emulator = with_rules(&json!([broken, {"body": "whole"}])).await;
    let mut stream =
        client(&setup(&emulator)).invoke_stream(Request::new("e", "")).await.expect("a response");
    let error = loop {
        match stream.chunk().await {
            Ok(chunk) => assert!(chunk.is_some(), "a broken reply is no whole one"),
            Err(error) => break error,
        }
    };
    assert!(error.is_broken_off() && !error.is_retryable());
    assert_eq!(emulator.requests().len(), 1);
}

#[tokio::test]
async fn retry_after_is_respected() {
    let emulator = with_rules(&json!([{"status": 429, "retry_after": 1, "times": 1}, {}])).await;
    let start = Instant::now();
    client(&setup(&emulator)).invoke(Request::new("e", CHAT)).await.expect("a response");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(emulator.requests().len(), 2);

    let emulator = with_rules(&json!([{"status": 429, "retry_after": 3600}])).await;
    let start = Instant::now();
    let error = client(&setup(&emulator)).invoke(Request::new("e", CHAT)).await.expect_err("too long");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert!(start.elapsed() < Duration::from_secs(1) && emulator.requests().len() == 1);
}

#[tokio::test]
async fn the_total_timeout_limits_all_attempts() {
    let emulator = with_rules(&json!([{"status": 503, "first_byte_ms": 100}])).await;
    let total = Duration::from_millis(250);
    let eager = client(&setup(&emulator).bounds(|bounds| {
        bounds.retry.attempts = 100;
        bounds.timeouts.total = Some(total);
    }));
    let start = Instant::now();
    let error = eager.invoke_stream(Request::new("e", CHAT)).await.expect_err("too long");
    assert_eq!(error.timeout(), Some(Timeout::Total));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!((1..=3).contains(&emulator.requests().len()), "{}", emulator.requests().len());

    let emulator = with_rules(&json!([{"body": "one\ntwo\n", "fault": {"stall": true, "after": 4}}])).await;
    let client = client(&setup(&emulator).bounds(|bounds| bounds.timeouts.total = Some(total)));
    let mut stream = client.invoke_stream(Request::new("e", "")).await.expect("a response");
    assert!(stream.chunk().await.expect("a chunk").is_some());
    let error = stream.chunk().await.expect_err("too long");
    assert_eq!((error.timeout(), emulator.requests().len()), (Some(Timeout::Total), 1));
}

/// The faults of a stream, and whether they are retried before anything is delivered.
fn faults() -> Vec<(Value, bool)> {
    let exception =
        |name: &str, code: &str| json!({"exception": {"type": name, "code": code, "message": "m"}});
    vec![
        (exception("ModelStreamError", "StreamBroken"), true),
        (exception("InternalStreamFailure", "InternalFailure"), true),
        (exception("ThrottlingException", ""), true),
        (json!({"error": {"code": "500", "message": "m"}}), true),
        (json!({"truncated_frame": true}), true),
        (json!({"hang_up": true}), true),
        (json!({"reset": true}), true),
        (json!({"stall": true}), true),
        (exception("ModelStreamError", "ModelInvocationTimeExceeded"), false),
        (exception("ValidationError", ""), false),
        (json!({"corrupt_byte": true}), false),
    ]
}

fn impatient(emulator: &Emulator) -> Setup {
    setup(emulator).bounds(|bounds| bounds.timeouts.idle = Duration::from_millis(50))
}

#[tokio::test]
async fn streams_are_retried_before_their_first_event() {
    for (mut fault, passes) in faults() {
        fault["after"] = json!(0);
        let broken = json!({"body": "one\ntwo\n", "fault": fault, "times": 2});
        let emulator = with_rules(&json!([broken, {"body": "whole"}])).await;
        let mut stream =
            client(&impatient(&emulator)).invoke_stream(Request::new("e", "")).await.expect("a stream");
        let (bytes, _) = read(&mut stream).await;
        assert_eq!(emulator.requests().len(), if passes { 3 } else { 1 }, "{fault}");
        assert_eq!(bytes.windows(5).any(|bytes| bytes == b"whole"), passes, "{fault}");
        // The metadata is that of the second attempt.
        let id = format!("00000000-0000-4000-8000-{:012}", emulator.requests().len());
        assert_eq!(stream.metadata().request_id.as_deref(), Some(&*id), "{fault}");
    }
    let emulator = with_rules(&json!([{"body": "", "times": 1}, {"body": "whole"}])).await;
    let mut stream = client(&setup(&emulator)).invoke_stream(Request::new("e", "")).await.expect("a stream");
    let (bytes, end) = read(&mut stream).await;
    assert!(end.is_ok() && !bytes.is_empty() && emulator.requests().len() == 2);
}

#[tokio::test]
async fn streams_are_not_retried_after_their_first_event() {
    for (mut fault, _) in faults() {
        fault["after"] = json!(4);
        let broken = json!({"body": "one\ntwo\n", "fault": fault, "times": 1});
        let emulator = with_rules(&json!([broken, {"body": "whole"}])).await;
        let mut stream =
            client(&impatient(&emulator)).invoke_stream(Request::new("e", "")).await.expect("a stream");
        let (bytes, end) = read(&mut stream).await;
        assert!(bytes.windows(4).any(|bytes| bytes == b"one\n"), "{fault}");
        assert!(end.is_ok() || !end.unwrap_err().is_retryable(), "{fault}");
        assert_eq!(emulator.requests().len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn the_first_event_is_not_waited_for_twice() {
    let emulator = with_rules(&json!([{"body": "one\ntwo\n", "pause_ms": 3000}])).await;
    let start = Instant::now();
    let mut stream = client(&setup(&emulator)).invoke_stream(Request::new("e", "")).await.expect("a stream");
    assert!(stream.chunk().await.expect("a chunk").is_some());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// After the last attempt, the caller gets the bytes and the error of a single attempt.
#[tokio::test]
async fn the_last_attempt_is_returned_unchanged() {
    for (mut fault, passes) in faults() {
        fault["after"] = json!(0);
        let rules = json!([{"body": "one\ntwo\n", "fault": fault}]);
        let mut found = Vec::new();
        for attempts in [1, 3] {
            let emulator = with_rules(&rules).await;
            let client = client(&impatient(&emulator).bounds(|bounds| bounds.retry.attempts = attempts));
            let mut stream = client.invoke_stream(Request::new("e", "")).await.expect("a stream");
            let (bytes, end) = read(&mut stream).await;
            assert_eq!(emulator.requests().len(), if passes { attempts } else { 1 }, "{fault}");
            found.push((bytes, end.map_err(|error| error.to_string())));
        }
        assert_eq!(found[0], found[1], "{fault}");
    }
}

#[tokio::test]
async fn a_chat_is_retried() {
    let exception = json!({"exception": {"type": "InternalStreamFailure", "message": "m"}, "after": 0});
    let emulator = with_rules(&json!([{"fault": exception, "times": 1}, {}])).await;
    let chat = Chat::new(client(&setup(&emulator)), "my-llm");
    let request = sagewire_codec::read_request(sagewire_codec::Api::OpenAi, CHAT.as_bytes());
    let mut stream = chat.stream(&request.expect("a request")).await.expect("a stream");
    let mut text = String::new();
    while let Some(event) = stream.event().await.expect("an event") {
        if let Event::TextDelta { text: delta, .. } = event {
            text.push_str(&delta);
        }
    }
    assert!(!text.is_empty() && emulator.requests().len() == 2);
}
