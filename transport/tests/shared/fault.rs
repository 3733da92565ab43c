//! R13: faults with their expected outcome, and those that are the same for every HTTP version.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sagewire_codec::model::Event;
use sagewire_codec::stream::Error as StreamError;
use sagewire_transport::{Error, Request, Retry, Timeout};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::common::{CHAT, Client, Setup};
use crate::reply::{FRAMES, JSON, Reply, exception, word, words};

/// `hello hello hello`.
const GZIP: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 128, 136, 249, 229, 17, 0,
    0, 0,
];
/// The longest duration of a call with three attempts that all time out, on a busy machine.
const BOUND: Duration = Duration::from_secs(20);

/// The steps of a server, and the expected outcome.
#[derive(Clone, Debug)]
pub(crate) struct Fault<S> {
    pub(crate) kind: &'static str,
    pub(crate) place: &'static str,
    pub(crate) is_stream: bool,
    pub(crate) replies: Vec<Vec<S>>,
    pub(crate) ending: &'static str,
    pub(crate) requests: usize,
    /// The text that is delivered before the ending.
    pub(crate) text: &'static str,
}

pub(crate) fn streamed<S>(
    (kind, place): (&'static str, &'static str),
    replies: Vec<Vec<S>>,
    (ending, requests, text): (&'static str, usize, &'static str),
) -> Fault<S> {
    Fault { kind, place, is_stream: true, replies, ending, requests, text }
}

pub(crate) fn non_streaming<S>(
    names: (&'static str, &'static str),
    replies: Vec<Vec<S>>,
    expected: (&'static str, usize, &'static str),
) -> Fault<S> {
    Fault { is_stream: false, ..streamed(names, replies, expected) }
}

/// A complete stream of two words.
pub(crate) fn stream() -> Reply {
    words(&["one ", "two"])
}

/// Replies with an error status. `steps` encodes a reply.
pub(crate) fn refusals<S: Clone>(steps: impl Fn(&Reply) -> Vec<S>) -> Vec<Fault<S>> {
    let reply =
        |status, headers: &[_], body: &'static [u8]| vec![steps(&Reply::whole(status, headers, body))];
    let gone = br#"{"OriginalStatusCode":503,"OriginalMessage":"loading","message":"m"}"#;
    let bad = br#"{"OriginalStatusCode":400,"OriginalMessage":"no","message":"m"}"#;
    let encoded = ("content-encoding", "gzip");
    let location = ("location", "http://elsewhere.invalid/");
    let mut faults = Vec::new();
    for is_stream in [true, false] {
        let both = |names, replies, expected| Fault { is_stream, ..streamed(names, replies, expected) };
        for (kind, status, requests) in [("429", 429, 3), ("503", 503, 3), ("530", 530, 3)] {
            let refused = || reply(status, &[JSON], b"{}");
            faults.push(both((kind, "always"), refused(), (kind, requests, "")));
            let good = if is_stream { stream() } else { Reply::whole(200, &[], "one two") };
            let once = [refused(), vec![steps(&good)]].concat();
            faults.push(both((kind, "once"), once, ("complete", 2, "one two")));
        }
        faults.push(both(("503", "gzip"), reply(503, &[encoded], GZIP), ("503", 3, "")));
        faults.push(both(("424", "no container"), reply(424, &[JSON], gone), ("424", 3, "")));
        faults.push(both(("424", "the container's no"), reply(424, &[JSON], bad), ("424", 1, "")));
        for status in [301, 302, 307, 308] {
            let replies = reply(status, &[location], b"");
            faults.push(both(("redirect", "elsewhere"), replies, ("redirect", 1, "")));
        }
    }
    let html = ("content-type", "text/html");
    for (place, headers) in [("HTML", &[html][..]), ("JSON", &[JSON]), ("none", &[])] {
        let replies = reply(200, headers, b"<html>");
        faults.push(streamed(("content type", place), replies, ("content type", 1, "")));
    }
    let gzip = reply(200, &[FRAMES, encoded], GZIP);
    faults.push(streamed(("gzip", "a stream"), gzip, ("corrupt", 1, "")));
    let html = reply(200, &[FRAMES], b"<html></html>");
    faults.push(streamed(("no frames", "HTML"), html, ("corrupt", 1, "")));
    faults
}

/// Exceptions in frames, and truncated streams. They are retried only before the first event.
pub(crate) fn exceptions<S: Clone>(steps: impl Fn(&Reply) -> Vec<S>) -> Vec<Fault<S>> {
    let frames = |frames: &[Vec<u8>]| steps(&Reply::Stream(frames.to_vec()));
    let (passes, stays) = (|| exception("InternalStreamFailure"), exception("ValidationError"));
    let (early, cut) = (frames(&[word("one ")]), frames(&[word("one ")[..40].to_vec()]));
    let good = steps(&stream());
    vec![
        streamed(("exception", "first"), vec![frames(&[passes()]), good.clone()], ("complete", 2, "one two")),
        streamed(("exception", "first, always"), vec![frames(&[passes()])], ("failure", 3, "")),
        streamed(("exception", "first, for good"), vec![frames(&[stays])], ("failure", 1, "")),
        streamed(
            ("exception", "behind an event"),
            vec![frames(&[word("one "), passes()])],
            ("failure", 1, "one "),
        ),
        streamed(
            ("truncated", "nothing at all"),
            vec![frames(&[]), good.clone()],
            ("complete", 2, "one two"),
        ),
        streamed(("truncated", "nothing, always"), vec![frames(&[])], ("truncated", 3, "")),
        streamed(("truncated", "in the first frame"), vec![cut, good], ("complete", 2, "one two")),
        streamed(("truncated", "behind an event"), vec![early], ("truncated", 1, "one ")),
    ]
}

pub(crate) fn setup(url: String) -> Setup {
    Setup::at(url).bounds(|bounds| {
        bounds.retry = Retry::default();
        bounds.retry.initial_delay = Duration::from_millis(5);
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
async fn call(client: &Client, is_stream: bool) -> (String, String) {
    let request = Request::new("e", CHAT);
    if !is_stream {
        return match client.invoke(request).await {
            Ok(reply) => ("complete".into(), String::from_utf8_lossy(&reply.body).into_owned()),
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

impl<S> Fault<S> {
    /// Makes the call, and compares the outcome. `requests` counts the requests to the server.
    ///
    /// # Errors
    ///
    /// The outcome that was found instead.
    pub(crate) async fn check(&self, client: &Client, requests: impl Fn() -> usize) -> Result<(), String> {
        let start = Instant::now();
        let (ending, text) = call(client, self.is_stream).await;
        let found = (&*ending, requests(), &*text);
        let expected = (self.ending, self.requests, self.text);
        if found == expected && start.elapsed() < BOUND {
            return Ok(());
        }
        let how = if self.is_stream { "streamed" } else { "whole" };
        Err(format!(
            "{}, {} ({how}): {expected:?}, found {found:?} in {:?}",
            self.kind,
            self.place,
            start.elapsed()
        ))
    }
}

/// A kind of fault, and its result.
pub(crate) type Outcome = (&'static str, Result<(), String>);

/// No server listens, or the server does not accept.
pub(crate) async fn without_a_connection(client: impl Fn(&Setup) -> Client) -> Vec<Outcome> {
    let refusing =
        TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let silent = listener.local_addr().expect("an address");
    let mut places: Vec<(_, SocketAddr, _)> = vec![("refused", refusing, "refused")];
    let mut waiting = Vec::new();
    // On Linux, further connections wait once the queue of the listener is full.
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
            let (ending, _) = call(&client(&setup(format!("http://{addr}"))), is_stream).await;
            let is_right = ending == expected && start.elapsed() < BOUND;
            results.push((name, is_right.then_some(()).ok_or(format!("{name}: found {ending}"))));
        }
    }
    results
}

/// Prints the counts of results over an HTTP version, and fails if one is wrong.
pub(crate) fn tell(over: &str, outcomes: impl IntoIterator<Item = Outcome>) {
    let mut counts = BTreeMap::<_, (usize, usize)>::new();
    let mut wrong = Vec::new();
    for (kind, result) in outcomes {
        let (right, all) = counts.entry(kind).or_default();
        *right += usize::from(result.is_ok());
        *all += 1;
        wrong.extend(result.err());
    }
    for (kind, (right, all)) in &counts {
        println!("R13 {over} {kind}: {right} of {all}");
    }
    let (right, all) = counts.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!(
        "R13 {over} transport faults: {right} of {all} end as they should, in time, and are tried again only before an event"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
