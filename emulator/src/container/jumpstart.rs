//! JumpStart's older containers: text-to-text, Llama 2 dialogs, and Hugging Face pipelines. None of them streams.

use serde::Deserialize;
use serde_json::Value;

use super::chat::Message;
use super::echo::Echo;
use super::http::{ErrorResponse, OkResponse, Request};
use super::json::{Json, object};
use super::stop_criteria::StopCriteria;

/// Llama 2's error if the request does not accept its licence.
const EULA: &str = "Need to pass custom_attributes='accept_eula=true' as part of header. This means you have read and \
                    accept the end-user license agreement (EULA) of the model. EULA can be found in model card \
                    description or from https://ai.meta.com/resources/models-and-libraries/llama-downloads/.";

/// Responds according to the fields of the body, or its content type.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    if request.is_of_type("application/x-text") {
        let prompt = std::str::from_utf8(request.body).map_err(|error| error_response(&error.to_string()))?;
        return Ok(OkResponse::json(
            &object! { "generated_text": Echo::new(prompt, &StopCriteria::default()).text() },
        ));
    }
    let value: Value =
        serde_json::from_slice(request.body).map_err(|error| error_response(&error.to_string()))?;
    if value.get("text_inputs").is_some() {
        let request = TextToText::deserialize(&value).map_err(|error| error_response(&error.to_string()))?;
        return Ok(OkResponse::json(&request.respond()));
    }
    if value["inputs"][0].is_array() {
        let dialogs = Dialogs::deserialize(&value).map_err(|error| fail(&error.to_string()))?;
        return dialogs.respond(request.custom_attributes);
    }
    match Pipeline::deserialize(&value) {
        Ok(pipeline) => Ok(OkResponse::json(&pipeline.respond())),
        Err(_) => Err(error_response(
            "text input must be of type `str` (single example), `List[str]` (batch or single pretokenized example) or \
             `List[List[str]]` (batch of pretokenized examples).",
        )),
    }
}

/// A text-to-text request: parameters are next to the prompt.
#[derive(Deserialize)]
struct TextToText {
    text_inputs: String,
    max_length: Option<u64>,
    num_return_sequences: Option<usize>,
}

impl TextToText {
    fn respond(&self) -> Json {
        let echo = Echo::new(&self.text_inputs, &StopCriteria::tokens(self.max_length));
        object! { "generated_texts": copies(self.num_return_sequences, || echo.text().into()) }
    }
}

/// A list of dialogs, of which at most one is accepted.
#[derive(Deserialize)]
struct Dialogs {
    inputs: Vec<Vec<Message>>,
    #[serde(default)]
    parameters: Parameters,
}

impl Dialogs {
    fn respond(&self, custom_attributes: &str) -> Result<OkResponse, ErrorResponse> {
        // The last of several values is used.
        let mut attributes = custom_attributes.split(';').filter_map(|pair| pair.split_once('='));
        let accepted = attributes.rfind(|(name, _)| name.trim() == "accept_eula");
        if accepted.is_none_or(|(_, value)| value.trim() != "true") {
            return Err(fail(EULA));
        }
        let [dialog] = self.inputs.as_slice() else {
            return Err(fail("Batch size must be 1."));
        };
        let turns = match dialog.first() {
            Some(first) if first.role == "system" => &dialog[1..],
            _ => dialog,
        };
        let roles = ["user", "assistant"].into_iter().cycle();
        if turns.len() % 2 == 0 || turns.iter().zip(roles).any(|(turn, role)| turn.role != role) {
            return Err(fail(
                "model only supports 'system','user' and 'assistant' roles, starting with user and alternating \
                 (u/a/u/a/u...)",
            ));
        }
        let echo = Message::echo(dialog, &self.parameters.stop_criteria());
        // Its responses start with a space.
        let message = object! { "role": "assistant", "content": format!(" {}", echo.text()) };
        Ok(OkResponse::json(&Json::from([object! { "generation": message }])))
    }
}

/// Hugging Face's text generation pipeline, which repeats the prompt by default.
#[derive(Deserialize)]
struct Pipeline {
    inputs: Inputs,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Inputs {
    One(String),
    Batch(Vec<String>),
}

#[derive(Default, Deserialize)]
struct Parameters {
    max_new_tokens: Option<u64>,
    return_full_text: Option<bool>,
    num_return_sequences: Option<usize>,
}

impl Parameters {
    fn stop_criteria(&self) -> StopCriteria {
        StopCriteria::tokens(self.max_new_tokens)
    }
}

impl Pipeline {
    /// A list of outputs; for a list of prompts, a list of such lists.
    fn respond(&self) -> Json {
        match &self.inputs {
            Inputs::One(prompt) => self.answers(prompt),
            Inputs::Batch(prompts) => {
                prompts.iter().map(|prompt| self.answers(prompt)).collect::<Vec<_>>().into()
            }
        }
    }

    fn answers(&self, prompt: &str) -> Json {
        let echo = Echo::new(prompt, &self.parameters.stop_criteria());
        let prefix = if self.parameters.return_full_text.unwrap_or(true) { prompt } else { "" };
        let text = format!("{prefix}{}", echo.text());
        copies(self.parameters.num_return_sequences, || object! { "generated_text": &text })
    }
}

/// The requested number of outputs, up to a bound.
fn copies(count: Option<usize>, answer: impl Fn() -> Json) -> Json {
    (0..count.unwrap_or(1).clamp(1, 64)).map(|_| answer()).collect::<Vec<_>>().into()
}

/// The error of the Multi Model Server, which runs Hugging Face's toolkit.
fn error_response(why: &str) -> ErrorResponse {
    let (kind, message) = (Json::from("InternalServerException"), Json::from(why));
    let body = format!("{{\n  \"code\": 400,\n  \"type\": {kind},\n  \"message\": {message}\n}}\n");
    ErrorResponse { status: 400, body }
}

/// The error of DJL Serving, which runs Llama 2.
fn fail(why: &str) -> ErrorResponse {
    let (message, error) = (Json::from("prediction failure"), Json::from(why));
    let body = format!("{{\n  \"code\":424,\n  \"message\":{message},\n  \"error\":{error}\n}}");
    ErrorResponse { status: 424, body }
}
