//! Embedding requests and responses.

use sagewire_codec::embeddings::{Encoding, Pooling, Reading, Request, RequestShape, Response};
use sagewire_codec::model::ResponseOptions;
use serde_json::Value;
use serde_json::value::RawValue;

use super::seeded;

const TARGETS: [RequestShape; 8] = [
    RequestShape::OpenAi,
    RequestShape::Inputs,
    RequestShape::TextInputs { mode: false },
    RequestShape::TextInputs { mode: true },
    RequestShape::TextList,
    RequestShape::Text,
    RequestShape::Cohere,
    RequestShape::Voyage,
];

/// Embeddings. The first byte selects request or response, and the format. Never panics; the output is JSON; the number of
/// texts or vectors stays the same, and so do their values.
pub fn embeddings(data: &[u8]) {
    let (choice, body) = seeded(data);
    if choice % 2 == 0 {
        request(body);
    } else {
        let pooling = [None, Some(Pooling::Mean), Some(Pooling::First), Some(Pooling::Last)];
        let mut reading = Reading::new();
        reading.pooling = pooling[choice as usize / 2 % 4];
        reading.count = (choice >= 128).then_some(choice as usize % 8);
        response(body, reading);
    }
}

fn request(body: &[u8]) {
    let request = match Request::read(body) {
        Ok(request) => request,
        Err(error) => {
            assert!(error.is_invalid() && error.offset() <= body.len() as u64, "{error}");
            return;
        }
    };
    for target in TARGETS {
        let written = match request.write(target) {
            Ok(written) => written,
            Err(error) => {
                assert!(error.is_unsupported(), "{target:?}: {error:?}");
                assert_ne!(target, RequestShape::OpenAi, "every request is its own: {error}");
                continue;
            }
        };
        if target == RequestShape::Text {
            assert!(std::str::from_utf8(&written.bytes).is_ok());
            continue;
        }
        // Numbers in other fields may be larger than a float.
        serde_json::from_slice::<&RawValue>(&written.bytes)
            .unwrap_or_else(|error| panic!("{target:?}: {error}"));
        if target == RequestShape::OpenAi {
            assert!(written.losses.is_empty());
            assert_eq!(Request::read(&written.bytes).expect("its own"), request);
        } else if let Some(count) =
            serde_json::from_slice(&written.bytes).ok().and_then(|body| texts(target, &body))
        {
            assert_eq!(count, request.input.count(), "{target:?}");
        }
    }
}

/// The number of texts in a body; `None` for tokens.
fn texts(target: RequestShape, body: &Value) -> Option<usize> {
    let list = match target {
        RequestShape::TextList => body,
        RequestShape::Inputs => &body["inputs"],
        RequestShape::TextInputs { .. } => &body["text_inputs"],
        RequestShape::Cohere => &body["texts"],
        _ => &body["input"],
    };
    match list {
        Value::String(_) => Some(1),
        Value::Array(texts) if texts.iter().all(Value::is_string) => Some(texts.len()),
        _ => None,
    }
}

fn response(body: &[u8], reading: Reading) {
    let response = match Response::read(body, reading) {
        Ok(response) => response,
        Err(error) => {
            let is = [error.is_invalid(), error.is_unsupported(), error.failure().is_some()];
            assert_eq!(is.into_iter().filter(|is| *is).count(), 1, "{error:?}");
            return;
        }
    };
    if let Some(count) = reading.count {
        assert_eq!(response.vectors.len(), count);
    }
    let floats: Vec<_> = response.vectors.iter().map(|vector| vector.to_floats().ok()).collect();
    for encoding in [Encoding::Float, Encoding::Base64] {
        let Ok((written, _)) = response.write(encoding, &ResponseOptions::new().model("m")) else {
            // JSON has no infinity.
            let is_finite =
                |floats: &Option<Vec<f32>>| floats.iter().flatten().all(|float| float.is_finite());
            let can_be_written = !floats.contains(&None) && floats.iter().all(is_finite);
            assert!(!can_be_written, "what has numbers can be written");
            continue;
        };
        serde_json::from_slice::<&RawValue>(&written).expect("JSON");
        let again = Response::read(&written, Reading::new()).expect("its own");
        assert_eq!(again.vectors.len(), response.vectors.len());
        for (vector, floats) in again.vectors.iter().zip(&floats) {
            let Some(floats) = floats else { continue };
            let same = vector.to_floats().expect("its own");
            // NaN is not equal to itself, so the bits are compared.
            let bits = |floats: &[f32]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&same), bits(floats), "{encoding:?}");
        }
    }
}
