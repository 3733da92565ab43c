//! LMI with a dynamic batch: a JSON line of `outputs` for each step, without a terminal record.

use serde::Deserialize;

use super::echo::Echo;
use super::http::{ErrorResponse, JSON, JSON_LINES, OkResponse, Request};
use super::json::{Json, object};
use super::lmi::NEW_TOKENS;
use super::stop_criteria::StopCriteria;

/// Responds to one prompt or a batch.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let request: Generate =
        serde_json::from_slice(request.body).map_err(|error| error_response(&error.to_string()))?;
    let max = request.parameters.and_then(|parameters| parameters.max_new_tokens).unwrap_or(NEW_TOKENS);
    let prompts = match &request.inputs {
        Inputs::One(prompt) => std::slice::from_ref(prompt),
        Inputs::Batch(prompts) => prompts,
    };
    let criteria = StopCriteria::tokens(Some(max));
    let echoes: Vec<Echo> = prompts.iter().map(|prompt| Echo::new(prompt, &criteria)).collect();
    if request.stream {
        return Ok(OkResponse { content_type: JSON_LINES, body: lines(&echoes) });
    }
    let texts: Vec<Json> = echoes.iter().map(|echo| object! { "generated_text": echo.text() }).collect();
    Ok(OkResponse { content_type: JSON, body: format!("{:#}", Json::from(texts)) })
}

#[derive(Deserialize)]
struct Generate {
    inputs: Inputs,
    parameters: Option<Parameters>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Parameters {
    max_new_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inputs {
    One(String),
    Batch(Vec<String>),
}

/// Each line has one token of every output, and an empty text for those that have ended.
fn lines(echoes: &[Echo]) -> String {
    let mut answers: Vec<_> = echoes.iter().map(Echo::tokens).collect();
    let steps = echoes.iter().map(Echo::count).max().unwrap_or_default();
    let line = |_| {
        let texts = answers.iter_mut().map(|tokens| tokens.next().map_or("", |token| token.text));
        format!("{:#}\n", object! { "outputs": texts.map(Json::from).collect::<Vec<_>>() })
    };
    (0..steps).map(line).collect()
}

fn error_response(why: &str) -> ErrorResponse {
    let body = object! { "code": 424_usize, "message": "invoke handler failure", "error": why };
    ErrorResponse { status: 424, body: format!("{body:#}") }
}
