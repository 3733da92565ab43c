//! One non-streaming sample response of each format, converted to every format that can be written, with the losses. Also checks
//! that it has the same content as the sample stream of the same format. Reviewed by eye; rewrite the golden files with
//! `SAGEWIRE_GOLDEN=write`.

mod common;

use std::collections::BTreeSet;
use std::fs;

use bytes::Bytes;
use common::transcode;
use sagewire_codec::model::{Choice, Content, Json, Response, ResponseOptions};
use sagewire_codec::{Api, Options};
use serde_json::{Value, json};

/// Formats of non-streaming responses, each with the file of the stream that has the same content, if there is one.
const SOURCES: [(&str, Option<&str>); 15] = [
    ("anthropic", Some("anthropic.sse")),
    ("bedrock", Some("bedrock.jsonl")),
    ("cohere", Some("cohere.sse")),
    ("completions", Some("completions.sse")),
    ("jumpstart", None),
    ("jumpstart_dialogs", None),
    ("jumpstart_text", None),
    ("llama", Some("llama.sse")),
    ("lmi", Some("lmi.jsonl")),
    ("lmi_3p", None),
    ("openai", Some("openai.sse")),
    ("responses", Some("responses.sse")),
    ("sglang", Some("sglang.sse")),
    ("tgi", Some("tgi.sse")),
    ("triton", Some("triton.sse")),
];

const TARGETS: [(&str, Api); 5] = [
    ("anthropic", Api::Anthropic),
    ("bedrock", Api::Converse),
    ("completions", Api::Completions),
    ("openai", Api::OpenAi),
    ("tgi", Api::Tgi),
];

/// The conversions that lose nothing; all others lose something.
const LOSSLESS: [(&str, &str); 12] = [
    ("anthropic", "anthropic"),
    ("bedrock", "bedrock"),
    ("completions", "completions"),
    ("jumpstart_dialogs", "tgi"),
    ("lmi_3p", "anthropic"),
    ("lmi_3p", "bedrock"),
    ("lmi_3p", "completions"),
    ("lmi_3p", "openai"),
    ("openai", "openai"),
    ("sglang", "completions"),
    ("sglang", "openai"),
    ("triton", "tgi"),
];

fn context() -> ResponseOptions {
    ResponseOptions::new().id("answer-1").model("model-1").created(1).latency_ms(9)
}

fn read(body: impl Into<Bytes>) -> Response {
    Response::read(body, Options::new()).expect("complete")
}

/// Reads a response that was written.
fn again(written: &Value) -> Response {
    read(written.to_string())
}

/// The path and the content of the golden file of a format.
fn golden(name: &str) -> (std::path::PathBuf, Value) {
    let path = common::testdata("golden").join(format!("answer-{name}.json"));
    let golden = common::read_json(&path);
    (path, golden)
}

fn is_written() -> bool {
    std::env::var_os("SAGEWIRE_GOLDEN").is_some_and(|value| value == "write")
}

/// Converts a response; returns the result and the losses.
fn convert(source: &Response, target: Api) -> (Value, Vec<String>) {
    let (written, losses) = common::write_whole(target, source, &context());
    (serde_json::from_slice(&written).expect("JSON"), losses)
}

#[test]
fn every_response_converts_to_every_format() {
    for (from, _) in SOURCES {
        let (path, mut golden) = golden(from);
        let source = read(golden["body"].to_string());
        let mut targets = serde_json::Map::new();
        for (to, target) in TARGETS {
            let (written, losses) = convert(&source, target);
            for loss in losses.iter().filter(|loss| loss.starts_with('/')) {
                let (pointer, _) = loss.split_once(": ").expect("a place");
                // If the response is a list, its first record is the response.
                let record = golden["body"].get(0).unwrap_or(&golden["body"]);
                assert!(record.pointer(pointer).is_some(), "{from} to {to}: {loss}");
            }
            assert_eq!(losses.is_empty(), LOSSLESS.contains(&(from, to)), "{from} to {to}: {losses:?}");
            if from == to && from != "tgi" {
                assert_eq!(again(&written), source, "{from} to {to} reads back");
            }
            assert_eq!(again(&written).choices[0].text(), source.choices[0].text(), "{from} to {to}");
            targets.insert(to.to_owned(), json!({"body": written, "losses": losses}));
        }
        if is_written() {
            golden["targets"] = Value::Object(targets);
            let text = serde_json::to_string_pretty(&golden).expect("JSON");
            fs::write(path, text + "\n").expect("it can be written");
        } else {
            assert_eq!(Value::Object(targets), golden["targets"], "{from}");
        }
    }
}

/// Known differences between the streaming and the non-streaming response, as read (`*`) or after conversion to a format.
const EXCEPTIONS: [Exception; 11] = [
    (
        &["llama"],
        &["*", "anthropic", "completions", "openai"],
        &["model"],
        "the last record names it, after the answer began",
    ),
    (
        &["lmi", "tgi"],
        &["*", "openai"],
        &["logprobs"],
        "a stream has them unasked for: `Options::token_logprobs`",
    ),
    (
        &["cohere", "lmi", "openai", "tgi"],
        &["completions"],
        &["logprobs"],
        "the lists of all records are one list in a whole response",
    ),
    (&["responses"], &["*", "completions", "openai"], &["others"], "a stream tells how a search fares"),
    (&["responses"], &["anthropic", "bedrock"], &["content"], "the signature comes after its part has ended"),
    (
        &["tgi"],
        &["*", "completions", "openai"],
        &["others", "others of a choice"],
        "`top_tokens` are a token's, or in the details",
    ),
    (
        &["tgi"],
        &["*", "anthropic", "bedrock", "completions", "openai"],
        &["usage"],
        "only a stream counts the input",
    ),
    (
        &["sglang"],
        &["*", "completions", "openai"],
        &["others of a choice"],
        "the tokens of a text that is streamed are not repeated",
    ),
    (&["triton"], &["bedrock"], &["usage", "others"], "a whole answer always has counts and metrics"),
    (
        &["anthropic", "bedrock", "cohere", "openai", "responses", "sglang"],
        &["tgi"],
        &["usage"],
        "it counts the input in streams only",
    ),
    (&["completions", "llama", "lmi", "tgi"], &["tgi"], &["usage"], "it counts the input in streams only"),
];

/// Source formats, target formats, the fields that differ, and why.
type Exception = (&'static [&'static str], &'static [&'static str], &'static [&'static str], &'static str);

/// The fields in which two responses differ. Tool inputs are compared as JSON values.
fn differences(one: &Response, other: &Response) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut differ = |name, is_same: bool| {
        if !is_same {
            found.push(name)
        }
    };
    differ("id", one.id == other.id);
    differ("model", one.model == other.model);
    differ("created", one.created == other.created);
    differ("usage", one.usage == other.usage);
    differ("others", others(&one.others) == others(&other.others));
    differ("format", one.api == other.api);
    differ("malformed", one.malformed == other.malformed);
    differ("choices", one.choices.len() == other.choices.len());
    for (one, other) in one.choices.iter().zip(&other.choices) {
        differ("content", content(one) == content(other));
        differ("finish", (&one.finish, &one.stop) == (&other.finish, &other.stop));
        differ("logprobs", logprobs(one) == logprobs(other));
        differ("citations", citations(one) == citations(other));
        differ("others of a choice", others(&one.others) == others(&other.others));
    }
    found
}

fn content(choice: &Choice) -> Vec<Value> {
    let parts = choice.content.iter().map(|part| match &part.content {
        Content::ToolCall { id, name, input, custom: true } => {
            json!({"id": id, "name": name, "text": **input})
        }
        Content::ToolCall { id, name, input, .. } => {
            let input = if input.is_empty() { json!({}) } else { serde_json::from_str(input).expect("JSON") };
            json!({"id": id, "name": name, "input": input})
        }
        Content::Other(json) => json!({"other": json}),
        known => json!(format!("{known:?}")),
    });
    parts.collect()
}

/// Token probabilities may be split over several entries: concatenates the tokens of all of them.
fn logprobs(choice: &Choice) -> Vec<Value> {
    let tokens = choice.logprobs.iter().flat_map(|piece| {
        let mut piece = serde_json::to_value(piece).expect("JSON");
        if let Some(content) = piece.get_mut("content") {
            piece = content.take();
        }
        match piece {
            Value::Array(tokens) => tokens,
            other => vec![other],
        }
    });
    tokens.collect()
}

fn citations(choice: &Choice) -> Vec<Value> {
    choice.citations.iter().map(|(part, json)| json!([part, json])).collect()
}

fn others(others: &[(Option<String>, Json<'static>)]) -> Value {
    let mut others: Vec<String> = others.iter().map(|other| json!(other).to_string()).collect();
    others.sort_unstable();
    json!(others)
}

/// Deltas of a block that only one format has are merged only when they are written in that format.
fn settled(response: Response) -> Response {
    let target = match response.api {
        Some(Api::Anthropic) => Api::Anthropic,
        Some(Api::Converse) => Api::Converse,
        _ => return response,
    };
    let (written, losses) = convert(&response, target);
    assert_eq!(losses, [""; 0]);
    read(written.to_string())
}

/// A streaming response has the same content as the non-streaming one, as read and after each conversion.
#[test]
fn streaming_and_non_streaming_responses_have_the_same_content() {
    if is_written() {
        return;
    }
    let mut unexpected = Vec::new();
    for (from, stream) in SOURCES {
        let Some(stream) = stream else { continue };
        let whole = read(golden(from).1["body"].to_string());
        let body = fs::read(common::testdata("golden").join(stream)).expect("a stream");
        let joined = settled(read(body.clone()));
        let mut check = |to: &str, found: Vec<&'static str>| {
            let exceptions = EXCEPTIONS.iter();
            let exceptions =
                exceptions.filter(|(of, targets, ..)| of.contains(&from) && targets.contains(&to));
            let expected: BTreeSet<_> = exceptions.flat_map(|(_, _, names, _)| *names).copied().collect();
            let found: BTreeSet<_> = found.into_iter().collect();
            if found != expected {
                unexpected.push(format!("{from} to {to}: {found:?}, not {expected:?}"));
            }
        };
        check("*", differences(&joined, &whole));
        for (to, target) in TARGETS {
            let (written, _, ending) = transcode(target, context(), &body);
            assert_eq!(ending, Ok(()), "{from} to {to}");
            let (answer, _) = convert(&whole, target);
            check(to, differences(&settled(read(written)), &again(&answer)));
        }
    }
    assert_eq!(unexpected, [""; 0], "{unexpected:#?}");
}
