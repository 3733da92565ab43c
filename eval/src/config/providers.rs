//! Providers: their IDs and settings.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::GraderSpecs;
use super::document::{Document, Node};
use super::reader::Reader;
use super::sagemaker::sagemaker;
use crate::provider::output::OutputPath;
use crate::provider::spec::{OpenAi, Prices, Sampling, Secret, Spec, Target};
use crate::provider::transform::Transform;

const KEYS: [&str; 6] = ["id", "label", "prompts", "delay", "transform", "config"];
const OPENAI_KEYS: [&str; 11] = [
    "apiKey",
    "apiKeyEnvar",
    "apiBaseUrl",
    "maxTokens",
    "topP",
    "stopSequences",
    "prices",
    "parameters",
    "passthrough",
    "delay",
    "transform",
];
/// The parameters of OpenAI's API, which are sent as they are.
const OPENAI_PARAMETERS: [&str; 14] = [
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "verbosity",
];
const OPENAI_URL: &str = "https://api.openai.com/v1";

/// Reads `providers`, or `targets`, which is another name of it.
pub(super) fn read_all(root: &Node<'_>, reader: &mut Reader<'_>) -> Vec<Arc<Spec>> {
    let Some(node) = root.get("providers").or_else(|| root.get("targets")) else {
        return reader.problem(root.problem("`providers` is missing")).unwrap_or_default();
    };
    let mut specs = Vec::new();
    for item in node.items() {
        let file = match item.value {
            Value::String(text) => reader.file_path(text),
            _ => None,
        };
        match file {
            Some(path) => {
                let document = reader.document(&path, Some(&item));
                let items = document.as_ref().map(|document| document.root().items()).unwrap_or_default();
                specs.extend(items.iter().filter_map(|item| read(item, reader)));
            }
            None => specs.extend(read(&item, reader)),
        }
    }
    if specs.is_empty() && reader.problems.is_empty() {
        reader.problem::<()>(node.problem("there are no providers"));
    }
    specs
}

/// Reads the providers that grade: one, or a section of them by their use.
pub(super) fn graders(node: &Node<'_>, reader: &mut Reader<'_>, graders: &mut GraderSpecs) {
    for (usage, provider) in by_usage(node, reader) {
        let Some(spec) = read(&provider, reader) else { continue };
        match usage {
            Some("embedding") => graders.embedding = Some(spec),
            None if spec.is_embedding() => graders.embedding = Some(spec),
            _ => graders.text = Some(spec),
        }
    }
}

/// Reads the providers that an assertion, or the assertions of a set, name.
pub(super) fn named_graders(assertion: &Node<'_>, reader: &mut Reader<'_>, graders: &mut GraderSpecs) {
    if let Some(node) = assertion.get("provider") {
        for (_, provider) in by_usage(&node, reader) {
            let key = reader.json(&provider).map(|value| value.to_string());
            if let (Some(key), Some(spec)) = (key, read(&provider, reader)) {
                graders.named.insert(key, spec);
            }
        }
    }
    if assertion.value.is_object() {
        let nested = assertion.get("assert").map(|list| list.items()).unwrap_or_default();
        nested.iter().for_each(|assertion| named_graders(assertion, reader, graders));
    }
}

/// The provider, or those of a section by their use.
fn by_usage<'d>(node: &Node<'d>, reader: &mut Reader<'_>) -> Vec<(Option<&'d str>, Node<'d>)> {
    if !node.value.is_object() || node.get("id").is_some() {
        return vec![(None, node.clone())];
    }
    reader.keys(node, &["text", "embedding"], &[], &["classification", "moderation"]);
    node.entries().into_iter().map(|(usage, provider)| (Some(usage), provider)).collect()
}

/// Reads a provider. The same one in a file is read once, so that it is connected once.
fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Arc<Spec>> {
    let place = (node.problem(""), node.pointer.clone());
    if let Some(spec) = reader.specs.get(&place) {
        return Some(Arc::clone(spec));
    }
    let spec = read_new(node, reader)?;
    reader.specs.insert(place, Arc::clone(&spec));
    Some(spec)
}

fn read_new(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Arc<Spec>> {
    let empty = Document::of_line(&node.document.path, 1, Value::Object(Map::new()));
    let id_node = match node.value {
        Value::String(_) => node.clone(),
        Value::Object(_) => {
            reader.keys(node, &KEYS, &["inputs"], &["env"]);
            match node.get("id") {
                Some(id) => id,
                None => return reader.problem(node.problem("`id` is missing: for example `sagemaker:NAME`")),
            }
        }
        _ => return reader.problem(node.problem(format!("expected a provider, found {}", node.kind()))),
    };
    let id = reader.text(&id_node)?;
    let config = node.get("config").unwrap_or_else(|| empty.root());
    let target = match id.split_once(':') {
        Some(("sagemaker", rest)) => sagemaker(rest, &id_node, &config, reader)?,
        Some(("openai", rest)) => openai(rest, &config, reader)?,
        _ => {
            let message = "unknown provider: known are `sagemaker:NAME`, `sagemaker:TYPE:NAME`, `sagemaker:embedding:NAME`, \
                           `openai:chat:NAME` and `openai:embedding:NAME`";
            return reader.problem(id_node.problem(message));
        }
    };
    let of_both = |key| node.get(key).or_else(|| config.get(key));
    let tools = config.get("tools").or_else(|| config.get("parameters")?.get("tools"));
    Some(Arc::new(Spec {
        label: node.get("label").and_then(|node| reader.text(&node)),
        prompts: node.get("prompts").map(|node| reader.texts(&node)),
        prices: config.get("prices").and_then(|node| prices(&node, reader)),
        tools: tools
            .and_then(|node| reader.json(&node))
            .and_then(|tools| tools.as_array().cloned())
            .unwrap_or_default(),
        delay: of_both("delay").and_then(|node| reader.milliseconds(&node)).unwrap_or_default(),
        transform: of_both("transform").and_then(|node| transform(&node, reader)),
        path: config.get("responseFormat").and_then(|node| output_path(&node, reader)),
        id,
        target,
    }))
}

fn transform(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Transform> {
    let text = reader.text(node)?;
    let result = match (Transform::read(&text), reader.file_path(&text)) {
        // A file of another language is refused by its name.
        (Err(reason), Some(_)) if reason.starts_with("JavaScript") => Err(reason),
        (_, Some(path)) => Transform::read(&reader.file(&path, Some(node))?),
        (result, None) => result,
    };
    result.map_or_else(|reason| reader.problem(node.problem(reason)), Some)
}

fn output_path(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<OutputPath> {
    reader.keys(node, &["path"], &["type"], &[]);
    let path = node.get("path")?;
    let text = reader.text(&path)?;
    OutputPath::read(&text).map_or_else(|reason| reader.problem(path.problem(reason)), Some)
}

fn prices(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Prices> {
    reader.keys(node, &["input", "output"], &[], &[]);
    let mut price = |key| node.get(key).and_then(|node| reader.number(&node)).filter(|price| *price >= 0.0);
    match (price("input"), price("output")) {
        (Some(input), Some(output)) => Some(Prices { input, output }),
        _ => {
            let message =
                "`prices` has to have `input` and `output`: US dollars for a million tokens, not negative";
            reader.problem(node.problem(message))
        }
    }
}

/// Keys of sections whose entries are sent as they are.
pub(super) fn parameters(config: &Node<'_>, keys: &[&str], reader: &mut Reader<'_>) -> Map<String, Value> {
    let mut parameters = Map::new();
    for section in keys.iter().filter_map(|key| config.get(key)) {
        match reader.json(&section) {
            Some(Value::Object(map)) => parameters.extend(map),
            Some(_) => reader.problem(section.problem("expected a section")).unwrap_or_default(),
            None => {}
        }
    }
    parameters
}

pub(super) fn sampling(config: &Node<'_>, reader: &mut Reader<'_>) -> Sampling {
    Sampling {
        max_tokens: config.get("maxTokens").and_then(|node| reader.count(&node)),
        temperature: config.get("temperature").and_then(|node| reader.number(&node)),
        top_p: config.get("topP").and_then(|node| reader.number(&node)),
        stop: config.get("stopSequences").map(|node| reader.texts(&node)).unwrap_or_default(),
    }
}

fn openai(rest: &str, config: &Node<'_>, reader: &mut Reader<'_>) -> Option<Target> {
    let known: Vec<_> = OPENAI_KEYS.iter().chain(&OPENAI_PARAMETERS).copied().collect();
    reader.keys(config, &known, &[], &["responseFormat"]);
    let (embedding, model) = match rest.split_once(':') {
        Some(("chat", model)) => (false, model),
        Some(("embedding" | "embeddings", model)) => (true, model),
        _ => (false, rest),
    };
    let mut text = |key| config.get(key).and_then(|node| reader.text(&node));
    let (key, variable, url) = (text("apiKey"), text("apiKeyEnvar"), text("apiBaseUrl"));
    let key = key.or_else(|| reader.variable(variable.as_deref().unwrap_or("OPENAI_API_KEY")));
    let url =
        url.or_else(|| reader.variable("OPENAI_BASE_URL")).or_else(|| reader.variable("OPENAI_API_BASE_URL"));
    let sampling = sampling(config, reader);
    let mut parameters = parameters(config, &["passthrough", "parameters"], reader);
    let own = [
        ("max_tokens", sampling.max_tokens.map(Value::from)),
        ("top_p", sampling.top_p.map(Value::from)),
        ("stop", (!sampling.stop.is_empty()).then(|| sampling.stop.into())),
    ];
    parameters.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    for name in OPENAI_PARAMETERS {
        if let Some(value) = config.get(name).and_then(|node| reader.json(&node)) {
            parameters.insert(name.into(), value);
        }
    }
    Some(Target::OpenAi(Box::new(OpenAi {
        model: model.to_owned(),
        embedding,
        url: url.unwrap_or_else(|| OPENAI_URL.into()).trim_end_matches('/').to_owned(),
        key: key.map(Secret),
        parameters,
    })))
}
