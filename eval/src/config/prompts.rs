//! Prompts: texts and conversations.

use std::path::Path;

use serde_json::Value;

use super::PromptTemplate;
use super::document::{Document, Node};
use super::reader::Reader;
use crate::template;

/// The line between two prompts of a text file.
const SEPARATOR: &str = "---";

/// Reads `prompts`. Without any, the prompt is the variable `prompt`, as in promptfoo.
pub(super) fn read(root: &Node<'_>, reader: &mut Reader<'_>) -> Vec<PromptTemplate> {
    let Some(node) = root.get("prompts") else {
        return vec![PromptTemplate { text: "{{prompt}}".into(), ..Default::default() }];
    };
    let mut prompts = Vec::new();
    for item in node.items() {
        read_one(&item, reader, &mut prompts);
    }
    if prompts.is_empty() && reader.problems.is_empty() {
        reader.problem::<()>(node.problem("there are no prompts"));
    }
    prompts
}

fn read_one(node: &Node<'_>, reader: &mut Reader<'_>, prompts: &mut Vec<PromptTemplate>) {
    let (label, id) = match node.value {
        Value::Object(_) => {
            reader.keys(node, &["raw", "label", "id", "display"], &[], &["function", "config"]);
            let mut text = |key| node.get(key).and_then(|node| reader.text(&node));
            let label = text("label").or_else(|| text("display"));
            (label, text("id"))
        }
        _ => (None, None),
    };
    let named = |text| PromptTemplate { text, label: label.clone(), id: id.clone() };
    let is_section = node.value.is_object();
    let source = if is_section { node.get("raw").or_else(|| node.get("id")) } else { Some(node.clone()) };
    let Some(source) = source else {
        return reader
            .problem(node.problem("`raw` is missing: the text of the prompt, or a `file://` path"))
            .unwrap_or_default();
    };
    if let Value::Array(_) = source.value {
        // A conversation as YAML.
        prompts.extend(conversation(&source, source.value, reader).map(named));
        return;
    }
    let Some(text) = reader.text(&source) else { return };
    let path = reader.file_path(&text).or_else(|| file_without_prefix(&text, reader));
    match path {
        Some(path) => {
            for text in of_file(&source, &path, reader) {
                prompts.extend(checked(&source, text, reader).map(named));
            }
        }
        None => prompts.extend(inline(&source, text, reader).map(named)),
    }
}

/// promptfoo takes the names of text files without `file://`, too.
fn file_without_prefix(text: &str, reader: &Reader<'_>) -> Option<std::path::PathBuf> {
    let is_name = !text.contains(['\n', '{', ' '])
        && [".txt", ".json", ".yaml", ".yml"].iter().any(|end| text.ends_with(end));
    is_name.then(|| reader.file_path(&format!("file://{text}")))?.filter(|path| path.is_file())
}

/// The prompts of a file.
fn of_file(node: &Node<'_>, path: &Path, reader: &mut Reader<'_>) -> Vec<String> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending {
        "js" | "mjs" | "cjs" | "ts" | "py" | "rb" | "sh" => {
            let message = "prompts that are programs are not run; write a text, JSON or YAML file";
            reader.problem::<()>(node.problem(message));
            Vec::new()
        }
        "yaml" | "yml" | "json" => {
            let document = reader.document(path, Some(node));
            document
                .and_then(|document| conversation(&document.root(), &document.value, reader))
                .into_iter()
                .collect()
        }
        "jsonl" => {
            let lines = reader.file(path, Some(node)).unwrap_or_default();
            lines.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
        }
        _ => split(&reader.file(path, Some(node)).unwrap_or_default()),
    }
}

/// The prompts of a text file, which lines of `---` separate.
fn split(text: &str) -> Vec<String> {
    let mut prompts = vec![String::new()];
    for line in text.split_inclusive('\n') {
        match prompts.last_mut() {
            Some(last) if line.trim_end() != SEPARATOR => last.push_str(line),
            _ => prompts.push(String::new()),
        }
    }
    prompts.iter().map(|prompt| prompt.trim().to_owned()).filter(|prompt| !prompt.is_empty()).collect()
}

/// A prompt in the configuration itself. YAML messages in a text become JSON.
fn inline(node: &Node<'_>, text: String, reader: &mut Reader<'_>) -> Option<String> {
    if text.trim_start().starts_with("- role:") {
        let document = match Document::parse(&node.document.path, &text) {
            Ok(document) => document,
            Err(problem) => {
                return reader.problem(node.problem(format!("no list of messages: {}", problem.message)));
            }
        };
        return conversation(node, &document.value, reader);
    }
    checked(node, text, reader)
}

/// A conversation as JSON: a list of messages, or, for other requests, any object.
fn conversation(node: &Node<'_>, value: &Value, reader: &mut Reader<'_>) -> Option<String> {
    if let Value::String(text) = value {
        return checked(node, text.clone(), reader);
    }
    let has_role = |message: &Value| message.get("role").is_some_and(Value::is_string);
    match value {
        Value::Array(messages) if !messages.iter().all(has_role) => {
            reader.problem(node.problem("each message of a conversation has to have a `role`"))
        }
        Value::Array(_) | Value::Object(_) => checked(node, value.to_string(), reader),
        _ => reader
            .problem(node.problem(format!("expected a text or a list of messages, found {}", node.kind()))),
    }
}

/// The text, if it is a template.
fn checked(node: &Node<'_>, text: String, reader: &mut Reader<'_>) -> Option<String> {
    match template::check(&text) {
        Ok(()) => Some(text),
        Err(reason) => reader.problem(node.problem(format!("the prompt is not a valid template: {reason}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_three_hyphens_separate_prompts() {
        assert_eq!(split("a\nb --- c\n---\n\nd\n---  \n"), ["a\nb --- c", "d"]);
        assert!(split("---\n").is_empty());
    }
}
