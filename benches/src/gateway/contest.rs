//! Runs the subjects in turn, round after round.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::load::{self, Job, Seen};
use super::process::{self, Process};
use super::workload::{Subject, Workload};
use super::{Cost, Plan, Results, Row, mock};
use crate::tally::Fault;

/// How long each subject warms up, in seconds.
const WARM_UP: f64 = 0.5;
/// A pause before each measurement, in which connections come to rest.
const PAUSE: Duration = Duration::from_millis(150);

/// Measures the gateway and its bound.
///
/// # Errors
///
/// A process does not start, or there are no two cores.
pub fn measure(plan: &Plan) -> Result<Results, Fault> {
    let plan = *plan;
    // A thread of its own, because it is bound to a core.
    let contest = thread::spawn(move || {
        let [core, other] = process::cores()?;
        process::bind_to(core)?;
        process::runtime()?.block_on(run(&plan, other))
    });
    contest.join().map_err(|_| "the measurement panicked")?
}

/// One measurement.
struct Round {
    /// CPU time of a request, in microseconds.
    cpu: f64,
    first: (f64, f64),
    total: (f64, f64),
    foreign: f64,
    peak_mib: f64,
    seen: Seen,
}

struct Processes {
    bound: Process,
    gateway: Process,
}

impl Processes {
    fn of(&self, subject: Subject) -> &Process {
        if subject == Subject::Bound { &self.bound } else { &self.gateway }
    }

    async fn round(&self, subject: Subject, workload: Workload, seconds: f64) -> Result<Round, Fault> {
        tokio::time::sleep(PAUSE).await;
        let process = self.of(subject);
        let lasting = Duration::from_secs_f64(seconds);
        let job = Job::new(process.address, subject.door(), workload, lasting);
        let used = || (process::machine_cpu(), process::cpu("self"), process.cpu());
        let (start, before) = (Instant::now(), used());
        let mut seen = load::run(job).await?;
        let (elapsed, after) = (start.elapsed(), used());
        let cpu = after.2 - before.2;
        let foreign = (after.0 - before.0) - (after.1 - before.1) - cpu;
        let cores = thread::available_parallelism().map_or(2, usize::from).max(2);
        Ok(Round {
            cpu: cpu * 1e6 / seen.requests.max(1) as f64,
            first: percentiles(&mut seen.first),
            total: percentiles(&mut seen.total),
            foreign: (foreign / elapsed.as_secs_f64() / cores as f64).max(0.0),
            peak_mib: process.memory().1,
            seen,
        })
    }
}

async fn run(plan: &Plan, core: usize) -> Result<Results, Fault> {
    let (listener, service) = mock::bind().await?;
    tokio::spawn(mock::serve(listener));
    let start = |subject| Process::start(subject, service, core);
    let gateway = Subject::all().last().unwrap_or(Subject::Bound);
    let processes = Processes { bound: start(Subject::Bound)?, gateway: start(gateway)? };
    let idle_mib = (processes.gateway.memory().0, processes.bound.memory().0);
    let mut rows = Vec::new();
    for workload in plan.workloads {
        rows.extend(contest(plan, *workload, &processes).await?);
    }
    Ok(Results { rows, idle_mib })
}

async fn contest(plan: &Plan, workload: Workload, processes: &Processes) -> Result<Vec<Row>, Fault> {
    let mut rounds: Vec<(Subject, Vec<Round>)> = Subject::all()
        .filter(|subject| workload.measures(*subject))
        .map(|subject| (subject, Vec::new()))
        .collect();
    let (count, most) = (rounds.len(), workload.rounds(plan.rounds));
    for (subject, _) in rounds.iter().filter(|_| most > 1) {
        processes.round(*subject, workload, WARM_UP).await?;
    }
    for round in 0..most {
        for turn in 0..count {
            // Each subject comes first in some round.
            let (subject, rounds) = &mut rounds[(turn + round) % count];
            rounds.push(processes.round(*subject, workload, workload.seconds).await?);
        }
    }
    let bound: Vec<(f64, f64)> = rounds
        .first()
        .into_iter()
        .flat_map(|(_, rounds)| rounds.iter().map(|r| (r.cpu, latency(workload, r))))
        .collect();
    let row = |(subject, rounds): (Subject, Vec<Round>)| {
        let ratio = |own: fn(Workload, &Round) -> f64, of: fn(&(f64, f64)) -> f64| {
            median(rounds.iter().zip(&bound).map(|(round, bound)| own(workload, round) / of(bound)))
        };
        let mut cost = cost(workload, &rounds);
        cost.cpu_ratio = ratio(|_, round| round.cpu, |bound| bound.0);
        cost.latency_ratio = ratio(latency, |bound| bound.1);
        Row { workload, subject, cost }
    };
    Ok(rounds.into_iter().map(row).collect())
}

fn cost(workload: Workload, rounds: &[Round]) -> Cost {
    let median = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
    let mut failures = BTreeMap::new();
    for (fault, count) in rounds.iter().flat_map(|round| &round.seen.failures) {
        *failures.entry(fault.clone()).or_default() += count;
    }
    Cost {
        cpu: median(|round| round.cpu),
        first: workload
            .response
            .streams()
            .then(|| (median(|round| round.first.0), median(|round| round.first.1))),
        total: (median(|round| round.total.0), median(|round| round.total.1)),
        requests: rounds.iter().map(|round| round.seen.requests).sum(),
        failures,
        stalled: rounds.iter().map(|round| round.seen.stalled).sum(),
        foreign: median(|round| round.foreign),
        peak_mib: rounds.iter().map(|round| round.peak_mib).fold(0.0, f64::max),
        ..Cost::default()
    }
}

/// The latency that a user of this workload notices, at the 50th percentile.
fn latency(workload: Workload, round: &Round) -> f64 {
    if workload.response.streams() { round.first.0 } else { round.total.0 }
}

/// The 50th and the 99th percentile, in microseconds.
fn percentiles(nanoseconds: &mut [u64]) -> (f64, f64) {
    nanoseconds.sort_unstable();
    let at = |percent: usize| {
        let index = (nanoseconds.len() * percent).div_ceil(100).saturating_sub(1);
        nanoseconds.get(index).map_or(f64::NAN, |value| *value as f64 / 1e3)
    };
    (at(50), at(99))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
