//! Any request gets a response in the shape of its door: nothing panics, hangs or is forwarded by mistake.

mod common;

use bytes::Bytes;
use common::{ECHO, config, emulator, model, send};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use proptest::prelude::*;
use sagewire_codec::Api;
use sagewire_emulator::ContainerFormat;
use sagewire_gateway::Gateway;
use sagewire_gateway::config::{Key, KeyPair, Secret};
use sha2::{Digest, Sha256};

fn path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/models",
        "/v1/models/e",
        "/model/e/converse",
        "/model/e/converse-stream",
        "/model/e/invoke",
        "/model/e/invoke-with-response-stream",
        "/endpoints/e/invocations",
        "/endpoints/e/invocations-response-stream",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "/[ -~]{0,40}", 1 => "/(model|endpoints|v1)/[a-z%0-9:;/.]{0,30}"]
}

fn body() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        Just(r#""model":"e""#.to_owned()),
        Just(r#""stream":true"#.to_owned()),
        Just(r#""max_tokens":9"#.to_owned()),
        Just(r#""anthropic_version":"x""#.to_owned()),
        Just(r#""messages":[{"role":"user","content":"hi"}]"#.to_owned()),
        Just(r#""messages":[{"role":"user","content":[{"text":"hi"}]}]"#.to_owned()),
        Just(r#""messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"a"}]}]"#.to_owned()),
        Just(r#""input":["a",1,null]"#.to_owned()),
        Just(r#""input":"hi""#.to_owned()),
        Just(r#""prompt":"hi""#.to_owned()),
        "\"[a-z_]{1,12}\":(null|true|-?[0-9]{1,20}|\"[a-z]{0,9}\"|\\[\\]|\\{\\})",
    ];
    let object = prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")));
    prop_oneof![5 => object, 1 => ".{0,60}", 1 => Just(String::new())]
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let names = prop::sample::select(vec![
        "authorization",
        "x-api-key",
        "anthropic-version",
        "content-length",
        "content-type",
        "origin",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amzn-sagemaker-session-id",
        "x-stainless-retry-count",
        "amz-sdk-request",
        "cache-control",
        "x-sagewire-affinity",
    ]);
    let values = prop_oneof![
        Just("Bearer secret".to_owned()),
        Just("AWS4-HMAC-SHA256 Credential=AKSW/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00".to_owned()),
        "[ -~]{0,40}",
    ];
    prop::collection::vec((names.prop_map(str::to_owned), values), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_request_gets_a_response(
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::PUT, Method::OPTIONS, Method::HEAD]),
        path in path(),
        headers in headers(),
        body in body(),
        has_key in any::<bool>(),
    ) {
        let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let emulator = emulator(ContainerFormat::default(), ECHO).await;
            let mut settings = config(vec![model(&emulator, "e", Api::OpenAi)]);
            let mut key = Key::new("team");
            key.hash = Some(Sha256::digest("secret").into());
            key.aws = Some(KeyPair::new("AKSW", Secret::new("x")));
            settings.keys = vec![key];
            let gateway = Gateway::new(settings).await.expect("a gateway");
            let mut request = Request::new(Full::new(Bytes::from(body)));
            (*request.method_mut(), *request.uri_mut()) = (method.clone(), uri);
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                    request.headers_mut().append(name, value);
                }
            }
            let secret = HeaderValue::from_static("Bearer secret");
            let is_known = has_key || request.headers().values().any(|value| *value == secret || *value == "secret");
            if has_key {
                request.headers_mut().insert("authorization", secret);
            }
            let reply = send(&gateway, request).await;
            assert!(!reply.header("x-request-id").is_empty());
            if !is_known && method != Method::OPTIONS {
                assert!([401, 403].contains(&reply.status.as_u16()), "{}: {}", reply.status, reply.text());
                assert!(emulator.requests().is_empty());
            }
            if reply.status.as_u16() >= 400 && method != Method::HEAD {
                let error = reply.json();
                assert!(error["error"]["message"].is_string() || error["message"].is_string() || error["Message"].is_string(), "{error}");
            }
            assert_ne!(reply.status.as_u16(), 500, "{}", reply.text());
        });
    }
}
