//! A TorchServe handler that streams plain text, without framing or a terminal record.

use serde::Deserialize;

use super::echo::Echo;
use super::http::{ErrorResponse, JSON, OkResponse, Request};
use super::json::Json;
use super::stop_criteria::StopCriteria;

/// Responds to a prompt: the whole body, or a field of a JSON body.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let text = std::str::from_utf8(request.body).map_err(|_| error_response())?;
    let handled = if request.is_of_type(JSON) {
        serde_json::from_str(text).map_err(|_| error_response())?
    } else {
        Handled { prompt: text.into(), max_new_tokens: None }
    };
    if handled.prompt.is_empty() {
        return Err(error_response());
    }
    let echo = Echo::new(&handled.prompt, &StopCriteria::tokens(handled.max_new_tokens));
    Ok(OkResponse { content_type: "text/plain", body: echo.text().into() })
}

/// The fields that may have the prompt.
#[derive(Deserialize)]
struct Handled {
    #[serde(alias = "inputs", alias = "data", alias = "text")]
    prompt: String,
    #[serde(alias = "max_tokens")]
    max_new_tokens: Option<u64>,
}

/// TorchServe's error when a handler raises an exception.
fn error_response() -> ErrorResponse {
    let (kind, message) = (Json::from("InternalServerException"), Json::from("Prediction failed"));
    let body = format!("{{\n  \"code\": 503,\n  \"type\": {kind},\n  \"message\": {message}\n}}\n");
    ErrorResponse { status: 503, body }
}
