//! The work for an input grows with its size, whatever a hostile sender repeats in it: no conversion and no reader is quadratic.
//!
//! The inputs are generated from the samples of the other tests, which have every field and every kind of element: each element
//! of each array is repeated, as it is, with other names and IDs, and with names that become equal in a target; and each object
//! gets unknown fields. So an element that is added to a sample is covered.
//!
//! Times on a shared machine only raise a suspicion. Whatever takes more than six times as long for four times the input is
//! counted in instructions, under valgrind, which have to grow at most 2.2 times for twice the input. Without valgrind the
//! suspicion fails the test, after more measurements.

// Unlike the codec, this test has a clock and an environment.
#![allow(clippy::disallowed_methods)]

mod common;

use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sagewire_codec::model::{ConversionOptions, Param, Response, ResponseOptions};
use sagewire_codec::{Api, Options, Transcoder, read_request, tool_names, write_request, write_response};
use serde_json::{Value, json};

/// How a repeated element differs from the others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    Same,
    /// Other names, IDs and indices.
    Distinct,
    /// Other names and IDs, which become the same where only letters and digits are allowed.
    Colliding,
}

const VARIANTS: [Variant; 3] = [Variant::Same, Variant::Distinct, Variant::Colliding];

fn variant_text(text: &str, variant: Variant, number: usize) -> String {
    let bits = |bit: u32| if number >> bit & 1 == 1 { '.' } else { ':' };
    match variant {
        Variant::Same => text.to_owned(),
        Variant::Distinct => format!("{text}{number}"),
        Variant::Colliding => format!("{text}{}", (0..14).map(bits).collect::<String>()),
    }
}

/// The element of this number: its names, IDs and indices are its own.
fn vary(value: &mut Value, variant: Variant, number: usize) {
    const NAMES: [&str; 10] = [
        "id",
        "name",
        "tool_call_id",
        "toolUseId",
        "tool_use_id",
        "call_id",
        "title",
        "item_id",
        "server_name",
        "key",
    ];
    const INDICES: [&str; 4] = ["index", "contentBlockIndex", "output_index", "content_index"];
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| vary(item, variant, number)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if NAMES.contains(&&**name) => {
                        *text = variant_text(text, variant, number)
                    }
                    Value::Number(index) if INDICES.contains(&&**name) && variant != Variant::Same => {
                        *value = json!(index.as_u64().unwrap_or(0) as usize + number);
                    }
                    value => vary(value, variant, number),
                }
            }
        }
        _ => {}
    }
}

fn repeat(items: &[Value], variant: Variant, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    for number in 0..count {
        for item in items {
            let mut item = item.clone();
            match &mut item {
                Value::String(text) => *text = variant_text(text, variant, number),
                item => vary(item, variant, number),
            }
            all.push(item);
        }
    }
    all
}

/// What is repeated in a document.
#[derive(Clone, Debug)]
enum Growth {
    /// As many elements of the array at the pointer, from this one on.
    Elements(String, usize, usize, Variant),
    /// The last element of each outermost array.
    All(Variant),
    /// Unknown fields of the object at the pointer.
    Fields(String),
}

/// All ways in which a document can grow.
fn growths(document: &Value) -> Vec<Growth> {
    fn walk(value: &Value, pointer: &str, all: &mut Vec<Growth>) {
        match value {
            Value::Array(items) => {
                for at in 0..items.len() {
                    for count in 1..=(items.len() - at).min(2) {
                        all.extend(
                            VARIANTS.map(|variant| Growth::Elements(pointer.into(), at, count, variant)),
                        );
                    }
                    walk(&items[at], &format!("{pointer}/{at}"), all);
                }
            }
            Value::Object(fields) => {
                all.push(Growth::Fields(pointer.into()));
                for (name, value) in fields {
                    walk(value, &format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), all);
                }
            }
            _ => {}
        }
    }
    let mut all = VARIANTS.map(Growth::All).to_vec();
    walk(document, "", &mut all);
    all
}

impl Growth {
    fn apply(&self, document: &mut Value, count: usize) {
        match self {
            Self::Elements(pointer, at, len, variant) => {
                let items = document.pointer_mut(pointer).and_then(Value::as_array_mut).expect("an array");
                let more = repeat(&items[*at..at + len], *variant, count);
                items.splice(*at..at + len, more);
            }
            Self::All(variant) => grow_all(document, *variant, count),
            Self::Fields(pointer) => {
                let object = document.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
                object.extend((0..count).map(|number| (format!("x_{number}"), json!({"y": number}))));
            }
        }
    }
}

fn grow_all(document: &mut Value, variant: Variant, count: usize) {
    match document {
        Value::Array(items) => {
            if let Some(last) = items.last().cloned() {
                items.extend(repeat(&[last], variant, count));
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| grow_all(value, variant, count)),
        _ => {}
    }
}

/// What is done with an input.
#[derive(Clone, Debug)]
enum Work {
    /// A request of this API is read and written for others.
    Convert(Api),
    /// A response, whole or streamed, is read and written for others.
    Respond,
    /// It is read with this path.
    Path(&'static str),
}

/// An input that grows, and what is done with it.
struct Case {
    name: String,
    input: Box<dyn Fn(usize) -> Vec<u8>>,
    work: Work,
}

const TARGETS: [Api; 6] =
    [Api::OpenAi, Api::Completions, Api::Responses, Api::Anthropic, Api::Converse, Api::Tgi];

/// Reads a request, writes it for each target, and again for its own API with a change.
fn convert(from: Api, body: &[u8]) {
    let Ok(mut request) = read_request(from, body) else { return };
    let options = ConversionOptions::new().render(&common::requests::plain);
    for to in TARGETS {
        drop(tool_names(to, &request));
        drop(write_request(to, &request, &options));
    }
    drop(write_request(to_other(from), &request, &options.merge_messages(false)));
    request.max_tokens = Some(Param::new(77));
    drop(write_request(from, &request, &options));
}

fn to_other(from: Api) -> Api {
    if from == Api::Anthropic { Api::Converse } else { Api::Anthropic }
}

/// Reads a response, whole or streamed, and writes it whole and streamed for each target.
fn respond(body: &[u8]) {
    for to in TARGETS {
        let Ok(mut transcoder) = Transcoder::new(Options::new(), to, ResponseOptions::new()) else {
            continue;
        };
        let mut chunk = Bytes::copy_from_slice(body);
        while let Ok(Some(_)) = transcoder.decode(&mut chunk) {}
        while let Ok(Some(_)) = transcoder.finish() {}
    }
    if let Ok(response) = Response::read(body.to_vec(), Options::new()) {
        for to in TARGETS {
            drop(write_response(to, &response, &ResponseOptions::new()));
        }
    }
}

#[cfg(feature = "custom")]
fn read_path(path: &str, body: &[u8]) {
    use sagewire_codec::custom::{Format, Spec};
    let spec: Spec = serde_json::from_value(json!({"stream": {"text": path}})).expect("a spec");
    let options = Options::new().custom(Format::new(spec).expect("a format"));
    let mut decoder = sagewire_codec::Decoder::with_options(options);
    let mut chunk = Bytes::copy_from_slice(body);
    while let Ok(Some(_)) = decoder.decode(&mut chunk) {}
    while let Ok(Some(_)) = decoder.finish() {}
}

#[cfg(not(feature = "custom"))]
fn read_path(_: &str, _: &[u8]) {}

const PATHS: [&str; 5] =
    ["$..text", "$.*.text", "$.list[*].text", "$..*..text", "$[?match(@.text, 'a+')].text"];

impl Work {
    fn parse(name: &str) -> Self {
        match name.split_once(' ') {
            Some(("convert", api)) => Self::Convert(api.parse().expect("an API")),
            Some((_, path)) => Self::Path(PATHS.into_iter().find(|known| *known == path).expect("a path")),
            None => Self::Respond,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Convert(api) => format!("convert {}", api.name()),
            Self::Respond => "respond".to_owned(),
            Self::Path(path) => format!("path {path}"),
        }
    }
}

/// The cases of a document.
fn of_document(name: &str, document: &Value, work: &Work, cases: &mut Vec<Case>) {
    let shared = Rc::new(document.clone());
    for growth in growths(document) {
        let (document, name) = (Rc::clone(&shared), format!("{name}: {growth:?}"));
        let input = move |count| {
            let mut grown = Value::clone(&document);
            growth.apply(&mut grown, count);
            grown.to_string().into_bytes()
        };
        cases.push(Case { name, input: Box::new(input), work: work.clone() });
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

fn of_stream(name: &str, stream: &str, cases: &mut Vec<Case>) {
    let records = Rc::new(records(stream));
    for at in 0..records.len() {
        for len in 1..=(records.len() - at).min(3) {
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
                cases.push(Case { name, input: Box::new(input), work: Work::Respond });
            }
        }
        for growth in growths(&records[at].1) {
            let (records, name) = (Rc::clone(&records), format!("{name}: record {at}: {growth:?}"));
            let input = move |count| {
                let mut grown = Vec::clone(&records);
                growth.apply(&mut grown[at].1, count);
                write_records(&grown)
            };
            cases.push(Case { name, input: Box::new(input), work: Work::Respond });
        }
    }
}

fn of_custom(cases: &mut Vec<Case>) {
    for path in PATHS {
        let document = json!({"a": {"text": "a"}, "list": [{"text": "b"}, [{"text": "c"}]]});
        of_document(&format!("custom {path}"), &document, &Work::Path(path), cases);
        let members = |count| {
            let member = |number| (format!("m{number}"), json!({"text": "a"}));
            Value::Object((0..count).map(member).collect()).to_string().into_bytes()
        };
        let name = format!("custom {path}: members");
        cases.push(Case { name, input: Box::new(members), work: Work::Path(path) });
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let requests = common::read_json(&common::testdata("requests.json"));
    for vector in requests["identity"].as_array().expect("a list") {
        let name = format!("request {}", vector["name"]);
        let from = common::requests::named(vector["format"].as_str().expect("a format"));
        of_document(&name, &vector["body"], &Work::Convert(from), &mut cases);
    }
    for vector in common::read_json(&common::testdata("answers.json")).as_array().expect("a list") {
        if vector.get("body").is_some() {
            of_document(&format!("response {}", vector["name"]), &vector["body"], &Work::Respond, &mut cases);
        }
    }
    for entry in std::fs::read_dir(common::testdata("golden")).expect("a folder") {
        let path = entry.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        if name.starts_with("answer-") {
            of_document(&name, &common::read_json(&path)["body"], &Work::Respond, &mut cases);
        } else if !name.contains("-to-") && !name.ends_with(".json") {
            of_stream(&name, &std::fs::read_to_string(&path).expect("a stream"), &mut cases);
        }
    }
    of_custom(&mut cases);
    cases
}

/// The code that is counted. Valgrind finds it by its name.
#[inline(never)]
fn growth_measured(work: &Work, input: &[u8]) {
    match work {
        Work::Convert(from) => convert(*from, input),
        Work::Respond => respond(input),
        Work::Path(path) => read_path(path, input),
    }
}

fn time(case: &Case, input: &[u8], times: usize) -> Duration {
    let once = || {
        let start = Instant::now();
        growth_measured(&case.work, input);
        start.elapsed()
    };
    (0..times).map(|_| once()).min().unwrap_or_default()
}

/// How much longer the larger input takes.
fn ratio(case: &Case, small: usize, large: usize, times: usize) -> f64 {
    let [small, large] = [small, large].map(|count| time(case, &(case.input)(count), times).as_secs_f64());
    large / small.max(20e-6)
}

const WORK: &str = "SAGEWIRE_GROWTH_WORK";
const INPUT: &str = "SAGEWIRE_GROWTH_INPUT";

/// Runs one case, for valgrind.
#[test]
fn one_case() {
    let (Ok(work), Ok(input)) = (std::env::var(WORK), std::env::var(INPUT)) else { return };
    growth_measured(&Work::parse(&work), &std::fs::read(input).expect("an input"));
}

/// The instructions of a case; `None` without valgrind.
fn instructions(case: &Case, count: usize) -> Option<u64> {
    let binary = std::env::current_exe().expect("a path");
    let file = |end| std::env::temp_dir().join(format!("growth-{}-{count}.{end}", std::process::id()));
    let (profile, input) = (file("callgrind"), file("input"));
    std::fs::write(&input, (case.input)(count)).expect("it can be written");
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--toggle-collect=*growth_measured*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(&binary)
        .args(["--exact", "one_case", "--test-threads=1"])
        .env(WORK, case.work.name())
        .env(INPUT, &input)
        .output()
        .ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = std::fs::read_to_string(&profile).ok()?;
    let _ = (std::fs::remove_file(&profile), std::fs::remove_file(&input));
    let total = |line: &str| line.strip_prefix("totals: ")?.trim().parse().ok();
    lines.lines().find_map(total).filter(|total| *total > 0)
}

/// One in so many cases is run, and all with `SAGEWIRE_GROWTH=all`, which takes a quarter of an hour. The cases of one element differ
/// little, so that each element is covered.
const STEP: usize = 16;

#[test]
fn work_grows_with_the_input() {
    let cases = cases();
    let only = std::env::var("SAGEWIRE_GROWTH").unwrap_or_default();
    let is_run = |(number, case): &(usize, &Case)| match &*only {
        "" => number % STEP == 0,
        "all" => true,
        only => case.name.contains(only),
    };
    let (mut failures, mut runs, mut counts) = (0, 0, 0);
    for (_, case) in cases.iter().enumerate().filter(is_run) {
        runs += 1;
        let (small, large) = (150, 600);
        if [1, 3, 10].into_iter().any(|times| ratio(case, small, large, times) < 7.0) {
            continue;
        }
        counts += 1;
        let counted = instructions(case, 300).zip(instructions(case, 600));
        let (growth, limit) = match counted {
            Some((once, twice)) => (twice as f64 / once as f64, 2.2),
            None => (ratio(case, 300, 1200, 15), 7.0),
        };
        if growth > limit {
            failures += 1;
            println!("{growth:.2} of {limit}: {}", case.name);
        }
    }
    println!("Growth: {runs} of {} cases, {counts} of them counted, {failures} too large", cases.len());
    assert!(cases.len() > 1000, "{} cases", cases.len());
    assert_eq!(failures, 0, "they are printed above");
}
