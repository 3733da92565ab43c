//! Faults 17 to 20, 49, 50: retries, cooldowns, endpoints that are not ready.

use std::time::{Duration, Instant};

use sagewire_codec::Api;
use sagewire_emulator::ContainerFormat;
use sagewire_gateway::Gateway;
use serde_json::json;

use crate::common::{config, emulator, gateway, model, post};
use crate::streams::DOORS;

const CHAT: &str = r#"{"model":"e","messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn fault_17_retries_do_not_multiply() {
    let emulator = emulator(ContainerFormat::default(), r#"{"rules":[{"status":500}]}"#).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    let reply = post(&gateway, "/v1/chat/completions", CHAT).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert_eq!(emulator.requests().len(), 2, "two attempts, whatever the transport would do");
    assert_eq!(reply.header("x-should-retry"), "false");
}

#[tokio::test]
async fn fault_18_retry_after_is_passed_on_in_all_spellings() {
    for (status, name) in [(429, "ThrottlingException"), (503, "ServiceUnavailable")] {
        let rule = json!({"rules": [{"status": status, "error_type": name, "retry_after": 7}]});
        let emulator = emulator(ContainerFormat::default(), &rule.to_string()).await;
        for (path, request, api) in DOORS {
            let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
            // Seven seconds are waited for within the time of the call: a shorter one is not.
            let mut config = config(vec![model(&emulator, "e", Api::OpenAi)]);
            config.routing.attempts = 1;
            drop(gateway);
            let gateway = Gateway::new(config).await.expect("a gateway");
            let reply = post(&gateway, path, request).await;
            assert_eq!(reply.header("retry-after"), "7", "{api}: {}", reply.text());
            assert_eq!((reply.header("retry-after-ms"), reply.header("x-amz-retry-after")), ("7000", "7000"));
        }
    }
}

#[tokio::test]
async fn fault_20_the_wait_is_what_the_last_error_said() {
    let rules = json!({"rules": [
        {"status": 503, "retry_after": 1, "times": 1},
        {"status": 200}
    ]});
    let emulator = emulator(ContainerFormat::default(), &rules.to_string()).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    let start = Instant::now();
    let reply = post(&gateway, "/v1/chat/completions", CHAT).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_request_of_one_caller_never_cools_an_endpoint_for_others() {
    let refused =
        json!({"status": 424, "original_status": 400, "times": 20, "body": "{\"message\":\"bad\"}"});
    let rules = json!({"rules": [refused, {"status": 200}]});
    let emulator = emulator(ContainerFormat::default(), &rules.to_string()).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    for _ in 0..20 {
        assert_eq!(post(&gateway, "/v1/chat/completions", CHAT).await.status, 400);
    }
    assert_eq!(post(&gateway, "/v1/chat/completions", CHAT).await.status, 200);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_out_and_says_when_to_come_again() {
    let emulator = emulator(ContainerFormat::default(), r#"{"rules":[{"status":500}]}"#).await;
    let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
    for _ in 0..2 {
        post(&gateway, "/v1/chat/completions", CHAT).await;
    }
    let calls = emulator.requests().len();
    let reply = post(&gateway, "/v1/chat/completions", CHAT).await;
    assert_eq!((reply.status.as_u16(), emulator.requests().len()), (503, calls), "{}", reply.text());
    assert!(!reply.header("retry-after").is_empty());
}

#[tokio::test]
async fn fault_49_the_gateway_waits_for_an_endpoint_that_is_scaled_to_zero() {
    let cold = json!({"status": 400, "error_type": "ValidationError", "times": 2, "retry_after": 1,
        "message": "Inference Component has no capacity to process this request."});
    let rules = json!({"rules": [cold, {"status": 200}]}).to_string();
    // Without the setting, the client is told to come again.
    let first = emulator(ContainerFormat::default(), &rules).await;
    let mut settings = config(vec![model(&first, "e", Api::OpenAi)]);
    settings.routing.attempts = 1;
    let gateway = Gateway::new(settings).await.expect("a gateway");
    let reply = post(&gateway, "/v1/chat/completions", CHAT).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(reply.header("retry-after"), "1");
    // With it, the gateway tries until the endpoint is ready.
    let second = emulator(ContainerFormat::default(), &rules).await;
    let mut settings = config(vec![model(&second, "e", Api::OpenAi)]);
    settings.models[0].wait = Some(Duration::from_secs(300));
    let gateway = Gateway::new(settings).await.expect("a gateway");
    let reply = post(&gateway, "/v1/chat/completions", CHAT).await;
    assert_eq!((reply.status.as_u16(), second.requests().len()), (200, 3), "{}", reply.text());
    // With pings meanwhile, so that nothing on the way closes the connection.
    let third = emulator(ContainerFormat::default(), &rules).await;
    let mut settings = config(vec![model(&third, "e", Api::OpenAi)]);
    settings.models[0].wait = Some(Duration::from_secs(300));
    settings.bounds.ping = Some(Duration::from_millis(300));
    settings.bounds.ping_before_response = true;
    let gateway = Gateway::new(settings).await.expect("a gateway");
    let reply = post(&gateway, "/v1/chat/completions", CHAT.replacen('{', "{\"stream\":true,", 1)).await;
    assert_eq!((reply.status.as_u16(), third.requests().len()), (200, 3), "{}", reply.text());
    let text = reply.text();
    assert!(text.starts_with(": ping\n\n") && text.matches(": ping\n\n").count() >= 4, "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn fault_50_refused_credentials_of_the_gateway_are_not_the_clients() {
    for (status, name) in
        [(403, "AccessDeniedException"), (403, "UnrecognizedClientException"), (400, "ExpiredTokenException")]
    {
        let rule = json!({"rules": [{"status": status, "error_type": name, "message": "User: arn:aws:iam::123456789012:user/secret is not authorized"}]});
        let emulator = emulator(ContainerFormat::default(), &rule.to_string()).await;
        for (path, request, api) in DOORS {
            let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
            let reply = post(&gateway, path, request).await;
            assert!(
                reply.status.is_server_error() || reply.status == 424,
                "{name} through {api}: {}",
                reply.status
            );
            assert!(!reply.text().contains("123456789012"), "{}", reply.text());
        }
    }
}
