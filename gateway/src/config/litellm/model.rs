//! An entry of `model_list`.

use std::time::Duration;

use sagewire_chat_template::{Roles, Template as ChatTemplate};
use sagewire_codec::Api;
use sagewire_codec::embeddings::RequestShape;
use sagewire_transport::Endpoint;
use sagewire_transport_reqwest::WebIdentityToken;
use serde_json::json;

use super::section::{Section, expanded, scalar};
use crate::config::read::{Position, Reader};
use crate::config::yaml::Node;
use crate::config::{
    Credentials, KeyPair, Model, ModelKind, ModelName, PlainServer, Prices, Rate, SageMaker, Template,
    Upstream,
};

/// What a provider of LiteLLM calls.
#[derive(Clone, Copy)]
enum Provider {
    SageMaker(Api),
    /// A server with the format, LiteLLM's default URL of it, and what the base URL ends with.
    Server(Api, Option<&'static str>),
}

/// The provider of a name such as `sagemaker/my-llm`.
fn provider(name: &str) -> Option<Provider> {
    Some(match name {
        "sagemaker" => Provider::SageMaker(Api::Tgi),
        "sagemaker_chat" => Provider::SageMaker(Api::OpenAi),
        "sagemaker_nova" => Provider::SageMaker(Api::Nova),
        "openai" => Provider::Server(Api::OpenAi, Some("https://api.openai.com/v1")),
        "text-completion-openai" => Provider::Server(Api::Completions, Some("https://api.openai.com/v1")),
        "anthropic" => Provider::Server(Api::Anthropic, Some("https://api.anthropic.com")),
        "hosted_vllm" | "openai_like" | "custom_openai" | "litellm_proxy" | "lm_studio" | "llamafile" => {
            Provider::Server(Api::OpenAi, None)
        }
        _ => return None,
    })
}

/// Parameters of LiteLLM itself, which are not sent to models. All others of a model are sent.
const OWN: [&str; 68] = [
    "additional_drop_params",
    "allow_client_keepalive_override",
    "allowed_openai_params",
    "api_base",
    "api_key",
    "api_version",
    "base_model",
    "bos_token",
    "bucket_name",
    "budget_duration",
    "cache",
    "cache_control_injection_points",
    "caching",
    "client_id",
    "client_secret",
    "configurable_clientside_auth_params",
    "cooldown_time",
    "custom_llm_provider",
    "default_api_key_rpm_limit",
    "default_api_key_tpm_limit",
    "drop_params",
    "embedding_model",
    "eos_token",
    "extra_headers",
    "fallbacks",
    "final_prompt_value",
    "force_timeout",
    "headers",
    "hf_model_name",
    "index_name",
    "initial_prompt_value",
    "itpm",
    "keepalive_seconds",
    "max_budget",
    "max_file_size_mb",
    "max_parallel_requests",
    "max_retries",
    "merge_reasoning_content_in_choices",
    "mock_response",
    "mock_timeout",
    "model_id",
    "model_info",
    "no-log",
    "num_retries",
    "order",
    "organization",
    "otpm",
    "provider_affinity_header",
    "region_name",
    "retry_policy",
    "roles",
    "rpm",
    "rust",
    "sagemaker_base_url",
    "ssl_verify",
    "stream_timeout",
    "tag_regex",
    "tags",
    "tenant_id",
    "timeout",
    "tpm",
    "use_chat_completions_api",
    "use_in_pass_through",
    "use_litellm_proxy",
    "use_xai_oauth",
    "vector_bucket_name",
    "vector_store_id",
    "weight",
];

/// What the names of other parameters of LiteLLM begin with.
const OWN_PREFIXES: [&str; 13] = [
    "adaptive_router_",
    "auto_router_",
    "aws_",
    "azure_",
    "bedrock_",
    "complexity_router_",
    "gcs_",
    "litellm_",
    "milvus_",
    "quality_router_",
    "s3_",
    "vertex_",
    "watsonx_",
];

fn is_own(key: &str) -> bool {
    OWN.contains(&key)
        || OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        || key.contains("_cost_per_")
}

/// Reads a model. A model of another provider is noted.
pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Model> {
    let mut entry = Section::new(node, "model_list", reader)?;
    let name = entry.text("model_name", reader);
    let parameters = entry.take("litellm_params");
    let (Some(name), Some(parameters)) = (name, parameters) else {
        return reader.problem(node.at, "`model_name` or `litellm_params` is missing");
    };
    let mut parameters = Section::new(parameters, "litellm_params", reader)?;
    let Some(called) = parameters.text("model", reader) else {
        return reader.problem(parameters.node.at, "`model` is missing");
    };
    let at = parameters.take("model").map_or(node.at, |node| node.at);
    let (prefix, called) = called.split_once('/').unwrap_or(("", &called));
    let Some(provider) = provider(prefix) else {
        let what = format!(
            "the model `{name}` is not taken over: its provider is not SageMaker, OpenAI or Anthropic"
        );
        reader.note(at, what);
        return None;
    };
    if name.contains('*') || called.contains('*') {
        reader.note(at, format!("the model `{name}` is not taken over: names with `*` are not supported"));
        return None;
    }
    let info = match entry.take("model_info") {
        Some(info) => Some(Section::new(info, "model_info", reader)?),
        None => None,
    };
    entry.note_rest(reader);
    let mut model = Reading { parameters, info, at }.model(provider, called, reader)?;
    model.name = name;
    Some(model)
}

/// A model that is read.
struct Reading<'n> {
    parameters: Section<'n>,
    info: Option<Section<'n>>,
    at: Position,
}

impl Reading<'_> {
    fn model(mut self, provider: Provider, called: &str, reader: &mut Reader<'_>) -> Option<Model> {
        let mut model = Model::endpoint(called);
        let is_embedding = self.is_embedding(reader);
        match provider {
            Provider::SageMaker(format) => {
                model.upstream = Upstream::SageMaker(Box::new(self.sagemaker(called, reader)?));
                model.format = format;
                // LiteLLM sends the name of the endpoint.
                model.model = match format {
                    Api::OpenAi => ModelName::Set(called.to_owned()),
                    _ => ModelName::Omitted,
                };
                if is_embedding {
                    let shape = if called.to_lowercase().contains("voyage") {
                        RequestShape::Voyage
                    } else {
                        RequestShape::Inputs
                    };
                    (model.format, model.kind) = (Api::OpenAi, ModelKind::Embeddings(shape));
                } else if format == Api::Tgi {
                    model.template = Some(self.template(called, reader)?);
                }
            }
            Provider::Server(format, default) => {
                model.upstream = Upstream::Url(Box::new(self.server(format, default, reader)?));
                model.format = format;
                model.model = ModelName::Set(called.to_owned());
                if is_embedding {
                    model.kind = ModelKind::Embeddings(RequestShape::OpenAi);
                }
                if format == Api::Completions {
                    model.template = Some(self.template(called, reader)?);
                }
            }
        }
        self.options(&mut model, reader);
        self.rest(&mut model, reader);
        Some(model)
    }

    /// Whether `model_info` says so.
    fn is_embedding(&mut self, reader: &mut Reader<'_>) -> bool {
        self.info.as_mut().and_then(|info| info.text("mode", reader)).is_some_and(|mode| mode == "embedding")
    }

    fn sagemaker(&mut self, called: &str, reader: &mut Reader<'_>) -> Option<SageMaker> {
        let parameters = &mut self.parameters;
        let mut endpoint = Endpoint::new(called);
        endpoint.inference_component = parameters.text("model_id", reader);
        let endpoint_url = match parameters.text("sagemaker_base_url", reader) {
            Some(url) => Some(base_url(&url, called).or_else(|| {
                let what =
                    "a `sagemaker_base_url` with another path than that of the endpoint is not supported";
                reader.problem(self.at, what)
            })?),
            None => None,
        };
        // LiteLLM reads this variable as well as AWS's own.
        let region = parameters
            .text("aws_region_name", reader)
            .or_else(|| reader.optional_variable("AWS_REGION_NAME"));
        let id = parameters.text("aws_access_key_id", reader);
        let secret = parameters.secret("aws_secret_access_key", reader);
        let session_token = parameters.secret("aws_session_token", reader);
        let keys = match (id, secret) {
            (Some(id), Some(secret)) => Some(KeyPair { session_token, ..KeyPair::new(id, secret) }),
            (None, None) => None,
            _ if !reader.problems.is_empty() => None,
            _ => {
                return reader
                    .problem(self.at, "`aws_access_key_id` and `aws_secret_access_key` belong together");
            }
        };
        let credentials = Credentials {
            profile: parameters.text("aws_profile_name", reader),
            role_arn: parameters.text("aws_role_name", reader),
            external_id: parameters.text("aws_external_id", reader),
            session_name: parameters.text("aws_session_name", reader),
            keys,
            web_identity_token: web_identity_token(parameters, reader),
            sts_endpoint_url: parameters.text("aws_sts_endpoint", reader),
        };
        if credentials.web_identity_token.is_some() && credentials.role_arn.is_none() {
            return reader.problem(self.at, "`aws_web_identity_token` without `aws_role_name`");
        }
        Some(SageMaker { endpoint, openai_route: false, region, endpoint_url, credentials })
    }

    fn server(&mut self, format: Api, default: Option<&str>, reader: &mut Reader<'_>) -> Option<PlainServer> {
        let base = match self.parameters.text("api_base", reader) {
            Some(base) => base,
            None => match default {
                Some(base) => base.to_owned(),
                None => return reader.problem(self.at, "`api_base` is missing"),
            },
        };
        let base = base.trim_end_matches('/');
        let url = match format {
            // LiteLLM appends the whole path for Anthropic.
            Api::Anthropic => format!("{}/v1", base.trim_end_matches("/v1/messages").trim_end_matches("/v1")),
            _ => base.to_owned(),
        };
        Some(PlainServer { url, api_key: self.parameters.secret("api_key", reader) })
    }

    /// The chat template: roles, that of the model that is named, or the texts alone.
    fn template(&mut self, called: &str, reader: &mut Reader<'_>) -> Option<Template> {
        let roles = self.parameters.take("roles");
        let initial = self.parameters.take("initial_prompt_value");
        let last = self.parameters.take("final_prompt_value");
        let named = self.parameters.text("hf_model_name", reader);
        if roles.is_some() || initial.is_some() || last.is_some() {
            let mut text =
                |node: Option<&Node>| node.map_or(Some(String::new()), |node| scalar(node, reader));
            let (initial, last) = (text(initial)?, text(last)?);
            let roles = roles.map_or(Some(json!({})), |roles| {
                roles.json(&mut |node, text| expanded(node, text, reader))
            })?;
            return match serde_json::from_value::<Roles>(
                json!({"roles": roles, "initial": initial, "final": last}),
            ) {
                Ok(mut roles) => {
                    // LiteLLM writes roles without affixes as their text.
                    for role in ["system", "user", "assistant"] {
                        roles.roles.entry(role.into()).or_default();
                    }
                    Some(Template::new("roles", ChatTemplate::from_roles(roles)))
                }
                Err(error) => reader.problem(self.at, format!("`roles`: {error}")),
            };
        }
        let model = named.as_deref().unwrap_or_else(|| without_date(called));
        if let Ok(template) = Template::named(model) {
            return Some(template);
        }
        let reason = match named {
            Some(_) => "the model of `hf_model_name` has no built-in chat template",
            None => "there is no `hf_model_name`",
        };
        let what =
            "the texts of messages are joined with spaces, as LiteLLM does for models that it does not know";
        reader.note(self.at, format!("{reason}, so {what}"));
        Template::joined().map_or_else(|error| reader.problem(self.at, error.to_string()), Some)
    }

    /// Settings that all providers have.
    fn options(&mut self, model: &mut Model, reader: &mut Reader<'_>) {
        let parameters = &mut self.parameters;
        if let Some(timeout) = parameters.seconds("timeout", reader) {
            model.timeouts.total = timeout;
        }
        if let Some(timeout) = parameters.seconds("stream_timeout", reader) {
            (model.timeouts.first_byte, model.timeouts.idle) = (timeout, timeout);
        }
        if let Some(allowed) = parameters.boolean("aws_sagemaker_allow_zero_temp", reader) {
            model.allow_zero_temperature = allowed;
        }
        // LiteLLM distributes requests by the first of these that is set; the last two are limits as well.
        let limits = ["weight", "rpm", "tpm"].map(|key| parameters.whole(key, reader));
        if let Some(weight) = limits.iter().flatten().next() {
            model.weight = *weight;
        }
        let rate = |limit: Option<u32>| {
            limit
                .filter(|amount| *amount > 0)
                .map(|amount| Rate { amount: amount.into(), per: Duration::from_secs(60) })
        };
        (model.limits.requests, model.limits.tokens) = (rate(limits[1]), rate(limits[2]));
        // A bare drop of parameters is what the gateway reports by default.
        parameters.boolean("drop_params", reader);
        model.prices = self.prices(reader);
    }

    fn prices(&mut self, reader: &mut Reader<'_>) -> Prices {
        let mut price = |key: &str| {
            let in_info = self.info.as_mut().and_then(|info| info.number(key, reader));
            // LiteLLM's prices are for one token.
            self.parameters.number(key, reader).or(in_info).unwrap_or(0.0) * 1e6
        };
        Prices { input: price("input_cost_per_token"), output: price("output_cost_per_token") }
    }

    /// The rest: parameters of the request, and LiteLLM's own, which are noted.
    fn rest(&mut self, model: &mut Model, reader: &mut Reader<'_>) {
        for entry in self.parameters.rest() {
            if is_own(&entry.key) {
                self.parameters.note_entry(entry, reader);
            } else if let Some(value) = entry.node.json(&mut |node, text| expanded(node, text, reader)) {
                model.defaults.insert(entry.key.clone(), value);
            }
        }
        if let Some(info) = &self.info {
            info.note_rest(reader);
        }
    }
}

/// The token with which a role is assumed. LiteLLM has these forms of it: `oidc/file/` and a path, `oidc/env/` and the name of
/// a variable, `oidc/env_path/` and the name of one with a path, or the name of a variable alone
/// ([OIDC](https://docs.litellm.ai/docs/oidc)). Tokens that other providers issue over the network are not supported.
fn web_identity_token(parameters: &mut Section<'_>, reader: &mut Reader<'_>) -> Option<WebIdentityToken> {
    let node = parameters.take("aws_web_identity_token")?;
    let value = scalar(node, reader).filter(|value| !value.is_empty())?;
    let Some(rest) = value.strip_prefix("oidc/") else {
        return Some(WebIdentityToken::Text(reader.optional_variable(&value).unwrap_or(value)));
    };
    match rest.split_once('/') {
        Some(("file", path)) => Some(WebIdentityToken::File(reader.path(path))),
        Some(("env", name)) => reader.variable(node.at, name).map(WebIdentityToken::Text),
        Some(("env_path", name)) => {
            let path = reader.variable(node.at, name)?;
            Some(WebIdentityToken::File(reader.path(&path)))
        }
        _ => reader.problem(node.at, "a token of this kind is not supported; use `oidc/file/` and its path"),
    }
}

/// The URL before the path of an endpoint.
fn base_url(url: &str, endpoint: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    let ends = [
        format!("/endpoints/{endpoint}/invocations"),
        format!("/endpoints/{endpoint}/invocations-response-stream"),
    ];
    let base = ends.iter().find_map(|end| url.strip_suffix(end.as_str())).unwrap_or(url);
    let (_, rest) = base.split_once("://")?;
    (!rest.contains('/')).then(|| base.to_owned())
}

/// The name of an endpoint without the date that JumpStart appends.
fn without_date(endpoint: &str) -> &str {
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    match endpoint.rsplitn(3, '-').collect::<Vec<_>>()[..] {
        [time, date, name] if digits(time, 6) && digits(date, 8) => name,
        _ => endpoint,
    }
}
