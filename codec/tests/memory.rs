//! The memory of a stream: the size of the decoder, its heap while it waits and while it works, and its allocations.

mod common;

use std::mem::size_of;

use bytes::Bytes;
use common::counting::{Counting, Meter};
use common::frames::frame;
use common::streams::Block;
use common::{Random, leak, payload_part, streams};
use sagewire_codec::model::{ConverseEncoding, ResponseOptions};
use sagewire_codec::{Api, Decoder, Framing, Options, Transcoder};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KIB: i64 = 1024;

/// Decodes all of `chunk` and returns the number of events.
fn feed(decoder: &mut Decoder, mut chunk: Bytes) -> u64 {
    let mut events = 0;
    while decoder.decode(&mut chunk).expect("good").is_some() {
        events += 1;
    }
    events
}

#[test]
fn size_of_the_decoder() {
    let size = size_of::<Decoder>();
    println!("Memory: Decoder {size} bytes");
    assert!(size <= 512);
}

/// Representative streams, in frames, each with its name.
fn workloads(events: usize) -> [(&'static str, Bytes); 13] {
    let whole_parts = |events: &[String]| -> Vec<u8> {
        events.iter().flat_map(|event| payload_part(event.as_bytes())).collect()
    };
    let plain = streams::plain(events);
    let event = |(name, payload): &(&str, String)| {
        let headers =
            [(":event-type", *name), (":content-type", "application/json"), (":message-type", "event")];
        frame(&headers, payload.as_bytes())
    };
    let message = |block| leak(whole_parts(&streams::message(block, events)));
    let converse = |block| leak(streams::converse(block, events).iter().flat_map(event).collect());
    let ragged = Random(3).parts(plain.concat().as_bytes(), 600);
    [
        ("plain", leak(whole_parts(&plain))),
        ("ragged", leak(ragged)),
        ("tool", leak(whole_parts(&streams::tool(events)))),
        ("TGI", leak(whole_parts(&streams::tgi(events)))),
        ("LMI", leak(whole_parts(&streams::lmi(events)))),
        ("Cohere", leak(whole_parts(&streams::cohere(events)))),
        ("SGLang", leak(whole_parts(&streams::sglang(events, false)))),
        ("message text", message(Block::Text)),
        ("message thinking", message(Block::Reasoning)),
        ("message tool", message(Block::Tool)),
        ("converse text", converse(Block::Text)),
        ("converse reasoning", converse(Block::Reasoning)),
        ("converse tool", converse(Block::Tool)),
    ]
}

/// `stream` in chunks of random sizes.
fn ragged_chunks(stream: &Bytes) -> Vec<Bytes> {
    let mut random = Random(4);
    let mut chunks = Vec::new();
    let mut from = 0;
    while from < stream.len() {
        let to = (from + 1 + random.below(1400)).min(stream.len());
        chunks.push(stream.slice(from..to));
        from = to;
    }
    chunks
}

#[test]
fn a_stream_that_waits_holds_little() {
    let mut most = 0;
    for (name, stream) in workloads(2_000) {
        let chunks = ragged_chunks(&stream);
        let meter = Meter::start();
        let mut decoder = Decoder::new();
        for chunk in chunks {
            feed(&mut decoder, chunk);
            // The incomplete frame, line and event are included.
            most = most.max(meter.read().held);
        }
        assert!(most <= 4 * KIB, "{name}: {most} bytes");
    }
    println!("Memory: idle heap at most {most} bytes");
}

/// The state of a stream after some of its bytes, computed from the wire formats alone.
#[derive(Clone, Copy)]
struct Flight {
    /// Bytes of the incomplete frame.
    frame: usize,
    /// Bytes after the last blank line in the complete parts: the incomplete line and event.
    event: usize,
}

/// Follows `parts`, framed, byte by byte. Bytes that were borrowed with the last byte of a frame count until the decoder's
/// next call into that layer: the frame until the next byte, the event until the next part.
fn flights(parts: &[Vec<u8>]) -> Vec<Flight> {
    let mut flights = Vec::new();
    let mut behind = Flight { frame: 0, event: 0 };
    let mut open = 0;
    let mut last = 0;
    for part in parts {
        let frame = payload_part(part).len();
        flights.extend((1..frame).map(|received| Flight { frame: received, ..behind }));
        for &byte in part {
            open += 1;
            behind.event = open;
            if byte == b'\n' && last == b'\n' {
                open = 0;
            }
            last = byte;
        }
        flights.push(Flight { frame, ..behind });
    }
    flights
}

fn cut(body: &[u8], largest: usize) -> Vec<Vec<u8>> {
    let mut random = Random(5);
    let mut parts = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (part, tail) = rest.split_at((1 + random.below(largest)).min(rest.len()));
        parts.push(part.to_vec());
        rest = tail;
    }
    parts
}

#[test]
fn what_is_in_flight_is_held_once() {
    let open = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
    let one_line = format!("data: {open}{}\"}}}}]}}\n\n", "x".repeat(200_000)).into_bytes();
    let many_lines =
        format!("data: {open}x\"}},\"logprobs\":[\n{}data: 1]}}]}}\n\n", "data: 12345,\n".repeat(12_000))
            .into_bytes();
    let small = streams::plain(50).concat().into_bytes();
    let cases = [
        ("a large event in one part", vec![one_line.clone(), small.clone()]),
        ("a large event in small parts", cut(&one_line, 600)),
        ("a large event in large parts", cut(&one_line, 90_000)),
        ("many lines in one part", vec![many_lines.clone(), small.clone()]),
        ("many lines in small parts", cut(&many_lines, 600)),
        ("small events in small parts", cut(&small, 300)),
    ];
    let mut checks = 0;
    for (name, parts) in cases {
        let flights = flights(&parts);
        let stream = leak(parts.iter().flat_map(|part| payload_part(part)).collect());
        assert_eq!(stream.len(), flights.len());
        for size in [1, 100, 1_400, 16_384] {
            let meter = Meter::start();
            let mut decoder = Decoder::with_options(Options::new().framing(Framing::EventStream));
            for from in (0..stream.len()).step_by(size) {
                let to = (from + size).min(stream.len());
                feed(&mut decoder, stream.slice(from..to));
                let held = meter.read().held;
                let Flight { frame, event } = flights[to - 1];
                let bound = (frame + event) as i64 * 5 / 4 + 4 * KIB;
                let how = format_args!("{name} in chunks of {size}, frame {frame}, event {event}");
                assert!(held <= bound, "{held} of {bound} bytes held at byte {to}: {how}");
                checks += 1;
            }
        }
    }
    println!("Memory: in flight at most 1.25 times what came and 4 KiB, {checks} of {checks} times");
}

/// Pieces of one byte, whose kinds take turns, wait behind a tool call that never ends: each is charged with what it costs.
#[test]
fn what_waits_is_charged_with_its_memory() {
    let open = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\
                \"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n";
    let piece = "data: {\"choices\":[{\"delta\":{\"content\":\"a\",\"reasoning_content\":\"b\"}}]}\n\n";
    let call = |number: usize| {
        let call = format!(
            "{{\"index\":{number},\"id\":\"c{number}\",\"function\":{{\"name\":\"f\",\"arguments\":\"{{\"}}}}"
        );
        format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n")
    };
    let calls = (1..1000).map(call).collect::<String>();
    for (name, more) in
        [("pieces", piece.repeat(100_000)), ("calls and pieces", calls + &piece.repeat(100_000))]
    {
        let stream = leak([open, &more].concat().into_bytes());
        let pending = 1 << 20;
        let limits = sagewire_codec::Limits { pending, ..Default::default() };
        let meter = Meter::start();
        let mut decoder = Decoder::with_options(Options::new().limits(limits));
        let (mut came, mut is_refused) = (0, false);
        for from in (0..stream.len()).step_by(1_400) {
            let mut chunk = stream.slice(from..(from + 1_400).min(stream.len()));
            came += chunk.len() as i64;
            is_refused |= loop {
                match decoder.decode(&mut chunk) {
                    Ok(Some(_)) => {}
                    Ok(None) => break false,
                    Err(error) => break error.is_limit(),
                }
            };
            // At the limit, all that waits becomes events. Calls have a state, and are bounded in number.
            let charged = if is_refused || name != "pieces" { pending as i64 } else { came };
            let (held, bound) = (meter.read().held, charged * 5 / 4 + 4 * KIB);
            assert!(held <= bound, "{name}: {held} of {bound} bytes held after {came}");
            if is_refused {
                break;
            }
        }
        assert!(is_refused, "{name}");
    }
}

#[test]
fn ten_thousand_streams_that_wait() {
    let streams = workloads(40);
    let chunks: Vec<Vec<Bytes>> = streams.iter().map(|(_, stream)| ragged_chunks(stream)).collect();
    let meter = Meter::start();
    let mut decoders = Vec::with_capacity(10_000);
    for number in 0..10_000 {
        let mut decoder = Decoder::new();
        // Each stops at a different position.
        let chunks = &chunks[number % chunks.len()];
        for chunk in &chunks[..1 + number / 3 % chunks.len()] {
            feed(&mut decoder, chunk.clone());
        }
        decoders.push(decoder);
    }
    let held = meter.read().held;
    println!(
        "Memory: 10,000 idle streams {:.1} MiB, {} bytes each",
        held as f64 / 1024.0 / 1024.0,
        held / 10_000
    );
    assert!(held <= 64 * 1024 * KIB);
}

const WARM_UP: usize = 500;
const STEADY: usize = 5_000;

#[test]
fn decoding_allocates_nothing_in_the_steady_state() {
    for (name, stream) in workloads(WARM_UP + STEADY) {
        for (how, chunks) in cuts(&stream) {
            let mut decoder = Decoder::new();
            let warm_up = chunks.len() / 10;
            let meter = Meter::start();
            let before: u64 = chunks[..warm_up].iter().map(|chunk| feed(&mut decoder, chunk.clone())).sum();
            assert!(meter.read().allocations > 0, "the allocator counts");
            let meter = Meter::start();
            let events: u64 = chunks[warm_up..].iter().map(|chunk| feed(&mut decoder, chunk.clone())).sum();
            let allocations = meter.read().allocations;
            println!("Allocations: decode {name} {how}: {allocations} in {events} events");
            assert!(events + before > STEADY as u64 && events > STEADY as u64 / 2);
            assert_eq!(allocations, 0, "{name} {how}");
        }
    }
}

/// Each record of SGLang has all text so far, and is read by the full parser. What is new is borrowed from it.
#[test]
fn cumulative_text_allocates_nothing_in_the_steady_state() {
    let records = streams::sglang(600, true);
    let frames: Vec<Bytes> = records.iter().map(|record| leak(payload_part(record.as_bytes()))).collect();
    let mut decoder = Decoder::new();
    let (warm_up, steady) = frames.split_at(300);
    let before: u64 = warm_up.iter().map(|frame| feed(&mut decoder, frame.clone())).sum();
    let meter = Meter::start();
    let events: u64 = steady.iter().map(|frame| feed(&mut decoder, frame.clone())).sum();
    assert_eq!((before > 300, events, meter.read().allocations), (true, 300, 0));
}

/// A record that needs the full parser and has only one text is cached, which allocates. So no record of the tests above
/// needed the full parser.
#[test]
fn a_miss_of_the_shape_cache_allocates() {
    for stream in [streams::tgi(1_000), streams::lmi(1_000)] {
        let varied = stream.iter().enumerate().map(|(number, record)| {
            let spaces = &"        "[..1 + number % 7];
            record.replacen("\"token\":", &format!("\"token\":{spaces}"), 1)
        });
        let stream = leak(varied.collect::<String>().into_bytes());
        let mut decoder = Decoder::new();
        let meter = Meter::start();
        assert!(feed(&mut decoder, stream) > 900);
        let allocations = meter.read().allocations;
        assert!(allocations > 800, "{allocations}");
    }
}

#[test]
fn transcoding_allocates_nothing_in_the_steady_state() {
    let targets = [
        ("OpenAI", Api::OpenAi, ConverseEncoding::default()),
        ("Anthropic", Api::Anthropic, ConverseEncoding::default()),
        ("Bedrock JSON lines", Api::Converse, ConverseEncoding::JsonLines),
        ("Bedrock frames", Api::Converse, ConverseEncoding::EventStream),
    ];
    for (target_name, target, encoding) in targets {
        for (name, stream) in workloads(WARM_UP + STEADY) {
            for (how, chunks) in cuts(&stream) {
                let mut transcoder =
                    Transcoder::new(Options::new(), target, ResponseOptions::new().encoding(encoding))
                        .expect("it is written");
                let mut run = |chunks: &[Bytes]| {
                    let mut written = 0;
                    for mut chunk in chunks.iter().cloned() {
                        while let Some(bytes) = transcoder.decode(&mut chunk).expect("good") {
                            written += bytes.len();
                        }
                    }
                    written
                };
                // By then the output buffer has grown to the largest piece.
                let warm_up = chunks.len() / 3;
                run(&chunks[..warm_up]);
                let meter = Meter::start();
                let written = run(&chunks[warm_up..]);
                let allocations = meter.read().allocations;
                println!("Allocations: {target_name} from {name} {how}: {allocations} in {written} bytes");
                assert!(written > STEADY * 15);
                assert_eq!(allocations, 0, "{target_name} from {name} {how}");
            }
        }
    }
}

/// Chunks as a socket delivers them, and one chunk for each frame.
fn cuts(stream: &Bytes) -> [(&'static str, Vec<Bytes>); 2] {
    let mut frames = Vec::new();
    let mut rest = stream.clone();
    while !rest.is_empty() {
        let len = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
        frames.push(rest.split_to(len as usize));
    }
    [("frame by frame", frames), ("in ragged chunks", ragged_chunks(stream))]
}

/// Nothing is incomplete: the last frame and the last event have ended, and all events were taken.
#[test]
fn large_buffers_are_released() {
    let chunk = |content: &[u8]| {
        [b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"", content, b"\"}}]}\n\n"].concat()
    };
    let cases = [
        ("one large delta", chunk(&[b'x'; 200_000])),
        ("escapes", chunk(&b"\\n".repeat(100_000))),
        ("bad UTF-8", chunk(&[0xff; 10_000])),
    ];
    for (name, body) in cases {
        for (how, stream) in [("in one part", payload_part(&body)), ("plain", body.clone())] {
            let stream = leak(stream);
            for size in [100, stream.len()] {
                let meter = Meter::start();
                let mut decoder = Decoder::new();
                for at in (0..stream.len()).step_by(size) {
                    let mut chunk = stream.slice(at..(at + size).min(stream.len()));
                    while decoder.decode(&mut chunk).expect("good").is_some() {}
                }
                let held = meter.read().held;
                assert!(held <= 4 * 1024, "{name} {how} in chunks of {size}: {held} bytes held");
            }
        }
    }
}
