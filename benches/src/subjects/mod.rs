//! The subjects that are measured, and the measures.

pub mod decoders;
pub mod encoders;
pub mod events;
pub mod limits;
pub mod records;
pub mod sagewire;
pub mod said;
pub mod smithy;
pub mod transcode;

use crate::formats::{Source, Target};
use crate::machine::version;
use crate::reads::Reads;
use crate::tally::Tally;
use crate::workload::Workload;

use events::{EventsourceStream, SseCore, SseStream, Sseer};
use records::{AsyncOpenai, Minimal, Untyped};
use said::Decode;

/// A measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Bytes to deltas.
    Decode,
    /// Event-stream bytes to frames of ConverseStream.
    TranscodeBedrock,
    /// Event-stream bytes to server-sent events of OpenAI.
    TranscodeOpenai,
    /// Frames alone.
    Frames,
    /// Server-sent events alone, on bytes without frames.
    Sse,
    /// Lower bounds of `Decode`.
    Limit,
    /// Bytes of any format to bytes of this target format, for text streams.
    Pair(Target),
}

impl Measure {
    /// The measures of speed, in the order of the table.
    pub const SPEED: [Self; 6] =
        [Self::Decode, Self::TranscodeBedrock, Self::TranscodeOpenai, Self::Frames, Self::Sse, Self::Limit];

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::TranscodeBedrock => "transcode-bedrock",
            Self::TranscodeOpenai => "transcode-openai",
            Self::Frames => "frames",
            Self::Sse => "sse",
            Self::Limit => "limit",
            Self::Pair(Target::OpenAi) => "to-openai",
            Self::Pair(Target::ConverseStream) => "to-converse-stream",
            Self::Pair(Target::Anthropic) => "to-anthropic",
            Self::Pair(Target::Tgi) => "to-tgi",
        }
    }

    /// A one-line description.
    pub fn about(self) -> &'static str {
        match self {
            Self::Decode => "event-stream bytes to text deltas",
            Self::TranscodeBedrock => "event-stream bytes to ConverseStream frames",
            Self::TranscodeOpenai => "event-stream bytes to OpenAI server-sent events",
            Self::Frames => "event-stream frames alone",
            Self::Sse => "server-sent events alone, without frames",
            Self::Limit => "lower bounds of decode, on slices",
            Self::Pair(_) => "bytes of one format to bytes of another",
        }
    }

    /// The subjects of this measure for a source format. sagewire is first, if it is one of them.
    pub fn subjects(self, source: Source) -> Vec<Subject> {
        match self {
            Self::Decode if source != Source::OpenAi => decode_others(source),
            Self::Pair(target) => vec![
                Subject::sagewire(match target {
                    Target::OpenAi => sagewire::transcode_openai,
                    Target::ConverseStream => sagewire::transcode_bedrock,
                    Target::Anthropic => sagewire::transcode_anthropic,
                    Target::Tgi => sagewire::transcode_tgi,
                }),
                Subject::new(packages(source), "", pair(source, target)),
            ],
            Self::Decode => vec![
                Subject::sagewire(sagewire::decode),
                Subject::new(
                    &[SMITHY, EVENTSOURCE, SERDE],
                    "",
                    records::decode::<EventsourceStream, Minimal>,
                ),
                Subject::new(&[SMITHY, SSEER, SERDE], "", records::decode::<Sseer, Minimal>),
                Subject::new(&[SMITHY, SSE_STREAM, SERDE], "", records::decode::<SseStream, Minimal>),
                Subject::new(&[SMITHY, SSE_CORE, SERDE], "", records::decode::<SseCore, Minimal>),
                Subject::new(&[SMITHY, BEST, "async-openai"], "", records::decode::<Best, AsyncOpenai>),
                Subject::new(&[SMITHY, BEST, SERDE], "Value", records::decode::<Best, Untyped>),
            ],
            Self::TranscodeBedrock => vec![
                Subject::sagewire(sagewire::transcode_bedrock),
                Subject::new(&[SMITHY, BEST, SERDE], "", transcode::bedrock::<Best>),
            ],
            Self::TranscodeOpenai => vec![
                Subject::sagewire(sagewire::transcode_openai),
                Subject::new(&[SMITHY, BEST, SERDE], "", transcode::openai::<Best>),
            ],
            Self::Frames => {
                vec![Subject::sagewire(sagewire::frames), Subject::new(&[SMITHY], "", smithy::frames)]
            }
            Self::Sse => vec![
                Subject::sagewire(sagewire::sse),
                Subject::new(&[EVENTSOURCE], "", events::sse::<EventsourceStream>),
                Subject::new(&[SSEER], "", events::sse::<Sseer>),
                Subject::new(&[SSE_STREAM], "", events::sse::<SseStream>),
                Subject::new(&[SSE_CORE], "", events::sse::<SseCore>),
                Subject::new(&[], "lines + UTF-8, joined", limits::lines_of_reads),
            ],
            Self::Limit => vec![
                Subject::new(&[], "memcpy", limits::memcpy),
                Subject::new(&[], "crc + lines", limits::crc_and_lines),
                Subject::new(&[], "crc + lines + text", limits::floor),
                Subject::new(&[], "crc + lines + text, joined", limits::floor_of_parts),
                Subject::new(&[], "crc + lines seen before, joined", limits::known_lines),
            ],
        }
    }
}

/// The subjects that decode a format other than OpenAI's.
fn decode_others(source: Source) -> Vec<Subject> {
    let of_events = |runs: [Run; 4]| {
        let packages = [EVENTSOURCE, SSEER, SSE_STREAM, SSE_CORE];
        packages.into_iter().zip(runs).map(|(events, run)| Subject::new(&[SMITHY, events, SERDE], "", run))
    };
    let mut subjects = vec![Subject::sagewire(sagewire::decode)];
    match source {
        Source::Tgi => subjects.extend(of_events([
            said::decode::<decoders::Tgi<EventsourceStream>>,
            said::decode::<decoders::Tgi<Sseer>>,
            said::decode::<decoders::Tgi<SseStream>>,
            said::decode::<decoders::Tgi<SseCore>>,
        ])),
        Source::Anthropic => subjects.extend(of_events([
            said::decode::<decoders::Anthropic<EventsourceStream>>,
            said::decode::<decoders::Anthropic<Sseer>>,
            said::decode::<decoders::Anthropic<SseStream>>,
            said::decode::<decoders::Anthropic<SseCore>>,
        ])),
        Source::Cohere => subjects.extend(of_events([
            said::decode::<decoders::Cohere<EventsourceStream>>,
            said::decode::<decoders::Cohere<Sseer>>,
            said::decode::<decoders::Cohere<SseStream>>,
            said::decode::<decoders::Cohere<SseCore>>,
        ])),
        Source::Sglang => subjects.extend(of_events([
            said::decode::<decoders::Sglang<EventsourceStream>>,
            said::decode::<decoders::Sglang<Sseer>>,
            said::decode::<decoders::Sglang<SseStream>>,
            said::decode::<decoders::Sglang<SseCore>>,
        ])),
        Source::Nova => subjects.extend(of_events([
            said::decode::<decoders::OpenAi<EventsourceStream>>,
            said::decode::<decoders::OpenAi<Sseer>>,
            said::decode::<decoders::OpenAi<SseStream>>,
            said::decode::<decoders::OpenAi<SseCore>>,
        ])),
        Source::Responses => subjects.extend(of_events([
            said::decode::<decoders::Responses<EventsourceStream>>,
            said::decode::<decoders::Responses<Sseer>>,
            said::decode::<decoders::Responses<SseStream>>,
            said::decode::<decoders::Responses<SseCore>>,
        ])),
        Source::Lmi => subjects.push(Subject::new(packages(source), "", said::decode::<decoders::Lmi>)),
        Source::ConverseStream => {
            subjects.push(Subject::new(packages(source), "", said::decode::<decoders::ConverseStream>));
        }
        Source::OpenAi => {}
    }
    subjects
}

/// The packages of the best decoder of a format.
fn packages(source: Source) -> &'static [&'static str] {
    match source {
        Source::OpenAi
        | Source::Tgi
        | Source::Anthropic
        | Source::Cohere
        | Source::Sglang
        | Source::Nova
        | Source::Responses => &[SMITHY, BEST, SERDE],
        Source::Lmi => &[SMITHY, "memchr", SERDE],
        Source::ConverseStream => &[SMITHY, SERDE],
    }
}

/// The peers' pipeline between two formats.
fn pair(source: Source, target: Target) -> Run {
    fn to<D: Decode>(target: Target) -> Run {
        match target {
            Target::OpenAi => said::transcode::<D, encoders::OpenAi>,
            Target::ConverseStream => said::transcode::<D, encoders::ConverseStream>,
            Target::Anthropic => said::transcode::<D, encoders::Anthropic>,
            Target::Tgi => said::transcode::<D, encoders::Tgi>,
        }
    }
    match source {
        Source::OpenAi | Source::Nova => to::<decoders::OpenAi<Best>>(target),
        Source::Tgi => to::<decoders::Tgi<Best>>(target),
        Source::Lmi => to::<decoders::Lmi>(target),
        Source::ConverseStream => to::<decoders::ConverseStream>(target),
        Source::Anthropic => to::<decoders::Anthropic<Best>>(target),
        Source::Cohere => to::<decoders::Cohere<Best>>(target),
        Source::Sglang => to::<decoders::Sglang<Best>>(target),
        Source::Responses => to::<decoders::Responses<Best>>(target),
    }
}

const SMITHY: &str = "aws-smithy-eventstream";
const EVENTSOURCE: &str = "eventsource-stream";
const SSEER: &str = "sseer";
const SSE_STREAM: &str = "sse-stream";
const SSE_CORE: &str = "sse-core";
const SERDE: &str = "serde_json";

/// The fastest peer on `openai`, which the other pipelines use.
type Best = SseCore;
const BEST: &str = SSE_CORE;

/// Decodes one stream of a workload once, and adds the result to the tally.
pub type Run = fn(&Workload, &mut Reads<'_>, &mut Tally);

/// A subject that is measured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The name in the table: the packages that it uses.
    pub name: String,
    /// Their versions, in the same order.
    pub version: String,
    /// Processes one stream.
    pub run: Run,
}

impl Subject {
    /// Processes all streams, unless one fails.
    #[inline]
    pub fn run(&self, workload: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
        loop {
            (self.run)(workload, reads, tally);
            if tally.fault().is_some() || !reads.next_stream() {
                return;
            }
        }
    }

    fn sagewire(run: Run) -> Self {
        let (name, version) = label_of_sagewire();
        Self { name, version, run }
    }

    fn new(packages: &[&str], note: &str, run: Run) -> Self {
        let (name, version) = label(packages, note);
        Self { name, version, run }
    }
}

/// Name and versions of a subject that uses these packages.
pub fn label(packages: &[&str], note: &str) -> (String, String) {
    let versions: Vec<&str> = packages.iter().map(|package| version(package)).collect();
    let name = [&packages.join(" + "), note].map(str::trim).join(" ").trim().to_owned();
    (name, versions.join(" + "))
}

/// Name and version of sagewire.
pub fn label_of_sagewire() -> (String, String) {
    (SAGEWIRE.to_owned(), version("sagewire-codec").to_owned())
}

/// Name and versions of the fastest peers with the smallest structs.
pub fn label_of_best() -> (String, String) {
    label(&[SMITHY, BEST, SERDE], "")
}

/// The subject that the others are compared with.
pub const SAGEWIRE: &str = "sagewire";
