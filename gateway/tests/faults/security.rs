//! Faults 30, 33, 40, 41: signatures, isolation, secrets, the cache of other keys.

use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sagewire_codec::Api;
use sagewire_emulator::ContainerFormat;
use sagewire_gateway::Gateway;
use sagewire_gateway::config::{AccessLog, Cache, Key, KeyPair, Secret};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::common::{ECHO, Reply, config, emulator, model, post, send, send_raw};

const CONVERSE: &str = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
const ID: &str = "AKSWTEAM";
const SECRET: &str = "canary-secret-of-the-team";

/// A gateway for one signing client.
async fn signing(emulator: &sagewire_emulator::Emulator) -> Gateway {
    let mut settings = config(vec![model(emulator, "e", Api::OpenAi)]);
    let mut key = Key::new("team");
    key.aws = Some(KeyPair::new(ID, Secret::new(SECRET)));
    settings.keys = vec![key];
    Gateway::new(settings).await.expect("a gateway")
}

/// A request that is signed as AWS's SDKs do it.
fn signed(path: &str, service: &str, secret: &str, time: SystemTime, body: &str) -> Request<Full<Bytes>> {
    let identity = Credentials::new(ID, secret, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .expect("all is set")
        .into();
    let uri = format!("http://gateway.local{path}");
    let headers = [("host", "gateway.local"), ("content-type", "application/json")];
    let signable =
        SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
    let (instructions, _) =
        sign(signable.expect("a request"), &params).expect("it can be signed").into_parts();
    let mut request =
        Request::post(uri).header("host", "gateway.local").header("content-type", "application/json");
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request")
}

fn error_type(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.header("x-amzn-errortype"))
}

#[tokio::test]
async fn fault_30_signatures_are_verified() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = signing(&emulator).await;
    let (path, now) = ("/model/e/converse", SystemTime::now());
    let reply = send(&gateway, signed(path, "bedrock", SECRET, now, CONVERSE)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = send(
        &gateway,
        signed(
            "/endpoints/e/invocations",
            "sagemaker",
            SECRET,
            now,
            r#"{"messages":[{"role":"user","content":"hi"}]}"#,
        ),
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.text());

    let wrong = "InvalidSignatureException";
    let refused = |request| async { send(&gateway, request).await };
    let reply = refused(signed(path, "bedrock", "another secret", now, CONVERSE)).await;
    assert_eq!(error_type(&reply), (403, wrong));
    let minutes = |count: u64| Duration::from_secs(60 * count);
    for time in [now - minutes(16), now + minutes(16), now - minutes(6)] {
        let reply = refused(signed(path, "bedrock", SECRET, time, CONVERSE)).await;
        assert_eq!(error_type(&reply), (403, wrong), "{}", reply.text());
    }
    // The signature of another service, of another body, of no body.
    let reply = refused(signed(path, "sagemaker", SECRET, now, CONVERSE)).await;
    assert_eq!(error_type(&reply), (403, wrong), "{}", reply.text());
    let mut request = signed(path, "bedrock", SECRET, now, CONVERSE);
    *request.body_mut() = Full::new(Bytes::from(CONVERSE.replace("hi", "ho")));
    assert_eq!(error_type(&refused(request).await), (403, wrong));
    for value in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] {
        let mut request = signed(path, "bedrock", SECRET, now, CONVERSE);
        request.headers_mut().insert("x-amz-content-sha256", value.parse().expect("a value"));
        assert_eq!(refused(request).await.status, 403, "{value}");
    }
    // A header that is signed occurs twice, or is missing.
    let mut request = signed(path, "bedrock", SECRET, now, CONVERSE);
    request.headers_mut().append("x-amz-date", "20260101T000000Z".parse().expect("a value"));
    assert_eq!(refused(request).await.status, 403);
    let mut request = signed(path, "bedrock", SECRET, now, CONVERSE);
    request.headers_mut().remove("content-type");
    assert_eq!(refused(request).await.status, 403);
    // Another path with the same signature.
    let mut request = signed(path, "bedrock", SECRET, now, CONVERSE);
    *request.uri_mut() = "http://gateway.local/model/other/converse".parse().expect("a URI");
    assert_eq!(refused(request).await.status, 403);
    // A key that nobody has.
    let mut request = signed(path, "bedrock", SECRET, now, CONVERSE);
    let authorization = request.headers()["authorization"].to_str().expect("ASCII").replace(ID, "AKSWOTHER");
    request.headers_mut().insert("authorization", authorization.parse().expect("a value"));
    assert_eq!(error_type(&refused(request).await), (403, "UnrecognizedClientException"));
    // No signature at all.
    assert!(post(&gateway, path, CONVERSE).await.status.is_client_error());
    assert_eq!(emulator.requests().len(), 2);
}

#[tokio::test]
async fn fault_33_an_endpoint_that_never_responds_harms_no_other() {
    let rules = json!({"rules": [{"endpoint": "dead", "first_byte_ms": 60_000}, {"endpoint": "e"}]});
    let emulator = emulator(ContainerFormat::default(), &rules.to_string()).await;
    let gateway = crate::common::gateway(vec![
        model(&emulator, "dead", Api::OpenAi),
        model(&emulator, "e", Api::OpenAi),
    ])
    .await;
    let request =
        |name: &str| format!(r#"{{"model":"{name}","messages":[{{"role":"user","content":"hi"}}]}}"#);
    let stuck: Vec<_> = (0..50)
        .map(|_| {
            let (gateway, body) = (gateway.clone(), request("dead"));
            tokio::spawn(async move { post(&gateway, "/v1/chat/completions", body).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = Instant::now();
    for _ in 0..50 {
        assert_eq!(post(&gateway, "/v1/chat/completions", request("e")).await.status, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(stuck.iter().all(|task| !task.is_finished()));
    stuck.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn fault_40_secrets_are_in_no_output() {
    let folder = std::env::temp_dir().join(format!("sagewire-gateway-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let log = folder.join("access.log");
    let rules = json!({"rules": [
        {"endpoint": "e", "status": 403, "error_type": "InvalidSignatureException",
         "message": "The Canonical String for this request should have been 'x-amz-security-token:canary-token'"},
    ]});
    let emulator = emulator(ContainerFormat::default(), &rules.to_string()).await;
    let mut settings = config(vec![model(&emulator, "e", Api::OpenAi)]);
    settings.access_log = AccessLog::File(log.clone());
    let mut key = Key::new("team");
    key.hash = Some(Sha256::digest("canary-key").into());
    key.aws = Some(KeyPair::new(ID, Secret::new(SECRET)));
    settings.keys = vec![key];
    let debug = format!("{settings:?}");
    let gateway = Gateway::new(settings).await.expect("a gateway");
    let mut outputs = vec![debug, format!("{gateway:?}")];
    let chat = r#"{"model":"e","messages":[{"role":"user","content":"hi"}]}"#;
    for (path, body) in [("/v1/chat/completions", chat), ("/v1/chat/completions", "{"), ("/none", "")] {
        for key in ["Bearer canary-key", "Bearer canary-key-wrong"] {
            let reply = send_raw(&gateway, path, body, &[("authorization", key)]).await;
            outputs.push(format!("{:?} {}", reply.headers, reply.text()));
        }
    }
    let request = signed("/model/e/converse", "bedrock", "canary-other", SystemTime::now(), CONVERSE);
    let reply = send(&gateway, request).await;
    outputs.push(format!("{:?} {}", reply.headers, reply.text()));
    // The log is written in the background.
    drop(gateway);
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline
        && std::fs::read_to_string(&log).map_or(0, |text| text.lines().count()) < 7
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let text = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(text.lines().count(), 7, "one record for each request: {text}");
    outputs.push(text);
    for output in outputs {
        assert!(!output.contains("canary"), "{output}");
    }
    std::fs::remove_dir_all(&folder).expect("it is removed");
}

#[tokio::test]
async fn fault_41_no_response_of_another_key() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let mut settings = config(vec![model(&emulator, "e", Api::OpenAi)]);
    settings.cache = Some(Cache::default());
    settings.keys = ["a", "b"]
        .map(|name| {
            let mut key = Key::new(name);
            key.hash = Some(Sha256::digest(name).into());
            key
        })
        .to_vec();
    let gateway = Gateway::new(settings).await.expect("a gateway");
    let body = r#"{"model":"e","temperature":0,"messages":[{"role":"user","content":"hi"}]}"#;
    for (key, hit) in [("a", ""), ("b", ""), ("a", "hit"), ("b", "hit")] {
        let reply =
            send_raw(&gateway, "/v1/chat/completions", body, &[("authorization", &format!("Bearer {key}"))])
                .await;
        assert_eq!((reply.status.as_u16(), reply.header("x-sagewire-cache")), (200, hit), "{key}");
    }
    assert_eq!(emulator.requests().len(), 2);
    // A stream that breaks is not kept.
    let broken = r#"{"rules":[{"times":1,"fault":{"hang_up":true,"after":900}},{}]}"#;
    let emulator = crate::common::emulator(ContainerFormat::default(), broken).await;
    let mut settings = config(vec![model(&emulator, "e", Api::OpenAi)]);
    settings.cache = Some(Cache::default());
    let gateway = Gateway::new(settings).await.expect("a gateway");
    let body = body.replace("\"temperature\":0", "\"temperature\":0,\"stream\":true");
    assert!(!post(&gateway, "/v1/chat/completions", &body).await.text().contains("[DONE]"));
    let reply = post(&gateway, "/v1/chat/completions", &body).await;
    assert!(reply.text().contains("[DONE]") && reply.header("x-sagewire-cache").is_empty());
}
