//! Anthropic Messages, OpenAI Responses, Cohere's chat and Bedrock's Converse: the meaning of streaming and non-streaming responses, and that
//! both have the same content.

mod common;
mod oracles;

use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use sagewire_codec::model::{Event, PartKind, Usage};
use sagewire_codec::{DecodeError, Decoder};
use serde_json::Value;

#[test]
fn anthropic_vectors() {
    assert!(common::run_vectors("anthropic.json") >= 30);
}

#[test]
fn responses_vectors() {
    assert!(common::run_vectors("responses.json") >= 20);
}

#[test]
fn bedrock_vectors() {
    assert!(common::run_vectors("bedrock.json") >= 50);
}

#[test]
fn cohere_vectors() {
    assert!(common::run_vectors("cohere.json") >= 40);
}

/// A Converse stream decodes to the same events from frames and from lines.
#[test]
fn frames_and_lines_have_the_same_events() {
    let vectors = common::read_json(&common::testdata("bedrock.json"));
    let vectors = vectors.as_array().expect("a list");
    let mut pairs = 0;
    for framed in vectors {
        let name = framed["name"].as_str().expect("a name");
        let Some(name) = name.strip_suffix("_in_frames") else { continue };
        let lines = vectors.iter().find(|vector| vector["name"] == name).expect("its lines");
        assert_eq!(framed["events"], lines["events"], "{name}");
        assert_eq!(framed["error"].is_null(), lines["error"].is_null(), "{name}");
        pairs += 1;
    }
    assert!(pairs >= 18);
}

/// The content of a response, independent of how it was split into events.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    model: Option<String>,
    /// Kind, text or input, and signature of each part.
    parts: Vec<(String, String, String)>,
    finish: Option<(String, Option<String>)>,
    usage: Option<Usage>,
}

fn events(body: &[u8]) -> (Vec<Event<'static>>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new();
    let mut chunk = Bytes::copy_from_slice(body);
    let mut events = Vec::new();
    loop {
        match decoder.decode(&mut chunk) {
            Ok(Some(event)) => events.push(event.into_owned()),
            Ok(None) => break,
            Err(error) => return (events, Err(error)),
        }
    }
    loop {
        match decoder.finish() {
            Ok(Some(event)) => events.push(event.into_owned()),
            Ok(None) => return (events, Ok(())),
            Err(error) => return (events, Err(error)),
        }
    }
}

fn answer(events: &[Event<'_>]) -> Answer {
    oracles::check_order(events);
    let mut answer = Answer::default();
    for event in events {
        match event {
            Event::Start { model, .. } => answer.model = model.as_ref().map(ToString::to_string),
            Event::PartStart { kind, .. } => {
                let kind = match kind {
                    PartKind::ToolCall { id, name, custom } => {
                        assert!(id.is_some());
                        format!("{} of {name}", if *custom { "custom call" } else { "call" })
                    }
                    kind => format!("{kind:?}"),
                };
                answer.parts.push((kind, String::new(), String::new()));
            }
            Event::TextDelta { text, .. }
            | Event::ReasoningDelta { text, .. }
            | Event::RefusalDelta { text, .. }
            | Event::ToolInputDelta { text, .. } => {
                answer.parts.last_mut().expect("an open part").1.push_str(text);
            }
            Event::ReasoningSignature { part, signature, .. } => {
                answer.parts[*part as usize].2.push_str(signature);
            }
            Event::Finish { reason, stop, .. } => {
                let stop = stop.as_ref().map(ToString::to_string);
                answer.finish = Some((reason.as_str().to_owned(), stop));
            }
            Event::Usage(usage) => answer.usage = Some(*usage),
            Event::Malformed { .. } => panic!("{event:?}"),
            _ => {}
        }
    }
    // Servers differ in how they format the JSON of an input.
    for (kind, text, _) in &mut answer.parts {
        if let (true, Ok(input)) = (kind.starts_with("call"), serde_json::from_str::<Value>(text)) {
            *text = input.to_string();
        }
    }
    answer
}

/// Known differences between the streaming and the non-streaming responses of the servers.
fn known_difference(server: &str, name: &str, streamed: &mut Answer, whole: &mut Answer) {
    // llama-server names the model only at the end of a Responses stream.
    if server == "llama-server" && name.starts_with("resp-") {
        (streamed.model, whole.model) = (None, None);
    }
}

#[test]
fn streaming_and_non_streaming_responses_are_equal() {
    let Some(folder) = common::shared("recorded") else {
        println!("SAGEWIRE_SHARED is not set: skipped");
        return;
    };
    let mut pairs = 0;
    for server in ["vllm", "llama-server"] {
        for file in std::fs::read_dir(folder.join(server)).expect("a folder") {
            let path = file.expect("a file").path();
            let file = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
            let Some(name) = file.strip_suffix(".stream.response.body.bin") else { continue };
            if !name.starts_with("msg-") && !name.starts_with("resp-") {
                continue;
            }
            let read = |path: &Path| events(&std::fs::read(path).expect("readable"));
            let (streamed, streamed_ending) = read(&path);
            let (whole, whole_ending) = read(&path.with_file_name(format!("{name}.json.response.body.bin")));
            let (mut streamed, mut whole) = (answer(&streamed), answer(&whole));
            known_difference(server, name, &mut streamed, &mut whole);
            assert_eq!(streamed, whole, "{server} {name}");
            match (streamed_ending, whole_ending) {
                (Ok(()), Ok(())) => assert!(!streamed.parts.is_empty() && streamed.usage.is_some()),
                (Err(streamed), Err(whole)) => {
                    let [streamed, whole] =
                        [&streamed, &whole].map(|error| error.failure().expect("its own"));
                    assert_eq!(
                        (&streamed.name, &streamed.code),
                        (&whole.name, &whole.code),
                        "{server} {name}"
                    );
                    assert!(!streamed.message.is_empty());
                }
                other => panic!("{server} {name}: {other:?}"),
            }
            pairs += 1;
        }
    }
    println!("{pairs} answers, streamed and whole");
    assert!(pairs >= 23);
}

/// The samples of the wire notes, each with its expected content.
#[test]
fn samples() {
    let Some(folder) = common::shared("wire/samples") else {
        println!("SAGEWIRE_SHARED is not set: skipped");
        return;
    };
    let read = |name: &str| {
        let body = std::fs::read(folder.join(name)).expect(name);
        let (events, ending) = common::every_cut(name, &body, |chunks| {
            let (events, ending) = common::decode(sagewire_codec::Options::new(), chunks);
            (events.len(), ending.is_ok())
        });
        assert!(events > 0 || !ending, "{name}");
        let (events, ending) = self::events(&body);
        (answer(&events), ending)
    };
    let text = |answer: &Answer| answer.parts.last().map(|(_, text, _)| text.clone()).unwrap_or_default();
    let kinds = |answer: &Answer| answer.parts.iter().map(|(kind, ..)| kind.clone()).collect::<Vec<_>>();
    for (name, parts, finish, output) in [
        ("anthropic-response-text.json", &["Text"][..], "stop", 29),
        ("anthropic-stream-text.jsonl", &["Text"], "stop", 30),
        ("anthropic-stream-message-delta-input-tokens.jsonl", &["Text"], "stop", 2),
        ("anthropic-stream-refusal.jsonl", &[], "refusal", 5),
        ("anthropic-stream-thinking.jsonl", &["Reasoning", "Text"], "stop", 53),
        ("anthropic-stream-tool-no-args.jsonl", &["Text", "call of updateIssueList"], "tool_calls", 48),
        ("bedrock-converse-response-text.json", &["Text"], "stop", 57),
        ("bedrock-converse-response-reasoning.json", &["Reasoning", "Text"], "stop", 78),
        ("bedrock-converse-stream-text.jsonl", &["Text"], "stop", 55),
        ("bedrock-converse-stream-reasoning.jsonl", &["Reasoning", "Text"], "stop", 94),
        (
            "bedrock-converse-stream-tool-no-args.jsonl",
            &["Text", "call of updateIssueList"],
            "tool_calls",
            25,
        ),
        (
            "bedrock-converse-stream-two-tools.jsonl",
            &["Text", "call of weather", "call of weather"],
            "tool_calls",
            100,
        ),
        ("bedrock-eventstream-converse.bin", &["Text"], "stop", 3),
    ] {
        let (answer, ending) = read(name);
        assert_eq!(ending, Ok(()), "{name}");
        assert_eq!(kinds(&answer), parts, "{name}");
        assert_eq!(answer.finish, Some((finish.to_owned(), None)), "{name}");
        assert_eq!(answer.usage.and_then(|usage| usage.output_tokens), Some(output), "{name}");
        let has_reasoning = parts.contains(&"Reasoning");
        assert_eq!(answer.parts.iter().any(|(.., signature)| signature.len() > 100), has_reasoning, "{name}");
    }
    let (answer, _) = read("anthropic-stream-message-delta-input-tokens.jsonl");
    assert_eq!(text(&answer), "pong");
    assert_eq!(answer.usage.and_then(|usage| usage.input_tokens), Some(61), "replaced, not added");
    let (answer, ending) = read("bedrock-eventstream-invokemodel-chunk.bin");
    assert!(text(&answer) == "Hello" && ending.is_err_and(|error| error.is_truncated()));
    let (answer, ending) = read("bedrock-eventstream-chunk-real.bin");
    assert_eq!(answer.usage.and_then(|usage| usage.input_tokens), Some(44));
    assert!(ending.is_err_and(|error| error.is_truncated()));
    let (_, ending) = read("bedrock-eventstream-throttling.bin");
    let error = ending.expect_err("an exception");
    assert_eq!(error.failure().map(|failure| failure.name.as_str()), Some("throttlingException"));
}

/// Events of a format, some of them unusual, with `raw` as the unescaped content of a string.
fn record(kind: usize, index: &str, raw: &str) -> String {
    let start = |block: &str| {
        format!("{{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{block}}}")
    };
    let delta =
        |delta: &str| format!("{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{{delta}}}}}");
    let item = |name: &str, rest: &str| {
        format!(
            "{{\"type\":\"response.{name}\",\"sequence_number\":{index},\"item_id\":\"i{index}\",{rest}}}"
        )
    };
    let block = |name: &str, rest: &str| format!("{{\"{name}\":{{\"contentBlockIndex\":{index},{rest}}}}}");
    match kind {
        0 => start("{\"type\":\"text\",\"text\":\"\"}"),
        1 => start("{\"type\":\"thinking\",\"thinking\":\"\"}"),
        2 => start("{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"),
        3 => start("{\"type\":\"server_tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"),
        4 | 5 => delta(&format!("\"type\":\"text_delta\",\"text\":\"{raw}\"")),
        6 => delta(&format!("\"type\":\"thinking_delta\",\"thinking\":\"{raw}\"")),
        7 | 8 => delta(&format!("\"type\":\"input_json_delta\",\"partial_json\":\"{raw}\"")),
        9 => delta(&format!("\"type\":\"signature_delta\",\"signature\":\"{raw}\"")),
        10 => format!("{{\"type\":\"content_block_stop\",\"index\":{index}}}"),
        20 | 21 => item("output_text.delta", &format!("\"obfuscation\":\"{raw}\",\"delta\":\"{raw}\"")),
        22 => item("reasoning_text.delta", &format!("\"delta\":\"{raw}\"")),
        23 | 24 => item("function_call_arguments.delta", &format!("\"delta\":\"{raw}\"")),
        25 => item("output_text.done", &format!("\"text\":\"{raw}\"")),
        26 => item(
            "output_item.added",
            &format!("\"item\":{{\"type\":\"function_call\",\"id\":\"i{index}\",\"name\":\"f\"}}"),
        ),
        27 => item("output_item.done", "\"item\":{\"type\":\"reasoning\",\"encrypted_content\":\"x\"}"),
        40 | 41 => block("contentBlockDelta", &format!("\"delta\":{{\"text\":\"{raw}\"}},\"p\":\"{raw}\"")),
        42 => {
            block("contentBlockDelta", &format!("\"delta\":{{\"reasoningContent\":{{\"text\":\"{raw}\"}}}}"))
        }
        43 | 44 => block("contentBlockDelta", &format!("\"delta\":{{\"toolUse\":{{\"input\":\"{raw}\"}}}}")),
        45 => block("contentBlockStart", "\"start\":{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\"}}"),
        46 => block("contentBlockStart", "\"start\":{\"image\":{\"format\":\"png\"}}"),
        _ => block("contentBlockStop", "\"p\":\"\""),
    }
}

fn stream(first: usize, count: usize) -> impl Strategy<Value = String> {
    let raw = "([a-c]|é|\\\\[nu\"0dD8]|\"|,|\\{|\\}){0,4}";
    let index = prop_oneof![8 => Just("0"), 8 => Just("1"), 4 => Just("2"), 1 => Just("01"), 1 => Just("-1")];
    prop::collection::vec((first..first + count, index, raw), 0..30).prop_map(|records| {
        let records = records.iter().map(|(kind, index, raw)| record(*kind, index, raw));
        records.map(|record| format!("data: {record}\n\n")).collect()
    })
}

proptest! {
    #[test]
    fn unusual_messages(body in stream(0, 11), seed: u8) {
        oracles::alike(body.as_bytes());
        oracles::nested(&[&[seed], body.as_bytes()].concat());
        oracles::transcode(&[&[seed], body.as_bytes()].concat());
    }

    #[test]
    fn unusual_responses(body in stream(20, 8), seed: u8) {
        oracles::alike(body.as_bytes());
        oracles::nested(&[&[seed], body.as_bytes()].concat());
        oracles::transcode(&[&[seed], body.as_bytes()].concat());
    }

    #[test]
    fn unusual_blocks(body in stream(40, 8), seed: u8) {
        oracles::alike(body.as_bytes());
        oracles::nested(&[&[seed], body.as_bytes()].concat());
        oracles::transcode(&[&[seed], body.as_bytes()].concat());
    }
}

/// The vectors take no fast path that the full parser would not take.
#[test]
fn vectors_without_shortcuts() {
    for file in ["anthropic.json", "responses.json", "bedrock.json", "cohere.json"] {
        for vector in common::read_json(&common::testdata(file)).as_array().expect("a list") {
            if let Some(text) = vector["text"].as_str() {
                oracles::alike(text.as_bytes());
                oracles::nested(&[b"7", text.as_bytes()].concat());
                if text.starts_with("event: ") {
                    oracles::transcode(&[b"7", text.as_bytes()].concat());
                }
            }
        }
    }
}
