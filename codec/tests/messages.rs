//! Anthropic Messages, OpenAI Responses and Bedrock's Converse, streamed and whole: what they mean, and that what is
//! streamed means the same as what is not.

mod common;
mod oracles;

use std::path::Path;

use bytes::Bytes;
use sagewire_codec::chat::{Context, Event, PartKind, Usage};
use sagewire_codec::format::bedrock::Encoding;
use sagewire_codec::{Decoder, Error, Options, Target, Transcoder};
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

/// What an answer comes to, however it was cut into events.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    model: Option<String>,
    /// Kind, text or input, and signature of each part.
    parts: Vec<(String, String, String)>,
    finish: Option<(String, Option<String>)>,
    usage: Option<Usage>,
}

fn events(body: &[u8]) -> (Vec<Event<'static>>, Result<(), Error>) {
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
                    PartKind::ToolCall { id, name } => {
                        assert!(id.is_some());
                        format!("call of {name}")
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
    // Servers write the JSON of an input as they like.
    for (kind, text, _) in &mut answer.parts {
        if let (true, Ok(input)) = (kind.starts_with("call"), serde_json::from_str::<Value>(text)) {
            *text = input.to_string();
        }
    }
    answer
}

/// What the servers say otherwise when they stream.
fn known_difference(server: &str, name: &str, streamed: &mut Answer, whole: &mut Answer) {
    // llama-server names the model at the end of a stream of Responses only.
    if server == "llama-server" && name.starts_with("resp-") {
        (streamed.model, whole.model) = (None, None);
    }
}

#[test]
fn streamed_and_whole_answers_are_equal() {
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
