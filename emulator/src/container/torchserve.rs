//! A TorchServe handler that sends each piece of text as it is: no framing, and nothing at the end.

use serde::Deserialize;

use super::echo::Echo;
use super::http::{Answer, JSON, Refusal, Request};
use super::json::Json;
use super::until::Until;

/// Answers a prompt: the whole body, or one member of it if that is JSON.
pub(super) fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    let text = std::str::from_utf8(request.body).map_err(|_| refuse())?;
    let handled = if request.is_of_type(JSON) {
        serde_json::from_str(text).map_err(|_| refuse())?
    } else {
        Handled { prompt: text.into(), max_new_tokens: None }
    };
    if handled.prompt.is_empty() {
        return Err(refuse());
    }
    let echo = Echo::new(&handled.prompt, &Until::tokens(handled.max_new_tokens));
    Ok(Answer { content_type: "text/plain", body: echo.text().into() })
}

/// What this handler looks for.
#[derive(Deserialize)]
struct Handled {
    #[serde(alias = "inputs", alias = "data", alias = "text")]
    prompt: String,
    #[serde(alias = "max_tokens")]
    max_new_tokens: Option<u64>,
}

/// What TorchServe says when a handler raised an exception.
fn refuse() -> Refusal {
    let (kind, message) = (Json::from("InternalServerException"), Json::from("Prediction failed"));
    let body = format!("{{\n  \"code\": 503,\n  \"type\": {kind},\n  \"message\": {message}\n}}\n");
    Refusal { status: 503, body }
}
