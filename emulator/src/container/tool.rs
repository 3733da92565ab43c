//! Tool calls: the model calls a tool only if the request requires it.

use serde_json::Value;

/// Deepest level of a schema that is followed.
const DEPTH_MAX: usize = 8;

/// The tool that a request requires the model to call.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequiredTool<'a> {
    pub(super) name: &'a str,
    /// Whether the request names the tool instead of leaving the choice to the model.
    pub(super) is_named: bool,
    schema: &'a Value,
}

/// The request names a tool that it does not define.
#[derive(Clone, Debug)]
pub(super) struct Unknown(pub(super) String);

impl<'a> RequiredTool<'a> {
    /// Of a chat completion: the fields of tools and of `tool_choice` are under `function`.
    pub(super) fn from_chat(tools: &'a Value, choice: &'a Value) -> Result<Option<Self>, Unknown> {
        let tools = each(tools).filter_map(|tool| Self::new(&tool["function"], "parameters"));
        Self::choose(tools, choice == "required", choice["function"]["name"].as_str())
    }

    /// Of a Cohere request, which cannot name a tool.
    pub(super) fn of_cohere(tools: &'a Value, is_required: bool) -> Option<Self> {
        let mut tools = each(tools).filter_map(|tool| Self::new(&tool["function"], "parameters"));
        tools.next().filter(|_| is_required)
    }

    /// Of a Responses request: the same without `function`.
    pub(super) fn of_responses(tools: &'a Value, choice: &'a Value) -> Result<Option<Self>, Unknown> {
        let functions = each(tools).filter(|tool| tool["type"] == "function");
        let tools = functions.filter_map(|tool| Self::new(tool, "parameters"));
        Self::choose(tools, choice == "required", choice["name"].as_str())
    }

    /// Of an Anthropic request: `tool_choice` has a type.
    pub(super) fn of_messages(tools: &'a Value, choice: &'a Value) -> Result<Option<Self>, Unknown> {
        let tools = each(tools).filter_map(|tool| Self::new(tool, "input_schema"));
        let named = choice["name"].as_str().filter(|_| choice["type"] == "tool");
        Self::choose(tools, choice["type"] == "any", named)
    }

    fn new(tool: &'a Value, schema: &str) -> Option<Self> {
        Some(Self { name: tool["name"].as_str()?, is_named: false, schema: &tool[schema] })
    }

    /// The first tool.
    fn choose(
        mut tools: impl Iterator<Item = Self>,
        is_required: bool,
        named: Option<&str>,
    ) -> Result<Option<Self>, Unknown> {
        match named {
            Some(name) => match tools.find(|tool| tool.name == name) {
                Some(tool) => Ok(Some(Self { is_named: true, ..tool })),
                None => Err(Unknown(name.into())),
            },
            None if is_required => Ok(tools.next()),
            None => Ok(None),
        }
    }

    /// The input of the call: JSON that matches the schema, with the prompt as every string.
    pub(super) fn input(self, asked: &str) -> String {
        let mut text = String::new();
        match self.schema {
            Value::Object(_) => write(&sample(self.schema, asked, 0), &mut text),
            _ => text.push_str("{}"),
        }
        text
    }
}

fn each(tools: &Value) -> impl Iterator<Item = &Value> {
    tools.as_array().into_iter().flatten()
}

/// A value that matches a schema. Supports the common keywords.
fn sample(schema: &Value, asked: &str, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    if let Some(schema) = ["anyOf", "oneOf"].into_iter().find_map(|name| schema[name].get(0)) {
        return sample(schema, asked, depth + 1);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match kind.unwrap_or(if schema["properties"].is_object() { "object" } else { "null" }) {
        "string" => asked.into(),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(0.into()),
        "boolean" => false.into(),
        "array" if schema["minItems"].as_u64() > Some(0) => {
            vec![sample(&schema["items"], asked, depth + 1)].into()
        }
        "array" => Value::Array(vec![]),
        "object" => {
            let required = schema["required"].as_array();
            let is_wanted =
                |name: &str| required.is_none_or(|names| names.iter().any(|required| required == name));
            let members = schema["properties"].as_object().into_iter().flatten();
            let members = members.filter(|(name, _)| is_wanted(name));
            members.map(|(name, schema)| (name.clone(), sample(schema, asked, depth + 1))).collect()
        }
        _ => Value::Null,
    }
}

/// Writes JSON with spaces, as models do.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(values) => {
            text.push('[');
            for (at, value) in values.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write(value, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                text.push_str(&crate::json_text::to_json(name));
                text.push_str(": ");
                write(value, text);
            }
            text.push('}');
        }
        value => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn input_goes_with_the_schema() {
        for (schema, input) in [
            (json!({"type": "object", "properties": {"city": {"type": "string"}}}), r#"{"city": "a \"b\""}"#),
            (
                json!({"properties": {"a": {"type": ["null", "integer"]}, "b": {"enum": ["x", "y"]}, "c": {"type": "boolean"}},
                       "required": ["a", "b"]}),
                r#"{"a": 0, "b": "x"}"#,
            ),
            (
                json!({"type": "object", "properties": {
                    "list": {"type": "array", "minItems": 1, "items": {"anyOf": [{"const": 7}]}},
                    "n": {"type": "number", "minimum": 1.5}, "none": {"type": "array"}, "what": {}}}),
                r#"{"list": [7], "n": 1.5, "none": [], "what": null}"#,
            ),
            (json!(null), "{}"),
            (json!({"type": "object"}), "{}"),
        ] {
            let tools = json!([{"function": {"name": "f", "parameters": schema}}]);
            let choice = json!("required");
            let demanded = RequiredTool::from_chat(&tools, &choice).ok().flatten();
            assert_eq!(demanded.map(|tool| tool.input("a \"b\"")).as_deref(), Some(input));
        }
        let mut deep = json!({"type": "string"});
        for _ in 0..100 {
            deep = json!({"type": "object", "properties": {"a": deep}});
        }
        assert!(sample(&deep, "", 0).to_string().len() < 100);
    }

    #[test]
    fn a_tool_is_called_where_there_is_no_choice() {
        let tools = json!([{"function": {"name": "f"}}, {"function": {"name": "g"}}]);
        for (choice, called) in [
            (json!("required"), Ok(Some(("f", false)))),
            (json!({"type": "function", "function": {"name": "g"}}), Ok(Some(("g", true)))),
            (json!({"function": {"name": "h"}}), Err("h")),
            (json!("auto"), Ok(None)),
            (json!("none"), Ok(None)),
            (json!(null), Ok(None)),
        ] {
            let found = RequiredTool::from_chat(&tools, &choice);
            let found = found.map(|tool| tool.map(|tool| (tool.name, tool.is_named)));
            assert_eq!(
                found.as_ref().map_err(|unknown| unknown.0.as_str()),
                called.as_ref().map_err(|name| *name)
            );
        }
        assert!(RequiredTool::from_chat(&json!(null), &json!("required")).is_ok_and(|tool| tool.is_none()));
    }
}
