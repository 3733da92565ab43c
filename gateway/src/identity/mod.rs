//! Who is calling: by a key, or by the signature of a key pair.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use sagewire_codec::{HttpError, HttpErrorKind};
use sagewire_sigv4::{SignatureError, SignedHead};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{self, Config};
use crate::door::Door;
use crate::fault::Fault;
use crate::record::ErrorClass;

/// The keys of the configuration.
#[derive(Debug)]
pub(crate) struct Keys {
    /// By the first bytes of the hash, so that no complete hash is compared other than in constant time.
    by_hash: HashMap<[u8; 8], Vec<Arc<Key>>>,
    by_access_key_id: HashMap<String, Arc<Key>>,
    /// The key of clients without one, if they are accepted.
    anyone: Option<Arc<Key>>,
}

/// A key of a client.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: Arc<str>,
    pub(crate) config: config::Key,
    models: Option<HashSet<String>>,
}

/// A client.
pub(crate) enum Caller<'a> {
    Known(Arc<Key>),
    /// The signature is verified when the body is there.
    Signed(Arc<Key>, Box<SignedHead<'a>>),
}

impl Keys {
    pub(crate) fn new(config: &Config) -> Self {
        let mut by_hash: HashMap<_, Vec<_>> = HashMap::new();
        let mut by_access_key_id = HashMap::new();
        for config in &config.keys {
            let key = Arc::new(Key::new(config.clone()));
            if let Some(hash) = &config.hash {
                by_hash.entry(prefix(hash)).or_default().push(Arc::clone(&key));
            }
            if let Some(pair) = &config.aws {
                by_access_key_id.insert(pair.access_key_id.clone(), key);
            }
        }
        let is_open = config.keys.is_empty() || config.accept_any_key;
        let anyone = is_open.then(|| Arc::new(Key::new(config::Key::new("anyone"))));
        Self { by_hash, by_access_key_id, anyone }
    }

    /// Finds the key of a request. A signature is checked as far as it can be without the body.
    pub(crate) fn identify<'a>(
        &self,
        parts: &'a Parts,
        door: Door,
        now: SystemTime,
    ) -> Result<Caller<'a>, Box<Fault>> {
        if is_signed(&parts.headers) && !self.by_access_key_id.is_empty() {
            return self.signed(parts, door, now).map_err(|error| unsigned(&error));
        }
        let found = secrets(&parts.headers)?.find_map(|secret| self.of_secret(secret));
        match found.or_else(|| self.anyone.clone()) {
            Some(key) => Ok(Caller::Known(key)),
            None => Err(unknown(&parts.headers)),
        }
    }

    fn signed<'a>(
        &self,
        parts: &'a Parts,
        door: Door,
        now: SystemTime,
    ) -> Result<Caller<'a>, SignatureError> {
        let services = ["bedrock", "sagemaker"];
        let services = match door.signing_name() {
            Some("bedrock") => &services[..1],
            Some(_) => &services[1..],
            None => &services[..],
        };
        let head = SignedHead::parse(parts, services, now)?;
        let key = self.by_access_key_id.get(head.access_key_id());
        let key = key.ok_or_else(SignatureError::unknown_credentials)?;
        Ok(Caller::Signed(Arc::clone(key), Box::new(head)))
    }

    fn of_secret(&self, secret: &str) -> Option<Arc<Key>> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let same = |key: &&Arc<Key>| {
            key.config.hash.is_some_and(|known| bool::from(known.as_slice().ct_eq(hash.as_slice())))
        };
        self.by_hash.get(&prefix(&hash))?.iter().find(same).cloned()
    }
}

impl Key {
    fn new(config: config::Key) -> Self {
        let models = config.models.as_ref().map(|models| models.iter().cloned().collect());
        Self { name: config.name.as_str().into(), config, models }
    }

    /// Whether the client may use a model.
    pub(crate) fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }
}

impl Caller<'_> {
    pub(crate) fn key(&self) -> &Arc<Key> {
        match self {
            Self::Known(key) | Self::Signed(key, _) => key,
        }
    }

    /// Verifies the signature, if there is one.
    pub(crate) fn verify(&self, body: &[u8]) -> Result<(), Box<Fault>> {
        let Self::Signed(key, head) = self else { return Ok(()) };
        let pair = key.config.aws.as_ref().ok_or_else(|| unsigned(&SignatureError::unknown_credentials()))?;
        let token = pair.session_token.as_ref().map(config::Secret::expose);
        head.verify(body, pair.secret.expose(), token).map_err(|error| unsigned(&error))
    }
}

fn prefix(hash: &[u8; 32]) -> [u8; 8] {
    std::array::from_fn(|i| hash[i])
}

fn is_signed(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
}

/// The keys that a request has: a bearer token, or the headers that Anthropic's and Azure's SDKs use. A header that occurs twice
/// is refused, because another program on the way may have read the other one.
fn secrets(headers: &HeaderMap) -> Result<impl Iterator<Item = &str>, Box<Fault>> {
    let names = [AUTHORIZATION.as_str(), "x-api-key", "api-key"];
    for name in names {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(refuse(format!("The header `{name}` occurs twice.")));
        }
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Ok(names.into_iter().filter_map(move |name| {
        let value: &str = text(name)?;
        match (name == AUTHORIZATION.as_str(), value.split_once(' ')) {
            (true, Some((scheme, token))) => scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()),
            (true, None) => None,
            (false, _) => Some(value.trim()),
        }
    }))
}

fn unknown(headers: &HeaderMap) -> Box<Fault> {
    let has_any =
        [AUTHORIZATION.as_str(), "x-api-key", "api-key"].iter().any(|name| headers.contains_key(*name));
    refuse(match has_any {
        true => "The API key is not known to this gateway.",
        false => "There is no API key: send it as `Authorization: Bearer`, or as `x-api-key`.",
    })
}

fn refuse(message: impl Into<String>) -> Box<Fault> {
    Fault::new(ErrorClass::ClientAuthentication, HttpErrorKind::Authentication, message)
}

fn unsigned(error: &SignatureError) -> Box<Fault> {
    // Read by its name, which the API of SageMaker and Bedrock share.
    let mut fault = refuse(error.to_string());
    let mut read = HttpError::read(403, Some(error.error_type()), b"");
    read.message = error.to_string();
    fault.error = read;
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(any: bool) -> Keys {
        let mut key = config::Key::new("a");
        key.hash = Some(Sha256::digest("secret").into());
        key.models = Some(vec!["llama".into()]);
        Keys::new(&Config { keys: vec![key], accept_any_key: any, ..Config::default() })
    }

    fn name(keys: &Keys, headers: &[(&'static str, &str)]) -> Result<String, String> {
        let mut request = http::Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().expect("a value"));
        }
        let (parts, ()) = request.into_parts();
        let found = keys.identify(&parts, Door::OpenAi, SystemTime::now());
        found.map(|caller| caller.key().name.to_string()).map_err(|fault| fault.error.message)
    }

    #[test]
    fn keys_are_found_where_sdks_send_them() {
        let keys = keys(false);
        for header in [
            ("authorization", "Bearer secret"),
            ("authorization", "bearer secret"),
            ("x-api-key", "secret"),
            ("api-key", "secret"),
        ] {
            assert_eq!(name(&keys, &[header]).as_deref(), Ok("a"), "{header:?}");
        }
        for headers in [
            &[][..],
            &[("authorization", "Bearer other")],
            &[("authorization", "Basic secret")],
            &[("authorization", "secret")],
            &[("authorization", "Bearer secret"), ("authorization", "Bearer secret")],
            &[("authorization", "AWS4-HMAC-SHA256 Credential=x")],
        ] {
            assert!(name(&keys, headers).is_err(), "{headers:?}");
        }
        assert!(keys.by_hash.values().flatten().all(|key| key.allows("llama") && !key.allows("other")));
    }

    #[test]
    fn an_open_gateway_takes_any_key() {
        let keys = keys(true);
        assert_eq!(name(&keys, &[("authorization", "Bearer other")]).as_deref(), Ok("anyone"));
        assert_eq!(name(&keys, &[]).as_deref(), Ok("anyone"));
        assert_eq!(name(&keys, &[("x-api-key", "secret")]).as_deref(), Ok("a"));
    }
}
