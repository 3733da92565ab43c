//! Anthropic: the list of models. Messages are the codec's.
//!
//! Source: [Models](https://docs.anthropic.com/en/api/models-list) of Anthropic's API reference. All models fit on the first page.

use serde_json::{Value, json};

/// The list of models.
pub(crate) fn models<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let data: Vec<_> = names.map(model).collect();
    let id = |model: Option<&Value>| model.map(|model| model["id"].clone());
    json!({"first_id": id(data.first()), "last_id": id(data.last()), "has_more": false, "data": data})
}

/// One model. It is not known when it was created.
pub(crate) fn model(name: &str) -> Value {
    json!({"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"})
}
