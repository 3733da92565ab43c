//! OpenAI: the list of models. Chat completions, completions, embeddings and Responses are the codec's.
//!
//! Source: [Models](https://platform.openai.com/docs/api-reference/models) of OpenAI's API reference.

use serde_json::{Value, json};

/// The list of models.
pub(crate) fn models<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    json!({"object": "list", "data": names.map(model).collect::<Vec<_>>()})
}

/// One model. It is not known when it was created.
pub(crate) fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "sagewire"})
}
