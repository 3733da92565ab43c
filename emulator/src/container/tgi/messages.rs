//! `messages` and `prompt`: OpenAI's formats as TGI speaks them.

use serde::Deserialize;

use super::super::chat::{ChatRequest, CompletionRequest};
use super::super::echo::Echo;
use super::super::json::{Json, object};
use super::super::{Answer, CREATED, Refusal, push_event};
use super::{FINGERPRINT, events, invalid};

#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Chat(ChatRequest);

impl Chat {
    pub(super) fn answer(&self, endpoint: &str) -> Result<Answer, Refusal> {
        let Self(request) = self;
        let is_valid = request.top_p.is_none_or(|value| value > 0.0 && value < 1.0);
        let message = "`top_p` must be > 0.0 and < 1.0";
        if !request.is_streamed() {
            return if is_valid {
                Ok(Answer::json(&whole(endpoint, &request.echo())))
            } else {
                Err(Refusal::json(422, &invalid(message)))
            };
        }
        let mut body = String::new();
        if is_valid {
            chunks(endpoint, &request.echo(), request.wants_usage(), &mut body);
        } else {
            let message = format!("Input validation error: {message}");
            let error = object! { "message": message, "http_status_code": 422_usize };
            push_event(None, object! { "error": error }, &mut body);
        }
        push_event(None, "[DONE]", &mut body);
        Ok(events(body))
    }
}

/// Ids are empty, and the role stands in every chunk.
fn chunks(endpoint: &str, echo: &Echo, wants_usage: bool, body: &mut String) {
    let head = || head("chat.completion.chunk", endpoint);
    let mut push = |text: &str, finish_reason: Option<&str>| {
        let choice = object! {
            "index": 0_usize,
            "delta": object! { "role": "assistant", "content": text },
            "logprobs": (),
            "finish_reason": finish_reason,
        };
        push_event(None, head().with("choices", Some([choice])).with("usage", Some(())), body);
    };
    let count = echo.count();
    for (at, token) in echo.tokens().enumerate() {
        // The token that is one too many ends the answer; that at its end has no text.
        push(token.text, (echo.is_cut && at + 1 == count).then_some("length"));
    }
    if !echo.is_cut {
        push("", Some("stop"));
    }
    if wants_usage {
        let none: [Json; 0] = [];
        push_event(None, head().with("choices", Some(none)).with("usage", Some(usage(echo))), body);
    }
}

fn whole(endpoint: &str, echo: &Echo) -> Json {
    let choice = object! {
        "index": 0_usize,
        "message": object! { "role": "assistant", "content": echo.text() },
        "logprobs": (),
        "finish_reason": echo.finish_reason("stop", "length"),
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

/// The end of the sequence counts.
fn usage(echo: &Echo) -> Json {
    let count = echo.count() + usize::from(!echo.is_cut);
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
    pub(super) fn answer(&self, endpoint: &str) -> Answer {
        let Self(request) = self;
        let echoes = request.echoes(None);
        let head = || head("text_completion", endpoint);
        let choice = |index: usize, text: &str, finish_reason: &str| {
            object! { "index": index, "text": text, "logprobs": (), "finish_reason": finish_reason }
        };
        let reason = |echo: &Echo| echo.finish_reason("eos_token", "length");
        if !request.is_streamed() {
            let choices = echoes.iter().enumerate();
            let choices: Vec<Json> =
                choices.map(|(index, echo)| choice(index, echo.text(), reason(echo))).collect();
            let usage = echoes.first().map(usage);
            return Answer::json(&head().with("choices", Some(choices)).with("usage", usage));
        }
        let mut body = String::new();
        for (index, echo) in echoes.iter().enumerate() {
            for token in echo.tokens() {
                // Empty rather than null as long as it goes on.
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
