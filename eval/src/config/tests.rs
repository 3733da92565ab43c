//! Tests: variables and assertions, in the configuration or in files.

mod csv;

use std::path::Path;

use serde_json::{Map, Value};

use super::document::{Document, Node};
use super::reader::Reader;
use super::{CASES_MAX, GraderSpecs, Test, providers};
use crate::assertion::Assertion;
use crate::template;

/// The keys of a test.
const KEYS: [&str; 8] =
    ["description", "vars", "assert", "options", "threshold", "providers", "prompts", "metadata"];
const UNSUPPORTED: [&str; 3] = ["provider", "providerOutput", "assertScoringFunction"];
/// The keys of `options` of a test.
const OPTIONS: [&str; 5] = ["provider", "prefix", "suffix", "disableVarExpansion", "rubricPrompt"];
const UNSUPPORTED_OPTIONS: [&str; 5] =
    ["transform", "postprocess", "transformVars", "storeOutputAs", "responseSchema"];
/// Assertions that have a prompt of their own for the provider that grades.
const GRADED: [&str; 5] =
    ["llm-rubric", "factuality", "model-graded-factuality", "model-graded-closedqa", "answer-relevance"];

/// Reads `tests`, with the values of `defaultTest`. Without any, there is one test without variables.
pub(super) fn read_all(root: &Node<'_>, reader: &mut Reader<'_>) -> Vec<Test> {
    let default = root.get("defaultTest");
    let file = default.as_ref().and_then(|node| match node.value {
        Value::String(text) => {
            let path = reader.file_path(text);
            path.and_then(|path| reader.document(&path, Some(node)))
        }
        _ => None,
    });
    let default = file.as_ref().map(Document::root).or(default);
    let mut tests = Tests { root, default, reader, tests: Vec::new() };
    if let Some(default) = &tests.default {
        tests.reader.keys(default, &KEYS, &[], &UNSUPPORTED);
    }
    match root.get("tests") {
        Some(node) => node.items().iter().for_each(|item| tests.read(item)),
        None => {
            let document = Document::of_line(&root.document.path, 1, Value::Object(Map::new()));
            tests.read(&document.root());
        }
    }
    tests.tests
}

/// The tests that were read so far.
struct Tests<'d, 'r, 'e> {
    root: &'d Node<'d>,
    default: Option<Node<'d>>,
    reader: &'r mut Reader<'e>,
    tests: Vec<Test>,
}

impl Tests<'_, '_, '_> {
    /// Reads a test, or the tests of a file.
    fn read(&mut self, node: &Node<'_>) {
        let Value::String(text) = node.value else { return self.read_test(node) };
        let path = match self.reader.file_path(text) {
            Some(path) => path,
            None if text.contains("://") => {
                let message = "tests are read from files: `file://PATH`";
                return self.reader.problem(node.problem(message)).unwrap_or_default();
            }
            None => self.reader.file_path(&format!("file://{text}")).unwrap_or_default(),
        };
        match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
            "yaml" | "yml" | "json" => {
                if let Some(document) = self.reader.document(&path, Some(node)) {
                    document.root().items().iter().for_each(|test| self.read_test(test));
                }
            }
            "jsonl" => self.read_lines(node, &path),
            "csv" => self.read_csv(node, &path),
            _ => {
                let message = format!(
                    "{}: tests are in files that end with .yaml, .json, .jsonl or .csv",
                    path.display()
                );
                self.reader.problem::<()>(node.problem(message));
            }
        }
    }

    fn read_lines(&mut self, node: &Node<'_>, path: &Path) {
        let Some(text) = self.reader.file(path, Some(node)) else { return };
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let value = serde_json::from_str(line);
            let document = Document::of_line(path, number, value.as_ref().cloned().unwrap_or_default());
            match value {
                Ok(_) => self.read_test(&document.root()),
                Err(error) => {
                    let message = format!("the line is not JSON: {error}");
                    self.reader.problem::<()>(document.root().problem(message));
                }
            }
        }
    }

    fn read_csv(&mut self, node: &Node<'_>, path: &Path) {
        let Some(text) = self.reader.file(path, Some(node)) else { return };
        match csv::read(path, &text) {
            Ok(rows) => rows.iter().for_each(|row| self.read_test(&row.root())),
            Err(problem) => self.reader.problem(problem).unwrap_or_default(),
        }
    }

    fn read_test(&mut self, node: &Node<'_>) {
        if !node.value.is_object() {
            let message = format!("expected a test, found {}", node.kind());
            return self.reader.problem(node.problem(message)).unwrap_or_default();
        }
        self.reader.keys(node, &KEYS, &[], &UNSUPPORTED);
        let sources: Vec<_> = self.default.iter().chain([node]).cloned().collect();
        let options: Vec<_> = sources.iter().filter_map(|source| source.get("options")).collect();
        for options in &options {
            self.reader.keys(options, &OPTIONS, &["runSerially", "cache"], &UNSUPPORTED_OPTIONS);
        }
        let mut test = self.common(node, &sources, &options);
        test.assertions = self.assertions(&sources, &options);
        let expand =
            newest(&options, "disableVarExpansion").and_then(|node| self.reader.boolean(&node)) != Some(true);
        let Some(combinations) = self.variables(node, &sources, expand) else { return };
        for vars in combinations {
            if self.tests.len() >= CASES_MAX {
                return self
                    .reader
                    .problem(node.problem(format!("more than {CASES_MAX} tests")))
                    .unwrap_or_default();
            }
            self.tests.push(Test { vars, ..test.clone() });
        }
    }

    /// What all combinations of variables share.
    fn common(&mut self, node: &Node<'_>, sources: &[Node<'_>], options: &[Node<'_>]) -> Test {
        let reader = &mut *self.reader;
        let mut graders = GraderSpecs::default();
        if let Some(provider) = newest(options, "provider") {
            providers::graders(&provider, reader, &mut graders);
        }
        for assertion in
            sources.iter().filter_map(|source| source.get("assert")).flat_map(|list| list.items())
        {
            providers::named_graders(&assertion, reader, &mut graders);
        }
        let labels = |key, reader: &mut Reader<'_>| newest(sources, key).map(|node| reader.texts(&node));
        let text = |key, reader: &mut Reader<'_>| newest(options, key).and_then(|node| reader.text(&node));
        Test {
            description: node.get("description").and_then(|node| reader.text(&node)),
            threshold: newest(sources, "threshold").and_then(|node| reader.number(&node)),
            prefix: text("prefix", reader).unwrap_or_default(),
            suffix: text("suffix", reader).unwrap_or_default(),
            providers: labels("providers", reader),
            prompts: labels("prompts", reader),
            graders,
            ..Test::default()
        }
    }

    /// The combinations of the variables: as in promptfoo, a list of texts is a text for each test, and the last list changes
    /// fastest.
    fn variables(
        &mut self,
        node: &Node<'_>,
        sources: &[Node<'_>],
        expand: bool,
    ) -> Option<Vec<Map<String, Value>>> {
        let mut values: Vec<(String, Value)> = Vec::new();
        for vars in sources.iter().filter_map(|source| source.get("vars")) {
            for (name, value) in self.section_of_variables(&vars)? {
                match values.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = value,
                    None => values.push((name, value)),
                }
            }
        }
        let mut combinations = vec![Map::new()];
        for (name, value) in values {
            let choices = match value {
                Value::Array(choices) if expand && choices.first().is_some_and(Value::is_string) => choices,
                value => vec![value],
            };
            if combinations.len().saturating_mul(choices.len()) > CASES_MAX {
                let message = format!("more than {CASES_MAX} combinations of variables");
                return self.reader.problem(node.problem_at("/vars", message));
            }
            let with = |vars: &Map<String, Value>, choice: &Value| {
                let mut vars = vars.clone();
                vars.insert(name.clone(), choice.clone());
                vars
            };
            combinations = combinations
                .iter()
                .flat_map(|vars| choices.iter().map(move |choice| with(vars, choice)))
                .collect();
        }
        // A variable may use others.
        let resolved: Result<Vec<_>, String> = combinations
            .iter()
            .map(|vars| {
                let render = |(name, value): (&String, &Value)| match value {
                    Value::String(text) => Ok((name.clone(), template::render(text, vars)?.into())),
                    value => Ok((name.clone(), value.clone())),
                };
                vars.iter().map(render).collect()
            })
            .collect();
        match resolved {
            Ok(resolved) => Some(resolved),
            Err(reason) => self
                .reader
                .problem(node.problem_at("/vars", format!("a variable is not a valid template: {reason}"))),
        }
    }

    /// The names and values of a section, or of the files that a text or a list of texts names.
    fn section_of_variables(&mut self, node: &Node<'_>) -> Option<Vec<(String, Value)>> {
        match node.value {
            Value::Object(_) => node
                .entries()
                .into_iter()
                .map(|(name, value)| Some((name.to_owned(), self.variable(&value)?)))
                .collect(),
            Value::String(_) | Value::Array(_) => {
                let mut all = Vec::new();
                for item in node.items() {
                    let text = self.reader.text(&item)?;
                    let Some(path) = self.reader.file_path(&text) else {
                        return self.reader.problem(item.problem("expected a section, or a `file://` path"));
                    };
                    let document = self.reader.document(&path, Some(&item))?;
                    all.extend(self.section_of_variables(&document.root())?);
                }
                Some(all)
            }
            _ => self.reader.problem(node.problem(format!("expected a section, found {}", node.kind()))),
        }
    }

    /// A variable. The text of a file takes the place of its path; YAML becomes JSON, as in promptfoo.
    fn variable(&mut self, node: &Node<'_>) -> Option<Value> {
        let value = self.reader.json(node)?;
        let Value::String(text) = &value else { return Some(value) };
        let Some(path) = self.reader.file_path(text) else { return Some(value) };
        match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
            "yaml" | "yml" => Some(self.reader.document(&path, Some(node))?.value.to_string().into()),
            "js" | "mjs" | "cjs" | "ts" | "py" => {
                self.reader.problem(node.problem("variables that are programs are not run"))
            }
            _ => self.reader.file(&path, Some(node)).map(|text| text.trim().into()),
        }
    }

    /// The assertions: those of the default, then those of the test.
    fn assertions(&mut self, sources: &[Node<'_>], options: &[Node<'_>]) -> Vec<Assertion> {
        let rubric = newest(options, "rubricPrompt").and_then(|node| self.reader.json(&node));
        let nodes = sources.iter().filter_map(|source| source.get("assert")).flat_map(|list| list.items());
        nodes.filter_map(|node| self.assertion(&node, rubric.as_ref())).collect()
    }

    /// An assertion. Its variables are replaced when it is checked.
    fn assertion(&mut self, node: &Node<'_>, rubric: Option<&Value>) -> Option<Assertion> {
        let mut value = self.reader.json(node)?;
        self.resolve(&mut value, node)?;
        if let Some(rubric) = rubric {
            set_rubric(&mut value, rubric);
        }
        match Assertion::read_in(&value, &self.reader.folder) {
            Ok(assertion) => Some(assertion),
            Err(invalid) => self.reader.problem(node.problem_at(&invalid.pointer, invalid.message)),
        }
    }

    /// Puts the template that `$ref` names in its place, also in a set. Other keys beside it take precedence.
    fn resolve(&mut self, value: &mut Value, node: &Node<'_>) -> Option<()> {
        let Value::Object(map) = value else { return Some(()) };
        if let Some(reference) = map.remove("$ref") {
            let name = reference.as_str().and_then(|reference| reference.strip_prefix(TEMPLATES));
            let template = name.and_then(|name| self.root.get("assertionTemplates")?.get(name));
            let Some(template) = template else {
                let message =
                    format!("expected `{TEMPLATES}NAME` with the name of a template, found {reference}");
                return self.reader.problem(node.problem_at("/$ref", message));
            };
            let Value::Object(template) = self.reader.json(&template)? else {
                return self.reader.problem(template.problem("expected an assertion"));
            };
            for (key, value) in template {
                map.entry(key).or_insert(value);
            }
        }
        let Some(Value::Array(nested)) = map.get_mut("assert") else { return Some(()) };
        nested.iter_mut().try_for_each(|value| self.resolve(value, node))
    }
}

/// What `$ref` of an assertion refers to.
const TEMPLATES: &str = "#/assertionTemplates/";

/// Sets the prompt for the provider that grades, where an assertion or one of a set has none of its own.
fn set_rubric(value: &mut Value, rubric: &Value) {
    let Value::Object(map) = value else { return };
    if let Some(Value::Array(nested)) = map.get_mut("assert") {
        nested.iter_mut().for_each(|value| set_rubric(value, rubric));
    }
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    if GRADED.contains(&kind.trim_start_matches("not-")) {
        map.entry("rubricPrompt").or_insert_with(|| rubric.clone());
    }
}

/// The value of a key in the last section that has it.
fn newest<'d>(nodes: &[Node<'d>], key: &str) -> Option<Node<'d>> {
    nodes.iter().rev().find_map(|node| node.get(key))
}
