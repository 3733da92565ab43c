//! The prompts of a load test: from a file, or synthetic.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use sagewire_codec::model::{Message, Param, Request, Role};
use sagewire_codec::{Api, read_request};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde_json::Value;

/// Prompts that are kept at most. They are sent again in the same order when all were sent.
pub const PROMPTS_MAX: usize = 10_000;
/// Bytes of all prompts, at most.
const BYTES_MAX: usize = 256 << 20;
/// The longest line of a file, in bytes.
const LINE_MAX: u64 = 32 << 20;

/// The prompts of a load test.
#[derive(Clone, Debug, Default)]
pub struct Prompts {
    /// The requests, at most [`PROMPTS_MAX`].
    pub requests: Vec<Request<'static>>,
    /// Conversations that do not begin with a message of a user.
    pub skipped: usize,
    /// Bytes of what was read.
    bytes: usize,
}

/// Why a file has no prompts, in one line with the name of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPrompts(String);

impl fmt::Display for InvalidPrompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidPrompts {}

impl Prompts {
    /// Reads the first `max` prompts of a file.
    ///
    /// - `.jsonl`: one prompt in each line. It is a chat completions request of OpenAI with its parameters; or an array of its
    ///   messages; or an object with `prompt`, and possibly `output_tokens`, as vLLM's benchmark has it; or a conversation of
    ///   ShareGPT.
    /// - `.json`: an array of conversations of ShareGPT, each with `conversations`. The prompt is what precedes the first message
    ///   of the assistant, as in vLLM's benchmark.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or contains something else, or no prompt.
    pub fn read(path: &Path, max: usize) -> Result<Self, InvalidPrompts> {
        let failed = |reason: &dyn fmt::Display| InvalidPrompts(format!("{}: {reason}", path.display()));
        let mut file = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_array = match extension {
            Some("jsonl" | "ndjson") => false,
            Some("json") => true,
            _ => file.fill_buf().map_err(|error| failed(&error))?.trim_ascii_start().starts_with(b"["),
        };
        let mut prompts = Self::default();
        let max = max.clamp(1, PROMPTS_MAX);
        match is_array {
            true => prompts.read_array(file, max).map_err(|error| failed(&error))?,
            false => prompts
                .read_lines(file, max)
                .map_err(|(line, reason)| InvalidPrompts(format!("{}:{line}: {reason}", path.display())))?,
        }
        match prompts.requests.is_empty() {
            true => Err(failed(&"has no prompts")),
            false => Ok(prompts),
        }
    }

    /// `count` prompts of this many words, all different. A common word is about one token.
    pub fn synthetic(words: usize, count: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = count.clamp(1, PROMPTS_MAX).min(BYTES_MAX / (8 * words.max(1))).max(1);
        let mut prompt = || {
            let mut text = String::new();
            for at in 0..words.max(1) {
                text += if at > 0 { " " } else { "" };
                text += WORDS[random.usize(..WORDS.len())];
            }
            request(vec![Message::user(text)])
        };
        Self { requests: (0..count).map(|_| prompt()).collect(), ..Self::default() }
    }

    fn is_full(&self, max: usize) -> bool {
        self.requests.len() >= max || self.bytes >= BYTES_MAX
    }

    fn read_lines(&mut self, mut file: impl BufRead, max: usize) -> Result<(), (usize, String)> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = file.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
            match read.map_err(|error| (number, error.to_string()))? {
                0 => break,
                len if len as u64 == LINE_MAX => {
                    return Err((number, format!("longer than {LINE_MAX} bytes")));
                }
                _ if line.trim_ascii().is_empty() => continue,
                len => self.bytes += len,
            }
            self.add_line(line.trim_ascii()).map_err(|reason| (number, reason))?;
            if self.is_full(max) {
                break;
            }
        }
        Ok(())
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), String> {
        if line.starts_with(b"[") {
            let whole = [br#"{"messages":"#, line, b"}"].concat();
            return self.add_chat(&whole);
        }
        #[derive(Deserialize)]
        struct Line {
            prompt: Option<Value>,
            conversations: Option<Vec<Turn>>,
        }
        let found: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        match found {
            Line { conversations: Some(turns), .. } => self.add_conversation(turns),
            Line { prompt: Some(_), .. } => self.requests.push(prompt(line)?),
            _ => self.add_chat(line)?,
        }
        Ok(())
    }

    fn add_chat(&mut self, body: &[u8]) -> Result<(), String> {
        let request = read_request(Api::OpenAi, body).map_err(|error| error.to_string())?;
        if request.messages.is_empty() {
            return Err("/messages: has no message".into());
        }
        self.requests.push(request.into_owned());
        Ok(())
    }

    fn read_array(&mut self, file: impl Read, max: usize) -> Result<(), serde_json::Error> {
        let mut json = serde_json::Deserializer::from_reader(file);
        match (Conversations { prompts: self, max }).deserialize(&mut json) {
            Ok(()) => json.end(),
            // The rest is not read.
            Err(_) if self.is_full(max) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn add_conversation(&mut self, turns: Vec<Turn>) {
        let is_reply = |turn: &Turn| matches!(&*turn.from, "gpt" | "chatgpt" | "assistant" | "bing" | "bard");
        let messages = turns.into_iter().take_while(|turn| !is_reply(turn)).map(|turn| match &*turn.from {
            "human" | "user" => Some(Message::user(turn.value)),
            "system" => Some(Message::system(turn.value)),
            _ => None,
        });
        match messages.collect::<Option<Vec<_>>>() {
            Some(messages) if messages.iter().any(|message| message.role == Role::User) => {
                self.requests.push(request(messages));
            }
            _ => self.skipped += 1,
        }
    }
}

/// A message of a conversation of ShareGPT.
#[derive(Deserialize)]
struct Turn {
    from: String,
    value: String,
}

/// Reads an array of conversations without keeping all of it.
struct Conversations<'p> {
    prompts: &'p mut Prompts,
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Conversations<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Conversations<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of conversations of ShareGPT")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        struct Conversation {
            conversations: Vec<Turn>,
        }
        while let Some(Conversation { conversations }) = array.next_element()? {
            self.prompts.bytes += conversations.iter().map(|turn| turn.value.len()).sum::<usize>();
            self.prompts.add_conversation(conversations);
            if self.prompts.is_full(self.max) {
                return Err(A::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

/// A line of vLLM's custom dataset.
fn prompt(line: &[u8]) -> Result<Request<'static>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Prompt {
        prompt: String,
        output_tokens: Option<u64>,
    }
    let prompt: Prompt = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let mut request = request(vec![Message::user(prompt.prompt)]);
    request.max_tokens = prompt.output_tokens.map(Param::new);
    Ok(request)
}

fn request(messages: Vec<Message<'static>>) -> Request<'static> {
    let mut request = Request::default();
    request.messages = messages;
    request
}

/// Common words, which are one token each in the usual vocabularies.
const WORDS: [&str; 64] = [
    "the", "of", "and", "to", "in", "that", "it", "was", "for", "on", "are", "with", "as", "at", "be",
    "this", "have", "from", "or", "one", "had", "by", "word", "but", "not", "what", "all", "were", "when",
    "your", "can", "said", "there", "use", "an", "each", "which", "she", "do", "how", "their", "if", "will",
    "up", "other", "about", "out", "many", "then", "them", "these", "so", "some", "her", "would", "make",
    "like", "him", "into", "time", "has", "look", "two", "more",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Writes a file and reads it.
    fn read(name: &str, content: &str, max: usize) -> Result<Prompts, String> {
        let directory = std::env::temp_dir().join(format!("sagewire-prompts-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        let prompts = Prompts::read(&path, max).map_err(|error| error.to_string());
        std::fs::remove_file(path).unwrap();
        prompts
    }

    fn text(request: &Request<'_>) -> String {
        sagewire_codec::write_request(Api::OpenAi, request, &Default::default())
            .map(|(body, _)| String::from_utf8(body).unwrap())
            .unwrap()
    }

    #[test]
    fn lines_are_chats_prompts_or_conversations() {
        let lines = [
            r#"{"messages":[{"role":"user","content":"a"}],"temperature":0.5}"#,
            "",
            r#"[{"role":"system","content":"s"},{"role":"user","content":"b"}]"#,
            r#"{"prompt":"c","output_tokens":9}"#,
            r#"{"id":"x","conversations":[{"from":"human","value":"d"},{"from":"gpt","value":"e"}]}"#,
            r#"{"conversations":[{"from":"gpt","value":"e"}]}"#,
        ];
        let prompts = read("all.jsonl", &lines.join("\n"), 100).unwrap();
        let bodies: Vec<String> = prompts.requests.iter().map(text).collect();
        assert_eq!(
            bodies,
            [
                r#"{"messages":[{"role":"user","content":"a"}],"temperature":0.5}"#,
                r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"b"}]}"#,
                r#"{"messages":[{"role":"user","content":"c"}],"max_tokens":9}"#,
                r#"{"messages":[{"role":"user","content":"d"}]}"#,
            ]
        );
        assert_eq!(prompts.skipped, 1);
        assert_eq!(read("all.jsonl", &lines.join("\n"), 2).unwrap().requests.len(), 2);
    }

    #[test]
    fn an_array_has_conversations() {
        let conversation = r#"{"id":"1","conversations":[{"from":"system","value":"s"},{"from":"human","value":"a"},
            {"from":"gpt","value":"b"},{"from":"human","value":"c"}]}"#;
        let content = format!("[{conversation},{conversation},{conversation}]");
        let prompts = read("sharegpt.json", &content, 100).unwrap();
        assert_eq!(prompts.requests.len(), 3);
        let body = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]}"#;
        assert_eq!(text(&prompts.requests[2]), body);
        // What follows is not read, even if it is no JSON.
        assert_eq!(
            read("sharegpt.json", &format!("[{conversation},{conversation}, no"), 2).unwrap().requests.len(),
            2
        );
    }

    #[test]
    fn invalid_files_are_refused_with_their_line() {
        for (name, content, reason) in [
            ("a.jsonl", "", "a.jsonl: has no prompts"),
            ("a.jsonl", "\n{\"messages\":[]}", "a.jsonl:2: /messages: has no message"),
            ("a.jsonl", "{\"messages\":[{\"role\":7}]}", "a.jsonl:1: "),
            ("a.jsonl", "hello", "a.jsonl:1: "),
            ("a.jsonl", r#"{"prompt":"a","temperature":0}"#, "a.jsonl:1: unknown field `temperature`"),
            ("a.jsonl", r#"{"prompt":7}"#, "a.jsonl:1: invalid type"),
            ("a.json", "[{\"id\":7}]", "missing field `conversations`"),
            ("a.json", "{}", "an array of conversations of ShareGPT"),
            ("a.json", r#"[{"conversations":[]}]"#, "has no prompts"),
        ] {
            let error = read(name, content, 9).unwrap_err();
            assert!(error.contains(reason), "{content}: {error}");
        }
        let missing = Prompts::read(Path::new("/no/such/file.jsonl"), 1).unwrap_err().to_string();
        assert!(missing.starts_with("/no/such/file.jsonl: "), "{missing}");
    }

    #[test]
    fn synthetic_prompts_differ_and_are_reproducible() {
        let prompts = Prompts::synthetic(12, 50, 7).requests;
        let texts: HashSet<String> = prompts.iter().map(text).collect();
        assert_eq!(texts.len(), 50);
        assert!(texts.iter().all(|text| text.matches(' ').count() == 11), "{texts:?}");
        assert_eq!(prompts, Prompts::synthetic(12, 50, 7).requests);
        assert_ne!(prompts, Prompts::synthetic(12, 50, 8).requests);
    }
}
