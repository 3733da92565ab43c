//! Streams that were recorded from real servers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::decode;

const OUTPUTS: [&str; 6] = ["text", "events", "sse", "openai", "bedrock", "bedrock-wire"];

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/testdata/recorded")
}

/// The files of a directory for which `fits` accepts the name, with their names.
fn files(folder: &Path, fits: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named.filter(|(name, _)| fits(name)).map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

#[test]
fn the_text_matches_that_of_an_independent_reader() {
    let expected = fs::read(recorded().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    for (name, response) in expected.as_object().unwrap() {
        let input = fs::read(recorded().join(name)).unwrap();
        let run = decode(&[], &input);
        assert_eq!(run.text(), response["choices"]["0"]["text"].as_str().unwrap_or_default(), "{name}");
        if response["error"].is_null() {
            run.succeeds();
        } else {
            run.fails(4);
        }
    }
}

#[test]
fn no_output_of_a_recording_depends_on_the_size_of_chunks() {
    for (name, input) in files(&recorded(), |name| name.ends_with(".sse")) {
        let code = decode(&[], &input).code;
        for to in OUTPUTS {
            let run = decode(&["--to", to], &input);
            assert!(run.code == code || to == "sse", "{name} {to} {run:?}");
        }
    }
}

#[test]
fn wire_samples_are_decoded() {
    let Some(shared) = std::env::var_os("SAGEWIRE_SHARED") else {
        println!("skipped: SAGEWIRE_SHARED is not set");
        return;
    };
    let samples = files(&Path::new(&shared).join("wire/samples"), |name| {
        let is = |start, end| name.starts_with(start) && name.ends_with(end);
        is("sagemaker-eventstream-", ".bin")
            || is("openai-chat-stream-", ".jsonl")
            || is("tgi-chat-stream-", ".sse.txt")
    });
    assert!(samples.len() >= 6);
    for (name, input) in samples {
        for to in OUTPUTS {
            let run = decode(&["--to", to], &input);
            match name.as_str() {
                "sagemaker-eventstream-modelstreamerror.bin" => {
                    assert!(run.fails(4).contains("ModelStreamError (ModelInvocationTimeExceeded): "));
                }
                _ => assert_eq!(run.code, 0, "{name} {to} {run:?}"),
            }
        }
        if name.ends_with(".bin") {
            let frames = decode(&["--to", "frames"], &input);
            let code = if name.contains("modelstreamerror") { 4 } else { 0 };
            assert!(frames.code == code && !frames.lines().is_empty(), "{name} {frames:?}");
        }
        if let Some(text) = text(&name, &input) {
            assert_eq!(decode(&[], &input).text(), text, "{name}");
        }
    }
}

/// The text of a stream with one document per line, extracted by a simple reader.
fn text(name: &str, input: &[u8]) -> Option<String> {
    let lines = std::str::from_utf8(input).ok().filter(|_| !name.ends_with(".bin"))?.lines();
    let documents = lines
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ").unwrap_or(line)).ok());
    let text = |document: Value| Some(document["choices"][0]["delta"]["content"].as_str()?.to_string());
    Some(documents.filter_map(text).collect())
}
