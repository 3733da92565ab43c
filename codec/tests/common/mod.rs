//! Shared by the tests: decodes every input in every split that can make a difference.
// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod counting;
pub mod frames;
pub mod mutation;
pub mod random;
pub mod requests;
pub mod sse;
pub mod streams;

use std::path::PathBuf;

use bytes::Bytes;
pub use random::Random;
use sagewire_codec::model::{ConverseEncoding, Response, ResponseOptions};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Transcoder, write_response};

/// The folder with vectors and recordings that are not part of this project, if it is available.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SAGEWIRE_SHARED")?;
    Some(PathBuf::from(root).join(folder))
}

/// The path of a file in the project's test data.
pub fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

pub fn read_json(path: &std::path::Path) -> serde_json::Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

pub fn to_base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Calls `run` with `input` in many splits, and asserts that each gives the same result as the unsplit input.
pub fn every_cut<T: PartialEq + std::fmt::Debug>(
    name: &str,
    input: &[u8],
    run: impl Fn(Vec<Bytes>) -> T,
) -> T {
    let whole = run(vec![Bytes::copy_from_slice(input)]);
    for size in [1, 2, 3, 7, 64] {
        let chunks = input.chunks(size).map(Bytes::copy_from_slice).collect();
        assert_eq!(run(chunks), whole, "{name}: in chunks of {size}");
    }
    // Every split into two, or every few bytes for long inputs.
    let step = input.len() / 2_000 + 1;
    for at in (0..=input.len()).step_by(step) {
        let chunks = vec![Bytes::copy_from_slice(&input[..at]), Bytes::copy_from_slice(&input[at..])];
        assert_eq!(run(chunks), whole, "{name}: split at {at}");
    }
    whole
}

/// The events of a stream as JSON, and how it ended.
pub fn decode(options: Options, chunks: Vec<Bytes>) -> (Vec<serde_json::Value>, Result<(), DecodeError>) {
    let mut decoder = Decoder::with_options(options);
    let mut events = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(event)) => events.push(serde_json::to_value(&event).expect("an event is JSON")),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut chunk), Err(error.clone()), "errors are sticky");
                    assert_eq!(decoder.finish(), Err(error.clone()), "errors are sticky");
                    return (events, Err(error));
                }
            }
        }
        assert!(chunk.is_empty(), "`Ok(None)` means that the chunk is empty");
    }
    loop {
        match decoder.finish() {
            Ok(Some(event)) => events.push(serde_json::to_value(&event).expect("an event is JSON")),
            Ok(None) => {
                assert_eq!(decoder.finish(), Ok(None), "the ending stays");
                return (events, Ok(()));
            }
            Err(error) => {
                assert_eq!(decoder.finish(), Err(error.clone()), "errors are sticky");
                return (events, Err(error));
            }
        }
    }
}

/// The bytes of a vector, from its text, its hexadecimal digits, or its frames.
pub fn body(vector: &serde_json::Value) -> Vec<u8> {
    let frame = |described: &serde_json::Value| {
        let (kind, header) = match described["exception"].as_str() {
            Some(_) => ("exception", ":exception-type"),
            None => ("event", ":event-type"),
        };
        let name = described[kind].as_str().expect("an event or an exception");
        let headers = [(header, name), (":content-type", "application/json"), (":message-type", kind)];
        frames::frame(&headers, described["payload"].as_str().expect("a payload").as_bytes())
    };
    match (vector["hex"].as_str(), vector["frames"].as_array()) {
        (Some(digits), _) => hex(digits),
        (None, Some(frames)) => frames.iter().flat_map(frame).collect(),
        (None, None) => vector["text"].as_str().expect("text, hex or frames").as_bytes().to_vec(),
    }
}

/// The name of a vector, which includes why it exists.
pub fn name_of(vector: &serde_json::Value) -> &str {
    let name = vector["name"].as_str().expect("a name");
    assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{name} says why");
    name
}

/// The vectors of a file that have a field of this name, each with its own name.
pub fn vectors_with(file: &str, own: &str) -> Vec<(String, serde_json::Value)> {
    let serde_json::Value::Array(vectors) = read_json(&testdata(file)) else { panic!("a list") };
    let named = |vector: serde_json::Value| (name_of(&vector).to_owned(), vector);
    vectors.into_iter().map(named).filter(|(_, vector)| !vector[own].is_null()).collect()
}

/// Runs every vector of a file in every split. Container output is also run in SageMaker's frames.
pub fn run_vectors(file: &str) -> usize {
    let vectors = read_json(&testdata(file));
    let vectors = vectors.as_array().expect("a list");
    for vector in vectors {
        let name = name_of(vector);
        let body = body(vector);
        let check = |how: &str, (events, ending): &(Vec<serde_json::Value>, Result<(), DecodeError>)| {
            assert_eq!(&serde_json::json!(events), &vector["events"], "{name} {how}");
            let error = ending.as_ref().err().map(ToString::to_string);
            assert_eq!(error.as_deref(), vector["error"].as_str(), "{name} {how}");
        };
        check("as it is", &every_cut(name, &body, |chunks| decode(Options::new(), chunks)));
        if body.is_empty() || vector["frames"].is_array() {
            continue;
        }
        for seed in 0..8 {
            let frames = Random(seed).parts(&body, [1, 2, 16, 300][seed as usize % 4]);
            check("in frames", &decode(Options::new(), vec![Bytes::from(frames.clone())]));
            let chunks = frames.chunks(1 + seed as usize * 13).map(Bytes::copy_from_slice).collect();
            check("in frames in chunks", &decode(Options::new(), chunks));
        }
    }
    println!("{file}: {} streams", vectors.len());
    vectors.len()
}

/// One word for an ending.
pub fn ending(result: &Result<(), DecodeError>) -> &'static str {
    match result {
        Ok(()) => "complete",
        Err(error) if error.is_truncated() => "truncated",
        Err(error) if error.is_model_failure() => "failure",
        Err(error) if error.is_limit() => "limit",
        Err(_) => "corrupt",
    }
}

/// A `PayloadPart` frame as SageMaker sends it.
pub fn payload_part(payload: &[u8]) -> Vec<u8> {
    let headers = [
        (":event-type", "PayloadPart"),
        (":content-type", "application/octet-stream"),
        (":message-type", "event"),
    ];
    frames::frame(&headers, payload)
}

/// Bytes that are never freed, so that a counting allocator sees only what a decoder allocates.
pub fn leak(bytes: Vec<u8>) -> Bytes {
    Bytes::from_static(bytes.leak())
}

/// The concatenated text of all text deltas.
pub fn texts(events: &[serde_json::Value]) -> String {
    let deltas = events.iter().filter(|event| event["type"] == "text_delta");
    deltas.filter_map(|event| event["text"].as_str()).collect()
}

impl Random {
    /// Splits `body` at random into `PayloadPart` frames.
    pub fn parts(&mut self, body: &[u8], largest: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let (part, tail) = rest.split_at((1 + self.below(largest)).min(rest.len()));
            out.extend(payload_part(part));
            rest = tail;
        }
        out
    }
}

/// The API that the vectors call by this name.
pub fn target(format: &str) -> Api {
    match format {
        "openai" => Api::OpenAi,
        "completions" => Api::Completions,
        "anthropic" => Api::Anthropic,
        "responses" => Api::Responses,
        "bedrock" => Api::Converse,
        "tgi" => Api::Tgi,
        other => panic!("{other}"),
    }
}

/// The records of a stream that was written; a record that is not JSON becomes a string.
pub fn records(target: Api, out: &[u8]) -> Vec<serde_json::Value> {
    let out = std::str::from_utf8(out).expect("UTF-8");
    let record = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
    match target {
        Api::Converse => out.lines().map(record).collect(),
        _ => out.lines().filter_map(|line| line.strip_prefix("data: ")).map(record).collect(),
    }
}

/// Writes a non-streaming response; returns the body and the losses.
pub fn write_whole(target: Api, response: &Response, context: &ResponseOptions) -> (Vec<u8>, Vec<String>) {
    let (written, losses) = write_response(target, response, context).expect("it is written");
    (written, losses.as_slice().iter().map(ToString::to_string).collect())
}

/// Converts a stream to another API; returns the output, the losses, and how it ended.
pub fn transcode(
    target: Api,
    context: ResponseOptions,
    body: impl AsRef<[u8]>,
) -> (Vec<u8>, Vec<String>, Result<(), DecodeError>) {
    transcode_with(Options::new(), target, context, body)
}

/// The same with response options.
pub fn transcode_with(
    options: Options,
    target: Api,
    context: ResponseOptions,
    body: impl AsRef<[u8]>,
) -> (Vec<u8>, Vec<String>, Result<(), DecodeError>) {
    // Lines are easier to compare than frames.
    transcode_as_it_is(options, target, context.encoding(ConverseEncoding::JsonLines), body)
}

/// The same, with ConverseStream in the encoding of the options.
pub fn transcode_as_it_is(
    options: Options,
    target: Api,
    context: ResponseOptions,
    body: impl AsRef<[u8]>,
) -> (Vec<u8>, Vec<String>, Result<(), DecodeError>) {
    let mut transcoder = Transcoder::new(options, target, context).expect("it is written");
    let (mut out, mut chunk) = (Vec::new(), Bytes::copy_from_slice(body.as_ref()));
    let ending = loop {
        match transcoder.decode(&mut chunk) {
            Ok(Some(bytes)) => out.extend_from_slice(bytes),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let ending = ending.and_then(|()| {
        while let Some(bytes) = transcoder.finish()? {
            out.extend_from_slice(bytes);
        }
        Ok(())
    });
    (out, transcoder.losses().as_slice().iter().map(ToString::to_string).collect(), ending)
}
