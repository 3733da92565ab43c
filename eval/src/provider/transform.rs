//! Transformations of prompts before they are sent.

use serde_json::{Map, Value, json};

use crate::template;

/// The transformation of a prompt before it is sent: a template, or an expression, over `prompt` and `vars`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    /// A text with `{{ }}` or `{% %}`.
    Template(String),
    /// An expression. If its value is no text, it is the body of the request.
    Expression(String),
}

impl Transform {
    /// Reads a transformation.
    ///
    /// # Errors
    ///
    /// It is JavaScript, or its syntax is wrong.
    pub(crate) fn read(source: &str) -> Result<Self, String> {
        let text = source.trim();
        if is_javascript(text) {
            let equivalent = equivalent(text).unwrap_or_else(|| "<s>[INST] {{ prompt }} [/INST]".to_owned());
            return Err(format!(
                "JavaScript is not run; write a template or an expression over `prompt` and `vars`: `{equivalent}`"
            ));
        }
        if is_template(text) {
            template::check(text)?;
            return Ok(Self::Template(source.trim_end_matches('\n').to_owned()));
        }
        template::check_expression(text)?;
        Ok(Self::Expression(text.to_owned()))
    }

    /// Applies it. The result is a text, or the JSON that is the body of the request.
    pub(crate) fn apply(&self, prompt: &str, vars: &Map<String, Value>) -> Result<Value, String> {
        let context =
            Map::from_iter([("prompt".to_owned(), prompt.into()), ("vars".to_owned(), json!(vars))]);
        match self {
            Self::Template(text) => template::render(text, &context).map(Value::from),
            Self::Expression(text) => match template::evaluate(text, &context)? {
                value @ (Value::String(_) | Value::Object(_) | Value::Array(_)) => Ok(value),
                Value::Null => Err("the result of the transformation is nothing".into()),
                value => Ok(template::text(&value).into()),
            },
        }
    }
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Whether a transformation is for promptfoo's JavaScript.
fn is_javascript(text: &str) -> bool {
    let file = text.strip_prefix("file://").unwrap_or_default();
    let has_ending = |ending: &&str| file.split(':').next().unwrap_or_default().ends_with(*ending);
    let starts = ["return", "function", "async ", "module.exports", "//", "(", "const ", "let "];
    let parts = ["return ", "=>", "${", "JSON."];
    let is_code = match is_template(text) {
        // The text of a template may have words of JavaScript.
        true => starts[..4].iter().any(|start| text.starts_with(start)) && !text.starts_with("{{"),
        false => {
            starts.iter().any(|start| text.starts_with(start)) || parts.iter().any(|part| text.contains(part))
        }
    };
    [".js", ".mjs", ".cjs", ".ts", ".py", ".rb"].iter().any(has_ending) || (file.is_empty() && is_code)
}

/// The template that does what JavaScript with one template literal does.
fn equivalent(javascript: &str) -> Option<String> {
    let (_, rest) = javascript.split_once('`')?;
    let (mut rest, _) = rest.rsplit_once('`')?;
    if rest.contains('`') {
        return None;
    }
    let mut template = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}')?;
        let name = name.trim().trim_start_matches("context.");
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c)) {
            return None;
        }
        template += &format!("{before}{{{{ {name} }}}}");
        rest = after;
    }
    Some(template + rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vars() -> Map<String, Value> {
        json!({"topic": "<b> & \"c\"", "list": ["a", "b"], "n": {"k": 1}}).as_object().unwrap().clone()
    }

    #[test]
    fn prompts_are_transformed_by_templates_and_expressions() {
        let apply = |source: &str| Transform::read(source)?.apply("hi", &vars());
        assert_eq!(apply("<s>[INST] {{ prompt }} [/INST]\n"), Ok(json!("<s>[INST] hi [/INST]")));
        assert_eq!(apply("prompt | upper ~ vars.n.k"), Ok(json!("HI1")));
        assert_eq!(
            apply("{'inputs': prompt, 'parameters': {'x': 1}}"),
            Ok(json!({"inputs": "hi", "parameters": {"x": 1}}))
        );
        assert_eq!(apply("1 + 1"), Ok(json!("2")));
        assert!(apply("vars.none").is_err() && apply("none").is_err());
        assert!(apply("prompt |").is_err());
    }

    #[test]
    fn javascript_is_refused_with_the_equivalent() {
        let source = "// Transform the prompt before sending to SageMaker\nreturn `<s>[INST] ${prompt} ${context.vars.x} [/INST]`\n";
        let error = Transform::read(source).unwrap_err();
        assert!(error.ends_with("`<s>[INST] {{ prompt }} {{ vars.x }} [/INST]`"), "{error}");
        for source in ["file://transform.js", "(prompt) => prompt.trim()", "return prompt", "file://t.py:f"] {
            assert!(Transform::read(source).unwrap_err().contains("{{ prompt }}"), "{source}");
        }
    }
}
