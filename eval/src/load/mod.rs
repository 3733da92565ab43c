//! Load tests of endpoints: how long responses take at each level of concurrency or rate, and how they end.
//!
//! A [`Plan`] puts one load after the other on each of its targets, which take turns. Times are taken when bytes arrive, before
//! they are decoded. The definitions of the metrics are those of vLLM's benchmark; `docs/load-testing.md` has them.

mod call;
mod csv;
mod level;
mod prompts;
mod recorder;
pub mod results;
mod self_test;
mod slo;
mod table;
mod target;

use std::time::Duration;

use sagewire_transport::Retry;
use tokio::sync::watch;

pub use csv::to_csv;
pub use prompts::{InvalidPrompts, PROMPTS_MAX, Prompts};
pub use self_test::{PacedServer, measure_overhead};
pub use slo::{InvalidSlo, parse_duration};
pub use table::table;
pub use target::Target;

use self::results::{Level, Slo};

/// A load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// A closed loop: this many requests at a time, each followed by the next one.
    Concurrency(u64),
    /// An open loop: this many requests per second at random times, whether or not there are responses.
    Rate(f64),
}

/// The loads of a test.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The loads, one after the other.
    pub loads: Vec<Load>,
    /// Requests of each load; `None`: the duration decides.
    pub requests: Option<u64>,
    /// How long requests are sent. Those in progress are waited for.
    pub duration: Option<Duration>,
    /// Requests before each load that are not measured.
    pub warmup: u64,
    /// Retries.
    pub retry: Retry,
    /// Objectives.
    pub slo: Slo,
    /// The seed of the times of an open loop.
    pub seed: u64,
}

/// How far a level is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The name of the target.
    pub target: &'a str,
    /// Its load.
    pub load: Load,
    /// The counts so far. There are no latencies yet.
    pub level: &'a Level,
    /// The number of requests, unless the duration decides.
    pub total: Option<u64>,
    /// The time since the first request.
    pub elapsed: Duration,
    /// The time in which requests are sent, unless their number decides.
    pub duration: Option<Duration>,
}

impl Plan {
    /// Runs the test: each load on each target, before the next load. Needs a tokio runtime with its timers.
    ///
    /// Returns the levels of each target. When `interrupted` becomes true, requests in progress are aborted and not counted, and
    /// what is done is returned.
    pub async fn run(
        &self,
        targets: &[Target],
        mut interrupted: watch::Receiver<bool>,
        mut observe: impl FnMut(&Progress<'_>),
    ) -> Vec<results::Target> {
        let empty = |target: &Target| results::Target { name: target.name.clone(), levels: Vec::new() };
        let mut done: Vec<results::Target> = targets.iter().map(empty).collect();
        'test: for (position, load) in self.loads.iter().enumerate() {
            for (target, done) in targets.iter().zip(&mut done) {
                let (level, is_interrupted) =
                    level::run(self, target, *load, position, &mut interrupted, &mut observe).await;
                if level.requests > 0 || !is_interrupted {
                    done.levels.push(level);
                }
                if is_interrupted {
                    break 'test;
                }
            }
        }
        done
    }
}
