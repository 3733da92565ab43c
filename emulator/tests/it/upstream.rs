//! A real container behind the emulated service.

use std::time::{Duration, Instant};

use sagewire_emulator::{Emulator, Limits};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::client::{Reply, Request};
use crate::container::{Container, Step, chunk, head, whole};

const EVENTS: [&str; 4] = [
    "data: {\"text\":\"caf\u{e9}\"}\n\n",
    "data: {\"text\":\" is \u{4f60}\u{597d}\"}\n\ndata: {\"te",
    "xt\":\" \u{1f600}\"}\n\n",
    "data: [DONE]\n\n",
];

fn body(reply: &Reply) -> Value {
    serde_json::from_str(&reply.text()).unwrap()
}

/// Checks that it is a `ModelError`, and returns the container's status, its body, and the message.
#[track_caller]
fn model_error(reply: &Reply) -> (u64, String, String) {
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (424, Some("ModelError")), "{reply:?}");
    let body = body(reply);
    let text = |name: &str| body[name].as_str().unwrap().to_string();
    (body["OriginalStatusCode"].as_u64().unwrap(), text("OriginalMessage"), text("Message"))
}

/// The payloads of all frames before the exception, joined, and the exception if there is one.
fn streamed(reply: &Reply) -> (String, Option<Value>) {
    assert_eq!((reply.status, reply.whole), (200, true));
    let (mut frames, error) = reply.frames();
    assert_eq!(error, None);
    let exception = frames.pop_if(|(kind, _)| kind == "exception");
    let parts: Vec<u8> = frames.into_iter().flat_map(|(_, payload)| payload).collect();
    (
        String::from_utf8(parts).unwrap(),
        exception.map(|(_, payload)| serde_json::from_slice(&payload).unwrap()),
    )
}

#[tokio::test]
async fn whole_answers_pass() {
    let headers = "content-type: application/json; v=1\r\nserver: x\r\nx-amzn-sagemaker-custom-attributes: trace=7\r\n\
                   x-amzn-sagemaker-new-session-id: s; Expires=2026-01-01T00:00:00Z\r\nx-other: 1\r\n";
    let container = Container::whole("201 Created", headers, "{\"a\": 1}").await;
    let reply = Request::unary("e", "{\"b\": 2}").send(&container.emulator().await).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "{\"a\": 1}"));
    for (name, value) in [
        ("content-type", Some("application/json; v=1")),
        ("x-amzn-sagemaker-custom-attributes", Some("trace=7")),
        ("x-amzn-sagemaker-new-session-id", Some("s; Expires=2026-01-01T00:00:00Z")),
        ("x-amzn-invoked-production-variant", Some("AllTraffic")),
        ("x-amzn-requestid", Some("00000000-0000-4000-8000-000000000001")),
        ("x-other", None),
        ("server", None),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let requests = container.requests();
    assert!(requests[0].starts_with("POST /invocations HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].ends_with("\r\n\r\n{\"b\": 2}"), "{requests:?}");
}

#[tokio::test]
async fn streams_pass_in_frames_cut_by_seed() {
    let container = Container::streaming(&EVENTS).await;
    let send = async |seed| {
        let emulator = container.behind().seed(seed).start().await.unwrap();
        Request::stream("e", "{}").send(&emulator).await
    };
    let reply = send(1).await;
    assert_eq!(reply.header("content-type"), Some("application/vnd.amazon.eventstream"));
    assert_eq!(reply.header("x-amzn-sagemaker-content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(reply.header("x-amzn-sagemaker-custom-attributes"), Some("trace=7"));
    assert_eq!((reply.header("x-other"), reply.header("server")), (None, None));
    assert_eq!(streamed(&reply), (EVENTS.concat(), None));
    // One frame per chunk, and more chunks than the container has sent.
    assert!(reply.chunks.len() == reply.frames().0.len() && reply.chunks.len() > EVENTS.len());
    assert_eq!(send(1).await.chunks, reply.chunks);
    assert_ne!(send(2).await.chunks, reply.chunks);
}

#[tokio::test]
async fn the_container_sees_only_what_the_operation_has() {
    let container = Container::whole("200 OK", "", "{}").await;
    let emulator = container.emulator().await;
    let sent = [
        ("content-type", "application/json"),
        ("accept", "text/csv"),
        ("x-amzn-sagemaker-accept", "text/event-stream"),
        ("x-amzn-sagemaker-custom-attributes", "a=1"),
        ("x-amzn-sagemaker-target-model", "m.tar.gz"),
        ("x-amzn-sagemaker-session-id", "s"),
        ("x-amzn-sagemaker-target-variant", "blue"),
        ("x-request-id", "1"),
        ("openai-organization", "o"),
    ];
    let unary = Request { headers: sent.into(), ..Request::unary("e", "{}") };
    let reply = unary.send(&emulator).await;
    assert_eq!(reply.header("x-amzn-invoked-production-variant"), Some("blue"));
    Request { headers: sent.into(), ..Request::stream("e", "{}") }.send(&emulator).await;
    let seen: Vec<Vec<String>> = container.requests().iter().map(|request| names(request)).collect();
    let common = ["a=1", "application/json", "blue", "s"];
    let [unary, stream] = [["m.tar.gz", "text/csv"].as_slice(), ["text/event-stream"].as_slice()]
        .map(|own| [common.as_slice(), own].concat());
    for (seen, mut expected) in seen.into_iter().zip([unary, stream]) {
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }
}

/// The sorted values of the headers, except host and length.
fn names(request: &str) -> Vec<String> {
    let lines = request.split("\r\n\r\n").next().unwrap().lines().skip(1);
    let fields = lines.map(|line| line.split_once(": ").unwrap());
    let fields = fields.filter(|(name, _)| !["host", "content-length"].contains(name));
    let mut values: Vec<String> = fields.map(|(_, value)| value.into()).collect();
    values.sort_unstable();
    values
}

#[tokio::test]
async fn paths_of_the_url_count() {
    let container = Container::whole("200 OK", "", "{}").await;
    for (path, called) in [("/", "/invocations"), ("/v1/score?a=b", "/v1/score?a=b")] {
        let upstream = format!("{}{path}", container.url()).parse().unwrap();
        let emulator = Emulator::builder().upstream(upstream).start().await.unwrap();
        assert_eq!(Request::unary("e", "{}").send(&emulator).await.status, 200);
        let request = container.requests().pop().unwrap();
        assert!(request.starts_with(&format!("POST {called} HTTP/1.1\r\n")), "{request}");
    }
}

#[tokio::test]
async fn errors_of_the_container_are_wrapped() {
    let container =
        Container::whole("415 Unsupported", "content-type: text/plain\r\n", "text/xml \"is\" not read").await;
    let emulator = container.emulator().await;
    for mut request in [Request::unary("e", "<a/>"), Request::stream("e", "<a/>")] {
        request.headers = vec![("content-type", "text/xml")];
        let (status, original, message) = model_error(&request.send(&emulator).await);
        assert_eq!((status, original.as_str()), (415, "text/xml \"is\" not read"));
        assert!(message.starts_with("Received client error (415) from primary with message \"text/xml"));
    }
    assert!(container.requests()[0].contains("content-type: text/xml\r\n"));
    let container = Container::whole("307 Elsewhere", "location: /\r\n", "").await;
    let reply = Request::unary("e", "{}").send(&container.emulator().await).await;
    assert_eq!(model_error(&reply).0, 307);
    assert_eq!(container.requests().len(), 1);
}

#[tokio::test]
async fn content_types_are_the_container_s() {
    let container = Container::whole("200 OK", "content-type: text/plain\r\n", "no events").await;
    let reply = Request::stream("e", "{}").send(&container.emulator().await).await;
    assert_eq!(reply.header("x-amzn-sagemaker-content-type"), Some("text/plain"));
    assert_eq!(streamed(&reply), ("no events".into(), None));
    let container = Container::whole("200 OK", "", "anything").await;
    let emulator = container.emulator().await;
    assert_eq!(Request::unary("e", "{}").send(&emulator).await.header("content-type"), None);
    let reply = Request::stream("e", "{}").send(&emulator).await;
    assert_eq!(reply.header("x-amzn-sagemaker-content-type"), None);
}

#[tokio::test]
async fn streams_that_break_say_so() {
    let broken = json!({
        "Message": "Your model primary broke off before its inference response was complete.",
        "ErrorCode": "StreamBroken",
    });
    let container = Container::new(vec![head(), chunk(EVENTS[0])]).await;
    let reply = Request::stream("e", "{}").send(&container.emulator().await).await;
    assert_eq!(streamed(&reply), (EVENTS[0].into(), Some(broken)));

    let container = Container::new(vec![head(), chunk("{\"a\":")]).await;
    let (status, _, message) =
        model_error(&Request::unary("e", "{}").send(&container.emulator().await).await);
    let expected = "Received server error (500) from primary and could not load the entire response body.";
    assert_eq!((status, message.as_str()), (500, expected));
}

#[tokio::test]
async fn a_container_that_is_not_there_is_a_model_error() {
    let gone = Container::new(vec![]).await;
    for emulator in [gone.emulator().await, {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        Emulator::builder().upstream(format!("http://{port}").parse().unwrap()).start().await.unwrap()
    }] {
        for request in [Request::unary("e", "{}"), Request::stream("e", "{}")] {
            let (status, original, message) = model_error(&request.send(&emulator).await);
            assert!(status == 0 && original.contains(" the container") || original.contains("The container"));
            assert!(message.starts_with("Received server error (0) from primary with message"), "{message}");
        }
    }
}

#[tokio::test]
async fn slow_containers_run_out_of_time() {
    let limits =
        Limits { unary: Duration::from_millis(150), stream: Duration::from_millis(250), ..Limits::default() };
    let late = Step::Wait(Duration::from_secs(60));
    let container = Container::new(vec![late.clone()]).await;
    let emulator = container.limited(limits).await;
    let (status, original, _) = model_error(&Request::unary("e", "{}").send(&emulator).await);
    assert!(status == 0 && original.starts_with("Your invocation timed out"), "{status} {original}");
    let exceeded = json!({
        "Message": "Your model primary did not complete sending the inference response in the allotted time.",
        "ErrorCode": "ModelInvocationTimeExceeded",
    });
    let reply = Request::stream("e", "{}").send(&emulator).await;
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (400, Some("ModelStreamError")));
    assert_eq!(body(&reply), exceeded);

    let container = Container::new(vec![head(), chunk(EVENTS[0]), Step::AwaitClose]).await;
    let emulator = container.limited(limits).await;
    let start = Instant::now();
    let reply = Request::stream("e", "{}").send(&emulator).await;
    assert_eq!(streamed(&reply), (EVENTS[0].into(), Some(exceeded)));
    assert!(start.elapsed() >= limits.stream);
    assert!(container.is_closed().await);
}

#[tokio::test]
async fn sizes_have_limits() {
    let limits = Limits { request_len: 10, response_len: 10, ..Limits::default() };
    let container = Container::whole("200 OK", "", "0123456789").await;
    let emulator = container.limited(limits).await;
    assert_eq!(Request::unary("e", "0123456789").send(&emulator).await.text(), "0123456789");
    let reply = Request::unary("e", "0123456789a").send(&emulator).await;
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (400, Some("ValidationError")));
    assert_eq!(container.requests().len(), 1);

    for status in ["200 OK", "500 No"] {
        let container = Container::whole(status, "", "0123456789a").await;
        let emulator = container.limited(limits).await;
        let (_, original, message) = model_error(&Request::unary("e", "{}").send(&emulator).await);
        assert!(original.is_empty() && message.ends_with("could not load the entire response body."));
    }
    // A stream may be longer than a response.
    let container = Container::streaming(&EVENTS).await;
    let reply = Request::stream("e", "{}").send(&container.limited(limits).await).await;
    assert_eq!(streamed(&reply), (EVENTS.concat(), None));
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_container_s_connection_with_it() {
    // In the middle of the stream, and before it starts.
    for steps in [vec![head(), chunk(EVENTS[0]), Step::AwaitClose], vec![Step::AwaitClose]] {
        let container = Container::new(steps.clone()).await;
        let emulator = container.emulator().await;
        let mut socket = Request::stream("e", "{}").connect(&emulator).await;
        if steps.len() > 1 {
            socket.read_u8().await.unwrap();
        }
        while container.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(socket);
        assert!(container.is_closed().await, "{steps:?}");
    }
}

#[tokio::test]
async fn nothing_is_read_that_was_not_asked_for() {
    let container = Container::new(vec![head(), Step::Flood]).await;
    let emulator = container.emulator().await;
    let mut socket = Request::stream("e", "{}").connect(&emulator).await;
    socket.read_u8().await.unwrap();
    // Until the buffers of the two sockets are full.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let flooded = container.flooded();
        if flooded == before {
            break;
        }
        assert!(flooded < 64 << 20, "{flooded} bytes were read for nobody");
        before = flooded;
    }
    let mut read = vec![0; 8 << 20];
    socket.read_exact(&mut read).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(container.flooded() > before);
    drop(socket);
    assert!(container.is_closed().await);
}

#[tokio::test]
async fn scripts_go_before_the_container() {
    let script = json!({"rules": [
        {"endpoint": "busy", "status": 503, "times": 1},
        {"endpoint": "emulated", "format": "tgi"},
        {"endpoint": "typed", "content_type": "text/x", "headers": {"x-more": "1"}},
        {"endpoint": "broken", "cut": "whole", "fault": {"corrupt_byte": true, "after": 20}},
        {"endpoint": "reset", "fault": {"exception": {"type": "InternalStreamFailure", "message": "no"}, "after": 20}},
        {"cut": "bytes"},
    ]});
    let container = Container::streaming(&EVENTS).await;
    let emulator = container.behind().script(script.to_string().parse().unwrap()).start().await.unwrap();
    let send = async |endpoint: &str| Request::stream(endpoint, "{\"inputs\": \"hi\"}").send(&emulator).await;
    assert_eq!(send("busy").await.status, 503);
    let reply = send("emulated").await;
    assert_eq!(reply.header("x-amzn-sagemaker-content-type"), Some("application/json"));
    assert_eq!(container.requests().len(), 0);
    let text = EVENTS.concat();
    let reply = send("busy").await;
    assert_eq!((streamed(&reply), reply.chunks.len()), ((text.clone(), None), text.len()));
    let reply = send("typed").await;
    assert_eq!(
        (reply.header("x-more"), reply.header("x-amzn-sagemaker-content-type")),
        (Some("1"), Some("text/x"))
    );
    let (frames, error) = send("broken").await.frames();
    assert_eq!((frames.len(), &frames[0].1[..]), (1, &text.as_bytes()[..20]));
    assert!(error.unwrap().contains("checksum mismatch"));
    assert_eq!(streamed(&send("reset").await), (text[..20].into(), Some(json!({"Message": "no"}))));
}

#[tokio::test]
async fn an_answer_before_the_whole_request_is_an_answer() {
    // A container that refuses the request after reading only its head.
    let container = Container::new(vec![whole("413 Too large", "", "no"), Step::AwaitClose]).await;
    let reply = Request::unary("e", &"x".repeat(1 << 20)).send(&container.emulator().await).await;
    assert_eq!(model_error(&reply).0, 413);
}
