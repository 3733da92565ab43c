//! Streams, responses and requests of Responses are accepted by OpenAI's own Python client: its decoder of server-sent events, its
//! typed models with strict validation, and the types of its parameters. Skipped where Python or its packages are missing;
//! `SAGEWIRE_PYTHON` names the interpreter.

mod common;

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use sagewire_codec::model::{ConversionOptions, Response, ResponseOptions};
use sagewire_codec::{Api, Options, convert_request};
use serde_json::{Value, json};

/// The bytes of the records of a vector.
fn stream(api: Api, records: &Value) -> String {
    let record = |record: &Value| match (api, record.as_str()) {
        (Api::Converse, _) => format!("{record}\n"),
        (_, Some(word)) => format!("data: {word}\n\n"),
        _ => format!("data: {record}\n\n"),
    };
    records.as_array().expect("records").iter().map(record).collect()
}

/// The streams, and those that are complete also as whole responses.
fn responses() -> (Vec<Value>, Vec<Value>) {
    let vectors = common::read_json(&common::testdata("openai_client.json"));
    let (mut streams, mut whole) = (Vec::new(), Vec::new());
    for vector in vectors.as_array().expect("a list") {
        let name = common::name_of(vector);
        let api = common::target(vector["api"].as_str().expect("an API"));
        let body = stream(api, &vector["records"]);
        let options = ResponseOptions::new().id(format!("resp_{name}")).model("m").created(1);
        let (out, _, ending) = common::transcode(Api::Responses, options.clone(), &body);
        let is_failed = vector["expect"]["status"] == "failed";
        assert_eq!(ending.is_err(), is_failed, "{name}: {ending:?}");
        let text = String::from_utf8(out).expect("UTF-8");
        streams.push(json!({"name": name, "body": text, "expect": vector["expect"]}));
        if !is_failed {
            let response = Response::read(body, Options::new()).expect(name);
            let (body, _) = common::write_whole(Api::Responses, &response, &options);
            let body = String::from_utf8(body).expect("UTF-8");
            whole.push(json!({"name": name, "body": body, "expect": vector["expect"]}));
        }
    }
    assert!(streams.len() >= 20, "{}", streams.len());
    (streams, whole)
}

/// Requests of all APIs.
fn requests() -> Vec<Value> {
    let vectors = common::read_json(&common::testdata("requests.json"));
    let vectors = vectors["identity"].as_array().expect("a list").clone();
    let golden = common::requests::FORMATS.map(|(name, _)| {
        let golden = common::read_json(&common::testdata(&format!("golden/request-{name}.json")));
        json!({"name": name, "why": "all that it can express", "format": name, "body": golden["body"]})
    });
    let mut requests = Vec::new();
    for vector in vectors.iter().chain(&golden) {
        let from = common::requests::named(vector["format"].as_str().expect("a format"));
        let source = common::requests::source(&vector["body"]);
        let converted = convert_request(from, Api::Responses, source.as_bytes(), &ConversionOptions::new());
        // Some have no content.
        if let (Ok((body, _)), false) = (converted, from == Api::Responses) {
            let body = String::from_utf8(body).expect("UTF-8");
            requests.push(json!({"name": common::name_of(vector), "body": body}));
        }
    }
    assert!(requests.len() >= 20, "{}", requests.len());
    requests
}

#[test]
fn openais_client_accepts_what_is_written() {
    let (streams, responses) = responses();
    let document = json!({"streams": streams, "responses": responses, "requests": requests()});
    let python = std::env::var_os("SAGEWIRE_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openai_client.py"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return println!("skipped: no Python"),
        child => child.expect("it runs"),
    };
    let mut input = child.stdin.take().expect("a pipe");
    // A script that is skipped does not read its input.
    let written = input.write_all(document.to_string().as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(77) {
        return println!("skipped: {said}");
    }
    written.expect("it reads the document");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
