//! The route for OpenAI's clients: a bearer token, and the container's own bytes.

use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sagewire_emulator::{ContainerFormat, Emulator, Limits, echo};
use serde_json::{Value, json};

use crate::client::{End, Reply, Request};
use crate::container::{Container, Step, chunk, head};

const CHAT: &str = r#"{"model": "", "messages": [{"role": "user", "content": "hi"}], "stream": true}"#;
const EVENTS: [&str; 3] = ["data: {\"a\": 1}\n\n", "data: {\"b\": \"\u{e9}\"}\n\n", "data: [DONE]\n\n"];

#[tokio::test]
async fn emulated_containers_answer_plainly() {
    let emulator = Emulator::builder().start().await.unwrap();
    let reply = Request::openai("e", CHAT).send(&emulator).await;
    assert_eq!((reply.status, reply.whole), (200, true));
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert!(reply.text().starts_with("data: {") && reply.text().ends_with("data: [DONE]\n\n"));
    let component = Request {
        path: "/endpoints/e/inference-components/ic-1/openai/v1/chat/completions".into(),
        ..Request::openai("e", &CHAT.replace("true", "false"))
    };
    let body: Value = serde_json::from_str(&component.send(&emulator).await.text()).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], echo("hi"));
}

#[tokio::test]
async fn errors_are_the_container_s_own() {
    let emulator = Emulator::builder().format(ContainerFormat::OpenAi).start().await.unwrap();
    let reply = Request::openai("e", "{}").send(&emulator).await;
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (400, None));
    let body: Value = serde_json::from_str(&reply.text()).unwrap();
    assert_eq!(body["error"]["type"], "BadRequestError");
    let container = Container::whole("429 Later", "retry-after: 3\r\ncontent-type: text/x\r\n", "full").await;
    let reply = Request::openai("e", CHAT).send(&container.emulator().await).await;
    assert_eq!((reply.status, reply.text().as_str()), (429, "full"));
    assert_eq!((reply.header("retry-after"), reply.header("content-type")), (Some("3"), Some("text/x")));
}

#[tokio::test]
async fn a_real_container_is_passed_through() {
    let container = Container::streaming(&EVENTS).await;
    let request = Request {
        headers: vec![("content-type", "application/json"), ("accept", "*/*"), ("x-request-id", "1")],
        ..Request::openai("e", CHAT)
    };
    let reply = request.send(&container.emulator().await).await;
    assert_eq!((reply.status, reply.whole, reply.text()), (200, true, EVENTS.concat()));
    assert_eq!(reply.chunks.len(), EVENTS.len());
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!((reply.header("server"), reply.header("x-other")), (Some("uvicorn"), Some("1")));
    let seen = container.requests().pop().unwrap();
    assert!(seen.starts_with("POST /v1/chat/completions HTTP/1.1\r\n") && seen.ends_with(CHAT), "{seen}");
    assert!(seen.contains("accept: */*\r\n"), "{seen}");
    assert!(!seen.contains("authorization") && !seen.contains("x-request-id"), "{seen}");
}

/// Streams are cut and paused as on the other routes; other bodies are not cut.
#[tokio::test]
async fn streams_are_cut_and_paused() {
    let events = EVENTS.concat();
    let rule = |more: Value| {
        let mut rule = json!({"body": events, "content_type": "text/event-stream"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "rules": [rule] }).to_string()
    };
    let send = async |script: String| {
        let emulator = Emulator::builder().script(script.parse().unwrap()).start().await.unwrap();
        Request::openai("e", CHAT).send(&emulator).await
    };
    let reply = send(rule(json!({}))).await;
    assert_eq!(reply.chunks, EVENTS.map(str::as_bytes));
    let reply = send(rule(json!({"cut": "characters"}))).await;
    assert_eq!((reply.chunks.len(), reply.text()), (2, events.clone()));
    let start = Instant::now();
    let reply = send(rule(json!({"pause_ms": 60}))).await;
    assert_eq!(reply.text(), events);
    assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());
    let fault = json!({"hang_up": true, "after": EVENTS[0].len()});
    let reply = send(rule(json!({ "fault": fault }))).await;
    assert_eq!((reply.whole, reply.text().as_str()), (false, EVENTS[0]));
    let reply = send(rule(json!({"content_type": "application/json", "cut": "bytes"}))).await;
    assert_eq!((reply.chunks.len(), reply.text()), (1, events.clone()));
    // The emulated container is cut at random.
    let emulator = Emulator::builder().start().await.unwrap();
    assert!(Request::openai("e", CHAT).send(&emulator).await.chunks.len() > 3);
}

#[tokio::test]
async fn what_breaks_breaks_off() {
    let limits = Limits { stream: Duration::from_millis(200), ..Limits::default() };
    for last in [vec![], vec![Step::AwaitClose]] {
        let container = Container::new([vec![head(), chunk(EVENTS[0])], last].concat()).await;
        let reply = Request::openai("e", CHAT).send(&container.limited(limits).await).await;
        assert_eq!((reply.status, reply.whole, reply.end), (200, false, End::Fin));
        assert_eq!(reply.text(), EVENTS[0]);
    }
}

#[tokio::test]
async fn scripts_answer_as_they_say() {
    let script = json!({"rules": [
        {"endpoint": "gone", "status": 404, "body": "{\"detail\":\"Not Found\"}"},
        {"endpoint": "busy", "status": 503, "retry_after": 1},
        {"body_chunks": [{"text": EVENTS[0]}, {"base64": "w6k="}], "content_type": "text/event-stream"},
    ]});
    let emulator = Emulator::builder().script(script.to_string().parse().unwrap()).start().await.unwrap();
    let reply = Request::openai("gone", CHAT).send(&emulator).await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "{\"detail\":\"Not Found\"}"));
    let reply = Request::openai("busy", CHAT).send(&emulator).await;
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (503, Some("ServiceUnavailable")));
    let reply = Request::openai("e", CHAT).send(&emulator).await;
    assert_eq!(reply.chunks, [EVENTS[0].as_bytes(), "\u{e9}".as_bytes()]);
}

#[tokio::test]
async fn only_tokens_open_it() {
    #[track_caller]
    fn refused(reply: &Reply, error_type: &str) {
        assert_eq!((reply.status, reply.header("x-amzn-errortype")), (403, Some(error_type)), "{reply:?}");
    }
    let emulator = Emulator::builder().session_token("right").start().await.unwrap();
    let mint = |change: fn(&mut Request)| {
        let mut request = Request { token: Some("right"), ..Request::openai("e", CHAT) };
        change(&mut request);
        request.bearer = Some(request.token());
        request
    };
    assert_eq!(mint(|_| {}).send(&emulator).await.status, 200);
    refused(&mint(|request| request.token = None).send(&emulator).await, "UnrecognizedClientException");
    refused(&mint(|request| request.secret = "wrong").send(&emulator).await, "InvalidSignatureException");
    let old = mint(|request| request.time = SystemTime::now() - Duration::from_secs(90));
    refused(&old.send(&emulator).await, "ExpiredTokenException");
    // The same number in another form than the signed one.
    for expires in ["+60", "060", "%2B60", "%+360"] {
        let mut changed = mint(|_| {});
        let token = changed.bearer.take().unwrap();
        let encoded = token.trim_start_matches("sagemaker-api-key-");
        let text = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        let text = text.replace("X-Amz-Expires=60", &format!("X-Amz-Expires={expires}"));
        changed.bearer = Some(format!("sagemaker-api-key-{}", STANDARD.encode(text)));
        refused(&changed.send(&emulator).await, "UnrecognizedClientException");
    }
    // A signature is not accepted on this route, nor a token for the other operations.
    let signed = Request { bearer: None, ..mint(|_| {}) };
    refused(&signed.send(&emulator).await, "MissingAuthenticationTokenException");
    let unary = Request { path: "/endpoints/e/invocations".into(), ..mint(|_| {}) };
    refused(&unary.send(&emulator).await, "MissingAuthenticationTokenException");
    let logged = emulator.requests();
    assert!(logged.iter().all(|request| !format!("{request:?}").contains("sagemaker-api-key")));
}
