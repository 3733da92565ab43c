//! The memory that hostile input takes at most, at the default limits: streams, whole responses, and requests. The bounds are
//! those of RELIABILITY.md.

mod common;

use bytes::Bytes;
use common::counting::{Counting, Meter};
use sagewire_codec::model::{ConversionOptions, Response, ResponseOptions};
use sagewire_codec::{
    Api, DecodeError, Decoder, Limits, Options, RequestLimits, Transcoder, read_request, write_request,
    write_response,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KIB: i64 = 1024;

/// `count` elements of a list.
fn list(count: usize, element: impl Fn(usize) -> String) -> String {
    (0..count).map(element).collect::<Vec<_>>().join(",")
}

fn sse(record: &str) -> String {
    format!("data: {record}\n\n")
}

fn choices(choices: &str) -> String {
    format!("{{\"choices\":[{choices}]}}")
}

fn delta(delta: &str) -> String {
    choices(&format!("{{\"index\":0,\"delta\":{{{delta}}}}}"))
}

fn choice(index: usize) -> String {
    format!("{{\"index\":{index},\"delta\":{{\"content\":\"a\"}}}}")
}

fn call(index: usize, input: &str) -> String {
    let function = format!("{{\"name\":\"f\",\"arguments\":\"{input}\"}}");
    sse(&delta(&format!(
        "\"tool_calls\":[{{\"index\":{index},\"id\":\"c{index}\",\"function\":{function}}}]"
    )))
}

/// A block of Anthropic's streams.
fn block(index: usize) -> String {
    let start = "\"content_block\":{\"type\":\"text\",\"text\":\"\"}";
    sse(&format!("{{\"type\":\"content_block_start\",\"index\":{index},{start}}}"))
        + &sse(&format!("{{\"type\":\"content_block_stop\",\"index\":{index}}}"))
}

/// A stream that a hostile container sends.
struct Hostile {
    name: &'static str,
    stream: String,
    /// Events of its largest record, choices and calls, where there are many.
    items: usize,
}

fn hostile_streams() -> Vec<Hostile> {
    let long = "x".repeat(1_000_000);
    let text = delta("\"content\":\"a\"");
    let piece = sse(&delta("\"content\":\"a\",\"reasoning_content\":\"b\""));
    let of_one_text =
        |more: &str| format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}}{more}}}]}}");
    let token = |index: usize| format!("{{\"token\":\"t\",\"logprob\":-0.{index},\"top_logprobs\":[]}}");
    let logprobs = format!(",\"logprobs\":{{\"content\":[{}]}}", list(40_000, token));
    let nested = format!("{{\"choices\":[],\"a\":{}{}}}", "[".repeat(120), "]".repeat(120));
    let many = Limits::DEFAULT.events;
    let case = |name, items, stream: String| Hostile { name, stream: stream + "data: [DONE]\n\n", items };
    vec![
        case("pieces that take turns behind a call", 0, call(0, "{\\\"a\\\":") + &piece.repeat(200_000)),
        case(
            "a long ID",
            0,
            sse(&format!("{{\"id\":\"{long}\",\"model\":\"{long}\",\"choices\":[]}}"))
                + &sse(&text).repeat(5_000),
        ),
        case("long IDs", 0, sse(&format!("{{\"id\":\"{long}\",{}", &text[1..])).repeat(5)),
        case(
            "unknown fields",
            80_000,
            sse(&format!("{{\"choices\":[],{}}}", list(80_000, |n| format!("\"m{n}\":1")))),
        ),
        case("unknown fields in turn", 0, sse(&format!("{{\"m\":1,{}", &text[1..])).repeat(40_000)),
        case("calls in turn", 1_024, (0..1_024).map(|n| call(n, "{")).collect::<String>().repeat(5)),
        case(
            "choices in turn",
            1_024,
            (0..1_024).map(|n| sse(&choices(&choice(n)))).collect::<String>().repeat(5),
        ),
        case("choices", 4 * 1_024, sse(&choices(&list(1_024, choice)))),
        case("blocks", 0, (0..40_000).map(block).collect()),
        case("malformed records", 0, sse("{").repeat(100_000)),
        case("brackets", 0, format!("data: {}", "[".repeat(4_000_000))),
        case("a number", 0, format!("data: {{\"a\":{}", "1".repeat(4_000_000))),
        case("lines without data", 0, "data:\n".repeat(1_000_000)),
        case("nested records", 0, sse(&nested).repeat(5_000)),
        case("log probabilities", 0, sse(&of_one_text(&logprobs))),
        case(
            "citations",
            40_000,
            sse(&delta(&format!("\"content\":\"a\",\"annotations\":[{}]", list(40_000, |_| "{}".into())))),
        ),
        case(
            "more citations than the limit",
            many,
            sse(&delta(&format!("\"content\":\"a\",\"annotations\":[{}]", list(2 * many, |_| "1".into())))),
        ),
    ]
}

/// Feeds a stream in chunks of 16 KiB, until `decode` fails.
fn feed(stream: &Bytes, decode: impl FnMut(Bytes) -> Result<(), DecodeError>) -> bool {
    let chunks = (0..stream.len()).step_by(16_384);
    let mut chunks = chunks.map(|from| stream.slice(from..(from + 16_384).min(stream.len())));
    chunks.try_for_each(decode).is_ok()
}

fn within(name: &str, what: &str, found: i64, bound: i64) {
    assert!(found <= bound, "{name}: {what} of {found} bytes, with a bound of {bound}");
}

/// The bound of a decoder: 1.25 times what is in flight, which is a record, and what is held back, both with their events.
fn decoder_bound(hostile: &Hostile) -> i64 {
    let largest = hostile.stream.split("\n\n").map(str::len).max().unwrap_or(0);
    let held = if hostile.name.starts_with("pieces") { Limits::DEFAULT.pending } else { 0 };
    (largest + held) as i64 * 5 / 4 + 4 * KIB + hostile.items as i64 * 128
}

#[test]
fn streams() {
    for hostile in hostile_streams() {
        let (name, bound) = (hostile.name, decoder_bound(&hostile));
        let stream = Bytes::from(hostile.stream);
        let (mut events, len) = (0, stream.len() as i64);
        let meter = Meter::start();
        let mut decoder = Decoder::new();
        let is_read = feed(&stream, |mut chunk| {
            while decoder.decode(&mut chunk)?.is_some() {
                events += 1;
            }
            Ok(())
        });
        within(name, "a decoder", meter.read().peak, bound + 512 * hostile.items.min(1_024) as i64);
        let is_refused = name.starts_with("pieces") || name.ends_with("the limit");
        assert!(is_read != is_refused, "{name}");
        for to in Api::ALL.iter().copied().filter(|api| api.writes_streams()) {
            let meter = Meter::start();
            let transcoder = Transcoder::new(Options::new(), to, ResponseOptions::new());
            let (mut transcoder, mut out) = (transcoder.expect("an API"), 0);
            feed(&stream, |mut chunk| {
                while let Some(piece) = transcoder.decode(&mut chunk)? {
                    out += piece.len() as i64;
                }
                Ok(())
            });
            let what = format!("the stream for {to}");
            within(name, &what, out, 8 * len + KIB * events);
            // A stream of Responses repeats all of the response at its end.
            let kept = if to == Api::Responses { 8 * len } else { 4 * bound };
            within(name, &format!("{what}, in memory,"), meter.read().peak, 2 * bound + kept + 256 * KIB);
        }
    }
}

#[test]
fn responses() {
    let mut read = 0;
    for hostile in hostile_streams() {
        let (name, bound) = (hostile.name, decoder_bound(&hostile) + 512 * hostile.items.min(1_024) as i64);
        let stream = Bytes::from(hostile.stream);
        let mut kept = 0;
        let mut decoder = Decoder::new();
        feed(&stream, |mut chunk| {
            while let Some(event) = decoder.decode(&mut chunk)? {
                kept += i64::from(!matches!(event, sagewire_codec::model::Event::TextDelta { .. }));
            }
            Ok(())
        });
        let bound = bound + 2 * stream.len() as i64 + 256 * kept.min(Limits::DEFAULT.events as i64);
        let meter = Meter::start();
        let response = Response::read(stream.clone(), Options::new());
        within(name, "a response", meter.read().peak, bound);
        let Ok(response) = response else { continue };
        read += 1;
        for to in Api::ALL.iter().copied().filter(|api| api.writes_responses()) {
            let meter = Meter::start();
            let written = write_response(to, &response, &ResponseOptions::new());
            within(name, &format!("the response for {to}"), meter.read().peak, 4 * bound);
            drop(written);
        }
    }
    assert!(read >= 8, "{read}");
}

/// All that a response keeps is bounded, also if no record has much of it.
#[test]
fn a_response_keeps_a_bounded_number_of_events() {
    let fields = list(1_000, |n| format!("\"m{n}\":1"));
    let record = sse(&format!("{{\"choices\":[],{fields}}}"));
    let limit = Limits::DEFAULT.events;
    let meter = Meter::start();
    let stream = record.repeat(4 * limit / 1_000);
    let error = Response::read(stream, Options::new()).expect_err("a bound");
    assert!(error.is_limit(), "{error}");
    assert_eq!(
        error.to_string(),
        format!("format: byte {}: number of events exceeds the limit of {limit}", error.offset())
    );
    within(
        "unknown fields",
        "a response",
        meter.read().peak,
        (4 * limit / 1_000 * record.len() + 256 * limit) as i64,
    );
}

#[test]
fn requests() {
    let most = RequestLimits::DEFAULT.elements;
    let chat =
        |messages: &str| format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}},{messages}]}}");
    let message = |content: &str| chat(&format!("{{\"role\":\"user\",\"content\":{content}}}"));
    let repeat = |element: &str, count: usize| list(count, |_| element.to_owned());
    let with = |more: &str| format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}],{more}}}");
    let escapes = "\\n".repeat(2_000_000);
    let tool_call = "{\"id\":\"a\",\"function\":{\"name\":\"a\",\"arguments\":\"{}\"}}";
    let requests = [
        ("a text", message(&format!("\"{}\"", "a".repeat(4_000_000)))),
        ("an escaped text", message(&format!("\"a{escapes}\""))),
        ("an escaped field", with(&format!("\"{escapes}\":1"))),
        ("an escaped stop sequence", with(&format!("\"stop\":\"{escapes}\""))),
        ("messages", chat(&repeat("{\"role\":\"user\",\"content\":\"a\"}", most - 1))),
        (
            "messages of a part",
            chat(&repeat(
                "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}",
                most / 2 - 1,
            )),
        ),
        ("roles", chat(&repeat("{\"role\":\"user\"}", most - 1))),
        ("parts", message(&format!("[{}]", repeat("{}", most - 2)))),
        ("text parts", message(&format!("[{}]", repeat("{\"type\":\"text\",\"text\":\"a\"}", most - 2)))),
        (
            "calls",
            chat(&format!("{{\"role\":\"assistant\",\"tool_calls\":[{}]}}", repeat(tool_call, most - 2))),
        ),
        (
            "tools",
            with(&format!(
                "\"tools\":[{}]",
                repeat("{\"type\":\"function\",\"function\":{\"name\":\"a\"}}", most - 1)
            )),
        ),
        ("fields", with(&repeat("\"a\":1", most - 1))),
        (
            "fields of a message",
            chat(&format!("{{\"role\":\"user\",\"content\":\"a\",{}}}", repeat("\"a\":1", most - 2))),
        ),
        ("stop sequences", with(&format!("\"stop\":[{}]", repeat("\"a\"", most - 1)))),
    ];
    let elements = most as i64;
    for (name, body) in requests {
        let (body, len) = (body.as_bytes(), body.len() as i64);
        let meter = Meter::start();
        let request = read_request(Api::OpenAi, body).unwrap_or_else(|error| panic!("{name}: {error}"));
        within(name, "a request", meter.read().peak, len * 3 / 2 + 512 * elements);
        for to in [Api::OpenAi, Api::Responses, Api::Anthropic, Api::Converse, Api::Cohere, Api::Tgi] {
            let meter = Meter::start();
            let options = ConversionOptions::new().render(&common::requests::plain);
            let written = write_request(to, &request, &options);
            within(name, &format!("the request for {to}"), meter.read().peak, 4 * len + 1024 * elements);
            drop(written);
        }
    }
}
