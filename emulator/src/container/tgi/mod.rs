//! Text Generation Inference on `/invocations`: generation, its Messages API, and completions.
//!
//! Which of them is decided by the members of the body, in this order, and not by the path.

mod generate;
mod messages;
mod shape;

use generate::Generate;
use messages::{Chat, Completion};
use serde::Deserialize;

use super::http::{Answer, JSON, Refusal, Request};

/// Answers whatever the body is.
pub(super) fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    if !request.is_of_type(JSON) {
        return Err(plain(415, "Expected request with `Content-Type: application/json`".into()));
    }
    let value: serde_json::Value = serde_json::from_slice(request.body)
        .map_err(|error| plain(400, format!("Failed to parse the request body as JSON: {error}")))?;
    match Invocation::deserialize(value) {
        Ok(Invocation::Generate(request)) => request.answer(),
        Ok(Invocation::Chat(chat)) => chat.answer(request.endpoint),
        Ok(Invocation::Completion(completion)) => Ok(completion.answer(request.endpoint)),
        Err(_) => Err(plain(
            422,
            "Failed to deserialize the JSON body into the target type: data did not match any variant of untagged \
             enum SagemakerRequest"
                .into(),
        )),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Invocation {
    Generate(Generate),
    Chat(Chat),
    Completion(Completion),
}

/// The server's framework refuses in plain text.
fn plain(status: u16, body: String) -> Refusal {
    Refusal { status, body }
}
