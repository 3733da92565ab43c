//! Who is measured.

pub mod events;
pub mod limits;
pub mod records;
pub mod sagewire;
pub mod smithy;
pub mod transcode;

use crate::machine::version;
use crate::reads::Reads;
use crate::tally::Tally;
use crate::workload::Workload;

use events::{EventsourceStream, SseCore, SseStream, Sseer};
use records::{AsyncOpenai, Minimal, Untyped};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Event-stream bytes to deltas.
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
}

impl Measure {
    /// All, in the order of the table.
    pub const ALL: [Self; 6] =
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
        }
    }

    /// One line on what it means.
    pub fn about(self) -> &'static str {
        match self {
            Self::Decode => "event-stream bytes to text deltas",
            Self::TranscodeBedrock => "event-stream bytes to ConverseStream frames",
            Self::TranscodeOpenai => "event-stream bytes to OpenAI server-sent events",
            Self::Frames => "event-stream frames alone",
            Self::Sse => "server-sent events alone, without frames",
            Self::Limit => "lower bounds of decode, on slices",
        }
    }

    /// Who is measured in it; sagewire first, where it is one of them.
    pub fn subjects(self) -> Vec<Subject> {
        match self {
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
            ],
        }
    }
}

const SMITHY: &str = "aws-smithy-eventstream";
const EVENTSOURCE: &str = "eventsource-stream";
const SSEER: &str = "sseer";
const SSE_STREAM: &str = "sse-stream";
const SSE_CORE: &str = "sse-core";
const SERDE: &str = "serde_json";

/// The fastest of the peers on `openai`, which the other pipelines are built with.
type Best = SseCore;
const BEST: &str = SSE_CORE;

/// Reads one stream of a workload once, telling the tally what it finds.
pub type Run = fn(&Workload, &mut Reads<'_>, &mut Tally);

/// One who is measured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The name in the table: the packages it is made of.
    pub name: String,
    /// Their versions, in the same order.
    pub version: String,
    /// What it does with a stream.
    pub run: Run,
}

impl Subject {
    /// Goes through all streams, each from the beginning, unless one fails.
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

/// Name and versions of one who is made of these packages.
fn label(packages: &[&str], note: &str) -> (String, String) {
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
