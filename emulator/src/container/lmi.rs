//! LMI with a rolling batch: one JSON line a token, written by Python with its spaces.

use serde::Deserialize;
use serde_json::Value;

use super::chat::ChatRequest;
use super::echo::Echo;
use super::json::{Json, object};
use super::{Answer, CREATED, JSON, JSON_LINES, Refusal, Request};

/// Tokens of an answer to a request that does not say how many.
pub(super) const NEW_TOKENS: u64 = 30;

/// Answers a chat, or a prompt.
pub(super) fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    let value: Value = serde_json::from_slice(request.body).map_err(|error| refuse(&error.to_string()))?;
    if value.get("messages").is_some() {
        let chat = ChatRequest::deserialize(&value).map_err(|error| refuse(&error.to_string()))?;
        return Ok(answer_chat(&chat));
    }
    let request = Generate::deserialize(&value).map_err(|_| {
        refuse("TextEncodeInput must be Union[TextInputSequence, Tuple[InputSequence, InputSequence]]")
    })?;
    let parameters = request.parameters.unwrap_or_default();
    let echo = Echo::new(&request.inputs, Some(parameters.max_new_tokens.unwrap_or(NEW_TOKENS)));
    Ok(if request.stream {
        Answer { content_type: JSON_LINES, body: lines(&request.inputs, &parameters, &echo) }
    } else {
        Answer { content_type: JSON, body: format!("{:#}", whole(&request.inputs, &parameters, &echo)) }
    })
}

/// A prompt; two generations of LMI take it.
#[derive(Deserialize)]
pub(super) struct Generate {
    pub(super) inputs: String,
    pub(super) parameters: Option<Parameters>,
    #[serde(default)]
    pub(super) stream: bool,
}

#[derive(Default, Deserialize)]
pub(super) struct Parameters {
    pub(super) max_new_tokens: Option<u64>,
    #[serde(default)]
    pub(super) return_full_text: bool,
    #[serde(default)]
    pub(super) details: bool,
    pub(super) seed: Option<u64>,
}

impl Parameters {
    pub(super) fn generated_text(&self, inputs: &str, echo: &Echo) -> String {
        format!("{}{}", if self.return_full_text { inputs } else { "" }, echo.text())
    }
}

fn tokens(echo: &Echo) -> Vec<Json> {
    echo.tokens()
        .map(|token| object! { "id": token.id(), "text": token.text, "log_prob": token.logprob() })
        .collect()
}

fn details(inputs: &str, echo: &Echo) -> Json {
    object! {
        "finish_reason": echo.finish_reason("eos_token", "length"),
        "generated_tokens": echo.count(),
        "inputs": inputs,
    }
}

/// The line of the last token has the whole text too: that is the end.
fn lines(inputs: &str, parameters: &Parameters, echo: &Echo) -> String {
    let tokens = tokens(echo);
    let count = tokens.len();
    let line = |(at, token): (usize, Json)| {
        let is_last = at + 1 == count;
        let text = is_last.then(|| parameters.generated_text(inputs, echo));
        let details = (is_last && parameters.details).then(|| details(inputs, echo));
        format!("{:#}\n", object! { "token": token }.with("generated_text", text).with("details", details))
    };
    tokens.into_iter().enumerate().map(line).collect()
}

fn whole(inputs: &str, parameters: &Parameters, echo: &Echo) -> Json {
    let details = parameters.details.then(|| details(inputs, echo).with("tokens", Some(tokens(echo))));
    object! { "generated_text": parameters.generated_text(inputs, echo) }.with("details", details)
}

/// OpenAI's objects as bare lines: without a model, a usage, or a `[DONE]`.
fn answer_chat(request: &ChatRequest) -> Answer {
    let echo = request.echo();
    let id = format!("chatcmpl-{}", echo.number);
    let head = |object| object! { "id": &id, "object": object, "created": CREATED };
    let reason = echo.finish_reason("eos_token", "length");
    if !request.is_streamed() {
        let choice = object! {
            "index": 0_usize,
            "message": object! { "role": "assistant", "content": echo.text() },
            "logprobs": (),
            "finish_reason": reason,
        };
        let usage = object! {
            "prompt_tokens": echo.prompt_tokens,
            "completion_tokens": echo.count(),
            "total_tokens": echo.total_tokens(),
        };
        let body = head("chat.completion").with("choices", Some([choice])).with("usage", Some(usage));
        return Answer { content_type: JSON, body: format!("{body:#}") };
    }
    let count = echo.count();
    let line = |(at, text): (usize, &str)| {
        let role = (at == 0).then_some("assistant");
        let choice = object! {
            "index": 0_usize,
            "delta": object! { "content": text }.with("role", role),
            "logprobs": (),
            "finish_reason": (at + 1 == count).then_some(reason),
        };
        format!("{:#}\n", head("chat.completion.chunk").with("choices", Some([choice])))
    };
    let body = echo.tokens().map(|token| token.text).enumerate().map(line).collect();
    Answer { content_type: JSON_LINES, body }
}

fn refuse(why: &str) -> Refusal {
    let error = format!("Input Parsing failed. Ensure that the request payload is valid. {why}");
    Refusal { status: 424, body: format!("{:#}", object! { "error": error, "code": 424_usize }) }
}
