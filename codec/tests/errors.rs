//! Errors of services and containers: what they mean, how every API says them, and whether to try again.

mod common;

use bytes::Bytes;
use common::decode;
use sagewire_codec::format::{ErrorKind, ServiceError};
use sagewire_codec::{Format, Options};
use serde_json::{Value, json};

fn vectors(kind: &str) -> Vec<Value> {
    let vectors = common::read_json(&common::testdata("errors.json"));
    let vectors = vectors[kind].as_array().cloned().expect("a list");
    for vector in &vectors {
        assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{} says why", vector["name"]);
    }
    vectors
}

fn read(vector: &Value) -> ServiceError {
    let status = vector["status"].as_u64().and_then(|status| status.try_into().ok()).expect("a status");
    ServiceError::read(
        status,
        vector["error_type"].as_str(),
        vector["body"].as_str().expect("a body").as_bytes(),
    )
}

fn name_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_request",
        ErrorKind::Authentication => "authentication",
        ErrorKind::Permission => "permission",
        ErrorKind::NotFound => "not_found",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::RateLimit => "rate_limit",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Server => "server",
        _ => "other",
    }
}

#[test]
fn answers() {
    let vectors = vectors("answers");
    for vector in &vectors {
        let error = read(vector);
        let found = json!({
            "status": error.status, "kind": name_of(error.kind), "name": error.name, "code": error.code,
            "message": error.message, "retryable": error.is_retryable(),
        });
        assert_eq!(found, vector["expected"], "{}", vector["name"]);
    }
    assert!(vectors.len() >= 60);
}

#[test]
fn written() {
    for vector in vectors("written") {
        let error = read(&vector);
        assert_eq!(vector["name"], name_of(error.kind));
        assert_eq!(vector["bedrock_name"], error.bedrock_name());
        for (name, format) in [
            ("openai", Format::OpenAi),
            ("anthropic", Format::Anthropic),
            ("bedrock", Format::Bedrock),
            ("tgi", Format::Generate),
        ] {
            let body = String::from_utf8(error.write(format)).expect("UTF-8");
            assert_eq!(Some(&*body), vector[name].as_str(), "{} {name}", vector["name"]);
        }
    }
}

/// Failures in the middle of a stream say so, too.
#[test]
fn streams() {
    for vector in vectors("streams") {
        let body = Bytes::from(vector["text"].as_str().expect("text").to_owned());
        let (_, ending) = decode(Options::new(), vec![body]);
        let error = ending.expect_err("a failure");
        let failure = error.failure().unwrap_or_else(|| panic!("{}: {error}", vector["name"]));
        assert_eq!(Some(failure.is_retryable()), vector["retryable"].as_bool(), "{}", vector["name"]);
    }
}
