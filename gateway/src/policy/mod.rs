//! What a key may do, and what a deployment may get: limits of requests, tokens, parallel requests and money, and the cache of responses.
//!
//! A request reserves what it is expected to take, and settles what it took at its end. What is reserved is kept in this
//! process ([`limits`]), or in a Valkey or Redis server that several processes share ([`store`]).

mod budget;
mod cache;
mod limits;
mod shared;
mod store;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;

use self::budget::Micros;
pub(crate) use self::cache::{CACHE_HEADER, Cache, CacheControl, CacheKey, Entry, Leader, Lookup};
pub(crate) use self::limits::{Ask, Limit, RateHeaders, Refusal};
use self::limits::{Cost, Usage};
pub(crate) use self::shared::{Shared, VALUE_MAX};
use self::store::{Store, Timing};
pub(crate) use self::worker::Cooldowns;
use crate::config::{Key, KeyLimits, State};

/// The limits of all keys. It outlives a reload of the configuration: what a key has used is found by its name.
pub(crate) struct Policy {
    accounts: RwLock<HashMap<Arc<str>, Arc<Account>>>,
    store: ArcSwapOption<Store>,
}

/// The shared state cannot be used as it is configured.
#[derive(Debug)]
pub(crate) struct Error(&'static str);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Error {}

impl Policy {
    /// Limits that are kept in this process, or in the server of `state`, to which it connects in the background: a server
    /// that cannot be reached is not an error.
    ///
    /// # Errors
    ///
    /// The URL of the server is not one.
    ///
    /// # Panics
    ///
    /// With a `state`, outside of a Tokio runtime.
    pub(crate) fn new(state: Option<&State>) -> Result<Self, Error> {
        let store = state.map(|state| Store::new(state, Timing::default())).transpose()?;
        Ok(Self { accounts: RwLock::default(), store: ArcSwapOption::new(store) })
    }

    /// Applies a new configuration: another server is used from now on, and keys and deployments that are not known any more
    /// are forgotten. Requests that run settle where they reserved.
    ///
    /// # Errors
    ///
    /// The URL of the server is not one. Nothing has changed then.
    pub(crate) fn reload(&self, state: Option<&State>, is_known: impl Fn(&str) -> bool) -> Result<(), Error> {
        let unchanged = match (&*self.store.load(), state) {
            (None, None) => true,
            (Some(store), Some(state)) => store.is_for(state),
            _ => false,
        };
        if !unchanged {
            let store = state.map(|state| Store::new(state, Timing::default())).transpose()?;
            self.store.store(store);
        }
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|name, account| is_known(name) || account.usage().parallel > 0);
        Ok(())
    }

    /// Reserves what a request needs, with an estimate of its tokens and its cost.
    ///
    /// # Errors
    ///
    /// A limit does not admit the request.
    pub(crate) async fn reserve(&self, key: &Key, ask: Ask) -> Result<Reservation, Refusal> {
        self.reserve_of(&key.name, &key.limits, ask).await
    }

    /// The same for anything that has a name and limits.
    pub(crate) async fn reserve_of(
        &self,
        name: &str,
        limits: &KeyLimits,
        ask: Ask,
    ) -> Result<Reservation, Refusal> {
        if *limits == KeyLimits::default() {
            return Ok(Reservation { held: None, headers: RateHeaders::default() });
        }
        let account = self.account(name);
        match self.store.load_full() {
            None => account.reserve(limits, ask.into(), Place::Process, now()),
            Some(store) => store.reserve(&account, limits, ask.into()).await,
        }
    }

    /// Tells the other processes that an endpoint is left out until `until`. Without a shared state, nothing.
    pub(crate) fn cooldown(&self, name: &str, until: Instant) {
        if let Some(store) = &*self.store.load() {
            store.cooldown(name, until.saturating_duration_since(Instant::now()));
        }
    }

    /// The cooldowns that processes have told each other, as of half a second ago, if there is a shared state. Does not wait.
    pub(crate) fn cooldowns(&self) -> Option<Arc<Cooldowns>> {
        self.store.load().as_ref().map(|store| store.cooldowns())
    }

    /// The values that processes share, if there is a shared state.
    pub(crate) fn shared(&self) -> Option<Shared> {
        self.store.load_full().map(|store| Shared { values: Arc::clone(&store.values), store })
    }

    /// How often a shared value could not be read or written: a metric.
    pub(crate) fn shared_failures(&self) -> u64 {
        self.store.load().as_ref().map_or(0, |store| store.values.failures())
    }

    /// Whether the shared state cannot be reached: the metric `limits_degraded`.
    pub(crate) fn degraded(&self) -> bool {
        self.store.load().as_ref().is_some_and(|store| store.is_down())
    }

    /// Waits until what was settled has reached the server, for at most `limit`. For the end of the process.
    pub(crate) async fn flush(&self, limit: Duration) {
        if let Some(store) = self.store.load_full() {
            let _ = tokio::time::timeout(limit, store.flush()).await;
        }
    }

    fn account(&self, name: &str) -> Arc<Account> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(name) {
            return account.clone();
        }
        drop(accounts);
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        accounts.entry(name.into()).or_insert_with(|| Arc::new(Account::new(name))).clone()
    }
}

/// What a request holds until its end. If it is dropped, the estimate stands, and its place among the parallel requests is
/// free again.
#[derive(Debug)]
#[must_use = "dropping it ends the request"]
pub(crate) struct Reservation {
    held: Option<Held>,
    headers: RateHeaders,
}

#[derive(Debug)]
struct Held {
    account: Arc<Account>,
    limits: KeyLimits,
    estimate: Cost,
    /// The period of the budget in which the estimate was made.
    period: i64,
    place: Place,
}

/// Where a reservation was made.
#[derive(Debug)]
enum Place {
    /// In this process, which shares nothing.
    Process,
    /// In this process, while the server could not be reached.
    Apart(Arc<Store>),
    /// In the server.
    Server(store::Permit),
}

impl Reservation {
    /// The state of the limits for the response.
    pub(crate) fn headers(&self) -> RateHeaders {
        self.headers
    }

    /// Replaces the estimate by what the request took. Does not wait.
    pub(crate) fn settle(mut self, tokens: u64, dollars: f64) {
        self.end(Some(Ask { tokens, dollars }.into()), now());
    }

    fn end(&mut self, actual: Option<Cost>, now: Micros) {
        let Some(held) = self.held.take() else { return };
        let actual = actual.unwrap_or(held.estimate);
        {
            let mut usage = held.account.usage();
            usage.advance(&held.limits, now);
            usage.settle(&held.limits, held.estimate, actual, held.period);
        }
        match held.place {
            Place::Process => {}
            Place::Apart(store) => store.owe(&held.account, &held.limits, actual, held.period),
            Place::Server(permit) => {
                permit.settle(&held.account, &held.limits, held.estimate, actual, held.period);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.held.is_some() {
            self.end(None, now());
        }
    }
}

/// What is known of a key: what it has used, as this process sees it.
#[derive(Debug)]
struct Account {
    name: Arc<str>,
    usage: Mutex<Usage>,
    /// The IDs of reservations that have ended, which the server has not been told yet.
    ended: Mutex<Vec<[u8; 16]>>,
}

impl Account {
    fn new(name: &str) -> Self {
        Self { name: name.into(), usage: Mutex::default(), ended: Mutex::default() }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Vec<[u8; 16]>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves in this process.
    fn reserve(
        self: &Arc<Self>,
        limits: &KeyLimits,
        estimate: Cost,
        place: Place,
        now: Micros,
    ) -> Result<Reservation, Refusal> {
        let mut usage = self.usage();
        usage.advance(limits, now);
        if let Some((limit, retry_after)) = usage.refuses(limits, estimate) {
            return Err(Refusal { limit, retry_after, headers: usage.headers(limits) });
        }
        usage.charge(limits, estimate);
        Ok(self.reservation(&usage, limits, estimate, place))
    }

    fn reservation(
        self: &Arc<Self>,
        usage: &Usage,
        limits: &KeyLimits,
        estimate: Cost,
        place: Place,
    ) -> Reservation {
        let held = Held { account: self.clone(), limits: *limits, estimate, period: usage.period, place };
        Reservation { held: Some(held), headers: usage.headers(limits) }
    }
}

/// The time of the system.
fn now() -> Micros {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as Micros)
}

#[cfg(test)]
mod tests;
