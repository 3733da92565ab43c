//! The gateway under load, as a process of its own on a core of its own, compared with the least that a gateway in front of
//! SageMaker can do.
//!
//! The client and the mocked service share one core, the gateway has the other. The measure is the CPU time of the gateway's
//! process, kernel included, as a ratio to the bound's in the same round: absolute figures depend on the machine, and on who
//! else uses it.

#[cfg(all(feature = "gateway", target_os = "linux"))]
mod bound;
#[cfg(all(feature = "gateway", target_os = "linux"))]
mod contest;
#[cfg(all(feature = "gateway", target_os = "linux"))]
mod load;
#[cfg(all(feature = "gateway", target_os = "linux"))]
mod mock;
#[cfg(all(feature = "gateway", target_os = "linux"))]
mod process;
#[cfg(all(feature = "gateway", target_os = "linux"))]
mod reader;
#[cfg(all(feature = "gateway", target_os = "linux"))]
mod server;
mod workload;

use std::collections::BTreeMap;

#[cfg(all(feature = "gateway", target_os = "linux"))]
pub use self::contest::measure;
#[cfg(all(feature = "gateway", target_os = "linux"))]
pub use self::process::child;
pub use self::workload::{Door, Subject, Workload};

/// The share by which a ratio may exceed what is allowed: rounds are few and short where ratios are checked.
const SLACK: f64 = 0.15;
/// The share of the machine that other processes may use. With more of it, ratios are not checked.
const FOREIGN_MAX: f64 = 0.1;

/// The size of the measurement.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds in which all subjects take their turn.
    pub rounds: usize,
    /// The workloads.
    pub workloads: &'static [Workload],
    /// Whether it is a fault to exceed the ratios that are allowed.
    pub checks_ratios: bool,
}

impl Plan {
    /// All workloads, or the four of the quick run.
    pub fn new(quick: bool) -> Self {
        match quick {
            true => Self { rounds: 3, workloads: &Workload::QUICK, checks_ratios: true },
            false => Self { rounds: 5, workloads: &Workload::ALL, checks_ratios: false },
        }
    }
}

/// The result of one subject with one workload: medians over the rounds, times in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// CPU time of a request.
    pub cpu: f64,
    /// The same as a ratio to the bound's.
    pub cpu_ratio: f64,
    /// From the request to the first event with text, at the 50th and the 99th percentile. Streams only.
    pub first: Option<(f64, f64)>,
    /// From the request to the end of the response, at the 50th and the 99th percentile.
    pub total: (f64, f64),
    /// The first event, or the whole response if it is not a stream, as a ratio to the bound's: 50th percentile.
    pub latency_ratio: f64,
    /// Requests of all rounds.
    pub requests: u64,
    /// Requests that failed or were incomplete, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Streams with a gap of ten times their pace, or of a second if they have none.
    pub stalled: u64,
    /// The share of the machine that other processes used.
    pub foreign: f64,
    /// The largest amount of memory that the process has had so far, in MiB.
    pub peak_mib: f64,
}

/// The result of one subject with one workload.
#[derive(Clone, Debug)]
pub struct Row {
    /// The workload.
    pub workload: Workload,
    /// The subject.
    pub subject: Subject,
    /// The result.
    pub cost: Cost,
}

/// All results.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// A row for each workload and subject.
    pub rows: Vec<Row>,
    /// Memory of the gateway and of the bound before the first request, in MiB.
    pub idle_mib: (f64, f64),
}

impl Row {
    /// The most CPU time, as a ratio to the bound's.
    pub fn goal(&self) -> Option<f64> {
        match self.subject {
            Subject::Bound => None,
            Subject::Gateway(door) => self.workload.cpu_goal(door),
        }
    }

    /// What is wrong with this row: requests without a complete response and, unless the machine was busy with others, stalls, and
    /// too much CPU time if `checks_ratios`.
    pub fn fault(&self, checks_ratios: bool) -> Option<String> {
        let Cost { cpu_ratio, failures, stalled, foreign, .. } = &self.cost;
        let name = format!("{}, {}", self.workload.name, self.subject.name());
        let is_quiet = *foreign <= FOREIGN_MAX;
        if !failures.is_empty() || (*stalled > 0 && is_quiet) {
            return Some(format!("{name}: {stalled} stalled, failed: {failures:?}"));
        }
        let Subject::Gateway(door) = self.subject else { return None };
        let limit = self.workload.cpu_allowed(door).filter(|_| checks_ratios && is_quiet)? * (1.0 + SLACK);
        // NaN is no result.
        let fits = *cpu_ratio <= limit;
        (!fits).then(|| {
            format!("{name}: {cpu_ratio:.2} times the CPU time of the bound, allowed are {limit:.2}")
        })
    }
}

/// Measures nothing.
///
/// # Errors
///
/// Always: this was built without the feature `gateway`, or not for Linux.
#[cfg(not(all(feature = "gateway", target_os = "linux")))]
pub fn measure(_: &Plan) -> Result<Results, crate::tally::Fault> {
    Err("this was built without the feature `gateway`, or not for Linux".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: &str, subject: Subject, cpu_ratio: f64) -> Row {
        let workload = *Workload::ALL.iter().find(|found| found.name == workload).unwrap();
        Row { workload, subject, cost: Cost { cpu_ratio, ..Cost::default() } }
    }

    #[test]
    fn ratios_have_slack_and_failures_have_none() {
        let gateway = Subject::Gateway(Door::OpenAi);
        assert_eq!(row("stream-c16", gateway, 1.32).fault(true), None);
        assert!(row("stream-c16", gateway, 1.33).fault(true).is_some());
        assert!(row("stream-c16", gateway, f64::NAN).fault(true).is_some());
        assert_eq!(row("stream-c16", gateway, 1.33).fault(false), None);
        let mut busy = row("stream-c16", gateway, 1.33);
        busy.cost.foreign = 0.11;
        assert_eq!(busy.fault(true), None);
        assert_eq!(row("unary-c16", Subject::Bound, 9.0).fault(true), None);
        let mut stalled = row("paced-c32", gateway, 1.0);
        stalled.cost.stalled = 1;
        assert!(stalled.fault(false).is_some());
    }
}
