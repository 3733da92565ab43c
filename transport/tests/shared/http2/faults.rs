//! R13 over HTTP/2. There is no position inside a head: it is one block of header fields, and a fault in it breaks the connection.
//! A fault may break a connection, or a single stream.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use h2::Reason;

use crate::common::{HAS_PINGS, HTTP2_ORIGIN, http2_client as client};
use crate::fault::{
    Fault, exceptions, non_streaming, refusals, setup, stream, streamed, tell, without_a_connection,
};
use crate::http1::server as http1;
use crate::http2::server::{Server, Step, head, steps, stream_head};
use crate::reply::{FRAMES, Reply, TEXT, part, word};

/// Faults run in parallel, and must not time out because of the others.
const AT_ONCE: usize = 50;

fn data(bytes: impl Into<Bytes>) -> Step {
    Step::Data(bytes.into())
}

/// The positions of faults in a stream: the steps before it, and the number of attempts.
struct Place {
    name: &'static str,
    sent: Vec<Step>,
    requests: usize,
    text: &'static str,
}

fn places() -> [Place; 5] {
    let (one, two) = (word("one "), word("two"));
    let behind = |name, frames: &[&[u8]], (requests, text)| {
        let frames = frames.iter().map(|bytes| data(bytes.to_vec()));
        Place { name, sent: [stream_head()].into_iter().chain(frames).collect(), requests, text }
    };
    [
        Place { name: "before the head", sent: Vec::new(), requests: 3, text: "" },
        behind("behind the head", &[], (3, "")),
        behind("in the first frame", &[&one[..40]], (3, "")),
        behind("behind an event", &[&one], (1, "one ")),
        behind("in a frame behind an event", &[&one, &two[..40]], (1, "one ")),
    ]
}

/// The rest of a stream after this position.
fn rest(place: &Place) -> Vec<Step> {
    let missing = |sent: &Step, whole: &Step| match (sent, whole) {
        (Step::Data(sent), Step::Data(whole)) => Some(data(whole.slice(sent.len()..))),
        _ => None,
    };
    let whole = steps(&stream());
    let part = place.sent.last().zip(whole.get(place.sent.len().wrapping_sub(1)));
    let part = part.and_then(|(sent, whole)| missing(sent, whole));
    part.into_iter().chain(whole.into_iter().skip(place.sent.len())).collect()
}

const RESETS: [(&str, Reason); 5] = [
    ("RST_STREAM CANCEL", Reason::CANCEL),
    ("RST_STREAM INTERNAL_ERROR", Reason::INTERNAL_ERROR),
    ("RST_STREAM REFUSED_STREAM", Reason::REFUSED_STREAM),
    ("RST_STREAM ENHANCE_YOUR_CALM", Reason::ENHANCE_YOUR_CALM),
    ("RST_STREAM NO_ERROR", Reason::NO_ERROR),
];

/// The faults of a stream, and their endings.
fn breaks(time: &'static str) -> Vec<(&'static str, Vec<Step>, &'static str)> {
    let go_away = |processed| Step::GoAway { reason: Reason::INTERNAL_ERROR, processed };
    let mut breaks = vec![
        ("stall", vec![Step::Stall], time),
        ("reset", vec![Step::Reset], "broken off"),
        ("FIN", vec![Step::Close], "broken off"),
        ("GOAWAY and FIN", vec![go_away(true), Step::Close], "broken off"),
    ];
    if HAS_PINGS {
        // Without pings, each dead connection is detected by a timeout.
        breaks.push(("hang", vec![Step::Hang], "broken off"));
    }
    breaks.extend(RESETS.map(|(kind, reason)| (kind, vec![Step::ResetStream(reason)], "broken off")));
    breaks
}

/// The faults at each position.
fn at_every_place() -> Vec<Fault<Step>> {
    let mut faults = Vec::new();
    for place in places() {
        let is_begun = !place.sent.is_empty();
        for (kind, step, ending) in breaks(if is_begun { "idle" } else { "first byte" }) {
            // The stream ends early without an error: only the frames show it.
            let is_end = kind == "RST_STREAM NO_ERROR" && is_begun;
            let ending = if is_end { "truncated" } else { ending };
            let reply = [place.sent.clone(), step].concat();
            let names = (kind, place.name);
            faults.push(streamed(names, vec![reply.clone()], (ending, place.requests, place.text)));
            if place.requests > 1 {
                let again = vec![reply, steps(&stream())];
                faults.push(streamed(names, again, ("complete", 2, "one two")));
            }
        }
        if !HAS_PINGS && place.requests > 1 {
            let hang = [place.sent.clone(), vec![Step::Hang]].concat();
            let again = vec![hang, steps(&stream())];
            faults.push(streamed(("hang", place.name), again, ("complete", 2, "one two")));
        }
        // The connection accepts no more streams, and ends this one.
        let last = Step::GoAway { reason: Reason::NO_ERROR, processed: true };
        let goes_on = [place.sent.clone(), vec![last], rest(&place)].concat();
        faults.push(streamed(("GOAWAY", place.name), vec![goes_on], ("complete", 1, "one two")));
    }
    // The request was not processed.
    let late = vec![Step::GoAway { reason: Reason::NO_ERROR, processed: false }];
    faults.push(streamed(("GOAWAY", "too late"), vec![late.clone()], ("broken off", 3, "")));
    faults.push(streamed(("GOAWAY", "too late"), vec![late, steps(&stream())], ("complete", 2, "one two")));
    faults
}

/// The faults inside a body of five letters.
fn in_whole_bodies() -> Vec<Fault<Step>> {
    let (place, good) = ("in a whole body", steps(&Reply::whole(200, &[TEXT], "whole")));
    let begun = |body: &'static str| vec![head(200, &[TEXT, ("content-length", "5")]), data(body)];
    let mut faults = Vec::new();
    let mut broken = breaks("idle");
    broken.push(("content-length", vec![Step::End], "broken off"));
    for (kind, step, ending) in broken {
        let reply = [begun("who"), step].concat();
        faults.push(non_streaming((kind, place), vec![reply.clone()], (ending, 3, "")));
        faults.push(non_streaming((kind, place), vec![reply, good.clone()], ("complete", 2, "whole")));
    }
    let long = [begun("whole and more"), vec![Step::End]].concat();
    faults.push(non_streaming(("content-length", "more"), vec![long], ("broken off", 3, "")));
    for (kind, reason) in &RESETS[..4] {
        // There is no `content-length`.
        let reply = vec![head(200, &[TEXT]), data("who"), Step::ResetStream(*reason)];
        faults.push(non_streaming((kind, "in a body of any length"), vec![reply], ("broken off", 3, "")));
    }
    let announced = vec![head(200, &[FRAMES, ("content-length", "999")]), data(word("one "))];
    let short = [announced, vec![Step::End]].concat();
    faults.push(streamed(("content-length", "of a stream"), vec![short], ("broken off", 1, "one ")));
    faults
}

fn slow() -> Vec<Fault<Step>> {
    let millis = Duration::from_millis;
    let drip = |reply: &Reply| {
        let steps = steps(reply).into_iter().map(|step| match step {
            Step::Data(data) => Step::Drip(data, millis(1)),
            step => step,
        });
        vec![steps.collect()]
    };
    let large = part(&"x".repeat(60_000));
    let endless = |bytes: Vec<u8>, pause| vec![vec![stream_head(), Step::Drip(bytes.into(), millis(pause))]];
    vec![
        streamed(("drip", "a byte at a time"), drip(&stream()), ("complete", 1, "one two")),
        non_streaming(
            ("drip", "a byte at a time"),
            drip(&Reply::whole(200, &[TEXT], "whole")),
            ("complete", 1, "whole"),
        ),
        // The first twelve bytes are no frame.
        streamed(("drip", "a body without end"), endless(vec![0; 60_000], 100), ("corrupt", 1, "")),
        streamed(
            ("drip", "events without end"),
            endless([word("one "), large].concat(), 2),
            ("total", 1, "one "),
        ),
        streamed(
            ("drip", "DATA without a byte"),
            vec![vec![stream_head(), data(word("one ")), Step::Empty(millis(100))]],
            ("idle", 1, "one "),
        ),
    ]
}

async fn run(fault: &Fault<Step>) -> Result<(), String> {
    let server = Server::start(fault.replies.clone()).await;
    let mut setup = setup(server.url());
    // Many TLS handshakes at once take longer.
    setup.bounds.timeouts.connect = Duration::from_secs(10);
    match (fault.kind, fault.ending) {
        (_, "total") => setup.bounds.timeouts.total = Some(Duration::from_secs(4)),
        // The timeouts must be longer than the pings.
        ("hang", _) if HAS_PINGS => {
            let times = &mut setup.bounds.timeouts;
            (times.first_byte, times.idle) = (Duration::from_secs(30), Duration::from_secs(30));
        }
        _ => {}
    }
    fault.check(&client(&setup), || server.requests()).await
}

/// Servers of other protocols, which take each connection for one request.
fn strangers() -> Vec<Fault<http1::Step>> {
    let says = |text: &'static str| vec![vec![http1::Step::Send(text.into()), http1::Step::Close]];
    let older = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    vec![
        streamed(("no HTTP/2", "SSH"), says("SSH-2.0-x\r\n"), ("broken off", 3, "")),
        non_streaming(("no HTTP/2", "SSH"), says("SSH-2.0-x\r\n"), ("broken off", 3, "")),
        streamed(("no HTTP/2", "HTTP/1.1"), says(older), ("broken off", 3, "")),
        non_streaming(("no HTTP/2", "HTTP/1.1"), says(older), ("broken off", 3, "")),
    ]
}

async fn run_stranger(fault: &Fault<http1::Step>) -> Result<(), String> {
    let server = http1::Server::start(fault.replies.clone()).await;
    fault.check(&client(&setup(server.url())), || server.requests()).await
}

#[tokio::test]
async fn r13_transport_faults() {
    let faults = [at_every_place(), in_whole_bodies(), slow(), refusals(steps), exceptions(steps)].concat();
    let runs = faults.into_iter().map(async |fault| (fault.kind, run(&fault).await));
    let mut outcomes: Vec<_> = futures_util::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    // With TLS, HTTP/2 has to be negotiated.
    if HTTP2_ORIGIN.starts_with("http:") {
        for fault in strangers() {
            outcomes.push((fault.kind, run_stranger(&fault).await));
        }
        outcomes.extend(without_a_connection(client).await);
    }
    tell("HTTP/2", outcomes);
}
