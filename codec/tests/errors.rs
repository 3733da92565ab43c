//! Errors of services and containers: their meaning, their form in every API, and whether they are retryable.

mod common;

use bytes::Bytes;
use common::decode;
use sagewire_codec::model::ResponseOptions;
use sagewire_codec::{Api, HttpError, HttpErrorKind, Options};
use serde_json::{Value, json};

/// The vectors that have a field of this name: `body` with a status, or `text` of a stream.
fn vectors(own: &str) -> Vec<(String, Value)> {
    common::vectors_with("errors.json", own)
}

/// The properties of an error that the vector lists.
fn said(error: &HttpError, expected: &Value) -> Value {
    let mut found = json!({
        "status": error.status, "kind": format!("{:?}", error.kind), "name": error.name, "message": error.message,
        "code": error.code, "param": error.param, "retryable": error.is_retryable(),
    });
    found.as_object_mut().expect("an object").retain(|name, _| expected.get(name).is_some());
    found
}

/// The body of an error. If the vector has the body as text, the comparison is byte for byte.
fn body(error: &HttpError, format: Api, expected: &Value) -> Value {
    let text = String::from_utf8(error.write(format)).expect("UTF-8");
    if expected.is_string() { text.into() } else { serde_json::from_str(&text).expect("JSON") }
}

fn write(error: &HttpError, format: &str, expected: &Value) -> Value {
    match format {
        "openai" => body(error, Api::OpenAi, expected),
        "anthropic" => body(error, Api::Anthropic, expected),
        "bedrock" => json!([error.bedrock_name(), body(error, Api::Converse, &expected[1])]),
        "tgi" => body(error, Api::TextGeneration, expected),
        "sagemaker" => {
            let body = String::from_utf8(error.write_sagemaker(Api::OpenAi)).expect("UTF-8");
            let body: Value = serde_json::from_str(&body).expect("JSON");
            json!([error.sagemaker_status(), error.sagemaker_name(), body])
        }
        "statuses" => json!([Api::OpenAi, Api::Anthropic, Api::Converse].map(|api| error.status_for(api))),
        other => panic!("{other}"),
    }
}

#[test]
fn error_responses() {
    let vectors = vectors("body");
    for (name, vector) in &vectors {
        let status = vector["status"].as_u64().and_then(|status| status.try_into().ok());
        let body = vector["body"].as_str().expect("a body").as_bytes();
        let error = HttpError::read(status.expect("a status"), vector["header"].as_str(), body);
        assert_eq!(said(&error, &vector["error"]), vector["error"], "{name}");
        for (format, written) in vector["written"].as_object().into_iter().flatten() {
            assert_eq!(write(&error, format, written), *written, "{name} in {format}");
        }
    }
    assert!(vectors.len() >= 130, "{}", vectors.len());
}

/// Errors of a proxy itself: the table of what each client gets.
#[test]
fn made_errors() {
    let kinds = [
        HttpErrorKind::InvalidRequest,
        HttpErrorKind::Authentication,
        HttpErrorKind::Signature,
        HttpErrorKind::Permission,
        HttpErrorKind::NotFound,
        HttpErrorKind::TooLarge,
        HttpErrorKind::RateLimit,
        HttpErrorKind::Billing,
        HttpErrorKind::NotReady,
        HttpErrorKind::Timeout,
        HttpErrorKind::Unavailable,
        HttpErrorKind::Server,
    ];
    let vectors = vectors("kind");
    assert_eq!(vectors.len(), kinds.len());
    for ((name, vector), kind) in vectors.iter().zip(kinds) {
        assert_eq!(vector["kind"], format!("{kind:?}"));
        let error = HttpError::new(kind, "m");
        for (format, written) in vector["written"].as_object().expect("bodies") {
            assert_eq!(write(&error, format, written), *written, "{name} in {format}");
        }
        // What a service wrote is read as the same kind by its name, where the name is not shared.
        let again = HttpError::read(error.sagemaker_status(), Some(error.sagemaker_name()), b"");
        let is_shared = matches!(kind, HttpErrorKind::NotFound | HttpErrorKind::Timeout);
        assert!(again.kind == kind || is_shared, "{name}: {again:?}");
        let again = HttpError::read(
            error.status_for(Api::Converse),
            Some(error.bedrock_name()),
            b"{\"message\":\"m\"}",
        );
        assert_eq!((again.kind, &*again.message), (kind, "m"), "{name}");
    }
}

/// An error of the container that is written as SageMaker does is read with its status and message again.
#[test]
fn model_errors_are_read_again() {
    for status in [400, 404, 422, 429, 500, 503] {
        let body = json!({"error": {"message": "boom", "type": "t", "code": null}}).to_string();
        let mut error = HttpError::read(status, None, body.as_bytes());
        error.resource_name = Some("llama".into());
        for api in [Api::OpenAi, Api::Anthropic, Api::Tgi] {
            let written = error.write_sagemaker(api);
            let again = HttpError::read(424, Some("ModelError"), &written);
            assert_eq!((again.status, &*again.message), (status, "boom"), "{api}");
            assert_eq!(again.is_retryable(), error.is_retryable(), "{api}");
            assert!(String::from_utf8_lossy(&written).contains(&format!("error ({status}) from llama")));
        }
    }
}

/// Failures in the middle of a stream: their meaning, whether they are retryable, and the ending of the converted stream.
#[test]
fn streams() {
    let vectors = vectors("text");
    for (name, vector) in &vectors {
        let text = vector["text"].as_str().expect("text");
        let (_, ending) = decode(Options::new(), vec![Bytes::from(text.to_owned())]);
        let error = ending.expect_err("a failure");
        let failure = error.failure().unwrap_or_else(|| panic!("{name}: {error}"));
        for (own, found) in
            [("error", json!(failure.to_string())), ("retryable", json!(failure.is_retryable()))]
        {
            assert!(vector.get(own).is_none_or(|expected: &Value| *expected == found), "{name}: {found}");
        }
        for (format, written) in vector["written"].as_object().into_iter().flatten() {
            let target = common::target(format);
            let (out, _, ending) = common::transcode(target, ResponseOptions::new(), text);
            assert_eq!(ending, Err(error.clone()), "{name} in {format}");
            assert_eq!(common::records(target, &out), std::slice::from_ref(written), "{name} in {format}");
        }
    }
    assert!(vectors.len() >= 40, "{}", vectors.len());
}
