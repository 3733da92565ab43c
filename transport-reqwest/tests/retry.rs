//! Trying again, counted by the emulator.

use std::time::{Duration, Instant, SystemTime};

use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY, Script};
use sagewire_transport_reqwest::{Builder, Client, Credentials, Request, Retry, Timeout};
use serde_json::{Value, json};

const CHAT: &str = r#"{"messages": [{"role": "user", "content": "hi"}], "stream": true}"#;

async fn scripted(rules: Value) -> Emulator {
    let script: Script = json!({"rules": rules}).to_string().parse().expect("a script");
    Emulator::builder().script(script).start().await.expect("a port")
}

fn quick() -> Retry {
    let mut retry = Retry::default();
    retry.first_wait = Duration::from_millis(5);
    retry
}

fn builder(emulator: &Emulator) -> Builder {
    Client::builder()
        .region("us-east-1")
        .credentials(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test"))
        .endpoint_url(emulator.url())
        .retry(quick())
}

fn client(emulator: &Emulator) -> Client {
    builder(emulator).build().expect("complete")
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for failure in [
        json!({"status": 503, "times": 2}),
        json!({"status": 500, "times": 2}),
        json!({"status": 530, "times": 2}),
        json!({"status": 429, "times": 2}),
        json!({"status": 400, "error_type": "ThrottlingException", "times": 2}),
        json!({"status": 424, "original_status": 503, "times": 2}),
    ] {
        for is_stream in [false, true] {
            let emulator = scripted(json!([failure, {}])).await;
            let client = client(&emulator);
            if is_stream {
                let mut stream = client.invoke_stream(Request::new("e", CHAT)).await.expect("an answer");
                while stream.chunk().await.expect("a chunk").is_some() {}
            } else {
                client.invoke(Request::new("e", CHAT)).await.expect("an answer");
            }
            assert_eq!(emulator.requests().len(), 3, "{failure}");
        }
    }
}

#[tokio::test]
async fn what_does_not_pass_is_not() {
    for (failure, attempts, count) in [
        (json!({"status": 503}), 3, 3),
        (json!({"status": 503}), 5, 5),
        (json!({"status": 503}), 1, 1),
        (json!({"status": 400}), 3, 1),
        (json!({"status": 404}), 3, 1),
        (json!({"status": 424, "original_status": 400}), 3, 1),
        (json!({"status": 403}), 3, 1),
    ] {
        let emulator = scripted(json!([failure])).await;
        let client = builder(&emulator).retry(quick().attempts(attempts)).build().expect("complete");
        client.invoke_stream(Request::new("e", CHAT)).await.expect_err("a failure");
        assert_eq!(emulator.requests().len(), count, "{failure}");
    }
}

#[tokio::test]
async fn broken_connections_are_tried_again_unless_something_was_handed_out() {
    let broken = json!({"body": "one\ntwo\n", "fault": {"hang_up": true, "after": 4}, "times": 1});
    let emulator = scripted(json!([broken, {"body": "whole"}])).await;
    let whole = client(&emulator).invoke(Request::new("e", "")).await.expect("an answer");
    assert_eq!((whole.body.as_ref(), emulator.requests().len()), (&b"whole"[..], 2));

    let emulator = scripted(json!([broken, {"body": "whole"}])).await;
    let mut stream = client(&emulator).invoke_stream(Request::new("e", "")).await.expect("an answer");
    let error = loop {
        match stream.chunk().await {
            Ok(chunk) => assert!(chunk.is_some(), "a broken answer is no whole one"),
            Err(error) => break error,
        }
    };
    assert!(error.is_broken_off() && !error.is_retryable());
    assert_eq!(emulator.requests().len(), 1);
}

#[tokio::test]
async fn exceptions_within_a_stream_are_not_tried_again() {
    let exception = json!({"exception": {"type": "InternalStreamFailure", "message": "gone"}, "after": 4});
    let emulator = scripted(json!([{"body": "one\ntwo\n", "fault": exception, "times": 1}, {}])).await;
    let mut stream = client(&emulator).invoke_stream(Request::new("e", "")).await.expect("an answer");
    while stream.chunk().await.expect("frames").is_some() {}
    assert_eq!(emulator.requests().len(), 1);
}

#[tokio::test]
async fn the_service_says_when() {
    let emulator = scripted(json!([{"status": 429, "retry_after": 1, "times": 1}, {}])).await;
    let start = Instant::now();
    client(&emulator).invoke(Request::new("e", CHAT)).await.expect("an answer");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(emulator.requests().len(), 2);

    let emulator = scripted(json!([{"status": 429, "retry_after": 3600}])).await;
    let start = Instant::now();
    let error = client(&emulator).invoke(Request::new("e", CHAT)).await.expect_err("too long");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert!(start.elapsed() < Duration::from_secs(1) && emulator.requests().len() == 1);
}

#[tokio::test]
async fn the_total_time_bounds_all_tries() {
    let emulator = scripted(json!([{"status": 503, "first_byte_ms": 100}])).await;
    let total = Duration::from_millis(250);
    let client = builder(&emulator).retry(quick().attempts(100)).total_timeout(total).build();
    let start = Instant::now();
    let error = client.expect("complete").invoke_stream(Request::new("e", CHAT)).await.expect_err("too long");
    assert_eq!(error.timeout(), Some(Timeout::Total));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!((1..=3).contains(&emulator.requests().len()), "{}", emulator.requests().len());

    let emulator = scripted(json!([{"body": "one\ntwo\n", "fault": {"stall": true, "after": 4}}])).await;
    let client = builder(&emulator).total_timeout(total).build().expect("complete");
    let mut stream = client.invoke_stream(Request::new("e", "")).await.expect("an answer");
    assert!(stream.chunk().await.expect("a chunk").is_some());
    let error = stream.chunk().await.expect_err("too long");
    assert_eq!((error.timeout(), emulator.requests().len()), (Some(Timeout::Total), 1));
}

/// The emulator's clock is right; what it says of the time is scripted.
#[tokio::test]
async fn clocks_are_put_right_once() {
    let at = |offset: i64| {
        let by = Duration::from_secs(offset.unsigned_abs());
        let now = SystemTime::now();
        httpdate::fmt_http_date(if offset < 0 { now - by } else { now + by })
    };
    let refusal = |date: String, error_type: &str, times: u64| json!({"status": 403, "error_type": error_type, "headers": {"date": date}, "times": times});
    let signed_at = |emulator: &Emulator, request: usize| {
        let requests = emulator.requests();
        let date = requests[request].header("x-amz-date").expect("signed").to_owned();
        let [hour, minute] = [9..11, 11..13].map(|range| date[range].parse::<i64>().expect("digits"));
        hour * 60 + minute
    };

    // A skew that the emulator tolerates as well: it checks what is sent then.
    let emulator = scripted(json!([refusal(at(-280), "InvalidSignatureException", 1), {}])).await;
    let client_once = client(&emulator);
    client_once.invoke(Request::new("e", CHAT)).await.expect("an answer");
    let moved = (signed_at(&emulator, 0) - signed_at(&emulator, 1)).rem_euclid(24 * 60);
    assert!([4, 5].contains(&moved), "{moved} minutes");
    // It is kept.
    client_once.invoke(Request::new("e", CHAT)).await.expect("an answer");
    let moved = (signed_at(&emulator, 2) - signed_at(&emulator, 1)).rem_euclid(24 * 60);
    assert!([0, 1].contains(&moved) && emulator.requests().len() == 3, "{moved} minutes");

    for (date, error_type, count) in [
        (at(-280), "AccessDeniedException", 1),
        (at(10), "InvalidSignatureException", 1),
        ("soon".into(), "RequestExpired", 1),
    ] {
        let emulator = scripted(json!([refusal(date, error_type, 9)])).await;
        let error = client(&emulator).invoke(Request::new("e", CHAT)).await.expect_err("refused");
        assert_eq!((error.status(), emulator.requests().len()), (Some(403), count), "{error_type}");
    }

    let emulator = scripted(json!([refusal(at(-280), "RequestExpired", 9)])).await;
    let error = client(&emulator).invoke(Request::new("e", CHAT)).await.expect_err("refused");
    assert_eq!((error.status(), emulator.requests().len()), (Some(403), 2));
}
