//! The settings of a running emulator, and the state that all requests share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::sync::Semaphore;

use crate::container::ContainerFormat;
use crate::limits::Limits;
use crate::log::{Log, Observer, Reporter};
use crate::pace::Slots;
use crate::playback::Alive;
use crate::record::Recorder;
use crate::script::{Rule, Script};
use crate::sessions::Sessions;
use crate::upstream::Upstream;

/// Most asynchronous requests that are processed at the same time. Further ones are rejected.
const JOBS_MAX: usize = 64;

/// The settings of an emulator.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) credentials: Credentials,
    pub(crate) script: Script,
    pub(crate) format: ContainerFormat,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) limits: Limits,
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// How long a stateful session lasts; `None` if the containers have none.
    pub(crate) session_lifetime: Option<Duration>,
    /// The local directory used in place of S3.
    pub(crate) storage: Option<PathBuf>,
    pub(crate) log: Arc<Log>,
    pub(crate) observer: Option<Observer>,
    pub(crate) reporter: Reporter,
    /// Names by which the emulator may be reached, besides those of this machine.
    pub(crate) allowed_hosts: Vec<String>,
}

/// The state that all requests share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) settings: Settings,
    /// Number of requests that each rule has matched.
    used: Vec<AtomicU64>,
    pub(crate) sessions: Sessions,
    pub(crate) slots: Arc<Slots>,
    /// Requests that were paced.
    paced: AtomicU64,
    /// Permits for asynchronous requests.
    pub(crate) jobs: Arc<Semaphore>,
    count: AtomicU64,
    pub(crate) alive: Alive,
}

impl Service {
    pub(crate) fn new(settings: Settings, alive: Alive) -> Self {
        let used = settings.script.rules.iter().map(|_| AtomicU64::new(0)).collect();
        let jobs = Arc::new(Semaphore::new(JOBS_MAX));
        let sessions = Sessions::new(settings.session_lifetime);
        let (slots, paced) = (Arc::default(), AtomicU64::new(0));
        Self { settings, used, sessions, slots, paced, jobs, count: AtomicU64::new(0), alive }
    }

    /// The first rule that matches and is not used up, counted as used once more.
    pub(crate) fn rule(&self, endpoint: &str) -> Option<&Rule> {
        let left = |rule: &Rule, used: &AtomicU64| {
            let Some(times) = rule.times else { return true };
            used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < times).then_some(used + 1))
                .is_ok()
        };
        let mut rules = self.settings.script.rules.iter().zip(&self.used);
        rules.find(|(rule, used)| rule.fits(endpoint) && left(rule, used)).map(|(rule, _)| rule)
    }

    /// The number of the next request that is paced, from 0.
    pub(crate) fn next_paced(&self) -> u64 {
        self.paced.fetch_add(1, Ordering::Relaxed)
    }

    /// The ID of the next request.
    pub(crate) fn next_request_id(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        format!("00000000-0000-4000-8000-{count:012x}")
    }
}
