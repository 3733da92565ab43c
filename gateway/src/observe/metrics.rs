//! Metrics in Prometheus' text format.
//!
//! The names of OpenTelemetry's semantic conventions for generative AI are used where they have one
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>), with `_` in place of `.`. All labels come from the
//! configuration or from closed sets, so that clients cannot add series. Recording a request allocates nothing, except for the
//! first one with the same labels.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sagewire_codec::Api;

use crate::config::{Config, Upstream};
use crate::record::{Ending, Record};

/// The format of [`Metrics::write`].
pub(crate) use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// The metrics of a gateway.
pub(crate) struct Metrics {
    /// Requests in progress.
    pub(crate) in_flight: Gauge,
    /// Open connections of clients.
    pub(crate) connections: Gauge,
    /// Whether the configuration file and the certificates are those in use: 1 or 0.
    pub(crate) config_ok: Gauge,
    /// Reloads of the configuration that succeeded.
    pub(crate) reloads: Counter,
    /// Lines of the access log that were dropped.
    pub(super) log_dropped: Counter,
    limits_degraded: Gauge,
    shared_failures: Counter,
    cooldown: Family<EndpointLabels, Gauge>,
    families: Families,
    /// The members of the families for one kind of request, so that it is looked up once.
    series: RwLock<HashMap<Labels, Arc<Series>>>,
    /// What serves each model.
    providers: ArcSwap<HashMap<Arc<str>, &'static str>>,
    /// What the gateway knows when the metrics are read.
    source: Mutex<Option<Weak<dyn StateSource>>>,
    registry: Registry,
}

/// The state of a gateway, which is asked for when the metrics are read.
pub(crate) trait StateSource: Send + Sync {
    /// The endpoints of all models.
    fn endpoints(&self) -> Vec<EndpointState>;
    /// Whether the shared state of the limits cannot be reached.
    fn limits_degraded(&self) -> bool;
    /// How often a response could not be read from the shared state, or written to it.
    fn shared_failures(&self) -> u64;
}

/// The state of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct EndpointState {
    /// The name of the model.
    pub(crate) model: Arc<str>,
    /// The name of the endpoint.
    pub(crate) endpoint: Arc<str>,
    /// How long it is left out, if it is.
    pub(crate) cooldown: Option<Duration>,
}

type Durations = fn() -> Histogram;

/// The metrics with labels.
#[derive(Debug)]
struct Families {
    requests: Family<Outcome, Counter>,
    duration: Family<GenAiOutcome, Histogram, Durations>,
    first_token: Family<GenAi, Histogram, Durations>,
    output_token: Family<GenAi, Histogram, Durations>,
    token_usage: Family<TokenUsage, Histogram, Durations>,
    tokens: Family<KeyTokens, Counter>,
    overhead: Family<Labels, Histogram, Durations>,
    retries: Family<Labels, Counter>,
    cache_hits: Family<Labels, Counter>,
    losses: Family<Labels, Counter>,
}

/// The members of the families for one kind of request.
#[derive(Debug)]
struct Series {
    gen_ai: GenAi,
    first_token: Histogram,
    output_token: Histogram,
    input_usage: Histogram,
    output_usage: Histogram,
    overhead: Histogram,
    retries: Counter,
    cache_hits: Counter,
    losses: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    door: &'static str,
    route: &'static str,
    model: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    door: &'static str,
    route: &'static str,
    model: Arc<str>,
    status: &'static str,
    ending: &'static str,
    error: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GenAi {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: &'static str,
    gen_ai_request_model: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GenAiOutcome {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: &'static str,
    gen_ai_request_model: Arc<str>,
    error_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenUsage {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: &'static str,
    gen_ai_request_model: Arc<str>,
    gen_ai_token_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyTokens {
    key: Arc<str>,
    model: Arc<str>,
    token_type: &'static str,
    estimated: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    model: Arc<str>,
    endpoint: Arc<str>,
}

impl Metrics {
    /// The metrics of a gateway with this configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let mut metrics = Self {
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            config_ok: Gauge::default(),
            reloads: Counter::default(),
            log_dropped: Counter::default(),
            limits_degraded: Gauge::default(),
            shared_failures: Counter::default(),
            cooldown: Family::default(),
            families: Families::new(),
            series: RwLock::default(),
            providers: ArcSwap::default(),
            source: Mutex::new(None),
            registry: Registry::default(),
        };
        metrics.register();
        metrics.config_ok.set(1);
        metrics.reload(config);
        metrics
    }

    fn register(&mut self) {
        let mut registry = Registry::default();
        self.families.register(&mut registry);
        let own = registry.sub_registry_with_prefix("sagewire");
        own.register("requests_in_flight", "Requests in progress", self.in_flight.clone());
        own.register("connections_open", "Open connections of clients", self.connections.clone());
        own.register(
            "config_ok",
            "Whether the configuration file and the certificates are those in use",
            self.config_ok.clone(),
        );
        own.register("config_reloads", "Reloads of the configuration that succeeded", self.reloads.clone());
        own.register(
            "limits_degraded",
            "Whether the shared state of the limits cannot be reached",
            self.limits_degraded.clone(),
        );
        own.register(
            "cache_failures",
            "Responses of the cache that could not be read from the shared state, or written to it",
            self.shared_failures.clone(),
        );
        own.register_with_unit(
            "endpoint_cooldown",
            "How long an endpoint is left out because of its failures; 0: it is used",
            Unit::Seconds,
            self.cooldown.clone(),
        );
        own.register(
            "access_log_dropped_lines",
            "Lines of the access log that could not be written in time",
            self.log_dropped.clone(),
        );
        self.registry = registry;
    }

    /// Uses another configuration.
    pub(crate) fn reload(&self, config: &Config) {
        let provider = |upstream: &Upstream, format: Api| match (upstream, format) {
            (Upstream::SageMaker(_), _) => "aws.sagemaker",
            (Upstream::Url(_), Api::Anthropic) => "anthropic",
            (Upstream::Url(_), _) => "openai",
        };
        let models = config.models.iter();
        let providers = models
            .map(|model| (Arc::from(model.name.as_str()), provider(&model.upstream, model.format)))
            .collect();
        self.providers.store(Arc::new(providers));
        // They have the providers of the previous configuration.
        self.series.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks this source when the metrics are read.
    pub(crate) fn set_source(&self, source: Weak<dyn StateSource>) {
        *lock(&self.source) = Some(source);
    }

    /// Writes all metrics.
    pub(crate) fn write(&self, text: &mut String) {
        // Locked until the end: reading the metrics renews the gauges of the endpoints.
        let source = lock(&self.source);
        if let Some(source) = source.as_ref().and_then(Weak::upgrade) {
            self.limits_degraded.set(source.limits_degraded().into());
            self.shared_failures.inner().store(source.shared_failures(), Ordering::Relaxed);
            self.cooldown.clear();
            for EndpointState { model, endpoint, cooldown } in source.endpoints() {
                let seconds = cooldown.map_or(0, |time| time.as_secs().max(1)) as i64;
                let gauge = self.cooldown.get_or_create_owned(&EndpointLabels { model, endpoint });
                // Endpoints of a group can have the same name, in two regions.
                gauge.set(gauge.get().max(seconds));
            }
        }
        // Writing to memory does not fail.
        let _ = prometheus_text::encode(text, &self.registry);
        drop(source);
    }

    /// Records a request.
    pub(crate) fn finished(&self, record: &Record) {
        let model = record.model.clone().unwrap_or_default();
        let (door, route) = (record.door.as_str(), record.route);
        let series = self.series(Labels { door, route, model: Arc::clone(&model) });
        let error = record.error.map_or("", |error| error.as_str());
        let outcome = Outcome {
            door,
            route,
            model: Arc::clone(&model),
            status: status(record.status),
            ending: record.ending.as_str(),
            error,
        };
        self.families.requests.get_or_create(&outcome).inc();
        let GenAi { gen_ai_operation_name, gen_ai_provider_name, gen_ai_request_model } =
            series.gen_ai.clone();
        let outcome = GenAiOutcome {
            gen_ai_operation_name,
            gen_ai_provider_name,
            gen_ai_request_model,
            error_type: error,
        };
        self.families.duration.get_or_create(&outcome).observe(record.total.as_secs_f64());
        series.record(record);
        self.count_tokens(record, model);
    }

    fn count_tokens(&self, record: &Record, model: Arc<str>) {
        let key = record.key.clone().unwrap_or_default();
        let estimated = if record.tokens.estimated { "true" } else { "false" };
        let mut labels = KeyTokens { key, model, token_type: "input", estimated };
        for (token_type, count) in [("input", record.tokens.input), ("output", record.tokens.output)] {
            if count > 0 {
                labels.token_type = token_type;
                self.families.tokens.get_or_create(&labels).inc_by(count);
            }
        }
    }

    fn series(&self, labels: Labels) -> Arc<Series> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner).get(&labels).cloned();
        series.unwrap_or_else(|| {
            let provider = self.providers.load().get(&labels.model).copied().unwrap_or_default();
            let new = Arc::new(Series::new(&self.families, &labels, provider));
            let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(series.entry(labels).or_insert(new))
        })
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Families {
    fn new() -> Self {
        Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(durations),
            first_token: Family::new_with_constructor(durations),
            output_token: Family::new_with_constructor(token_durations),
            token_usage: Family::new_with_constructor(token_counts),
            tokens: Family::default(),
            overhead: Family::new_with_constructor(overheads),
            retries: Family::default(),
            cache_hits: Family::default(),
            losses: Family::default(),
        }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "gen_ai_server_request_duration",
            "From the arrival of a request to the end of its response",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register_with_unit(
            "gen_ai_server_time_to_first_token",
            "From the arrival of a request to the first event of its response",
            Unit::Seconds,
            self.first_token.clone(),
        );
        registry.register_with_unit(
            "gen_ai_server_time_per_output_token",
            "The time between the tokens of a complete stream after its first event",
            Unit::Seconds,
            self.output_token.clone(),
        );
        registry.register(
            "gen_ai_client_token_usage",
            "Tokens of a request, as the container reports them",
            self.token_usage.clone(),
        );
        let own = registry.sub_registry_with_prefix("sagewire");
        own.register("requests", "Requests by their outcome", self.requests.clone());
        own.register("tokens", "Tokens by key; estimated: the container reported none", self.tokens.clone());
        own.register_with_unit(
            "gateway_overhead",
            "The time until the first event in which the gateway did not wait for the endpoint",
            Unit::Seconds,
            self.overhead.clone(),
        );
        own.register("retries", "Calls of endpoints after the first one of a request", self.retries.clone());
        own.register("cache_hits", "Responses from the cache", self.cache_hits.clone());
        own.register("losses", "Fields that the API on the other side cannot express", self.losses.clone());
    }
}

impl Series {
    fn new(families: &Families, labels: &Labels, provider: &'static str) -> Self {
        let gen_ai = GenAi {
            gen_ai_operation_name: operation(labels.route),
            gen_ai_provider_name: provider,
            gen_ai_request_model: Arc::clone(&labels.model),
        };
        let usage = |gen_ai_token_type| {
            let labels = TokenUsage {
                gen_ai_operation_name: gen_ai.gen_ai_operation_name,
                gen_ai_provider_name: provider,
                gen_ai_request_model: Arc::clone(&labels.model),
                gen_ai_token_type,
            };
            families.token_usage.get_or_create_owned(&labels)
        };
        Self {
            first_token: families.first_token.get_or_create_owned(&gen_ai),
            output_token: families.output_token.get_or_create_owned(&gen_ai),
            input_usage: usage("input"),
            output_usage: usage("output"),
            overhead: families.overhead.get_or_create_owned(labels),
            retries: families.retries.get_or_create_owned(labels),
            cache_hits: families.cache_hits.get_or_create_owned(labels),
            losses: families.losses.get_or_create_owned(labels),
            gen_ai,
        }
    }

    fn record(&self, record: &Record) {
        let tokens = record.tokens;
        self.overhead.observe(record.own.as_secs_f64());
        self.retries.inc_by(record.attempts.saturating_sub(1).into());
        self.losses.inc_by(record.losses.len() as u64);
        if record.cached {
            self.cache_hits.inc();
        }
        if let Some(first) = record.first_event.filter(|_| record.streamed) {
            self.first_token.observe(first.as_secs_f64());
            if record.ending == Ending::Complete && tokens.output > 1 && !tokens.estimated {
                let rest = record.total.saturating_sub(first);
                self.output_token.observe(rest.as_secs_f64() / (tokens.output - 1) as f64);
            }
        }
        if tokens.input + tokens.output > 0 && !tokens.estimated {
            self.input_usage.observe(tokens.input as f64);
            self.output_usage.observe(tokens.output as f64);
        }
    }
}

/// The operation of a route in the words of the semantic conventions.
pub(super) fn operation(route: &str) -> &'static str {
    if route.ends_with("/embeddings") {
        "embeddings"
    } else if route.ends_with("/chat/completions") || !route.ends_with("/completions") {
        "chat"
    } else {
        "text_completion"
    }
}

/// A status in a label. Containers choose theirs, so the unusual ones share a label.
fn status(status: u16) -> &'static str {
    match status {
        200 => "200",
        204 => "204",
        400 => "400",
        401 => "401",
        402 => "402",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        413 => "413",
        422 => "422",
        424 => "424",
        429 => "429",
        499 => "499",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        529 => "529",
        _ => match status / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        },
    }
}

/// The buckets that the semantic conventions recommend.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 14))
}

/// From 1 millisecond to 4 seconds.
fn token_durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 13))
}

/// The buckets that the semantic conventions recommend.
fn token_counts() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 4.0, 14))
}

/// From 10 microseconds to 10 seconds.
fn overheads() -> Histogram {
    Histogram::new([1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
