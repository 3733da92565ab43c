//! Errors of services and containers: their meaning, their form in every API, and whether they are retryable.

mod common;

use bytes::Bytes;
use common::decode;
use sagewire_codec::model::ResponseOptions;
use sagewire_codec::{Api, HttpError, Options};
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
