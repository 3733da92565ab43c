//! Text Embeddings Inference: the vector of a text follows from its bytes, so equal texts have equal vectors.
//!
//! Requests, responses and errors: <https://huggingface.github.io/text-embeddings-inference/>.

use serde::Deserialize;

use super::echo::hash;
use super::http::{ErrorResponse, OkResponse, Request};
use super::json::{Json, object};

/// Numbers of a vector.
const DIMENSIONS: usize = 16;
/// Default of `--max-client-batch-size`.
const BATCH_MAX: usize = 32;

#[derive(Deserialize)]
struct Embed {
    inputs: Inputs,
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inputs {
    One(String),
    Several(Vec<String>),
}

/// Responds with a vector for each text.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let body: Embed =
        serde_json::from_slice(request.body).map_err(|error| fail(422, "Validation", &error.to_string()))?;
    let texts = match body.inputs {
        Inputs::One(text) => vec![text],
        Inputs::Several(texts) => texts,
    };
    if texts.is_empty() {
        return Err(fail(400, "Empty", "`inputs` cannot be empty"));
    }
    if texts.len() > BATCH_MAX {
        let message = format!("batch size {} > maximum allowed batch size {BATCH_MAX}", texts.len());
        return Err(fail(413, "Validation", &message));
    }
    let dimensions = body.dimensions.unwrap_or(DIMENSIONS).clamp(1, DIMENSIONS);
    let vectors = texts.iter().map(|text| Json::from(vector(text, dimensions)));
    Ok(OkResponse::json(&Json::from(vectors.collect::<Vec<_>>())))
}

/// A vector of length 1.
fn vector(text: &str, dimensions: usize) -> Vec<Json> {
    let number = |index: usize| {
        let bits = hash(format!("{index} {text}").as_bytes());
        // The upper bits, as a number between -1 and 1.
        f64::from(u32::try_from(bits >> 32).unwrap_or_default()) / f64::from(u32::MAX) * 2.0 - 1.0
    };
    let numbers: Vec<f64> = (0..dimensions).map(number).collect();
    let length = numbers.iter().map(|number| number * number).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    numbers.iter().map(|number| Json::Number(number / length)).collect()
}

fn fail(status: u16, kind: &str, message: &str) -> ErrorResponse {
    ErrorResponse::json(status, &object! { "error": message, "error_type": kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_equal_vectors_of_length_1() {
        let respond = |body: &str| {
            let request =
                Request { endpoint: "e", content_type: "", custom_attributes: "", body: body.as_bytes() };
            respond(&request).map(|ok| ok.body).map_err(|error| (error.status, error.body))
        };
        let vectors: Vec<Vec<f64>> =
            serde_json::from_str(&respond(r#"{"inputs": ["a", "b", "a"]}"#).unwrap()).unwrap();
        assert_eq!((vectors.len(), vectors[0].len()), (3, DIMENSIONS));
        assert!(vectors[0] == vectors[2] && vectors[0] != vectors[1]);
        assert!((vectors[0].iter().map(|number| number * number).sum::<f64>() - 1.0).abs() < 1e-9);
        let one = respond(r#"{"inputs": "a", "dimensions": 4}"#).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Vec<f64>>>(&one).unwrap()[0].len(), 4);
        for (body, status) in [("{}", 422), (r#"{"inputs": []}"#, 400)] {
            let (found, body) = respond(body).unwrap_err();
            assert!(found == status && body.contains("error_type"), "{body}");
        }
    }
}
