//! R13: every fault of a transport, at every place where it makes a difference.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use sagewire_codec::chat::Event;
use sagewire_codec::stream::Error as StreamError;
use sagewire_transport::{Error, Request, Retry, Timeout};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::common::{CHAT, Setup, client};
use crate::server::{Server, Step, chunk, exception, last_chunk, part, stream_head, whole};

/// `hello hello hello`.
const GZIP: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 128, 136, 249, 229, 17, 0,
    0, 0,
];
/// A call with three tries, each of which runs into a time that is up, takes less on a machine that has other things to do.
const BOUND: Duration = Duration::from_secs(20);

/// What is sent, and what has to come of it.
struct Fault {
    kind: &'static str,
    place: &'static str,
    is_stream: bool,
    answers: Vec<Vec<Step>>,
    ending: &'static str,
    requests: usize,
    /// What was delivered before the ending.
    text: &'static str,
}

fn streamed(
    (kind, place): (&'static str, &'static str),
    answers: Vec<Vec<Step>>,
    (ending, requests, text): (&'static str, usize, &'static str),
) -> Fault {
    Fault { kind, place, is_stream: true, answers, ending, requests, text }
}

fn unary(
    (kind, place): (&'static str, &'static str),
    answers: Vec<Vec<Step>>,
    (ending, requests, text): (&'static str, usize, &'static str),
) -> Fault {
    Fault { is_stream: false, ..streamed((kind, place), answers, (ending, requests, text)) }
}

/// A frame with one word of a chat.
fn word(text: &str) -> Vec<u8> {
    part(&format!("data: {}\n\n", json!({"id": "x", "choices": [{"index": 0, "delta": {"content": text}}]})))
}

fn send(bytes: impl Into<Bytes>) -> Step {
    Step::Send(bytes.into())
}

/// A whole stream of two words.
fn stream() -> Vec<u8> {
    let end = part(
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    );
    let chunks = [word("one "), word("two"), end].map(|frame| chunk(&frame));
    [&stream_head()[..], &chunks.concat(), &last_chunk()].concat()
}

/// The beginning of a stream, up to each place where something may happen.
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

/// What happens at each place.
fn at_every_place() -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, (place, beginning, requests, text)) in places().into_iter().enumerate() {
        let time = if at < 2 { "first byte" } else { "idle" };
        let ends = [
            ("stall", Step::Stall, time),
            ("reset", Step::Reset, "broken off"),
            ("FIN", Step::Close, "broken off"),
        ];
        for (kind, step, ending) in ends {
            let answer = vec![send(beginning.clone()), step];
            faults.push(streamed((kind, place), vec![answer.clone()], (ending, requests, text)));
            if requests > 1 {
                let again = vec![answer, vec![send(stream())]];
                faults.push(streamed((kind, place), again, ("complete", 2, "one two")));
            }
        }
    }
    let body = whole(200, "content-type: text/plain\r\n", b"whole");
    let short = body.slice(..body.len() - 2);
    for (kind, step, ending) in [
        ("stall", Step::Stall, "idle"),
        ("reset", Step::Reset, "broken off"),
        ("FIN", Step::Close, "broken off"),
    ] {
        let answer = vec![send(short.clone()), step];
        faults.push(unary((kind, "in a whole body"), vec![answer.clone()], (ending, 3, "")));
        let again = vec![answer, vec![send(body.clone())]];
        faults.push(unary((kind, "in a whole body"), again, ("complete", 2, "whole")));
    }
    faults
}

fn slow() -> Vec<Fault> {
    let drip = |bytes: Bytes, pause| vec![vec![Step::Drip(bytes, Duration::from_millis(pause))]];
    let body = whole(200, "content-type: text/plain\r\n", b"whole");
    let head = Bytes::from(format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(9999)));
    vec![
        streamed(("drip", "a byte at a time"), drip(stream().into(), 1), ("complete", 1, "one two")),
        unary(("drip", "a byte at a time"), drip(body, 1), ("complete", 1, "whole")),
        streamed(("drip", "a head without end"), drip(head, 50), ("first byte", 3, "")),
        streamed(
            ("drip", "a body without end"),
            vec![vec![send(stream_head()), Step::Drip(chunk(&vec![0; 60_000]), Duration::from_millis(100))]],
            // The first twelve bytes are no frame.
            ("corrupt", 1, ""),
        ),
        streamed(
            ("drip", "events without end"),
            vec![[vec![send(stream_head())], vec![Step::Drip(endless(), Duration::from_millis(2))]].concat()],
            ("total", 1, "one "),
        ),
    ]
}

/// One event, and frames that are never whole.
fn endless() -> Bytes {
    let mut bytes = chunk(&word("one ")).to_vec();
    let large = chunk(&part(&"x".repeat(60_000)));
    bytes.extend_from_slice(&large);
    bytes.into()
}

fn refusals() -> Vec<Fault> {
    let answer = |status: u16, headers: &str, body: &[u8]| vec![vec![send(whole(status, headers, body))]];
    let json = "content-type: application/json\r\n";
    let gone = br#"{"OriginalStatusCode":503,"OriginalMessage":"loading","message":"m"}"#;
    let bad = br#"{"OriginalStatusCode":400,"OriginalMessage":"no","message":"m"}"#;
    let location = "location: http://elsewhere.invalid/\r\n";
    let mut faults = Vec::new();
    for is_stream in [true, false] {
        let both = |names, answers, expected| Fault { is_stream, ..streamed(names, answers, expected) };
        for (kind, status, requests) in [("429", 429, 3), ("503", 503, 3), ("530", 530, 3)] {
            faults.push(both((kind, "always"), answer(status, json, b"{}"), (kind, requests, "")));
            let good = if is_stream { stream() } else { whole(200, "", b"one two").to_vec() };
            let once = [answer(status, json, b"{}"), vec![vec![send(good)]]].concat();
            faults.push(both((kind, "once"), once, ("complete", 2, "one two")));
        }
        faults.push(both(("503", "gzip"), answer(503, "content-encoding: gzip\r\n", GZIP), ("503", 3, "")));
        faults.push(both(("424", "no container"), answer(424, json, gone), ("424", 3, "")));
        faults.push(both(("424", "the container's no"), answer(424, json, bad), ("424", 1, "")));
        for status in [301, 302, 307, 308] {
            faults.push(both(("redirect", "elsewhere"), answer(status, location, b""), ("redirect", 1, "")));
        }
        faults.push(both(
            ("no HTTP", "SSH"),
            vec![vec![send("SSH-2.0-x\r\n"), Step::Close]],
            ("broken off", 3, ""),
        ));
    }
    for (place, headers) in [("HTML", "content-type: text/html\r\n"), ("JSON", json), ("none", "")] {
        faults.push(streamed(
            ("content type", place),
            answer(200, headers, b"<html>"),
            ("content type", 1, ""),
        ));
    }
    let frames = "content-type: application/vnd.amazon.eventstream\r\n";
    let gzip = format!("{frames}content-encoding: gzip\r\n");
    faults.push(streamed(("gzip", "a stream"), answer(200, &gzip, GZIP), ("corrupt", 1, "")));
    faults.push(streamed(("no frames", "HTML"), answer(200, frames, b"<html></html>"), ("corrupt", 1, "")));
    faults
}

/// Frames that say so: a retry is for what was told before the first event.
fn exceptions() -> Vec<Fault> {
    let failed = |frames: &[Vec<u8>]| {
        let chunks: Vec<Bytes> = frames.iter().map(|frame| chunk(frame)).collect();
        vec![send(stream_head()), send(chunks.concat()), send(last_chunk())]
    };
    let (passes, stays) = (|| exception("InternalStreamFailure"), exception("ValidationError"));
    let end_early = vec![send(stream_head()), send(chunk(&word("one "))), send(last_chunk())];
    let cut = vec![send(stream_head()), send(chunk(&word("one ")[..40])), send(last_chunk())];
    let good = vec![send(stream())];
    vec![
        streamed(("exception", "first"), vec![failed(&[passes()]), good.clone()], ("complete", 2, "one two")),
        streamed(("exception", "first, always"), vec![failed(&[passes()])], ("failure", 3, "")),
        streamed(("exception", "first, for good"), vec![failed(&[stays])], ("failure", 1, "")),
        streamed(
            ("exception", "behind an event"),
            vec![failed(&[word("one "), passes()])],
            ("failure", 1, "one "),
        ),
        streamed(
            ("truncated", "nothing at all"),
            vec![failed(&[]), good.clone()],
            ("complete", 2, "one two"),
        ),
        streamed(("truncated", "nothing, always"), vec![failed(&[])], ("truncated", 3, "")),
        streamed(("truncated", "in the first frame"), vec![cut, good], ("complete", 2, "one two")),
        streamed(("truncated", "behind an event"), vec![end_early], ("truncated", 1, "one ")),
    ]
}

fn setup(url: String) -> Setup {
    Setup::at(url).bounds(|bounds| {
        bounds.retry = Retry::default();
        bounds.retry.first_wait = Duration::from_millis(5);
        bounds.timeouts.connect = Duration::from_millis(300);
        bounds.timeouts.first_byte = Duration::from_millis(1500);
        bounds.timeouts.idle = Duration::from_millis(1500);
    })
}

fn kind(error: &Error) -> String {
    let status = error.service().map(|service| service.status.to_string());
    let name = match error.timeout() {
        Some(Timeout::Connect) => "connect",
        Some(Timeout::FirstByte) => "first byte",
        Some(Timeout::Idle) => "idle",
        Some(Timeout::Total) => "total",
        _ if error.is_connect() => "refused",
        _ if error.is_broken_off() => "broken off",
        _ if error.is_redirect() => "redirect",
        _ if error.is_content_type() => "content type",
        _ => "something else",
    };
    status.unwrap_or_else(|| name.into())
}

/// The ending, and the text before it.
async fn call(setup: &Setup, is_stream: bool) -> (String, String) {
    let (client, request) = (client(setup), Request::new("e", CHAT));
    if !is_stream {
        return match client.invoke(request).await {
            Ok(answer) => ("complete".into(), String::from_utf8_lossy(&answer.body).into_owned()),
            Err(error) => (kind(&error), String::new()),
        };
    }
    let mut text = String::new();
    let mut events = match client.invoke_stream(request).await {
        Ok(stream) => stream.events(),
        Err(error) => return (kind(&error), text),
    };
    while let Some(event) = events.next().await {
        let ending = match event {
            Ok(Event::TextDelta { text: delta, .. }) => {
                text.push_str(&delta);
                continue;
            }
            Ok(_) => continue,
            Err(StreamError::Transport(error)) => kind(&error),
            Err(StreamError::Decode(error)) if error.is_truncated() => "truncated".into(),
            Err(StreamError::Decode(error)) if error.is_model_failure() => "failure".into(),
            Err(StreamError::Decode(error)) if error.is_corrupt() => "corrupt".into(),
            Err(StreamError::Decode(error)) => error.to_string(),
        };
        assert!(events.next().await.is_none(), "nothing follows an ending");
        return (ending, text);
    }
    ("complete".into(), text)
}

async fn run(fault: &Fault) -> Result<(), String> {
    let (server, start) = (Server::start(fault.answers.clone()).await, Instant::now());
    let mut setup = setup(server.url());
    if fault.ending == "total" {
        setup.bounds.timeouts.total = Some(Duration::from_secs(4));
    }
    let (ending, text) = call(&setup, fault.is_stream).await;
    let found = (&*ending, server.requests(), &*text);
    let expected = (fault.ending, fault.requests, fault.text);
    if found == expected && start.elapsed() < BOUND {
        return Ok(());
    }
    let how = if fault.is_stream { "streamed" } else { "whole" };
    Err(format!(
        "{}, {} ({how}): {expected:?}, found {found:?} in {:?}",
        fault.kind,
        fault.place,
        start.elapsed()
    ))
}

/// Nobody listens, or nobody accepts.
async fn without_a_connection() -> Vec<(&'static str, Result<(), String>)> {
    let refusing =
        TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let silent = listener.local_addr().expect("an address");
    let mut places = vec![("refused", refusing, "refused")];
    let mut waiting = Vec::new();
    // Once its queue is full, the kernel of Linux lets further connections wait.
    if cfg!(target_os = "linux") {
        let connect = || tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(silent));
        while let Ok(stream) = connect().await {
            waiting.push(stream);
            assert!(waiting.len() < 100);
        }
        places.push(("never accepted", silent, "connect"));
    }
    let mut results = Vec::new();
    for (name, addr, expected) in places {
        for is_stream in [true, false] {
            let start = Instant::now();
            let (ending, _) = call(&setup(format!("http://{addr}")), is_stream).await;
            let is_right = ending == expected && start.elapsed() < BOUND;
            results.push((name, is_right.then_some(()).ok_or(format!("{name}: found {ending}"))));
        }
    }
    results
}

#[tokio::test]
async fn r13_transport_faults() {
    let faults: Vec<Fault> =
        [at_every_place(), slow(), refusals(), exceptions()].into_iter().flatten().collect();
    let results = join_all(faults.iter().map(async |fault| (fault.kind, run(fault).await))).await;
    let mut counts = BTreeMap::<_, (usize, usize)>::new();
    let mut wrong = Vec::new();
    for (kind, result) in results.into_iter().chain(without_a_connection().await) {
        let (right, all) = counts.entry(kind).or_default();
        *right += usize::from(result.is_ok());
        *all += 1;
        wrong.extend(result.err());
    }
    for (kind, (right, all)) in &counts {
        println!("R13 {kind}: {right} of {all}");
    }
    let (right, all) = counts.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!(
        "R13 transport faults: {right} of {all} end as they should, in time, and are tried again only before an event"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
