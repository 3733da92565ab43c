//! Runs the subjects in turn, verifies their results and takes medians.

use std::collections::HashMap;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::formats::{Source, Target};
use crate::proof;
use crate::reads::{Chunks, Reads};
use crate::subjects::{Measure, Subject};
use crate::tally::{Answer, Tally};
use crate::workload::Workload;

/// Bytes of one read: a full buffer, and what fits in one packet.
pub const READS: [usize; 2] = [8192, 1400];

/// Bytes of one read that has about half an event: measured only for server-sent events.
pub const SMALL_READ: usize = 128;

/// One number of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The measure.
    pub measure: Measure,
    /// The workload.
    pub workload: &'static str,
    /// Bytes per read; `None` if the input is one slice.
    pub reads: Option<usize>,
    /// The subject.
    pub subject: String,
    /// The versions of the packages that the subject uses.
    pub version: String,
    /// The speed, or why there is none.
    pub outcome: Result<Speed, String>,
}

/// Speed and allocations.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Millions of input bytes per second.
    pub mb_per_s: f64,
    /// Nanoseconds per event of the workload, or per frame if frames are measured.
    pub ns_per_event: f64,
    /// Allocations per event, once warm.
    pub allocs_per_event: f64,
}

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Runs of each subject, of which the median is used.
    pub rounds: usize,
    /// Allocations of this process so far.
    pub allocations: fn() -> u64,
}

/// Whether this combination is measured.
///
/// Without frames, ragged parts have the same bytes as aligned ones. If records differ too much, there is no fixed position at
/// which a lower bound could search for the text.
fn applies(measure: Measure, workload: &Workload) -> bool {
    match measure {
        Measure::Sse => workload.name != "openai-ragged",
        Measure::Limit => !workload.needle.is_empty(),
        _ => true,
    }
}

/// The read sizes for this measure. For formats other than OpenAI's, one is enough.
fn read_lens(measure: Measure, workload: &Workload) -> Vec<usize> {
    match measure {
        Measure::Sse => vec![READS[0], READS[1], SMALL_READ],
        Measure::Pair(_) => vec![READS[0]],
        _ if workload.source != Source::OpenAi => vec![READS[0]],
        _ => READS.to_vec(),
    }
}

/// Measures all combinations on these workloads. Calls `progress` with the number of finished rounds and of all rounds.
///
/// Each round runs everything once, so a short load on the machine affects one round of each subject and no median. Within a
/// round, the subjects of one measure take turns at going first.
pub fn measure(
    workloads: &[Workload],
    measures: &[Measure],
    plan: &Plan,
    mut progress: impl FnMut(usize, usize),
) -> Vec<Row> {
    let mut blocks = Vec::new();
    for workload in workloads {
        // Inputs that several measures use are kept in memory once.
        let mut cuts: HashMap<(bool, usize), Rc<Chunks>> = HashMap::new();
        for &measure in measures.iter().filter(|measure| applies(**measure, workload)) {
            if measure == Measure::Limit {
                blocks.push(Block::new(measure, workload, None, Rc::new(Vec::new().into()), plan));
                continue;
            }
            for len in read_lens(measure, workload) {
                let chunks = cuts.entry((measure == Measure::Sse, len));
                let chunks = chunks.or_insert_with(|| Rc::new(reads(measure, workload, len))).clone();
                blocks.push(Block::new(measure, workload, Some(len), chunks, plan));
            }
        }
    }
    for round in 0..plan.rounds {
        progress(round, plan.rounds);
        blocks.iter_mut().for_each(|block| block.round(round));
    }
    blocks.into_iter().flat_map(Block::rows).collect()
}

/// The subjects that compete on the same reads.
struct Block<'a> {
    measure: Measure,
    workload: &'a Workload,
    reads: Option<usize>,
    chunks: Rc<Chunks>,
    contests: Vec<Contest>,
}

/// A subject and its results so far.
struct Contest {
    subject: Subject,
    /// The result that every timed run must have, or what is wrong.
    proven: Result<Answer, String>,
    times: Vec<Duration>,
    allocs_per_event: f64,
}

impl<'a> Block<'a> {
    fn new(
        measure: Measure,
        workload: &'a Workload,
        reads: Option<usize>,
        chunks: Rc<Chunks>,
        plan: &Plan,
    ) -> Self {
        let contest = |subject: Subject| {
            let proven = prove(measure, &subject, workload, &chunks);
            let mut allocs_per_event = 0.0;
            if proven.is_ok() {
                let before = (plan.allocations)();
                let mut counted = Reads::new(&chunks, plan.allocations);
                subject.run(workload, &mut counted, &mut Tally::timed());
                let (allocations, share) = match reads {
                    None => ((plan.allocations)() - before, 1.0),
                    Some(_) => counted.steady_allocations(),
                };
                allocs_per_event = allocations as f64 / (events(measure, workload) as f64 * share);
            }
            Contest { subject, proven, times: Vec::new(), allocs_per_event }
        };
        let contests = measure.subjects(workload.source).into_iter().map(contest).collect();
        Self { measure, workload, reads, chunks, contests }
    }

    fn round(&mut self, round: usize) {
        // The first subject must not be the one that loads the bytes into the cache.
        let warm = |chunk: &Bytes| memchr::memchr_iter(b'\n', chunk).count();
        black_box(self.chunks.iter().map(warm).sum::<usize>() + warm(input(self.measure, self.workload)));
        let count = self.contests.len();
        for turn in 0..count {
            let contest = &mut self.contests[(round + turn) % count];
            let Ok(expected) = contest.proven else { continue };
            let mut tally = Tally::timed();
            let mut reads = Reads::uncounted(&self.chunks);
            let start = Instant::now();
            contest.subject.run(self.workload, &mut reads, &mut tally);
            contest.times.push(start.elapsed());
            if tally.answer() != expected {
                contest.proven = Err("not the same answer every time".to_owned());
            }
        }
    }

    fn rows(self) -> impl Iterator<Item = Row> {
        let Self { measure, workload, reads, contests, .. } = self;
        let bytes = input(measure, workload).len() as f64;
        let events = events(measure, workload) as f64;
        contests.into_iter().map(move |Contest { subject, proven, times, allocs_per_event }| Row {
            measure,
            workload: workload.name,
            reads,
            subject: subject.name,
            version: subject.version,
            outcome: proven.map(|_| {
                let ns = median(times).as_nanos().max(1) as f64;
                Speed { mb_per_s: bytes * 1e3 / ns, ns_per_event: ns / events, allocs_per_event }
            }),
        })
    }
}

/// The input bytes of a measure, which its speed refers to.
pub fn input(measure: Measure, workload: &Workload) -> &Bytes {
    if measure == Measure::Sse { &workload.sse } else { &workload.framed }
}

/// The input in reads of `len`.
pub fn reads(measure: Measure, workload: &Workload, len: usize) -> Chunks {
    if measure == Measure::Sse { workload.sse_in(len) } else { workload.framed_in(len) }
}

/// The number of events that a time is divided by.
fn events(measure: Measure, workload: &Workload) -> u64 {
    match measure {
        Measure::Frames => workload.truth.frames.timed.events,
        _ => workload.records,
    }
}

/// Runs a subject once and hashes every byte. Returns the result that timed runs must have.
///
/// # Errors
///
/// What is wrong with the result, including what the subject recovered.
pub fn prove(
    measure: Measure,
    subject: &Subject,
    workload: &Workload,
    chunks: &Chunks,
) -> Result<Answer, String> {
    let thorough = run(subject, workload, chunks, Tally::thorough());
    let (truth, streams) = (&workload.truth, workload.streams());
    let (found, expected) = match (measure, subject.name.as_str()) {
        (Measure::Decode, _) => (Ok(thorough.answer()), truth.text),
        (Measure::TranscodeBedrock | Measure::Pair(Target::ConverseStream), _) => {
            (proof::bedrock(thorough.written(), streams), truth.text)
        }
        (Measure::TranscodeOpenai | Measure::Pair(Target::OpenAi), _) => {
            (proof::openai(thorough.written(), streams), truth.text)
        }
        (Measure::Pair(Target::Anthropic), _) => (proof::anthropic(thorough.written(), streams), truth.text),
        (Measure::Pair(Target::Tgi), _) => (proof::tgi(thorough.written(), streams), truth.text),
        (Measure::Frames, _) => (Ok(thorough.answer()), truth.frames.thorough),
        (Measure::Sse, _) | (Measure::Limit, "crc + lines") => (Ok(thorough.answer()), truth.sse.thorough),
        (Measure::Limit, name) if name.contains("text") => (Ok(thorough.answer()), truth.raw),
        // A mere copy has no result.
        (Measure::Limit, _) => (Ok(thorough.answer()), thorough.answer()),
    };
    let recovered = |answer: Answer| {
        let Answer { events, bytes, .. } = answer;
        format!("{events} of {} events, {bytes} of {} bytes", expected.events, expected.bytes)
    };
    match (thorough.fault(), found) {
        (Some(fault), _) => Err(format!("{fault}; recovered {}", recovered(thorough.answer()))),
        (None, Err(fault)) => Err(format!("wrong output: {fault}")),
        (None, Ok(found)) if found != expected => {
            Err(format!("wrong answer; recovered {}", recovered(found)))
        }
        (None, Ok(_)) => Ok(run(subject, workload, chunks, Tally::timed()).answer()),
    }
}

/// The fault of a subject that panicked.
pub const PANICKED: &str = "panicked";

/// Runs a subject once, and turns a panic into a fault.
pub fn run(subject: &Subject, workload: &Workload, chunks: &Chunks, mut tally: Tally) -> Tally {
    let run = catch_unwind(AssertUnwindSafe(|| {
        subject.run(workload, &mut Reads::uncounted(chunks), &mut tally);
    }));
    if run.is_err() {
        tally.fail(PANICKED);
    }
    tally
}

/// Wait until the buffers of both sockets are full.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
