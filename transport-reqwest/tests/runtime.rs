//! Services other than SageMaker Runtime: Global Inference Gateways, and free hosts and paths.

use std::time::Duration;

use futures_util::StreamExt;
use sagewire_codec::eventstream::{Header, Value as HeaderValue, encode};
use sagewire_codec::model::Event;
use sagewire_codec::{Api, Framing, read_request};
use sagewire_emulator::echo;
use sagewire_transport_reqwest::{
    AsyncRequest, Chat, Client, Endpoint, Input, Request, Retry, Route, Runtime, http_client,
};
use serde_json::json;

mod common;
mod server;
use common::{Setup, builder, client, with_rules};
use server::{Reply, Server};

const CHAT: &[u8] = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
const SSE: &str = concat!(
    r#"data: {"id":"x","choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n",
);

fn gateway() -> Endpoint {
    Endpoint::gateway("abc1").customer_identity_token("secret.token")
}

fn framed(payload: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    let header = |name, value: &'static str| Header { name, value: HeaderValue::String(value) };
    let headers = [header(":message-type", "event"), header(":event-type", "PayloadPart")];
    encode(headers, payload.as_bytes(), &mut frame).expect("a frame");
    frame
}

#[tokio::test]
async fn chats_through_a_gateway() {
    let emulator = with_rules(&json!([{"cut": "bytes"}])).await;
    let chat = Chat::new(client(&Setup::new(&emulator)), gateway()).model("llama");
    let request = read_request(Api::OpenAi, CHAT).expect("a request");
    assert_eq!(chat.complete(&request).await.expect("a response").text(), echo("hi"));
    let mut events = chat.stream(&request).await.expect("a response");
    let mut text = String::new();
    while let Some(event) = events.event().await.expect("complete") {
        if let Event::TextDelta { text: delta, .. } = event {
            text.push_str(&delta);
        }
    }
    assert_eq!(text, echo("hi"));
    let requests = emulator.requests();
    let paths = ["invocations", "invocations-response-stream"];
    for (request, path) in requests.iter().zip(paths) {
        assert_eq!(request.path, format!("/global-inference-gateway/abc1/{path}"));
        assert_eq!(request.header("x-amzn-sagemaker-customer-identity-token"), Some("REDACTED"));
        let signed = request.header("authorization").expect("a signature");
        assert!(signed.contains("x-amzn-sagemaker-customer-identity-token"), "{signed}");
        assert!(request.body.windows(15).any(|window| window == br#""model":"llama""#));
    }

    let without = Chat::new(client(&Setup::new(&emulator)), gateway());
    let error = without.stream(&request).await.expect_err("no model");
    assert!(error.is_invalid_request() && error.to_string().contains("body has no model"), "{error}");
    let openai = client(&Setup::new(&emulator)).route(Route::OpenAi);
    let error = openai.invoke(Request::new(gateway(), r#"{"model":"m"}"#)).await.expect_err("no such route");
    assert!(error.is_invalid_request(), "{error}");
    let input = AsyncRequest::new(gateway(), Input::Inline("{}".into()));
    let error = client(&Setup::new(&emulator)).invoke_async(input).await.expect_err("no such operation");
    assert!(error.is_invalid_request(), "{error}");
    assert_eq!(emulator.requests().len(), 2, "they are not sent");
}

#[tokio::test]
async fn a_request_that_may_have_run_is_not_sent_again() {
    let mut retry = Retry::default();
    retry.initial_delay = Duration::from_millis(5);
    for (status, attempts) in [(429, 3), (500, 3), (503, 3), (502, 1), (504, 1), (413, 1), (404, 1)] {
        let emulator = with_rules(&json!([{"status": status}])).await;
        let client = client(&Setup::new(&emulator).bounds(|bounds| bounds.retry = retry));
        for is_stream in [false, true] {
            let request = Request::new(gateway(), r#"{"model":"m"}"#);
            let error = match is_stream {
                false => client.invoke(request).await.expect_err("a failure"),
                true => client.invoke_stream(request).await.expect_err("a failure"),
            };
            let service = error.service().expect("an error of the service");
            assert_eq!(
                (service.status, service.layer.as_deref()),
                (status, Some("Global Inference Gateway"))
            );
            assert_eq!(error.is_retryable(), attempts > 1);
            assert!(!format!("{error} {error:?}").contains("secret.token"));
        }
        assert_eq!(emulator.requests().len(), 2 * attempts, "{status}");
    }
    // The same statuses of SageMaker Runtime are retried.
    let emulator = with_rules(&json!([{"status": 502}])).await;
    let client = client(&Setup::new(&emulator).bounds(|bounds| bounds.retry = retry));
    client.invoke(Request::new("e", "{}")).await.expect_err("a failure");
    assert_eq!(emulator.requests().len(), 3);
}

#[tokio::test]
async fn errors_of_the_model_server_are_unwrapped() {
    let emulator = with_rules(&json!([{}])).await;
    let request = Request::new(gateway(), r#"{"model":"m","messages":[]}"#);
    let error = client(&Setup::new(&emulator)).invoke(request).await.expect_err("no messages");
    let service = error.service().expect("an error of the service");
    assert_eq!((service.layer.as_deref(), service.original_status_code), (Some("model server"), Some(400)));
    let shown = error.to_http_error();
    assert!(shown.status == 400 && shown.message.contains("messages must not be empty"), "{shown:?}");
}

/// A runtime on the server, without retries.
fn sampling(server: &Server) -> (Client, Endpoint) {
    let http = http_client(false).expect("no TLS").http2_prior_knowledge().build().expect("a client");
    let client = builder(&Setup::at("http://127.0.0.1:1")).http_client(http).build().expect("complete");
    let runtime = Runtime::new(format!("http://{}/prefix", server.addr))
        .path("/jobs/{name}/sample")
        .stream_path("/jobs/{name}/sample-with-response-stream")
        .header("X-Amzn-SageMaker-Job-Arn", "arn:aws:sagemaker");
    (client, Endpoint::new("j1").runtime(runtime))
}

#[tokio::test]
async fn a_stream_with_or_without_frames_is_detected() {
    let frames = framed(SSE);
    for (content_type, body, framing) in [
        ("application/vnd.amazon.eventstream", frames.clone(), Framing::EventStream),
        ("application/octet-stream", frames, Framing::EventStream),
        ("application/octet-stream", SSE.into(), Framing::Unframed),
        ("text/event-stream", SSE.into(), Framing::Unframed),
    ] {
        for attempts in [1, 3] {
            let headers = [("content-type", content_type)];
            // The first bytes arrive alone.
            let (sender, reply) = Reply::open(200, &headers);
            let pieces = [body[..1].to_vec(), body[1..9].to_vec(), body[9..].to_vec()];
            tokio::spawn(async move {
                for piece in pieces {
                    sender.send(piece.into()).await.expect("a reader");
                }
            });
            let server = Server::start(vec![reply]).await;
            let (client, endpoint) = sampling(&server);
            let client = match attempts {
                1 => client,
                _ => {
                    let http = http_client(false).expect("no TLS").http2_prior_knowledge();
                    let setup =
                        Setup::at("http://127.0.0.1:1").bounds(|bounds| bounds.retry = Retry::default());
                    builder(&setup).http_client(http.build().expect("a client")).build().expect("complete")
                }
            };
            let stream = client.invoke_stream(Request::new(endpoint, CHAT)).await.expect("a response");
            assert_eq!(stream.framing(), framing, "{content_type}");
            let has_frames = content_type.ends_with("eventstream");
            let found = (!has_frames).then_some(content_type);
            assert_eq!(stream.metadata().content_type.as_deref(), found);
            let events: Vec<_> = stream.events().collect().await;
            let is_text = |event: &_| matches!(event, Ok(Event::TextDelta { text, .. }) if text == "hello");
            assert!(events.iter().any(is_text) && events.iter().all(Result::is_ok), "{events:?}");
            let request = server.requests().pop().expect("one");
            assert_eq!(request.uri().path(), "/prefix/jobs/j1/sample-with-response-stream");
            assert_eq!(request.headers()["x-amzn-sagemaker-job-arn"], "arn:aws:sagemaker");
            let signed = request.headers()["authorization"].to_str().expect("text");
            assert!(
                signed.contains("x-amzn-sagemaker-job-arn") && signed.contains("/sagemaker/"),
                "{signed}"
            );
        }
    }
}

#[tokio::test]
async fn a_truncated_or_failed_stream_is_no_success() {
    let cut = framed(SSE)[..40].to_vec();
    for body in [cut, SSE[..40].into(), Vec::new()] {
        let reply = Reply::new(200, &[("content-type", "application/octet-stream")], body);
        let server = Server::start(vec![reply]).await;
        let (client, endpoint) = sampling(&server);
        let stream = client.invoke_stream(Request::new(endpoint, CHAT)).await.expect("a response");
        let events: Vec<_> = stream.events().collect().await;
        assert!(events.last().expect("an error").is_err(), "{events:?}");
    }
    let error = r#"{"Message":"no such job"}"#;
    let server =
        Server::start(vec![Reply::new(404, &[("x-amzn-errortype", "ResourceNotFound")], error)]).await;
    let (client, endpoint) = sampling(&server);
    let error = client.invoke(Request::new(endpoint, CHAT)).await.expect_err("a failure");
    assert_eq!(error.service().expect("an error of the service").message.as_deref(), Some("no such job"));
}
