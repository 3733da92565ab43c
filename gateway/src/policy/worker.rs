//! The task behind the shared state: it settles, renews leases, exchanges cooldowns, and finds out when a server that is down is
//! back. Requests never wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redis::{RedisResult, Script};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::Account;
use super::store::{Names, Owed, Server, add_rates};
use crate::config::KeyLimits;

static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settle.lua")));
static CHARGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("charge.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("renew.lua")));
static COOLDOWN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("cooldown.lua")));

/// The name of the sorted set of cooldowns.
const COOLDOWNS: &str = "sagewire:cooldowns";

/// Jobs that are sent at once.
const BATCH: usize = 256;

/// Failed attempts to reach the server after which a new connection is made: the old one may be dead without a sign of it.
const ATTEMPTS: u32 = 4;

/// What the worker has to do.
#[derive(Debug)]
pub(super) enum Job {
    Settle(Box<Settlement>),
    Cooldown(Box<str>, Duration),
    Flush(oneshot::Sender<()>),
}

/// The end of a reservation.
#[derive(Debug)]
pub(super) struct Settlement {
    account: Arc<Account>,
    limits: KeyLimits,
    id: [u8; 16],
    /// When the server started to count, as it said when it reserved: if it has lost its data since, the estimate is lost
    /// with it. 0: not known.
    epoch: u64,
    difference: Difference,
    /// The period of the budget in which the estimate was made.
    period: i64,
}

/// What is added to the estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    pub(super) requests: i64,
    pub(super) tokens: i64,
    pub(super) nanodollars: i64,
}

/// Endpoints that are left out, by name, and until when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cooldowns(HashMap<Box<str>, Instant>);

impl Cooldowns {
    /// Until when an endpoint is left out.
    pub(crate) fn until(&self, name: &str) -> Option<Instant> {
        self.0.get(name).copied()
    }
}

/// What was spent while the server was down, on its way: the ID makes it count once.
struct Charge {
    id: [u8; 16],
    name: Arc<str>,
    period: i64,
    owed: Owed,
    attempts: u32,
}

/// Works until the last [`super::store::Store`] is gone and everything is done.
pub(super) async fn work(server: Arc<Server>, mut queue: mpsc::UnboundedReceiver<Job>) {
    let mut worker = Worker { server: server.clone(), jobs: VecDeque::new(), charges: Vec::new() };
    let mut renew = interval(server.timing.lease / 3);
    let mut poll = interval(server.timing.poll);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut received = Vec::with_capacity(BATCH);
    loop {
        if server.is_down() && !worker.recover(&queue).await {
            return;
        }
        let done = tokio::select! {
            biased;
            () = server.failed.notified() => Ok(()),
            count = queue.recv_many(&mut received, BATCH) => {
                if count == 0 {
                    return;
                }
                worker.jobs.extend(received.drain(..).map(|job| (job, 0)));
                worker.execute().await
            }
            _ = renew.tick() => worker.renew().await,
            _ = poll.tick() => worker.poll().await,
        };
        if let Err(error) = done {
            server.fail(&error.to_string());
        }
    }
}

struct Worker {
    server: Arc<Server>,
    /// What was received and is not done. No more than a batch: while the server is down, nothing is received.
    jobs: VecDeque<(Job, u32)>,
    charges: Vec<Charge>,
}

impl Worker {
    /// Waits until the server is back, and tells it what has happened meanwhile. `false`: nobody waits any more.
    async fn recover(&mut self, queue: &mpsc::UnboundedReceiver<Job>) -> bool {
        let (mut delay, longest) = self.server.timing.probe;
        let mut attempts = 0;
        loop {
            if queue.is_closed() {
                return false;
            }
            if self.server.probe().await.is_ok() && self.catch_up().await.is_ok() {
                self.server.recover();
                return true;
            }
            attempts += 1;
            if attempts % ATTEMPTS == 0 {
                self.server.reconnect();
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(longest);
        }
    }

    async fn catch_up(&mut self) -> RedisResult<()> {
        self.renew().await?;
        self.execute().await?;
        self.charge().await
    }

    /// Executes what was received, all of it at once. What fails stays, and is repeated: a settlement counts once.
    async fn execute(&mut self) -> RedisResult<()> {
        let server = &self.server;
        let results = join_all(self.jobs.iter().map(|(job, _)| async move {
            match job {
                Job::Settle(settlement) => settlement.send(server).await,
                Job::Cooldown(name, duration) => cooldowns(server, Some((name, *duration))).await.map(|_| ()),
                Job::Flush(_) => Ok(()),
            }
        }))
        .await;
        let mut result = Ok(());
        let mut flushed = Vec::new();
        for (outcome, (job, attempts)) in results.into_iter().zip(std::mem::take(&mut self.jobs)) {
            match (outcome, job) {
                (Ok(()), Job::Flush(done)) => flushed.push(done),
                (Ok(()), _) => {}
                // The server executes the scripts, but not this one.
                (Err(error), job) if attempts == ATTEMPTS => {
                    eprintln!("sagewire: the shared state refuses {job:?}: {error}");
                }
                (Err(error), job) => {
                    result = Err(error);
                    self.jobs.push_back((job, attempts + 1));
                }
            }
        }
        for done in flushed {
            match result {
                Ok(()) => drop(done.send(())),
                Err(_) => self.jobs.push_back((Job::Flush(done), 0)),
            }
        }
        result
    }

    /// Renews the leases of all reservations that run.
    async fn renew(&self) -> RedisResult<()> {
        let server = &self.server;
        let mut by_key: HashMap<Arc<str>, Vec<[u8; 16]>> = HashMap::new();
        for (id, account) in &*server.open() {
            by_key.entry(account.name.clone()).or_default().push(server.id(*id));
        }
        for (name, ids) in by_key {
            for ids in ids.chunks(BATCH) {
                let mut call = RENEW.key(Names::of(&name).permits);
                call.arg(server.timing.lease.as_micros() as u64);
                for id in ids {
                    call.arg(&id[..]);
                }
                match call.invoke_async::<i64>(&mut server.connection()).await {
                    // What the server refuses of one key does not keep it from renewing the others.
                    Err(error) if error.is_io_error() => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Reads the cooldowns of all processes. Also charges what requests have spent that started while the server was down.
    async fn poll(&mut self) -> RedisResult<()> {
        self.server.cooldowns.store(Arc::new(cooldowns(&self.server, None).await?));
        self.charge().await
    }

    /// Charges what was spent while the server was down.
    async fn charge(&mut self) -> RedisResult<()> {
        if self.charges.is_empty() {
            let owed = std::mem::take(&mut *self.server.owed.lock().unwrap_or_else(PoisonError::into_inner));
            let charges = owed.into_iter().map(|((name, period), owed)| {
                let id = self.server.new_id();
                Charge { id, name, period, owed, attempts: 0 }
            });
            self.charges = charges.collect();
        }
        while let Some(charge) = self.charges.last_mut() {
            if let Err(error) = charge.send(&self.server).await {
                charge.attempts += 1;
                if charge.attempts <= ATTEMPTS {
                    return Err(error);
                }
                let (name, dollars) = (&charge.name, charge.owed.nanodollars as f64 / 1e9);
                eprintln!(
                    "sagewire: the shared state does not count {dollars} USD of the key {name}: {error}"
                );
            }
            self.charges.pop();
        }
        Ok(())
    }
}

impl Charge {
    async fn send(&self, server: &Server) -> RedisResult<()> {
        let names = Names::of(&self.name);
        let mut mark = names.usage.clone().into_bytes();
        mark.extend_from_slice(&self.id);
        let mut call = CHARGE.key(names.usage);
        call.key(mark).arg(self.owed.nanodollars).arg(self.period).arg(self.owed.keep);
        call.invoke_async::<i64>(&mut server.connection()).await.map(|_| ())
    }
}

impl Settlement {
    /// The end of a reservation, which the next call for this key tells the server if it comes first.
    pub(super) fn new(
        account: &Arc<Account>,
        limits: &KeyLimits,
        (id, epoch): ([u8; 16], u64),
        difference: Difference,
        period: i64,
    ) -> Self {
        account.ended().push(id);
        Self { account: account.clone(), limits: *limits, id, epoch, difference, period }
    }

    async fn send(&self, server: &Server) -> RedisResult<()> {
        let names = Names::of(&self.account.name);
        let mut call = SETTLE.key(names.usage);
        call.key(names.permits).arg(&self.id[..]).arg(self.epoch);
        add_rates(&mut call, &self.limits);
        let Difference { requests, tokens, nanodollars } = self.difference;
        call.arg(requests).arg(tokens).arg(nanodollars).arg(self.period);
        call.invoke_async::<i64>(&mut server.connection()).await.map(|_| ())
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let mut ended = self.account.ended();
        if let Some(index) = ended.iter().position(|id| *id == self.id) {
            ended.swap_remove(index);
        }
    }
}

/// Reads the cooldowns, after one was added.
async fn cooldowns(server: &Server, added: Option<(&str, Duration)>) -> RedisResult<Cooldowns> {
    let mut call = COOLDOWN.key(COOLDOWNS);
    if let Some((name, duration)) = added {
        call.arg(name).arg(duration.as_micros() as u64);
    }
    let entries: Vec<(String, f64)> = call.invoke_async(&mut server.connection()).await?;
    let now = Instant::now();
    let until = |micros: f64| now + Duration::from_micros(micros as u64);
    Ok(Cooldowns(entries.into_iter().map(|(name, micros)| (name.into(), until(micros))).collect()))
}
