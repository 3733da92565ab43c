//! Triton with its generate extension, and an ensemble of TensorRT-LLM behind it.

use serde::Deserialize;

use super::echo::Echo;
use super::http::{Answer, EVENTS, Refusal, Request, push_event};
use super::json::{Json, object};
use super::until::{Stop, Until};

const MODEL: &str = "ensemble";

/// Answers one prompt.
pub(super) fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    let request: Generate = serde_json::from_slice(request.body).map_err(|error| refuse(&error))?;
    let Some(prompt) = &request.text_input else {
        return Err(refuse(&format_args!(
            "expected 1 inputs but got 0 inputs for model '{MODEL}'. Got input(s) [], but missing required input(s) \
             ['text_input']. Please provide all required input(s)."
        )));
    };
    let echo = Echo::new(prompt, &request.until());
    if !request.stream && !request.parameters.stream {
        return Ok(Answer::json(&record(echo.text())));
    }
    let mut body = String::new();
    // The sequence never ends: none was begun.
    echo.tokens().for_each(|token| push_event(None, record(token.text), &mut body));
    Ok(Answer { content_type: EVENTS, body })
}

/// Inputs of the model may stand at the top, or among the parameters.
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
    fn until(&self) -> Until {
        let stop = self.stop_words.as_ref().or(self.parameters.stop_words.as_ref());
        Until::tokens(self.max_tokens.or(self.parameters.max_tokens)).stop(stop)
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

fn refuse(why: &dyn std::fmt::Display) -> Refusal {
    Refusal::json(400, &object! { "error": why.to_string() })
}
