//! The output of a response: by a path, by the codec, or in the order in which promptfoo looks for it.

use bytes::Bytes;
use sagewire_codec::model::{self, Choice, FinishReason, ToolNames};
use sagewire_codec::{Framing, Options};
use serde_json::{Value, json};
use serde_json_path::JsonPath;

use super::spec::ModelType;
use super::{CallError, Reply};
use crate::results::Tokens;

/// The most characters of a response that an error shows.
const EXCERPT_LEN: usize = 160;

/// Where the output is: JSONPath. A path of JavaScript, as newer versions of promptfoo have it (`json.choices[0].text`), is JSONPath
/// in another notation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutputPath {
    source: String,
    path: JsonPath,
}

impl OutputPath {
    pub(crate) fn read(source: &str) -> Result<Self, String> {
        let path = match source.trim().strip_prefix("json") {
            Some(path) if path.starts_with(['.', '[', '?']) => {
                format!("${}", path.replace("?.[", "[").replace("?.", "."))
            }
            _ => source.trim().to_owned(),
        };
        let is_path = path.starts_with('$') && !path.contains("||") && !path.contains("=>");
        let parsed = if is_path { JsonPath::parse(&path).ok() } else { None };
        match parsed {
            Some(path) => Ok(Self { source: source.to_owned(), path }),
            None => Err("expected JSONPath, such as `$[0].generated_text`; JavaScript is not run".into()),
        }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The first value at the path.
    pub(crate) fn find(&self, body: &[u8]) -> Result<Value, CallError> {
        let json: Value = serde_json::from_slice(body).map_err(|_| {
            CallError::new(format!(
                "the response is not JSON, so `{}` finds nothing: {}",
                self.source,
                excerpt(body)
            ))
        })?;
        match self.path.query(&json).first() {
            Some(value) => Ok(value.clone()),
            None => {
                let body = excerpt(body);
                Err(CallError::new(format!(
                    "`responseFormat.path` `{}` finds nothing in the response: {body}",
                    self.source
                )))
            }
        }
    }
}

/// The start of a response, for errors.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut start: String = text.chars().take(EXCERPT_LEN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// Reads a response. One that is truncated, or an error of the model, is an error.
pub(super) fn read(
    body: &Bytes,
    options: &Options,
    names: &ToolNames,
    model: ModelType,
    path: Option<&OutputPath>,
) -> Result<Reply, CallError> {
    let mut reply = match model::Response::read(body.clone(), options.clone().framing(Framing::Unframed)) {
        Ok(mut response) => {
            names.restore_response(&mut response);
            of_response(&response)
        }
        Err(error) if error.is_model_failure() => return Err(CallError::new(error)),
        // What the codec does not know has no end that could be missing.
        Err(error) if error.is_unrecognized() => None,
        Err(error) if is_known_shape(body) => return Err(CallError::new(error)),
        Err(_) => None,
    };
    if let Some(path) = path {
        let output = path.find(body).map_err(|error| match &reply {
            Some(_) => {
                CallError::new(format!("{error}; without the path, the text of the response is found"))
            }
            None => error,
        })?;
        reply = Some(Reply { output, ..reply.unwrap_or_default() });
    }
    match reply {
        Some(reply) => Ok(reply),
        None => Ok(Reply { output: search(body, model)?, ..Reply::default() }),
    }
}

/// Whether a response that the codec could not read to its end is that of an API, so that it is incomplete. Another JSON document is
/// complete.
fn is_known_shape(body: &[u8]) -> bool {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(map)) => ["choices", "error", "errors"].iter().any(|key| map.contains_key(*key)),
        Ok(_) => false,
        Err(_) => {
            body.trim_ascii_start().starts_with(b"{")
                || body.trim_ascii_start().starts_with(b"[")
                || body.starts_with(b"data:")
        }
    }
}

/// What the codec has read, if it is the response of a model.
fn of_response(response: &model::Response) -> Option<Reply> {
    let choice = response.choices.first()?;
    let tool_calls: Vec<_> = choice
        .tool_calls()
        .map(|(id, name, arguments)| {
            let function = json!({"name": name, "arguments": arguments});
            json!({"id": id.unwrap_or_default(), "type": "function", "function": function})
        })
        .collect();
    let text = choice.text();
    // As with promptfoo's provider of OpenAI, calls without a text are the output.
    let output =
        if text.is_empty() && !tool_calls.is_empty() { tool_calls.clone().into() } else { text.into() };
    Some(Reply {
        output,
        tool_calls,
        finish_reason: finish_reason(choice),
        tokens: response.usage.as_ref().and_then(tokens),
        ..Reply::default()
    })
}

fn finish_reason(choice: &Choice) -> Option<String> {
    let reason = match choice.finish.as_ref()? {
        FinishReason::StopSequence => "stop",
        FinishReason::ContextWindow => "length",
        FinishReason::Guardrail | FinishReason::Refusal => "content_filter",
        reason => reason.as_str(),
    };
    Some(reason.to_owned())
}

/// The counts, if the container has both.
fn tokens(usage: &model::Usage) -> Option<Tokens> {
    let (prompt, completion) = (usage.input_tokens?, usage.output_tokens?);
    Some(Tokens { prompt, completion, total: usage.total_tokens.unwrap_or(prompt + completion) })
}

/// Looks for the output in the order in which promptfoo does. A response in which nothing is found is the output itself.
///
/// | type | fields, the first that is neither empty nor null |
/// |---|---|
/// | all | `generated_text` |
/// | `openai` | `choices[0].message.content`, `choices[0].text`, `generation` |
/// | `anthropic` | `content[0].text`, `completion` |
/// | `llama` | `generation`, `choices[0].message.content`, `choices[0].text` |
/// | `huggingface` | of a list, `[0].generated_text`, `[0]` |
/// | `custom` | `output`, `generation`, `response`, `text`, `choices[0].message.content`, `choices[0].text` |
///
/// The codec reads the responses of all APIs that it knows before, with the same text.
fn search(body: &[u8], model: ModelType) -> Result<Value, CallError> {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return match std::str::from_utf8(body) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(CallError::new("the response is neither JSON nor text")),
        };
    };
    let code = json.get("code").and_then(Value::as_u64);
    if code == Some(424) {
        return Err(CallError::new(format!("the model has failed: {}", excerpt(body))));
    }
    let (message, text) = ("/choices/0/message/content", "/choices/0/text");
    let pointers: &[&str] = match model {
        ModelType::OpenAi => &[message, text, "/generation"],
        ModelType::Anthropic => &["/content/0/text", "/completion"],
        ModelType::Llama => &["/generation", message, text],
        ModelType::HuggingFace => &["/0/generated_text", "/0"],
        ModelType::JumpStart => &[],
        ModelType::Custom => &["/output", "/generation", "/response", "/text", message, text],
    };
    let is_something = |value: &&Value| {
        !matches!(value, Value::Null | Value::Bool(false)) && **value != json!("") && **value != json!(0)
    };
    let found = ["/generated_text"]
        .iter()
        .chain(pointers)
        .find_map(|pointer| json.pointer(pointer).filter(is_something));
    Ok(found.cloned().unwrap_or(json))
}

/// The vector of a response of a container that computes embeddings, in the order in which promptfoo looks for it: `embedding`,
/// `embeddings`, `data[0].embedding`, the first item of a list. Nested lists of one vector are unwrapped.
pub(super) fn vector(body: &[u8], path: Option<&OutputPath>) -> Result<Vec<f32>, CallError> {
    let found = match path {
        Some(path) => path.find(body)?,
        None => {
            let json: Value = serde_json::from_slice(body)
                .map_err(|_| CallError::new(format!("the response is not JSON: {}", excerpt(body))))?;
            let pointers = ["/embedding", "/embeddings", "/data/0/embedding", ""];
            let is_list = |value: &&Value| value.is_array();
            pointers
                .iter()
                .find_map(|pointer| json.pointer(pointer).filter(is_list))
                .cloned()
                .unwrap_or_default()
        }
    };
    let mut list = &found;
    // One vector for each text, and one text; or a vector for each of its tokens, which are several.
    while let Value::Array(items) = list {
        match items.as_slice() {
            [inner @ Value::Array(_)] => list = inner,
            _ => break,
        }
    }
    let number = |value: &Value| value.as_f64().map(|number| number as f32);
    let vector: Option<Vec<f32>> = list.as_array().and_then(|items| items.iter().map(number).collect());
    match vector {
        Some(vector) if !vector.is_empty() => Ok(vector),
        _ => Err(CallError::new(format!("there is no embedding in the response: {}", excerpt(body)))),
    }
}
