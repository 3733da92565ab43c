//! Conversion of OpenAI chat requests to each format that can be written.
//!
//! The baseline is the minimum work of any converter of JSON trees: parsing the same bytes into `serde_json::Value`, and
//! serializing it, without a conversion.

mod documents;
mod proof;

use std::hint::black_box;
use std::time::{Duration, Instant};

use sagewire_codec::model::{Content, ConversionOptions, Message, Part, Rendered, Tool};
use sagewire_codec::{Api, convert_request};
use serde_json::Value;

use crate::machine::version;
use crate::measure::median;
use crate::reads::Reads;
use crate::subjects::label_of_sagewire;
use crate::tally::{Answer, Fault, Tally};
use crate::workload::Workload;

pub use documents::Document;

/// The target formats, by their names in the table.
pub const TARGETS: [(Api, &str); 10] = [
    (Api::OpenAi, "openai"),
    (Api::Converse, "converse"),
    (Api::Anthropic, "anthropic"),
    (Api::Completions, "completions"),
    (Api::Tgi, "tgi"),
    (Api::Lmi, "lmi"),
    (Api::JumpStart, "jumpstart"),
    (Api::JumpStartText, "jumpstart-text"),
    (Api::JumpStartDialogs, "jumpstart-dialogs"),
    (Api::Triton, "triton"),
];

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Runs of each subject, of which the median is used.
    pub rounds: usize,
    /// Conversions in one run.
    pub times: u32,
    /// Allocations of this process so far.
    pub allocations: fn() -> u64,
}

/// The result of one conversion.
#[derive(Clone, Debug)]
pub struct Row {
    /// The document.
    pub document: &'static str,
    /// Bytes of the document.
    pub bytes: usize,
    /// The target format; `None` for the round trip that is the baseline.
    pub target: Option<&'static str>,
    /// The subject.
    pub subject: String,
    /// The version of the subject.
    pub version: String,
    /// The cost, or why there is none.
    pub outcome: Result<Cost, String>,
}

/// Time and allocations.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Microseconds per conversion.
    pub us: f64,
    /// Allocations per conversion.
    pub allocs: u64,
}

/// What is done with a document.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// `serde_json::Value` and back.
    RoundTrip,
    /// Conversion to this format, with its name in the table.
    Convert(Api, &'static str),
}

impl Work {
    fn run(self, json: &[u8], tally: &mut Tally) {
        let done = match self {
            Self::RoundTrip => round_trip(json),
            Self::Convert(format, _) => convert(format, json),
        };
        match done {
            Ok(out) => tally.output(&out),
            Err(fault) => tally.fail(fault),
        }
    }

    /// Runs it once and hashes every byte. Returns the result that timed runs must have.
    fn prove(self, document: &Document) -> Result<Answer, String> {
        let mut thorough = Tally::thorough();
        self.run(&document.json, &mut thorough);
        if let Some(fault) = thorough.fault() {
            return Err(fault.to_owned());
        }
        match self {
            Self::RoundTrip => proof::same(document, thorough.written()),
            Self::Convert(format, _) => proof::converted(format, document, thorough.written()),
        }
        .map_err(|fault| format!("wrong output: {fault}"))?;
        let mut timed = Tally::timed();
        self.run(&document.json, &mut timed);
        Ok(timed.answer())
    }
}

fn round_trip(json: &[u8]) -> Result<Vec<u8>, Fault> {
    let value: Value = serde_json::from_slice(json)?;
    Ok(serde_json::to_vec(&value)?)
}

fn convert(format: Api, json: &[u8]) -> Result<Vec<u8>, Fault> {
    let settings = ConversionOptions::new().render(&render);
    let (out, losses) = convert_request(Api::OpenAi, format, json, &settings)?;
    black_box(losses);
    Ok(out)
}

/// A minimal chat template: each role on a line, and its text below it.
fn render(messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<Rendered, String> {
    let mut out = String::new();
    for tool in tools {
        out.push_str(&tool.name);
        out.push_str(tool.schema.as_ref().map_or("", |schema| schema.as_str()));
        out.push('\n');
    }
    for Message { role, content, .. } in messages {
        out.push_str("<|");
        out.push_str(role.as_str());
        out.push_str("|>\n");
        render_parts(content, &mut out)?;
    }
    Ok(Rendered::new(out))
}

fn render_parts(parts: &[Part<'_>], out: &mut String) -> Result<(), String> {
    for part in parts {
        match &part.content {
            Content::Text(text) => out.push_str(text),
            Content::ToolCall { name, input, .. } => {
                out.push_str(name);
                out.push_str(input);
            }
            Content::ToolResult { content, .. } => {
                render_parts(content, out)?;
                continue;
            }
            Content::Json(json) => out.push_str(json.as_str()),
            other => return Err(format!("{other:?} is not in the documents")),
        }
        out.push('\n');
    }
    Ok(())
}

/// Converts the document in each read to each format.
pub fn convert_all(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    for json in reads {
        for (format, name) in TARGETS {
            Work::Convert(format, name).run(&json, tally);
        }
    }
}

/// Verifies each conversion of each document, and returns the result that [`convert_all`] must have.
///
/// # Errors
///
/// The first incorrect conversion.
pub fn prove_all(documents: &[Document]) -> Result<Answer, String> {
    let mut all = Tally::timed();
    for document in documents {
        for (format, name) in TARGETS {
            let work = Work::Convert(format, name);
            work.prove(document).map_err(|fault| format!("{} to {name}: {fault}", document.name))?;
            work.run(&document.json, &mut all);
        }
    }
    Ok(all.answer())
}

/// Measures all. Within a round, each document first takes the round trip through `serde_json`, then each conversion.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let documents = Document::all();
    let mut contests: Vec<Contest<'_>> = Vec::new();
    for document in &documents {
        let converts = TARGETS.into_iter().map(|(format, name)| Work::Convert(format, name));
        let works = [Work::RoundTrip].into_iter().chain(converts);
        contests.extend(works.map(|work| Contest::new(document, work, plan)));
    }
    for _ in 0..plan.rounds {
        contests.iter_mut().for_each(|contest| contest.round(plan.times));
    }
    contests.into_iter().map(|contest| contest.row(plan.times)).collect()
}

/// A conversion and its results so far.
struct Contest<'a> {
    document: &'a Document,
    work: Work,
    /// The result that every timed run must have, or what is wrong.
    proven: Result<Answer, String>,
    times: Vec<Duration>,
    allocs: u64,
}

impl<'a> Contest<'a> {
    fn new(document: &'a Document, work: Work, plan: &Plan) -> Self {
        let proven = work.prove(document);
        let before = (plan.allocations)();
        work.run(&document.json, &mut Tally::timed());
        let allocs = (plan.allocations)() - before;
        Self { document, work, proven, times: Vec::new(), allocs }
    }

    fn round(&mut self, times: u32) {
        let Ok(expected) = self.proven else { return };
        let mut answer = Answer::default();
        let start = Instant::now();
        for _ in 0..times {
            let mut tally = Tally::timed();
            self.work.run(&self.document.json, &mut tally);
            answer = tally.answer();
        }
        self.times.push(start.elapsed());
        if answer != expected {
            self.proven = Err("not the same answer every time".to_owned());
        }
    }

    fn row(self, times: u32) -> Row {
        let Self { document, work, proven, allocs, .. } = self;
        let (target, (subject, version)) = match work {
            Work::RoundTrip => (None, ("serde_json Value".to_owned(), version("serde_json").to_owned())),
            Work::Convert(_, name) => (Some(name), label_of_sagewire()),
        };
        let us = median(self.times).as_nanos() as f64 / 1e3 / f64::from(times);
        let outcome = proven.map(|_| Cost { us, allocs });
        Row { document: document.name, bytes: document.json.len(), target, subject, version, outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_converted_to_every_format() {
        let documents = Document::all();
        prove_all(&documents).unwrap();
        for Document { name, json, .. } in &documents {
            assert!((50_000..52_000).contains(&json.len()), "{name}: {} bytes", json.len());
        }
    }

    #[test]
    fn a_wrong_request_is_not_proven() {
        let [long, tools] = Document::all();
        for (format, name) in TARGETS {
            let out = convert(format, &long.json).unwrap();
            assert!(proof::converted(format, &long, &out).is_ok(), "{name}");
            assert!(proof::converted(format, &tools, &out).is_err(), "{name}");
        }
    }
}
