//! The configuration: what the gateway listens on, the models behind it, who may use them, and how.
//!
//! A [`Config`] is read from a YAML file, or built in a program. Files are read by [`Config::load`] and [`Config::read`], which
//! accept the gateway's own format, whose fields are those of the types here, and LiteLLM's.

mod check;
mod file;
mod keys;
mod litellm;
mod model;
mod read;
mod source;
mod template;
mod values;
mod yaml;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sagewire_codec::Api;
use sagewire_codec::custom::Format;

use sagewire_transport_reqwest::WebIdentityToken;

pub use self::keys::new_key;
pub use self::read::{ConfigError, Note, Position, Problem};

/// The configuration of a gateway.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The addresses that clients connect to. Default: `127.0.0.1:4000`.
    pub listen: Vec<Listen>,
    /// The address of health checks and metrics. Default: `127.0.0.1:4001`; `None`: there is none.
    pub admin: Option<SocketAddr>,
    /// The models. Entries with the same name form a group.
    pub models: Vec<Model>,
    /// Attempts, fallbacks and cooldowns.
    pub routing: Routing,
    /// The keys of clients. Without any, every client is accepted, and all addresses have to be loopback addresses.
    pub keys: Vec<Key>,
    /// Clients with any other key, or none, are accepted as well, for demonstrations. Signatures are verified nevertheless.
    /// Default: no.
    pub accept_any_key: bool,
    /// Where limits, budgets, cooldowns and cached responses are kept. Default: in this process.
    pub state: Option<State>,
    /// The cache of responses. Default: none.
    pub cache: Option<Cache>,
    /// What is done with a request or a response that the API on the other side cannot express completely.
    pub losses: LossPolicy,
    /// The bounds of requests and connections.
    pub bounds: Bounds,
    /// How the gateway stops.
    pub shutdown: Shutdown,
    /// The origins whose web pages may call the gateway; `*` for all. Default: none.
    pub cors: Vec<String>,
    /// Where the access log is written. Default: standard error.
    pub access_log: AccessLog,
}

/// An address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// The certificate; without it, plain HTTP.
    pub tls: Option<Tls>,
}

/// The certificate of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// A PEM file with the certificate and its chain.
    pub cert: PathBuf,
    /// A PEM file with the private key.
    pub key: PathBuf,
    /// A PEM file with the authorities of client certificates, which are then required.
    pub client_ca: Option<PathBuf>,
}

/// A model: one endpoint under a name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Model {
    /// The name that clients use.
    pub name: String,
    /// What is called.
    pub upstream: Upstream,
    /// The API of the container's requests. Default: OpenAI chat completions.
    pub format: Api,
    /// A format that a file describes, in place of [`format`](Self::format). Default: none.
    pub custom: Option<Arc<Format>>,
    /// What the model makes of its input.
    pub kind: ModelKind,
    /// The API of SageMaker clients that call this model by its name: their requests and responses are converted. Default:
    /// none, they are passed through.
    pub speaks: Option<Api>,
    /// The chat template, for containers that take a prompt.
    pub template: Option<Template>,
    /// The name of the model for the container. Default: that of the client's request.
    pub model: ModelName,
    /// Whether the container streams.
    pub streams: Streams,
    /// The share of the requests of a group. 0: only as a fallback within the group. Default: 1.
    pub weight: u32,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// How long a request waits for an endpoint that is scaled to zero or not ready. Default: it does not.
    pub wait: Option<Duration>,
    /// The prices.
    pub prices: Prices,
    /// Bounds on what is sent to it. If one is used up, another model of the group is called. Default: none.
    pub limits: KeyLimits,
    /// Parameters that the request has in case that the client does not set them, as JSON by name.
    pub defaults: BTreeMap<String, serde_json::Value>,
    /// The number of tokens that a request reserves if it sets no limit of its own. Default: 1,024.
    pub reserve_tokens: u64,
    /// A temperature of zero is sent to text generation containers, which refuse it. Default: it is left out as greedy.
    pub allow_zero_temperature: bool,
}

/// What a model calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Upstream {
    /// An endpoint of SageMaker, signed.
    SageMaker(Box<SageMaker>),
    /// A server that is compatible with OpenAI or Anthropic.
    Url(Box<PlainServer>),
}

/// An endpoint of SageMaker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SageMaker {
    /// The endpoint, its inference component, variant, container route, or the gateway.
    pub endpoint: sagewire_transport::Endpoint,
    /// The container's own chat route is called, with a bearer token.
    pub openai_route: bool,
    /// The region. Default: that of the environment.
    pub region: Option<String>,
    /// The URL of the service, in place of that of the region.
    pub endpoint_url: Option<String>,
    /// The credentials.
    pub credentials: Credentials,
}

/// A server without AWS.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlainServer {
    /// The base URL, such as `http://localhost:8000/v1`, to which the path of the operation is appended.
    pub url: String,
    /// The key.
    pub api_key: Option<Secret>,
}

/// Where the credentials of a model come from. Default: AWS's chain.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Credentials {
    /// A profile of the AWS files.
    pub profile: Option<String>,
    /// A role that is assumed.
    pub role_arn: Option<String>,
    /// The external ID of the role.
    pub external_id: Option<String>,
    /// The name of the role's session.
    pub session_name: Option<String>,
    /// A key pair. With a role, the role is assumed with it.
    pub keys: Option<KeyPair>,
    /// The token of an OIDC provider with which the role is assumed, in place of other credentials.
    pub web_identity_token: Option<WebIdentityToken>,
    /// The URL of STS, which issues the credentials of a role. Default: that of the environment or of the region.
    pub sts_endpoint_url: Option<String>,
}

/// A key pair of AWS.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyPair {
    /// The access key ID.
    pub access_key_id: String,
    /// The secret.
    pub secret: Secret,
    /// The session token.
    pub session_token: Option<Secret>,
}

/// A secret. It has no readable `Debug`.
#[derive(Clone)]
pub struct Secret(String);

/// What a model makes of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelKind {
    /// Text.
    #[default]
    Chat,
    /// Vectors, of requests in this shape.
    Embeddings(sagewire_codec::embeddings::RequestShape),
}

/// The chat template of a container that takes a prompt.
#[derive(Clone)]
#[non_exhaustive]
pub struct Template {
    /// Its name, for messages.
    pub name: String,
    /// The template.
    pub template: Arc<sagewire_chat_template::Template>,
}

/// The name of the model in the container's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelName {
    /// That of the client's request.
    #[default]
    Unchanged,
    /// This one.
    Set(String),
    /// None.
    Omitted,
}

/// Whether a container streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Streams {
    /// As the client requests.
    #[default]
    Both,
    /// It does not: the client's stream is made of the whole response.
    Never,
    /// It streams only: the client's response is made of the stream.
    Always,
}

/// The timeouts of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// To connect. Default: 5 seconds.
    pub connect: Duration,
    /// Until the response starts. Default: 60 seconds.
    pub first_byte: Duration,
    /// Between two parts of a response. Default: 60 seconds.
    pub idle: Duration,
    /// The whole call with all its attempts. Default: 8 minutes 30 seconds: SageMaker's longest stream is 8 minutes.
    pub total: Duration,
}

/// Prices in dollars for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Prices {
    /// Of the input.
    pub input: f64,
    /// Of the output.
    pub output: f64,
}

/// Attempts, fallbacks and cooldowns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Routing {
    /// The number of attempts of a request, the first one included. Default: 2.
    pub attempts: u32,
    /// The groups that are called, in order, when one has failed.
    pub fallback: BTreeMap<String, Vec<String>>,
    /// When an endpoint is left out.
    pub cooldown: Cooldown,
}

/// When an endpoint is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cooldown {
    /// After this number of failures in a row. Default: 3.
    pub failures: u32,
    /// For this time, which doubles with each further failure. Default: 5 seconds.
    pub base: Duration,
    /// For at most this time. Default: 60 seconds.
    pub max: Duration,
}

/// A key of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Key {
    /// The name, for logs and metrics.
    pub name: String,
    /// The SHA-256 of the key.
    pub hash: Option<[u8; 32]>,
    /// The key pair of clients that sign.
    pub aws: Option<KeyPair>,
    /// The models that it may use. Default: all.
    pub models: Option<Vec<String>>,
    /// The limits.
    pub limits: KeyLimits,
}

/// The limits of a key, or of a model. Default: none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct KeyLimits {
    /// Requests in a period.
    pub requests: Option<Rate>,
    /// Tokens in a period.
    pub tokens: Option<Rate>,
    /// Requests at the same time.
    pub parallel: Option<u32>,
    /// Dollars in a period.
    pub budget: Option<Budget>,
}

/// An amount in a period, such as `600/min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// The amount.
    pub amount: u64,
    /// The period.
    pub per: Duration,
}

/// Dollars in a period, such as `50 USD/month`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Budget {
    /// Dollars.
    pub dollars: f64,
    /// The period.
    pub per: Period,
}

/// A period of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Period {
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// Where the state is kept that several processes share.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct State {
    /// The URL of a Valkey or Redis server, which may contain a password.
    pub url: Secret,
    /// What is done with requests while it cannot be reached.
    pub when_down: WhenDown,
}

/// What is done with requests while the shared state cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenDown {
    /// Each process applies the limits on its own.
    #[default]
    Local,
    /// They are refused.
    Deny,
}

/// The cache of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cache {
    /// The size of all entries in bytes.
    pub size: u64,
    /// How long an entry is used.
    pub ttl: Duration,
    /// Responses are kept in the shared state, too, if there is one, where other gateways find them. Default: yes.
    pub shared: bool,
}

/// What is done with what cannot be expressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossPolicy {
    /// It is reported in a response header and in the log.
    #[default]
    Report,
    /// The request is refused.
    Refuse,
}

/// The bounds of requests and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Bytes of the body of a request. Default: 6 MiB, the limit of SageMaker.
    pub body: usize,
    /// Open connections. Default: 16,384.
    pub connections: usize,
    /// Requests at the same time. Default: 8,192.
    pub requests: usize,
    /// The time in which the head of a request has to arrive. Default: 10 seconds.
    pub head: Duration,
    /// The time in which the body of a request has to arrive. Default: 30 seconds.
    pub receive: Duration,
    /// The time between two bytes that a client reads. Default: 60 seconds.
    pub send: Duration,
    /// The time between two comments or pings in a stream without events. Default: none are sent.
    pub ping: Option<Duration>,
    /// Pings also before the first event of a stream, after that time: the status 200 is sent then, so that a failure after it is
    /// the error of the stream. Default: no.
    pub ping_before_response: bool,
}

/// How the gateway stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// How long it still accepts connections, so that load balancers notice. Default: 5 seconds.
    pub linger: Duration,
    /// How long requests may take to end after that. Default: 10 minutes.
    pub drain: Duration,
}

/// Where the access log is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessLog {
    /// Standard error.
    #[default]
    Stderr,
    /// A file.
    File(PathBuf),
    /// Nowhere.
    Off,
}

impl Secret {
    /// A secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Template").field(&self.name).finish()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Listen::new(([127, 0, 0, 1], 4000).into())],
            admin: Some(([127, 0, 0, 1], 4001).into()),
            models: Vec::new(),
            routing: Routing::default(),
            keys: Vec::new(),
            accept_any_key: false,
            state: None,
            cache: None,
            losses: LossPolicy::default(),
            bounds: Bounds::default(),
            shutdown: Shutdown::default(),
            cors: Vec::new(),
            access_log: AccessLog::default(),
        }
    }
}

impl Listen {
    /// Plain HTTP on an address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl Tls {
    /// A certificate and its private key, both in PEM files.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into(), client_ca: None }
    }
}

impl KeyPair {
    /// A key pair without a session token.
    pub fn new(access_key_id: impl Into<String>, secret: Secret) -> Self {
        Self { access_key_id: access_key_id.into(), secret, session_token: None }
    }
}

impl State {
    /// The state in the server at a URL.
    pub fn new(url: Secret) -> Self {
        Self { url, when_down: WhenDown::default() }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { size: 256 << 20, ttl: Duration::from_secs(60), shared: true }
    }
}

impl Model {
    /// The model of an endpoint of SageMaker, with the name of the endpoint, and a container that takes OpenAI chat
    /// completions.
    pub fn endpoint(endpoint: impl Into<sagewire_transport::Endpoint>) -> Self {
        let endpoint = endpoint.into();
        Self {
            name: endpoint.name.clone(),
            upstream: Upstream::SageMaker(Box::new(SageMaker {
                endpoint,
                openai_route: false,
                region: None,
                endpoint_url: None,
                credentials: Credentials::default(),
            })),
            format: Api::OpenAi,
            custom: None,
            kind: ModelKind::default(),
            speaks: None,
            template: None,
            model: ModelName::default(),
            streams: Streams::default(),
            weight: 1,
            timeouts: Timeouts::default(),
            wait: None,
            prices: Prices::default(),
            limits: KeyLimits::default(),
            defaults: BTreeMap::new(),
            reserve_tokens: 1024,
            allow_zero_temperature: false,
        }
    }

    /// Whether the container takes a prompt in place of messages.
    pub(crate) fn takes_prompt(&self) -> bool {
        self.custom.as_ref().map_or(self.format.takes_prompt(), |format| format.asks_for("prompt"))
    }
}

/// Reads a format that a JSON file describes, in which requests can be written.
///
/// # Errors
///
/// The file cannot be read, is no description of a format, or does not describe requests. The message has the path.
pub fn load_format(path: &Path) -> Result<Arc<Format>, String> {
    let in_file = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = source::read_text(path).map_err(|error| in_file(&error))?;
    let format = Format::from_json(&text).map_err(|error| in_file(&error))?;
    match format.writes_requests() {
        true => Ok(Arc::new(format)),
        false => Err(in_file(&"it has no `request`, so requests cannot be written")),
    }
}

impl Key {
    /// A key without limits, which may use all models. It needs a [`hash`](Self::hash) or a [key pair](Self::aws).
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), hash: None, aws: None, models: None, limits: KeyLimits::default() }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(5), first_byte: seconds(60), idle: seconds(60), total: seconds(510) }
    }
}

impl Default for Routing {
    fn default() -> Self {
        Self { attempts: 2, fallback: BTreeMap::new(), cooldown: Cooldown::default() }
    }
}

impl Default for Cooldown {
    fn default() -> Self {
        Self { failures: 3, base: Duration::from_secs(5), max: Duration::from_secs(60) }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            body: 6 << 20,
            connections: 16_384,
            requests: 8192,
            head: seconds(10),
            receive: seconds(30),
            send: seconds(60),
            ping: None,
            ping_before_response: false,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { linger: Duration::from_secs(5), drain: Duration::from_secs(600) }
    }
}
