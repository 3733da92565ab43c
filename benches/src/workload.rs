//! The bytes that all subjects read, made from a fixed seed, and what is truly in them.
//!
//! Nothing here uses sagewire: the frames are put together by hand, and the truth is what the generator put in.

use std::path::Path;

use bytes::Bytes;

use crate::random::Random;
use crate::recorded;
use crate::tally::{Answer, Kind, Tally};

/// The names of the workloads: four that are generated, and one of real bytes.
pub const NAMES: [&str; 5] = ["openai", "openai-ragged", "openai-tools", "openai-changing", RECORDED];

const RECORDED: &str = "recorded";

/// A stream, framed and not, and what is in it.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What it is called in the table.
    pub name: &'static str,
    /// The recording that it is made of; `None` where it is generated.
    pub source: Option<String>,
    /// The bytes that the container wrote: server-sent events.
    pub sse: Bytes,
    /// The same in event-stream frames.
    pub framed: Bytes,
    /// The JSON documents without `[DONE]`, a line each.
    pub json_lines: Bytes,
    /// Server-sent events, `[DONE]` included.
    pub records: u64,
    /// What a right decoder finds.
    pub truth: Truth,
    /// What stands before the text in a record, for the lower bound; empty where records differ too much.
    pub needle: &'static str,
}

/// What a right decoder finds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truth {
    /// Deltas of text, reasoning and tool input.
    pub text: Answer,
    /// The same deltas as JSON writes them, without quotes.
    pub raw: Answer,
    /// Payloads of the frames.
    pub frames: Expected,
    /// Data of the events.
    pub sse: Expected,
    /// Lines of the JSON documents.
    pub json_lines: Expected,
}

/// An answer as the two sorts of [`Tally`] see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// While the clock runs.
    pub timed: Answer,
    /// With every byte in the hash.
    pub thorough: Answer,
}

impl Expected {
    fn of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut timed, mut thorough) = (Tally::timed(), Tally::thorough());
        for piece in pieces {
            timed.piece(piece);
            thorough.piece(piece);
        }
        Self { timed: timed.answer(), thorough: thorough.answer() }
    }
}

impl Workload {
    /// The workload of that name with about `events` records.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn load(name: &str, events: usize) -> Result<Self, String> {
        let name =
            NAMES.into_iter().find(|known| *known == name).ok_or("there is no workload of that name")?;
        if name == RECORDED {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/testdata/recorded");
            let recording = recorded::stretch(&folder, events)?;
            let workload = Self::new(name, &recording.records, &recording.deltas, Cuts::Events, "");
            return Ok(Self { source: Some(recording.file), ..workload });
        }
        let mut script = Script::new(0x5a9e_0001);
        let needle = match name {
            "openai-tools" => {
                script.tools(events);
                "\"arguments\":\""
            }
            "openai-changing" => {
                script.changing(events);
                "\"content\":\""
            }
            _ => {
                script.plain(events);
                "\"content\":\""
            }
        };
        let cuts = if name == "openai-ragged" { Cuts::Ragged } else { Cuts::Events };
        Ok(Self::new(name, &script.records, &script.deltas, cuts, needle))
    }

    /// A workload of these records and the deltas that are in them.
    pub fn new(
        name: &'static str,
        records: &[String],
        deltas: &[(Kind, String)],
        cuts: Cuts,
        needle: &'static str,
    ) -> Self {
        let events: Vec<String> = records.iter().map(|record| format!("data: {record}\n\n")).collect();
        let documents: Vec<&str> =
            records.iter().map(String::as_str).filter(|record| *record != DONE).collect();
        let sse = events.concat().into_bytes();
        let parts: Vec<&[u8]> = match cuts {
            Cuts::Events => events.iter().map(|event| event.as_bytes()).collect(),
            Cuts::Ragged => ragged(&sse),
        };
        let mut framed = Vec::new();
        parts.iter().for_each(|part| frame(part, &mut framed));

        let (mut text, mut raw) = (Tally::thorough(), Tally::thorough());
        for (kind, delta) in deltas {
            text.text(*kind, delta);
            let json = serde_json::Value::from(delta.as_str()).to_string();
            raw.text(*kind, &json[1..json.len() - 1]);
        }
        let truth = Truth {
            text: text.answer(),
            raw: raw.answer(),
            frames: Expected::of(parts.iter().copied()),
            sse: Expected::of(records.iter().map(|record| record.as_bytes())),
            json_lines: Expected::of(documents.iter().map(|document| document.as_bytes())),
        };
        Self {
            name,
            source: None,
            records: records.len() as u64,
            json_lines: Bytes::from(documents.join("\n") + "\n"),
            framed: Bytes::from(framed),
            truth,
            needle,
            sse: Bytes::from(sse),
        }
    }
}

/// Where the service cuts the container's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// After each event, as a server that flushes each event makes likely.
    Events,
    /// Anywhere: every 20 to 600 bytes, also within characters.
    Ragged,
}

fn ragged(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut random = Random::new(0x5a9e_0002);
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (part, rest) = bytes.split_at(random.between(20, 600).min(bytes.len()));
        parts.push(part);
        bytes = rest;
    }
    parts
}

/// Appends one `PayloadPart` frame, with the headers and in the order that SageMaker sends.
fn frame(payload: &[u8], out: &mut Vec<u8>) {
    let headers = b"\x0b:event-type\x07\x00\x0bPayloadPart\
        \x0d:content-type\x07\x00\x18application/octet-stream\
        \x0d:message-type\x07\x00\x05event";
    let start = out.len();
    let total = 12 + headers.len() + payload.len() + 4;
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
}

/// The record that ends a stream.
pub const DONE: &str = "[DONE]";

/// Writes the records of a stream, in the shape of vLLM's.
struct Script {
    random: Random,
    id: String,
    created: u64,
    records: Vec<String>,
    deltas: Vec<(Kind, String)>,
}

impl Script {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let id = format!("chatcmpl-{:016x}{:016x}", random.next(), random.next());
        Self { random, id, created: 1_770_933_892, records: Vec::new(), deltas: Vec::new() }
    }

    /// Text, a token a record.
    fn plain(&mut self, events: usize) {
        self.chunk(r#"{"role":"assistant","content":""}"#, "null", "null", "");
        for _ in 0..events.saturating_sub(4) {
            let text = self.token();
            self.chunk(&format!(r#"{{"content":{}}}"#, json(&text)), "null", "null", "");
            self.deltas.push((Kind::Text, text));
        }
        self.end("stop", "");
    }

    /// What spoils the likeness of records: a clock in each, and probabilities on some.
    fn changing(&mut self, events: usize) {
        let usage = r#","usage":null"#;
        self.chunk(r#"{"role":"assistant","content":""}"#, "null", "null", usage);
        let mut until_tick = 0;
        for _ in 0..events.saturating_sub(4) {
            if until_tick == 0 {
                self.created += 1;
                until_tick = self.random.between(2, 6);
            }
            until_tick -= 1;
            let text = self.token();
            let quoted = json(&text);
            let logprobs = if self.random.between(1, 5) == 1 {
                let bytes = text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",");
                let logprob = -(self.random.between(1, 99_999) as f64) / 1e5;
                format!(
                    r#"{{"content":[{{"token":{quoted},"logprob":{logprob},"bytes":[{bytes}],"top_logprobs":[]}}]}}"#
                )
            } else {
                "null".to_owned()
            };
            self.chunk(&format!(r#"{{"content":{quoted}}}"#), &logprobs, "null", usage);
            self.deltas.push((Kind::Text, text));
        }
        self.end("stop", usage);
    }

    /// Tool calls, one after the other, a token of their input a record.
    fn tools(&mut self, events: usize) {
        self.chunk(r#"{"role":"assistant","content":""}"#, "null", "null", "");
        let deltas = events.saturating_sub(4);
        // A decoder may bound the calls of one answer, so a longer stream has longer ones.
        let call_len = (deltas / 256).max(16).min(deltas);
        let deltas = deltas - deltas % call_len;
        for event in 0..deltas {
            let index = event / call_len;
            if event % call_len == 0 {
                let id = format!("chatcmpl-tool-{:016x}{:016x}", self.random.next(), self.random.next());
                self.chunk(
                    &format!(
                        r#"{{"tool_calls":[{{"id":"{id}","type":"function","index":{index},"function":{{"name":"get_weather","arguments":""}}}}]}}"#
                    ),
                    "null",
                    "null",
                    "",
                );
                continue;
            }
            let text = match event % call_len {
                1 => "{\"city\": \"".to_owned(),
                at if at + 1 == call_len => "\"}".to_owned(),
                // The input is itself a JSON text, so what JSON escapes is escaped twice on the wire.
                _ => {
                    let quoted = json(&self.token());
                    quoted[1..quoted.len() - 1].to_owned()
                }
            };
            self.chunk(
                &format!(
                    r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":{}}}}}]}}"#,
                    json(&text)
                ),
                "null",
                "null",
                "",
            );
            self.deltas.push((Kind::ToolInput, text));
        }
        self.end("tool_calls", "");
    }

    fn chunk(&mut self, delta: &str, logprobs: &str, finish: &str, usage: &str) {
        let Self { id, created, .. } = self;
        self.records.push(format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{{"index":0,"delta":{delta},"logprobs":{logprobs},"finish_reason":{finish}}}]{usage}}}"#
        ));
    }

    fn end(&mut self, reason: &str, usage: &str) {
        self.chunk(r#"{"content":""}"#, "null", &format!(r#""{reason}","stop_reason":null"#), usage);
        let (Self { id, created, .. }, output) = (&*self, self.deltas.len());
        let total = 16 + output;
        self.records.push(format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[],"usage":{{"prompt_tokens":16,"total_tokens":{total},"completion_tokens":{output}}}}}"#
        ));
        self.records.push(DONE.to_owned());
    }

    /// A token as a tokeniser has them: mostly a space and a word, now and then something that JSON escapes or that
    /// takes more than one byte a character.
    fn token(&mut self) -> String {
        let random = &mut self.random;
        match random.between(0, 99) {
            0..=3 => ["\n", "\n\n", " \"", "\",", "\\", "\t"][random.between(0, 5)].to_owned(),
            4..=7 => {
                ["é", " naïve", " Zürich", "东京", "です", " 🙂", "–", " €"][random.between(0, 7)].to_owned()
            }
            8..=19 => [",", ".", ":", " (", ")", "-", "'s", ";"][random.between(0, 7)].to_owned(),
            space => {
                let len = random.between(1, 9);
                let letters = (0..len).map(|_| char::from(b'a' + random.between(0, 25) as u8));
                if space < 85 { [' '].into_iter().chain(letters).collect() } else { letters.collect() }
            }
        }
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
