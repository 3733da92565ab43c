//! Amazon Nova's container for custom models: OpenAI's chat, with its own limits.

use serde::Deserialize;
use serde_json::Value;

use super::chat::ChatRequest;
use super::echo::Echo;
use super::http::{CREATED, ErrorResponse, OkResponse, Request, push_event};
use super::json::{Json, object};
use super::openai::{error_response, finish_reason, unknown_tool, usage};

/// Responds to a chat.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let value: Value =
        serde_json::from_slice(request.body).map_err(|error| error_response(&error.to_string(), None))?;
    check(&value)?;
    let chat = ChatRequest::deserialize(&value)
        .map_err(|error| error_response(&error.to_string(), Some("messages")))?;
    if chat.messages.is_empty() {
        return Err(error_response("messages must not be empty", Some("messages")));
    }
    let echo = chat.echo(false).map_err(|unknown| unknown_tool(&unknown))?;
    Ok(if chat.is_streamed() {
        OkResponse { content_type: "text/event-stream; charset=utf-8", body: stream(&echo) }
    } else {
        OkResponse::json(&whole(&echo))
    })
}

/// Checks the parameters that have limits of their own.
fn check(value: &Value) -> Result<(), ErrorResponse> {
    let effort = &value["reasoning_effort"];
    if !effort.is_null() && effort != "low" && effort != "high" {
        return Err(error_response("reasoning_effort must be one of: low, high", Some("reasoning_effort")));
    }
    let is_out_of = |name: &str, min: f64, max: f64| {
        value[name].as_f64().is_some_and(|number| !(min..=max).contains(&number))
    };
    for (name, min, max) in [("temperature", 0.0, 2.0), ("top_p", 1e-10, 1.0)] {
        if is_out_of(name, min, max) {
            return Err(error_response(&format!("{name} must be between {min} and {max}"), Some(name)));
        }
    }
    Ok(())
}

fn head(echo: &Echo, object: &str) -> Json {
    object! {
        "id": format!("chatcmpl-{:016x}", echo.number),
        "object": object,
        "created": CREATED,
        "model": "default",
    }
}

fn whole(echo: &Echo) -> Json {
    let message = object! {
        "role": "assistant",
        "content": echo.text(),
        "refusal": (),
        "tool_calls": Vec::new(),
        "reasoning_content": (),
    };
    let choice = object! {
        "index": 0_usize,
        "message": message,
        "logprobs": (),
        "finish_reason": finish_reason(echo),
        "stop_reason": echo.stopped_by(),
        "token_ids": (),
    };
    let usage = usage(std::slice::from_ref(echo), 1);
    head(echo, "chat.completion").with("choices", Some([choice])).with("usage", Some(usage))
}

/// Usage is in the chunk of the finish reason, whether it was requested or not.
fn stream(echo: &Echo) -> String {
    let mut body = String::new();
    let chunk = |delta: Json, end: Option<&Echo>| {
        let choice = object! {
            "index": 0_usize,
            "delta": delta,
            "logprobs": (),
            "finish_reason": end.map(finish_reason),
            "stop_reason": end.and_then(Echo::stopped_by),
            "token_ids": (),
        };
        head(echo, "chat.completion.chunk").with("choices", Some([choice]))
    };
    let start = object! { "role": "assistant", "content": "", "reasoning_content": () };
    push_event(None, chunk(start, None).with("prompt_token_ids", Some(())), &mut body);
    for token in echo.tokens() {
        push_event(None, chunk(object! { "content": token.text, "reasoning_content": () }, None), &mut body);
    }
    let usage = usage(std::slice::from_ref(echo), 1);
    push_event(None, chunk(object! {}, Some(echo)).with("usage", Some(usage)), &mut body);
    push_event(None, "[DONE]", &mut body);
    body
}
