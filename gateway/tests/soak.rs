//! Many streams with faults, clients that leave, reloads and limits, over HTTP/1 and HTTP/2, for a while: nothing is left behind.
//!
//! Fault 46 is memory that grows for days. `SAGEWIRE_SOAK=SECONDS` sets the time; without it, a few seconds.

mod common;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::server::{Client, Running, serve};
use common::{config, model};
use h2::client::SendRequest;
use sagewire_codec::Api;
use sagewire_emulator::{ContainerFormat, Emulator, Script};
use sagewire_gateway::config::{AccessLog, Config};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// Clients at the same time; every other one uses HTTP/2.
const CLIENTS: usize = 64;
/// Requests that the gateway serves at the same time.
const REQUESTS: usize = CLIENTS - 8;
/// Keys with their limits. A token costs a millionth of a dollar. The clients of the last one stay until the end of good responses,
/// so that everything is known that they have spent; half of the requests of the others have the first one.
const KEYS: [(&str, &str); 6] = [
    ("unlimited", ""),
    ("requests", "requests: 20/min"),
    ("tokens", "tokens: 3k/min"),
    ("parallel", "parallel: 2"),
    ("budget", "budget: 0.003 USD/year"),
    (EXACT, "requests: 1000k/min, tokens: 1000M/min, parallel: 1000, budget: 1000 USD/year"),
];
const EXACT: &str = "exact";
/// The limit of each key at the end, which shows how many requests it has still open.
const PARALLEL_AT_END: usize = 5;
/// What memory may grow by, from the first third to the end: allocators keep some.
const GROWTH_MAX: usize = 24 << 20;

/// A request that takes longer hangs.
const HANG: Duration = Duration::from_secs(40);

/// Endpoints by what is wrong with them.
const ENDPOINTS: [&str; 9] =
    ["good", "slow", "reset", "hang-up", "exception", "corrupt", "busy", "cut", "very-slow"];

fn script() -> Script {
    let rules = json!([
        {"endpoint": "good"},
        {"endpoint": "slow", "pause_ms": 20},
        {"endpoint": "very-slow", "pause_ms": 200},
        {"endpoint": "reset", "fault": {"reset": true, "after": 300}},
        {"endpoint": "hang-up", "fault": {"hang_up": true, "after": 500}},
        {"endpoint": "exception", "fault": {"exception": {"type": "ModelStreamError", "message": "gone"}, "after": 400}},
        {"endpoint": "corrupt", "fault": {"corrupt_byte": true, "after": 400}},
        {"endpoint": "busy", "status": 503, "retry_after": 0},
        {"endpoint": "cut", "cut": {"random": {"seed": 7, "min": 9, "max": 300}}, "chunks": {"random": {"seed": 3, "min": 30, "max": 900}}},
    ]);
    json!({"rules": rules}).to_string().parse().expect("a script")
}

/// The configuration with these limits of its keys.
fn soak_config<'a>(
    emulator: &Emulator,
    log: &Path,
    keys: impl IntoIterator<Item = (&'a str, String)>,
) -> Config {
    let hash = |name: &str| sagewire_sigv4::signing::hash(name.as_bytes());
    let keys = keys.into_iter().map(|(name, limits)| {
        format!("- {{name: {name}, hash: 'sha256:{}', limits: {{{limits}}}}}\n", hash(name))
    });
    let text = format!(
        "models: [{{name: e, endpoint: e, region: us-east-1, prices: {{input: 1, output: 1}}}}]\nkeys:\n{}",
        keys.collect::<String>()
    );
    let (read, _) =
        Config::read(&text, Path::new("soak.yaml"), |_| None).unwrap_or_else(|error| panic!("{error}"));
    let mut config = config(ENDPOINTS.iter().map(|name| model(emulator, name, Api::OpenAi)).collect());
    for model in &mut config.models {
        model.prices = read.models[0].prices;
        // For requests without a limit of their own.
        model.reserve_tokens = 100;
    }
    config.keys = read.keys;
    config.access_log = AccessLog::File(log.to_owned());
    // A fault of an endpoint is what is tested, not that it is left out.
    config.routing.cooldown.failures = u32::MAX;
    config.bounds.requests = REQUESTS;
    config.shutdown.linger = Duration::ZERO;
    config
}

fn usual_keys() -> impl Iterator<Item = (&'static str, String)> {
    KEYS.into_iter().map(|(name, limits)| (name, limits.to_owned()))
}

/// Requests by their outcome.
#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    complete: AtomicUsize,
    left: AtomicUsize,
}

/// A client that makes one request after the other.
enum Caller {
    /// Each on a connection of its own.
    Http1(SocketAddr),
    /// As streams of one connection.
    Http2(SendRequest<Bytes>),
}

impl Caller {
    async fn new(address: SocketAddr, http2: bool) -> Self {
        if !http2 {
            return Self::Http1(address);
        }
        let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// Sends a request. The status and the body; if the client leaves after some time, nothing.
    async fn call(
        &mut self,
        key: &str,
        path: &str,
        body: &Value,
        leaves_after: Option<Duration>,
    ) -> Option<(u16, Vec<u8>)> {
        let call = async {
            match self {
                Self::Http1(address) => {
                    let mut client = Client::connect(*address).await;
                    let authorization = format!("authorization: Bearer {key}");
                    client.send("POST", path, &[&authorization], body.to_string().as_bytes()).await;
                    client.bytes().await
                }
                Self::Http2(sender) => http2_call(sender, key, path, body).await.expect("a response"),
            }
        };
        timeout(leaves_after.unwrap_or(HANG), call).await.ok()
    }
}

async fn http2_call(
    sender: &mut SendRequest<Bytes>,
    key: &str,
    path: &str,
    body: &Value,
) -> Result<(u16, Vec<u8>), h2::Error> {
    let request = http::Request::post(format!("http://test{path}"))
        .header("authorization", format!("Bearer {key}"))
        .body(())
        .expect("a request");
    let mut ready = sender.clone().ready().await?;
    let (response, mut sent) = ready.send_request(request, false)?;
    sent.send_data(body.to_string().into(), true)?;
    let (head, mut received) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = received.data().await {
        let data = data?;
        received.flow_control().release_capacity(data.len())?;
        body.extend(data);
    }
    Ok((head.status.as_u16(), body))
}

/// Sends requests until the end: through several doors, to good and bad endpoints, and leaves one in four before its end.
async fn client(address: SocketAddr, number: usize, end: Instant, counts: Arc<Counts>) {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let http2 = number.is_multiple_of(2);
    let mut caller = Caller::new(address, http2).await;
    while Instant::now() < end {
        if random.usize(..50) == 0 {
            caller = Caller::new(address, http2).await;
        }
        let key = match number {
            0..2 => EXACT,
            _ => KEYS[random.usize(..2 * KEYS.len() - 2).saturating_sub(KEYS.len() - 1)].0,
        };
        let model = if key == EXACT { "good" } else { ENDPOINTS[random.usize(..ENDPOINTS.len() - 1)] };
        let (path, body) = request(&mut random, model);
        let leaves = key != EXACT && random.usize(..4) == 0;
        let leaves_after = leaves.then(|| Duration::from_millis(random.u64(..30)));
        counts.sent.fetch_add(1, Ordering::Relaxed);
        let what = format!("{key} {model} {path} {body}");
        let Some((status, body)) = caller.call(key, &path, &body, leaves_after).await else {
            assert!(leaves, "{what} hangs");
            counts.left.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let text = String::from_utf8_lossy(&body);
        let has_end = ["[DONE]", "message_stop", "messageStop"].iter().any(|end| text.contains(end));
        let is_good = ["good", "slow", "cut"].contains(&model);
        if status == 200 && is_good {
            counts.complete.fetch_add(1, Ordering::Relaxed);
        } else {
            // Refused by a limit, or by the bound of requests.
            sleep(Duration::from_millis(20)).await;
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

/// Begins streams that last a while, until one is refused: how many there are, and the status of the next.
async fn streams_until_refused(address: SocketAddr, key: &str) -> (usize, u16) {
    let body = json!({"model": "very-slow", "stream": true, "messages": [{"role": "user", "content": "word ".repeat(60)}]});
    let authorization = format!("authorization: Bearer {key}");
    let mut open = Vec::new();
    loop {
        let mut client = Client::connect(address).await;
        client.send("POST", "/v1/chat/completions", &[&authorization], body.to_string().as_bytes()).await;
        match client.head().await.0 {
            200 => open.push(client),
            status => return (open.len(), status),
        }
        assert!(open.len() <= 2 * CLIENTS, "nothing is refused");
    }
}

/// Nothing of the requests is held any more: neither one of the permits, nor a reservation of a key.
async fn nothing_is_held(server: &Running, emulator: &Emulator, log: &Path) {
    let keys = KEYS.iter().map(|(name, _)| match *name {
        "unlimited" => (*name, String::new()),
        name => (name, format!("parallel: {PARALLEL_AT_END}")),
    });
    server.gateway.reload(soak_config(emulator, log, keys)).await.expect("it is valid");
    for (key, _) in KEYS {
        let expected = if key == "unlimited" { (REQUESTS, 503) } else { (PARALLEL_AT_END, 429) };
        assert_eq!(streams_until_refused(server.address, key).await, expected, "{key}");
        wait_until_idle(server).await;
    }
}

/// What a key has spent, in millionths of a dollar, is what its requests took: a budget with this much and the estimate of a
/// request admits it, and one with less does not.
async fn budget_is_exact(server: &Running, emulator: &Emulator, log: &Path, spent: u64) {
    let body =
        json!({"model": "good", "max_tokens": 10, "messages": [{"role": "user", "content": "one two"}]});
    let estimate = body.to_string().len() as u64 / 4 + 10;
    for (budget, expected) in [(spent + estimate - 1, 429), (spent + estimate, 200)] {
        let keys = [(EXACT, format!("budget: {} USD/year", budget as f64 / 1e6))];
        server.gateway.reload(soak_config(emulator, log, keys)).await.expect("it is valid");
        let mut caller = Caller::new(server.address, false).await;
        let reply = caller.call(EXACT, "/v1/chat/completions", &body, None).await;
        let (status, body) = reply.expect("a response");
        assert_eq!(status, expected, "{spent} and {estimate}: {}", String::from_utf8_lossy(&body));
    }
}

/// The lines of the log, each of another request.
fn read_log(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("a log");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut ids = HashSet::new();
    for line in &lines {
        assert!(ids.insert(line["id"].as_str().expect("an ID")), "two records: {line}");
    }
    lines
}

/// Waits until the log has as many lines as there are requests.
async fn read_whole_log(server: &Running, log: &Path) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let lines = read_log(log);
        if lines.len() as f64 == server.metric("sagewire_requests_total", &[]).await {
            return lines;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "records are missing in the log");
        sleep(Duration::from_millis(100)).await;
    }
}

fn count_by(lines: &[Value], name: impl Fn(&Value) -> Option<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in lines.iter().filter_map(name) {
        *counts.entry(name).or_default() += 1;
    }
    counts
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
    let mut server = serve(soak_config(&emulator, &log, usual_keys())).await;
    let tasks_before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let memory_before = resident().unwrap_or_default();
    let counts = Arc::new(Counts::default());
    let end = Instant::now() + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(server.address, number, end, Arc::clone(&counts))))
        .collect();
    let (mut early, mut reloads) = (None, 0);
    while Instant::now() < end {
        sleep(Duration::from_millis(500)).await;
        server.gateway.reload(soak_config(&emulator, &log, usual_keys())).await.expect("it is valid");
        reloads += 1;
        if early.is_none() && Instant::now() + Duration::from_secs(seconds * 2 / 3) > end {
            early = resident();
        }
    }
    for client in clients {
        client.await.expect("no request has failed");
    }
    wait_until_idle(&server).await;
    let late = resident();
    // The emulator keeps the requests that it has seen.
    let kept = emulator.requests().iter().map(|request| request.body.len() + 2048).sum::<usize>();
    // Connections to the emulator, which are kept for a while, have a few tasks.
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();

    let lines = read_whole_log(&server, &log).await;
    let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let (sent, complete, left) = (load(&counts.sent), load(&counts.complete), load(&counts.left));
    let endings = count_by(&lines, |line| line["ending"].as_str().map(str::to_owned));
    let refused = count_by(&lines, |line| {
        let class = line["error"].as_str().filter(|class| class.starts_with("policy_"))?;
        Some(format!("{} {class}", line["key"].as_str()?))
    });
    eprintln!(
        "{sent} requests in {seconds} s with {reloads} reloads: {complete} complete, {left} left by their clients"
    );
    eprintln!("{} records: {endings:?}; refused: {refused:?}", lines.len());
    eprintln!(
        "memory {memory_before} before, {early:?} early, {late:?} late, {kept} of it kept by the emulator"
    );
    eprintln!("tasks {tasks_before} before, {tasks} after");
    // A client that leaves at once may have sent nothing that arrived.
    assert!(
        lines.len() <= sent && lines.len() + left >= sent,
        "{} records of {sent} requests, {left} left",
        lines.len()
    );
    assert!(complete > 0 && left > 0);
    if let (Some(early), Some(late)) = (early, late) {
        assert!(late < early + GROWTH_MAX + kept, "{early} bytes grow to {late}");
    }
    assert!(tasks <= tasks_before + 4 * CLIENTS, "{tasks_before} tasks have become {tasks}");
    // On a machine that is very busy, too few requests are sent to reach every limit.
    let is_loaded = sent > 10 * CLIENTS;
    for limit in
        ["requests policy_limit", "tokens policy_limit", "parallel policy_limit", "budget policy_budget"]
    {
        assert!(!is_loaded || refused.contains_key(limit), "{limit}: {refused:?}");
    }

    let exact = lines.iter().filter(|line| line["key"] == EXACT && line["error"].is_null());
    let spent = exact.map(|line| {
        assert!(line["ending"] == "complete" && line["tokens_estimated"] == false, "{line}");
        line["input_tokens"].as_u64().expect("a number") + line["output_tokens"].as_u64().expect("a number")
    });
    let spent = spent.sum();
    assert!(spent > 0);
    budget_is_exact(&server, &emulator, &log, spent).await;
    nothing_is_held(&server, &emulator, &log).await;
    server.begin_stop();
    server.stopped().await;
    read_log(&log);
    fs::remove_file(log).expect("it exists");
}
