//! The results of a load test, as reports show them and as they are stored.
//!
//! Latencies are in milliseconds. Only complete responses have latencies: a response that broke off early is never a fast one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The results of a load test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// The version of this format: 1.
    pub version: u32,
    /// When the test began, as RFC 3339.
    pub timestamp: String,
    /// The test was interrupted: the last level of a target may be incomplete, and levels may be missing.
    #[serde(default)]
    pub interrupted: bool,
    /// What was requested.
    pub settings: Settings,
    /// The endpoints and servers, in the order of the command line.
    pub targets: Vec<Target>,
    /// What the client itself adds to latencies, if that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Overhead>,
}

/// What the client itself adds to latencies, in milliseconds: measured with a server on the same machine, in a process of its own,
/// that sends the time with each token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// Responses at the same time.
    pub streams: u64,
    /// Tokens per second of each response.
    pub tokens_per_second: f64,
    /// Tokens that were measured.
    pub tokens: u64,
    /// The 99th percentile of the times between two tokens when they were sent.
    pub itl_p99_sent: f64,
    /// The same when they were measured.
    pub itl_p99_measured: f64,
    /// The difference of the two.
    pub itl_p99_distortion: f64,
    /// The median of the times from sending a token to measuring it.
    pub delay_p50: f64,
    /// Their 99th percentile.
    pub delay_p99: f64,
}

/// What was requested.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Requests of each level; `None` if the time decides.
    pub requests: Option<u64>,
    /// Seconds during which requests of a level are sent; `None` if their number decides.
    pub duration_s: Option<f64>,
    /// Requests before each level that are not measured.
    pub warmup: u64,
    /// Retries of a request. Requests that were retried are counted in [`Level::retried`].
    pub retries: u64,
    /// The seed of synthetic prompts and of the arrivals of requests.
    pub seed: u64,
    /// Where the prompts come from: `synthetic`, or the name of a file.
    pub prompts: String,
    /// Words of a synthetic prompt, which are about its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// The limit on the tokens of a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// The objectives of [`Level::goodput`].
    #[serde(default, skip_serializing_if = "Slo::is_empty")]
    pub slo: Slo,
}

/// Service level objectives: the longest latencies of a good response, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// Time to first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    /// Time per output token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpot: Option<f64>,
    /// Mean inter-token latency of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itl: Option<f64>,
    /// End-to-end latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e2el: Option<f64>,
}

/// An endpoint or a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The name of the endpoint, or the URL.
    pub name: String,
    /// The levels, in the order of the command line.
    pub levels: Vec<Level>,
}

/// A target under one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Requests at a time, of a closed loop: each response is followed by the next request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// Requests per second, of an open loop: requests are sent whether or not there are responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Requests that have ended.
    pub requests: u64,
    /// Seconds from the start of the first request to the end of the last one.
    pub duration_s: f64,
    /// Time to first token; `None` if no complete response had one.
    pub ttft: Option<Latency>,
    /// Time per output token after the first one, a mean of each response; `None` without responses of two tokens.
    pub tpot: Option<Latency>,
    /// Inter-token latency: the times between two events with output, of all responses.
    pub itl: Option<Latency>,
    /// End-to-end latency.
    pub e2el: Option<Latency>,
    /// How the requests ended. The sum is the number of requests.
    pub endings: Endings,
    /// The requests that failed, by the name that the service, the model or the connection has for the error. The sum is
    /// that of all endings but the complete ones.
    pub errors: BTreeMap<String, u64>,
    /// Requests that were sent more than once.
    pub retried: u64,
    /// Attempts that the service or the container has refused because there were too many.
    pub throttles: u64,
    /// Tokens of the prompts of complete responses, if the container counts them.
    pub input_tokens: u64,
    /// Tokens of complete responses: those that the container has counted, else the events with output.
    pub output_tokens: u64,
    /// Complete responses whose tokens the container did not count: their events are counted instead.
    pub counted_by_events: u64,
    /// Complete responses without any output. They have no time to first token.
    pub empty: u64,
    /// Complete responses per second.
    pub request_throughput: f64,
    /// Tokens of complete responses per second.
    pub output_token_throughput: f64,
    /// Complete responses per second that meet all objectives; `None` without objectives.
    pub goodput: Option<f64>,
    /// Requests at the same time, at most.
    pub max_in_flight: u64,
    /// How well the client kept the times at which requests have to be sent; `None` for a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

/// How requests ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endings {
    /// The response is complete.
    pub complete: u64,
    /// The response ended early: it has no end, or its connection broke, or a timeout expired.
    pub truncated: u64,
    /// The model or the service reported a failure within the response.
    pub failed: u64,
    /// The response cannot be decoded, or is larger than a limit.
    pub corrupt: u64,
    /// The service responded with an error instead of a response.
    pub refused: u64,
    /// There was no response: no connection, or none in time.
    pub unreachable: u64,
}

/// A distribution of latencies, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The number of values.
    pub count: u64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The upper bound of each bucket that is not empty, in milliseconds, and the number of values in it. Each bucket is 10 % wider
    /// than the one before.
    pub histogram: Vec<(f64, u64)>,
}

/// How well the client kept the times at which requests have to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Requests that were sent more than 10 milliseconds after their time. Latencies count from their time.
    pub late: u64,
    /// The longest delay, in milliseconds.
    pub max_delay_ms: f64,
}

impl LoadReport {
    /// A report of a test that begins now, without results.
    pub fn new(settings: Settings) -> Self {
        let now = OffsetDateTime::now_utc().format(&Rfc3339);
        let timestamp = now.expect("the current year has four digits");
        Self { version: 1, timestamp, settings, ..Self::default() }
    }
}

impl Slo {
    /// There are no objectives.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Endings {
    /// The names and counts, complete ones first.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("complete", self.complete),
            ("truncated", self.truncated),
            ("failed", self.failed),
            ("corrupt", self.corrupt),
            ("refused", self.refused),
            ("unreachable", self.unreachable),
        ]
        .into_iter()
    }
}
