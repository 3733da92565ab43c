//! `messages` and `prompt`: TGI's versions of OpenAI's APIs.

use serde::Deserialize;

use super::super::chat::{ChatRequest, CompletionRequest};
use super::super::echo::Echo;
use super::super::http::{CREATED, ErrorResponse, OkResponse, push_event};
use super::super::json::{Json, object};
use super::shape::{events, invalid};

const FINGERPRINT: &str = "3.3.6-native";

#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Chat(ChatRequest);

impl Chat {
    pub(super) fn respond(&self, endpoint: &str) -> Result<OkResponse, ErrorResponse> {
        let Self(request) = self;
        let is_valid = request.top_p.is_none_or(|value| value > 0.0 && value < 1.0);
        let echo = match is_valid {
            true => request.echo(true).map_err(|unknown| format!("Tool with name {} not found", unknown.0)),
            false => Err("`top_p` must be > 0.0 and < 1.0".into()),
        };
        if !request.is_streamed() {
            return match echo {
                Ok(echo) => Ok(OkResponse::json(&whole(endpoint, &echo))),
                Err(message) => Err(ErrorResponse::json(422, &invalid(&message))),
            };
        }
        let mut body = String::new();
        match echo {
            Ok(echo) => chunks(endpoint, &echo, request.wants_usage(), &mut body),
            Err(message) => {
                let message = format!("Input validation error: {message}");
                let error = object! { "message": message, "http_status_code": 422_usize };
                push_event(None, object! { "error": error }, &mut body);
            }
        }
        push_event(None, "[DONE]", &mut body);
        Ok(events(body))
    }
}

/// IDs are empty, and every chunk has the role.
fn chunks(endpoint: &str, echo: &Echo, wants_usage: bool, body: &mut String) {
    let head = || head("chat.completion.chunk", endpoint);
    let mut push = |delta: Json, finish_reason: Option<&str>| {
        let choice = object! {
            "index": 0_usize,
            "delta": delta,
            "logprobs": (),
            "finish_reason": finish_reason,
        };
        push_event(None, head().with("choices", Some([choice])).with("usage", Some(())), body);
    };
    let text = |text: &str| object! { "role": "assistant", "content": text };
    let count = echo.count();
    for (at, token) in echo.tokens().enumerate() {
        // If the output was truncated, its last token has the finish reason; else an extra chunk without text has it.
        let reason = (at + 1 == count && !echo.is_done()).then(|| finish_reason(echo));
        match &echo.tool {
            Some(tool) => push(call(&tool.name, at, token.text), reason),
            None => push(text(token.text), reason),
        }
    }
    // A tool call has no such chunk.
    if echo.is_done() && echo.tool.is_none() {
        push(text(""), Some(finish_reason(echo)));
    }
    if wants_usage {
        let none: [Json; 0] = [];
        push_event(None, head().with("choices", Some(none)).with("usage", Some(usage(echo))), body);
    }
}

/// A delta of a tool call: every chunk has the ID, the first has the name.
fn call(name: &str, at: usize, arguments: &str) -> Json {
    let function = object! { "name": (at == 0).then_some(name), "arguments": arguments };
    let call = object! { "index": 0_usize, "id": "0", "type": "function", "function": function };
    object! { "role": "assistant", "content": (), "tool_calls": [call] }
}

/// A tool call does not change the finish reason.
fn finish_reason(echo: &Echo) -> &'static str {
    echo.finish_reason("stop", "length", "stop_sequence")
}

fn whole(endpoint: &str, echo: &Echo) -> Json {
    let message = match &echo.tool {
        Some(tool) => {
            let function = object! { "description": (), "name": &tool.name, "arguments": echo.text() };
            let call = object! { "id": "0", "type": "function", "function": function };
            object! { "role": "assistant", "tool_calls": [call] }
        }
        None => object! { "role": "assistant", "content": echo.text() },
    };
    let choice = object! {
        "index": 0_usize,
        "message": message,
        "logprobs": (),
        "finish_reason": finish_reason(echo),
    };
    head("chat.completion", endpoint).with("choices", Some([choice])).with("usage", Some(usage(echo)))
}

fn head(object: &str, endpoint: &str) -> Json {
    object! {
        "object": object,
        "id": "",
        "created": CREATED,
        "model": endpoint,
        "system_fingerprint": FINGERPRINT,
    }
}

/// The end-of-sequence token is counted.
fn usage(echo: &Echo) -> Json {
    let count = echo.count() + usize::from(echo.is_done());
    object! {
        "prompt_tokens": echo.prompt_tokens,
        "completion_tokens": count,
        "total_tokens": echo.prompt_tokens + count,
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Completion(CompletionRequest);

impl Completion {
    pub(super) fn respond(&self, endpoint: &str) -> OkResponse {
        let Self(request) = self;
        let echoes = request.echoes(None, true);
        let head = || head("text_completion", endpoint);
        let choice = |index: usize, text: &str, finish_reason: &str| {
            object! { "index": index, "text": text, "logprobs": (), "finish_reason": finish_reason }
        };
        let reason = |echo: &Echo| echo.finish_reason("eos_token", "length", "stop_sequence");
        if !request.is_streamed() {
            let choices = echoes.iter().enumerate();
            let choices: Vec<Json> =
                choices.map(|(index, echo)| choice(index, echo.text(), reason(echo))).collect();
            let usage = echoes.first().map(usage);
            return OkResponse::json(&head().with("choices", Some(choices)).with("usage", usage));
        }
        let mut body = String::new();
        for (index, echo) in echoes.iter().enumerate() {
            for token in echo.tokens() {
                // An empty string instead of null before the end.
                let choice = choice(index, token.text, "");
                push_event(None, head().with("choices", Some([choice])).with("usage", Some(())), &mut body);
            }
            let choice = choice(index, "", reason(echo));
            push_event(
                None,
                head().with("choices", Some([choice])).with("usage", Some(usage(echo))),
                &mut body,
            );
        }
        push_event(None, "[DONE]", &mut body);
        events(body)
    }
}
