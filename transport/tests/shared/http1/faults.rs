//! R13: every transport fault, at every position where it makes a difference.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::common::client;
use crate::fault::{
    Fault, exceptions, non_streaming, refusals, setup, stream, streamed, tell, without_a_connection,
};
use crate::http1::server::{Server, Step, bytes, chunk, steps, stream_head};
use crate::reply::{Reply, TEXT, part, word};

fn send(bytes: impl Into<Bytes>) -> Step {
    Step::Send(bytes.into())
}

/// A reply of five letters.
fn whole() -> Bytes {
    bytes(&Reply::whole(200, &[TEXT], "whole"))
}

/// The start of a stream, up to each position of a fault.
fn places() -> [(&'static str, Vec<u8>, usize, &'static str); 6] {
    let (head, one, two) = (stream_head(), word("one "), word("two"));
    let after = |chunks: &[&[u8]]| {
        let chunks: Vec<Bytes> = chunks.iter().map(|bytes| chunk(bytes)).collect();
        [&head[..], &chunks.concat()].concat()
    };
    [
        ("before the head", Vec::new(), 3, ""),
        ("in the head", head[..30].to_vec(), 3, ""),
        ("behind the head", after(&[]), 3, ""),
        ("in the first frame", after(&[&one[..40]]), 3, ""),
        ("behind an event", after(&[&one]), 1, "one "),
        ("in a frame behind an event", after(&[&one, &two[..40]]), 1, "one "),
    ]
}

/// The faults at each position.
fn at_every_place() -> Vec<Fault<Step>> {
    let mut faults = Vec::new();
    for (at, (place, beginning, requests, text)) in places().into_iter().enumerate() {
        let time = if at < 2 { "first byte" } else { "idle" };
        let ends = [
            ("stall", Step::Stall, time),
            ("reset", Step::Reset, "broken off"),
            ("FIN", Step::Close, "broken off"),
        ];
        for (kind, step, ending) in ends {
            let reply = vec![send(beginning.clone()), step];
            faults.push(streamed((kind, place), vec![reply.clone()], (ending, requests, text)));
            if requests > 1 {
                let again = vec![reply, steps(&stream())];
                faults.push(streamed((kind, place), again, ("complete", 2, "one two")));
            }
        }
    }
    let body = whole();
    let short = body.slice(..body.len() - 2);
    for (kind, step, ending) in [
        ("stall", Step::Stall, "idle"),
        ("reset", Step::Reset, "broken off"),
        ("FIN", Step::Close, "broken off"),
    ] {
        let reply = vec![send(short.clone()), step];
        faults.push(non_streaming((kind, "in a whole body"), vec![reply.clone()], (ending, 3, "")));
        let again = vec![reply, vec![send(body.clone())]];
        faults.push(non_streaming((kind, "in a whole body"), again, ("complete", 2, "whole")));
    }
    faults
}

fn slow() -> Vec<Fault<Step>> {
    let drip = |bytes: Bytes, pause| vec![vec![Step::Drip(bytes, Duration::from_millis(pause))]];
    let body = whole();
    let head = Bytes::from(format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(9999)));
    vec![
        streamed(("drip", "a byte at a time"), drip(bytes(&stream()), 1), ("complete", 1, "one two")),
        non_streaming(("drip", "a byte at a time"), drip(body, 1), ("complete", 1, "whole")),
        streamed(("drip", "a head without end"), drip(head, 50), ("first byte", 3, "")),
        streamed(
            ("drip", "a body without end"),
            vec![vec![send(stream_head()), Step::Drip(chunk(&vec![0; 60_000]), Duration::from_millis(100))]],
            // The first twelve bytes are not a prelude.
            ("corrupt", 1, ""),
        ),
        streamed(
            ("drip", "events without end"),
            vec![[vec![send(stream_head())], vec![Step::Drip(endless(), Duration::from_millis(2))]].concat()],
            ("total", 1, "one "),
        ),
    ]
}

/// One event, and then incomplete frames.
fn endless() -> Bytes {
    let mut bytes = chunk(&word("one ")).to_vec();
    let large = chunk(&part(&"x".repeat(60_000)));
    bytes.extend_from_slice(&large);
    bytes.into()
}

/// Another protocol.
fn strangers() -> Vec<Fault<Step>> {
    let ssh = || vec![vec![send("SSH-2.0-x\r\n"), Step::Close]];
    vec![
        streamed(("no HTTP", "SSH"), ssh(), ("broken off", 3, "")),
        non_streaming(("no HTTP", "SSH"), ssh(), ("broken off", 3, "")),
    ]
}

async fn run(fault: &Fault<Step>) -> Result<(), String> {
    let server = Server::start(fault.replies.clone()).await;
    let mut setup = setup(server.url());
    if fault.ending == "total" {
        setup.bounds.timeouts.total = Some(Duration::from_secs(4));
    }
    fault.check(&client(&setup), || server.requests()).await
}

#[tokio::test]
async fn r13_transport_faults() {
    let faults = [at_every_place(), slow(), refusals(steps), strangers(), exceptions(steps)].concat();
    let outcomes = join_all(faults.iter().map(async |fault| (fault.kind, run(fault).await))).await;
    tell("HTTP/1.1", outcomes.into_iter().chain(without_a_connection(client).await));
}
