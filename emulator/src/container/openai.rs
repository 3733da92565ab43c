//! vLLM with OpenAI's APIs: chat completions, and completions where the body has a `prompt`.

use serde::Deserialize;
use serde_json::Value;

use super::chat::{ChatRequest, CompletionRequest};
use super::echo::Echo;
use super::json::{Json, object};
use super::{Answer, CREATED, Refusal, Request, push_event};

/// Tokens of a completion that does not say how many.
const COMPLETION_TOKENS: u64 = 16;

/// Answers a chat or a completion.
pub(super) fn answer(request: &Request<'_>) -> Result<Answer, Refusal> {
    Ok(match Said::to(request.endpoint, request.body)? {
        Said::Whole(body) => Answer::json(&body),
        Said::Stream(chunks) => {
            let mut body = String::new();
            chunks.iter().for_each(|chunk| push_event(None, chunk, &mut body));
            push_event(None, "[DONE]", &mut body);
            Answer { content_type: "text/event-stream; charset=utf-8", body }
        }
    })
}

/// What vLLM says, before it is framed.
#[derive(Debug)]
pub(super) enum Said {
    Whole(Json),
    Stream(Vec<Json>),
}

impl Said {
    /// Tries a chat first, as vLLM does on `/invocations`, and then a completion.
    fn to(endpoint: &str, body: &[u8]) -> Result<Self, Refusal> {
        let value: Value = serde_json::from_slice(body).map_err(|error| refuse(&error.to_string(), None))?;
        if !value.is_object() {
            return Err(refuse("Input should be a valid dictionary", None));
        }
        if let Ok(chat) = ChatRequest::deserialize(&value) {
            return Self::to_chat(endpoint, &chat);
        }
        match CompletionRequest::deserialize(&value) {
            Ok(completion) => Ok(Self::to_completion(endpoint, &completion)),
            Err(_) => Err(refuse(
                "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)",
                Some("prompt"),
            )),
        }
    }

    /// Answers a chat.
    pub(super) fn to_chat(endpoint: &str, request: &ChatRequest) -> Result<Self, Refusal> {
        if request.messages.is_empty() {
            return Err(refuse("messages must not be empty", Some("messages")));
        }
        let echo = request.echo();
        let id = format!("chatcmpl-{:016x}", echo.number);
        let model = request.model(endpoint);
        Ok(if request.is_streamed() {
            Self::Stream(chat_chunks(&id, model, &echo, request.wants_usage()))
        } else {
            Self::Whole(chat_completion(&id, model, &echo))
        })
    }

    /// Answers a completion.
    pub(super) fn to_completion(endpoint: &str, request: &CompletionRequest) -> Self {
        let echoes = request.echoes(Some(COMPLETION_TOKENS));
        let id = format!("cmpl-{:016x}", echoes.first().map_or(0, |echo| echo.number));
        let model = request.model(endpoint);
        let head = || head(&id, "text_completion", model);
        if !request.is_streamed() {
            let choice = |(index, echo): (usize, &Echo)| {
                let text = format!("{}{}", request.prefix(index), echo.text());
                text_choice(index, &text, Some(echo.finish_reason("stop", "length")))
            };
            let choices: Vec<Json> = echoes.iter().enumerate().map(choice).collect();
            return Self::Whole(head().with("choices", Some(choices)).with("usage", Some(usage(&echoes))));
        }
        let mut chunks = Vec::new();
        let mut push = |choice| chunks.push(head().with("choices", Some([choice])));
        for (index, echo) in echoes.iter().enumerate() {
            let prefix = request.prefix(index);
            if !prefix.is_empty() {
                push(text_choice(index, prefix, None));
            }
            echo.tokens().for_each(|token| push(text_choice(index, token.text, None)));
            push(text_choice(index, "", Some(echo.finish_reason("stop", "length"))));
        }
        if request.wants_usage() {
            chunks.push(head().with("choices", Some(vec![])).with("usage", Some(usage(&echoes))));
        }
        Self::Stream(chunks)
    }
}

/// One chunk for the role, each token, the end, and the usage if it was asked for.
fn chat_chunks(id: &str, model: &str, echo: &Echo, wants_usage: bool) -> Vec<Json> {
    let head = || head(id, "chat.completion.chunk", model);
    let chunk = |delta: Json, finish_reason: Option<&str>| {
        let choice =
            object! { "index": 0_usize, "delta": delta, "logprobs": (), "finish_reason": finish_reason };
        head().with("choices", Some([choice]))
    };
    let mut chunks = vec![chunk(object! { "role": "assistant", "content": "" }, None)];
    chunks.extend(echo.tokens().map(|token| chunk(object! { "content": token.text }, None)));
    chunks.push(chunk(object! { "content": "" }, Some(echo.finish_reason("stop", "length"))));
    if wants_usage {
        let usage = usage(std::slice::from_ref(echo));
        chunks.push(head().with("choices", Some(vec![])).with("usage", Some(usage)));
    }
    chunks
}

fn chat_completion(id: &str, model: &str, echo: &Echo) -> Json {
    let message =
        object! { "role": "assistant", "content": echo.text(), "refusal": (), "tool_calls": vec![] };
    let choice = object! {
        "index": 0_usize,
        "message": message,
        "logprobs": (),
        "finish_reason": echo.finish_reason("stop", "length"),
        "stop_reason": (),
    };
    let usage = usage(std::slice::from_ref(echo));
    head(id, "chat.completion", model).with("choices", Some([choice])).with("usage", Some(usage))
}

fn head(id: &str, object: &str, model: &str) -> Json {
    object! { "id": id, "object": object, "created": CREATED, "model": model }
}

fn text_choice(index: usize, text: &str, finish_reason: Option<&str>) -> Json {
    object! {
        "index": index,
        "text": text,
        "logprobs": (),
        "finish_reason": finish_reason,
        "stop_reason": (),
    }
}

fn usage(echoes: &[Echo]) -> Json {
    let sum = |count: fn(&Echo) -> usize| echoes.iter().map(count).sum::<usize>();
    object! {
        "prompt_tokens": sum(|echo| echo.prompt_tokens),
        "total_tokens": sum(Echo::total_tokens),
        "completion_tokens": sum(Echo::count),
    }
}

/// vLLM's error.
pub(super) fn refuse(message: &str, param: Option<&str>) -> Refusal {
    let error = object! { "message": message, "type": "BadRequestError", "param": param, "code": 400_usize };
    Refusal::json(400, &object! { "error": error })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ask(request: &Value) -> Answer {
        let body = request.to_string();
        answer(&Request { endpoint: "my-llm", body: body.as_bytes(), ..Request::default() }).unwrap()
    }

    fn chunks(body: &str) -> Vec<Value> {
        let events: Vec<&str> = body.split_terminator("\n\n").collect();
        let (last, chunks) = events.split_last().unwrap();
        assert_eq!(*last, "data: [DONE]");
        chunks
            .iter()
            .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn streams_and_whole_answers_say_the_same() {
        let messages = json!([{"role": "user", "content": "Wie geht's?\nGut"}]);
        let whole = ask(&json!({"messages": messages}));
        let whole: Value = serde_json::from_str(&whole.body).unwrap();
        let streamed =
            ask(&json!({"messages": messages, "stream": true, "stream_options": {"include_usage": true}}));
        let chunks = chunks(&streamed.body);
        let text: String =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();

        assert_eq!(whole["choices"][0]["message"]["content"], text);
        assert!(text.starts_with("You said: “Wie geht's? Gut”"));
        assert!(text.contains("é, 你好, 😀"));
        assert!((60..=100).contains(&text.split_whitespace().count()));
        assert_eq!(whole["model"], "my-llm");
        assert_eq!(whole["id"], chunks[0]["id"]);
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
        assert_eq!(chunks[chunks.len() - 1]["choices"], json!([]));
        assert_eq!(chunks[chunks.len() - 1]["usage"], whole["usage"]);
        assert_eq!(whole["usage"]["completion_tokens"], chunks.len() - 3);
    }

    #[test]
    fn usage_comes_when_asked_for() {
        let streamed = ask(&json!({"messages": [{"role": "user", "content": "hi"}], "stream": true}));
        assert!(!streamed.body.contains("usage"));
    }

    #[test]
    fn parts_limits_and_models_are_honoured() {
        let request = json!({
            "model": "m", "max_tokens": 3,
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": ""}}]},
                {"role": "assistant", "content": null},
            ],
        });
        let whole: Value = serde_json::from_str(&ask(&request).body).unwrap();
        assert_eq!(whole["model"], "m");
        assert_eq!(whole["choices"][0]["message"]["content"], "You said: “hi”");
        assert_eq!(whole["choices"][0]["finish_reason"], "length");
        assert_eq!(whole["usage"], json!({"prompt_tokens": 15, "total_tokens": 18, "completion_tokens": 3}));
    }

    #[test]
    fn other_bodies_are_refused_as_the_container_does() {
        for body in ["", "{}", "[]", r#"{"inputs": "hi"}"#, r#"{"messages": []}"#, r#"{"messages": "hi"}"#] {
            let error: Value = serde_json::from_str(
                &answer(&Request { body: body.as_bytes(), ..Request::default() }).unwrap_err().body,
            )
            .unwrap();
            assert_eq!(
                (&error["error"]["code"], &error["error"]["type"]),
                (&json!(400), &json!("BadRequestError"))
            );
        }
    }

    #[test]
    fn completions_are_short_unless_told_otherwise() {
        let request = json!({"prompt": ["a", "b"], "echo": true});
        let whole: Value = serde_json::from_str(&ask(&request).body).unwrap();
        assert_eq!(
            (&whole["object"], &whole["usage"]["completion_tokens"]),
            (&json!("text_completion"), &json!(32))
        );
        assert_eq!(whole["choices"][1]["index"], 1);
        assert!(whole["choices"][1]["text"].as_str().unwrap().starts_with("bYou said: “b”"));
        assert_eq!(whole["choices"][1]["finish_reason"], "length");

        let request = json!({
            "prompt": "a", "max_tokens": 500, "stream": true, "stream_options": {"include_usage": true},
        });
        let chunks = chunks(&ask(&request).body);
        let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
        assert_eq!(text, crate::echo("a"));
        assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
        assert_eq!(chunks[chunks.len() - 1]["usage"]["prompt_tokens"], 1);
    }
}
