//! Messages and tools as the values that templates read: OpenAI's shape, with the input of tool calls as JSON.

use minijinja::Value;
use minijinja::value::ValueKind;
use sagewire_codec::model::{Outcome, Tool};

use crate::error::TemplateError;
use crate::messages::{Capabilities, PromptMessage, PromptPart, TextFilter};

/// A message.
pub(crate) fn message(
    message: &PromptMessage,
    capabilities: Capabilities,
    filter: &mut TextFilter<'_>,
) -> Result<Value, TemplateError> {
    let mut fields = Vec::from([("role", Value::from(message.role.as_str()))]);
    let content = if message.has_images() || capabilities.content_lists {
        let parts = message.parts.iter().map(|part| match part {
            PromptPart::Text(text) => Value::from_pairs([("type", "text"), ("text", text.as_str())]),
            PromptPart::Image => Value::from_pairs([("type", "image")]),
        });
        parts.collect::<Value>()
    } else {
        message.text().into()
    };
    fields.push(("content", content));
    if let Some(reasoning) = &message.reasoning {
        // Templates use either name.
        fields.push(("reasoning_content", reasoning.as_str().into()));
        fields.push(("reasoning", reasoning.as_str().into()));
    }
    let calls = message.tool_calls.iter().map(|call| {
        // Templates write the input with `tojson`. Input that is not JSON is a string.
        let input = match call.input.trim() {
            "" => Value::from_pairs([("", ""); 0]),
            input => match serde_json::from_str::<Value>(input) {
                Ok(value) => filter_strings(&value, filter, &call.pointer)?,
                Err(_) => filter.text(input, &call.pointer)?.into(),
            },
        };
        if capabilities.object_inputs && input.kind() != ValueKind::Map {
            return Err(TemplateError::unsupported("tool input that is no JSON object", &call.pointer));
        }
        let function = Value::from_pairs([("name", Value::from(call.name.as_str())), ("arguments", input)]);
        let mut fields = Vec::from([("type", Value::from("function")), ("function", function)]);
        if let Some(id) = &call.id {
            fields.insert(0, ("id", id.as_str().into()));
        }
        Ok(Value::from_pairs(fields))
    });
    let calls = calls.collect::<Result<Vec<_>, TemplateError>>()?;
    if !calls.is_empty() {
        fields.push(("tool_calls", calls.into()));
    }
    for (name, value) in [("name", &message.name), ("tool_call_id", &message.tool_call_id)] {
        if let Some(value) = value {
            fields.push((name, value.as_str().into()));
        }
    }
    Ok(Value::from_pairs(fields))
}

/// The definition of the tool at this index of the list.
pub(crate) fn tool(
    tool: &Tool<'_>,
    index: usize,
    filter: &mut TextFilter<'_>,
) -> Result<Value, TemplateError> {
    let pointer = format!("/tools/{index}");
    let mut json = |json: &str| {
        let value = serde_json::from_str(json).map_err(|error| TemplateError::json(&*pointer, error))?;
        filter_strings(&value, filter, &pointer)
    };
    if let Some(other) = &tool.other {
        return json(other.as_str());
    }
    let parameters = tool.schema.as_ref().map(|schema| json(schema.as_str())).transpose()?;
    let mut fields = Vec::from([("name", Value::from(filter.text(&tool.name, &pointer)?))]);
    if let Some(description) = &tool.description {
        fields.push(("description", filter.text(description, &pointer)?.into()));
    }
    if let Some(parameters) = parameters {
        fields.push(("parameters", parameters));
    }
    if tool.cache.is_some() {
        filter.losses.add_at(pointer, Outcome::Dropped, "a prompt has no cache markers");
    }
    Ok(Value::from_pairs([("type", Value::from("function")), ("function", Value::from_pairs(fields))]))
}

/// Passes every string in `value`, keys included, through the filter.
fn filter_strings(value: &Value, filter: &mut TextFilter<'_>, pointer: &str) -> Result<Value, TemplateError> {
    let items = || value.try_iter().into_iter().flatten();
    Ok(match value.kind() {
        ValueKind::String => filter.text(value.as_str().unwrap_or_default(), pointer)?.into(),
        ValueKind::Seq => {
            items().map(|item| filter_strings(&item, filter, pointer)).collect::<Result<Vec<_>, _>>()?.into()
        }
        ValueKind::Map => {
            let mut pairs = Vec::with_capacity(value.len().unwrap_or(0));
            for key in items() {
                let item = value.get_item(&key).unwrap_or_default();
                let key = filter.text(key.as_str().unwrap_or_default(), pointer)?;
                pairs.push((key, filter_strings(&item, filter, pointer)?));
            }
            Value::from_pairs(pairs)
        }
        _ => value.clone(),
    })
}
