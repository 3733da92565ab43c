//! The hot paths whose instructions are counted.

use bytes::Bytes;
use sagewire_codec::Decoder;
use sagewire_codec::model::Event;

use crate::formats::Target;
use crate::measure::{prove, reads};
use crate::proof;
use crate::reads::{Chunks, Reads, cut};
use crate::requests::{self, Document};
use crate::subjects::{Measure, Run, sagewire};
use crate::tally::{Answer, Kind, Tally};
use crate::workload::{Expected, Workload};

/// A path through the codec, on the same bytes every time.
#[derive(Clone, Copy, Debug)]
pub struct HotPath {
    /// The name in the table and in the baseline.
    pub name: &'static str,
    workload: &'static str,
    work: Work,
    /// Bytes of one read.
    read: usize,
}

#[derive(Clone, Copy, Debug)]
enum Work {
    /// A measure of `compare`.
    Measure(Measure),
    /// JSON lines alone.
    JsonLines,
    /// Requests to every format. They are documents, and have no workload.
    Requests,
    /// From a new decoder to the first text, repeatedly: the initial cost of a stream.
    First,
}

/// Events in each workload.
const EVENTS: usize = 2000;
/// Streams that [`Work::First`] begins, so that no single allocation dominates.
const STREAMS: usize = 100;

/// A full buffer, and what fits in one packet.
const FULL: usize = 8192;
const PACKET: usize = 1400;

impl HotPath {
    /// All paths. The baseline refers to them by name, so a new name is a new path.
    pub const ALL: [Self; 21] = [
        Self::new("frames", "openai", Work::Measure(Measure::Frames), FULL),
        // Smaller than a frame's headers: every read ends in a partial frame.
        Self::new("frames-64", "openai", Work::Measure(Measure::Frames), 64),
        Self::new("sse", "openai", Work::Measure(Measure::Sse), FULL),
        // About half a line.
        Self::new("sse-128", "openai", Work::Measure(Measure::Sse), 128),
        Self::new("json-lines", "openai", Work::JsonLines, FULL),
        Self::new("decode-openai", "openai", Work::Measure(Measure::Decode), FULL),
        Self::new("decode-openai-1400", "openai", Work::Measure(Measure::Decode), PACKET),
        Self::new("decode-openai-ragged", "openai-ragged", Work::Measure(Measure::Decode), FULL),
        Self::new("decode-openai-tools", "openai-tools", Work::Measure(Measure::Decode), FULL),
        Self::new("decode-openai-changing", "openai-changing", Work::Measure(Measure::Decode), FULL),
        Self::new("decode-first", "openai", Work::First, FULL),
        Self::new("decode-tgi", "tgi", Work::Measure(Measure::Decode), FULL),
        Self::new("decode-lmi", "lmi", Work::Measure(Measure::Decode), FULL),
        Self::new("decode-converse-stream", "converse-stream", Work::Measure(Measure::Decode), FULL),
        Self::new("decode-anthropic", "anthropic", Work::Measure(Measure::Decode), FULL),
        Self::new("decode-responses", "responses", Work::Measure(Measure::Decode), FULL),
        Self::new("transcode-bedrock", "openai", Work::Measure(Measure::TranscodeBedrock), FULL),
        Self::new("transcode-openai", "openai", Work::Measure(Measure::TranscodeOpenai), FULL),
        Self::new("transcode-anthropic", "openai", Work::Measure(Measure::Pair(Target::Anthropic)), FULL),
        Self::new("transcode-tgi", "openai", Work::Measure(Measure::Pair(Target::Tgi)), FULL),
        Self::new("request", "", Work::Requests, 0),
    ];

    const fn new(name: &'static str, workload: &'static str, work: Work, read: usize) -> Self {
        Self { name, workload, work, read }
    }

    /// Creates the input, and verifies that the result for it is correct.
    ///
    /// # Errors
    ///
    /// What is wrong with the result.
    pub fn prepare(&self) -> Result<Prepared, String> {
        let load = || Workload::load(self.workload, EVENTS);
        let (workload, run, chunks, expected): (_, Run, _, _) = match self.work {
            Work::Measure(measure) => {
                let workload = load()?;
                let subject = measure.subjects(workload.source).swap_remove(0);
                let chunks = reads(measure, &workload, self.read);
                let expected = prove(measure, &subject, &workload, &chunks)?;
                (workload, subject.run, chunks, expected)
            }
            Work::JsonLines => {
                let workload = load()?;
                let chunks = cut(&workload.json_lines, self.read);
                let mut tally = Tally::thorough();
                sagewire::json_lines(&workload, &mut Reads::uncounted(&chunks), &mut tally);
                let Expected { timed, thorough } = workload.truth.json_lines;
                right(&tally, thorough)?;
                (workload, sagewire::json_lines, chunks, timed)
            }
            Work::First => {
                let workload = load()?;
                let (chunk, expected) = beginning(&workload)?;
                let chunks = cut(&chunk.repeat(STREAMS), chunk.len());
                let mut tally = Tally::thorough();
                first(&workload, &mut Reads::uncounted(&chunks), &mut tally);
                right(&tally, expected.thorough)?;
                (workload, first, chunks, expected.timed)
            }
            Work::Requests => {
                let documents = Document::all();
                let expected = requests::prove_all(&documents)?;
                let chunks = documents.map(|document| Bytes::from(document.json)).to_vec().into();
                (Workload::default(), requests::convert_all, chunks, expected)
            }
        };
        Ok(Prepared { workload, chunks, run, expected })
    }
}

/// A path that is ready to run.
#[derive(Debug)]
pub struct Prepared {
    workload: Workload,
    chunks: Chunks,
    run: Run,
    /// The result that each run must have.
    pub expected: Answer,
}

impl Prepared {
    /// Runs the path once.
    #[inline]
    pub fn run(&self) -> Answer {
        let mut tally = Tally::timed();
        (self.run)(&self.workload, &mut Reads::uncounted(&self.chunks), &mut tally);
        tally.answer()
    }
}

fn right(tally: &Tally, expected: Answer) -> Result<(), String> {
    match tally.fault() {
        Some(fault) => Err(fault.to_owned()),
        None if tally.answer() != expected => {
            Err(format!("wrong answer: {:?} instead of {expected:?}", tally.answer()))
        }
        None => Ok(()),
    }
}

/// Each read is the beginning of another stream.
fn first(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    for mut chunk in reads {
        let mut decoder = Decoder::new();
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(Event::TextDelta { text, .. })) => tally.text(Kind::Text, &text),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return tally.fail(error),
            }
        }
    }
}

/// The frames of the role and of the first token, and the expected texts of [`STREAMS`] such streams.
fn beginning(workload: &Workload) -> Result<(&[u8], Expected), String> {
    let framed = &workload.framed[..];
    let end_of_frame = |start: usize| {
        let len = framed.get(start..)?.first_chunk()?;
        Some(start + u32::from_be_bytes(*len) as usize)
    };
    let end = end_of_frame(0).and_then(end_of_frame).ok_or("a stream of fewer than two frames")?;

    let sse = str::from_utf8(&workload.sse).map_err(|error| error.to_string())?;
    let records = sse.split_terminator("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let deltas = proof::deltas(records.take(2))?;
    let expected = Expected::of_texts(std::iter::repeat_n(&deltas, STREAMS).flatten());
    Ok((&framed[..end], expected))
}
