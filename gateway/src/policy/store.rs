//! Limits that several processes share, in a Valkey or Redis server.
//!
//! A request is one call of a script, which decides on all limits at once with the clock of the server. A decision takes no
//! longer than [`Timing::decision`]: a server that does not respond in time counts as down, at once and for all requests, until
//! the worker has reached it again ([`super::worker`]). Until then each process decides on its own, starting from what the
//! server has last reported, or refuses, as the configuration says.
//!
//! What keeps the numbers right when calls get lost: each reservation has an ID, which the server keeps with a lease, and only
//! the first settlement of an ID counts. A call without a response may have been executed, or may still be: its ID is
//! canceled when the server is back.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisResult, Script, ScriptInvocation};
use tokio::sync::{Notify, mpsc, oneshot};

use super::budget::{CalendarPeriod, nanodollars};
use super::limits::{Cost, Limit, RateHeaders, Refusal, Usage};
use super::shared::Values;
use super::worker::{Cooldowns, Difference, Job, Settlement, work};
use super::{Account, Error, Place, Reservation, now};
use crate::config::{KeyLimits, Rate, State, WhenDown};

static RESERVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reserve.lua")));

/// Requests that have ended, and that a call tells the server, at most.
const ENDED: usize = 64;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Until a request is decided on without the server.
    pub(super) decision: Duration,
    /// Until a call of the worker has failed.
    pub(super) response: Duration,
    /// How long a permit counts whose process does not renew it.
    pub(super) lease: Duration,
    /// Between two reads of the cooldowns.
    pub(super) poll: Duration,
    /// Between the first two attempts to reach a server that is down, and between later ones.
    pub(super) probe: (Duration, Duration),
}

impl Default for Timing {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            decision: millis(30),
            response: millis(1000),
            lease: millis(30_000),
            poll: millis(500),
            probe: (millis(20), millis(1000)),
        }
    }
}

/// The shared state. Its worker ends when the last one who holds it is gone.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) server: Arc<Server>,
    pub(super) values: Arc<Values>,
    state: State,
    jobs: mpsc::UnboundedSender<Job>,
}

/// What the requests and the worker share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) timing: Timing,
    client: Client,
    connection: ArcSwap<ConnectionManager>,
    /// The start of all IDs of this process.
    process: u64,
    next: AtomicU64,
    down: AtomicBool,
    /// Wakes the worker when the server is down.
    pub(super) failed: Notify,
    /// Reservations that run, whose leases are renewed.
    pub(super) open: Mutex<HashMap<u64, Arc<Account>>>,
    /// Billionths of a dollar that were spent while the server was down, by key and period.
    pub(super) owed: Mutex<HashMap<(Arc<str>, i64), Owed>>,
    pub(super) cooldowns: ArcSwap<Cooldowns>,
    when_down: WhenDown,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owed {
    pub(super) nanodollars: i64,
    /// The time until the period is over, in milliseconds.
    pub(super) keep: u64,
}

/// What the script returns.
struct Reply {
    admitted: bool,
    epoch: u64,
    usage: Usage,
}

impl Store {
    pub(super) fn new(state: &State, timing: Timing) -> Result<Arc<Self>, Error> {
        const INVALID: Error = Error("the URL of the state is not redis://…, rediss://… or unix://…");
        let connection = state.url.expose().into_connection_info().map_err(|_| INVALID)?;
        if matches!(connection.addr(), ConnectionAddr::TcpTls { .. }) {
            // The client takes the provider of the process, which panics where there is none and several are compiled in.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let tcp = connection.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(connection.set_tcp_settings(tcp)).map_err(|_| INVALID)?;
        let connection = connect(&client, &timing).map_err(|_| INVALID)?;
        let values = Values::new(connect(&client, &timing).map_err(|_| INVALID)?);
        let (jobs, queue) = mpsc::unbounded_channel();
        let server = Arc::new(Server {
            timing,
            client,
            connection: ArcSwap::from_pointee(connection),
            process: fastrand::u64(..),
            next: AtomicU64::new(0),
            down: AtomicBool::new(false),
            failed: Notify::new(),
            open: Mutex::default(),
            owed: Mutex::default(),
            cooldowns: ArcSwap::default(),
            when_down: state.when_down,
        });
        tokio::spawn(work(server.clone(), queue));
        Ok(Arc::new(Self { server, values, state: state.clone(), jobs }))
    }

    pub(super) fn is_for(&self, state: &State) -> bool {
        self.state.url.expose() == state.url.expose() && self.state.when_down == state.when_down
    }

    pub(super) fn is_down(&self) -> bool {
        self.server.is_down()
    }

    pub(super) fn cooldowns(&self) -> Arc<Cooldowns> {
        self.server.cooldowns.load_full()
    }

    /// Tells the other processes, unless the server is down.
    pub(super) fn cooldown(&self, name: &str, duration: Duration) {
        if !self.is_down() {
            let _ = self.jobs.send(Job::Cooldown(name.into(), duration));
        }
    }

    /// Waits until everything before has reached the server.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let _ = self.jobs.send(Job::Flush(done));
        let _ = flushed.await;
    }

    /// Reserves in the server, or in this process if the server is down.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        account: &Arc<Account>,
        limits: &KeyLimits,
        estimate: Cost,
    ) -> Result<Reservation, Refusal> {
        if self.is_down() {
            return self.reserve_apart(account, limits, estimate);
        }
        let id = self.server.next.fetch_add(1, Ordering::Relaxed);
        let mut pending = Pending { store: self, account, limits, estimate, id, undecided: true };
        let mut call = pin!(self.decide(account, limits, estimate, id));
        let mut decision = tokio::time::timeout(self.server.timing.decision, &mut call).await.ok();
        if decision.is_none() {
            // A process that is busy may have the response already, and has not looked yet.
            tokio::task::yield_now().await;
            decision = call.now_or_never();
        }
        let failure = match decision {
            Some(Ok(reply)) => {
                pending.undecided = false;
                return pending.decided(&reply);
            }
            Some(Err(error)) => error.to_string(),
            None => format!("no response within {} ms", self.server.timing.decision.as_millis()),
        };
        self.server.fail(&failure);
        // The server may have admitted it, or may still do so: `pending` cancels that.
        self.reserve_apart(account, limits, estimate)
    }

    async fn decide(
        &self,
        account: &Account,
        limits: &KeyLimits,
        estimate: Cost,
        id: u64,
    ) -> RedisResult<Reply> {
        let names = Names::of(&account.name);
        let ended = account.ended().iter().take(ENDED).copied().collect::<Vec<_>>();
        let reply = self.server.reserve(&names, limits, estimate, id, &ended).await?;
        if reply.admitted || ended.is_empty() {
            return Ok(reply);
        }
        // It may fit in when the server knows what those have taken that have ended.
        let _ = tokio::time::timeout(self.server.timing.decision / 2, self.flush()).await;
        self.server.reserve(&names, limits, estimate, id, &[]).await
    }

    fn reserve_apart(
        self: &Arc<Self>,
        account: &Arc<Account>,
        limits: &KeyLimits,
        estimate: Cost,
    ) -> Result<Reservation, Refusal> {
        match self.server.when_down {
            WhenDown::Local => account.reserve(limits, estimate, Place::Apart(self.clone()), now()),
            WhenDown::Deny => Err(Refusal {
                limit: Limit::Unavailable,
                retry_after: Some(self.server.timing.probe.1),
                headers: RateHeaders::default(),
            }),
        }
    }

    fn settle(&self, settlement: Settlement) {
        let _ = self.jobs.send(Job::Settle(Box::new(settlement)));
    }

    /// Remembers what was spent while the server was down.
    pub(super) fn owe(&self, account: &Account, limits: &KeyLimits, actual: Cost, period: i64) {
        let Some(budget) = limits.budget.filter(|_| actual.nanodollars > 0) else { return };
        let now = now();
        let mut owed = self.server.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = owed.entry((account.name.clone(), period)).or_default();
        entry.nanodollars = entry.nanodollars.saturating_add(actual.nanodollars);
        entry.keep = CalendarPeriod::of(budget.per, now).remaining(now) / 1000 + 3_600_000;
    }
}

/// A reservation that the server has not decided on. If the client leaves meanwhile, or the server does not respond, it is
/// canceled.
struct Pending<'a> {
    store: &'a Arc<Store>,
    account: &'a Arc<Account>,
    limits: &'a KeyLimits,
    estimate: Cost,
    id: u64,
    undecided: bool,
}

impl Pending<'_> {
    fn decided(&self, reply: &Reply) -> Result<Reservation, Refusal> {
        let mut usage = self.account.usage();
        usage.learn(&reply.usage, now());
        if !reply.admitted {
            // The script and `refuses` have the same arithmetic; should they ever differ, the script decides.
            let (limit, retry_after) = reply
                .usage
                .refuses(self.limits, self.estimate)
                .unwrap_or((Limit::Unavailable, Some(Duration::from_secs(1))));
            return Err(Refusal { limit, retry_after, headers: reply.usage.headers(self.limits) });
        }
        usage.parallel += 1;
        drop(usage);
        self.store.server.open().insert(self.id, self.account.clone());
        let permit = Permit { store: self.store.clone(), id: self.id, epoch: reply.epoch };
        Ok(self.account.reservation(&reply.usage, self.limits, self.estimate, Place::Server(permit)))
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.undecided {
            let period = self.limits.budget.map_or(0, |budget| CalendarPeriod::of(budget.per, now()).start);
            let none = Cost { tokens: 0, nanodollars: 0 };
            let difference = Difference { requests: -1, ..difference(self.estimate, none) };
            let id = (self.store.server.id(self.id), 0);
            self.store.settle(Settlement::new(self.account, self.limits, id, difference, period));
        }
    }
}

/// A reservation in the server.
#[derive(Debug)]
pub(super) struct Permit {
    store: Arc<Store>,
    id: u64,
    epoch: u64,
}

impl Permit {
    pub(super) fn settle(
        self,
        account: &Arc<Account>,
        limits: &KeyLimits,
        estimate: Cost,
        actual: Cost,
        period: i64,
    ) {
        let server = &self.store.server;
        server.open().remove(&self.id);
        let id = (server.id(self.id), self.epoch);
        self.store.settle(Settlement::new(account, limits, id, difference(estimate, actual), period));
    }
}

fn difference(estimate: Cost, actual: Cost) -> Difference {
    Difference {
        requests: 0,
        tokens: (actual.tokens as i64).saturating_sub(estimate.tokens as i64),
        nanodollars: actual.nanodollars.saturating_sub(estimate.nanodollars),
    }
}

impl Server {
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// The server counts as down from now on.
    pub(super) fn fail(&self, failure: &str) {
        if !self.down.swap(true, Ordering::Relaxed) {
            let then = match self.when_down {
                WhenDown::Local => "until it responds, this process applies the limits on its own",
                WhenDown::Deny => "until it responds, requests of keys with limits are refused",
            };
            eprintln!("sagewire: the shared state at {} failed: {failure}; {then}", self.address());
            self.failed.notify_one();
        }
    }

    /// The server is back.
    pub(super) fn recover(&self) {
        if self.down.swap(false, Ordering::Relaxed) {
            eprintln!("sagewire: the shared state at {} responds again", self.address());
        }
    }

    /// Never with a password.
    fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Uses a new connection from now on.
    pub(super) fn reconnect(&self) {
        if let Ok(connection) = connect(&self.client, &self.timing) {
            self.connection.store(Arc::new(connection));
        }
    }

    pub(super) fn connection(&self) -> ConnectionManager {
        ConnectionManager::clone(&self.connection.load())
    }

    pub(super) fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Account>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ID of a reservation, unique among all processes.
    pub(super) fn id(&self, id: u64) -> [u8; 16] {
        (u128::from(self.process) << 64 | u128::from(id)).to_be_bytes()
    }

    /// Another ID.
    pub(super) fn new_id(&self) -> [u8; 16] {
        self.id(self.next.fetch_add(1, Ordering::Relaxed))
    }

    async fn reserve(
        &self,
        names: &Names,
        limits: &KeyLimits,
        estimate: Cost,
        id: u64,
        ended: &[[u8; 16]],
    ) -> RedisResult<Reply> {
        let calendar = limits.budget.map(|budget| CalendarPeriod::of(budget.per, now()));
        let calendar = calendar.unwrap_or(CalendarPeriod { previous: 0, start: 0, end: i64::from(i32::MAX) });
        let mut call = RESERVE.key(&names.usage);
        call.key(&names.permits).arg(&self.id(id)[..]).arg(self.timing.lease.as_micros() as u64);
        add_rates(&mut call, limits);
        call.arg(limits.parallel.map_or(-1, i64::from))
            .arg(limits.budget.map_or(-1, |budget| nanodollars(budget.dollars)))
            .arg(estimate.tokens)
            .arg(estimate.nanodollars)
            .arg(calendar.previous)
            .arg(calendar.start)
            .arg(calendar.end);
        for id in ended {
            call.arg(&id[..]);
        }
        type Fields = (bool, u64, u64, f64, f64, u32, i64, f64);
        let (admitted, epoch, reported, requests, tokens, parallel, period, spent): Fields =
            call.invoke_async(&mut self.connection()).await?;
        let usage = Usage { at: now(), requests, tokens, parallel, period, spent: spent as i64, reported };
        Ok(Reply { admitted, epoch, usage })
    }

    /// Whether the server executes the script, all its writes included.
    pub(super) async fn probe(&self) -> RedisResult<()> {
        let limits = KeyLimits::default();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let cost = Cost { tokens: 0, nanodollars: 0 };
        self.reserve(&Names::probe(), &limits, cost, id, &[]).await.map(|_| ())
    }
}

/// Adds the limits and the periods of requests and tokens.
pub(super) fn add_rates(call: &mut ScriptInvocation<'_>, limits: &KeyLimits) {
    for rate in [limits.requests, limits.tokens] {
        let Rate { amount, per } = rate.unwrap_or(Rate { amount: 0, per: Duration::ZERO });
        call.arg(rate.map_or(-1, |_| amount as i64)).arg((per.as_micros() as u64).max(1));
    }
}

fn connect(client: &Client, timing: &Timing) -> RedisResult<ConnectionManager> {
    // The worker retries.
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_response_timeout(Some(timing.response))
        .set_connection_timeout(Some(timing.response));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// The names of what the server keeps of a key. All of them are in one slot of a cluster.
pub(super) struct Names {
    pub(super) usage: String,
    pub(super) permits: String,
}

impl Names {
    pub(super) fn of(key: &str) -> Self {
        Self {
            usage: format!("sagewire:{{key:{key}}}:usage"),
            permits: format!("sagewire:{{key:{key}}}:permits"),
        }
    }

    fn probe() -> Self {
        Self { usage: "sagewire:{probe}:usage".into(), permits: "sagewire:{probe}:permits".into() }
    }
}
