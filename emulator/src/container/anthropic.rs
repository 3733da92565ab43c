//! Anthropic Messages, as Anthropic's own API answers.

use serde::Deserialize;
use serde_json::Value;

use super::chat::{Content, Message, named};
use super::echo::Echo;
use super::http::{Answer, EVENTS, Refusal, Request, push_event};
use super::json::{Json, object};
use super::tool::Demanded;
use super::until::{Stop, Until};

/// Answers a message.
pub(super) fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    let value: Value =
        serde_json::from_slice(request.body).map_err(|_| refuse("The request body is not valid JSON"))?;
    let messages = Messages::read(&value)?;
    let echo = messages.echo()?;
    let head = Head {
        id: format!("msg_{:016x}", echo.number),
        model: named(messages.model.as_deref(), request.endpoint).into(),
    };
    if !messages.stream {
        let usage = object! { "input_tokens": echo.prompt_tokens, "output_tokens": echo.count() };
        return Ok(Answer::json(&head.message([block(&echo, true)].into(), Some(&echo), usage)));
    }
    Ok(Answer { content_type: EVENTS, body: head.stream(&echo) })
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
    /// A model need not be named: the endpoint has one.
    fn read(value: &Value) -> Result<Self, Refusal> {
        for name in ["max_tokens", "messages"] {
            if value.get(name).is_none() {
                return Err(refuse(&format!("{name}: Field required")));
            }
        }
        let messages = Self::deserialize(value).map_err(|error| refuse(&error.to_string()))?;
        let roles = ["user", "assistant"];
        let first =
            messages.messages.first().ok_or_else(|| refuse("messages: at least one message is required"))?;
        if messages.max_tokens == 0 {
            return Err(refuse("max_tokens: Input should be greater than or equal to 1"));
        }
        if first.role != "user" {
            return Err(refuse("messages: first message must use the \"user\" role"));
        }
        match messages.messages.iter().position(|message| !roles.contains(&message.role.as_str())) {
            Some(at) => Err(refuse(&format!("messages.{at}.role: Input should be 'user' or 'assistant'"))),
            None => Ok(messages),
        }
    }

    fn echo(&self) -> Result<Echo, Refusal> {
        let until = Until::tokens(Some(self.max_tokens)).stop(self.stop_sequences.as_ref());
        let mut echo = Message::echo(&self.messages, &until);
        let system = self.system.as_ref().map(Content::text).unwrap_or_default();
        echo.prompt_tokens += system.split_whitespace().count();
        let tool = Demanded::of_messages(&self.tools, &self.tool_choice)
            .map_err(|unknown| refuse(&format!("Tool '{}' not found in provided tools", unknown.0)))?;
        Ok(match tool {
            Some(tool) => echo.calling(tool, &Message::asked(&self.messages), &until),
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

    /// One block, with a ping before it.
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

/// The answer, or as it is before anything of it has come.
fn block(echo: &Echo, is_whole: bool) -> Json {
    let text = if is_whole { echo.text() } else { "" };
    let Some(tool) = &echo.tool else { return object! { "type": "text", "text": text } };
    // Input that was cut is no JSON.
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

fn refuse(message: &str) -> Refusal {
    let error = object! { "type": "invalid_request_error", "message": message };
    Refusal::json(400, &object! { "type": "error", "error": error })
}
