//! Providers that are endpoints of SageMaker.

use std::sync::Arc;

use sagewire_codec::{Api, custom};

use super::document::Node;
use super::providers::{parameters, sampling};
use super::reader::{Reader, suggestion};
use crate::provider::spec::{Format, Keys, ModelType, SageMaker, Sampling, Secret, Target, Template};

/// The keys of `config`.
const KEYS: [&str; 24] = [
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

/// Reads what `sagemaker:` is followed by, and the section `config`.
pub(super) fn sagemaker(
    rest: &str,
    id: &Node<'_>,
    config: &Node<'_>,
    reader: &mut Reader<'_>,
) -> Option<Target> {
    reader.keys(config, &KEYS, &["basePath"], &[]);
    let mut text = |key| config.get(key).and_then(|node| reader.text(&node));
    let (region, profile, endpoint_url) = (text("region"), text("profile"), text("endpointUrl"));
    let (content_type, accept) = (text("contentType"), text("acceptType"));
    let (inference_component, variant, endpoint) =
        (text("inferenceComponent"), text("variant"), text("endpoint"));
    let (kind, name) = rest.split_once(':').map_or((None, rest), |(kind, name)| (Some(kind), name));
    let embedding = kind == Some("embedding");
    let model = model_type(kind.filter(|_| !embedding), name, embedding, id, config, reader)?;
    if name.is_empty() && endpoint.is_none() {
        return reader.problem(id.problem("the name of the endpoint is missing: `sagemaker:NAME`"));
    }
    let region =
        region.or_else(|| reader.variable("AWS_REGION")).or_else(|| reader.variable("AWS_DEFAULT_REGION"));
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
        model,
        embedding,
        keys: keys(config, reader),
        region,
        profile,
        endpoint_url,
        content_type: content_type.unwrap_or_else(|| "application/json".into()),
        accept: accept.unwrap_or_else(|| "application/json".into()),
        inference_component,
        variant,
        retries: retries(id, reader),
        sampling: with_variables(sampling(config, reader), embedding, id, reader),
        parameters: extra,
        format,
        template,
    })))
}

/// The type of the requests: that of the ID, of `modelType`, or `jumpstart` if this is in the name.
fn model_type(
    kind: Option<&str>,
    name: &str,
    embedding: bool,
    id: &Node<'_>,
    config: &Node<'_>,
    reader: &mut Reader<'_>,
) -> Option<ModelType> {
    let model = config.get("modelType").and_then(|node| reader.name(&node, &MODEL_TYPES));
    let Some(kind) = kind else {
        let is_jumpstart = !embedding && name.contains("jumpstart");
        return Some(model.unwrap_or(if is_jumpstart { ModelType::JumpStart } else { ModelType::Custom }));
    };
    let Some((_, of_id)) = MODEL_TYPES.iter().find(|(name, _)| *name == kind) else {
        let known: Vec<_> = MODEL_TYPES.iter().map(|(name, _)| *name).chain(["embedding"]).collect();
        let message = format!("unknown model type `{kind}`{}", suggestion(kind, &known));
        return reader.problem(id.problem(message));
    };
    if model.is_some_and(|model| model != *of_id) {
        let warning = config.problem_at("/modelType", "`modelType` has no effect: the ID has another type");
        reader.warnings.push(warning);
    }
    Some(*of_id)
}

/// The parameters, with the variables of the environment where they are not set.
fn with_variables(
    mut sampling: Sampling,
    embedding: bool,
    id: &Node<'_>,
    reader: &mut Reader<'_>,
) -> Sampling {
    if !embedding {
        let variable = "AWS_SAGEMAKER_MAX_TOKENS";
        sampling.max_tokens = sampling.max_tokens.or_else(|| number_of_variable(variable, id, reader));
        let variable = "AWS_SAGEMAKER_TEMPERATURE";
        sampling.temperature = sampling.temperature.or_else(|| number_of_variable(variable, id, reader));
        let variable = "AWS_SAGEMAKER_TOP_P";
        sampling.top_p = sampling.top_p.or_else(|| number_of_variable(variable, id, reader));
    }
    sampling
}

fn retries(id: &Node<'_>, reader: &mut Reader<'_>) -> usize {
    let retries = number_of_variable("AWS_SAGEMAKER_MAX_RETRIES", id, reader).unwrap_or(RETRIES);
    if retries > RETRIES_MAX {
        reader.problem::<()>(id.problem(format!("AWS_SAGEMAKER_MAX_RETRIES: at most {RETRIES_MAX}")));
    }
    retries
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
