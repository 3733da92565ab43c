//! Puts one load on one target.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as blocking};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::call::{Measurement, measure};
use super::recorder::Recorder;
use super::results::{Level, Schedule};
use super::target::Target;
use super::{Load, Plan, Progress};

/// Requests of an open loop at the same time, at most. Beyond them, the client does not keep the schedule, and says so.
const IN_FLIGHT_MAX: usize = 10_000;
/// How often progress is reported.
const TICK: Duration = Duration::from_millis(100);

/// A level in progress, which its requests share.
struct Running {
    target: Target,
    retry: sagewire_transport::Retry,
    recorder: Mutex<Recorder>,
    /// The number of the next request in the target's list of prompts.
    next: AtomicU64,
    /// Requests that may still be started.
    left: AtomicU64,
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
    /// When no more requests are started.
    deadline: Option<Instant>,
}

/// Runs a level. Returns its results, and whether it was interrupted: requests in progress are not counted then.
pub(super) async fn run(
    plan: &Plan,
    target: &Target,
    load: Load,
    position: usize,
    interrupted: &mut watch::Receiver<bool>,
    observe: &mut dyn FnMut(&Progress<'_>),
) -> (Level, bool) {
    let mut level = Level::default();
    let users = match load {
        Load::Concurrency(users) => {
            level.concurrency = Some(users);
            users
        }
        Load::Rate(rate) => {
            level.rate = Some(rate);
            level.schedule = Some(Schedule::default());
            1
        }
    };
    let first = target.first_request(position, plan.loads.len());
    // Warm-up opens connections and fills caches, at the concurrency of the level.
    let warmup = Arc::new(Running::new(plan, target, level.clone(), first, plan.warmup));
    if is_interrupted(&mut closed(&warmup, users.min(plan.warmup)), interrupted, || ()).await {
        return (level, true);
    }
    let requests = plan.requests.unwrap_or(u64::MAX);
    let mut running = Running::new(plan, target, level, first + plan.warmup, requests);
    let start = Instant::now();
    running.deadline = plan.duration.map(|duration| start + duration);
    let running = Arc::new(running);
    let mut tasks = match load {
        Load::Concurrency(users) => closed(&running, users),
        Load::Rate(rate) => open(&running, rate, start, plan.seed),
    };
    let report = || {
        observe(&Progress {
            target: target.name(),
            load,
            level: running.lock().level(),
            total: plan.requests,
            elapsed: start.elapsed(),
            duration: plan.duration,
        });
    };
    let is_interrupted = is_interrupted(&mut tasks, interrupted, report).await;
    let max_in_flight = running.max_in_flight.load(Ordering::Relaxed);
    let level = running.lock().finish(start, Instant::now(), max_in_flight);
    (level, is_interrupted)
}

/// Waits until all tasks have ended, or aborts them if the test is interrupted. Calls `report` in the meantime.
async fn is_interrupted(
    tasks: &mut JoinSet<()>,
    interrupted: &mut watch::Receiver<bool>,
    mut report: impl FnMut(),
) -> bool {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            biased;
            // Without a sender, nothing interrupts.
            Ok(_) = interrupted.wait_for(|interrupted| *interrupted) => {
                tasks.shutdown().await;
                return true;
            }
            ended = tasks.join_next() => match ended {
                Some(ended) => check(ended),
                None => {
                    report();
                    return false;
                }
            },
            _ = tick.tick() => report(),
        }
    }
}

/// Passes on a panic of a task.
fn check(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// A closed loop: each of `concurrency` users sends a request after the response to the previous one.
fn closed(running: &Arc<Running>, concurrency: u64) -> JoinSet<()> {
    let mut users = JoinSet::new();
    for _ in 0..concurrency {
        let running = Arc::clone(running);
        users.spawn(async move {
            while running.may_start() {
                running.request(Instant::now()).await;
            }
        });
    }
    users
}

/// An open loop: requests are sent at random times with this rate, whether or not there are responses (a Poisson process).
fn open(running: &Arc<Running>, rate: f64, start: Instant, seed: u64) -> JoinSet<()> {
    let (send, mut due) = mpsc::channel(IN_FLIGHT_MAX);
    let (alive, ended) = blocking::channel::<()>();
    let schedule = Arc::clone(running);
    // A thread of its own: the timers of the runtime have a resolution of a millisecond.
    std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut at = start;
        loop {
            at += interval(&mut random, rate);
            if schedule.deadline.is_some_and(|deadline| at >= deadline) || !schedule.take() {
                return;
            }
            let wait = at.saturating_duration_since(Instant::now());
            let is_over = ended.recv_timeout(wait) == Err(blocking::RecvTimeoutError::Disconnected);
            if is_over || send.blocking_send(at).is_err() {
                return;
            }
        }
    });
    let mut tasks = JoinSet::new();
    let running = Arc::clone(running);
    tasks.spawn(async move {
        // Ends the thread when the test is interrupted.
        let _alive = alive;
        let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let mut requests = JoinSet::new();
        while let Some(at) = due.recv().await {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
            running.lock().delayed(Instant::now().saturating_duration_since(at));
            let running = Arc::clone(&running);
            requests.spawn(async move {
                running.request(at).await;
                drop(permit);
            });
            while let Some(ended) = requests.try_join_next() {
                check(ended);
            }
        }
        while let Some(ended) = requests.join_next().await {
            check(ended);
        }
    });
    tasks
}

/// The time to the next arrival of a Poisson process.
fn interval(random: &mut fastrand::Rng, rate: f64) -> Duration {
    // 1 - x, because the logarithm of 0 is infinite.
    Duration::try_from_secs_f64(-(1.0 - random.f64()).ln() / rate).unwrap_or(Duration::MAX / 4)
}

impl Running {
    fn new(plan: &Plan, target: &Target, level: Level, next: u64, left: u64) -> Self {
        Self {
            target: target.clone(),
            retry: plan.retry,
            recorder: Mutex::new(Recorder::new(plan.slo, level)),
            next: AtomicU64::new(next),
            left: AtomicU64::new(left),
            in_flight: AtomicU64::new(0),
            max_in_flight: AtomicU64::new(0),
            deadline: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one of the requests that are left.
    fn take(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// Whether another request may be started now.
    fn may_start(&self) -> bool {
        self.deadline.is_none_or(|deadline| Instant::now() < deadline) && self.take()
    }

    /// Sends a request that is due at `start`, and records its measurement.
    async fn request(&self, start: Instant) {
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        let measurement = self.measure(start).await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.lock().add(&measurement);
    }

    async fn measure(&self, start: Instant) -> Measurement {
        let target = &self.target;
        let request = target.request(self.next.fetch_add(1, Ordering::Relaxed));
        measure(&*target.transport, &self.retry, request, &target.options, start, &mut |_, _| ()).await
    }
}
