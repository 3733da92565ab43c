//! Providers: their IDs and settings.

use std::sync::Arc;

use sagewire_codec::{Api, custom};
use serde_json::{Map, Value};

use super::GraderSpecs;
use super::document::{Document, Node};
use super::reader::{Reader, suggestion};
use crate::provider::output::OutputPath;
use crate::provider::spec::{
    Format, Keys, ModelType, OpenAi, Prices, SageMaker, Sampling, Secret, Spec, Target, Template,
};
use crate::provider::transform::Transform;

const KEYS: [&str; 6] = ["id", "label", "prompts", "delay", "transform", "config"];
const SAGEMAKER_KEYS: [&str; 24] = [
    "accessKeyId",
    "secretAccessKey",
    "sessionToken",
    "profile",
    "region",
    "endpoint",
    "modelType",
    "maxTokens",
    "temperature",
    "topP",
    "stopSequences",
    "contentType",
    "acceptType",
    "responseFormat",
    "delay",
    "transform",
    "template",
    "format",
    "inferenceComponent",
    "variant",
    "prices",
    "endpointUrl",
    "parameters",
    "tools",
];
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
/// The most retries of a call.
const RETRIES_MAX: usize = 100;
const RETRIES: usize = 3;
const MODEL_TYPES: [(&str, ModelType); 6] = [
    ("openai", ModelType::OpenAi),
    ("anthropic", ModelType::Anthropic),
    ("llama", ModelType::Llama),
    ("huggingface", ModelType::HuggingFace),
    ("jumpstart", ModelType::JumpStart),
    ("custom", ModelType::Custom),
];

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
fn parameters(config: &Node<'_>, keys: &[&str], reader: &mut Reader<'_>) -> Map<String, Value> {
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

fn sampling(config: &Node<'_>, reader: &mut Reader<'_>) -> Sampling {
    Sampling {
        max_tokens: config.get("maxTokens").and_then(|node| reader.count(&node)),
        temperature: config.get("temperature").and_then(|node| reader.number(&node)),
        top_p: config.get("topP").and_then(|node| reader.number(&node)),
        stop: config.get("stopSequences").map(|node| reader.texts(&node)).unwrap_or_default(),
    }
}

/// The value of a variable that has to be a number.
fn number_of_variable<T: std::str::FromStr>(
    name: &str,
    node: &Node<'_>,
    reader: &mut Reader<'_>,
) -> Option<T> {
    let text = reader.variable(name)?;
    match text.trim().parse() {
        Ok(number) => Some(number),
        Err(_) => reader.problem(
            node.problem(format!("the environment variable {name} is not a number of the right kind")),
        ),
    }
}

fn sagemaker(rest: &str, id: &Node<'_>, config: &Node<'_>, reader: &mut Reader<'_>) -> Option<Target> {
    reader.keys(config, &SAGEMAKER_KEYS, &["basePath"], &[]);
    let mut text = |key| config.get(key).and_then(|node| reader.text(&node));
    let (region, profile, endpoint_url) = (text("region"), text("profile"), text("endpointUrl"));
    let (content_type, accept) = (text("contentType"), text("acceptType"));
    let (inference_component, variant, endpoint) =
        (text("inferenceComponent"), text("variant"), text("endpoint"));
    let model = config.get("modelType").and_then(|node| reader.name(&node, &MODEL_TYPES));
    let (kind, name) = rest.split_once(':').map_or((None, rest), |(kind, name)| (Some(kind), name));
    let embedding = kind == Some("embedding");
    let of_id = match kind {
        None | Some("embedding") => None,
        Some(kind) => match MODEL_TYPES.iter().find(|(name, _)| *name == kind) {
            Some((_, model)) => Some(*model),
            None => {
                let known: Vec<_> = MODEL_TYPES.iter().map(|(name, _)| *name).chain(["embedding"]).collect();
                let message = format!("unknown model type `{kind}`{}", suggestion(kind, &known));
                return reader.problem(id.problem(message));
            }
        },
    };
    if of_id.zip(model).is_some_and(|(of_id, model)| of_id != model) {
        let warning = config.problem_at("/modelType", "`modelType` has no effect: the ID has another type");
        reader.warnings.push(warning);
    }
    let detected =
        if !embedding && name.contains("jumpstart") { ModelType::JumpStart } else { ModelType::Custom };
    if name.is_empty() && endpoint.is_none() {
        return reader.problem(id.problem("the name of the endpoint is missing: `sagemaker:NAME`"));
    }
    let region =
        region.or_else(|| reader.variable("AWS_REGION")).or_else(|| reader.variable("AWS_DEFAULT_REGION"));
    let mut sampling = sampling(config, reader);
    if !embedding {
        let variable = "AWS_SAGEMAKER_MAX_TOKENS";
        sampling.max_tokens = sampling.max_tokens.or_else(|| number_of_variable(variable, id, reader));
        let variable = "AWS_SAGEMAKER_TEMPERATURE";
        sampling.temperature = sampling.temperature.or_else(|| number_of_variable(variable, id, reader));
        sampling.top_p = sampling.top_p.or_else(|| number_of_variable("AWS_SAGEMAKER_TOP_P", id, reader));
    }
    let retries = number_of_variable("AWS_SAGEMAKER_MAX_RETRIES", id, reader).unwrap_or(RETRIES);
    if retries > RETRIES_MAX {
        reader.problem::<()>(id.problem(format!("AWS_SAGEMAKER_MAX_RETRIES: at most {RETRIES_MAX}")));
    }
    let mut extra = parameters(config, &["parameters"], reader);
    if let Some(tools) = config.get("tools").and_then(|node| reader.json(&node)) {
        extra.insert("tools".into(), tools);
    }
    let template = config.get("template").and_then(|node| chat_template(&node, reader));
    let format = config.get("format").and_then(|node| format(&node, reader));
    if let (Some(node), None) = (config.get("template"), config.get("format")) {
        reader.warnings.push(node.problem("`template` has no effect without `format`"));
    }
    Some(Target::SageMaker(Box::new(SageMaker {
        endpoint: endpoint.unwrap_or_else(|| name.to_owned()),
        model: of_id.or(model).unwrap_or(detected),
        embedding,
        keys: keys(config, reader),
        region,
        profile,
        endpoint_url,
        content_type: content_type.unwrap_or_else(|| "application/json".into()),
        accept: accept.unwrap_or_else(|| "application/json".into()),
        inference_component,
        variant,
        retries,
        sampling,
        parameters: extra,
        format,
        template,
    })))
}

fn keys(config: &Node<'_>, reader: &mut Reader<'_>) -> Option<Keys> {
    let mut secret = |key| config.get(key).and_then(|node| reader.text(&node));
    let (id, key, token) = (secret("accessKeyId"), secret("secretAccessKey"), secret("sessionToken"));
    match (id, key) {
        (Some(id), Some(key)) => Some(Keys { id, key: Secret(key), token: token.map(Secret) }),
        (None, None) if token.is_none() => None,
        _ => reader.problem(config.problem("`accessKeyId` and `secretAccessKey` are required together")),
    }
}

fn format(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Format> {
    let text = reader.text(node)?;
    if let Some(path) = reader.file_path(&text) {
        let text = reader.file(&path, Some(node))?;
        return match custom::Format::from_json(&text) {
            Ok(format) => Some(Format::Custom(Arc::new(format))),
            Err(error) => reader.problem(node.problem(format!("{}: {error}", path.display()))),
        };
    }
    match text.parse::<Api>() {
        Ok(api) if api.writes_requests() => Some(Format::Known(api)),
        _ => {
            let known: Vec<_> =
                Api::ALL.iter().filter(|api| api.writes_requests()).map(|api| api.name()).collect();
            reader.problem(node.problem(format!("unknown format{}", suggestion(&text, &known))))
        }
    }
}

fn chat_template(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Template> {
    let text = reader.text(node)?;
    let template = match reader.file_path(&text) {
        Some(path) => {
            let content = reader.file(&path, Some(node))?;
            match path.extension().is_some_and(|ending| ending == "json") {
                true => sagewire_chat_template::Template::from_tokenizer_config(&content),
                false => sagewire_chat_template::Template::from_jinja(&content, "{}"),
            }
        }
        None => sagewire_chat_template::Template::named(&text),
    };
    match template {
        Ok(template) => Some(Template(Arc::new(template))),
        Err(error) => reader.problem(node.problem(error.to_string())),
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
