//! Conditions on JSON in an output, with or without a JSON Schema.

use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Deserializer, Value};

use super::fields::{Expected, Fields, Text, yaml};
use super::text::shortened;
use super::{Finding, InvalidAssertion, Output};
use crate::provider::CallError;

/// A condition on JSON.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// The whole output is JSON.
    Is(Option<Schema>),
    /// A part of the output is a JSON object.
    Contains(Option<Schema>),
}

/// A JSON Schema: draft 7, as in promptfoo, if it does not say otherwise.
#[derive(Clone, Debug)]
pub(super) enum Schema {
    Compiled(Arc<Validator>),
    /// JSON or YAML with variables.
    Template(Text),
}

impl Condition {
    /// `None` if this is another type.
    pub(super) fn read(kind: &str, fields: &Fields<'_>) -> Result<Option<Self>, InvalidAssertion> {
        let condition = match kind {
            "is-json" => Self::Is,
            "contains-json" => Self::Contains,
            _ => return Ok(None),
        };
        let schema = fields.value()?.and_then(|value| Schema::read(value).transpose()).transpose()?;
        fields.only(&["type", "value", "weight", "metric", "transform"])?;
        Ok(Some(condition(schema)))
    }

    pub(super) fn check(&self, output: &Output<'_>) -> Result<Finding, CallError> {
        match self {
            Self::Is(schema) => is_json(output, schema.as_ref()),
            Self::Contains(schema) => contains_json(output, schema.as_ref()),
        }
    }
}

fn is_json(output: &Output<'_>, schema: Option<&Schema>) -> Result<Finding, CallError> {
    let value: Value = match serde_json::from_str(output.text) {
        Ok(value) => value,
        Err(error) => return Ok(Finding::new(false, format!("the output is not JSON: {error}"))),
    };
    let Some(schema) = schema else { return Ok(Finding::new(true, "the output is JSON")) };
    Ok(match mismatch(schema.compiled(output)?.as_ref(), &value) {
        None => Finding::new(true, "the output is JSON as in the schema"),
        Some(reason) => {
            Finding::new(false, format!("the output is JSON, but not as in the schema: {reason}"))
        }
    })
}

fn contains_json(output: &Output<'_>, schema: Option<&Schema>) -> Result<Finding, CallError> {
    let objects = objects(output.text);
    let Some(schema) = schema.filter(|_| !objects.is_empty()) else {
        let found = !objects.is_empty();
        return Ok(Finding::new(
            found,
            format!("the output contains {}", if found { "JSON" } else { "no JSON object" }),
        ));
    };
    let validator = schema.compiled(output)?;
    let mut reason = String::new();
    for object in &objects {
        match mismatch(validator.as_ref(), object) {
            None => return Ok(Finding::new(true, "the output contains JSON as in the schema")),
            Some(mismatch) => reason = mismatch,
        }
    }
    Ok(Finding::new(false, format!("the output contains JSON, but not as in the schema: {reason}")))
}

/// The JSON objects in a text that are not in one another.
///
/// Unlike promptfoo, which completes and repairs what it finds, only complete JSON counts: a response that was cut is none. The work is
/// linear, because a document has at most 128 levels.
pub(super) fn objects(text: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let mut documents = Deserializer::from_str(&rest[start..]).into_iter::<Value>();
        rest = match documents.next() {
            Some(Ok(object)) => {
                objects.push(object);
                &rest[start + documents.byte_offset()..]
            }
            _ => &rest[start + 1..],
        };
    }
    objects
}

impl Schema {
    /// `None` if the value is empty.
    fn read(value: Expected) -> Result<Option<Self>, InvalidAssertion> {
        let invalid = |message: String| InvalidAssertion::new("/value", message);
        let schema = match value {
            Expected::Json(schema @ (Value::Object(_) | Value::Bool(_))) => schema,
            Expected::Text(text) => match text.fixed() {
                None => return Ok(Some(Self::Template(text))),
                Some(fixed) if fixed.trim().is_empty() => return Ok(None),
                Some(fixed) => yaml(fixed).map_err(invalid)?,
            },
            _ => return Err(invalid("has to be a JSON Schema".to_owned())),
        };
        Ok(Some(Self::Compiled(Arc::new(compile(&schema).map_err(invalid)?))))
    }

    fn compiled(&self, output: &Output<'_>) -> Result<Arc<Validator>, CallError> {
        match self {
            Self::Compiled(validator) => Ok(Arc::clone(validator)),
            Self::Template(text) => {
                let schema = yaml(&text.render(output)?).and_then(|schema| compile(&schema));
                schema.map(Arc::new).map_err(|error| CallError::new(format_args!("value: {error}")))
            }
        }
    }
}

/// Compiles a schema. References to other documents are not fetched, and patterns take linear time.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    if !schema.is_object() && !schema.is_boolean() {
        return Err("a JSON Schema has to be an object or a truth value".to_owned());
    }
    let mut options =
        jsonschema::options().should_validate_formats(true).with_pattern_options(PatternOptions::regex());
    if schema.get("$schema").is_none() {
        options = options.with_draft(Draft::Draft7);
    }
    options.build(schema).map_err(|error| {
        let pointer = error.instance_path().to_string();
        let place = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
        format!("is not a JSON Schema{place}: {}", shortened(&error.to_string()))
    })
}

/// Why a value is not as in a schema: the first three differences.
pub(super) fn mismatch(validator: &Validator, value: &Value) -> Option<String> {
    let differences: Vec<_> = validator
        .iter_errors(value)
        .take(3)
        .map(|error| match error.instance_path().to_string() {
            pointer if pointer.is_empty() => shortened(&error.to_string()),
            pointer => format!("{pointer}: {}", shortened(&error.to_string())),
        })
        .collect();
    (!differences.is_empty()).then(|| differences.join("; "))
}
