//! The cache of responses: exact, for each key of a client on its own.
//!
//! Equal requests that run at the same time share one call: the first leads, the others wait for its response. Only complete
//! responses get in, since an entry is made by [`Leader::complete`] alone; a leader that is dropped lets the others go on by
//! themselves.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, header::CACHE_CONTROL};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::config;
use crate::door::Door;

/// The header with which a client asks for the cache: `on`, `off` or `refresh`.
pub(crate) const CACHE_HEADER: &str = "x-sagewire-cache";

/// The fields of a request that change how a response is sent and nothing of the response: an entry is replayed as a stream or
/// whole.
const PRESENTATION: [&str; 2] = ["stream", "stream_options"];

/// What a response depends on, as a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of a request: the name of the client's key (`""` without keys), the API, the name of the model, the body as it
    /// was received, and what else the response depends on, such as the operation and headers, by name.
    ///
    /// Bodies are equal if their fields are, byte for byte and in order, apart from `stream` and `stream_options`.
    pub(crate) fn new(key: &str, door: Door, model: &str, body: &[u8], headers: &[(&str, &[u8])]) -> Self {
        let mut hash = Hash(Sha256::new());
        for field in [key, door.as_str(), model] {
            hash.field(field.as_bytes());
        }
        hash.count(headers.len());
        for (name, value) in headers {
            hash.field(name.as_bytes());
            hash.field(value);
        }
        match serde_json::from_slice::<Fields<'_>>(body) {
            Ok(Fields(fields)) => {
                for (name, value) in fields {
                    if !PRESENTATION.contains(&&*name) {
                        hash.field(name.as_bytes());
                        hash.field(value.get().as_bytes());
                    }
                }
            }
            // Not an object: no name of a field is as long as this says.
            Err(_) => {
                hash.count(usize::MAX);
                hash.field(body);
            }
        }
        Self(hash.0.finalize().into())
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A hash of fields that cannot run into each other.
struct Hash(Sha256);

impl Hash {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }
}

/// The fields of a JSON object, in order, with repeated ones.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A string that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a client says about the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// It takes a response from the cache.
    read: bool,
    /// Its response may be kept.
    write: bool,
    /// It asks for the cache.
    asked: bool,
    /// How old a response may be.
    max_age: Option<Duration>,
}

impl CacheControl {
    /// Reads `cache-control` (RFC 9111, section 5.2.1) and [`CACHE_HEADER`]. Where they contradict each other, the response is
    /// not taken from the cache.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let mut control = Self { read: true, write: true, asked: false, max_age: None };
        let values = |name| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        for directive in values(CACHE_CONTROL.as_str()).flat_map(|value| value.split(',')) {
            control.directive(&directive.trim().to_ascii_lowercase());
        }
        for value in values(CACHE_HEADER) {
            match &*value.trim().to_ascii_lowercase() {
                "on" => control.asked = true,
                "refresh" => (control.asked, control.read) = (true, false),
                "off" => (control.read, control.write) = (false, false),
                _ => {}
            }
        }
        control
    }

    fn directive(&mut self, directive: &str) {
        match directive {
            "no-store" => (self.read, self.write) = (false, false),
            "no-cache" => self.read = false,
            _ => {
                let seconds = directive.strip_prefix("max-age=").map(|age| age.trim_matches('"').parse());
                if let Some(Ok(seconds)) = seconds {
                    self.asked = true;
                    self.max_age = Some(Duration::from_secs(seconds));
                    self.read &= seconds > 0;
                }
            }
        }
    }

    /// Whether a response of this age is taken.
    pub(crate) fn accepts(self, age: Duration) -> bool {
        self.read && self.max_age.is_none_or(|max| age <= max)
    }

    /// Whether the cache is used. A response that is sampled, at a temperature above zero or at the default of the container,
    /// would be another one each time: it is kept only for clients that ask for the cache.
    pub(crate) fn applies(self, sampled: bool) -> bool {
        self.write && (self.asked || !sampled)
    }
}

/// The cache. Cheap to clone.
pub(crate) struct Cache<T>(pub(super) Arc<Inner<T>>);

pub(super) struct Inner<T> {
    pub(super) entries: moka::sync::Cache<CacheKey, Arc<Entry<T>>>,
    calls: Mutex<HashMap<CacheKey, Call<T>>>,
    largest: usize,
    ttl: Duration,
}

/// The response of a call that runs.
type Call<T> = watch::Receiver<Option<Arc<Entry<T>>>>;

/// A complete response.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    /// The response.
    pub(crate) value: T,
    size: usize,
    stored: Instant,
}

impl<T> Entry<T> {
    /// How old it is: the header `age`.
    pub(crate) fn age(&self) -> Duration {
        self.stored.elapsed()
    }
}

/// What a request finds.
pub(crate) enum Lookup<T> {
    /// Its response.
    Hit(Arc<Entry<T>>),
    /// Nothing: it makes the call, also for equal requests that come meanwhile.
    Leader(Leader<T>),
    /// An equal request that runs.
    Follower(Follower<T>),
}

impl<T: Send + Sync + 'static> Cache<T> {
    /// An empty cache.
    pub(crate) fn new(config: &config::Cache) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(config.size)
            .weigher(|_, entry: &Arc<Entry<T>>| {
                entry.size.saturating_add(OVERHEAD).try_into().unwrap_or(u32::MAX)
            })
            .time_to_live(config.ttl)
            .build();
        let largest = usize::try_from(config.size / 8).unwrap_or(usize::MAX);
        Self(Arc::new(Inner { entries, calls: Mutex::default(), largest, ttl: config.ttl }))
    }

    /// The size of the largest response that is kept. To gather more of one is of no use.
    pub(crate) fn largest(&self) -> usize {
        self.0.largest
    }

    /// Finds the response of a request, or an equal one that runs.
    pub(crate) fn get_or_join(&self, key: CacheKey, control: CacheControl) -> Lookup<T> {
        if let Some(entry) = self.get(&key, control) {
            return Lookup::Hit(entry);
        }
        let mut calls = self.0.calls();
        if control.read {
            if let Some(call) = calls.get(&key) {
                return Lookup::Follower(Follower(call.clone()));
            }
            // A leader puts its response into the cache before its call is gone.
            if let Some(entry) = self.get(&key, control) {
                return Lookup::Hit(entry);
            }
        }
        let (sender, receiver) = watch::channel(None);
        // A request that refreshes the cache does not replace a call that others wait for.
        let leads = !calls.contains_key(&key);
        if leads {
            calls.insert(key, receiver);
        }
        Lookup::Leader(Leader { cache: self.0.clone(), key, sender, leads, then: None })
    }

    fn get(&self, key: &CacheKey, control: CacheControl) -> Option<Arc<Entry<T>>> {
        let entry = control.read.then(|| self.0.entries.get(key)).flatten()?;
        // An entry of another process was stored before it came here.
        (entry.age() <= self.0.ttl && control.accepts(entry.age())).then_some(entry)
    }
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Bytes that an entry takes besides its response.
const OVERHEAD: usize = 256;

impl<T> Inner<T> {
    pub(super) fn calls(&self) -> MutexGuard<'_, HashMap<CacheKey, Call<T>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that makes the call, for itself and for equal ones. Dropping it lets the others go on by themselves.
pub(crate) struct Leader<T> {
    cache: Arc<Inner<T>>,
    key: CacheKey,
    sender: watch::Sender<Option<Arc<Entry<T>>>>,
    leads: bool,
    then: Option<Then<T>>,
}

/// What else is done with a new response.
type Then<T> = Box<dyn FnOnce(&Arc<Entry<T>>) + Send>;

impl<T> Leader<T>
where
    T: Send + Sync + 'static,
{
    /// The response is complete: it is kept, unless it is too large, and goes to those that wait. `size` is in bytes.
    pub(crate) fn complete(mut self, value: T, size: usize) -> Arc<Entry<T>> {
        let then = self.then.take();
        let entry = self.found(value, size, Duration::ZERO);
        if let Some(then) = then {
            then(&entry);
        }
        entry
    }

    /// Sets what else is done with the response when it is complete.
    pub(crate) fn then(&mut self, then: impl FnOnce(&Arc<Entry<T>>) + Send + 'static) {
        self.then = Some(Box::new(then));
    }

    /// The response was found elsewhere, where it was stored some time ago.
    pub(crate) fn found(self, value: T, size: usize, age: Duration) -> Arc<Entry<T>> {
        let stored = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        let entry = Arc::new(Entry { value, size, stored });
        if size <= self.cache.largest {
            self.cache.entries.insert(self.key, entry.clone());
        }
        self.sender.send_replace(Some(entry.clone()));
        entry
    }
}

impl<T> Drop for Leader<T> {
    fn drop(&mut self) {
        if self.leads {
            self.cache.calls().remove(&self.key);
        }
    }
}

/// A request that waits for the response of an equal one.
pub(crate) struct Follower<T>(Call<T>);

impl<T> Follower<T> {
    /// The response. `None`: the other request has not got a complete one, or not within 30 seconds, so this one has to make the
    /// call itself. A client that hears nothing for longer might be cut off by a proxy, and the other client may be a slow
    /// reader.
    pub(crate) async fn wait(mut self) -> Option<Arc<Entry<T>>> {
        let response = tokio::time::timeout(PATIENCE, self.0.wait_for(Option::is_some)).await;
        response.ok()?.ok()?.clone()
    }
}

/// How long a request waits for an equal one.
const PATIENCE: Duration = Duration::from_secs(30);
