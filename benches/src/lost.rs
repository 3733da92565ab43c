//! How much each subject recovers of damaged and unusual streams, and the ending that it
//! reports.
//!
//! All variants contain one generated response. Its tokens end with their numbers, so each is unique: a token is recovered
//! if the text contains it completely and in order.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use serde_json::json;

use crate::formats::Source;
use crate::frames::frame;
use crate::measure::{PANICKED, run};
use crate::openai_stream::{Stream, data};
use crate::random::Random;
use crate::reads::Chunks;
use crate::script::Script;
use crate::subjects::{Measure, Subject};
use crate::tally::Tally;
use crate::workload::{Cuts, Workload, ragged};

/// Timeout of a subject for one variant, which takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of the longest read, and of the shortest.
const READ: (usize, usize) = (1, 4096);

/// A variant of the stream.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The name in the table.
    pub name: &'static str,
    /// A one-line description.
    pub about: &'static str,
    /// Tokens in the bytes before the fault.
    pub arrived: usize,
    /// The response body, split into reads.
    pub reads: Vec<Bytes>,
}

/// The ending that a subject reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Complete, and it is.
    Complete,
    /// Complete, but tokens are missing.
    Silent,
    /// This error.
    Error(String),
    /// A panic.
    Panicked,
    /// No ending before the timeout.
    Hung,
}

impl Ending {
    /// The name in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Silent => "silent",
            Self::Error(_) => "error",
            Self::Panicked => "panicked",
            Self::Hung => "hung",
        }
    }
}

/// The result of one subject for one variant.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The variant.
    pub variant: &'static str,
    /// The subject.
    pub subject: String,
    /// The versions of the packages that the subject uses.
    pub version: String,
    /// Tokens that were recovered.
    pub recovered: usize,
    /// Tokens before the fault.
    pub arrived: usize,
    /// Tokens of the complete response.
    pub sent: usize,
    /// The ending that it reported.
    pub ending: Ending,
}

/// A response and its variants.
#[derive(Clone, Debug)]
pub struct Lost {
    stream: Stream,
    /// The variants.
    pub variants: Vec<Variant>,
}

impl Lost {
    /// A response of `tokens` tokens.
    pub fn new(tokens: usize) -> Self {
        let stream = Script::new(0x5a9e_0003).numbered(tokens);
        let variants = variants(&stream);
        Self { stream, variants }
    }

    /// The tokens of the response.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &str> {
        self.stream.deltas.iter().map(|(_, token)| token.as_str())
    }

    /// Runs every decoder on every variant.
    pub fn recover(&self) -> Vec<Recovered> {
        let workload = Arc::new(Workload::new("lost", &[&self.stream], Cuts::Events, ""));
        let mut all = Vec::new();
        for subject in Measure::Decode.subjects(Source::OpenAi) {
            for variant in &self.variants {
                all.push(self.recover_one(&subject, &workload, variant));
            }
        }
        all
    }

    fn recover_one(&self, subject: &Subject, workload: &Arc<Workload>, variant: &Variant) -> Recovered {
        let (answer, result) = mpsc::channel();
        let (run_subject, workload) = (subject.clone(), workload.clone());
        let chunks = Chunks::from(variant.reads.clone());
        // On its own thread, which is abandoned if it never returns.
        std::thread::spawn(move || answer.send(run(&run_subject, &workload, &chunks, Tally::thorough())));
        let (recovered, ending) = match result.recv_timeout(PATIENCE) {
            Ok(tally) => {
                let recovered = recovered(tally.written(), self.tokens());
                let ending = match tally.fault() {
                    Some(PANICKED) => Ending::Panicked,
                    Some(fault) => Ending::Error(fault.to_owned()),
                    None if recovered < self.tokens().len() => Ending::Silent,
                    None => Ending::Complete,
                };
                (recovered, ending)
            }
            Err(_) => (0, Ending::Hung),
        };
        Recovered {
            variant: variant.name,
            subject: subject.name.clone(),
            version: subject.version.clone(),
            recovered,
            arrived: variant.arrived,
            sent: self.tokens().len(),
            ending,
        }
    }

    /// Writes a file for each variant, and `streams.json` with the tokens and the read sizes, for
    /// clients in other languages.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut variants = Vec::new();
        for Variant { name, about, arrived, reads } in &self.variants {
            let file = format!("{name}.eventstream");
            fs::write(folder.join(&file), reads.concat())?;
            let reads: Vec<usize> = reads.iter().map(Bytes::len).collect();
            variants.push(json!({
                "name": name, "about": about, "file": file, "arrived": arrived, "reads": reads,
            }));
        }
        let tokens: Vec<&str> = self.tokens().collect();
        let index = json!({ "tokens": tokens, "variants": variants });
        fs::write(folder.join("streams.json"), index.to_string())
    }
}

/// Number of tokens that `answer` contains completely and in order.
fn recovered<'a>(mut answer: &[u8], tokens: impl Iterator<Item = &'a str>) -> usize {
    let mut count = 0;
    for token in tokens {
        if let Some(at) = memmem::find(answer, token.as_bytes()) {
            answer = &answer[at + token.len()..];
            count += 1;
        }
    }
    count
}

fn variants(stream: &Stream) -> Vec<Variant> {
    let Stream { events, deltas } = stream;
    let (whole, all) = (events.concat(), deltas.len());
    let middle = events.len() / 2;
    let [before, after] = [&events[..middle], &events[middle..]].map(<[String]>::concat);
    let ping = ": ping - 2026-02-12 20:31:32.000000+00:00\n\n";
    let until_half = &whole.as_bytes()[..before.len() + events[middle].len() / 2];

    let mut random = Random::new(0x5a9e_0004);
    let parts: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    let aligned = Variant {
        name: "aligned",
        about: "each part is one event",
        arrived: all,
        reads: reads(&framed(&parts), &mut random),
    };
    let mut ragged = |name, about, arrived, bytes: &[u8]| {
        let body = framed(&ragged(bytes, 1, &mut random));
        Variant { name, about, arrived, reads: reads(&body, &mut random) }
    };
    let about = "parts of 1 to 600 bytes, cut anywhere, as are all below";
    let plain = ragged("ragged", about, all, whole.as_bytes());
    let mut flipped = Variant { name: "flipped", about: "one bit in the middle is another", ..plain.clone() };
    flipped.arrived = flip(&mut flipped.reads, stream);
    let arrived = tokens_in(&events[..middle]);
    vec![
        aligned,
        plain,
        ragged("bom", "a byte order mark first", all, format!("\u{feff}{whole}").as_bytes()),
        ragged("crlf", "lines end with CRLF", all, whole.replace('\n', "\r\n").as_bytes()),
        ragged("no-blank", "no empty lines", all, whole.replace("\n\n", "\n").as_bytes()),
        ragged("comment", "a comment in the middle", all, format!("{before}{ping}{after}").as_bytes()),
        flipped,
        ragged("cut", "ends after an event in the middle", arrived, before.as_bytes()),
        ragged("cut-within", "ends within an event, but not within a part", arrived, until_half),
    ]
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    parts.iter().for_each(|part| frame(part, &mut body));
    body
}

/// Reads of all sizes, each with its own memory.
fn reads(mut body: &[u8], random: &mut Random) -> Vec<Bytes> {
    let mut reads = Vec::new();
    while !body.is_empty() {
        let (read, rest) = body.split_at(random.between(READ.0, READ.1).min(body.len()));
        reads.push(Bytes::copy_from_slice(read));
        body = rest;
    }
    reads
}

/// Flips a bit in the payload of the middle frame. Returns the number of tokens before that frame.
fn flip(reads: &mut Vec<Bytes>, stream: &Stream) -> usize {
    let lens: Vec<usize> = reads.iter().map(Bytes::len).collect();
    let mut body = reads.concat();
    let (mut start, mut payloads) = (0, 0);
    loop {
        let number =
            |at: usize| body[at..at + 4].iter().fold(0, |number, &byte| number << 8 | usize::from(byte));
        let (total, headers) = (number(start), number(start + 4));
        let payload = total - headers - 16;
        if start + total > body.len() / 2 && payload > 0 {
            // This bit turns a letter into another letter.
            body[start + 12 + headers + payload / 2] ^= 1;
            break;
        }
        start += total;
        payloads += payload;
    }
    let mut body = Bytes::from(body);
    *reads = lens.into_iter().map(|len| body.split_to(len)).collect();

    let mut end = 0;
    let whole = stream.events.iter().take_while(|event| {
        end += event.len();
        end <= payloads
    });
    tokens_in(&stream.events[..whole.count()])
}

/// Events that contain a token.
fn tokens_in(events: &[String]) -> usize {
    let has_token = |event: &&String| {
        data(event).is_some_and(|data| data.contains("\"content\":\"") && !data.contains("\"content\":\"\""))
    };
    events.iter().filter(has_token).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_whole_and_in_order() {
        let tokens = [" a00000", "b00001", "c00002"];
        for (answer, expected) in [
            (" a00000b00001c00002", 3),
            (" a00000c00002", 2),
            ("a00000b00001c00002", 2),
            ("c00002b00001 a00000", 1),
            (" a00000b0000\u{fffd}1", 1),
            ("", 0),
        ] {
            assert_eq!(recovered(answer.as_bytes(), tokens.into_iter()), expected, "{answer}");
        }
    }

    #[test]
    fn each_token_is_its_own() {
        let lost = Lost::new(500);
        assert_eq!(lost.tokens().len(), 500);
        let text: String = lost.tokens().collect();
        assert_eq!(recovered(text.as_bytes(), lost.tokens()), 500);
        let odd: String = lost.tokens().step_by(2).collect();
        assert_eq!(recovered(odd.as_bytes(), lost.tokens()), 250);
        let raw = lost.stream.events.concat();
        assert!(!raw.is_ascii() && raw.contains('\\'));
    }

    #[test]
    fn one_bit_is_flipped_in_the_middle() {
        let lost = Lost::new(500);
        let body = |name| {
            let variant = lost.variants.iter().find(|variant| variant.name == name).unwrap();
            (variant.arrived, variant.reads.concat())
        };
        let (arrived, flipped) = body("flipped");
        assert!((240..260).contains(&arrived), "{arrived}");
        assert_eq!(body("cut").0, 251);
        let (all, plain) = body("ragged");
        assert_eq!(all, 500);
        let other = plain.iter().zip(&flipped).filter(|(plain, flipped)| plain != flipped);
        assert_eq!((plain.len(), other.count()), (flipped.len(), 1));
    }
}
