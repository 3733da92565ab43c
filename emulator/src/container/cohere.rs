//! Cohere Chat v2, as vLLM's `/cohere/v2/chat` and Cohere's own containers serve it.

use serde::Deserialize;
use serde_json::Value;

use super::chat::Message;
use super::echo::Echo;
use super::http::{ErrorResponse, OkResponse, Request, push_event};
use super::json::{Json, object};
use super::stop_criteria::{Stop, StopCriteria};
use super::tool::RequiredTool;

/// Responds to a chat.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let value: Value =
        serde_json::from_slice(request.body).map_err(|error| error_response(&error.to_string()))?;
    let chat = Chat::deserialize(&value).map_err(|error| error_response(&error.to_string()))?;
    if chat.messages.is_empty() {
        return Err(error_response("invalid request: at least one message is required."));
    }
    if !matches!(chat.tool_choice.as_deref(), None | Some("REQUIRED" | "NONE")) {
        return Err(error_response("invalid request: tool_choice must be REQUIRED or NONE."));
    }
    let echo = chat.echo();
    Ok(if chat.stream {
        OkResponse { content_type: "text/event-stream; charset=utf-8", body: stream(&echo) }
    } else {
        OkResponse::json(&whole(&echo))
    })
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Message>,
    max_tokens: Option<u64>,
    stop_sequences: Option<Stop>,
    #[serde(default)]
    tools: Value,
    tool_choice: Option<String>,
    #[serde(default)]
    stream: bool,
}

impl Chat {
    fn echo(&self) -> Echo {
        let criteria = StopCriteria::tokens(self.max_tokens).stop(self.stop_sequences.as_ref());
        let echo = Message::echo(&self.messages, &criteria);
        let is_required = self.tool_choice.as_deref() == Some("REQUIRED");
        match RequiredTool::of_cohere(&self.tools, is_required) {
            Some(tool) => echo.with_tool_call(tool, &Message::last_user_text(&self.messages), &criteria),
            None => echo,
        }
    }
}

fn id(echo: &Echo) -> String {
    format!("chatcmpl-{:016x}", echo.number)
}

fn finish_reason(echo: &Echo) -> &'static str {
    let done = if echo.tool.is_some() { "TOOL_CALL" } else { "COMPLETE" };
    echo.finish_reason(done, "MAX_TOKENS", "STOP_SEQUENCE")
}

/// vLLM's counts are floating-point numbers.
fn usage(echo: &Echo) -> Json {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let counts = || {
        object! { "input_tokens": echo.prompt_tokens as f64, "output_tokens": echo.count() as f64 }
    };
    object! { "billed_units": counts(), "tokens": counts(), "cached_tokens": 0.0 }
}

/// The call; without input in the first event of a stream.
fn tool_call(echo: &Echo, name: &str, input: &str) -> Json {
    let function = object! { "name": name, "arguments": input };
    object! { "id": format!("chatcmpl-tool-{:016x}", echo.number), "type": "function", "function": function }
}

fn whole(echo: &Echo) -> Json {
    let message = object! { "role": "assistant" };
    let message = match &echo.tool {
        Some(tool) => message.with("tool_calls", Some([tool_call(echo, &tool.name, echo.text())])),
        None => message.with("content", Some([object! { "type": "text", "text": echo.text() }])),
    };
    object! {
        "id": id(echo),
        "finish_reason": finish_reason(echo),
        "message": message,
        "usage": usage(echo),
    }
}

/// The events of one text or one call.
fn stream(echo: &Echo) -> String {
    let mut body = String::new();
    let mut push = |event: Json| push_event(None, event, &mut body);
    let message = |name: &'static str, value: Json| {
        object! { "message": Json::Object(vec![(name, value)]) }
    };
    let event = |kind: &str| object! { "type": kind };
    let numbered = |kind: &str| event(kind).with("index", Some(0_usize));
    push(
        event("message-start")
            .with("id", Some(id(echo)))
            .with("delta", Some(message("role", "assistant".into()))),
    );
    if let Some(tool) = &echo.tool {
        let call = message("tool_calls", tool_call(echo, &tool.name, ""));
        push(numbered("tool-call-start").with("delta", Some(call)));
        for token in echo.tokens() {
            let piece = object! { "function": object! { "arguments": token.text } };
            push(numbered("tool-call-delta").with("delta", Some(message("tool_calls", piece))));
        }
        push(numbered("tool-call-end"));
    } else {
        let start = message("content", object! { "type": "text", "text": "" });
        push(numbered("content-start").with("delta", Some(start)));
        for token in echo.tokens() {
            let text = message("content", object! { "text": token.text });
            push(numbered("content-delta").with("delta", Some(text)));
        }
        push(numbered("content-end"));
    }
    let end = object! { "finish_reason": finish_reason(echo), "usage": usage(echo) };
    push(event("message-end").with("id", Some(id(echo))).with("delta", Some(end)));
    push_event(None, "[DONE]", &mut body);
    body
}

/// Cohere's errors are a message and an ID.
fn error_response(message: &str) -> ErrorResponse {
    ErrorResponse::json(400, &object! { "message": message, "id": "emulated" })
}
