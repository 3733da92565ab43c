//! Runs the callers in turn, round after round.

use std::time::Duration;

use cpu_time::ThreadTime;
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use super::answer::{Answer, framed};
use super::callers::{Caller, Heard};
use super::{Cost, Plan, Row, Way, server};
use crate::measure::median;
use crate::openai_stream::Stream;
use crate::script::Script;
use crate::subjects::label;
use crate::tally::{self, Fault, Tally};
use crate::workload::Expected;

/// Timeout of a call. The longest one takes a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures all of them.
///
/// # Errors
///
/// The network fails.
pub fn measure(plan: &Plan) -> Result<Vec<Row>, Fault> {
    let stream = Script::new(0x5a9e_0007).plain(plan.tokens + 4);
    let truth = Truth::of(&stream);
    let mut rows = Vec::new();
    for way in Way::ALL {
        let address = server::serve(Answer::new(way, &stream))?;
        let contests: Result<Vec<_>, _> = Caller::all(address)?.into_iter().map(Contest::new).collect();
        let mut contests = contests?;
        contests.iter_mut().for_each(|contest| contest.prove(&truth));
        for _ in 0..plan.calls {
            contests.iter_mut().for_each(|contest| contest.round(&truth));
        }
        rows.extend(contests.into_iter().map(|contest| contest.row(way, &truth)));
    }
    Ok(rows)
}

/// The expected result.
struct Truth {
    text: Expected,
    /// Bytes of the payloads, and of the frames.
    parts_len: u64,
    frames_len: u64,
}

impl Truth {
    fn of(stream: &Stream) -> Self {
        let Stream { events, deltas } = stream;
        let len = |pieces: &[Vec<u8>]| pieces.iter().map(|piece| piece.len() as u64).sum();
        let parts: Vec<Vec<u8>> = events.iter().map(|event| event.clone().into_bytes()).collect();
        let frames: Vec<Vec<u8>> = events.iter().map(|event| framed(event)).collect();
        Self { text: Expected::of_texts(deltas.iter()), parts_len: len(&parts), frames_len: len(&frames) }
    }

    fn tokens(&self) -> f64 {
        self.text.timed.events as f64
    }
}

/// A subject and its results so far.
struct Contest {
    caller: Caller,
    runtime: Runtime,
    times: Vec<Duration>,
    firsts: Vec<Duration>,
    fault: Option<String>,
}

impl Contest {
    fn new(caller: Caller) -> Result<Self, Fault> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { caller, runtime, times: Vec::new(), firsts: Vec::new(), fault: None })
    }

    /// Calls once and hashes every byte. The connection is open afterwards.
    fn prove(&mut self, truth: &Truth) {
        if let Err(fault) = self.call(Tally::thorough(), truth.text.thorough, truth) {
            self.fault = Some(fault.to_string());
        }
    }

    /// Calls twice: the first call warms the caches after the other subjects ran.
    fn round(&mut self, truth: &Truth) {
        let warmed = self.call(Tally::timed(), truth.text.timed, truth);
        match warmed.and_then(|_| self.call(Tally::timed(), truth.text.timed, truth)) {
            Ok((time, first)) => {
                self.times.push(time);
                self.firsts.push(first);
            }
            Err(fault) => self.fault = Some(fault.to_string()),
        }
    }

    /// The CPU time, and the time to the first event.
    fn call(&self, tally: Tally, text: tally::Answer, truth: &Truth) -> Result<(Duration, Duration), Fault> {
        let start = ThreadTime::try_now()?;
        let mut heard = Heard::new(tally);
        self.runtime.block_on(async { timeout(PATIENCE, self.caller.call(&mut heard)).await? })?;
        let time = start.try_elapsed()?;
        let is_right = match &self.caller {
            Caller::SdkDropped(_) => heard.bytes == truth.parts_len,
            Caller::SdkBytes(_) | Caller::ReqwestDropped(..) => heard.bytes == truth.frames_len,
            _ => heard.tally.answer() == text,
        };
        match heard.first {
            Some(first) if is_right => Ok((time, first)),
            _ => Err("wrong answer".into()),
        }
    }

    fn row(self, way: Way, truth: &Truth) -> Row {
        let (packages, note) = self.caller.packages();
        let (subject, version) = label(packages, note);
        let outcome = match self.fault {
            Some(fault) => Err(fault),
            None => Ok(Cost {
                ns_per_token: median(self.times).as_nanos() as f64 / truth.tokens(),
                first_us: median(self.firsts).as_nanos() as f64 / 1e3,
            }),
        };
        Row { way, subject, version, decodes: self.caller.decodes(), outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_hears_the_same() {
        let rows = measure(&Plan { tokens: 50, calls: 2 }).unwrap();
        assert_eq!(rows.len(), 21);
        for Row { way, subject, outcome, .. } in rows {
            let cost = outcome.unwrap_or_else(|fault| panic!("{}, {subject}: {fault}", way.name()));
            assert!(cost.ns_per_token > 0.0 && cost.first_us > 0.0, "{cost:?}");
        }
    }
}
