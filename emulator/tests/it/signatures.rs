//! Requests are authenticated as by AWS.

use std::time::{Duration, SystemTime};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sagewire_emulator::Emulator;

use crate::client::{Reply, Request};

fn request() -> Request {
    Request::unary("my-llm", r#"{"messages": [{"role": "user", "content": "hi"}]}"#)
}

async fn send(request: &Request) -> Reply {
    let emulator = Emulator::builder().start().await.unwrap();
    request.send(&emulator).await
}

#[track_caller]
fn refused(reply: &Reply, error_type: &str, message: &str) {
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (403, Some(error_type)), "{reply:?}");
    let body: serde_json::Value = serde_json::from_str(&reply.text()).unwrap();
    assert!(body["message"].as_str().unwrap().contains(message), "{body}");
}

#[tokio::test]
async fn right_ones_pass() {
    assert_eq!(send(&request()).await.status, 200);
    // Spaces in values are folded on both sides, and a query is signed too.
    let mut odd = request();
    odd.headers = vec![
        ("content-type", "application/json"),
        ("x-amzn-sagemaker-custom-attributes", "a=1;  b=2"),
        ("x-once", "1"),
    ];
    odd.path += "?b=2&a=%20x";
    assert_eq!(send(&odd).await.status, 200);
    // No SDK sends a header twice. One that comes twice may have been added on the way.
    odd.headers.push(("x-once", "2"));
    refused(&send(&odd).await, "IncompleteSignatureException", "'x-once' occurs more than once");
}

/// HTTP/2 has no header `host`: `:authority` is signed as `host`.
#[tokio::test]
async fn http2_without_tls_is_accepted() {
    let emulator = Emulator::builder().start().await.unwrap();
    for (signed, secret, status) in
        [(request(), "right", 200), (Request { secret: "wrong", ..request() }, "wrong", 403)]
    {
        let socket = tokio::net::TcpStream::connect(emulator.addr()).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(signed.http2(&emulator)).await.unwrap();
        assert_eq!(response.status(), status, "{secret}");
        assert_eq!(response.version(), axum::http::Version::HTTP_2);
    }
}

#[tokio::test]
async fn other_keys_are_refused() {
    let reply = send(&Request { secret: "wrong", ..request() }).await;
    refused(&reply, "InvalidSignatureException", "does not match the signature you provided");
    let reply = send(&Request { key_id: "AKIDOTHER", ..request() }).await;
    refused(&reply, "UnrecognizedClientException", "security token included in the request is invalid");
    let reply = send(&Request { service: "runtime.sagemaker", ..request() }).await;
    refused(&reply, "InvalidSignatureException", "correct service: 'sagemaker'");
}

#[tokio::test]
async fn clocks_may_be_off_five_minutes() {
    let off = |seconds: i64| {
        let by = Duration::from_secs(seconds.unsigned_abs());
        let now = SystemTime::now();
        Request { time: if seconds < 0 { now - by } else { now + by }, ..request() }
    };
    assert_eq!(send(&off(-290)).await.status, 200);
    assert_eq!(send(&off(290)).await.status, 200);
    refused(&send(&off(-310)).await, "InvalidSignatureException", "Signature expired");
    refused(&send(&off(310)).await, "InvalidSignatureException", "Signature not yet current");
}

#[tokio::test]
async fn changes_after_signing_are_found() {
    let tampers: [fn(&mut String); 4] = [
        |text| *text = text.replace(r#""hi""#, r#""ho""#),
        |text| *text = text.replace("content-type: application/json", "content-type: application/json5"),
        |text| *text = text.replace("/endpoints/my-llm/", "/endpoints/your-llm/"),
        |text| *text = text.replace("invocations ", "invocations?a=b "),
    ];
    for tamper in tampers {
        let reply = send(&Request { tamper, ..request() }).await;
        refused(&reply, "InvalidSignatureException", "does not match");
    }
    // Proxies may add headers that are not signed.
    let tamper: fn(&mut String) = |text| *text = text.replace("\r\nhost:", "\r\nvia: 1.1 proxy\r\nhost:");
    assert_eq!(send(&Request { tamper, ..request() }).await.status, 200);
}

#[tokio::test]
async fn incomplete_ones_are_refused() {
    fn keep(text: &mut String, keep: impl Fn(&&str) -> bool) {
        *text = text.split("\r\n").filter(|line| keep(line)).collect::<Vec<_>>().join("\r\n");
    }
    let tamper: fn(&mut String) = |text| keep(text, |line| !line.starts_with("authorization:"));
    let reply = send(&Request { tamper, ..request() }).await;
    refused(&reply, "MissingAuthenticationTokenException", "Missing Authentication Token");

    let tamper: fn(&mut String) = |text| *text = text.replace("AWS4-HMAC-SHA256 ", "Bearer ");
    let reply = send(&Request { tamper, ..request() }).await;
    refused(&reply, "MissingAuthenticationTokenException", "Missing Authentication Token");

    let tamper: fn(&mut String) = |text| keep(text, |line| !line.starts_with("x-amz-date:"));
    let reply = send(&Request { tamper, ..request() }).await;
    refused(&reply, "IncompleteSignatureException", "'X-Amz-Date'");

    let tamper: fn(&mut String) = |text| *text = text.replace("SignedHeaders=", "Headers=");
    let reply = send(&Request { tamper, ..request() }).await;
    refused(&reply, "IncompleteSignatureException", "'SignedHeaders'");

    for (tamper, name) in [
        ((|text| *text = text.replace(";host;", ";")) as fn(&mut String), "'host'"),
        (|text| *text = text.replace(";x-amz-date,", ","), "'x-amz-date'"),
    ] {
        let reply = send(&Request { tamper, ..request() }).await;
        refused(&reply, "InvalidSignatureException", &format!("{name} must be a 'SignedHeader'"));
    }
}

#[tokio::test]
async fn session_tokens() {
    let emulator = Emulator::builder().session_token("right").start().await.unwrap();
    let with = |token| Request { token, ..request() };
    assert_eq!(with(Some("right")).send(&emulator).await.status, 200);
    for wrong in [None, Some("wrong")] {
        let reply = with(wrong).send(&emulator).await;
        refused(&reply, "UnrecognizedClientException", "security token included in the request is invalid");
    }
    let tamper: fn(&mut String) = |text| *text = text.replace(";x-amz-security-token", "");
    let reply = Request { tamper, ..with(Some("right")) }.send(&emulator).await;
    refused(&reply, "InvalidSignatureException", "'x-amz-security-token' must be a 'SignedHeader'");
    // Long-term keys have none.
    refused(&send(&with(Some("right"))).await, "UnrecognizedClientException", "invalid");
}

#[tokio::test]
async fn other_credentials_can_be_set() {
    let emulator = Emulator::builder().credentials("ID", "secret").start().await.unwrap();
    assert_eq!(Request { key_id: "ID", secret: "secret", ..request() }.send(&emulator).await.status, 200);
    refused(&request().send(&emulator).await, "UnrecognizedClientException", "invalid");
}
