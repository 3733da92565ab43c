//! Conditions on the tool calls of a response.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fields::{Expected, Fields, Text};
use super::json::{compile, mismatch};
use super::text::{shortened, split};
use super::{Finding, InvalidAssertion, Output};
use crate::provider::CallError;

/// A condition on tool calls, in the shape of OpenAI's chat completions.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// All calls are valid, and there is one at least.
    Calls,
    /// There is exactly one call, and it is valid.
    Call,
    /// The names of the tools that are called.
    Names { expected: Vec<Text>, commas: bool, threshold: f64 },
}

impl Condition {
    /// `None` if this is another type.
    pub(super) fn read(kind: &str, fields: &Fields<'_>) -> Result<Option<Self>, InvalidAssertion> {
        let condition = match kind {
            "is-valid-openai-tools-call" => Self::Calls,
            "is-valid-openai-function-call" | "is-valid-function-call" => Self::Call,
            "tool-call-f1" => {
                let expected = fields.required("the names of the tools")?;
                let commas = matches!(expected, Expected::Text(_));
                let threshold = fields.number("threshold")?.unwrap_or(1.0);
                fields.only(&["type", "value", "threshold", "weight", "metric", "transform"])?;
                return Ok(Some(Self::Names { expected: expected.into_texts()?, commas, threshold }));
            }
            _ => return Ok(None),
        };
        fields.only(&["type", "weight", "metric", "transform"])?;
        Ok(Some(condition))
    }

    pub(super) fn check(&self, output: &Output<'_>) -> Result<Finding, CallError> {
        let calls = calls(output);
        match self {
            Self::Names { expected, commas, threshold } => {
                names(output, &calls, expected, *commas, *threshold)
            }
            Self::Call if calls.len() > 1 => {
                Ok(Finding::new(false, format!("the response has {} calls", calls.len())))
            }
            Self::Call | Self::Calls if calls.is_empty() => {
                Ok(Finding::new(false, "the response has no tool calls"))
            }
            Self::Call | Self::Calls => {
                for call in calls {
                    if let Some(reason) = invalid(call, output.subject.tools)? {
                        return Ok(Finding::new(false, reason));
                    }
                }
                let unknown = if output.subject.tools.is_empty() {
                    ", as far as is known without the tools"
                } else {
                    ""
                };
                Ok(Finding::new(true, format!("the tool calls are valid{unknown}")))
            }
        }
    }
}

/// The calls of an output that is one, or has some, or else those of the response.
fn calls<'a>(output: &Output<'a>) -> Vec<&'a Value> {
    if let Some(calls) = output.value.get("tool_calls").unwrap_or(output.value).as_array() {
        return calls.iter().collect();
    }
    match output.value.get("function_call") {
        Some(call) => vec![call],
        None if output.value.get("arguments").is_some() => vec![output.value],
        None => output.subject.reply.tool_calls.iter().collect(),
    }
}

/// The name of a call or a tool, whether it is in a field `function` or not.
fn function(call: &Value) -> &Value {
    call.get("function").unwrap_or(call)
}

/// Why a call is not valid.
fn invalid(call: &Value, tools: &[Value]) -> Result<Option<String>, CallError> {
    let called = function(call);
    let field = |key: &str| called.get(key).and_then(Value::as_str);
    let (Some(name), Some(arguments)) = (field("name"), field("arguments")) else {
        return Ok(Some(format!("{} is not a tool call", shortened(&call.to_string()))));
    };
    let arguments: Value = match serde_json::from_str(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Ok(Some(format!("the arguments of {name:?} are not JSON: {error}"))),
    };
    if tools.is_empty() {
        return Ok(None);
    }
    let named = |tool: &&Value| tool.get("name").and_then(Value::as_str) == Some(name);
    let Some(tool) = tools.iter().map(function).find(named) else {
        return Ok(Some(format!("{name:?} is not a tool of the provider")));
    };
    let Some(schema) = tool.get("parameters") else { return Ok(None) };
    let schema =
        compile(schema).map_err(|error| CallError::new(format_args!("the tool {name:?}: {error}")))?;
    Ok(mismatch(&schema, &arguments).map(|reason| format!("the arguments of {name:?}: {reason}")))
}

/// The harmonic mean of precision and recall of the names of tools; order and number do not matter.
#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53 names")]
fn names(
    output: &Output<'_>,
    calls: &[&Value],
    expected: &[Text],
    commas: bool,
    threshold: f64,
) -> Result<Finding, CallError> {
    let mut names = BTreeSet::new();
    for text in expected {
        let text = text.render_some(output)?;
        match commas {
            true => names.extend(split(&text).map_err(CallError::new)?),
            false => drop(names.insert(text)),
        }
    }
    let name = |call: &&Value| function(call).get("name").and_then(Value::as_str).map(str::to_owned);
    let called: BTreeSet<_> = calls.iter().filter_map(name).collect();
    let common = called.intersection(&names).count();
    let score = 2.0 * common as f64 / (called.len() + names.len()) as f64;
    let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut finding = Finding::score(score, threshold, "F1 of the tool calls");
    finding.reason += &format!(" (expected: {}; called: {})", list(&names), list(&called));
    Ok(finding)
}
