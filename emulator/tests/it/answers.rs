//! Responses of the emulated container, and the faults that a script injects.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::{End, Reply, Request};
use sagewire_emulator::Emulator;
use serde_json::{Value, json};

const CHAT: &str = r#"{"messages": [{"role": "user", "content": "hi"}]}"#;
const STREAMED_CHAT: &str = r#"{"messages": [{"role": "user", "content": "hi"}], "stream": true}"#;

async fn scripted(rules: Value) -> Emulator {
    let script = json!({ "rules": rules }).to_string().parse().unwrap();
    Emulator::builder().script(script).start().await.unwrap()
}

async fn stream(rule: Value) -> Reply {
    let emulator = scripted(json!([rule])).await;
    Request::stream("e", "{}").send(&emulator).await
}

#[tokio::test]
async fn a_chat_is_answered_whole() {
    let emulator = Emulator::builder().start().await.unwrap();
    let reply = Request::unary("my-llm", CHAT).send(&emulator).await;
    assert_eq!((reply.status, reply.whole), (200, true));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-amzn-invoked-production-variant"), Some("AllTraffic"));
    assert_eq!(reply.header("x-amzn-requestid"), Some("00000000-0000-4000-8000-000000000001"));
    let body: Value = serde_json::from_str(&reply.text()).unwrap();
    assert_eq!(body["object"], "chat.completion");

    // The operation and the body disagree: the container's bytes pass through.
    let reply = Request::unary("my-llm", STREAMED_CHAT).send(&emulator).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    let reply = Request::stream("my-llm", CHAT).send(&emulator).await;
    assert_eq!(reply.header("x-amzn-sagemaker-content-type"), Some("application/json"));
    assert_eq!(serde_json::from_slice::<Value>(&reply.parts()).unwrap(), body);
}

#[tokio::test]
async fn a_chat_is_streamed_and_cut_by_seed() {
    let parts = async |seed| {
        let emulator = Emulator::builder().seed(seed).start().await.unwrap();
        let reply = Request::stream("my-llm", STREAMED_CHAT).send(&emulator).await;
        assert_eq!((reply.status, reply.whole), (200, true));
        assert_eq!(reply.header("content-type"), Some("application/vnd.amazon.eventstream"));
        assert_eq!(reply.header("x-amzn-sagemaker-content-type"), Some("text/event-stream; charset=utf-8"));
        assert!(String::from_utf8(reply.parts()).unwrap().ends_with("data: [DONE]\n\n"));
        // One frame a chunk.
        assert_eq!(reply.chunks.len(), reply.frames().0.len());
        reply.chunks
    };
    assert_eq!(parts(1).await, parts(1).await);
    let (one, two) = (parts(1).await, parts(2).await);
    assert!(one != two && one.len() > 100);
}

#[tokio::test]
async fn what_is_no_chat_is_a_model_error() {
    let emulator = Emulator::builder().start().await.unwrap();
    let reply = Request::stream("my-llm", r#"{"inputs": "hi"}"#).send(&emulator).await;
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (424, Some("ModelError")));
    let body: Value = serde_json::from_str(&reply.text()).unwrap();
    assert_eq!(body["OriginalStatusCode"], 400);
    assert!(
        body["Message"]
            .as_str()
            .unwrap()
            .starts_with("Received client error (400) from primary with message")
    );
    assert!(body["Message"].as_str().unwrap().contains("https://eu-central-1.console"));
    let original: Value = serde_json::from_str(body["OriginalMessage"].as_str().unwrap()).unwrap();
    assert_eq!(original["error"]["type"], "BadRequestError");
}

#[tokio::test]
async fn paths_and_names_are_checked() {
    let emulator = scripted(json!([{"endpoint": "known"}])).await;
    for (method, path) in [
        ("POST", "/"),
        ("POST", "/endpoints/known"),
        ("POST", "/endpoints/known/async-invocations/more"),
        ("POST", "/endpoints/known/invocations/more"),
        ("GET", "/endpoints/known/invocations"),
    ] {
        let reply = Request { method, ..Request::new(path, "") }.send(&emulator).await;
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (404, "<UnknownOperationException/>\n"),
            "{method} {path}"
        );
    }
    for (name, found) in [
        ("unknown", "Endpoint unknown of account 123456789012 not found."),
        ("-known", "failed to satisfy constraint"),
        ("a_b", "failed to satisfy constraint"),
        (&"x".repeat(64), "failed to satisfy constraint"),
    ] {
        let reply = Request::unary(name, CHAT).send(&emulator).await;
        assert_eq!((reply.status, reply.header("x-amzn-errortype")), (400, Some("ValidationError")));
        let body: Value = serde_json::from_str(&reply.text()).unwrap();
        assert!(body["Message"].as_str().unwrap().contains(found), "{body}");
    }
}

#[tokio::test]
async fn cuts_and_chunks() {
    let body = "data: é\n\ndata: 你\n\n";
    let rule = |cut: Value, chunks: Value| json!({"body": body, "content_type": "text/event-stream", "cut": cut, "chunks": chunks});
    for (cut, parts) in [("whole", 1), ("events", 2), ("characters", 3), ("bytes", body.len())] {
        let reply = stream(rule(json!(cut), json!("frames"))).await;
        assert_eq!(reply.frames().0.len(), parts, "{cut}");
        assert_eq!(reply.parts(), body.as_bytes());
    }
    for chunks in [json!("whole"), json!("bytes"), json!({"random": {"seed": 3, "max": 20}})] {
        let reply = stream(rule(json!("events"), chunks.clone())).await;
        let len = reply.body().len();
        match chunks.as_str() {
            Some("whole") => assert_eq!(reply.chunks.len(), 1),
            Some(_) => assert_eq!(reply.chunks.len(), len),
            None => assert!(reply.chunks.iter().all(|chunk| chunk.len() <= 20)),
        }
        assert_eq!((reply.frames().0.len(), reply.parts().as_slice()), (2, body.as_bytes()));
    }
}

#[tokio::test]
async fn bodies_come_in_three_ways() {
    let path = std::env::temp_dir().join(format!("sagewire-answers-{}", std::process::id()));
    std::fs::write(&path, b"\xff\x00").unwrap();
    let emulator = scripted(json!([
        {"endpoint": "text", "body": "é", "content_type": "text/plain"},
        {"endpoint": "base64", "body_base64": "/wA="},
        {"endpoint": "file", "body_file": path},
    ]))
    .await;
    std::fs::remove_file(&path).unwrap();
    for (endpoint, body, content_type) in [
        ("text", "é".as_bytes(), "text/plain"),
        ("base64", b"\xff\x00", "application/json"),
        ("file", b"\xff\x00", "application/json"),
    ] {
        let reply = Request::unary(endpoint, "").send(&emulator).await;
        assert_eq!((reply.body().as_slice(), reply.header("content-type")), (body, Some(content_type)));
    }
}

#[tokio::test]
async fn statuses_have_types_and_bodies() {
    let emulator = scripted(json!([
        {"endpoint": "busy", "status": 429, "retry_after": 7},
        {"endpoint": "denied", "status": 403, "message": "no"},
        {"endpoint": "odd", "status": 418, "error_type": "Teapot", "body": "short and stout"},
        {"endpoint": "model", "status": 424, "original_status": 422, "body": "{\"error\":\"bad\"}"},
        {"endpoint": "moved", "status": 307, "headers": {"location": "http://127.0.0.1:1/"}},
    ]))
    .await;
    for (endpoint, status, error_type, body) in [
        ("busy", 429, "ThrottlingException", r#"{"Message":"Rate exceeded"}"#),
        ("denied", 403, "AccessDeniedException", r#"{"message":"no"}"#),
        ("odd", 418, "Teapot", "short and stout"),
    ] {
        let reply = Request::stream(endpoint, "").send(&emulator).await;
        assert_eq!((reply.status, reply.header("x-amzn-errortype")), (status, Some(error_type)));
        assert_eq!(reply.text(), body);
        assert_eq!(reply.header("retry-after"), (endpoint == "busy").then_some("7"));
    }
    let body: Value =
        serde_json::from_str(&Request::unary("model", "").send(&emulator).await.text()).unwrap();
    assert_eq!(
        (&body["OriginalStatusCode"], &body["OriginalMessage"]),
        (&json!(422), &json!("{\"error\":\"bad\"}"))
    );
    let moved = Request::unary("moved", "").send(&emulator).await;
    assert_eq!((moved.status, moved.header("location")), (307, Some("http://127.0.0.1:1/")));
}

#[tokio::test]
async fn a_rule_may_be_used_up() {
    let emulator = scripted(json!([{"status": 503, "times": 2}, {"body": "ok"}])).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(Request::unary("e", "").send(&emulator).await.status);
    }
    assert_eq!(statuses, [503, 503, 200, 200]);
}

#[tokio::test]
async fn pauses() {
    let start = Instant::now();
    stream(json!({"body": "a\nb\nc\n", "first_byte_ms": 50, "pause_ms": 40})).await;
    assert!(start.elapsed() >= Duration::from_millis(50 + 2 * 40));
}

#[tokio::test]
async fn faults_of_frames() {
    let fault = async |fault: Value| stream(json!({"body": "one\ntwo\nthree\n", "fault": fault})).await;

    let exception = json!({"type": "ModelStreamError", "code": "StreamBroken", "message": "gone"});
    let reply = fault(json!({"exception": exception, "after": 4})).await;
    let payload = br#"{"Message":"gone","ErrorCode":"StreamBroken"}"#.to_vec();
    assert_eq!(
        reply.frames(),
        (vec![("event".into(), b"one\n".to_vec()), ("exception".into(), payload)], None)
    );
    assert!(reply.whole);

    let reply = fault(json!({"error": {"code": "500", "message": "gone"}, "after": 6})).await;
    let kinds: Vec<String> = reply.frames().0.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["event", "event", "error"]);
    assert_eq!(reply.frames().0[1].1, b"tw");

    let reply = fault(json!({"truncated_frame": true, "after": 4})).await;
    assert_eq!(reply.frames().0.len(), 1);
    assert!(reply.whole && reply.frames().1.unwrap().contains("frame ends early"));

    let reply = fault(json!({"corrupt_byte": true, "after": 4})).await;
    assert_eq!(reply.frames().0.len(), 1);
    assert!(reply.whole && reply.frames().1.unwrap().contains("checksum mismatch"));
}

#[tokio::test]
async fn faults_of_connections() {
    for (name, end) in [("reset", End::Reset), ("hang_up", End::Fin), ("stall", End::Silence)] {
        let mut fault = json!({"after": 4});
        fault[name] = json!(true);
        let emulator = scripted(json!([{"body": "one\ntwo\nthree\n", "fault": fault}])).await;
        let reply = Request::stream("e", "").send(&emulator).await;
        assert_eq!((reply.end, reply.whole, reply.parts().as_slice()), (end, false, &b"one\n"[..]), "{name}");
        let reply = Request::unary("e", "").send(&emulator).await;
        assert_eq!((reply.end, reply.whole, reply.body().as_slice()), (end, false, &b"one\n"[..]), "{name}");
    }
}

#[tokio::test]
async fn requests_are_recorded_without_secrets() {
    let emulator = Emulator::builder().session_token("token").start().await.unwrap();
    let mut request = Request { token: Some("token"), ..Request::stream("my-llm", CHAT) };
    request.headers.push(("x-amzn-sagemaker-inference-component", "ic-1"));
    assert_eq!(request.send(&emulator).await.status, 200);
    let requests = emulator.requests();
    let [seen] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/endpoints/my-llm/invocations-response-stream")
    );
    assert_eq!(seen.header("x-amzn-sagemaker-inference-component"), Some("ic-1"));
    assert_eq!(seen.body, CHAT);
    assert_eq!(seen.header("x-amz-security-token"), Some("REDACTED"));
    let authorization = seen.header("authorization").unwrap();
    assert!(
        authorization.contains("x-amzn-sagemaker-inference-component")
            && authorization.ends_with("=REDACTED")
    );
}

#[tokio::test]
async fn stopping_waits_for_answers_and_dropping_does_not() {
    let rule = json!([{"body": "a\nb\nc\n", "pause_ms": 100}]);
    let emulator = scripted(rule.clone()).await;
    let addr = emulator.addr();
    let request = Request::stream("e", "");
    let (reply, ()) = tokio::join!(request.send(&emulator), tokio::time::sleep(Duration::from_millis(50)));
    assert!(reply.whole);
    emulator.stop().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());

    let emulator = scripted(json!([{"body": "a\nb\n", "fault": {"stall": true}}])).await;
    let addr = emulator.addr();
    assert_eq!(request.send(&emulator).await.end, End::Silence);
    drop(emulator);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn every_request_is_reported_with_its_status() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let emulator = Emulator::builder()
        .on_request(move |request, status| list.lock().unwrap().push((request.path.clone(), status)))
        .start()
        .await
        .unwrap();
    Request::unary("e", CHAT).send(&emulator).await;
    Request { secret: "wrong", ..Request::stream("e", CHAT) }.send(&emulator).await;
    assert_eq!(
        *seen.lock().unwrap(),
        [("/endpoints/e/invocations".into(), 200), ("/endpoints/e/invocations-response-stream".into(), 403)]
    );
}
