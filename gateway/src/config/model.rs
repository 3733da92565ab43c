//! Models of the gateway's own file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use sagewire_codec::Api;
use sagewire_codec::embeddings::RequestShape;
use sagewire_transport::Endpoint;
use sagewire_transport_reqwest::WebIdentityToken;
use serde_json::json;

use super::read::{FromYaml, Position, Reader, names, section, suggestion};
use super::values::Located;
use super::yaml::Node;
use super::{
    Credentials, KeyLimits, KeyPair, Model, ModelKind, ModelName, PlainServer, Prices, SageMaker, Secret,
    Streams, Template, Timeouts, Upstream, load_format,
};

/// A model as in the file.
#[derive(Default)]
struct ModelFile {
    name: String,
    kind: Kind,
    endpoint: Option<String>,
    global_gateway: Option<String>,
    url: Option<String>,
    region: Option<String>,
    component: Option<String>,
    variant: Option<String>,
    container: Option<String>,
    target_model: Option<String>,
    custom_attributes: Option<String>,
    route: Option<Located<String>>,
    openai_route: bool,
    endpoint_url: Option<String>,
    aws: Option<AwsFile>,
    api_key: Option<Secret>,
    format: Option<Located<String>>,
    speaks: Option<ApiName>,
    template: Option<Template>,
    model: Option<String>,
    omit_model: bool,
    streams: Streams,
    weight: Option<u32>,
    timeouts: Timeouts,
    wait: Option<Duration>,
    prices: Prices,
    limits: KeyLimits,
    defaults: BTreeMap<String, serde_json::Value>,
    reserve_tokens: Option<u64>,
    allow_zero_temperature: bool,
}

section!(ModelFile, ModelFile::default(), required ["name"], {
    "name" => name, "The name that clients use.";
    "endpoint" => endpoint, "The name of the SageMaker endpoint.";
    "global_gateway" => global_gateway, "In place of an endpoint: the ID of a Global Inference Gateway, whose `model` has to be set.";
    "url" => url, "In place of an endpoint: the base URL of a server that is compatible with OpenAI or Anthropic, such as `http://localhost:8000/v1`.";
    "api_key" => api_key, "The key for that server: `${NAME}` or `{file: PATH}`. Default: none.";
    "region" => region, "The AWS region. Default: that of the environment.";
    "component" => component, "The inference component. Default: none.";
    "variant" => variant, "The production variant. Default: the endpoint chooses.";
    "container" => container, "The container of a multi-container endpoint. Default: the endpoint chooses.";
    "target_model" => target_model, "The model of a multi-model endpoint; it does not stream. Default: none.";
    "custom_attributes" => custom_attributes, "The custom attributes for the container, such as `accept_eula=true`. Default: none.";
    "route" => route, "The path within the container, of AWS's images of vLLM; `auto` for that of the format. Default: `/invocations`.";
    "openai_route" => openai_route, "Whether the container's own chat route is called, with a bearer token. Default: false.";
    "endpoint_url" => endpoint_url, "The URL of SageMaker Runtime, such as that of a VPC endpoint or of an emulator. Default: that of the region.";
    "aws" => aws, "The credentials. Default: AWS's chain: environment, profiles, container, instance.";
    "kind" => kind, "`chat` or `embeddings`. Default: `chat`.";
    "format" => format, "The format of the container's requests: an API such as `openai` or `tgi`, `custom:FILE` for one that the JSON in a file describes, or for embeddings a shape such as `tei`. Default: `openai`.";
    "template" => template, "The chat template, for formats that take a prompt: a family such as `llama3`, the name of a model, the path of a `tokenizer_config.json` or `.jinja` file, `none` for a single message as it is, or a section with `roles`, `initial`, `final` and `stop`.";
    "model" => model, "The name of the model in the container's requests. Default: that of the client's request.";
    "omit_model" => omit_model, "Whether the container's requests have no name of a model. Default: false.";
    "speaks" => speaks, "The API of SageMaker clients that call this model by its name, whose requests are converted. Default: none, they are passed through.";
    "streams" => streams, "Whether the container streams: `both`, `never` or `always`. The other kind of response is made of the one that it has. Default: `both`.";
    "weight" => weight, "The share of the requests of a group; 0: only when the others have failed. Default: 1.";
    "timeouts" => timeouts, "The timeouts.";
    "wait" => wait, "How long a request waits for an endpoint that is scaled to zero or not ready, or `off`. Default: `off`.";
    "prices" => prices, "Prices, for budgets and the access log.";
    "limits" => limits, "Limits of what is sent to it, as those of keys. If one is used up, another model of the group is called. Default: none.";
    "defaults" => defaults, "Parameters that a request has unless the client sets them, by name, such as `temperature: 0.2`. Default: none.";
    "reserve_tokens" => reserve_tokens, "The number of tokens that a request without a limit reserves. Default: 1,024.";
    "allow_zero_temperature" => allow_zero_temperature, "Whether a temperature of zero is sent to text generation containers, most of which refuse it. Default: false, such a request is greedy.";
});

/// Credentials as in the file.
#[derive(Default)]
struct AwsFile {
    profile: Option<String>,
    role_arn: Option<String>,
    external_id: Option<String>,
    session_name: Option<String>,
    access_key_id: Option<Located<String>>,
    secret: Option<Located<Secret>>,
    session_token: Option<Located<Secret>>,
    web_identity_token_file: Option<Located<PathBuf>>,
    sts_endpoint_url: Option<String>,
}

section!(AwsFile, AwsFile::default(), required [], {
    "profile" => profile, "A profile of the AWS files.";
    "role_arn" => role_arn, "A role that is assumed, with the other credentials of this section or those of AWS's chain.";
    "external_id" => external_id, "The external ID of the role.";
    "session_name" => session_name, "The name of the role's session. Default: `sagewire`.";
    "access_key_id" => access_key_id, "The access key ID of a key pair.";
    "secret" => secret, "Its secret access key: `${NAME}` or `{file: PATH}`.";
    "session_token" => session_token, "Its session token.";
    "web_identity_token_file" => web_identity_token_file, "The path of a token of an OIDC provider, with which the role is assumed. It is read again when the credentials expire.";
    "sts_endpoint_url" => sts_endpoint_url, "The URL of STS, for the role. Default: that of the environment or of the region.";
});

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Chat,
    Embeddings,
}

names!(Kind, {"chat" => Self::Chat, "embeddings" => Self::Embeddings});

/// The prefix of the path of a custom format.
const CUSTOM: &str = "custom:";

/// The shapes of embedding requests, by name.
const SHAPES: [(&str, RequestShape); 9] = [
    ("openai", RequestShape::OpenAi),
    ("tei", RequestShape::Inputs),
    ("inputs", RequestShape::Inputs),
    ("jumpstart", RequestShape::TextInputs { mode: false }),
    ("jumpstart-mode", RequestShape::TextInputs { mode: true }),
    ("text-list", RequestShape::TextList),
    ("text", RequestShape::Text),
    ("cohere", RequestShape::Cohere),
    ("voyage", RequestShape::Voyage),
];

/// An API that the gateway converts to or from.
struct ApiName(Api);

impl FromYaml for ApiName {
    fn schema() -> serde_json::Value {
        let names = Api::ALL.iter().filter(|api| api.writes_requests()).map(|api| api.name());
        json!({"type": "string", "examples": names.collect::<Vec<_>>()})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let name = String::read(node, reader)?;
        api(node.at, &name, reader).map(Self)
    }
}

/// The API of this name, if its requests can be written.
fn api(at: Position, name: &str, reader: &mut Reader<'_>) -> Option<Api> {
    match name.parse::<Api>() {
        Ok(api) if api.writes_requests() => Some(api),
        Ok(api) => reader.problem(at, format!("requests of the format `{api}` cannot be written")),
        Err(error) => reader.problem(at, error.to_string()),
    }
}

impl FromYaml for Model {
    fn schema() -> serde_json::Value {
        ModelFile::schema()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let file = ModelFile::read(node, reader)?;
        let custom = match file.format.as_ref().map(|name| (name, name.value.strip_prefix(CUSTOM))) {
            Some((name, Some(_))) if file.kind != Kind::Chat => {
                return reader.problem(name.at, "custom formats are for chats");
            }
            Some((name, Some(path))) => match load_format(&reader.path(path)) {
                Ok(format) => Some(format),
                Err(reason) => return reader.problem(name.at, reason),
            },
            _ => None,
        };
        let name = file.format.as_ref().filter(|_| custom.is_none());
        let (format, kind) = format(file.kind, name, reader)?;
        let model = match &file.model {
            Some(_) if file.omit_model => return reader.problem(node.at, "`model` with `omit_model: true`"),
            Some(name) => ModelName::Set(name.clone()),
            None if file.omit_model => ModelName::Omitted,
            None => ModelName::Unchanged,
        };
        let upstream = file.upstream(node.at, format, reader)?;
        let default = Self::endpoint("");
        Some(Self {
            name: file.name,
            upstream,
            format,
            custom,
            kind,
            speaks: file.speaks.map(|name| name.0),
            template: file.template,
            model,
            streams: file.streams,
            weight: file.weight.unwrap_or(default.weight),
            timeouts: file.timeouts,
            wait: file.wait,
            prices: file.prices,
            limits: file.limits,
            defaults: file.defaults,
            reserve_tokens: file.reserve_tokens.unwrap_or(default.reserve_tokens),
            allow_zero_temperature: file.allow_zero_temperature,
        })
    }
}

/// The format of a model's requests.
fn format(kind: Kind, name: Option<&Located<String>>, reader: &mut Reader<'_>) -> Option<(Api, ModelKind)> {
    match (kind, name) {
        (Kind::Chat, None) => Some((Api::OpenAi, ModelKind::Chat)),
        (Kind::Chat, Some(name)) => Some((api(name.at, &name.value, reader)?, ModelKind::Chat)),
        (Kind::Embeddings, None) => Some((Api::OpenAi, ModelKind::Embeddings(RequestShape::OpenAi))),
        (Kind::Embeddings, Some(name)) => match SHAPES.iter().find(|(known, _)| *known == name.value) {
            Some((_, shape)) => Some((Api::OpenAi, ModelKind::Embeddings(*shape))),
            None => {
                let known = SHAPES.map(|(name, _)| name);
                let hint = suggestion(&name.value, &known);
                reader.problem(name.at, format!("not a format of embedding requests{hint}"))
            }
        },
    }
}

impl ModelFile {
    /// What the model calls. `at` is the position of the model.
    fn upstream(&self, at: Position, format: Api, reader: &mut Reader<'_>) -> Option<Upstream> {
        let endpoint = match (&self.endpoint, &self.global_gateway, &self.url) {
            (Some(name), None, None) => Endpoint::new(name),
            (None, Some(id), None) => Endpoint::gateway(id),
            (None, None, Some(url)) => {
                self.check_server(at, reader)?;
                let server = PlainServer { url: url.clone(), api_key: self.api_key.clone() };
                return Some(Upstream::Url(Box::new(server)));
            }
            _ => return reader.problem(at, "a model has one of `endpoint`, `global_gateway` and `url`"),
        };
        if self.api_key.is_some() {
            return reader.problem(at, "`api_key` is for a server with a `url`");
        }
        let credentials = match &self.aws {
            Some(aws) => aws.credentials(reader)?,
            None => Credentials::default(),
        };
        let mut endpoint = match &self.route {
            Some(route) if route.value == "auto" => match endpoint.route_for(format) {
                Ok(endpoint) => endpoint,
                Err(error) => return reader.problem(route.at, error.to_string()),
            },
            Some(route) => endpoint.route(&route.value),
            None => endpoint,
        };
        endpoint.inference_component.clone_from(&self.component);
        endpoint.target_variant.clone_from(&self.variant);
        endpoint.target_container_hostname.clone_from(&self.container);
        endpoint.target_model.clone_from(&self.target_model);
        endpoint.custom_attributes.clone_from(&self.custom_attributes);
        Some(Upstream::SageMaker(Box::new(SageMaker {
            endpoint,
            openai_route: self.openai_route,
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            credentials,
        })))
    }

    /// Reports keys that a server with a `url` does not have.
    fn check_server(&self, at: Position, reader: &mut Reader<'_>) -> Option<()> {
        let set = [
            ("region", self.region.is_some()),
            ("component", self.component.is_some()),
            ("variant", self.variant.is_some()),
            ("container", self.container.is_some()),
            ("target_model", self.target_model.is_some()),
            ("custom_attributes", self.custom_attributes.is_some()),
            ("route", self.route.is_some()),
            ("openai_route", self.openai_route),
            ("endpoint_url", self.endpoint_url.is_some()),
            ("aws", self.aws.is_some()),
        ];
        match set.iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => {
                reader.problem(at, format!("`{key}` is for SageMaker, and not for a server with a `url`"))
            }
            None => Some(()),
        }
    }
}

impl AwsFile {
    fn credentials(&self, reader: &mut Reader<'_>) -> Option<Credentials> {
        let keys = match (&self.access_key_id, &self.secret, &self.session_token) {
            (Some(id), Some(secret), token) => {
                let session_token = token.as_ref().map(|token| token.value.clone());
                Some(KeyPair { session_token, ..KeyPair::new(&id.value, secret.value.clone()) })
            }
            (Some(id), None, _) => return reader.problem(id.at, "`access_key_id` without `secret`"),
            (None, Some(Located { at, .. }), _) | (None, None, Some(Located { at, .. })) => {
                return reader.problem(*at, "a secret or a session token without `access_key_id`");
            }
            (None, None, None) => None,
        };
        let role_arn = self.role_arn.clone();
        if let (Some(file), None) = (&self.web_identity_token_file, &role_arn) {
            return reader.problem(file.at, "`web_identity_token_file` without `role_arn`");
        }
        if let (Some(file), Some(keys)) = (&self.web_identity_token_file, &self.access_key_id) {
            let at = file.at.max(keys.at);
            return reader.problem(at, "a role is assumed with a key pair or with a token, not with both");
        }
        let token = self.web_identity_token_file.as_ref();
        Some(Credentials {
            profile: self.profile.clone(),
            role_arn,
            external_id: self.external_id.clone(),
            session_name: self.session_name.clone(),
            keys,
            web_identity_token: token.map(|file| WebIdentityToken::File(file.value.clone())),
            sts_endpoint_url: self.sts_endpoint_url.clone(),
        })
    }
}
