//! Text Generation Inference on `/invocations`: generation, its Messages API, and completions.
//!
//! The fields of the body select the API, in this order; the path does not.

mod generate;
mod messages;
mod shape;

use generate::Generate;
use messages::{Chat, Completion};
use serde::Deserialize;

use super::http::{ErrorResponse, JSON, OkResponse, Request};

/// Responds to a request of any of these APIs.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    if !request.is_of_type(JSON) {
        return Err(plain(415, "Expected request with `Content-Type: application/json`".into()));
    }
    let value: serde_json::Value = serde_json::from_slice(request.body)
        .map_err(|error| plain(400, format!("Failed to parse the request body as JSON: {error}")))?;
    match Invocation::deserialize(value) {
        Ok(Invocation::Generate(request)) => request.respond(),
        Ok(Invocation::Chat(chat)) => chat.respond(request.endpoint),
        Ok(Invocation::Completion(completion)) => Ok(completion.respond(request.endpoint)),
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

/// An error of the HTTP framework, in plain text.
fn plain(status: u16, body: String) -> ErrorResponse {
    ErrorResponse { status, body }
}
