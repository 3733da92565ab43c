//! The requests to the SDK, and the conversion of its results, with an HTTP client that has canned replies.

mod common;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_sdk_sagemakerruntime::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sagemakerruntime::config::retry::RetryConfig;
use aws_sdk_sagemakerruntime::config::{BehaviorVersion, Builder, SharedHttpClient};
use aws_sdk_sagemakerruntime::error::BoxError;
use aws_sdk_sagemakerruntime::primitives::{DateTime, DateTimeFormat};
use aws_sdk_sagemakerruntime::{Client as Sdk, Config};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use common::{config, keys};
use futures_util::StreamExt;
use http_body::Frame;
use sagewire_codec::eventstream::{Header, Value, encode};
use sagewire_codec::model::Event;
use sagewire_codec::{Api, DecodeErrorKind, Options, stream};
use sagewire_transport_sdk::{
    AsyncRequest, Bounds, Client, Endpoint, Input, Operation, Request, ResponseStream, Retry, Runtime,
    response_stream,
};

const FRAMES: &str = "application/vnd.amazon.eventstream";

/// A request: the URI and the headers.
type SentRequest = (String, http::HeaderMap);

/// An HTTP client that returns one canned reply after the other, and records the requests.
#[derive(Clone, Debug, Default)]
struct Canned {
    replies: Arc<Mutex<VecDeque<http::Response<SdkBody>>>>,
    requests: Arc<Mutex<Vec<SentRequest>>>,
}

impl Canned {
    fn new(replies: impl IntoIterator<Item = http::Response<SdkBody>>) -> Self {
        Self { replies: Arc::new(Mutex::new(replies.into_iter().collect())), ..Self::default() }
    }

    fn http_client(&self) -> SharedHttpClient {
        let canned = self.clone();
        http_client_fn(move |_, _| SharedHttpConnector::new(canned.clone()))
    }

    fn client(&self) -> Client {
        self.with(config("http://localhost"))
    }

    fn with(&self, config: Builder) -> Client {
        let sdk = Sdk::from_conf(config.http_client(self.http_client()).build());
        let mut retry = Retry::default();
        retry.initial_delay = Duration::from_millis(1);
        Client::builder(sdk).retry(retry).build()
    }

    fn requests(&self) -> Vec<SentRequest> {
        self.requests.lock().unwrap().clone()
    }
}

impl HttpConnector for Canned {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = request.try_into_http1x().unwrap();
        self.requests.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
        let reply = self.replies.lock().unwrap().pop_front().expect("a response");
        HttpConnectorFuture::ready(Ok(HttpResponse::try_from(reply).unwrap()))
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<SdkBody>) -> http::Response<SdkBody> {
    let builder = http::Response::builder().status(status);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(body.into()).unwrap()
}

fn streamed(body: impl Into<SdkBody>) -> http::Response<SdkBody> {
    reply(200, &[("content-type", FRAMES), ("x-amzn-sagemaker-content-type", "text/plain")], body)
}

fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let headers = headers.iter().map(|(name, value)| Header { name, value: Value::String(value) });
    encode(headers, payload, &mut out).unwrap();
    out
}

fn part(payload: &str) -> Vec<u8> {
    let headers = [
        (":event-type", "PayloadPart"),
        (":content-type", "application/octet-stream"),
        (":message-type", "event"),
    ];
    frame(&headers, payload.as_bytes())
}

/// The text of a stream, and the error it ended with.
async fn read(stream: ResponseStream) -> (String, Option<sagewire_codec::DecodeError>) {
    let mut text = String::new();
    let mut events = stream.events_with(Options::new().api(Api::PlainText));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::TextDelta { text: piece, .. }) => text.push_str(&piece),
            Ok(_) => {}
            Err(stream::Error::Decode(error)) => return (text, Some(error)),
            Err(stream::Error::Transport(error)) => panic!("{error}"),
        }
    }
    (text, None)
}

async fn read_frames(frames: Vec<u8>) -> (String, Option<sagewire_codec::DecodeError>) {
    let canned = Canned::new([streamed(frames)]);
    let client = Client::builder(canned.client().sdk().clone()).retry(Retry::never()).build();
    read(client.invoke_stream(Request::new("e", "")).await.unwrap()).await
}

fn everything() -> Endpoint {
    Endpoint::new("e")
        .inference_component("ic")
        .target_variant("v")
        .target_container_hostname("h")
        .session_id("s")
        .inference_id("i")
        .prefix_aware_id("p")
        .custom_attributes([("a", "1"), ("b", "2")])
}

/// The request of the SDK has all headers of our request.
fn assert_sent(expected: &http::HeaderMap, (_, sent): &SentRequest) {
    for (name, value) in expected {
        if name != "accept" || value != "*/*" {
            assert_eq!(sent.get(name), Some(value), "{name}");
        }
    }
    let signed = sent["authorization"].to_str().unwrap();
    for name in expected.keys().filter(|name| *name != "accept" || sent.contains_key("accept")) {
        assert!(signed.contains(name.as_str()), "{name} is not signed");
    }
    let mut ours = sent.keys().filter(|name| name.as_str().starts_with("x-amzn-sagemaker"));
    assert!(ours.all(|name| expected.contains_key(name)), "{sent:?}");
}

#[tokio::test]
async fn every_field_is_sent() {
    let canned = Canned::new([reply(200, &[], "{}"), streamed(part("a")), reply(202, &[], "{}")]);
    let client = canned.client();
    let whole = everything().target_model("m.tar.gz").enable_explanations("`true`");
    let whole = Request::new(whole, "{}").accept("application/json").content_type("text/csv");
    client.invoke(whole.clone()).await.unwrap();
    let stream = Request::new(everything(), "{}").accept("text/event-stream");
    drop(client.invoke_stream(stream.clone()).await.unwrap());
    let endpoint = Endpoint::new("e").inference_id("i").custom_attributes([("a", "1")]);
    let mut queued = AsyncRequest::new(endpoint, Input::Location("s3://bucket/key".into()));
    queued.accept = Some("application/json".into());
    queued.output_path_extension = Some("a/b".into());
    queued.filename = Some("f.json".into());
    queued.request_ttl = Some(Duration::from_secs(60));
    queued.invocation_timeout = Some(Duration::from_secs(3600));
    client.invoke_async(queued.clone()).await.unwrap();

    let requests = canned.requests();
    assert_sent(&whole.headers(Operation::Invoke).unwrap(), &requests[0]);
    assert_sent(&stream.headers(Operation::Stream).unwrap(), &requests[1]);
    assert_sent(&queued.headers().unwrap(), &requests[2]);
    for ((uri, _), operation) in requests.iter().zip([Operation::Invoke, Operation::Stream, Operation::Async])
    {
        assert_eq!(*uri, format!("http://localhost{}", whole.endpoint.path(operation).unwrap()));
    }
}

#[tokio::test]
async fn asynchronous_responses_are_read() {
    let headers = [
        ("x-amzn-sagemaker-outputlocation", "s3://b/out"),
        ("x-amzn-sagemaker-failurelocation", "s3://b/failure"),
        ("x-amzn-requestid", "r"),
    ];
    let canned = Canned::new([reply(202, &headers, r#"{"InferenceId":"i"}"#), reply(400, &headers, "{}")]);
    let request = AsyncRequest::new("e", Input::Inline(Bytes::from_static(b"{}")));
    let found = canned.client().invoke_async(request.clone()).await.unwrap();
    assert_eq!(found.inference_id.as_deref(), Some("i"));
    assert_eq!(found.output_location.as_deref(), Some("s3://b/out"));
    assert_eq!(found.failure_location.as_deref(), Some("s3://b/failure"));
    assert_eq!(found.metadata.request_id.as_deref(), Some("r"));
    let error = canned.client().invoke_async(request).await.unwrap_err();
    assert_eq!(error.status(), Some(400));
}

#[tokio::test]
async fn an_endpoint_may_be_in_another_region() {
    let elsewhere = Endpoint::new("e").region("eu-west-1");
    let canned = Canned::new([reply(200, &[], ""), reply(200, &[], "")]);
    canned.client().invoke(Request::new(elsewhere.clone(), "")).await.unwrap();
    let resolved = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_sdk_sagemakerruntime::config::Region::new("us-east-1"))
        .credentials_provider(keys(None));
    canned.with(resolved).invoke(Request::new(elsewhere, "")).await.unwrap();
    let requests = canned.requests();
    // An endpoint URL is not changed.
    assert!(requests[0].0.starts_with("http://localhost/"), "{}", requests[0].0);
    assert!(
        requests[1].0.starts_with("https://runtime.sagemaker.eu-west-1.amazonaws.com/"),
        "{}",
        requests[1].0
    );
    for (_, headers) in requests {
        assert!(headers["authorization"].to_str().unwrap().contains("/eu-west-1/sagemaker/aws4_request"));
    }
}

#[tokio::test]
async fn our_retries_replace_those_of_the_sdk() {
    let busy = || reply(503, &[], "");
    for (replies, attempts, succeeds) in
        [(vec![busy(), busy(), reply(200, &[], "ok")], 3, true), ((0..9).map(|_| busy()).collect(), 3, false)]
    {
        let canned = Canned::new(replies);
        let retry = RetryConfig::standard().with_max_attempts(7);
        let client = canned.with(config("http://localhost").retry_config(retry));
        let result = client.invoke(Request::new("e", "")).await;
        assert_eq!((canned.requests().len(), result.is_ok()), (attempts, succeeds));
    }
}

/// What a service or a proxy quotes of the request is removed: what is named, and the session token wherever it is.
#[tokio::test]
async fn errors_have_no_secrets_of_the_request() {
    let quoted = r#"{"message":"no: /SESSION/TOKEN+1/ x-amz-security-token: OTHER, Signature=0ab. The String-to-Sign should be T"}"#;
    let canned = Canned::new([reply(403, &[], quoted)]);
    let client = canned.with(config("http://localhost").credentials_provider(keys(Some("SESSION/TOKEN+1"))));
    let error = client.invoke(Request::new("e", "")).await.unwrap_err();
    let expected = "no: /REDACTED/ x-amz-security-token: REDACTED, Signature=REDACTED ";
    assert_eq!(error.service().unwrap().message.as_deref(), Some(expected));
    let shown = format!("{error} {error:?} {}", String::from_utf8_lossy(error.body().unwrap()));
    for secret in ["SESSION", "OTHER", "0ab", "TOKEN"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// A clock that is an hour slow.
#[derive(Debug)]
struct Slow;

impl TimeSource for Slow {
    fn now(&self) -> SystemTime {
        SystemTime::now() - Duration::from_secs(3600)
    }
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once() {
    let now = DateTime::from(SystemTime::now()).fmt(DateTimeFormat::HttpDate).unwrap();
    let refusal = || {
        let headers = [("date", &*now), ("x-amzn-errortype", "InvalidSignatureException")];
        reply(403, &headers, r#"{"message":"Signature expired"}"#)
    };
    let canned = Canned::new([refusal(), reply(200, &[("date", &now)], "ok"), refusal(), refusal()]);
    let client = canned.with(config("http://localhost").time_source(Slow));
    assert_eq!(client.invoke(Request::new("e", "")).await.unwrap().body, "ok");
    let requests = canned.requests();
    assert_eq!(requests.len(), 2);
    assert_ne!(requests[0].1["x-amz-date"], requests[1].1["x-amz-date"]);
    // Once the clock is right, another refusal is an error.
    let error = client.invoke(Request::new("e", "")).await.unwrap_err();
    assert_eq!((error.status(), canned.requests().len()), (Some(403), 3));
}

#[tokio::test]
async fn errors_name_the_missing_setting() {
    let bare = || Config::builder().behavior_version(BehaviorVersion::latest());
    let keyed = || bare().credentials_provider(keys(None));
    let no_region = keyed().http_client(Canned::default().http_client());
    let no_keys = bare().endpoint_url("http://localhost").http_client(Canned::default().http_client());
    let region = aws_sdk_sagemakerruntime::config::Region::new("us-east-1");
    let no_http = keyed().endpoint_url("http://localhost").region(region.clone());
    for config in [no_region, no_keys.region(region), no_http] {
        let client = Client::new(Sdk::from_conf(config.build()));
        let error = client.invoke(Request::new("e", "")).await.unwrap_err();
        assert!(error.is_config() && !error.is_retryable(), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        println!("{error}");
    }
}

#[derive(Debug)]
struct NoKeys;

impl aws_credential_types::provider::ProvideCredentials for NoKeys {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = aws_credential_types::provider::error::CredentialsError::not_loaded("no profile");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
    }
}

#[tokio::test]
async fn missing_credentials_are_errors() {
    let canned = Canned::default();
    let client = canned.with(config("http://localhost").credentials_provider(NoKeys));
    let error = client.invoke(Request::new("e", "")).await.unwrap_err();
    assert!(error.is_credentials() && canned.requests().is_empty(), "{error}");
    assert_eq!(error.to_string(), "the credentials could not be loaded");
}

#[tokio::test]
async fn endings_that_the_sdk_hides() {
    // The SDK takes a stream that ends after the prelude of a frame for complete.
    let whole = part("one");
    let cut = [&whole[..], &part("two")[..12]].concat();
    let (text, error) = read_frames(cut).await;
    let error = error.unwrap();
    assert!(text == "one" && error.is_truncated() && error.offset() == whole.len() as u64, "{text} {error}");

    // The decoder does not wait for a frame of impossible length.
    let mut huge = part("two");
    huge[0] = 0x7f;
    let (text, error) = read_frames([&part("one")[..], &huge, &part("three")].concat()).await;
    let error = error.unwrap();
    assert_eq!(text, "one");
    assert!(matches!(error.kind(), DecodeErrorKind::PreludeChecksum { .. }), "{error}");

    // Names and messages that the SDK does not know.
    let exception =
        [(":message-type", "exception"), (":exception-type", "New"), (":content-type", "application/json")];
    let exception = frame(&exception, br#"{"Message":"m","ErrorCode":"c"}"#);
    let (text, error) = read_frames([&part("one")[..], &exception].concat()).await;
    let failure = error.as_ref().and_then(|error| error.failure()).unwrap();
    assert_eq!((&*text, &*failure.name, &*failure.message), ("one", "New", "m"));
    assert_eq!(failure.code.as_deref(), Some("c"));
    assert_eq!(failure.original, br#"{"Message":"m","ErrorCode":"c"}"#);
    let unmodelled = [(":message-type", "error"), (":error-code", "500"), (":error-message", "m")];
    let (_, error) = read_frames(frame(&unmodelled, b"")).await;
    let failure = error.as_ref().and_then(|error| error.failure()).unwrap();
    assert_eq!((&*failure.name, failure.code.as_deref(), &*failure.message), ("error", Some("500"), "m"));
}

#[tokio::test]
async fn events_that_the_sdk_does_not_know() {
    let unknown = [(":message-type", "event"), (":event-type", "New")];
    let (text, error) =
        read_frames([part("one"), frame(&unknown, b"{}"), part(""), part("two")].concat()).await;
    assert!(text == "onetwo" && error.is_none(), "{text} {error:?}");

    // The SDK expects a content type, and the part has none.
    let bare = [(":message-type", "event"), (":event-type", "PayloadPart")];
    let (text, error) = read_frames([part("one"), frame(&bare, b"two"), part("three")].concat()).await;
    assert!(text == "onetwothree" && error.is_none(), "{text} {error:?}");
}

#[tokio::test]
async fn the_output_of_a_direct_call_is_read() {
    let mut corrupt = part("two");
    *corrupt.last_mut().unwrap() ^= 1;
    let cut = part("two")[..40].to_vec();
    for (rest, kind) in [(vec![], ""), (corrupt, "Malformed"), (cut, "Truncated")] {
        let headers = [("content-type", FRAMES), ("x-amzn-sagemaker-content-type", "text/plain")];
        let canned = Canned::new([reply(200, &headers, [part("one"), rest].concat())]);
        let sdk = Sdk::from_conf(config("http://localhost").http_client(canned.http_client()).build());
        let call = sdk.invoke_endpoint_with_response_stream().endpoint_name("e").body(vec![].into());
        let stream = response_stream(call.send().await.unwrap(), &Bounds::default());
        assert_eq!(stream.metadata().content_type.as_deref(), Some("text/plain"));
        let (text, error) = read(stream).await;
        let found = error.map(|error| format!("{:?}", error.kind())).unwrap_or_default();
        assert!(text == "one" && found.starts_with(kind) && found.is_empty() == kind.is_empty(), "{found}");
    }
}

/// A body that counts the frames that are read, and records that it is dropped.
struct Counted {
    frames: VecDeque<Vec<u8>>,
    read: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = self.frames.pop_front();
        self.read.fetch_add(usize::from(frame.is_some()), Ordering::Relaxed);
        Poll::Ready(frame.map(|frame| Ok(Frame::data(frame.into()))))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn nothing_is_read_ahead_and_dropping_closes_the_body() {
    let (read, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let frames: Vec<_> = (0..9).map(|at| part(&at.to_string())).collect();
    let sent = frames.clone();
    let body = SdkBody::from_body_1_x(Counted {
        frames: frames.into(),
        read: read.clone(),
        dropped: dropped.clone(),
    });
    let canned = Canned::new([streamed(body)]);
    let mut stream = canned.client().invoke_stream(Request::new("e", "")).await.unwrap();
    for (at, frame) in sent.iter().take(3).enumerate() {
        // A stream begins with its first chunk.
        assert_eq!(read.load(Ordering::Relaxed), at.max(1));
        assert_eq!(stream.chunk().await.unwrap().unwrap(), frame);
    }
    assert!(!dropped.load(Ordering::Relaxed));
    drop(stream);
    assert!(dropped.load(Ordering::Relaxed) && read.load(Ordering::Relaxed) == 3);
}

#[tokio::test]
async fn other_services_are_not_supported() {
    let canned = Canned::default();
    let client = canned.client();
    for endpoint in [
        Endpoint::gateway("abc1"),
        Endpoint::new("e").runtime(Runtime::new("job-runtime.sagemaker").path("/sample")),
    ] {
        let request = Request::new(endpoint.clone(), r#"{"model":"m"}"#);
        let asynchronous = AsyncRequest::new(endpoint, Input::Inline("{}".into()));
        for error in [
            client.invoke(request.clone()).await.unwrap_err(),
            client.invoke_stream(request).await.unwrap_err(),
            client.invoke_async(asynchronous).await.unwrap_err(),
        ] {
            assert!(error.is_unsupported() && error.to_string().contains("-runtime.sagemaker"), "{error}");
        }
    }
    assert!(canned.requests.lock().unwrap().is_empty());
}
