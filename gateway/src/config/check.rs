//! Checks that concern several parts of a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sagewire_codec::Api;
use sagewire_codec::embeddings::RequestShape;
use sagewire_transport::Operation;

use super::read::suggestion;
use super::{Config, Listen, Model, ModelKind, Upstream};

/// What is wrong with a configuration, each with a JSON pointer into the gateway's own file.
pub(super) type Found = Vec<(String, String)>;

impl Config {
    /// Finds what is wrong with the configuration as a whole: names that do not exist, formats without a template, addresses
    /// that everyone reaches without a key. Each is a JSON pointer into the gateway's own file, and what is wrong there.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Found::new();
        let names = Names(self.models.iter().map(|model| model.name.as_str()).collect());
        self.check_addresses(&mut found);
        self.check_models(&mut found);
        self.check_routing(&names, &mut found);
        self.check_keys(&names, &mut found);
        found
    }

    fn check_addresses(&self, found: &mut Found) {
        let mut report = |pointer: String, message: String| found.push((pointer, message));
        if self.listen.is_empty() {
            report("/listen".into(), "there is no address to listen on".into());
        }
        let mut addresses: BTreeSet<_> = self.admin.into_iter().collect();
        for (index, Listen { address, tls }) in self.listen.iter().enumerate() {
            let pointer = format!("/listen/{index}");
            if (self.keys.is_empty() || self.accept_any_key) && !address.ip().is_loopback() {
                let message = "without `keys`, only loopback addresses such as 127.0.0.1:4000 are allowed";
                report(pointer.clone(), message.into());
            }
            if !addresses.insert(*address) && address.port() != 0 {
                report(pointer.clone(), format!("the address {address} is used twice"));
            }
            let Some(tls) = tls else { continue };
            for (key, path, check) in [
                ("cert", Some(&tls.cert), certificates as fn(&Path) -> Result<(), String>),
                ("key", Some(&tls.key), private_key),
                ("client_ca", tls.client_ca.as_ref(), certificates),
            ] {
                if let Some(Err(reason)) = path.map(|path| check(path)) {
                    report(format!("{pointer}/tls/{key}"), reason);
                }
            }
        }
    }

    fn check_models(&self, found: &mut Found) {
        if self.models.is_empty() {
            found.push(("/models".into(), "there are no models".into()));
        }
        let mut kinds = BTreeMap::new();
        for (index, model) in self.models.iter().enumerate() {
            let mut report =
                |key: &str, message: String| found.push((format!("/models/{index}{key}"), message));
            let is_chat = model.kind == ModelKind::Chat;
            if *kinds.entry(&model.name).or_insert(is_chat) != is_chat {
                report("/kind", "the models of a group have the same kind".into());
            }
            if is_chat && model.takes_prompt() && model.template.is_none() {
                let name = if model.custom.is_some() { "custom" } else { model.format.name() };
                report("/format", missing_template(name));
            }
            if model.custom.as_ref().is_some_and(|format| !format.writes_requests()) {
                report("/format", "requests of this custom format cannot be written".into());
            }
            if !is_chat && (model.template.is_some() || model.speaks.is_some()) {
                report("", "`template` and `speaks` are for chat models".into());
            }
            let timeouts = [
                ("connect", model.timeouts.connect),
                ("first_byte", model.timeouts.first_byte),
                ("idle", model.timeouts.idle),
                ("total", model.timeouts.total),
            ];
            for (key, _) in timeouts.iter().filter(|(_, timeout)| timeout.is_zero()) {
                report(&format!("/timeouts/{key}"), "the timeout is zero".into());
            }
            if let Err(message) = check_upstream(model) {
                report("", message);
            }
        }
    }

    fn check_routing(&self, names: &Names<'_>, found: &mut Found) {
        let mut report = |pointer: String, message: String| found.push((pointer, message));
        for (from, to) in &self.routing.fallback {
            let pointer = format!("/routing/fallback/{}", from.replace('~', "~0").replace('/', "~1"));
            if let Some(message) = names.unknown(from) {
                report(pointer.clone(), message);
            }
            for (index, name) in to.iter().enumerate() {
                let message = match name == from {
                    true => Some(format!("the model `{name}` is its own fallback")),
                    false => names.unknown(name),
                };
                if let Some(message) = message {
                    report(format!("{pointer}/{index}"), message);
                }
            }
        }
        if self.routing.attempts == 0 {
            report("/routing/attempts".into(), "a request has at least one attempt".into());
        }
        let cooldown = &self.routing.cooldown;
        if cooldown.failures == 0 {
            report("/routing/cooldown/failures".into(), "at least one failure".into());
        }
        if cooldown.max < cooldown.base {
            report("/routing/cooldown/max".into(), "`max` is shorter than `base`".into());
        }
    }

    fn check_keys(&self, models: &Names<'_>, found: &mut Found) {
        let (mut names, mut hashes, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (index, key) in self.keys.iter().enumerate() {
            let mut report =
                |pointer: String, message: String| found.push((format!("/keys/{index}{pointer}"), message));
            if !names.insert(&key.name) {
                report("/name".into(), format!("there are two keys with the name `{}`", key.name));
            }
            if key.hash.is_some_and(|hash| !hashes.insert(hash)) {
                report("/hash".into(), "another key has the same hash".into());
            }
            if let Some(pair) = &key.aws {
                if !ids.insert(&pair.access_key_id) {
                    report("/aws/access_key_id".into(), "another key has the same access key ID".into());
                }
                if !pair.access_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    report(
                        "/aws/access_key_id".into(),
                        "an access key ID has letters, digits and `_` only".into(),
                    );
                }
            }
            if key.hash.is_none() && key.aws.is_none() {
                report(String::new(), "a key has `hash`, `key` or `aws`".into());
            }
            for (index, name) in key.models.iter().flatten().enumerate() {
                if let Some(message) = models.unknown(name) {
                    report(format!("/models/{index}"), message);
                }
            }
        }
    }
}

/// The names of all models.
struct Names<'a>(BTreeSet<&'a str>);

impl Names<'_> {
    /// The message for the name of a model that does not exist.
    fn unknown(&self, name: &str) -> Option<String> {
        let suggestion = || {
            let known: Vec<&str> = self.0.iter().take(KNOWN_MAX).copied().collect();
            suggestion(name, &known)
        };
        (!self.0.contains(name)).then(|| format!("no model has the name `{name}`{}", suggestion()))
    }
}

/// The number of names that an unknown one is compared with.
const KNOWN_MAX: usize = 50;

fn missing_template(name: &str) -> String {
    format!(
        "the format `{name}` takes a prompt, so a `template` is required: a family such as llama3 or chatml, the name of the \
         model, the path of its tokenizer_config.json, or none for a single message as it is"
    )
}

fn check_upstream(model: &Model) -> Result<(), String> {
    let is_embeddings = model.kind != ModelKind::Chat;
    match &model.upstream {
        Upstream::SageMaker(sagemaker) => {
            let operation = match sagemaker.openai_route {
                true => Operation::OpenAi,
                false => Operation::Invoke,
            };
            let endpoint = &sagemaker.endpoint;
            let checked = endpoint.path(operation).and_then(|_| endpoint.headers(operation));
            checked.map_err(|error| error.to_string())?;
            let is_openai = model.format == Api::OpenAi && model.custom.is_none();
            if sagemaker.openai_route && (is_embeddings || !is_openai) {
                return Err("`openai_route` is for chat in the format `openai`".into());
            }
            if endpoint.runtime.is_some() && matches!(model.model, super::ModelName::Omitted) {
                return Err("a Global Inference Gateway chooses by `model`, which is omitted".into());
            }
            Ok(())
        }
        Upstream::Url(server) => {
            let url = server.url.parse::<http::Uri>();
            // The URL may have a password, so the message has no part of it.
            let is_valid =
                |url: &http::Uri| url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https"));
            if !url.as_ref().is_ok_and(is_valid) {
                return Err("`url` is not an HTTP URL such as http://localhost:8000/v1".into());
            }
            let is_served = match model.kind {
                ModelKind::Chat if model.custom.is_some() => true,
                ModelKind::Chat => {
                    matches!(model.format, Api::OpenAi | Api::Completions | Api::Responses | Api::Anthropic)
                }
                ModelKind::Embeddings(shape) => shape == RequestShape::OpenAi,
            };
            if is_served {
                Ok(())
            } else {
                Err("a server with a `url` has the format openai, completions, responses, anthropic or custom, and for embeddings openai".into())
            }
        }
    }
}

fn certificates(path: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        Ok(_) => Err(format!("{}: there is no certificate", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn private_key(path: &Path) -> Result<(), String> {
    PrivateKeyDer::from_pem_file(path).map(drop).map_err(|error| format!("{}: {error}", path.display()))
}
