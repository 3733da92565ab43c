//! `router_settings`, `litellm_settings` and `general_settings`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Positions;
use super::section::{Section, scalar};
use crate::config::read::{Position, Reader};
use crate::config::values::Hash;
use crate::config::yaml::{Entry, Node, Value};
use crate::config::{Cache, Config, Key, LossPolicy, Model, Secret, State, Timeouts};

/// The number of models or fallbacks that aliases and defaults may add up to.
const ENTRIES_MAX: usize = 1_000_000;
const TOO_MANY: &str = "aliases or fallbacks of more than 1,000,000 models";

/// The settings of the file that the gateway has, too. Of two that mean the same, that of the router counts.
#[derive(Default)]
pub(super) struct Settings {
    retries: Option<u32>,
    timeout: Option<Duration>,
    stream_timeout: Option<Duration>,
    allowed_fails: Option<u32>,
    cooldown: Option<Duration>,
    /// The model that failed, and those that are called then.
    fallbacks: Vec<(String, Vec<String>, Position)>,
    default_fallbacks: Option<(Vec<String>, Position)>,
    aliases: Vec<(String, String, Position)>,
    state: Option<Secret>,
    cache: Option<Cache>,
    losses: Option<LossPolicy>,
    key: Option<(Secret, Position)>,
    body_mebibytes: Option<u32>,
    requests: Option<u32>,
}

impl Settings {
    pub(super) fn router(&mut self, section: &mut Section<'_>, reader: &mut Reader<'_>) {
        self.retries = section.whole("num_retries", reader);
        self.timeout = section.seconds("timeout", reader);
        self.stream_timeout = section.seconds("stream_timeout", reader);
        self.allowed_fails = section.whole("allowed_fails", reader);
        self.cooldown = section.seconds("cooldown_time", reader);
        self.fallbacks(section, reader);
        self.state = server(section, ["redis_url", "redis_host", "redis_port", "redis_password"], reader);
        if let Some(node) = section.take("model_group_alias") {
            self.aliases(node, reader);
        }
        if let Some(node) = section.take("routing_strategy")
            && scalar(node, reader).is_some_and(|strategy| strategy != "simple-shuffle")
        {
            reader.note(
                node.at,
                "`router_settings.routing_strategy` is not taken over: requests are distributed by weight",
            );
        }
    }

    pub(super) fn litellm(&mut self, section: &mut Section<'_>, reader: &mut Reader<'_>) {
        let retries = section.whole("num_retries", reader);
        self.retries = self.retries.or(retries);
        let timeout = section.seconds("request_timeout", reader);
        self.timeout = self.timeout.or(timeout);
        let allowed_fails = section.whole("allowed_fails", reader);
        self.allowed_fails = self.allowed_fails.or(allowed_fails);
        self.fallbacks(section, reader);
        self.losses = section.boolean("drop_params", reader).map(|drop| match drop {
            true => LossPolicy::Report,
            false => LossPolicy::Refuse,
        });
        let is_cached = section.boolean("cache", reader).unwrap_or_default();
        let parameters =
            section.take("cache_params").and_then(|node| Section::new(node, "cache_params", reader));
        if let Some(mut parameters) = parameters {
            self.cache(is_cached, &mut parameters, reader);
        } else if is_cached {
            self.cache = Some(Cache::default());
        }
    }

    pub(super) fn general(&mut self, section: &mut Section<'_>, reader: &mut Reader<'_>) {
        let at = section.node.at;
        self.key = section.secret("master_key", reader).map(|key| (key, at));
        self.body_mebibytes = section.whole("max_request_size_mb", reader);
        self.requests = section.whole("global_max_parallel_requests", reader);
    }

    fn cache(&mut self, is_cached: bool, parameters: &mut Section<'_>, reader: &mut Reader<'_>) {
        let kind = parameters.text("type", reader).unwrap_or_else(|| "redis".into());
        let is_redis = kind.starts_with("redis") || kind.starts_with("valkey");
        if !is_redis && kind != "local" {
            let at = parameters.node.at;
            reader.note(at, "`cache_params.type` is not taken over: responses are cached in this process");
        }
        let server = server(parameters, ["url", "host", "port", "password"], reader);
        if is_redis && self.state.is_none() {
            self.state = server;
        }
        let ttl = parameters.seconds("ttl", reader);
        if is_cached {
            let default = Cache::default();
            self.cache = Some(Cache { ttl: ttl.unwrap_or(default.ttl), shared: is_redis, ..default });
        }
        parameters.note_rest(reader);
    }

    fn fallbacks(&mut self, section: &mut Section<'_>, reader: &mut Reader<'_>) {
        if let Some(node) = section.take("default_fallbacks")
            && let Some(names) = names(node, reader)
        {
            self.default_fallbacks = Some((names, node.at));
        }
        let Some(node) = section.take("fallbacks") else { return };
        let Value::List(items) = &node.value else {
            return reader.expected::<()>(node, "a list").unwrap_or_default();
        };
        for item in items {
            let Value::Section(entries) = &item.value else {
                reader.expected::<()>(item, "a section with the name of a model");
                continue;
            };
            for Entry { at, key, node } in entries {
                if let Some(names) = names(node, reader) {
                    self.fallbacks.push((key.clone(), names, *at));
                }
            }
        }
    }

    fn aliases(&mut self, node: &Node, reader: &mut Reader<'_>) {
        let Value::Section(entries) = &node.value else {
            return reader.expected::<()>(node, "a section").unwrap_or_default();
        };
        for Entry { at, key, node } in entries {
            let target = match &node.value {
                Value::Section(_) => node.get("model").unwrap_or(node),
                _ => node,
            };
            if let Some(target) = scalar(target, reader) {
                self.aliases.push((key.clone(), target, *at));
            }
        }
    }

    /// Changes the configuration, whose models are read.
    pub(super) fn apply(self, config: &mut Config, positions: &mut Positions, reader: &mut Reader<'_>) {
        self.apply_aliases(config, positions, reader);
        self.apply_fallbacks(config, positions, reader);
        if let Some(retries) = self.retries {
            config.routing.attempts = retries.saturating_add(1);
        }
        let default = Timeouts::default();
        for model in &mut config.models {
            let timeouts = &mut model.timeouts;
            if timeouts.total == default.total {
                timeouts.total = self.timeout.unwrap_or(default.total);
            }
            if timeouts.idle == default.idle
                && let Some(timeout) = self.stream_timeout
            {
                (timeouts.first_byte, timeouts.idle) = (timeout, timeout);
            }
        }
        let cooldown = &mut config.routing.cooldown;
        if let Some(allowed) = self.allowed_fails {
            cooldown.failures = allowed.saturating_add(1);
        }
        if let Some(base) = self.cooldown {
            (cooldown.base, cooldown.max) = (base, cooldown.max.max(base));
        }
        config.state = self.state.map(State::new);
        config.cache = self.cache;
        config.losses = self.losses.unwrap_or_default();
        if let Some(mebibytes) = self.body_mebibytes {
            config.bounds.body = usize::try_from(mebibytes).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        }
        if let Some(requests) = self.requests {
            config.bounds.requests = requests.try_into().unwrap_or(usize::MAX);
        }
        // LiteLLM takes the key from the environment if the file has none.
        let in_environment =
            || Some((Secret::new(reader.optional_variable("LITELLM_MASTER_KEY")?), Position::START));
        if let Some((key, at)) = self.key.or_else(in_environment) {
            positions.insert("/keys".into(), at);
            config.keys.push(Key { hash: Some(Hash::of(key.expose()).0), ..Key::new("master_key") });
        }
    }

    /// Adds the models of a group under another name.
    fn apply_aliases(&self, config: &mut Config, positions: &mut Positions, reader: &mut Reader<'_>) {
        let mut groups = BTreeMap::<String, Vec<Model>>::new();
        for model in &config.models {
            groups.entry(model.name.clone()).or_default().push(model.clone());
        }
        for (alias, target, at) in &self.aliases {
            let Some(models) = groups.get(target) else {
                reader.note(
                    *at,
                    format!("the alias `{alias}` is not taken over: there is no model `{target}`"),
                );
                continue;
            };
            if config.models.len().saturating_add(models.len()) > ENTRIES_MAX {
                return reader.problem::<()>(*at, TOO_MANY).unwrap_or_default();
            }
            for model in models {
                positions.insert(format!("/models/{}", config.models.len()), *at);
                config.models.push(Model { name: alias.clone(), ..model.clone() });
            }
        }
    }

    fn apply_fallbacks(&self, config: &mut Config, positions: &mut Positions, reader: &mut Reader<'_>) {
        let known: BTreeSet<&str> = config.models.iter().map(|model| model.name.as_str()).collect();
        let fallback = &mut config.routing.fallback;
        for (from, to, at) in &self.fallbacks {
            positions.entry("/routing/fallback".into()).or_insert(*at);
            for name in to.iter().filter(|name| !known.contains(name.as_str())) {
                reader.note(*at, format!("the fallback `{name}` is not taken over: there is no such model"));
            }
            if !known.contains(from.as_str()) {
                reader.note(
                    *at,
                    format!("the fallbacks of `{from}` are not taken over: there is no such model"),
                );
                continue;
            }
            fallback.entry(from.clone()).or_insert_with(|| kept(from, to, &known));
        }
        let Some((to, at)) = &self.default_fallbacks else { return };
        for name in to.iter().filter(|name| !known.contains(name.as_str())) {
            reader.note(*at, format!("the fallback `{name}` is not taken over: there is no such model"));
        }
        if known.len().saturating_mul(to.len()) > ENTRIES_MAX {
            return reader.problem::<()>(*at, TOO_MANY).unwrap_or_default();
        }
        for name in &known {
            fallback.entry((*name).to_owned()).or_insert_with(|| kept(name, to, &known));
        }
        fallback.retain(|_, to| !to.is_empty());
    }
}

/// The fallbacks that exist, without the model itself.
fn kept(from: &str, to: &[String], known: &BTreeSet<&str>) -> Vec<String> {
    to.iter().filter(|name| known.contains(name.as_str()) && *name != from).cloned().collect()
}

/// A name, or a list of them.
fn names(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(|item| scalar(item, reader)).collect(),
        _ => Some(vec![scalar(node, reader)?]),
    }
}

/// The URL of a server: the key that has it, or of the keys for its host, port and password.
fn server(
    section: &mut Section<'_>,
    [url, host, port, password]: [&str; 4],
    reader: &mut Reader<'_>,
) -> Option<Secret> {
    let url = section.text(url, reader).map(Secret::new);
    let host = section.text(host, reader);
    let port = section.text(port, reader).unwrap_or_else(|| "6379".into());
    let password = section.secret(password, reader);
    let host = host.map(|host| {
        let password = password.as_ref().map_or(String::new(), |password| {
            format!(":{}@", utf8_percent_encode(password.expose(), NON_ALPHANUMERIC))
        });
        Secret::new(format!("redis://{password}{host}:{port}"))
    });
    url.or(host)
}
