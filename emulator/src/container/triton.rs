//! Triton with its generate extension, and an ensemble of TensorRT-LLM behind it.

use serde::Deserialize;

use super::echo::Echo;
use super::http::{EVENTS, ErrorResponse, OkResponse, Request, push_event};
use super::json::{Json, object};
use super::stop_criteria::{Stop, StopCriteria};

const MODEL: &str = "ensemble";

/// Responds to one prompt.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let request: Generate = serde_json::from_slice(request.body).map_err(|error| error_response(&error))?;
    let Some(prompt) = &request.text_input else {
        return Err(error_response(&format_args!(
            "expected 1 inputs but got 0 inputs for model '{MODEL}'. Got input(s) [], but missing required input(s) \
             ['text_input']. Please provide all required input(s)."
        )));
    };
    let echo = Echo::new(prompt, &request.stop_criteria());
    if !request.stream && !request.parameters.stream {
        return Ok(OkResponse::json(&record(echo.text())));
    }
    let mut body = String::new();
    // The request starts no sequence, so none ends.
    echo.tokens().for_each(|token| push_event(None, record(token.text), &mut body));
    Ok(OkResponse { content_type: EVENTS, body })
}

/// Inputs may be at the top level or among the parameters.
#[derive(Deserialize)]
struct Generate {
    text_input: Option<String>,
    max_tokens: Option<u64>,
    stop_words: Option<Stop>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    parameters: Parameters,
}

impl Generate {
    fn stop_criteria(&self) -> StopCriteria {
        let stop = self.stop_words.as_ref().or(self.parameters.stop_words.as_ref());
        StopCriteria::tokens(self.max_tokens.or(self.parameters.max_tokens)).stop(stop)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    max_tokens: Option<u64>,
    stop_words: Option<Stop>,
    stream: bool,
}

fn record(text: &str) -> Json {
    object! {
        "model_name": MODEL,
        "model_version": "1",
        "sequence_end": false,
        "sequence_id": 0_usize,
        "sequence_start": false,
        "text_output": text,
    }
}

fn error_response(why: &dyn std::fmt::Display) -> ErrorResponse {
    ErrorResponse::json(400, &object! { "error": why.to_string() })
}
