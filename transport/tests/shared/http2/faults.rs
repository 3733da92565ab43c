//! R13 over HTTP/2. There is no place within a head: it is one block of header fields, and what breaks there breaks the
//! connection. A connection may break, and so may each of its streams.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use h2::Reason;

use crate::answer::{Answer, FRAMES, TEXT, part, word};
use crate::common::{HAS_PINGS, HTTP2_ORIGIN, http2_client as client};
use crate::fault::{Fault, exceptions, refusals, setup, stream, streamed, tell, unary, without_a_connection};
use crate::http1::server as http1;
use crate::http2::server::{Server, Step, head, steps, stream_head};

/// A fault that has to wait for others must not run into its times.
const AT_ONCE: usize = 50;

fn data(bytes: impl Into<Bytes>) -> Step {
    Step::Data(bytes.into())
}

/// Where in a stream something may happen: what has been sent of it, and how many tries there are then.
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

/// The rest of a stream that has come to this place.
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

/// What breaks a stream, and how that ends.
fn breaks(time: &'static str) -> Vec<(&'static str, Vec<Step>, &'static str)> {
    let go_away = |processed| Step::GoAway { reason: Reason::INTERNAL_ERROR, processed };
    let mut breaks = vec![
        ("stall", vec![Step::Stall], time),
        ("reset", vec![Step::Reset], "broken off"),
        ("FIN", vec![Step::Close], "broken off"),
        ("GOAWAY and FIN", vec![go_away(true), Step::Close], "broken off"),
    ];
    if HAS_PINGS {
        // Without them, a time has to be up on each connection that is dead.
        breaks.push(("hang", vec![Step::Hang], "broken off"));
    }
    breaks.extend(RESETS.map(|(kind, reason)| (kind, vec![Step::ResetStream(reason)], "broken off")));
    breaks
}

/// What happens at each place.
fn at_every_place() -> Vec<Fault<Step>> {
    let mut faults = Vec::new();
    for place in places() {
        let is_begun = !place.sent.is_empty();
        for (kind, step, ending) in breaks(if is_begun { "idle" } else { "first byte" }) {
            // An end that is too early, and no error: the frames tell.
            let is_end = kind == "RST_STREAM NO_ERROR" && is_begun;
            let ending = if is_end { "truncated" } else { ending };
            let answer = [place.sent.clone(), step].concat();
            let names = (kind, place.name);
            faults.push(streamed(names, vec![answer.clone()], (ending, place.requests, place.text)));
            if place.requests > 1 {
                let again = vec![answer, steps(&stream())];
                faults.push(streamed(names, again, ("complete", 2, "one two")));
            }
        }
        if !HAS_PINGS && place.requests > 1 {
            let hang = [place.sent.clone(), vec![Step::Hang]].concat();
            let again = vec![hang, steps(&stream())];
            faults.push(streamed(("hang", place.name), again, ("complete", 2, "one two")));
        }
        // The connection takes no more streams, and ends this one.
        let last = Step::GoAway { reason: Reason::NO_ERROR, processed: true };
        let goes_on = [place.sent.clone(), vec![last], rest(&place)].concat();
        faults.push(streamed(("GOAWAY", place.name), vec![goes_on], ("complete", 1, "one two")));
    }
    // The request came too late for it.
    let late = vec![Step::GoAway { reason: Reason::NO_ERROR, processed: false }];
    faults.push(streamed(("GOAWAY", "too late"), vec![late.clone()], ("broken off", 3, "")));
    faults.push(streamed(("GOAWAY", "too late"), vec![late, steps(&stream())], ("complete", 2, "one two")));
    faults
}

/// What happens within a body of five letters.
fn in_whole_bodies() -> Vec<Fault<Step>> {
    let (place, good) = ("in a whole body", steps(&Answer::whole(200, &[TEXT], "whole")));
    let begun = |body: &'static str| vec![head(200, &[TEXT, ("content-length", "5")]), data(body)];
    let mut faults = Vec::new();
    let mut broken = breaks("idle");
    broken.push(("content-length", vec![Step::End], "broken off"));
    for (kind, step, ending) in broken {
        let answer = [begun("who"), step].concat();
        faults.push(unary((kind, place), vec![answer.clone()], (ending, 3, "")));
        faults.push(unary((kind, place), vec![answer, good.clone()], ("complete", 2, "whole")));
    }
    let long = [begun("whole and more"), vec![Step::End]].concat();
    faults.push(unary(("content-length", "more"), vec![long], ("broken off", 3, "")));
    for (kind, reason) in &RESETS[..4] {
        // Its length is not announced.
        let answer = vec![head(200, &[TEXT]), data("who"), Step::ResetStream(*reason)];
        faults.push(unary((kind, "in a body of any length"), vec![answer], ("broken off", 3, "")));
    }
    let announced = vec![head(200, &[FRAMES, ("content-length", "999")]), data(word("one "))];
    let short = [announced, vec![Step::End]].concat();
    faults.push(streamed(("content-length", "of a stream"), vec![short], ("broken off", 1, "one ")));
    faults
}

fn slow() -> Vec<Fault<Step>> {
    let millis = Duration::from_millis;
    let drip = |answer: &Answer| {
        let steps = steps(answer).into_iter().map(|step| match step {
            Step::Data(data) => Step::Drip(data, millis(1)),
            step => step,
        });
        vec![steps.collect()]
    };
    let large = part(&"x".repeat(60_000));
    let endless = |bytes: Vec<u8>, pause| vec![vec![stream_head(), Step::Drip(bytes.into(), millis(pause))]];
    vec![
        streamed(("drip", "a byte at a time"), drip(&stream()), ("complete", 1, "one two")),
        unary(
            ("drip", "a byte at a time"),
            drip(&Answer::whole(200, &[TEXT], "whole")),
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
    let server = Server::start(fault.answers.clone()).await;
    let mut setup = setup(server.url());
    // Many at once may take their time to agree on keys.
    setup.bounds.timeouts.connect = Duration::from_secs(10);
    match (fault.kind, fault.ending) {
        (_, "total") => setup.bounds.timeouts.total = Some(Duration::from_secs(4)),
        // They must not be up before the pings have told.
        ("hang", _) if HAS_PINGS => {
            let times = &mut setup.bounds.timeouts;
            (times.first_byte, times.idle) = (Duration::from_secs(30), Duration::from_secs(30));
        }
        _ => {}
    }
    fault.check(&client(&setup), || server.requests()).await
}

/// Servers of other protocols. Each connection is one request to them.
fn strangers() -> Vec<Fault<http1::Step>> {
    let says = |text: &'static str| vec![vec![http1::Step::Send(text.into()), http1::Step::Close]];
    let older = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    vec![
        streamed(("no HTTP/2", "SSH"), says("SSH-2.0-x\r\n"), ("broken off", 3, "")),
        unary(("no HTTP/2", "SSH"), says("SSH-2.0-x\r\n"), ("broken off", 3, "")),
        streamed(("no HTTP/2", "HTTP/1.1"), says(older), ("broken off", 3, "")),
        unary(("no HTTP/2", "HTTP/1.1"), says(older), ("broken off", 3, "")),
    ]
}

async fn run_stranger(fault: &Fault<http1::Step>) -> Result<(), String> {
    let server = http1::Server::start(fault.answers.clone()).await;
    fault.check(&client(&setup(server.url())), || server.requests()).await
}

#[tokio::test]
async fn r13_transport_faults() {
    let faults = [at_every_place(), in_whole_bodies(), slow(), refusals(steps), exceptions(steps)].concat();
    let runs = faults.into_iter().map(async |fault| (fault.kind, run(&fault).await));
    let mut outcomes: Vec<_> = futures_util::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    // With TLS there is no HTTP/2 before both sides have said so.
    if HTTP2_ORIGIN.starts_with("http:") {
        for fault in strangers() {
            outcomes.push((fault.kind, run_stranger(&fault).await));
        }
        outcomes.extend(without_a_connection(client).await);
    }
    tell("HTTP/2", outcomes);
}
