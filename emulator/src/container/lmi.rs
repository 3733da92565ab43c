//! LMI with a rolling batch: one JSON line per token, with the spaces that Python writes.

use serde::Deserialize;
use serde_json::Value;

use super::chat::ChatRequest;
use super::echo::{Echo, Token};
use super::http::{CREATED, ErrorResponse, JSON, JSON_LINES, OkResponse, Request};
use super::json::{Json, object};
use super::stop_criteria::{Stop, StopCriteria};

/// Default number of new tokens.
pub(super) const NEW_TOKENS: u64 = 30;

/// Responds to a chat or a prompt.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let value: Value =
        serde_json::from_slice(request.body).map_err(|error| error_response(&error.to_string()))?;
    if value.get("messages").is_some() {
        let chat = ChatRequest::deserialize(&value).map_err(|error| error_response(&error.to_string()))?;
        return respond_chat(&chat);
    }
    let request = Generate::deserialize(&value).map_err(|_| {
        error_response(
            "TextEncodeInput must be Union[TextInputSequence, Tuple[InputSequence, InputSequence]]",
        )
    })?;
    let parameters = request.parameters.unwrap_or_default();
    let echo = Echo::new(&request.inputs, &parameters.stop_criteria(parameters.stop_sequences.as_ref()));
    Ok(if request.stream {
        OkResponse { content_type: JSON_LINES, body: lines(&request.inputs, &parameters, &echo) }
    } else {
        OkResponse { content_type: JSON, body: format!("{:#}", whole(&request.inputs, &parameters, &echo)) }
    })
}

/// A request with a prompt, which two generations of LMI accept.
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
    pub(super) stop_sequences: Option<Stop>,
    /// vLLM's name of `stop_sequences`.
    pub(super) stop: Option<Stop>,
}

impl Parameters {
    pub(super) fn stop_criteria(&self, stop: Option<&Stop>) -> StopCriteria {
        StopCriteria::tokens(Some(self.max_new_tokens.unwrap_or(NEW_TOKENS))).stop(stop)
    }

    pub(super) fn generated_text(&self, inputs: &str, echo: &Echo) -> String {
        format!("{}{}", if self.return_full_text { inputs } else { "" }, echo.text())
    }
}

/// A stop sequence is a token of its own, without text.
fn tokens(echo: &Echo) -> Vec<Json> {
    let end = echo.stopped_by().map(|stop| Token { text: stop });
    let end = end.map(|token| object! { "id": token.id(), "text": "", "log_prob": token.logprob() });
    echo.tokens()
        .map(|token| object! { "id": token.id(), "text": token.text, "log_prob": token.logprob() })
        .chain(end)
        .collect()
}

fn details(inputs: &str, echo: &Echo) -> Json {
    object! {
        "finish_reason": finish_reason(echo),
        "generated_tokens": echo.count(),
        "inputs": inputs,
    }
}

/// The line of the last token also has the whole text, which marks the end.
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

fn finish_reason(echo: &Echo) -> &'static str {
    echo.finish_reason("eos_token", "length", "stop_sequence")
}

/// OpenAI's objects as JSON lines, without model, usage or `[DONE]`.
fn respond_chat(request: &ChatRequest) -> Result<OkResponse, ErrorResponse> {
    let echo = request.echo(false);
    let echo =
        echo.map_err(|unknown| error_response(&format!("tool_choice: {} is none of the tools", unknown.0)))?;
    let id = format!("chatcmpl-{}", echo.number);
    let head = |object| object! { "id": &id, "object": object, "created": CREATED };
    if !request.is_streamed() {
        let choice = object! {
            "index": 0_usize,
            "message": message(&echo),
            "logprobs": (),
            "finish_reason": finish_reason(&echo),
        };
        let usage = object! {
            "prompt_tokens": echo.prompt_tokens,
            "completion_tokens": echo.count(),
            "total_tokens": echo.total_tokens(),
        };
        let body = head("chat.completion").with("choices", Some([choice])).with("usage", Some(usage));
        return Ok(OkResponse { content_type: JSON, body: format!("{body:#}") });
    }
    let end = echo.stopped_by().map(|_| "");
    let texts: Vec<&str> = echo.tokens().map(|token| token.text).chain(end).collect();
    let line = |(at, text): (usize, &&str)| {
        let role = (at == 0).then_some("assistant");
        let choice = object! {
            "index": 0_usize,
            "delta": delta(&echo, text).with("role", role),
            "logprobs": (),
            "finish_reason": (at + 1 == texts.len()).then(|| finish_reason(&echo)),
        };
        format!("{:#}\n", head("chat.completion.chunk").with("choices", Some([choice])))
    };
    let body = texts.iter().enumerate().map(line).collect();
    Ok(OkResponse { content_type: JSON_LINES, body })
}

fn message(echo: &Echo) -> Json {
    let Some(tool) = &echo.tool else {
        return object! { "role": "assistant", "content": echo.text() };
    };
    let call = object! {
        "id": format!("chatcmpl-tool-{}", echo.number),
        "type": "function",
        "function": object! { "name": &tool.name, "arguments": echo.text() },
    };
    object! { "role": "assistant", "content": "", "tool_calls": [call] }
}

/// Every delta repeats the tool name, and has neither an ID nor a type.
fn delta(echo: &Echo, text: &str) -> Json {
    let Some(tool) = &echo.tool else { return object! { "content": text } };
    let function = object! { "name": &tool.name, "arguments": text };
    object! { "tool_calls": [object! { "index": 0_usize, "function": function }] }
}

fn error_response(why: &str) -> ErrorResponse {
    let error = format!("Input Parsing failed. Ensure that the request payload is valid. {why}");
    ErrorResponse { status: 424, body: format!("{:#}", object! { "error": error, "code": 424_usize }) }
}
