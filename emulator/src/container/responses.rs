//! OpenAI Responses, as vLLM serves them.

use serde::Deserialize;
use serde_json::Value;

use super::chat::{Message, model_or_endpoint};
use super::echo::Echo;
use super::http::{CREATED, ErrorResponse, OkResponse, Request, push_event};
use super::json::{Json, object};
use super::openai::{error_response, unknown_tool};
use super::stop_criteria::StopCriteria;
use super::tool::RequiredTool;

/// Responds to an input.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let value: Value =
        serde_json::from_slice(request.body).map_err(|error| error_response(&error.to_string(), None))?;
    if value.get("input").is_none() {
        let message =
            "1 validation error:\n  {'type': 'missing', 'loc': 'body.input', 'msg': 'Field required'}";
        return Err(error_response(message, Some("body.input")));
    }
    let body = Create::deserialize(&value)
        .map_err(|error| error_response(&error.to_string(), Some("body.input")))?;
    let echo = body.echo()?;
    let model = model_or_endpoint(body.model.as_deref(), request.endpoint);
    let response = Response { echo: &echo, model, max_output_tokens: body.max_output_tokens };
    Ok(if body.stream {
        OkResponse { content_type: "text/event-stream; charset=utf-8", body: response.stream() }
    } else {
        OkResponse::json(&response.end())
    })
}

#[derive(Deserialize)]
struct Create {
    model: Option<String>,
    input: Input,
    max_output_tokens: Option<u64>,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    tool_choice: Value,
    #[serde(default)]
    stream: bool,
}

impl Create {
    /// This API has no stop sequences.
    fn echo(&self) -> Result<Echo, ErrorResponse> {
        let criteria = StopCriteria::tokens(self.max_output_tokens);
        let (echo, asked) = match &self.input {
            Input::Text(prompt) => (Echo::new(prompt, &criteria), prompt.clone()),
            Input::Items(items) => (Message::echo(items, &criteria), Message::last_user_text(items)),
        };
        let tool = RequiredTool::of_responses(&self.tools, &self.tool_choice)
            .map_err(|unknown| unknown_tool(&unknown))?;
        Ok(match tool {
            Some(tool) => echo.with_tool_call(tool, &asked, &criteria),
            None => echo,
        })
    }
}

/// A prompt, or a list of items, of which messages have a role and content.
#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Message>),
}

struct Response<'a> {
    echo: &'a Echo,
    model: &'a str,
    max_output_tokens: Option<u64>,
}

impl Response<'_> {
    fn begin(&self) -> Json {
        self.object("in_progress", vec![], None)
    }

    fn end(&self) -> Json {
        let (input, output) = (self.echo.prompt_tokens, self.echo.count());
        let usage = object! {
            "input_tokens": input,
            "input_tokens_details": object! { "cached_tokens": 0_usize },
            "output_tokens": output,
            "output_tokens_details": object! { "reasoning_tokens": 0_usize },
            "total_tokens": input + output,
        };
        let status = if self.echo.is_truncated() { "incomplete" } else { "completed" };
        self.object(status, vec![self.item("completed", true)], Some(usage))
    }

    fn object(&self, status: &str, output: Vec<Json>, usage: Option<Json>) -> Json {
        let is_incomplete = status == "incomplete";
        object! {
            "id": format!("resp_{:016x}", self.echo.number),
            "created_at": CREATED,
            "incomplete_details": is_incomplete.then(|| object! { "reason": "max_output_tokens" }),
            "instructions": (),
            "metadata": (),
            "model": self.model,
            "object": "response",
            "output": output,
            "parallel_tool_calls": true,
            "tool_choice": "auto",
            "tools": Vec::new(),
            "max_output_tokens": self.max_output_tokens,
            "previous_response_id": (),
            "reasoning": (),
            "service_tier": "auto",
            "status": status,
            "truncation": "disabled",
            "usage": usage,
            "user": (),
        }
    }

    fn item_id(&self) -> String {
        let kind = if self.echo.tool.is_some() { "fc" } else { "msg" };
        format!("{kind}_{:016x}", self.echo.number)
    }

    /// The message or the tool call; without content in the first event of a stream.
    fn item(&self, status: &str, is_whole: bool) -> Json {
        let Some(tool) = &self.echo.tool else {
            return self.message(status, if is_whole { vec![self.part()] } else { vec![] });
        };
        object! {
            "arguments": if is_whole { self.echo.text() } else { "" },
            "call_id": format!("call_{:016x}", self.echo.number),
            "name": &tool.name,
            "type": "function_call",
            "id": self.item_id(),
            "status": status,
        }
    }

    fn message(&self, status: &str, content: Vec<Json>) -> Json {
        object! {
            "id": self.item_id(),
            "content": content,
            "role": "assistant",
            "status": status,
            "type": "message",
        }
    }

    fn part(&self) -> Json {
        part(self.echo.text())
    }

    /// Every item is repeated in full once it is done.
    fn stream(&self) -> String {
        let mut events = Events::default();
        events.push("response.created", object! { "response": self.begin() });
        events.push("response.in_progress", object! { "response": self.begin() });
        let item = self.item("in_progress", false);
        events.push("response.output_item.added", object! { "item": item, "output_index": 0_usize });
        match self.echo.tool {
            Some(_) => self.stream_input(&mut events),
            None => self.stream_text(&mut events),
        }
        let item = self.item("completed", true);
        events.push("response.output_item.done", object! { "item": item, "output_index": 0_usize });
        // Also for an incomplete response, which differs in its `status`.
        events.push("response.completed", object! { "response": self.end() });
        events.body
    }

    fn stream_text(&self, events: &mut Events) {
        let place = || {
            object! { "content_index": 0_usize, "item_id": self.item_id(), "output_index": 0_usize }
        };
        events.push("response.content_part.added", place().with("part", Some(part(""))));
        for token in self.echo.tokens() {
            let delta = place().with("delta", Some(token.text)).with("logprobs", Some(no_logprobs()));
            events.push("response.output_text.delta", delta);
        }
        let text = place().with("logprobs", Some(no_logprobs())).with("text", Some(self.echo.text()));
        events.push("response.output_text.done", text);
        events.push("response.content_part.done", place().with("part", Some(self.part())));
    }

    fn stream_input(&self, events: &mut Events) {
        let place = || object! { "item_id": self.item_id(), "output_index": 0_usize };
        for token in self.echo.tokens() {
            events.push("response.function_call_arguments.delta", place().with("delta", Some(token.text)));
        }
        let input = place().with("arguments", Some(self.echo.text()));
        events.push("response.function_call_arguments.done", input);
    }
}

fn part(text: &str) -> Json {
    object! { "annotations": Vec::new(), "text": text, "type": "output_text", "logprobs": no_logprobs() }
}

fn no_logprobs() -> Vec<Json> {
    Vec::new()
}

#[derive(Default)]
struct Events {
    body: String,
    count: usize,
}

impl Events {
    fn push(&mut self, kind: &str, event: Json) {
        let event = event.with("sequence_number", Some(self.count)).with("type", Some(kind));
        push_event(Some(kind), event, &mut self.body);
        self.count += 1;
    }
}
