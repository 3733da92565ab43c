//! Many concurrent streams with random faults, for `SAGEWIRE_SOAK` seconds. `SAGEWIRE_SEED` reproduces the same faults.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::future::join_all;
use sagewire_codec::model::Event;
use sagewire_codec::stream::Error as StreamError;
use sagewire_transport::{Error, Request, Retry};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::common::{CHAT, Client, Setup, client, with_rules};

/// Streams that start together, against one emulator.
const TOGETHER: usize = 64;
/// Groups that run in parallel, so that stalled streams do not delay all others.
const LANES: u64 = 4;

/// The script of one endpoint, and the expected outcome.
struct Plan {
    rules: Vec<Value>,
    text: String,
    /// Text before the fault; `None` if it may be lost.
    before: Option<String>,
    /// No server listens.
    is_gone: bool,
    /// The caller drops the stream after this many events.
    leaves: Option<usize>,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Complete,
    Failed,
    Truncated,
    BrokenOff,
    TimedOut,
    Corrupt,
    /// The call failed before a stream.
    Refused,
    Left,
}

fn record(delta: &Value, finish: Option<&str>) -> String {
    format!(
        "data: {}\n\n",
        json!({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    )
}

fn words(rng: &mut Rng) -> Vec<String> {
    const WORDS: [&str; 6] = ["one ", "zwölf ", "😀", "\"\\ ", "\n", "data: "];
    (0..rng.usize(1..40)).map(|_| WORDS[rng.usize(..WORDS.len())].repeat(rng.usize(1..9))).collect()
}

fn random(rng: &mut Rng) -> Value {
    json!({"random": {"seed": rng.u32(..), "min": 1, "max": rng.u32(1..200)}})
}

fn cut(rng: &mut Rng, names: &[&str]) -> Value {
    match rng.usize(..=names.len()) {
        at if at < names.len() => json!(names[at]),
        _ => random(rng),
    }
}

/// A fault of a stream.
fn fault(rng: &mut Rng) -> Value {
    let exception =
        |name: &str, code: &str| json!({"exception": {"type": name, "code": code, "message": "m"}});
    match rng.usize(..9) {
        0 => exception("ModelStreamError", "StreamBroken"),
        1 => exception("InternalStreamFailure", "InternalFailure"),
        2 => exception("ModelStreamError", "ModelInvocationTimeExceeded"),
        3 => json!({"error": {"code": "500", "message": "m"}}),
        4 => json!({"truncated_frame": true}),
        5 => json!({"corrupt_byte": true}),
        6 => json!({"reset": true}),
        7 => json!({"hang_up": true}),
        _ => json!({"stall": true}),
    }
}

fn refusal(rng: &mut Rng) -> Value {
    match rng.usize(..6) {
        0 => json!({"status": 429}),
        1 => json!({"status": 400, "error_type": "ThrottlingException"}),
        2 => json!({"status": 503, "body": "<html>"}),
        3 => json!({"status": 424, "original_status": 503}),
        4 => json!({"status": 500 + rng.u16(..31)}),
        _ => json!({"status": 403}),
    }
}

impl Plan {
    fn new(rng: &mut Rng, endpoint: &str) -> Self {
        let words = words(rng);
        let mut body: String = words.iter().map(|word| record(&json!({"content": word}), None)).collect();
        body += &record(&json!({}), Some("stop"));
        body += "data: [DONE]\n\n";
        let mut good = json!({
            "endpoint": endpoint,
            "body": body,
            "content_type": "text/event-stream",
            "cut": cut(rng, &["events", "whole", "bytes", "characters"]),
            "chunks": cut(rng, &["frames", "whole"]),
        });
        if rng.u8(..4) == 0 {
            good["pause_ms"] = json!(rng.u8(1..4));
            good["cut"] = json!("events");
            good["chunks"] = json!("frames");
        }
        let text = words.concat();
        let leaves = (rng.u8(..20) == 0).then(|| rng.usize(..words.len()));
        let mut plan =
            Self { rules: vec![good.clone()], before: Some(text.clone()), text, is_gone: false, leaves };
        match rng.usize(..20) {
            0..5 => {}
            5 => plan.is_gone = true,
            6..9 => {
                let mut bad = refusal(rng);
                bad["endpoint"] = json!(endpoint);
                plan.first(bad, rng);
                plan.before = Some(String::new());
            }
            _ => {
                let (mut bad, mut fault) = (good, fault(rng));
                let after = if rng.u8(..4) == 0 { 0 } else { rng.usize(..body.len()) };
                fault["after"] = json!(after);
                let whole = body.as_bytes()[..after].windows(2).filter(|bytes| bytes == b"\n\n").count();
                plan.before = fault["reset"].is_null().then(|| words[..whole.min(words.len())].concat());
                bad["fault"] = fault;
                plan.first(bad, rng);
            }
        }
        plan
    }

    /// Adds a fault before the good reply: once, or always.
    fn first(&mut self, mut bad: Value, rng: &mut Rng) {
        if rng.bool() {
            bad["times"] = json!(1);
        }
        self.rules.insert(0, bad);
    }
}

/// The events of one stream, up to its ending.
async fn read(client: &Client, endpoint: &str, leaves: Option<usize>) -> (String, Ending) {
    let mut text = String::new();
    let mut events = match client.invoke_stream(Request::new(endpoint, CHAT)).await {
        Ok(stream) => stream.events(),
        Err(_) => return (text, Ending::Refused),
    };
    let mut count = 0;
    let ending = loop {
        if leaves == Some(count) {
            return (text, Ending::Left);
        }
        count += 1;
        match events.next().await {
            Some(Ok(Event::TextDelta { text: delta, .. })) => text.push_str(&delta),
            Some(Ok(_)) => {}
            Some(Err(error)) => break ending(&error),
            None => break Ending::Complete,
        }
    };
    assert!(events.next().await.is_none(), "one ending only");
    (text, ending)
}

fn ending(error: &StreamError<Error>) -> Ending {
    match error {
        StreamError::Transport(error) if error.is_broken_off() => Ending::BrokenOff,
        StreamError::Transport(error) if error.is_timeout() => Ending::TimedOut,
        StreamError::Decode(error) if error.is_model_failure() => Ending::Failed,
        StreamError::Decode(error) if error.is_truncated() => Ending::Truncated,
        StreamError::Decode(error) if error.is_corrupt() => Ending::Corrupt,
        error => panic!("no ending: {error:?}"),
    }
}

fn check(plan: &Plan, text: &str, ending: Ending) {
    let how = || format!("{ending:?} after {text:?} of {:?}: {:#?}", plan.text, plan.rules);
    assert!(plan.text.starts_with(text), "{}", how());
    assert!(ending != Ending::Complete || plan.text == text, "{}", how());
    if plan.rules.len() == 1 && !plan.is_gone && ending != Ending::Left {
        assert_eq!(ending, Ending::Complete, "{}", how());
    }
    assert!(!plan.is_gone || matches!(ending, Ending::Refused | Ending::Left), "{}", how());
    if let (Some(before), false, false) = (&plan.before, plan.is_gone, ending == Ending::Left) {
        assert!(text.starts_with(before), "lost {before:?}: {}", how());
    }
}

async fn round(rng: &mut Rng, counts: &RefCell<BTreeMap<Ending, usize>>) {
    let plans: Vec<Plan> = (0..TOGETHER).map(|at| Plan::new(rng, &format!("e{at}"))).collect();
    let rules: Vec<&Value> = plans.iter().flat_map(|plan| &plan.rules).collect();
    let emulator = with_rules(&json!(rules)).await;
    let gone =
        TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let [client, nobody] = [emulator.url(), format!("http://{gone}")].map(|url| {
        client(&Setup::at(url).bounds(|bounds| {
            bounds.retry = Retry::default().attempts(2);
            bounds.retry.initial_delay = Duration::from_millis(2);
            bounds.timeouts.idle = Duration::from_millis(1000);
        }))
    });
    let calls = plans.iter().enumerate().map(|(at, plan)| {
        let client = if plan.is_gone { &nobody } else { &client };
        async move { read(client, &format!("e{at}"), plan.leaves).await }
    });
    for (plan, (text, ending)) in plans.iter().zip(join_all(calls).await) {
        check(plan, &text, ending);
        *counts.borrow_mut().entry(ending).or_default() += 1;
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test]
async fn every_stream_has_one_ending() {
    let (seconds, seed) = (setting("SAGEWIRE_SOAK", 4), setting("SAGEWIRE_SEED", 1));
    let (counts, start) = (RefCell::default(), Instant::now());
    let lanes = (0..LANES).map(async |lane| {
        let mut rng = Rng::with_seed(seed.wrapping_add(lane));
        while start.elapsed() < Duration::from_secs(seconds) {
            round(&mut rng, &counts).await;
        }
    });
    join_all(lanes).await;
    let (counts, took) = (counts.into_inner(), start.elapsed());
    let (sum, at_once) = (counts.values().sum::<usize>(), LANES * TOGETHER as u64);
    println!("soak: {sum} streams, {at_once} at once, in {took:?}, seed {seed}: {counts:?}");
    while Handle::current().metrics().num_alive_tasks() > 0 {
        assert!(start.elapsed() < Duration::from_secs(seconds + 30), "tasks are left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
