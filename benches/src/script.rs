//! Generates OpenAI streams from a seed, together with their deltas.

use crate::openai_stream::{DONE, Stream};
use crate::random::Random;
use crate::tally::Kind;

/// Writes the records of a stream, in vLLM's shape.
#[derive(Clone, Debug)]
pub struct Script {
    random: Random,
    id: String,
    created: u64,
    records: Vec<String>,
    deltas: Vec<(Kind, String)>,
}

impl Script {
    /// An empty script. The same seed gives the same stream.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let id = format!("chatcmpl-{:016x}{:016x}", random.next(), random.next());
        Self { random, id, created: 1_770_933_892, records: Vec::new(), deltas: Vec::new() }
    }

    /// A text stream of `events` records, with one token per record.
    #[must_use]
    pub fn plain(mut self, events: usize) -> Stream {
        self.text(events.saturating_sub(4), |token, _| token)
    }

    /// A text stream of `tokens` tokens, with one token per record. Each token ends with its number, so that it is unique.
    #[must_use]
    pub fn numbered(mut self, tokens: usize) -> Stream {
        self.text(tokens, |token, number| format!("{token}{number:05}"))
    }

    fn text(&mut self, tokens: usize, of: impl Fn(String, usize) -> String) -> Stream {
        self.chunk(r#"{"role":"assistant","content":""}"#, "null", "null", "");
        for number in 0..tokens {
            let text = of(token(&mut self.random), number);
            self.chunk(&format!(r#"{{"content":{}}}"#, json(&text)), "null", "null", "");
            self.deltas.push((Kind::Text, text));
        }
        self.end("stop", "")
    }

    /// A text stream whose records differ: each has a timestamp, and some have log probabilities.
    #[must_use]
    pub fn changing(mut self, events: usize) -> Stream {
        let usage = r#","usage":null"#;
        self.chunk(r#"{"role":"assistant","content":""}"#, "null", "null", usage);
        let mut until_tick = 0;
        for _ in 0..events.saturating_sub(4) {
            if until_tick == 0 {
                self.created += 1;
                until_tick = self.random.between(2, 6);
            }
            until_tick -= 1;
            let text = token(&mut self.random);
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
        self.end("stop", usage)
    }

    /// Consecutive tool calls, with one token of their input per record.
    #[must_use]
    pub fn tools(mut self, events: usize) -> Stream {
        self.chunk(r#"{"role":"assistant","content":""}"#, "null", "null", "");
        let deltas = events.saturating_sub(4);
        // A decoder may bound the number of calls, so a longer stream has longer calls.
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
                // The input is itself JSON, so its escapes are escaped again.
                _ => {
                    let quoted = json(&token(&mut self.random));
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
        self.end("tool_calls", "")
    }

    fn chunk(&mut self, delta: &str, logprobs: &str, finish: &str, usage: &str) {
        let Self { id, created, .. } = self;
        self.records.push(format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{{"index":0,"delta":{delta},"logprobs":{logprobs},"finish_reason":{finish}}}]{usage}}}"#
        ));
    }

    fn end(&mut self, reason: &str, usage: &str) -> Stream {
        self.chunk(r#"{"content":""}"#, "null", &format!(r#""{reason}","stop_reason":null"#), usage);
        let (Self { id, created, .. }, output) = (&*self, self.deltas.len());
        let total = 16 + output;
        self.records.push(format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[],"usage":{{"prompt_tokens":16,"total_tokens":{total},"completion_tokens":{output}}}}}"#
        ));
        self.records.push(DONE.to_owned());
        let events = self.records.drain(..).map(|record| format!("data: {record}\n\n")).collect();
        Stream { events, deltas: std::mem::take(&mut self.deltas) }
    }
}

/// A typical token: mostly a space and a word, sometimes with an escape in JSON or with
/// multi-byte characters.
pub fn token(random: &mut Random) -> String {
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

/// A text as a JSON string.
pub fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
