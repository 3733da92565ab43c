//! Recorded bytes of real servers: the codec finds the same content as an independent parser, in every split.

mod common;
mod oracles;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use sagewire_codec::model::{Event, PartKind, ResponseOptions};
use sagewire_codec::{Api, DecodeError, DecodeErrorKind, Decoder, Framing, Options, Transcoder};
use serde_json::{Value, json};

/// The response that the events add up to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answer {
    choices: BTreeMap<u32, Choice>,
    usage: Option<sagewire_codec::model::Usage>,
    malformed: usize,
    others: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Choice {
    text: String,
    reasoning: String,
    refusal: String,
    /// Name, ID and input of each call.
    tools: Vec<(String, Option<String>, String)>,
    logprobs: usize,
    finish: Option<String>,
}

fn read(options: Options, chunks: Vec<Bytes>) -> (Answer, Result<(), DecodeError>) {
    let mut decoder = Decoder::with_options(options);
    let mut answer = Answer::default();
    let mut events = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(event)) => events.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => {
                    answer.add(&events);
                    return (answer, Err(error));
                }
            }
        }
    }
    let ending = loop {
        match decoder.finish() {
            Ok(Some(event)) => events.push(event.into_owned()),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    answer.add(&events);
    (answer, ending)
}

impl Answer {
    fn add(&mut self, events: &[Event<'_>]) {
        oracles::check_order(events);
        for event in events {
            match event {
                Event::PartStart { choice, kind: PartKind::ToolCall { id, name, .. }, .. } => {
                    let id = id.as_ref().map(|id| id.clone().into_owned());
                    self.choice(*choice).tools.push((name.clone().into_owned(), id, String::new()));
                }
                Event::TextDelta { choice, text, .. } => self.choice(*choice).text.push_str(text),
                Event::ReasoningDelta { choice, text, .. } => self.choice(*choice).reasoning.push_str(text),
                Event::RefusalDelta { choice, text, .. } => self.choice(*choice).refusal.push_str(text),
                Event::ToolInputDelta { choice, text, .. } => {
                    self.choice(*choice).tools.last_mut().expect("an open call").2.push_str(text);
                }
                Event::Logprobs { choice, .. } => self.choice(*choice).logprobs += 1,
                Event::Finish { choice, reason, .. } => {
                    self.choice(*choice).finish = Some(reason.as_str().to_owned());
                }
                Event::Usage(usage) => self.usage = Some(*usage),
                Event::Malformed { .. } => self.malformed += 1,
                Event::Other { name, json, .. } => {
                    self.others.push(format!("{}={}", name.as_deref().unwrap_or(""), json.as_str()));
                }
                _ => {}
            }
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        self.choices.entry(index).or_default()
    }
}

/// Unsplit, in small pieces, and split at random into parts: the response is the same each time.
fn read_every_way(name: &str, body: &[u8]) -> (Answer, Result<(), DecodeError>) {
    let whole = read(Options::new(), vec![Bytes::copy_from_slice(body)]);
    for size in [1, 7, 65_536] {
        let chunks = body.chunks(size).map(Bytes::copy_from_slice).collect();
        assert_eq!(read(Options::new().framing(Framing::Sse), chunks), whole, "{name} in chunks of {size}");
    }
    for seed in 0..4 {
        let frames = common::Random(seed).parts(body, if seed == 0 { 1 } else { 300 });
        for size in [1, 7, 1400, 65_536] {
            let chunks = frames.chunks(size).map(Bytes::copy_from_slice).collect();
            assert_eq!(read(Options::new(), chunks), whole, "{name} as frames ({seed}) in chunks of {size}");
        }
    }
    whole
}

fn check(name: &str, body: &[u8], expected: &Value) {
    let (answer, ending) = read_every_way(name, body);
    assert_eq!(answer.malformed, 0, "{name}");
    for (index, choice) in expected["choices"].as_object().expect("choices") {
        let index: u32 = index.parse().expect("an index");
        let default = Choice::default();
        let found = answer.choices.get(&index).unwrap_or(&default);
        assert_eq!(json!(found.text), choice["text"], "{name}");
        assert_eq!(json!(found.reasoning), choice["reasoning"], "{name}");
        assert_eq!(json!(found.finish), choice["finish"], "{name}");
        let tools = choice["tools"].as_object().expect("tools");
        assert_eq!(found.tools.len(), tools.len(), "{name}");
        for (index, tool) in tools {
            let (tool_name, _, input) = &found.tools[index.parse::<usize>().expect("an index")];
            assert_eq!(json!([tool_name, input]), json!([tool["name"], tool["args"]]), "{name}");
        }
    }
    assert_eq!(answer.choices.len(), expected["choices"].as_object().expect("choices").len(), "{name}");
    let counts = |name| expected["usage"][name].as_u64();
    if expected["usage"].is_null() {
        assert_eq!(answer.usage, None, "{name}");
    } else {
        let usage = answer.usage.expect(name);
        assert_eq!(usage.input_tokens, counts("prompt_tokens"), "{name}");
        assert_eq!(usage.output_tokens, counts("completion_tokens"), "{name}");
        assert_eq!(usage.total_tokens, counts("total_tokens"), "{name}");
    }
    match &expected["error"] {
        Value::Null => assert_eq!(ending, Ok(()), "{name}"),
        error => {
            let found = ending.expect_err(name);
            let failure = found.failure().expect(name);
            assert_eq!(json!(failure.message), error["message"], "{name}");
            assert_eq!(json!(failure.name), error["type"], "{name}");
            assert_eq!(failure.code, Some(error["code"].to_string()), "{name}");
            assert!(!failure.original.is_empty());
        }
    }
}

#[test]
fn recorded_streams() {
    let expected = common::read_json(&common::testdata("recorded/expected.json"));
    for (file, expected) in expected.as_object().expect("an object") {
        let body = std::fs::read(common::testdata("recorded").join(file)).expect(file);
        check(file, &body, expected);
    }
}

#[test]
fn all_recorded_streams() {
    let Some(folder) = common::shared("recorded") else {
        println!("SAGEWIRE_SHARED is not set: skipped");
        return;
    };
    let expected = common::read_json(&folder.join("expected-openai-streams.json"));
    let expected = expected.as_object().expect("an object");
    for (file, expected) in expected {
        check(file, &std::fs::read(folder.join(file)).expect(file), expected);
    }
    println!("{} streams", expected.len());
    assert!(expected.len() >= 74);
}

fn sglang(name: &str) -> (Answer, Result<(), DecodeError>) {
    let body = std::fs::read(common::testdata("recorded").join(name)).expect(name);
    read_every_way(name, &body)
}

#[test]
fn sglang_streams() {
    let (answer, ending) = sglang("sglang-chat-tool.sse");
    assert_eq!(ending, Ok(()));
    let (name, id, input) = &answer.choices[&0].tools[0];
    assert_eq!(name, "get_weather");
    assert!(id.is_some());
    assert_eq!(serde_json::from_str::<Value>(input).expect("JSON")["city"], "Köln 😀");
    assert_eq!(answer.choices[&0].finish.as_deref(), Some("tool_calls"));

    let (answer, ending) = sglang("sglang-chat-think.sse");
    assert_eq!(ending, Ok(()));
    assert!(!answer.choices[&0].reasoning.is_empty() && !answer.choices[&0].text.is_empty());

    let (answer, ending) = sglang("sglang-chat-sglext-framed.sse");
    assert_eq!(ending, Ok(()));
    assert_eq!(answer.others, ["matched_stop=2", r#"sglext={"output_ids":[[0,1,2]]}"#]);

    // A stream with an error is not complete, even with `[DONE]`.
    let (answer, ending) = sglang("sglang-chat-error-midstream.sse");
    assert_eq!(answer.choices[&0].text, "Hello!");
    let error = ending.expect_err("the model failed");
    assert_eq!(error.failure().expect("its own").message, "Out of memory, é \"x\"");

    let (answer, ending) = sglang("sglang-chat-abort.sse");
    assert_eq!(answer.choices[&0].finish, None);
    assert!(ending.expect_err("aborted").is_model_failure());
}

/// Decodes the file in `wire/samples` with this name.
fn sample(folder: &Path, name: &str) -> (Answer, Result<(), DecodeError>) {
    let body = std::fs::read(folder.join(name)).expect(name);
    let whole = read(Options::new(), vec![Bytes::from(body.clone())]);
    for size in [1, 7] {
        let chunks = body.chunks(size).map(Bytes::copy_from_slice).collect();
        assert_eq!(read(Options::new(), chunks), whole, "{name} in chunks of {size}");
    }
    whole
}

#[test]
fn wire_samples() {
    let Some(folder) = common::shared("wire/samples") else {
        println!("SAGEWIRE_SHARED is not set: skipped");
        return;
    };
    let (answer, ending) = sample(&folder, "sagemaker-eventstream-openai-sse-split.bin");
    assert_eq!((answer.choices[&0].text.as_str(), ending), ("café", Ok(())));

    let (answer, ending) = sample(&folder, "sagemaker-eventstream-modelstreamerror.bin");
    assert!(!answer.choices[&0].text.is_empty(), "LMI's record comes before it");
    let error = ending.expect_err("the service says so");
    assert_eq!((error.layer().to_string().as_str(), error.offset()), ("sagemaker", 152));
    let failure = error.failure().expect("its own");
    assert_eq!(failure.name, "ModelStreamError");
    assert_eq!(failure.code.as_deref(), Some("ModelInvocationTimeExceeded"));
    assert!(failure.message.starts_with("Your model primary did not complete"));

    let (answer, ending) = sample(&folder, "openai-chat-stream-text.jsonl");
    assert_eq!(ending, Ok(()));
    assert!(answer.choices[&0].text.starts_with("**") && answer.choices[&0].text.len() > 1_000);
    assert_eq!(answer.usage.expect("usage").output_tokens, Some(300));

    let (answer, ending) = sample(&folder, "openai-chat-stream-azure.jsonl");
    assert_eq!(ending, Ok(()));
    assert_eq!(answer.usage.expect("usage").reasoning_tokens, Some(64));

    let (answer, ending) = sample(&folder, "tgi-chat-stream-usage.sse.txt");
    assert_eq!(ending, Ok(()));
    assert_eq!(answer.choices[&0].text, "OK!");

    // There is no finish reason, but there is a terminal record.
    let (answer, ending) = sample(&folder, "tgi-chat-stream-toolcall.sse.txt");
    assert_eq!(ending, Ok(()));
    assert_eq!(answer.choices[&0].finish, None);
    let (name, id, input) = &answer.choices[&0].tools[0];
    assert_eq!((name.as_str(), id.as_deref()), ("get_current_weather", Some("0")));
    assert!(serde_json::from_str::<Value>(input).is_ok(), "{input}");

    for name in ["vllm-stream-error.sse.txt", "sglang-stream-error.sse.txt"] {
        let (_, ending) = sample(&folder, name);
        let error = ending.expect_err(name);
        assert_eq!(error.failure().expect(name).code.as_deref(), Some("500"), "{name}");
    }
    let (_, ending) = sample(&folder, "lmi-midstream-error.txt");
    assert!(ending.expect_err("it says so").is_model_failure());
}

/// Converting to OpenAI and reading the result gives the same response.
#[test]
fn output_reads_back() {
    let mut streams = 0;
    for file in std::fs::read_dir(common::testdata("recorded")).expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "sse") {
            continue;
        }
        streams += 1;
        let mut chunk = Bytes::from(std::fs::read(&path).expect("readable"));
        let (source, ending) = read(Options::new(), vec![chunk.clone()]);
        let mut transcoder =
            Transcoder::new(Options::new(), Api::OpenAi, ResponseOptions::new()).expect("it is written");
        let mut out = Vec::new();
        let end = loop {
            match transcoder.decode(&mut chunk) {
                Ok(Some(bytes)) => out.extend_from_slice(bytes),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if end.is_none() {
            while let Some(bytes) = transcoder.finish().expect("it was complete") {
                out.extend_from_slice(bytes);
            }
            assert!(out.ends_with(b"data: [DONE]\n\n"));
        } else {
            assert!(!out.ends_with(b"data: [DONE]\n\n"), "a failure does not look like success");
        }
        let (written, again) = read(Options::new(), vec![Bytes::from(out)]);
        let kept = |answer: &Answer| Answer { others: Vec::new(), ..answer.clone() };
        assert_eq!(kept(&written), kept(&source), "{}", path.display());
        match (&ending, &again) {
            (Ok(()), Ok(())) => {}
            (Err(before), Err(after)) => match (before.kind(), after.kind()) {
                (DecodeErrorKind::Failure(before), DecodeErrorKind::Failure(after)) => {
                    assert_eq!(
                        (&before.name, &before.code, &before.message),
                        (&after.name, &after.code, &after.message)
                    );
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
    assert!(streams >= 16);
}
