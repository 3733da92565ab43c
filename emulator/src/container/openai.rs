//! vLLM with OpenAI's APIs: chat completions, and completions where the body has a `prompt`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::chat::{ChatRequest, CompletionRequest};
use super::echo::Echo;
use super::http::{CREATED, ErrorResponse, OkResponse, Request, push_event};
use super::json::{Json, object};
use super::tool::Unknown;

/// Most choices, as in OpenAI's API.
const ANSWERS_MAX: usize = 128;
/// Default number of tokens of a completion.
const COMPLETION_TOKENS: u64 = 16;

/// Responds to a chat or a completion.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    VllmResponse::to(request.endpoint, request.body).map(framed)
}

/// Responds to a chat only, as on its own route.
pub(super) fn respond_chat(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    VllmResponse::to_chat(request.endpoint, &parse(request.body)?).map(framed)
}

/// Responds to a completion only, as on its own route.
pub(super) fn respond_completion(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    VllmResponse::to_completion(request.endpoint, &parse(request.body)?).map(framed)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ErrorResponse> {
    serde_json::from_slice(body).map_err(|error| error_response(&error.to_string(), None))
}

fn framed(response: VllmResponse) -> OkResponse {
    match response {
        VllmResponse::Whole(body) => OkResponse::json(&body),
        VllmResponse::Stream(chunks) => {
            let mut body = String::new();
            chunks.iter().for_each(|chunk| push_event(None, chunk, &mut body));
            push_event(None, "[DONE]", &mut body);
            OkResponse { content_type: "text/event-stream; charset=utf-8", body }
        }
    }
}

/// The response of vLLM, before it is framed.
#[derive(Debug)]
pub(super) enum VllmResponse {
    Whole(Json),
    Stream(Vec<Json>),
}

impl VllmResponse {
    /// Parses the body as a chat first and then as a completion, as vLLM does on `/invocations`.
    fn to(endpoint: &str, body: &[u8]) -> Result<Self, ErrorResponse> {
        let value: Value = parse(body)?;
        if !value.is_object() {
            return Err(error_response("Input should be a valid dictionary", None));
        }
        if let Ok(chat) = ChatRequest::deserialize(&value) {
            return Self::to_chat(endpoint, &chat);
        }
        match CompletionRequest::deserialize(&value) {
            Ok(completion) => Self::to_completion(endpoint, &completion),
            Err(_) => Err(error_response(
                "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)",
                Some("prompt"),
            )),
        }
    }

    /// Responds to a chat.
    pub(super) fn to_chat(endpoint: &str, request: &ChatRequest) -> Result<Self, ErrorResponse> {
        if request.messages.is_empty() {
            return Err(error_response("messages must not be empty", Some("messages")));
        }
        let count = count(request.n)?;
        let echo = request.echo(request.keeps_stop()).map_err(|unknown| unknown_tool(&unknown))?;
        let id = format!("chatcmpl-{:016x}", echo.number);
        let model = request.model(endpoint);
        Ok(if request.is_streamed() {
            Self::Stream(chat_chunks(&id, model, &echo, count, request.wants_usage()))
        } else {
            Self::Whole(chat_completion(&id, model, &echo, count))
        })
    }

    /// Responds to a completion. All choices of a prompt are equal and follow each other.
    pub(super) fn to_completion(endpoint: &str, request: &CompletionRequest) -> Result<Self, ErrorResponse> {
        let count = count(request.n)?;
        let echoes = request.echoes(Some(COMPLETION_TOKENS), request.keeps_stop());
        let id = format!("cmpl-{:016x}", echoes.first().map_or(0, |echo| echo.number));
        let model = request.model(endpoint);
        let head = || head(&id, "text_completion", model);
        let answers = echoes.iter().enumerate().flat_map(|(prompt, echo)| {
            (0..count).map(move |at| (prompt * count + at, request.prefix(prompt), echo))
        });
        if !request.is_streamed() {
            let choices: Vec<Json> = answers
                .map(|(index, prefix, echo)| {
                    text_choice(index, &format!("{prefix}{}", echo.text()), Some(echo))
                })
                .collect();
            let usage = usage(&echoes, count);
            return Ok(Self::Whole(head().with("choices", Some(choices)).with("usage", Some(usage))));
        }
        let mut chunks = Vec::new();
        let mut push = |choice| chunks.push(head().with("choices", Some([choice])));
        for (index, prefix, echo) in answers {
            if !prefix.is_empty() {
                push(text_choice(index, prefix, None));
            }
            echo.tokens().for_each(|token| push(text_choice(index, token.text, None)));
            push(text_choice(index, "", Some(echo)));
        }
        if request.wants_usage() {
            chunks.push(head().with("choices", Some(vec![])).with("usage", Some(usage(&echoes, count))));
        }
        Ok(Self::Stream(chunks))
    }
}

/// The number of choices.
fn count(n: Option<i64>) -> Result<usize, ErrorResponse> {
    match n.unwrap_or(1) {
        n @ ..1 => Err(error_response(&format!("n must be at least 1, got {n}."), Some("n"))),
        n => match usize::try_from(n) {
            Ok(count) if count <= ANSWERS_MAX => Ok(count),
            _ => Err(error_response(&format!("n must be at most {ANSWERS_MAX}, got {n}."), Some("n"))),
        },
    }
}

/// One chunk for the role, each token, the end, and the usage if requested. Several choices are interleaved.
fn chat_chunks(id: &str, model: &str, echo: &Echo, count: usize, wants_usage: bool) -> Vec<Json> {
    let head = || head(id, "chat.completion.chunk", model);
    let mut chunks = Vec::new();
    let mut push = |delta: Json, end: Option<&Echo>| {
        for index in 0..count {
            let choice = object! {
                "index": index,
                "delta": delta.clone(),
                "logprobs": (),
                "finish_reason": end.map(finish_reason),
            };
            let choice = choice.with("stop_reason", end.map(Echo::stopped_by));
            chunks.push(head().with("choices", Some([choice])));
        }
    };
    push(object! { "role": "assistant", "content": "" }, None);
    let call = |call: Json| object! { "content": (), "tool_calls": [call] };
    if let Some(tool) = &echo.tool {
        let function = object! { "name": &tool.name };
        push(call(tool_call(echo, function).with("index", Some(0_usize))), None);
    }
    for token in echo.tokens() {
        push(
            match echo.tool {
                Some(_) => {
                    call(object! { "index": 0_usize, "function": object! { "arguments": token.text } })
                }
                None => object! { "content": token.text },
            },
            None,
        );
    }
    push(
        if echo.tool.is_some() {
            object! {}
        } else {
            object! { "content": "" }
        },
        Some(echo),
    );
    if wants_usage {
        let usage = usage(std::slice::from_ref(echo), count);
        chunks.push(head().with("choices", Some(vec![])).with("usage", Some(usage)));
    }
    chunks
}

fn chat_completion(id: &str, model: &str, echo: &Echo, count: usize) -> Json {
    let (content, tool_calls) = match &echo.tool {
        Some(tool) => {
            let function = object! { "name": &tool.name, "arguments": echo.text() };
            ("", vec![tool_call(echo, function)])
        }
        None => (echo.text(), vec![]),
    };
    let message = object! {
        "role": "assistant",
        "content": content,
        "refusal": (),
        "tool_calls": tool_calls,
    };
    let choice = |index: usize| {
        object! {
            "index": index,
            "message": message.clone(),
            "logprobs": (),
            "finish_reason": finish_reason(echo),
            "stop_reason": echo.stopped_by(),
        }
    };
    let choices: Vec<Json> = (0..count).map(choice).collect();
    let usage = usage(std::slice::from_ref(echo), count);
    head(id, "chat.completion", model).with("choices", Some(choices)).with("usage", Some(usage))
}

fn tool_call(echo: &Echo, function: Json) -> Json {
    let id = format!("chatcmpl-tool-{:016x}", echo.number);
    object! { "id": id, "type": "function", "function": function }
}

/// The call of a tool that the request names does not change the finish reason.
pub(super) fn finish_reason(echo: &Echo) -> &'static str {
    match &echo.tool {
        Some(tool) if !tool.is_named => echo.finish_reason("tool_calls", "length", "stop"),
        _ => echo.finish_reason("stop", "length", "stop"),
    }
}

fn head(id: &str, object: &str, model: &str) -> Json {
    object! { "id": id, "object": object, "created": CREATED, "model": model }
}

/// A choice of a completion: some text, or the end.
fn text_choice(index: usize, text: &str, end: Option<&Echo>) -> Json {
    object! {
        "index": index,
        "text": text,
        "logprobs": (),
        "finish_reason": end.map(finish_reason),
        "stop_reason": end.and_then(Echo::stopped_by),
    }
}

/// A prompt is counted once, however many choices it has.
pub(super) fn usage(echoes: &[Echo], count: usize) -> Json {
    let prompt: usize = echoes.iter().map(|echo| echo.prompt_tokens).sum();
    let completion = echoes.iter().map(Echo::count).sum::<usize>() * count;
    object! {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
    }
}

/// The error for a required tool that the request does not define.
pub(super) fn unknown_tool(unknown: &Unknown) -> ErrorResponse {
    let why = "does not match any of the specified `tools`";
    error_response(&format!("The tool specified in `tool_choice` ({}) {why}", unknown.0), Some("tool_choice"))
}

/// An error in vLLM's shape.
pub(super) fn error_response(message: &str, param: Option<&str>) -> ErrorResponse {
    let error = object! { "message": message, "type": "BadRequestError", "param": param, "code": 400_usize };
    ErrorResponse::json(400, &object! { "error": error })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ask(request: &Value) -> OkResponse {
        let body = request.to_string();
        respond(&Request { endpoint: "my-llm", body: body.as_bytes(), ..Request::default() }).unwrap()
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
    fn stops_and_numbers_of_answers_are_honoured() {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let request = json!({"messages": messages, "stop": ["nowhere", "“hi"], "n": 2});
        let whole: Value = serde_json::from_str(&ask(&request).body).unwrap();
        for index in [0, 1] {
            let choice = &whole["choices"][index];
            assert_eq!(
                (&choice["index"], &choice["message"]["content"]),
                (&json!(index), &json!("You said: "))
            );
            assert_eq!((&choice["finish_reason"], &choice["stop_reason"]), (&json!("stop"), &json!("“hi")));
        }
        assert_eq!(whole["usage"], json!({"prompt_tokens": 5, "total_tokens": 11, "completion_tokens": 6}));

        let request = json!({"messages": messages, "stop": "“hi", "n": 2, "stream": true, "include_stop_str_in_output": true});
        let chunks = chunks(&ask(&request).body);
        for index in [0, 1] {
            let mut choices =
                chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == index);
            let text: String =
                choices.clone().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
            let last = choices.next_back().unwrap();
            assert_eq!((text.as_str(), &last["stop_reason"]), ("You said: “hi", &json!("“hi")));
        }

        let request = json!({"prompt": ["a", "b"], "n": 2, "stop": "said"});
        let whole: Value = serde_json::from_str(&ask(&request).body).unwrap();
        let choices = whole["choices"].as_array().unwrap();
        assert_eq!(
            choices.iter().map(|choice| choice["index"].as_u64().unwrap()).collect::<Vec<_>>(),
            [0, 1, 2, 3]
        );
        assert!(choices.iter().all(|choice| choice["text"] == "You " && choice["stop_reason"] == "said"));
        for (n, why) in [(0, "n must be at least 1, got 0."), (129, "n must be at most 128, got 129.")] {
            let body = json!({"messages": messages, "n": n}).to_string();
            let refused = respond(&Request { body: body.as_bytes(), ..Request::default() }).unwrap_err();
            assert!(refused.status == 400 && refused.body.contains(why), "{}", refused.body);
        }
    }

    #[test]
    fn demanded_tools_are_called() {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": parameters}}]);
        let named = json!({"type": "function", "function": {"name": "weather"}});
        for (choice, max_tokens, reason, input) in [
            (json!("required"), None, "tool_calls", r#"{"city": "Paris, now"}"#),
            (named, None, "stop", r#"{"city": "Paris, now"}"#),
            (json!("required"), Some(2), "length", r#"{"city": "Paris,"#),
        ] {
            let mut request = json!({
                "messages": [{"role": "user", "content": "Paris, now"}], "tools": tools, "tool_choice": choice,
                "max_tokens": max_tokens, "stop": "Paris",
            });
            let whole: Value = serde_json::from_str(&ask(&request).body).unwrap();
            let choice = &whole["choices"][0];
            assert_eq!(
                (&choice["finish_reason"], &choice["message"]["content"]),
                (&json!(reason), &json!(""))
            );
            let call = &choice["message"]["tool_calls"][0];
            assert_eq!(call["function"], json!({"name": "weather", "arguments": input}));

            request["stream"] = json!(true);
            let chunks = chunks(&ask(&request).body);
            let calls: Vec<&Value> =
                chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]).collect();
            assert_eq!((&calls[1]["id"], &calls[1]["function"]["name"]), (&call["id"], &json!("weather")));
            let streamed: String =
                calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
            assert_eq!(streamed, input);
            assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], reason);
        }
        let request = json!({
            "messages": [{"role": "user", "content": "hi"}], "tools": tools, "tool_choice": {"function": {"name": "other"}},
        });
        let body = request.to_string();
        let refused = respond(&Request { body: body.as_bytes(), ..Request::default() }).unwrap_err();
        assert!(refused.status == 400 && refused.body.contains("tool_choice"), "{}", refused.body);
        let free =
            json!({"messages": [{"role": "user", "content": "hi"}], "tools": tools, "tool_choice": "auto"});
        assert!(ask(&free).body.contains("You said"));
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
                &respond(&Request { body: body.as_bytes(), ..Request::default() }).unwrap_err().body,
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
