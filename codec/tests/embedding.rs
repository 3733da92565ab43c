//! Embeddings: requests and responses of containers.

mod common;

use sagewire_codec::ConvertError;
use sagewire_codec::embeddings::{Encoding, Pooling, Reading, Request, RequestShape, Response, Vector};
use sagewire_codec::model::{Losses, ResponseOptions};
use serde_json::Value;

fn vectors(kind: &str) -> Vec<Value> {
    let vectors = common::read_json(&common::testdata("embeddings.json"));
    let vectors = vectors[kind].as_array().cloned().expect("a list");
    for vector in &vectors {
        assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{} says why", vector["name"]);
    }
    vectors
}

fn check_losses(name: &Value, losses: &Losses, vector: &Value) {
    let losses: Vec<_> = losses.as_slice().iter().map(|loss| Value::from(loss.to_string())).collect();
    assert_eq!(Value::from(losses), vector["losses"], "{name}");
}

fn check_error(name: &Value, error: &ConvertError, vector: &Value) {
    let expected = vector["error"].as_str().unwrap_or_else(|| panic!("{name}: {error}"));
    assert!(error.to_string().contains(expected), "{name}: {error}");
}

#[test]
fn requests() {
    let vectors = vectors("requests");
    for vector in &vectors {
        let name = &vector["name"];
        let target = match vector["target"].as_str().expect("a target") {
            "openai" => RequestShape::OpenAi,
            "inputs" => RequestShape::Inputs,
            "text_inputs" => RequestShape::TextInputs { mode: false },
            "text_inputs_mode" => RequestShape::TextInputs { mode: true },
            "text_list" => RequestShape::TextList,
            "text" => RequestShape::Text,
            "cohere" => RequestShape::Cohere,
            "voyage" => RequestShape::Voyage,
            other => panic!("{other}"),
        };
        let body = vector["request"].as_str().expect("a request").as_bytes();
        match Request::read(body).and_then(|request| request.write(target)) {
            Ok(written) => {
                assert!(vector["error"].is_null(), "{name}: {written:?}");
                assert_eq!(
                    String::from_utf8_lossy(&written.bytes),
                    vector["body"].as_str().expect("a body"),
                    "{name}"
                );
                assert_eq!(written.media_type, vector["media_type"], "{name}");
                check_losses(name, &written.losses, vector);
            }
            Err(error) => check_error(name, &error, vector),
        }
    }
    assert!(vectors.len() >= 30);
}

/// OpenAI embedding requests read back unchanged.
#[test]
fn openai_requests_survive_a_round_trip() {
    for vector in vectors("requests") {
        let Ok(request) = Request::read(vector["request"].as_str().expect("a request").as_bytes()) else {
            continue;
        };
        let written = request.write(RequestShape::OpenAi).expect("every request");
        assert_eq!(Request::read(&written.bytes).expect("its own"), request, "{}", vector["name"]);
        assert!(written.losses.is_empty());
    }
}

fn convert(vector: &Value) -> Result<(Vec<u8>, Losses), ConvertError> {
    let mut reading = Reading::new();
    reading.count = vector["count"].as_u64().map(|count| count as usize);
    reading.pooling = vector["pooling"].as_str().map(|pooling| match pooling {
        "mean" => Pooling::Mean,
        "first" => Pooling::First,
        "last" => Pooling::Last,
        other => panic!("{other}"),
    });
    let encoding = if vector["base64"] == true { Encoding::Base64 } else { Encoding::Float };
    let context =
        if vector["no_model"] == true { ResponseOptions::new() } else { ResponseOptions::new().model("m") };
    Response::read(vector["response"].as_str().expect("a response").as_bytes(), reading)?
        .write(encoding, &context)
}

#[test]
fn responses() {
    let vectors = vectors("responses");
    for vector in &vectors {
        let name = &vector["name"];
        match convert(vector) {
            Ok((written, losses)) => {
                assert!(vector["error"].is_null(), "{name}: {}", String::from_utf8_lossy(&written));
                assert_eq!(
                    String::from_utf8_lossy(&written),
                    vector["openai"].as_str().expect("openai"),
                    "{name}"
                );
                check_losses(name, &losses, vector);
                // The output is JSON and reads back the same.
                assert!(serde_json::from_slice::<Value>(&written).is_ok(), "{name}");
                let again = Response::read(&written, Reading::new()).expect("its own");
                let encoding = if vector["base64"] == true { Encoding::Base64 } else { Encoding::Float };
                assert_eq!(
                    again.write(encoding, &ResponseOptions::new()).expect("numbers").0,
                    written,
                    "{name}"
                );
            }
            Err(error) => {
                check_error(name, &error, vector);
                let kinds = [error.is_invalid(), error.is_unsupported(), error.failure().is_some()];
                assert_eq!(kinds.into_iter().filter(|is| *is).count(), 1, "{name}: {error:?}");
            }
        }
    }
    assert!(vectors.len() >= 45);
}

/// No body causes a panic: every vector truncated, and with one byte changed.
#[test]
fn broken_bodies_are_errors() {
    for vector in vectors("responses") {
        let body = vector["response"].as_str().expect("a response").as_bytes();
        for at in 0..body.len() {
            let _ = Response::read(&body[..at], Reading::new().pooling(Pooling::Mean));
            for byte in [0, b'[', b']', b'"', b'9', 0xff] {
                let mut body = body.to_vec();
                body[at] = byte;
                if let Ok(response) = Response::read(&body, Reading::new().pooling(Pooling::Last)) {
                    let _ = response.write(Encoding::Base64, &ResponseOptions::new());
                }
            }
        }
    }
    let deep = "[".repeat(100_000);
    assert!(Response::read(deep.as_bytes(), Reading::new()).expect_err("deep").is_invalid());
    assert!(Request::read(format!("{{\"input\":{deep}").as_bytes()).expect_err("deep").is_limit());
}

/// The time for a hundred thousand fields does not grow quadratically.
#[test]
fn many_fields_take_linear_time() {
    let members: String = (0..100_000).map(|number| format!(",\"m{number}\":1")).collect();
    let body = format!("{{\"embeddings\":[[1]]{members}}}");
    let response = Response::read(body.as_bytes(), Reading::new()).expect("one vector");
    assert_eq!(response.losses.as_slice().len(), 100_000);
    let body = format!("{{\"input\":\"a\"{members}}}");
    let written = Request::read(body.as_bytes()).expect("a request").write(RequestShape::TextList);
    assert_eq!(written.expect("one text").losses.as_slice().len(), 100_000);
}

#[test]
fn vectors_have_their_values() {
    let body = br#"{"data":[{"embedding":[1.5,-2]},{"embedding":"AADAPwAAAMA="}]}"#;
    let response = Response::read(body, Reading::new()).expect("two vectors");
    for vector in &response.vectors {
        assert_eq!(vector.to_floats().expect("numbers"), [1.5, -2.0]);
    }
    assert_eq!(Vector::Floats(vec![0.5]).to_floats().expect("numbers"), [0.5]);
}
