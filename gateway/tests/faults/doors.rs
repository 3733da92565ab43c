//! Faults 26 to 39, 47, 48: HTTP, doors, what clients send.

use http::{Method, Request, StatusCode};
use http_body_util::Full;
use sagewire_codec::Api;
use sagewire_codec::embeddings::RequestShape;
use sagewire_emulator::ContainerFormat;
use sagewire_gateway::Gateway;
use sagewire_gateway::config::{Key, LossPolicy, ModelKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{ECHO, config, emulator, gateway, model, post, send, send_raw};

const CHAT: &str = r#"{"model":"e","messages":[{"role":"user","content":"hi"}]}"#;

/// A gateway with one key, `secret`, for the model `e`.
async fn with_key(emulator: &sagewire_emulator::Emulator) -> Gateway {
    let mut config = config(vec![model(emulator, "e", Api::OpenAi), model(emulator, "hidden", Api::OpenAi)]);
    let mut key = Key::new("team");
    key.hash = Some(Sha256::digest("secret").into());
    key.models = Some(vec!["e".into()]);
    config.keys = vec![key];
    config.cors = vec!["https://ui.example".into()];
    Gateway::new(config).await.expect("a gateway")
}

#[tokio::test]
async fn faults_26_27_browsers_may_ask_before_they_send() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = with_key(&emulator).await;
    let names = "authorization,content-type,x-stainless-lang,x-stainless-package-version,x-stainless-os,x-stainless-arch,x-stainless-runtime,x-stainless-runtime-version,x-stainless-async,x-stainless-retry-count,x-stainless-read-timeout,openai-organization";
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri("/v1/chat/completions")
        .header("origin", "https://ui.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", names);
    let reply = send(&gateway, preflight.body(Full::default()).expect("a request")).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert_eq!(reply.header("access-control-allow-origin"), "https://ui.example");
    assert_eq!(reply.header("access-control-allow-headers"), names);
    // Errors can be read, too, and other origins get nothing.
    let reply = send_raw(&gateway, "/v1/chat/completions", CHAT, &[("origin", "https://ui.example")]).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.header("access-control-allow-origin"), "https://ui.example");
    let reply = send_raw(&gateway, "/v1/chat/completions", CHAT, &[("origin", "https://evil.example")]).await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn faults_28_29_model_ids_of_bedrock() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let mut versioned = model(&emulator, "v", Api::OpenAi);
    versioned.name = "meta.llama-v1:0".into();
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi), versioned]).await;
    let body = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
    for id in [
        "e",
        "meta.llama-v1:0",
        "meta.llama-v1%3A0",
        "arn%3Aaws%3Asagemaker%3Aus-east-1%3A123456789012%3Aendpoint%2Fe",
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e",
    ] {
        let reply = post(&gateway, &format!("/model/{id}/converse"), body).await;
        assert_eq!(reply.status, 200, "{id}: {}", reply.text());
        assert!(
            reply.json()["output"]["message"]["content"][0]["text"]
                .as_str()
                .is_some_and(|text| text.contains("hi"))
        );
    }
}

#[tokio::test]
async fn fault_32_errors_have_the_shape_of_their_door() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = with_key(&emulator).await;
    let key = ("authorization", "Bearer secret");
    for (path, body, status, has_key) in [
        ("/v1/chat/completions", CHAT, 401, false),
        ("/v1/chat/completions", "{", 400, true),
        ("/v1/chat/completions", r#"{"model":"hidden","messages":[]}"#, 404, true),
        ("/v1/messages", CHAT, 401, false),
        ("/v1/messages", r#"{"model":"none","max_tokens":1,"messages":[]}"#, 404, true),
        ("/v1/messages/count_tokens", CHAT, 404, true),
        ("/v1/responses", "{", 400, true),
        ("/v1/nothing", "", 404, true),
        ("/v1/nothing", "", 401, false),
        ("/model/e/converse", "{", 400, true),
        ("/model/none/converse", r#"{"messages":[]}"#, 404, true),
        ("/model/e/nothing", "", 404, true),
        ("/endpoints/none/invocations", "{}", 400, true),
    ] {
        let headers: &[_] = if has_key { &[key] } else { &[] };
        let reply = send_raw(&gateway, path, body, headers).await;
        assert_eq!(reply.status.as_u16(), status, "{path} {body}: {}", reply.text());
        let error = reply.json();
        if path.starts_with("/model") || path.starts_with("/endpoints") {
            assert!(error["message"].is_string() || error["Message"].is_string(), "{error}");
            assert!(!reply.header("x-amzn-errortype").is_empty(), "{path}");
        } else if path.contains("messages") {
            assert_eq!(
                (&error["type"], error["error"]["type"].is_string()),
                (&json!("error"), true),
                "{error}"
            );
        } else {
            assert!(error["error"]["message"].is_string() && error["error"]["type"].is_string(), "{error}");
        }
    }
    // A model of another key and one that does not exist cannot be told apart.
    let texts = ["hidden", "absent"].map(|name| CHAT.replace("\"e\"", &format!("\"{name}\"")));
    let mut found = Vec::new();
    for (text, name) in texts.iter().zip(["hidden", "absent"]) {
        let reply = send_raw(&gateway, "/v1/chat/completions", text, &[key]).await;
        found.push((reply.status, reply.text().replace(name, "NAME")));
    }
    assert_eq!(found[0], found[1]);
    let wrong = Request::builder().method(Method::GET).uri("/v1/chat/completions").header(key.0, key.1);
    assert_eq!(send(&gateway, wrong.body(Full::default()).expect("a request")).await.status, 405);
}

#[tokio::test]
async fn fault_35_the_limit_of_the_body_is_exact_and_named() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let mut settings = config(vec![model(&emulator, "e", Api::OpenAi)]);
    settings.bounds.body = 4096;
    let gateway = Gateway::new(settings).await.expect("a gateway");
    let body = |len: usize| {
        let empty = CHAT.replace("hi", "");
        empty.replace("\"content\":\"\"", &format!("\"content\":\"{}\"", "x".repeat(len - empty.len())))
    };
    assert_eq!(post(&gateway, "/v1/chat/completions", body(4096)).await.status, 200);
    let calls = emulator.requests().len();
    for path in ["/v1/chat/completions", "/v1/messages", "/model/e/converse", "/endpoints/e/invocations"] {
        let reply = post(&gateway, path, body(4097)).await;
        assert_eq!(reply.status, 413, "{path}: {}", reply.text());
        assert!(reply.text().contains("4096"), "{}", reply.text());
    }
    assert_eq!(emulator.requests().len(), calls, "nothing was sent");
}

#[tokio::test]
async fn fault_36_headers_of_the_client_stay_here() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    let headers = [
        ("authorization", "Bearer canary-key"),
        ("connection", "authorization"),
        ("x-forwarded-for", "canary"),
        ("cookie", "canary"),
        ("x-amz-date", "canary"),
        ("x-amzn-sagemaker-target-variant", "canary"),
        ("user-agent", "canary"),
        ("traceparent", "canary"),
    ];
    assert_eq!(send_raw(&gateway, "/v1/chat/completions", CHAT, &headers).await.status, 200);
    let requests = emulator.requests();
    assert_eq!(requests.len(), 1);
    assert!(!format!("{:?}", requests[0]).contains("canary"), "{:?}", requests[0]);
}

#[tokio::test]
async fn fault_37_embeddings_are_encoded_as_requested() {
    use base64::Engine;

    let rule = json!({"rules": [{"body": "[[0.5,-1.0],[0.25,2.0]]", "content_type": "application/json"}]});
    let emulator = emulator(ContainerFormat::default(), &rule.to_string()).await;
    let mut tei = model(&emulator, "e", Api::OpenAi);
    tei.kind = ModelKind::Embeddings(RequestShape::Inputs);
    let gateway = gateway(vec![tei, model(&emulator, "chat", Api::OpenAi)]).await;
    let request = |format: &str| format!(r#"{{"model":"e","input":["a","b"]{format}}}"#);
    let floats = post(&gateway, "/v1/embeddings", request("")).await.json();
    assert_eq!(floats["data"][1]["embedding"], json!([0.25, 2.0]));
    // The SDKs ask for it unless they are told otherwise.
    let encoded = post(&gateway, "/v1/embeddings", request(r#","encoding_format":"base64""#)).await.json();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded["data"][0]["embedding"].as_str().expect("text"));
    let bytes = bytes.expect("Base64");
    let values: Vec<f32> =
        bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("4"))).collect();
    assert_eq!(values, [0.5, -1.0]);
    let sent: Value = serde_json::from_slice(&emulator.requests()[0].body).expect("JSON");
    assert_eq!(sent, json!({"inputs": ["a", "b"]}));
    let wrong = post(&gateway, "/v1/embeddings", request("").replace("\"e\"", "\"chat\"")).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
}

#[tokio::test]
async fn fault_38_dropped_parameters_are_reported_or_refused() {
    let emulator = emulator("anthropic".parse().expect("a format"), ECHO).await;
    let request = r#"{"model":"e","seed":7,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut settings = config(vec![model(&emulator, "e", Api::Anthropic)]);
    let report = Gateway::new(settings.clone()).await.expect("a gateway");
    let reply = post(&report, "/v1/chat/completions", request).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-sagewire-loss")), (200, "/seed"), "{}", reply.text());
    settings.losses = LossPolicy::Refuse;
    let refuse = Gateway::new(settings).await.expect("a gateway");
    let calls = emulator.requests().len();
    let reply = post(&refuse, "/v1/chat/completions", request).await;
    assert_eq!((reply.status.as_u16(), emulator.requests().len()), (400, calls));
    assert!(reply.text().contains("seed"), "{}", reply.text());
}

#[tokio::test]
async fn fault_39_no_spelling_of_a_path_gets_around_the_key() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = with_key(&emulator).await;
    for path in [
        "/v1/models",
        "//v1/models",
        "/v1//models",
        "/v1/%2e%2e/v1/models",
        "/v1/models;a=b",
        "/v1/models%00",
        "http://127.0.0.1:4001/metrics",
        "/metrics",
        "/livez",
        "/",
        "*",
    ] {
        let request = Request::builder().method(Method::GET).uri(path).header("host", "127.0.0.1:4001");
        let reply = send(&gateway, request.body(Full::default()).expect("a request")).await;
        assert_eq!(reply.status, 401, "{path}");
    }
}

#[tokio::test]
async fn fault_47_usage_is_what_the_container_said() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    let direct = post(&gateway, "/v1/chat/completions", CHAT).await.json();
    let expected = (direct["usage"]["prompt_tokens"].clone(), direct["usage"]["completion_tokens"].clone());
    assert!(expected.1.as_u64().is_some_and(|tokens| tokens > 10));
    let messages = r#"{"model":"e","max_tokens":999,"messages":[{"role":"user","content":"hi"}]}"#;
    let found = post(&gateway, "/v1/messages", messages).await.json();
    assert_eq!((found["usage"]["input_tokens"].clone(), found["usage"]["output_tokens"].clone()), expected);
    let converse = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
    let found = post(&gateway, "/model/e/converse", converse).await.json();
    assert_eq!((found["usage"]["inputTokens"].clone(), found["usage"]["outputTokens"].clone()), expected);
    let stream = post(&gateway, "/v1/messages", messages.replace("999", "999,\"stream\":true")).await.text();
    assert!(stream.contains(&format!("\"output_tokens\":{}", expected.1)), "{stream}");
}
