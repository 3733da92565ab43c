//! Global Inference Gateways.

use sagewire_emulator::{Emulator, Script, echo};
use serde_json::{Value, json};

use crate::client::{Reply, Request};
use crate::container::Container;

fn request(operation: &str, body: &Value) -> Request {
    let mut request = Request::new(&format!("/global-inference-gateway/abc1/{operation}"), &body.to_string());
    request.headers.push(("x-amzn-sagemaker-customer-identity-token", "secret.token"));
    request
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": "whatever"})
}

fn body(reply: &Reply) -> Value {
    serde_json::from_str(&reply.text()).unwrap()
}

#[tokio::test]
async fn the_operation_decides_whether_a_response_is_streamed() {
    let emulator = Emulator::builder().start().await.unwrap();
    let whole = request("invocations", &chat("m")).send(&emulator).await;
    assert_eq!(body(&whole)["choices"][0]["message"]["content"], echo("hi"));
    assert_eq!(
        (&body(&whole)["model"], whole.header("x-amzn-invoked-production-variant")),
        (&json!("m"), None)
    );

    let stream = request("invocations-response-stream", &chat("m")).send(&emulator).await;
    assert_eq!(stream.header("content-type"), Some("application/vnd.amazon.eventstream"));
    assert!(String::from_utf8(stream.parts()).unwrap().ends_with("data: [DONE]\n\n"));
    assert!(!stream.headers.iter().any(|(name, _)| name.starts_with("x-amzn-sagemaker")));
    let logged = format!("{:?}", emulator.requests());
    assert!(logged.contains("customer-identity-token") && !logged.contains("secret.token"));
}

#[tokio::test]
async fn requests_without_a_model_are_refused() {
    let emulator = Emulator::builder().start().await.unwrap();
    let twice = r#"{"model":"a","messages":[],"model":"b"}"#;
    let mut csv = request("invocations", &chat("m"));
    csv.headers[0] = ("content-type", "text/csv");
    let large = Request {
        body: format!("{}{}", chat("m"), " ".repeat(10 << 20)),
        ..request("invocations", &json!({}))
    };
    for (request, status, found) in [
        (request("invocations", &json!({})), 400, "model is required"),
        (request("invocations", &json!({"model": ""})), 400, "model is required"),
        (request("invocations", &json!([])), 400, "the body is no JSON object"),
        (Request { body: twice.into(), ..request("invocations", &json!({})) }, 400, "model is given twice"),
        (csv, 415, "application/json"),
        (large, 413, "10 MiB"),
        (
            Request { path: "/global-inference-gateway/A/invocations".into(), ..request("", &chat("m")) },
            400,
            "valid",
        ),
        (Request { secret: "wrong", ..request("invocations", &chat("m")) }, 403, ""),
    ] {
        let reply = request.send(&emulator).await;
        let message = body(&reply)["Message"].as_str().unwrap_or_default().to_owned();
        assert!(reply.status == status && message.contains(found), "{}: {message}", reply.status);
    }
}

#[tokio::test]
async fn errors_name_their_layer() {
    let script: Script = json!({"rules": [
        {"endpoint": "abc1", "status": 504, "times": 1},
        {"endpoint": "abc1", "status": 502, "message": "inference gateway (scheduler): 503 busy", "times": 1},
        {"endpoint": "abc1"},
    ]})
    .to_string()
    .parse()
    .unwrap();
    let emulator = Emulator::builder().script(script).start().await.unwrap();
    let unprompted = json!({"model": "m", "messages": []});
    let missing = Request {
        path: "/global-inference-gateway/other/invocations".into(),
        ..request("invocations", &chat("m"))
    };
    for (request, status, name, message) in [
        (
            request("invocations", &chat("m")),
            504,
            "GatewayTimeoutException",
            "Global Inference Gateway: timed out",
        ),
        (
            request("invocations", &chat("m")),
            502,
            "BadGatewayException",
            "inference gateway (scheduler): 503 busy",
        ),
        (
            request("invocations", &unprompted),
            502,
            "BadGatewayException",
            "inference gateway (model server): 400 {",
        ),
        (missing, 404, "ResourceNotFoundException", "Global Inference Gateway: the gateway does not exist"),
    ] {
        let reply = request.send(&emulator).await;
        assert_eq!((reply.status, reply.header("x-amzn-errortype")), (status, Some(name)));
        assert!(body(&reply)["Message"].as_str().unwrap().starts_with(message), "{}", reply.text());
        let resource = &body(&reply)["ResourceId"];
        assert_eq!(*resource, if status == 404 { json!("other") } else { Value::Null });
    }
}

#[tokio::test]
async fn a_real_container_gets_the_media_types_and_the_operation() {
    let container = Container::whole("400 Bad Request", "", &"é".repeat(200)).await;
    let mut stream = request("invocations-response-stream", &chat("m"));
    stream.headers.extend([("accept", "text/event-stream"), ("x-amzn-sagemaker-target-variant", "v")]);
    let reply = stream.send(&container.emulator().await).await;
    let quoted = format!("inference gateway (model server): 400 {}", "é".repeat(128));
    assert_eq!((reply.status, body(&reply)["Message"].as_str()), (502, Some(&*quoted)));
    let seen = container.requests().pop().unwrap();
    assert!(seen.contains("accept: text/event-stream\r\n") && seen.contains(r#""stream":true"#), "{seen}");
    assert!(!seen.contains("target-variant"), "{seen}");
    assert!(seen.contains("x-amzn-sagemaker-customer-identity-token: secret.token\r\n"), "{seen}");

    // An endpoint does not pass the token on.
    let container = Container::whole("200 OK", "", "{}").await;
    let mut plain = Request::unary("e", "{}");
    plain.headers.push(("x-amzn-sagemaker-customer-identity-token", "secret.token"));
    assert_eq!(plain.send(&container.emulator().await).await.status, 200);
    assert!(!container.requests().pop().unwrap().contains("secret.token"));
}
