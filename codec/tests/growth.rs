//! The work for an input grows with its size, whatever a hostile sender repeats in it: no reader, writer or conversion is
//! quadratic. `common/growth.rs` describes how the inputs grow and how the work is measured.

mod common;
#[path = "common/growth.rs"]
mod growth;

use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use growth::{Case, Steps, VARIANTS, growths, of_document, vary};
use sagewire_codec::model::{ConversionOptions, Param, Response, ResponseOptions};
use sagewire_codec::{
    Api, Decoder, HttpError, Options, Transcoder, detect_request, embeddings, read_request, tool_names,
    write_request, write_response,
};
use serde_json::Value;

/// Reads a request, writes it for each API, and again for its own API with changes.
fn convert(from: Api, body: &[u8], steps: &mut Steps) {
    steps.run("detect", || detect_request(body));
    steps.run("read", || read_request(from, body));
    let Ok(mut request) = read_request(from, body) else { return };
    let options = ConversionOptions::new().render(&common::requests::plain);
    for to in Api::ALL.iter().copied().filter(|api| api.writes_requests()) {
        steps.run(format!("names for {to}"), || tool_names(to, &request));
        steps.run(format!("write {to}"), || write_request(to, &request, &options));
    }
    let other = if from == Api::Anthropic { Api::Converse } else { Api::Anthropic };
    steps.run("write unmerged", || write_request(other, &request, &options.merge_messages(false)));
    steps.run("write again", || write_request(from, &request, &options.merge_messages(false)));
    request.max_tokens = Some(Param::new(77));
    steps.run("edit", || write_request(from, &request, &options));
    request.source = Cow::Borrowed("");
    steps.run("write without source", || write_request(from, &request, &options));
    #[cfg(feature = "custom")]
    custom::write(&request, steps);
}

fn decode(options: Options, body: &[u8], chunk: usize) {
    let mut decoder = Decoder::with_options(options);
    for part in body.chunks(chunk.max(1)) {
        let mut part = Bytes::copy_from_slice(part);
        while let Ok(Some(_)) = decoder.decode(&mut part) {}
    }
    while let Ok(Some(_)) = decoder.finish() {}
}

fn transcode(to: Api, body: &[u8]) {
    let transcoder = Transcoder::new(Options::new(), to, ResponseOptions::new());
    let (mut transcoder, mut chunk) = (transcoder.expect("an API"), Bytes::copy_from_slice(body));
    while let Ok(Some(_)) = transcoder.decode(&mut chunk) {}
    while let Ok(Some(_)) = transcoder.finish() {}
}

/// Reads a response, whole or streamed, and writes it whole and streamed for each API.
fn respond(body: &[u8], steps: &mut Steps) {
    steps.run("decode", || decode(Options::new(), body, body.len()));
    steps.run("decode in pieces", || decode(Options::new(), body, 50));
    for to in Api::ALL.iter().copied().filter(|api| api.writes_streams()) {
        steps.run(format!("transcode to {to}"), || transcode(to, body));
    }
    steps.run("read", || Response::read(body.to_vec(), Options::new()));
    let Ok(response) = Response::read(body.to_vec(), Options::new()) else { return };
    for to in Api::ALL.iter().copied().filter(|api| api.writes_responses()) {
        steps.run(format!("write {to}"), || write_response(to, &response, &ResponseOptions::new()));
    }
}

/// Reads an error, and writes it for each API.
fn fail(body: &[u8], steps: &mut Steps) {
    steps.run("read", || HttpError::read(424, Some("ModelError"), body));
    let error = HttpError::read(424, Some("ModelError"), body);
    for to in Api::ALL.iter().copied() {
        steps.run(format!("write {to}"), || error.write(to));
    }
    steps.run("decode", || decode(Options::new(), body, body.len()));
}

/// Reads a request for embeddings, and writes it in each shape.
fn embed(body: &[u8], steps: &mut Steps) {
    use embeddings::RequestShape::{Cohere, Inputs, OpenAi, Text, TextInputs, TextList, Voyage};
    steps.run("read", || embeddings::Request::read(body));
    let Ok(request) = embeddings::Request::read(body) else { return };
    for shape in [OpenAi, Inputs, TextInputs { mode: true }, TextList, Text, Cohere, Voyage] {
        steps.run(format!("write {shape:?}"), || request.write(shape));
    }
}

/// Reads the vectors of a response, and writes them in each encoding.
fn embedded(body: &[u8], steps: &mut Steps) {
    use embeddings::{Encoding, Pooling, Reading};
    for pooling in [None, Some(Pooling::Mean), Some(Pooling::First), Some(Pooling::Last)] {
        let reading = || pooling.map_or(Reading::new(), |pooling| Reading::new().pooling(pooling));
        steps.run(format!("read {pooling:?}"), || embeddings::Response::read(body, reading()));
        let Ok(response) = embeddings::Response::read(body, reading()) else { continue };
        for encoding in [Encoding::Float, Encoding::Base64] {
            let options = ResponseOptions::new();
            steps.run(format!("write {pooling:?} {encoding:?}"), || response.write(encoding, &options));
        }
    }
}

#[cfg(feature = "custom")]
mod custom {
    use sagewire_codec::custom::{Format, Spec};
    use sagewire_codec::model::{Message, Rendered, Request, Response, Tool};
    use serde_json::json;

    use super::*;

    const PATHS: [&str; 6] = [
        "$..text",
        "$.*.text",
        "$.list[*].text",
        "$..*..text",
        "$[?match(@.text, 'a+')].text",
        "$..[?@.text].text",
    ];

    /// A format whose requests have everything, and whose paths find what OpenAI's and the cases below have.
    fn format(text: &str) -> Format {
        const VALUES: [&str; 19] = [
            "messages",
            "system",
            "prompt",
            "tools",
            "stop",
            "model",
            "max_tokens",
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "seed",
            "n",
            "frequency_penalty",
            "presence_penalty",
            "repetition_penalty",
            "stream",
            "user",
            "other.x_1",
        ];
        let values = VALUES.map(|value| format!("{{{{{value}}}}}"));
        let text_of_all = format!("a {} b {}", values[3], values[4]);
        let spec = json!({
            "request": {"values": values, "text": text_of_all},
            "response": {"text": "$.choices[*].message.content", "finish": "$..finish_reason", "id": "$.id"},
            "stream": {"text": text, "reasoning": "$..reasoning_content", "id": "$.id", "model": "$.model"},
        });
        Format::new(serde_json::from_value::<Spec>(spec).expect("a spec")).expect("a format")
    }

    pub(super) fn write(request: &Request<'_>, steps: &mut Steps) {
        let format = format(PATHS[0]);
        let render = |_: &[Message<'_>], _: &[Tool<'_>]| Ok(Rendered::new("a prompt"));
        let options = ConversionOptions::new().render(&render);
        steps.run("write custom", || format.write(request, &options));
    }

    pub(super) fn read(body: &[u8], steps: &mut Steps) {
        for path in PATHS {
            let options = || Options::new().custom(format(path));
            steps.run(path, || decode(options(), body, body.len()));
            steps.run(format!("{path}, whole"), || Response::read(body.to_vec(), options()));
        }
    }

    pub(super) fn cases(cases: &mut Vec<Case>) {
        let document = json!({"a": {"text": "a"}, "list": [{"text": "b"}, [{"text": "c"}]]});
        of_document("custom", &document, "custom", cases);
        let members = |count| {
            let member = |number| (format!("m{number}"), json!({"text": "a"}));
            Value::Object((0..count).map(member).collect()).to_string().into_bytes()
        };
        cases.push(Case { name: "custom: members".into(), input: Box::new(members), work: "custom".into() });
        for name in ["openai.sse", "answer-openai.json"] {
            golden(name, "custom", cases);
        }
    }
}

fn run(work: &str, input: &[u8], steps: &mut Steps) {
    match work {
        "respond" => respond(input, steps),
        "fail" => fail(input, steps),
        "embed" => embed(input, steps),
        "embedded" => embedded(input, steps),
        #[cfg(feature = "custom")]
        "custom" => custom::read(input, steps),
        api => convert(common::requests::named(api), input, steps),
    }
}

/// The records of a stream: their lines before the document, and the document.
fn records(stream: &str) -> Vec<(String, Value)> {
    let blocks: Vec<&str> =
        if stream.starts_with('{') { stream.lines().collect() } else { stream.split("\n\n").collect() };
    let read = |block: &&str| {
        let at = block.find('{')?;
        Some((block[..at].to_owned(), serde_json::from_str(&block[at..]).ok()?))
    };
    blocks.iter().filter_map(read).collect()
}

fn write_records(records: &[(String, Value)]) -> Vec<u8> {
    let end = if records.first().is_some_and(|(before, _)| before.is_empty()) { "\n" } else { "\n\n" };
    records.iter().map(|(before, record)| format!("{before}{record}{end}")).collect::<String>().into_bytes()
}

/// A stream of which some records, up to `most` in a row, are repeated.
fn repeated_records(name: &str, stream: &str, most: usize, work: &str, cases: &mut Vec<Case>) {
    let records = Rc::new(records(stream));
    for at in 0..records.len() {
        for len in 1..=(records.len() - at).min(most) {
            for variant in VARIANTS {
                let records = Rc::clone(&records);
                let input = move |count| {
                    let mut grown = Vec::clone(&records);
                    let mut more = Vec::new();
                    for number in 0..count {
                        for (before, record) in &records[at..at + len] {
                            let mut record = record.clone();
                            vary(&mut record, variant, number);
                            more.push((before.clone(), record));
                        }
                    }
                    grown.splice(at..at + len, more);
                    write_records(&grown)
                };
                let name = format!("{name}: records {at} to {}, {variant:?}", at + len);
                cases.push(Case { name, input: Box::new(input), work: work.to_owned() });
            }
        }
    }
}

/// A stream one of whose records grows.
fn grown_records(name: &str, stream: &str, work: &str, cases: &mut Vec<Case>) {
    let records = Rc::new(records(stream));
    for at in 0..records.len() {
        for growth in growths(&records[at].1) {
            let (records, name) = (Rc::clone(&records), format!("{name}: record {at}: {growth:?}"));
            let input = move |count| {
                let mut grown = Vec::clone(&records);
                growth.apply(&mut grown[at].1, count);
                write_records(&grown)
            };
            cases.push(Case { name, input: Box::new(input), work: work.to_owned() });
        }
    }
}

/// A response or a stream of the golden files.
fn golden(name: &str, work: &str, cases: &mut Vec<Case>) {
    let path = common::testdata("golden").join(name);
    if name.ends_with(".json") {
        return of_document(name, &common::read_json(&path)["body"], work, cases);
    }
    let stream = std::fs::read_to_string(&path).expect("a stream");
    repeated_records(name, &stream, 3, work, cases);
    grown_records(name, &stream, work, cases);
}

/// The vectors of a file, or of a list in it.
fn vectors(file: &str, list: Option<&str>) -> Vec<Value> {
    let vectors = common::read_json(&common::testdata(file));
    list.map_or(&vectors, |list| &vectors[list]).as_array().expect("a list").clone()
}

/// The documents of vectors, whose field is JSON or has it as text.
fn documents(file: &str, list: Option<&str>, field: &str, work: &str, cases: &mut Vec<Case>) {
    for vector in vectors(file, list) {
        let name = format!("{file} {}", vector["name"]);
        let text = vector[field].as_str();
        let document = text.map_or(Ok(vector[field].clone()), serde_json::from_str);
        if let Ok(document @ (Value::Object(_) | Value::Array(_))) = document {
            of_document(&name, &document, work, cases);
        }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let requests = [vectors("requests.json", Some("identity")), vectors("histories.json", None)];
    for vector in requests.iter().flatten() {
        let api = vector["format"].as_str().or(vector["api"].as_str()).expect("an API");
        of_document(&format!("request {}", vector["name"]), &vector["body"], api, &mut cases);
    }
    documents("answers.json", None, "body", "respond", &mut cases);
    documents("errors.json", None, "body", "fail", &mut cases);
    documents("embeddings.json", Some("requests"), "request", "embed", &mut cases);
    documents("embeddings.json", Some("responses"), "response", "embedded", &mut cases);
    let golden_files = std::fs::read_dir(common::testdata("golden")).expect("a folder");
    let mut names: Vec<_> = golden_files
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a name"))
        .filter(|name| name.starts_with("answer-") || !(name.contains("-to-") || name.ends_with(".json")))
        .collect();
    names.sort();
    names.iter().for_each(|name| golden(name, "respond", &mut cases));
    for file in ["streams", "generation", "cohere", "sglang", "anthropic", "bedrock", "responses"] {
        for vector in vectors(&format!("{file}.json"), None) {
            let name = format!("{file} {}", vector["name"]);
            repeated_records(&name, vector["text"].as_str().unwrap_or_default(), 1, "respond", &mut cases);
        }
    }
    #[cfg(feature = "custom")]
    custom::cases(&mut cases);
    cases
}

#[test]
fn one_case() {
    growth::one_case(run);
}

/// All cases take an hour on a machine of two cores that is idle.
#[test]
fn work_grows_with_the_input() {
    let cases = cases();
    let works: std::collections::BTreeSet<_> = cases.iter().map(|case| &*case.work).collect();
    assert!(works.len() >= common::requests::FORMATS.len() + 4, "{works:?}");
    growth::check(&cases, run, 128);
}
