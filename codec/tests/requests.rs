//! Requests: read, written, converted, and what is lost on the way.

mod common;

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use sagewire_codec::chat::request::{Content, Message, Param, Part, Role, Source, Tool, ToolChoice};
use sagewire_codec::chat::{
    FirstMessage, Json, Losses, Outcome, Rendered, Request, RequestFormat, Settings, SystemPlacement,
    ZeroTemperature,
};
use sagewire_codec::format::{read_request, write_request};
use sagewire_codec::{Error, Layer};
use serde_json::{Value, json};

const FORMATS: [(&str, RequestFormat); 10] = [
    ("openai", RequestFormat::OpenAi),
    ("completions", RequestFormat::Completions),
    ("bedrock", RequestFormat::Bedrock),
    ("anthropic", RequestFormat::Anthropic),
    ("tgi", RequestFormat::Tgi),
    ("lmi", RequestFormat::Lmi),
    ("jumpstart", RequestFormat::JumpStart),
    ("jumpstart_text", RequestFormat::JumpStartText),
    ("jumpstart_dialogs", RequestFormat::JumpStartDialogs),
    ("triton", RequestFormat::Triton),
];

fn named(name: &str) -> RequestFormat {
    FORMATS.iter().find(|(known, _)| *known == name).expect("a format").1
}

/// Any setting that changes nothing here: the request is written anew instead of copied.
fn anew<'a>() -> Settings<'a> {
    Settings::new().first_message(FirstMessage::Leave)
}

/// A template that says everything plainly.
fn plain(messages: &[Message<'_>], _: &[Tool<'_>]) -> Result<Rendered, String> {
    let mut rendered = Rendered::default();
    for message in messages {
        rendered.text.push_str(&format!("{:?}:", message.role));
        for part in &message.content {
            match &part.content {
                Content::Text(text) => rendered.text.push_str(&format!(" {text}")),
                _ => rendered.lost.push((part.at, "content", Outcome::Dropped, "the template has text only".into())),
            }
        }
        rendered.text.push('\n');
    }
    Ok(rendered)
}

fn convert(from: &str, to: &str, body: &Value) -> Result<(Value, Losses), Error> {
    convert_with(from, to, body, &Settings::new().render(&plain))
}

fn convert_with(from: &str, to: &str, body: &Value, settings: &Settings<'_>) -> Result<(Value, Losses), Error> {
    let source = body.to_string();
    let request = read_request(named(from), source.as_bytes())?;
    let (written, losses) = write_request(named(to), &request, settings)?;
    let written = serde_json::from_slice(&written).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&written));
    });
    for loss in losses.as_slice() {
        if loss.what.starts_with('/') {
            assert!(body.pointer(&loss.what).is_some(), "{loss} is a place in {body}");
        }
    }
    Ok((written, losses))
}

fn lines(losses: &Losses) -> Vec<String> {
    losses.as_slice().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_read_comes_back() {
    let vectors = common::read_json(&common::testdata("requests.json"));
    let vectors = vectors["identity"].as_array().expect("a list");
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{name} says why");
        let format = named(vector["format"].as_str().expect("a format"));
        for source in [vector["body"].to_string(), serde_json::to_string_pretty(&vector["body"]).expect("JSON")] {
            let request = read_request(format, source.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (copied, losses) = write_request(format, &request, &Settings::new()).expect("it can be written");
            assert_eq!(String::from_utf8_lossy(&copied), source, "{name}");
            assert!(losses.is_empty(), "{name}: {losses:?}");
            // The same through the canonical model.
            let (written, losses) = write_request(format, &request, &anew()).expect("it can be written");
            let written: Value = serde_json::from_slice(&written).expect("JSON");
            // Some are not written as they were; an object that becomes a string keeps its spaces.
            let is_pretty = source.contains('\n') && vector.get("rewritten").is_some();
            if vector["rewrites"].is_null() && !is_pretty {
                let mut expected = vector.get("rewritten").unwrap_or(&vector["body"]).clone();
                if let Some(dropped) = vector["rewritten_drops"].as_str() {
                    let (object, member) = dropped.rsplit_once('/').expect("a pointer");
                    expected.pointer_mut(object).and_then(Value::as_object_mut).expect("it is there").remove(member);
                }
                assert_eq!(written, expected, "{name}");
                assert!(losses.is_empty(), "{name}: {losses:?}");
            }
            // What was written anew says the same to the reader, and so does not change again.
            let text = written.to_string();
            let again = read_request(format, text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (second, _) = write_request(format, &again, &anew()).expect("it can be written");
            let second: Value = serde_json::from_slice(&second).expect("JSON");
            assert_eq!(second, written, "{name} a second time");
        }
    }
    assert!(vectors.len() >= 40, "{}", vectors.len());
}

#[test]
fn what_is_no_request_is_refused_with_its_place() {
    let vectors = common::read_json(&common::testdata("requests.json"));
    for vector in vectors["errors"].as_array().expect("a list") {
        let text = vector["text"].as_str().expect("a text");
        let error = read_request(named(vector["format"].as_str().expect("a format")), text.as_bytes());
        let error = error.expect_err(text);
        assert_eq!(error.to_string(), vector["error"], "{text}");
        assert_eq!(error.layer(), Layer::Format);
        assert!(error.is_corrupt());
    }
    let error = read_request(RequestFormat::OpenAi, b"{\"a\":\"\xff\"}").expect_err("not UTF-8");
    assert_eq!(error.to_string(), "format: byte 6: malformed JSON: not UTF-8");
}

/// One conversation with everything in it, from each format into every other, with what is lost. Reviewed by eye; written
/// anew with `SAGEWIRE_GOLDEN=write`.
#[test]
fn golden_conversions() {
    let folder = PathBuf::from(common::testdata("golden"));
    let mut count = 0;
    let mut files: Vec<_> = fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("request-")));
    for path in files {
        let mut golden: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        let from = golden["format"].as_str().expect("a format").to_owned();
        let mut targets = serde_json::Map::new();
        for (to, _) in FORMATS {
            let result = match convert(&from, to, &golden["body"]) {
                Ok((body, losses)) => json!({"body": body, "losses": lines(&losses)}),
                Err(error) => json!({"error": error.to_string()}),
            };
            targets.insert(to.to_owned(), result);
            count += 1;
        }
        if std::env::var_os("SAGEWIRE_GOLDEN").is_some_and(|value| value == "write") {
            golden["targets"] = Value::Object(targets);
            let text = serde_json::to_string_pretty(&golden).expect("JSON");
            fs::write(&path, text + "\n").expect("it can be written");
            continue;
        }
        for (to, result) in targets {
            assert_eq!(result, golden["targets"][&to], "{from} to {to}");
        }
    }
    assert!(count >= 50, "{count}");
}
