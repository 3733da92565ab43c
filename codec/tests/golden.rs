//! One sample stream of each format, converted to every format that can be written, with the losses. Reviewed by eye; rewrite
//! the golden files with `SAGEWIRE_GOLDEN=write`.

mod common;

use std::fs;

use bytes::Bytes;
use common::transcode;
use sagewire_codec::model::ResponseOptions;
use sagewire_codec::{Api, Options};
use serde_json::{Map, Value, json};

const SOURCES: [&str; 11] = [
    "anthropic.sse",
    "bedrock.jsonl",
    "cohere.sse",
    "completions.sse",
    "llama.sse",
    "lmi.jsonl",
    "openai.sse",
    "responses.sse",
    "sglang.sse",
    "tgi.sse",
    "triton.sse",
];

const TARGETS: [(&str, &str, Api); 6] = [
    ("anthropic", "sse", Api::Anthropic),
    ("bedrock", "jsonl", Api::Converse),
    ("completions", "sse", Api::Completions),
    ("openai", "sse", Api::OpenAi),
    ("responses", "sse", Api::Responses),
    ("tgi", "sse", Api::Tgi),
];

fn events(body: &[u8]) -> Vec<Value> {
    let (events, ending) = common::decode(Options::new(), vec![Bytes::copy_from_slice(body)]);
    assert_eq!(ending, Ok(()));
    events
}

/// The concatenated text of the first choice.
fn text(events: &[Value]) -> String {
    let deltas = events.iter().filter(|event| event["type"] == "text_delta" && event["choice"] == 0);
    deltas.filter_map(|event| event["text"].as_str()).collect()
}

/// The events without the numbers of those that only Responses has, which count all events.
fn settled(mut events: Vec<Value>) -> Vec<Value> {
    for event in events.iter_mut().filter(|event| event["type"] == "other") {
        if let Some(record) = event["json"].as_object_mut() {
            record.remove("sequence_number");
        }
    }
    events
}

#[test]
fn every_stream_converts_to_every_format() {
    let folder = common::testdata("golden");
    let path = folder.join("losses.json");
    let is_written = std::env::var_os("SAGEWIRE_GOLDEN").is_some_and(|value| value == "write");
    let mut all = Map::new();
    for source in SOURCES {
        let (from, _) = source.split_once('.').expect("a name");
        let body = fs::read(folder.join(source)).expect("a stream");
        for (to, extension, target) in TARGETS {
            let name = format!("{from}-to-{to}");
            let context = ResponseOptions::new().id("answer-1").model("model-1").created(1).latency_ms(9);
            let (out, lost, ending) = transcode(target, context, &body);
            assert_eq!(ending, Ok(()), "{name}");
            assert_eq!(text(&events(&out)), text(&events(&body)), "{name} keeps the text");
            if from == to && from != "tgi" {
                assert_eq!(settled(events(&out)), settled(events(&body)), "{name} reads back");
            }
            all.insert(name.clone(), json!(lost));
            let golden = folder.join(format!("{name}.{extension}"));
            if is_written {
                fs::write(golden, out).expect("it can be written");
            } else {
                let golden = fs::read(golden).expect("a golden stream");
                assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&golden), "{name}");
            }
        }
    }
    let all = Value::Object(all);
    if is_written {
        let text = serde_json::to_string_pretty(&all).expect("JSON");
        fs::write(path, text + "\n").expect("it can be written");
    } else {
        assert_eq!(all, common::read_json(&path));
    }
}
