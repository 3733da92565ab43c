//! The requests of the model types: what promptfoo's SageMaker provider sends, so that both get the same responses.
//!
//! `N` is `maxTokens` (or 1024), `T` is `temperature` (or 0.7), `P` is `topP` (or 1), `S` is `stopSequences` (left out if empty).
//!
//! | type | prompt | body |
//! |---|---|---|
//! | `openai` | messages | `{"messages": …, "max_tokens": N, "temperature": T, "top_p": P, "stop": S}` |
//! | | text | the same with `"prompt"` in place of `"messages"` |
//! | `anthropic` | messages, or text as one | `{"messages": …, "max_tokens": N, "temperature": T, "top_p": P, "stop_sequences": S}` |
//! | `llama` | messages, or text | `{"inputs": …, "parameters": {"max_new_tokens": N, "temperature": T, "top_p": P, "stop": S}}` |
//! | `jumpstart` | text | `{"inputs": …, "parameters": {"max_new_tokens": N, "temperature": T, "top_p": P, "do_sample": T > 0}}` |
//! | `huggingface` | text | as `jumpstart`, with `"return_full_text": false` |
//! | `custom` | JSON | the JSON itself |
//! | | text | `{"prompt": …}` |
//!
//! | type of an embedding | body |
//! |---|---|
//! | `openai` | `{"input": …, "model": "embedding"}` |
//! | `huggingface` | `{"inputs": …}` |
//! | others | `{"input": …, "text": …, "inputs": …}` |
//!
//! This is what its source does (`src/providers/sagemaker.ts` of the public repository); newer versions have no type `anthropic`, which
//! is that of the Messages API here. Differences: `huggingface` has no `top_p` unless it is set, because TGI refuses 1, which
//! changes nothing elsewhere; stop sequences are sent to `jumpstart` and `huggingface` as well if they are set;
//! `parameters` and `tools` are added to the body, or to its `parameters` if it has them; an object that a transformation makes is
//! the body itself.

use serde_json::{Map, Value, json};

use super::spec::{ModelType, Sampling};

const MAX_TOKENS: usize = 1024;
const TEMPERATURE: f64 = 0.7;
const TOP_P: f64 = 1.0;

/// The body of a request for a text.
pub(super) fn chat(model: ModelType, prompt: &str, sampling: &Sampling, extra: &Map<String, Value>) -> Value {
    let max_tokens = sampling.max_tokens.unwrap_or(MAX_TOKENS);
    let temperature = number(sampling.temperature.unwrap_or(TEMPERATURE));
    let top_p = number(sampling.top_p.unwrap_or(TOP_P));
    let do_sample = sampling.temperature.unwrap_or(TEMPERATURE) > 0.0;
    let messages = messages(prompt);
    let mut body = match model {
        ModelType::OpenAi => {
            let (key, value) = messages.map_or(("prompt", prompt.into()), |messages| ("messages", messages));
            json!({key: value, "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p})
        }
        ModelType::Anthropic => {
            let (system, messages) =
                anthropic(messages.unwrap_or_else(|| json!([{"role": "user", "content": prompt}])));
            let mut body = json!({"messages": messages, "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p});
            if let Some(system) = system {
                body["system"] = system;
            }
            body
        }
        ModelType::Llama => {
            let inputs = messages.unwrap_or_else(|| prompt.into());
            json!({"inputs": inputs, "parameters": {"max_new_tokens": max_tokens, "temperature": temperature, "top_p": top_p}})
        }
        ModelType::JumpStart | ModelType::HuggingFace => json!({"inputs": prompt, "parameters": {
            "max_new_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "do_sample": do_sample,
        }}),
        ModelType::Custom => serde_json::from_str(prompt).unwrap_or_else(|_| json!({"prompt": prompt})),
    };
    if let ModelType::HuggingFace = model {
        body["parameters"]["return_full_text"] = false.into();
        if let (None, Some(parameters)) = (sampling.top_p, body["parameters"].as_object_mut()) {
            parameters.remove("top_p");
        }
    }
    let stop = match model {
        ModelType::Anthropic => "stop_sequences",
        _ => "stop",
    };
    let has_parameters = body.get("parameters").is_some_and(Value::is_object);
    let parameters = if has_parameters { body.get_mut("parameters") } else { Some(&mut body) };
    if let Some(Value::Object(parameters)) = parameters {
        if !sampling.stop.is_empty() && model != ModelType::Custom {
            parameters.insert(stop.into(), sampling.stop.clone().into());
        }
        parameters.extend(extra.clone());
    }
    body
}

/// The body of a request for an embedding.
pub(super) fn embedding(model: ModelType, text: &str, extra: &Map<String, Value>) -> Value {
    let mut body = match model {
        ModelType::OpenAi => json!({"input": text, "model": "embedding"}),
        ModelType::HuggingFace => json!({"inputs": text}),
        _ => json!({"input": text, "text": text, "inputs": text}),
    };
    if let Value::Object(body) = &mut body {
        body.extend(extra.clone());
    }
    body
}

/// The messages of a prompt that is a conversation as JSON.
pub(super) fn messages(prompt: &str) -> Option<Value> {
    prompt.trim_start().starts_with('[').then_some(())?;
    serde_json::from_str(prompt).ok().filter(Value::is_array)
}

/// The system prompt, which the Messages API has apart, and the other messages.
fn anthropic(messages: Value) -> (Option<Value>, Value) {
    let Value::Array(messages) = messages else { return (None, messages) };
    match messages.split_first() {
        Some((first, rest)) if first.get("role") == Some(&json!("system")) => {
            (first.get("content").cloned(), rest.to_vec().into())
        }
        _ => (None, messages.into()),
    }
}

/// A number as JavaScript writes it: without a fraction if it has none.
fn number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { (number as i64).into() } else { number.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONVERSATION: &str = r#"[{"role":"system","content":"s"},{"role":"user","content":"u"}]"#;

    #[test]
    fn bodies_are_those_of_promptfoo() {
        let none = Map::new();
        let set = Sampling {
            max_tokens: Some(256),
            temperature: Some(0.0),
            top_p: Some(0.9),
            stop: vec!["x".into()],
        };
        let user = json!([{"role": "user", "content": "hi"}]);
        let all = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]);
        for (model, prompt, expected) in [
            (
                ModelType::OpenAi,
                "hi",
                json!({"prompt": "hi", "max_tokens": 256, "temperature": 0, "top_p": 0.9, "stop": ["x"]}),
            ),
            (
                ModelType::OpenAi,
                CONVERSATION,
                json!({"messages": all, "max_tokens": 256, "temperature": 0, "top_p": 0.9, "stop": ["x"]}),
            ),
            (
                ModelType::Anthropic,
                "hi",
                json!({"messages": user, "max_tokens": 256, "temperature": 0, "top_p": 0.9, "stop_sequences": ["x"]}),
            ),
            (
                ModelType::Anthropic,
                CONVERSATION,
                json!({"system": "s", "messages": [{"role": "user", "content": "u"}], "max_tokens": 256, "temperature": 0, "top_p": 0.9, "stop_sequences": ["x"]}),
            ),
            (
                ModelType::Llama,
                CONVERSATION,
                json!({"inputs": all, "parameters": {"max_new_tokens": 256, "temperature": 0, "top_p": 0.9, "stop": ["x"]}}),
            ),
            (
                ModelType::JumpStart,
                "hi",
                json!({"inputs": "hi", "parameters": {"max_new_tokens": 256, "temperature": 0, "top_p": 0.9, "do_sample": false, "stop": ["x"]}}),
            ),
            (ModelType::Custom, "hi", json!({"prompt": "hi"})),
            (ModelType::Custom, r#"{"q": 1}"#, json!({"q": 1})),
        ] {
            assert_eq!(chat(model, prompt, &set, &none), expected, "{model:?} {prompt}");
        }
        let extra = json!({"seed": 7}).as_object().unwrap().clone();
        assert_eq!(
            chat(ModelType::HuggingFace, "hi", &Sampling::default(), &extra),
            json!({"inputs": "hi", "parameters": {"max_new_tokens": 1024, "temperature": 0.7, "do_sample": true,
                "return_full_text": false, "seed": 7}})
        );
        assert_eq!(embedding(ModelType::OpenAi, "t", &none), json!({"input": "t", "model": "embedding"}));
        assert_eq!(
            embedding(ModelType::Custom, "t", &none),
            json!({"input": "t", "text": "t", "inputs": "t"})
        );
    }
}
