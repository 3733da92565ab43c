//! Many streams with faults, clients that leave, reloads and limits, for a while: nothing is left behind.
//!
//! Fault 46 is memory that grows for days. `SAGEWIRE_SOAK=SECONDS` sets the time; without it, a few seconds.

mod common;

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::server::{Client, Running, serve};
use common::{config, model};
use sagewire_codec::Api;
use sagewire_emulator::{ContainerFormat, Emulator, Script};
use sagewire_gateway::config::{AccessLog, Config};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// Clients at the same time.
const CLIENTS: usize = 64;
/// What memory may grow by, from the first third to the end: allocators keep some.
const GROWTH_MAX: usize = 24 << 20;

/// A request that takes longer hangs.
const HANG: Duration = Duration::from_secs(40);

/// Endpoints by what is wrong with them.
const ENDPOINTS: [&str; 8] = ["good", "slow", "reset", "hang-up", "exception", "corrupt", "busy", "cut"];

fn script() -> Script {
    let rules = json!([
        {"endpoint": "good"},
        {"endpoint": "slow", "pause_ms": 20},
        {"endpoint": "reset", "fault": {"reset": true, "after": 300}},
        {"endpoint": "hang-up", "fault": {"hang_up": true, "after": 500}},
        {"endpoint": "exception", "fault": {"exception": {"type": "ModelStreamError", "message": "gone"}, "after": 400}},
        {"endpoint": "corrupt", "fault": {"corrupt_byte": true, "after": 400}},
        {"endpoint": "busy", "status": 503, "retry_after": 0},
        {"endpoint": "cut", "cut": {"random": {"seed": 7, "min": 9, "max": 300}}, "chunks": {"random": {"seed": 3, "min": 30, "max": 900}}},
    ]);
    json!({"rules": rules}).to_string().parse().expect("a script")
}

fn soak_config(emulator: &Emulator, log: &std::path::Path) -> Config {
    let models = ENDPOINTS.iter().map(|name| model(emulator, name, Api::OpenAi)).collect();
    let mut config = config(models);
    config.access_log = AccessLog::File(log.to_owned());
    // A fault of an endpoint is what is tested, not that it is left out.
    config.routing.cooldown.failures = u32::MAX;
    config.bounds.requests = CLIENTS - 8;
    config.shutdown.linger = Duration::ZERO;
    config
}

/// Requests by their outcome.
#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    complete: AtomicUsize,
    left: AtomicUsize,
}

/// Sends requests until the end: through several doors, to good and bad endpoints, and leaves one in four before its end.
async fn client(address: std::net::SocketAddr, seed: u64, end: Instant, counts: Arc<Counts>) {
    let mut random = fastrand::Rng::with_seed(seed);
    while Instant::now() < end {
        let mut client = Client::connect(address).await;
        let model = ENDPOINTS[random.usize(..ENDPOINTS.len())];
        let (path, body) = request(&mut random, model);
        let leaves = random.usize(..4) == 0;
        counts.sent.fetch_add(1, Ordering::Relaxed);
        client.send("POST", &path, &[], body.to_string().as_bytes()).await;
        if leaves {
            counts.left.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(random.u64(..30))).await;
            continue;
        }
        let what = format!("{model} {path} {body}");
        let whole = timeout(HANG, client.bytes()).await.unwrap_or_else(|_| panic!("{what} hangs"));
        let (status, body) = whole;
        let text = String::from_utf8_lossy(&body);
        let has_end = ["[DONE]", "message_stop", "messageStop"].iter().any(|end| text.contains(end));
        let is_good = ["good", "slow", "cut"].contains(&model);
        if status == 200 && is_good {
            counts.complete.fetch_add(1, Ordering::Relaxed);
        }
        assert!(is_good || !has_end, "{what}: {status} {text}");
    }
}

fn request(random: &mut fastrand::Rng, model: &str) -> (String, Value) {
    let text = "word ".repeat(random.usize(1..60));
    let streams = random.usize(..5) > 0;
    let messages = json!([{"role": "user", "content": text}]);
    match random.usize(..3) {
        0 => {
            let body = json!({"messages": [{"role": "user", "content": [{"text": text}]}]});
            (format!("/model/{model}/converse{}", if streams { "-stream" } else { "" }), body)
        }
        1 => (
            "/v1/messages".to_owned(),
            json!({"model": model, "max_tokens": 500, "messages": messages, "stream": streams}),
        ),
        _ => (
            "/v1/chat/completions".to_owned(),
            json!({"model": model, "messages": messages, "stream": streams}),
        ),
    }
}

/// Bytes of memory in use by this process, if the system says so.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib << 10)
}

/// Waits until nothing of the requests is left.
async fn wait_until_idle(server: &Running) {
    let start = Instant::now();
    for name in ["sagewire_requests_in_flight", "sagewire_connections_open"] {
        while server.metric(name, &[]).await != 0.0 {
            assert!(start.elapsed() < Duration::from_secs(20), "{name} does not fall to 0");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_46_nothing_is_left_behind() {
    let seconds = std::env::var("SAGEWIRE_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let log = std::env::temp_dir().join(format!("sagewire-soak-{}.log", std::process::id()));
    let _ = fs::remove_file(&log);
    let emulator = Emulator::builder()
        .format(ContainerFormat::default())
        .script(script())
        .start()
        .await
        .expect("it starts");
    let mut server = serve(soak_config(&emulator, &log)).await;
    let tasks_before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let counts = Arc::new(Counts::default());
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..CLIENTS as u64)
        .map(|seed| tokio::spawn(client(server.address, seed, end, Arc::clone(&counts))))
        .collect();
    let mut early = None;
    while Instant::now() < end {
        sleep(Duration::from_millis(500)).await;
        server.gateway.reload(soak_config(&emulator, &log)).await.expect("it is valid");
        if early.is_none() && Instant::now() + Duration::from_secs(seconds * 2 / 3) > end {
            early = resident();
        }
    }
    for client in clients {
        client.await.expect("no request has failed");
    }
    wait_until_idle(&server).await;
    if let (Some(early), Some(late)) = (early, resident()) {
        // The emulator keeps the requests that it has seen.
        let kept = emulator.requests().iter().map(|request| request.body.len() + 2048).sum::<usize>();
        assert!(
            late < early + GROWTH_MAX + kept,
            "{early} bytes grow to {late}, {kept} of them of the emulator"
        );
    }
    // Connections to the emulator, which are kept for a while, have a few tasks.
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks <= tasks_before + 4 * CLIENTS, "{tasks_before} tasks have become {tasks}");

    let recorded = server.metric("sagewire_requests_total", &[]).await;
    server.begin_stop();
    server.stopped().await;
    let text = fs::read_to_string(&log).expect("a log");
    let mut ids = HashSet::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert!(ids.insert(line["id"].as_str().expect("an ID").to_owned()), "two records: {line}");
    }
    let sent = counts.sent.load(Ordering::Relaxed);
    let (complete, left) = (counts.complete.load(Ordering::Relaxed), counts.left.load(Ordering::Relaxed));
    eprintln!("{sent} requests: {complete} complete, {left} left by their clients, {} records", ids.len());
    assert_eq!(ids.len() as f64, recorded, "each record is in the log and in the metrics");
    // A client that leaves at once may have sent nothing that arrived.
    assert!(ids.len() <= sent && ids.len() + left >= sent, "{} records of {sent} requests", ids.len());
    assert!(complete > 0);
    fs::remove_file(log).expect("it exists");
}
