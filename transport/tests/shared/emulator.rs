//! A client against the emulator: requests, responses and errors.

use std::error::Error as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use futures_core::Stream;
use sagewire_codec::{Api, Framing, read_request};
use sagewire_emulator::{ACCESS_KEY_ID, ContainerFormat, Emulator, echo};
use sagewire_transport::{Chat, Endpoint, Error, Request, Session, Timeout};
use serde_json::{Value, json};

use crate::common::{CHAT, Setup, client, is_signed, parts, read, scripted};

async fn refused(rule: Value) -> Error {
    let emulator = scripted(rule).await;
    let client = client(&Setup::new(&emulator));
    let unary = client.invoke(Request::new("e", CHAT)).await.unwrap_err();
    let streamed = client.invoke_stream(Request::new("e", CHAT)).await.unwrap_err();
    let text = |error: &Error| error.to_string().split(" (request").next().map(String::from);
    assert_eq!(text(&unary), text(&streamed));
    assert!(!unary.to_string().contains('\n'));
    streamed
}

#[tokio::test]
async fn streaming_and_non_streaming_responses_agree() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client(&Setup::new(&emulator));
    let whole = client.invoke(Request::new("my-llm", CHAT)).await.unwrap();
    assert_eq!(whole.metadata.content_type.as_deref(), Some("text/event-stream; charset=utf-8"));

    let mut stream = client.invoke_stream(Request::new("my-llm", CHAT)).await.unwrap();
    let metadata = stream.metadata().clone();
    assert_eq!(metadata.content_type, whole.metadata.content_type);
    assert_eq!(metadata.variant.as_deref(), Some("AllTraffic"));
    assert_eq!(metadata.request_id.as_deref(), Some("00000000-0000-4000-8000-000000000002"));
    assert_eq!((metadata.custom_attributes, metadata.new_session_id), (None, None));
    let (bytes, end) = read(&mut stream).await;
    end.unwrap();
    assert_eq!(parts(stream.framing(), bytes), whole.body);
}

#[tokio::test]
async fn the_stream_trait_yields_the_same_bytes() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut stream =
        client(&Setup::new(&emulator)).invoke_stream(Request::new("my-llm", CHAT)).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    assert!(parts(stream.framing(), bytes).ends_with(b"data: [DONE]\n\n"));

    let emulator = scripted(json!({"body": "a\nb\n", "fault": {"hang_up": true, "after": 2}})).await;
    let mut stream = client(&Setup::new(&emulator)).invoke_stream(Request::new("e", "")).await.unwrap();
    let mut items = Vec::new();
    while let Some(chunk) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
        items.push(chunk.is_ok());
    }
    assert_eq!(items, [true, false]);
}

#[tokio::test]
async fn all_headers_are_signed() {
    // A container without sessions ignores the ID of one.
    let builder = Emulator::builder().session_token("token").format(ContainerFormat::Tgi);
    let emulator = builder.start().await.unwrap();
    let client = client(&Setup::new(&emulator).session_token("token"));
    let mut endpoint = Endpoint::new("my-llm")
        .inference_component("ic-1")
        .target_variant("blue")
        .target_container_hostname("primary")
        .session_id("session-1")
        .inference_id("id 1")
        .prefix_aware_id("prefix");
    endpoint.custom_attributes = Some("a=1;  b=two words".into());
    let request = |endpoint: Endpoint| Request::new(endpoint, CHAT).accept("text/event-stream");
    let mut stream = client.invoke_stream(request(endpoint.clone())).await.unwrap();
    read(&mut stream).await.1.unwrap();
    let endpoint = endpoint.target_model("a/b.tar.gz").enable_explanations("`true`");
    client.invoke(request(endpoint)).await.unwrap();

    let requests = emulator.requests();
    for (request, accept) in requests.iter().zip(["x-amzn-sagemaker-accept", "accept"]) {
        for (name, value) in [
            (accept, "text/event-stream"),
            ("content-type", "application/json"),
            ("x-amzn-sagemaker-inference-component", "ic-1"),
            ("x-amzn-sagemaker-target-variant", "blue"),
            ("x-amzn-sagemaker-target-container-hostname", "primary"),
            ("x-amzn-sagemaker-session-id", "session-1"),
            ("x-amzn-sagemaker-custom-attributes", "a=1;  b=two words"),
            ("x-amzn-sagemaker-inference-id", "id 1"),
            ("x-amzn-sagemaker-prefix-aware-id", "prefix"),
        ] {
            assert_eq!(request.header(name), Some(value));
        }
        let authorization = request.header("authorization").unwrap();
        let (_, signed) = authorization.split_once("SignedHeaders=").unwrap();
        let signed: Vec<&str> = signed.split(',').next().unwrap().split(';').collect();
        for (name, _) in &request.headers {
            assert!(!is_signed(name) || signed.contains(&name.as_str()), "{name} is not signed");
        }
    }
    assert_eq!(requests[1].header("x-amzn-sagemaker-target-model"), Some("a/b.tar.gz"));
    assert_eq!(requests[1].header("x-amzn-sagemaker-enable-explanations"), Some("`true`"));
}

/// The emulated container is vLLM, which has routes for the APIs.
#[tokio::test]
async fn a_route_selects_the_api_of_the_container() {
    let emulator = Emulator::builder().start().await.unwrap();
    let request = read_request(Api::OpenAi, br#"{"messages":[{"role":"user","content":"hi"}]}"#).unwrap();
    for (api, route) in [(Api::Anthropic, "/v1/messages"), (Api::OpenAi, "/v1/chat/completions")] {
        let endpoint = Endpoint::new("my-llm").route_for(api).unwrap().custom_attributes([("tenant", "a")]);
        let chat = Chat::new(client(&Setup::new(&emulator)), endpoint).api(api);
        assert_eq!(chat.complete(&request).await.unwrap().text(), echo("hi"));
        let mut events = chat.stream(&request).await.unwrap();
        while events.event().await.unwrap().is_some() {}
        let sent = emulator.requests().pop().unwrap();
        let attributes = sent.header("x-amzn-sagemaker-custom-attributes");
        assert_eq!(attributes, Some(&*format!("tenant=a;route={route}")));
    }
    let chat = Chat::new(client(&Setup::new(&emulator)), Endpoint::new("my-llm").route("/v1/score"));
    let error = chat.complete(&request).await.unwrap_err();
    assert_eq!(error.service().unwrap().original_status_code, Some(404));
}

#[tokio::test]
async fn invalid_requests_are_not_sent() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client(&Setup::new(&emulator));
    for endpoint in [Endpoint::new("e").target_model("m"), Endpoint::new("e").enable_explanations("`true`")] {
        let error = client.invoke_stream(Request::new(endpoint, CHAT)).await.unwrap_err();
        assert!(error.is_invalid_request() && !error.is_retryable(), "{error}");
    }
    let bad = crate::common::client(&Setup::new(&emulator).keys("id\n", "secret"));
    let error = bad.invoke(Request::new("e", CHAT)).await.unwrap_err();
    assert!(error.is_credentials() && !error.is_retryable(), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn a_prefix_in_the_url_is_signed() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client(&Setup::at(format!("{}/a%20b/", emulator.url())));
    let error = client.invoke(Request::new("e", CHAT)).await.unwrap_err();
    assert_eq!(emulator.requests()[0].path, "/a%20b/endpoints/e/invocations");
    let service = error.service().unwrap();
    assert_eq!((service.status, service.error_type.as_deref()), (404, Some("UnknownOperationException")));
    assert_eq!(service.body, "<UnknownOperationException/>\n");
}

#[tokio::test]
async fn wrong_keys_are_a_service_error() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client(&Setup::new(&emulator).keys(ACCESS_KEY_ID, "not the secret"));
    let error = client.invoke_stream(Request::new("e", CHAT)).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
    assert_eq!(error.service().unwrap().error_type.as_deref(), Some("InvalidSignatureException"));
    assert!(error.service().unwrap().message.as_deref().unwrap().contains("does not match"));
    assert!(!error.is_retryable());
    for text in [format!("{error}"), format!("{error:?}"), format!("{client:?}")] {
        assert!(!text.contains("not the secret"), "{text}");
    }
}

#[tokio::test]
async fn model_errors_are_unwrapped() {
    let emulator = Emulator::builder().start().await.unwrap();
    let error = client(&Setup::new(&emulator)).invoke_stream(Request::new("my-llm", "{}")).await.unwrap_err();
    let service = error.service().unwrap();
    assert_eq!((service.status, service.original_status_code), (424, Some(400)));
    assert!(service.original_message.as_deref().unwrap().contains("BadRequestError"));
    assert!(service.log_stream_arn.as_deref().unwrap().ends_with("/aws/sagemaker/Endpoints/my-llm"));
    assert!(
        error
            .to_string()
            .starts_with("the service responded with 424 ModelError: Received client error (400)")
    );
    assert!(error.body().unwrap().starts_with(b"{"));
    assert!(!error.is_retryable());

    let error = refused(json!({"status": 424, "original_status": 503, "body": "loading"})).await;
    assert_eq!(error.service().unwrap().original_message.as_deref(), Some("loading"));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn throttling_has_a_retry_delay() {
    let error = refused(json!({"status": 429, "retry_after": 7})).await;
    assert_eq!((error.status(), error.retry_after()), (Some(429), Some(Duration::from_secs(7))));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Emulator::builder().start().await.unwrap();
    let location = format!("{}/endpoints/e/invocations", elsewhere.url());
    let error = refused(json!({"status": 307, "headers": {"location": location}})).await;
    assert!(error.is_redirect() && !error.is_retryable());
    assert_eq!((error.status(), error.location()), (Some(307), Some(location.as_str())));
    assert_eq!(error.to_string(), format!("redirected with status 307 to {location}"));
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn other_content_types_keep_their_body() {
    let emulator =
        scripted(json!({"body": "a\n", "headers": {"content-type": "text/html; charset=utf-8"}})).await;
    let error = client(&Setup::new(&emulator)).invoke_stream(Request::new("e", "")).await.unwrap_err();
    assert!(error.is_content_type() && error.to_string().contains("text/html; charset=utf-8"), "{error}");
    assert_eq!(parts(Framing::EventStream, error.body().unwrap().to_vec()), b"a\n");
}

#[tokio::test]
async fn the_first_byte_timeout_expires() {
    let emulator = scripted(json!({"body": "", "first_byte_ms": 2000})).await;
    let client = client(
        &Setup::new(&emulator).bounds(|bounds| bounds.timeouts.first_byte = Duration::from_millis(50)),
    );
    let start = Instant::now();
    let error = client.invoke_stream(Request::new("e", "")).await.unwrap_err();
    assert_eq!(error.timeout(), Some(Timeout::FirstByte));
    assert_eq!(error.to_string(), "no response within 50ms");
    assert!(error.is_retryable() && start.elapsed() < Duration::from_secs(1));
}

/// The response starts in time, but its body does not.
#[tokio::test]
async fn the_first_byte_timeout_covers_the_body() {
    let emulator = scripted(json!({"body": "one\n", "fault": {"stall": true, "after": 0}})).await;
    let client = client(
        &Setup::new(&emulator).bounds(|bounds| bounds.timeouts.first_byte = Duration::from_millis(50)),
    );
    let start = Instant::now();
    let mut stream = client.invoke_stream(Request::new("e", "")).await.unwrap();
    let error = stream.chunk().await.unwrap_err();
    assert_eq!((error.timeout(), error.received()), (Some(Timeout::FirstByte), 0));
    assert!(error.is_retryable() && start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn the_idle_timeout_expires() {
    let emulator = scripted(json!({"body": "one\ntwo\n", "fault": {"stall": true, "after": 4}})).await;
    let client =
        client(&Setup::new(&emulator).bounds(|bounds| bounds.timeouts.idle = Duration::from_millis(50)));
    let mut stream = client.invoke_stream(Request::new("e", "")).await.unwrap();
    let (bytes, end) = read(&mut stream).await;
    let error = end.unwrap_err();
    assert_eq!(error.timeout(), Some(Timeout::Idle));
    assert_eq!(error.to_string(), format!("no data for 50ms after {} bytes of the response", bytes.len()));
    assert_eq!(parts(stream.framing(), bytes), b"one\n");
    // The caller has received a part of the response and must not get it twice.
    assert!(!error.is_retryable());

    let error = client.invoke(Request::new("e", "")).await.unwrap_err();
    assert_eq!(error.timeout(), Some(Timeout::Idle));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn slow_readers_do_not_time_out() {
    let emulator = scripted(json!({"body": "one\ntwo\nthree\n", "pause_ms": 20})).await;
    let client =
        client(&Setup::new(&emulator).bounds(|bounds| bounds.timeouts.idle = Duration::from_millis(60)));
    let mut stream = client.invoke_stream(Request::new("e", "")).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(parts(stream.framing(), bytes), b"one\ntwo\nthree\n");
}

#[tokio::test]
async fn connections_break() {
    for fault in ["reset", "hang_up"] {
        let mut rule = json!({"body": "one\ntwo\n", "fault": {"after": 4}});
        rule["fault"][fault] = json!(true);
        let emulator = scripted(rule).await;
        let client = client(&Setup::new(&emulator));
        let mut stream = client.invoke_stream(Request::new("e", "")).await.unwrap();
        let (bytes, end) = read(&mut stream).await;
        let error = end.unwrap_err();
        assert!(error.is_broken_off() && !error.is_timeout() && !error.is_retryable(), "{error}");
        assert_eq!(error.to_string(), format!("the response broke off after {} bytes", bytes.len()));
        assert!(error.source().is_some());
        assert_eq!(parts(stream.framing(), bytes), b"one\n");

        let error = client.invoke(Request::new("e", "")).await.unwrap_err();
        assert!(error.is_broken_off() && error.is_retryable(), "{error}");
    }
}

#[tokio::test]
async fn refused_connections() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = client(&Setup::new(&emulator));
    emulator.stop().await;
    let error = client.invoke(Request::new("e", "")).await.unwrap_err();
    assert!(error.is_connect() && !error.is_timeout() && error.is_retryable(), "{error}");
    assert_eq!(error.to_string(), "connecting failed");
    assert!(error.source().is_some());

    let nowhere = crate::common::client(&Setup::at("http://nowhere.invalid"));
    let error = nowhere.invoke(Request::new("e", "")).await.unwrap_err();
    assert!(error.is_connect(), "{error}");
}

/// A listener that never accepts: once its queue is full, further connections wait.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_connect_timeout_expires() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let connect = || tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(addr));
    while let Ok(stream) = connect().await {
        waiting.push(stream);
        assert!(waiting.len() < 100);
    }
    let setup = Setup::at(format!("http://{addr}"))
        .bounds(|bounds| bounds.timeouts.connect = Duration::from_millis(50));
    let error = client(&setup).invoke(Request::new("e", "")).await.unwrap_err();
    assert_eq!(error.timeout(), Some(Timeout::Connect));
    assert_eq!(error.to_string(), "no connection within 50ms");
    assert!(error.is_connect() && error.is_retryable());
}

#[tokio::test]
async fn large_responses_are_errors() {
    let body = "x".repeat(1000);
    for chunks in ["whole", "bytes"] {
        let emulator = scripted(json!({"body": body, "chunks": chunks})).await;
        let exact = client(&Setup::new(&emulator).bounds(|bounds| bounds.max_response_len = 1000));
        assert_eq!(exact.invoke(Request::new("e", "")).await.unwrap().body, body);
        let less = client(&Setup::new(&emulator).bounds(|bounds| bounds.max_response_len = 999));
        let error = less.invoke(Request::new("e", "")).await.unwrap_err();
        assert!(error.is_too_large() && !error.is_retryable());
        assert_eq!(error.to_string(), "the response is larger than the limit of 999 bytes");
    }
}

#[tokio::test]
async fn sessions_are_reported() {
    let emulator = scripted(json!({"body": "", "headers": {
        "x-amzn-sagemaker-new-session-id": "s1; Expires=2026-01-01T00:00:00Z",
        "x-amzn-sagemaker-closed-session-id": "s0",
        "x-amzn-sagemaker-custom-attributes": "a=1",
    }}))
    .await;
    let request = Request::new(Endpoint::new("e").session_id("NEW_SESSION"), "");
    let metadata = client(&Setup::new(&emulator)).invoke(request).await.unwrap().metadata;
    assert_eq!(metadata.new_session_id.as_deref(), Some("s1; Expires=2026-01-01T00:00:00Z"));
    assert_eq!(metadata.closed_session_id.as_deref(), Some("s0"));
    assert_eq!(metadata.custom_attributes.as_deref(), Some("a=1"));
}

#[tokio::test]
async fn a_session_is_opened_used_and_closed() {
    let request = read_request(Api::OpenAi, br#"{"messages":[{"role":"user","content":"hi"}]}"#).unwrap();
    for format in [ContainerFormat::OpenAi, ContainerFormat::LmiVllm] {
        let emulator = Emulator::builder().format(format).start().await.unwrap();
        let client = client(&Setup::new(&emulator));
        let session =
            Session::open(client.clone(), Endpoint::new("my-llm").target_variant("v")).await.unwrap();
        let left = session.expiry().unwrap().duration_since(SystemTime::now()).unwrap();
        assert!((1100..=1200).contains(&left.as_secs()), "{left:?}");
        let chat = Chat::new(client, session.endpoint().clone());
        assert_eq!(chat.complete(&request).await.unwrap().text(), echo("hi"));
        let mut events = chat.stream(&request).await.unwrap();
        while events.event().await.unwrap().is_some() {}
        session.close().await.unwrap();
        let requests = emulator.requests();
        let ids: Vec<_> =
            requests.iter().map(|request| request.header("x-amzn-sagemaker-session-id").unwrap()).collect();
        assert_eq!(ids, ["NEW_SESSION", session.id(), session.id(), session.id()]);
        assert!(
            requests.iter().all(|request| request.header("x-amzn-sagemaker-target-variant") == Some("v"))
        );

        for error in [chat.complete(&request).await.unwrap_err(), session.close().await.unwrap_err()] {
            let service = error.service().unwrap();
            assert_eq!(service.original_status_code, Some(400));
            assert!(service.original_message.as_deref().unwrap().contains("session not found"), "{error}");
        }
    }
}

#[tokio::test]
async fn sessions_expire_and_may_be_missing() {
    let lifetime = Duration::from_millis(50);
    let emulator = Emulator::builder().session_lifetime(lifetime).start().await.unwrap();
    let client = client(&Setup::new(&emulator));
    let session = Session::open(client.clone(), "my-llm").await.unwrap();
    tokio::time::sleep(lifetime * 2).await;
    let request = Request::new(session.endpoint().clone(), CHAT);
    let error = client.invoke_stream(request).await.unwrap_err();
    assert!(error.to_string().contains("session not found"), "{error}");

    let emulator = Emulator::builder().session_lifetime(None).start().await.unwrap();
    let without = crate::common::client(&Setup::new(&emulator));
    let error = Session::open(without, "my-llm").await.unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("sessions not enabled"), "{error}");
    // TGI takes the request for one without a prompt.
    let emulator = Emulator::builder().format(ContainerFormat::Tgi).start().await.unwrap();
    let without = crate::common::client(&Setup::new(&emulator));
    let error = Session::open(without, "my-llm").await.unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("responded with 422"), "{error}");
}
