//! JumpStart's older containers: text-to-text, Llama 2's dialogs, and Hugging Face's pipelines. None of them streams.

use serde::Deserialize;
use serde_json::Value;

use super::chat::Message;
use super::echo::Echo;
use super::http::{Answer, Refusal, Request};
use super::json::{Json, object};
use super::until::Until;

/// What Llama 2 says to those who have not accepted its licence.
const EULA: &str = "Need to pass custom_attributes='accept_eula=true' as part of header. This means you have read and \
                    accept the end-user license agreement (EULA) of the model. EULA can be found in model card \
                    description or from https://ai.meta.com/resources/models-and-libraries/llama-downloads/.";

/// Answers by the members of the body, or by its content type.
pub(super) fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    if request.is_of_type("application/x-text") {
        let prompt = std::str::from_utf8(request.body).map_err(|error| refuse(&error.to_string()))?;
        return Ok(Answer::json(&object! { "generated_text": Echo::new(prompt, &Until::default()).text() }));
    }
    let value: Value = serde_json::from_slice(request.body).map_err(|error| refuse(&error.to_string()))?;
    if value.get("text_inputs").is_some() {
        let request = TextToText::deserialize(&value).map_err(|error| refuse(&error.to_string()))?;
        return Ok(Answer::json(&request.answer()));
    }
    if value["inputs"][0].is_array() {
        let dialogs = Dialogs::deserialize(&value).map_err(|error| fail(&error.to_string()))?;
        return dialogs.answer(request.custom_attributes);
    }
    match Pipeline::deserialize(&value) {
        Ok(pipeline) => Ok(Answer::json(&pipeline.answer())),
        Err(_) => Err(refuse(
            "text input must be of type `str` (single example), `List[str]` (batch or single pretokenized example) or \
             `List[List[str]]` (batch of pretokenized examples).",
        )),
    }
}

/// Parameters stand beside the prompt.
#[derive(Deserialize)]
struct TextToText {
    text_inputs: String,
    max_length: Option<u64>,
    num_return_sequences: Option<usize>,
}

impl TextToText {
    fn answer(&self) -> Json {
        let echo = Echo::new(&self.text_inputs, &Until::tokens(self.max_length));
        object! { "generated_texts": copies(self.num_return_sequences, || echo.text().into()) }
    }
}

/// A list of dialogs, which may have no more than one.
#[derive(Deserialize)]
struct Dialogs {
    inputs: Vec<Vec<Message>>,
    #[serde(default)]
    parameters: Parameters,
}

impl Dialogs {
    fn answer(&self, custom_attributes: &str) -> Result<Answer, Refusal> {
        // The last of several values counts.
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
        let echo = Message::echo(dialog, &self.parameters.until());
        // Its answers begin with a space.
        let message = object! { "role": "assistant", "content": format!(" {}", echo.text()) };
        Ok(Answer::json(&Json::from([object! { "generation": message }])))
    }
}

/// Hugging Face's text generation, which repeats the prompt unless it is told not to.
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
    fn until(&self) -> Until {
        Until::tokens(self.max_new_tokens)
    }
}

impl Pipeline {
    /// A list of answers; for a list of prompts, a list of such lists.
    fn answer(&self) -> Json {
        match &self.inputs {
            Inputs::One(prompt) => self.answers(prompt),
            Inputs::Batch(prompts) => {
                prompts.iter().map(|prompt| self.answers(prompt)).collect::<Vec<_>>().into()
            }
        }
    }

    fn answers(&self, prompt: &str) -> Json {
        let echo = Echo::new(prompt, &self.parameters.until());
        let prefix = if self.parameters.return_full_text.unwrap_or(true) { prompt } else { "" };
        let text = format!("{prefix}{}", echo.text());
        copies(self.parameters.num_return_sequences, || object! { "generated_text": &text })
    }
}

/// As many answers as were asked for, within reason.
fn copies(count: Option<usize>, answer: impl Fn() -> Json) -> Json {
    (0..count.unwrap_or(1).clamp(1, 64)).map(|_| answer()).collect::<Vec<_>>().into()
}

/// What the Multi Model Server under Hugging Face's toolkit says.
fn refuse(why: &str) -> Refusal {
    let (kind, message) = (Json::from("InternalServerException"), Json::from(why));
    let body = format!("{{\n  \"code\": 400,\n  \"type\": {kind},\n  \"message\": {message}\n}}\n");
    Refusal { status: 400, body }
}

/// What DJL Serving under Llama 2 says.
fn fail(why: &str) -> Refusal {
    let (message, error) = (Json::from("prediction failure"), Json::from(why));
    let body = format!("{{\n  \"code\":424,\n  \"message\":{message},\n  \"error\":{error}\n}}");
    Refusal { status: 424, body }
}
