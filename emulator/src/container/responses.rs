//! OpenAI Responses, as vLLM serves them.

use serde::Deserialize;
use serde_json::Value;

use super::chat::{Message, named};
use super::echo::Echo;
use super::json::{Json, object};
use super::openai::refuse;
use super::{Answer, CREATED, Refusal, Request, push_event};

/// Answers an input.
pub(super) fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    let value: Value =
        serde_json::from_slice(request.body).map_err(|error| refuse(&error.to_string(), None))?;
    if value.get("input").is_none() {
        let message =
            "1 validation error:\n  {'type': 'missing', 'loc': 'body.input', 'msg': 'Field required'}";
        return Err(refuse(message, Some("body.input")));
    }
    let body = Create::deserialize(&value).map_err(|error| refuse(&error.to_string(), Some("body.input")))?;
    let echo = match &body.input {
        Input::Text(prompt) => Echo::new(prompt, body.max_output_tokens),
        Input::Items(items) => Message::echo(items, body.max_output_tokens),
    };
    let model = named(body.model.as_deref(), request.endpoint);
    let response = Response { echo: &echo, model, max_output_tokens: body.max_output_tokens };
    Ok(if body.stream {
        Answer { content_type: "text/event-stream; charset=utf-8", body: response.stream() }
    } else {
        Answer::json(&response.end())
    })
}

#[derive(Deserialize)]
struct Create {
    model: Option<String>,
    input: Input,
    max_output_tokens: Option<u64>,
    #[serde(default)]
    stream: bool,
}

/// A prompt, or items of which messages have a role and content.
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
        let status = self.echo.finish_reason("completed", "incomplete");
        self.object(status, vec![self.message("completed", vec![self.part()])], Some(usage))
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
        format!("msg_{:016x}", self.echo.number)
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

    /// Everything that is done is said once more as a whole.
    fn stream(&self) -> String {
        let mut events = Events::default();
        events.push("response.created", object! { "response": self.begin() });
        events.push("response.in_progress", object! { "response": self.begin() });
        let item = self.message("in_progress", vec![]);
        events.push("response.output_item.added", object! { "item": item, "output_index": 0_usize });
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
        let item = self.message("completed", vec![self.part()]);
        events.push("response.output_item.done", object! { "item": item, "output_index": 0_usize });
        // Also where it is incomplete: the status says so.
        events.push("response.completed", object! { "response": self.end() });
        events.body
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
