//! Anthropic Messages, with the responses of Anthropic's own API.

use serde::Deserialize;
use serde_json::Value;

use super::chat::{Content, Message, model_or_endpoint};
use super::echo::Echo;
use super::http::{EVENTS, ErrorResponse, OkResponse, Request, push_event};
use super::json::{Json, object};
use super::stop_criteria::{Stop, StopCriteria};
use super::tool::RequiredTool;

/// Responds to a Messages request.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let value: Value = serde_json::from_slice(request.body)
        .map_err(|_| error_response("The request body is not valid JSON"))?;
    let messages = Messages::read(&value)?;
    let echo = messages.echo()?;
    let head = Head {
        id: format!("msg_{:016x}", echo.number),
        model: model_or_endpoint(messages.model.as_deref(), request.endpoint).into(),
    };
    if !messages.stream {
        let usage = object! { "input_tokens": echo.prompt_tokens, "output_tokens": echo.count() };
        return Ok(OkResponse::json(&head.message([block(&echo, true)].into(), Some(&echo), usage)));
    }
    Ok(OkResponse { content_type: EVENTS, body: head.stream(&echo) })
}

#[derive(Deserialize)]
struct Messages {
    model: Option<String>,
    max_tokens: u64,
    messages: Vec<Message>,
    system: Option<Content>,
    stop_sequences: Option<Stop>,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    tool_choice: Value,
    #[serde(default)]
    stream: bool,
}

impl Messages {
    /// The model is optional: the endpoint has only one.
    fn read(value: &Value) -> Result<Self, ErrorResponse> {
        for name in ["max_tokens", "messages"] {
            if value.get(name).is_none() {
                return Err(error_response(&format!("{name}: Field required")));
            }
        }
        let messages = Self::deserialize(value).map_err(|error| error_response(&error.to_string()))?;
        let roles = ["user", "assistant"];
        let first = messages
            .messages
            .first()
            .ok_or_else(|| error_response("messages: at least one message is required"))?;
        if messages.max_tokens == 0 {
            return Err(error_response("max_tokens: Input should be greater than or equal to 1"));
        }
        if first.role != "user" {
            return Err(error_response("messages: first message must use the \"user\" role"));
        }
        match messages.messages.iter().position(|message| !roles.contains(&message.role.as_str())) {
            Some(at) => {
                Err(error_response(&format!("messages.{at}.role: Input should be 'user' or 'assistant'")))
            }
            None => Ok(messages),
        }
    }

    fn echo(&self) -> Result<Echo, ErrorResponse> {
        let criteria = StopCriteria::tokens(Some(self.max_tokens)).stop(self.stop_sequences.as_ref());
        let mut echo = Message::echo(&self.messages, &criteria);
        let system = self.system.as_ref().map(Content::text).unwrap_or_default();
        echo.prompt_tokens += system.split_whitespace().count();
        let tool = RequiredTool::of_messages(&self.tools, &self.tool_choice).map_err(|unknown| {
            error_response(&format!("Tool '{}' not found in provided tools", unknown.0))
        })?;
        Ok(match tool {
            Some(tool) => echo.with_tool_call(tool, &Message::last_user_text(&self.messages), &criteria),
            None => echo,
        })
    }
}

struct Head {
    id: String,
    model: String,
}

impl Head {
    fn message(&self, content: Json, end: Option<&Echo>, usage: Json) -> Json {
        object! {
            "id": &self.id,
            "type": "message",
            "role": "assistant",
            "model": &self.model,
            "content": content,
            "stop_reason": end.map(stop_reason),
            "stop_sequence": end.and_then(Echo::stopped_by),
            "usage": usage,
        }
    }

    /// One content block, after a ping.
    fn stream(&self, echo: &Echo) -> String {
        let mut body = String::new();
        let mut push = |kind: &str, rest: Vec<(&'static str, Json)>| {
            let members = std::iter::once(("type", Json::from(kind))).chain(rest).collect();
            push_event(Some(kind), Json::Object(members), &mut body);
        };
        let usage = object! { "input_tokens": echo.prompt_tokens, "output_tokens": 1_usize };
        push("message_start", vec![("message", self.message(vec![].into(), None, usage))]);
        let index = || ("index", Json::from(0_usize));
        push("content_block_start", vec![index(), ("content_block", block(echo, false))]);
        push("ping", vec![]);
        for token in echo.tokens() {
            let delta = match echo.tool {
                Some(_) => object! { "type": "input_json_delta", "partial_json": token.text },
                None => object! { "type": "text_delta", "text": token.text },
            };
            push("content_block_delta", vec![index(), ("delta", delta)]);
        }
        push("content_block_stop", vec![index()]);
        let delta = object! { "stop_reason": stop_reason(echo), "stop_sequence": echo.stopped_by() };
        let usage = object! { "output_tokens": echo.count() };
        push("message_delta", vec![("delta", delta), ("usage", usage)]);
        push("message_stop", vec![]);
        body
    }
}

/// The message; without content in the first event of a stream.
fn block(echo: &Echo, is_whole: bool) -> Json {
    let text = if is_whole { echo.text() } else { "" };
    let Some(tool) = &echo.tool else { return object! { "type": "text", "text": text } };
    // Truncated input is not JSON.
    let input = if is_whole && echo.is_done() { text } else { "{}" };
    object! {
        "type": "tool_use",
        "id": format!("toolu_{:016x}", echo.number),
        "name": &tool.name,
        "input": Json::Raw(input.into()),
    }
}

fn stop_reason(echo: &Echo) -> &'static str {
    let done = if echo.tool.is_some() { "tool_use" } else { "end_turn" };
    echo.finish_reason(done, "max_tokens", "stop_sequence")
}

fn error_response(message: &str) -> ErrorResponse {
    let error = object! { "type": "invalid_request_error", "message": message };
    ErrorResponse::json(400, &object! { "type": "error", "error": error })
}
