//! Clients that hold resources without being authorized, and web pages.

use std::time::{Duration, Instant};

use sagewire_emulator::{Emulator, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Request;

const BODY: &str = r#"{"messages": [{"role": "user", "content": "hi"}]}"#;

/// Sends `bytes` and returns what the server sends until it closes the connection.
async fn until_closed(emulator: &Emulator, bytes: &str) -> String {
    let mut socket = TcpStream::connect(emulator.addr()).await.unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut received)).await;
    closed.expect("the server closes the connection").unwrap();
    String::from_utf8(received).unwrap()
}

fn with_receive_timeout() -> sagewire_emulator::Builder {
    Emulator::builder().limits(Limits { receive: Duration::from_millis(300), ..Limits::default() })
}

#[tokio::test]
async fn unfinished_heads_are_closed() {
    let emulator = with_receive_timeout().start().await.unwrap();
    for start in
        ["", "P", "PRI * HTTP/2.0\r\n", "POST /endpoints/e/invocations HTTP/1.1\r\nhost: localhost\r\n"]
    {
        let begin = Instant::now();
        until_closed(&emulator, start).await;
        assert!(begin.elapsed() >= Duration::from_millis(250), "{start:?}");
    }
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn unfinished_bodies_are_refused() {
    let emulator = with_receive_timeout().start().await.unwrap();
    let request = Request {
        tamper: |text| *text = text.replace(BODY, "").replace("content-length: 49", "content-length: 5000"),
        ..Request::unary("e", BODY)
    };
    let reply = request.send(&emulator).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("did not arrive within"), "{reply:?}");
}

#[tokio::test]
async fn bodies_of_unauthorized_requests_are_not_kept() {
    let emulator = Emulator::builder().start().await.unwrap();
    let request = Request { key_id: "AKIDOTHER", ..Request::unary("e", BODY) };
    assert_eq!(request.send(&emulator).await.status, 403);
    assert_eq!(emulator.requests()[0].body.len(), 0);
    let request = Request { secret: "wrong", ..Request::unary("e", BODY) };
    assert_eq!(request.send(&emulator).await.status, 403);
}

/// The length alone is enough: no body follows.
#[tokio::test]
async fn long_bodies_are_refused_at_once() {
    let emulator = Emulator::builder().start().await.unwrap();
    let tamper: fn(&mut String) =
        |text| *text = text.replace(BODY, "").replace("content-length: 49", "content-length: 25000001");
    let reply = Request { tamper, ..Request::unary("e", BODY) }.send(&emulator).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("longer than 25000000 bytes"), "{reply:?}");
}

#[tokio::test]
async fn heads_count_in_the_log() {
    let emulator = Emulator::builder().start().await.unwrap();
    let filler = "x".repeat(50_000);
    let head =
        format!("POST /x HTTP/1.1\r\nhost: localhost\r\nx-filler: {filler}\r\ncontent-length: 0\r\n\r\n");
    let mut socket = TcpStream::connect(emulator.addr()).await.unwrap();
    // 70 MB of heads on one connection.
    let (mut reader, mut writer) = socket.split();
    let write = async {
        for _ in 0..1400 {
            writer.write_all(head.as_bytes()).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    };
    let mut responses = Vec::new();
    let (read, ()) = tokio::join!(reader.read_to_end(&mut responses), write);
    read.unwrap();
    let len: usize = emulator
        .requests()
        .iter()
        .flat_map(|request| request.headers.iter().map(|(_, value)| value.len()))
        .sum();
    assert!((40 << 20..=64 << 20).contains(&len), "{len}");
}

#[tokio::test]
async fn connections_are_bounded() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let emulator = Emulator::builder().limits(limits).start().await.unwrap();
    let held = [
        TcpStream::connect(emulator.addr()).await.unwrap(),
        TcpStream::connect(emulator.addr()).await.unwrap(),
    ];
    let mut third = Request::unary("e", BODY).connect(&emulator).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(300), third.read(&mut byte)).await;
    assert!(early.is_err(), "the third connection waits");
    drop(held);
    let late = tokio::time::timeout(Duration::from_secs(10), third.read(&mut byte)).await;
    assert_eq!(late.unwrap().unwrap(), 1);
}

/// With a valid signature for that name, as after DNS rebinding.
#[tokio::test]
async fn other_hosts_are_refused() {
    let emulator = Emulator::builder().allow_host("box.example").start().await.unwrap();
    for (host, status) in [
        ("localhost:1", 200),
        ("box.example", 200),
        ("evil.example:8787", 403),
        ("127.0.0.1.evil.example", 403),
    ] {
        let mut request = Request::unary("e", BODY);
        request.host = Some(host);
        let reply = request.send(&emulator).await;
        assert_eq!(reply.status, status, "{host}: {reply:?}");
        assert_eq!(
            reply.text().contains(&format!("--allow-host {}", host.split(':').next().unwrap())),
            status == 403
        );
    }
}

#[tokio::test]
async fn web_pages_are_refused() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut request = Request::unary("e", BODY);
    request.headers.push(("origin", "http://localhost:3000"));
    let reply = request.send(&emulator).await;
    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("web pages"), "{reply:?}");
}

#[tokio::test]
async fn headers_of_aws_have_to_be_signed() {
    let emulator = Emulator::builder().start().await.unwrap();
    for (tamper, status) in [
        (
            (|text| *text = text.replace("\r\nhost:", "\r\nx-amzn-sagemaker-target-model: m\r\nhost:"))
                as fn(&mut String),
            403,
        ),
        (|text| *text = text.replace("\r\nhost:", "\r\nx-amz-meta: m\r\nhost:"), 403),
        // Proxies and load balancers add it.
        (|text| *text = text.replace("\r\nhost:", "\r\nx-amzn-trace-id: Root=1\r\nhost:"), 200),
    ] {
        let reply = Request { tamper, ..Request::unary("e", BODY) }.send(&emulator).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
}

#[tokio::test]
async fn presigned_urls_are_redacted() {
    let emulator = Emulator::builder().start().await.unwrap();
    let path = "/endpoints/e/invocations?X-Amz-Signature=SECRET&a=b&x-amz-security-token=SECRET";
    assert_eq!(Request::new(path, BODY).send(&emulator).await.status, 200);
    let expected = "/endpoints/e/invocations?X-Amz-Signature=REDACTED&a=b&x-amz-security-token=REDACTED";
    assert_eq!(emulator.requests()[0].path, expected);
}
