//! The default answer: what a vLLM container says to an OpenAI chat request, with a model that only echoes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::json;

/// 2026-01-01T00:00:00Z: answers do not depend on the clock.
const CREATED: u64 = 1_767_225_600;
/// Words of the user's message that are echoed.
const ECHO_WORDS: usize = 24;

/// What the container answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// Answers a request to `endpoint`.
///
/// # Errors
///
/// The container's own error, of status 400, when the body is no chat request.
pub(crate) fn answer(endpoint: &str, body: &[u8]) -> Result<Answer, String> {
    let request: ChatRequest<'_> =
        serde_json::from_slice(body).map_err(|error| bad_request(&error.to_string()))?;
    if request.messages.is_empty() {
        return Err(bad_request("messages must not be empty"));
    }
    let reply = Reply::new(endpoint, &request);
    Ok(if request.stream.unwrap_or(false) {
        let usage = request.stream_options.is_some_and(|options| options.include_usage.unwrap_or(false));
        Answer { content_type: "text/event-stream; charset=utf-8", body: reply.stream(usage) }
    } else {
        Answer { content_type: "application/json", body: reply.whole() }
    })
}

/// The parts of a request that make a difference here.
#[derive(Deserialize)]
struct ChatRequest<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                parts.iter().filter_map(|part| part.text.as_deref()).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

struct Reply {
    id: String,
    model: String,
    text: String,
    finish_reason: &'static str,
    usage: Usage,
}

impl Reply {
    fn new(endpoint: &str, request: &ChatRequest<'_>) -> Self {
        let user = request.messages.iter().rev().find(|message| message.role == "user");
        let asked = user.map(Message::text).unwrap_or_default();
        let text = echo(&asked);
        let max = request.max_completion_tokens.or(request.max_tokens).unwrap_or(usize::MAX);
        let len: usize = tokens(&text).take(max).map(str::len).sum();
        let finish_reason = if len < text.len() { "length" } else { "stop" };
        let text = text[..len].to_string();
        let prompt_tokens = request.messages.iter().map(|m| m.text().split_whitespace().count() + 4).sum();
        let completion_tokens = tokens(&text).count();
        Self {
            id: format!("chatcmpl-{:016x}", hash(asked.as_bytes())),
            model: request.model.as_deref().filter(|model| !model.is_empty()).unwrap_or(endpoint).to_string(),
            text,
            finish_reason,
            usage: Usage {
                prompt_tokens,
                total_tokens: prompt_tokens + completion_tokens,
                completion_tokens,
            },
        }
    }

    /// One SSE event for the role, each token, the end, the usage if asked for, and the terminator.
    fn stream(&self, usage: bool) -> String {
        let mut out = String::new();
        let mut event = |choices: &[ChunkChoice<'_>], usage| {
            let chunk = Chunk {
                id: &self.id,
                object: "chat.completion.chunk",
                created: CREATED,
                model: &self.model,
                choices,
                usage,
            };
            out.push_str("data: ");
            out.push_str(&json(&chunk));
            out.push_str("\n\n");
        };
        let choice = |role, content, finish_reason| ChunkChoice {
            index: 0,
            delta: Delta { role, content },
            logprobs: None,
            finish_reason,
        };
        event(&[choice(Some("assistant"), "", None)], None);
        for token in tokens(&self.text) {
            event(&[choice(None, token, None)], None);
        }
        event(&[choice(None, "", Some(self.finish_reason))], None);
        if usage {
            event(&[], Some(self.usage));
        }
        out.push_str("data: [DONE]\n\n");
        out
    }

    fn whole(&self) -> String {
        json(&Completion {
            id: &self.id,
            object: "chat.completion",
            created: CREATED,
            model: &self.model,
            choices: [CompletionChoice {
                index: 0,
                message: Assistant { role: "assistant", content: &self.text, refusal: None, tool_calls: [] },
                logprobs: None,
                finish_reason: self.finish_reason,
                stop_reason: None,
            }],
            usage: self.usage,
        })
    }
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'a str,
    created: u64,
    model: &'a str,
    choices: &'a [ChunkChoice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    content: &'a str,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'a str,
    created: u64,
    model: &'a str,
    choices: [CompletionChoice<'a>; 1],
    usage: Usage,
}

#[derive(Serialize)]
struct CompletionChoice<'a> {
    index: u32,
    message: Assistant<'a>,
    logprobs: Option<()>,
    finish_reason: &'a str,
    stop_reason: Option<()>,
}

#[derive(Serialize)]
struct Assistant<'a> {
    role: &'a str,
    content: &'a str,
    refusal: Option<()>,
    tool_calls: [(); 0],
}

#[derive(Clone, Copy, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
    completion_tokens: usize,
}

/// The container's own error, as vLLM writes it.
fn bad_request(message: &str) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        error: Inner<'a>,
    }
    #[derive(Serialize)]
    struct Inner<'a> {
        message: &'a str,
        #[serde(rename = "type")]
        kind: &'a str,
        param: Option<()>,
        code: u16,
    }
    json(&Body { error: Inner { message, kind: "BadRequestError", param: None, code: 400 } })
}

fn echo(asked: &str) -> String {
    let words: Vec<&str> = asked.split_whitespace().collect();
    let mut echoed = words[..words.len().min(ECHO_WORDS)].join(" ");
    if words.len() > ECHO_WORDS {
        echoed.push_str(" …");
    }
    let asked =
        if echoed.is_empty() { "You sent no text.".into() } else { format!("You said: “{echoed}”") };
    format!(
        "{asked}\n\nNo model has read this: it is the echo of a local endpoint, which a café naïvely serves one word at \
         a time. Each word is one event, each event is cut wherever chance wants it, and some characters take two, three \
         or four bytes: é, 你好, 😀. Whoever reads this text in one piece has put frames, lines and characters back \
         together again. Nothing was lost on the way, and nothing was added."
    )
}

/// Words, each with the white space before it: about as a tokenizer cuts.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let end = rest[word..].find(char::is_whitespace).map_or(rest.len(), |len| word + len);
        let (token, after) = rest.split_at(end);
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}

/// FNV-1a: the same question has the same id.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ask(request: &Value) -> Answer {
        answer("my-llm", request.to_string().as_bytes()).unwrap()
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
            let error: Value = serde_json::from_str(&answer("e", body.as_bytes()).unwrap_err()).unwrap();
            assert_eq!(
                (&error["error"]["code"], &error["error"]["type"]),
                (&json!(400), &json!("BadRequestError"))
            );
        }
    }

    #[test]
    fn tokens_keep_every_byte() {
        for text in ["", " ", "a", " a  b\n", "“é”\n\n你好 😀."] {
            assert_eq!(tokens(text).collect::<String>(), text);
        }
        assert_eq!(tokens(" a  b\n").collect::<Vec<_>>(), [" a", "  b", "\n"]);
    }
}
