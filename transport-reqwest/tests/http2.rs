//! HTTP/2: incremental streams, the signed `:authority`, and dropped streams.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Version;
use sagewire_codec::eventstream::{Header, Value, encode};
use sagewire_transport_reqwest::{Client, Credentials, Request, Retry, http_client};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, pause, sleep};

mod server;
use server::{Reply, Server};

const FRAMES: [(&str, &str); 2] = [
    ("content-type", "application/vnd.amazon.eventstream"),
    ("x-amzn-sagemaker-content-type", "text/event-stream"),
];

fn keys() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "secret", Some("token".into()), None, "test")
}

fn client(server: &Server) -> Client {
    client_at(server.addr)
}

fn client_at(addr: SocketAddr) -> Client {
    let http = http_client(false).expect("no TLS").http2_prior_knowledge().build().expect("a client");
    Client::builder()
        .region("us-east-1")
        .credentials(keys())
        .endpoint_url(format!("http://{addr}"))
        .http_client(http)
        .retry(Retry::never())
        .build()
        .expect("complete")
}

fn frame(payload: &str) -> Bytes {
    let headers = [(":message-type", "event"), (":event-type", "PayloadPart")];
    let headers = headers.map(|(name, value)| Header::new(name, Value::String(value)));
    let mut frame = Vec::new();
    encode(headers, payload.as_bytes(), &mut frame).expect("small");
    frame.into()
}

/// The signature of a received request, with `:authority` as its host.
fn signature(request: &http::Request<Bytes>) -> String {
    let text = |name: &str| request.headers()[name].to_str().expect("text");
    let (_, signed) = text("authorization").split_once("SignedHeaders=").expect("a signature");
    let signed: Vec<&str> = signed.split(',').next().expect("names").split(';').collect();
    let authority = request.uri().authority().expect("an authority").as_str();
    let headers = signed.iter().filter(|name| !["x-amz-date", "x-amz-security-token"].contains(*name));
    let headers = headers.map(|name| (*name, if *name == "host" { authority } else { text(name) }));
    let signable = SignableRequest::new(
        "POST",
        format!("http://{authority}{}", request.uri().path()),
        headers,
        SignableBody::Bytes(request.body()),
    );
    let identity = keys().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("sagemaker")
        .time(time(text("x-amz-date")))
        .settings(SigningSettings::default())
        .build()
        .expect("complete");
    let instructions = sign(signable.expect("text"), &params.into()).expect("signed").into_parts().0;
    let mut again = http::Request::post("http://a/").body(()).expect("a request");
    instructions.apply_to_request_http1x(&mut again);
    again.headers()["authorization"].to_str().expect("text").into()
}

/// `20260520T123456Z`, which is not long ago.
fn time(text: &str) -> SystemTime {
    let now = SystemTime::now();
    let seconds = (0..60).map(|seconds| now - Duration::from_secs(seconds));
    let mut dates = seconds.map(|time| (time, httpdate::fmt_http_date(time)));
    let clock = format!("{}:{}:{}", &text[9..11], &text[11..13], &text[13..15]);
    dates.find(|(_, date)| date.contains(&clock)).expect("within a minute").0
}

#[tokio::test]
async fn authorities_are_signed() {
    let server = Server::start(vec![Reply::new(200, &[], "{}")]).await;
    let reply = client(&server).invoke(Request::new("my-llm", "hello")).await.expect("a response");
    assert_eq!(reply.body, "{}");
    let request = server.requests().remove(0);
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(request.uri().authority().map(ToString::to_string), Some(server.addr.to_string()));
    assert_eq!(request.uri().path(), "/endpoints/my-llm/invocations");
    assert_eq!(request.body(), "hello");
    if let Some(host) = request.headers().get("host") {
        assert_eq!(host, server.addr.to_string().as_str(), "it must not contradict the authority");
    }
    assert_eq!(request.headers()["authorization"], signature(&request).as_str());
}

#[tokio::test]
async fn parts_are_read_as_they_arrive() {
    let (sender, reply) = Reply::open(200, &FRAMES);
    let server = Server::start(vec![reply]).await;
    let mut stream = client(&server).invoke_stream(Request::new("my-llm", "")).await.expect("a response");
    for part in ["one", "two"] {
        // The next part is sent only after this one was read.
        sender.send(frame(part)).await.expect("a listener");
        assert_eq!(stream.chunk().await.expect("a chunk"), Some(frame(part)));
    }
    drop(sender);
    assert_eq!(stream.chunk().await.expect("an end"), None);
}

#[tokio::test]
async fn dropped_streams_are_reset() {
    let (sender, reply) = Reply::open(200, &FRAMES);
    let mut server = Server::start(vec![reply, Reply::new(200, &[], "{}")]).await;
    let client = client(&server);
    let mut stream = client.invoke_stream(Request::new("my-llm", "")).await.expect("a response");
    sender.send(frame("one")).await.expect("a listener");
    assert!(stream.chunk().await.expect("a chunk").is_some());
    drop(stream);
    let reset = tokio::time::timeout(Duration::from_secs(10), server.reset()).await;
    reset.expect("at once");
    // The connection stays usable.
    assert_eq!(client.invoke(Request::new("my-llm", "")).await.expect("a response").body, "{}");
}

/// A dead connection is detected before the first-byte timeout, and not used for other requests.
#[tokio::test]
async fn dead_connections_are_detected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = client_at(listener.local_addr().expect("an address"));
    let invoke = || {
        let client = client.clone();
        tokio::spawn(async move { client.invoke(Request::new("my-llm", "")).await })
    };
    for _ in 0..2 {
        let call = invoke();
        // Each request uses a new connection.
        let (mut socket, _) = listener.accept().await.expect("a connection");
        assert_ne!(socket.read(&mut [0; 1024]).await.expect("a request"), 0);
        sleep(Duration::from_millis(50)).await;
        // From here on the server is silent.
        pause();
        let start = Instant::now();
        let error = call.await.expect("no panic").expect_err("nobody replies");
        assert!(error.is_broken_off() && error.is_retryable(), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
        tokio::time::resume();
    }
}
