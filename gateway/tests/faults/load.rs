//! Faults of time and load: 8, 9, 15, 34 and 44. The gateway is a process of its own where its time or its memory is measured.
//!
//! Other programs may have the processor in between, so that times are the best of several tries.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::common::server::{Client, serve};
use crate::common::state_server::StateServer;
use crate::common::{ECHO, config, emulator};
use crate::process::{Process, endpoint, model};

const TRIES: usize = 5;
const MIB: usize = 1 << 20;

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The times to the first event of requests on one connection: the least, and the median.
async fn first_events(address: SocketAddr, path: &str) -> (Duration, Duration) {
    let mut client = Client::connect(address).await;
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        let body = br#"{"model":"e","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
        client.send("POST", path, &[], body).await;
        assert_eq!(client.head().await.0, 200);
        client.part().await.expect("an event");
        times.push(start.elapsed());
        while client.part().await.is_some() {}
    }
    let median = median(&mut times);
    (times[0], median)
}

/// The acknowledgements that Nagle's algorithm waits for are delayed by 40 ms.
#[tokio::test]
async fn fault_08_the_first_event_is_not_delayed() {
    let service = endpoint(async |mut connection| {
        loop {
            connection.begin().await?;
            connection.token("a").await?;
            connection.finish().await?;
        }
    })
    .await;
    let gateway = Process::start(json!([model(service)]), &json!({}));
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let alone = first_events(service, "/endpoints/e/invocations-response-stream").await;
        let through = first_events(gateway.address, "/v1/chat/completions").await;
        println!("least and median: {alone:?} alone, {through:?} through the gateway");
        best = best.min(through.0.saturating_sub(alone.0));
    }
    assert!(best < Duration::from_millis(1), "{best:?}");
}

/// The sockets of this process.
#[cfg(target_os = "linux")]
fn sockets() -> std::io::Result<Vec<TcpStream>> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        // Others may be closed meanwhile.
        if std::fs::read_link(&path).is_ok_and(|target| target.to_string_lossy().starts_with("socket:")) {
            let number = path.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number");
            found.extend(pidfd_getfd(&this, number, PidfdGetfdFlags::empty()).map(TcpStream::from));
        }
    }
    Ok(found)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn fault_08_no_socket_waits_for_acknowledgements() {
    let emulator = emulator(Default::default(), ECHO).await;
    let server = serve(config(vec![crate::common::model(&emulator, "e", sagewire_codec::Api::OpenAi)])).await;
    let mut client = server.connect().await;
    client.chat("e", true).await;
    assert!(client.whole().await.body.ends_with("data: [DONE]\n\n"));
    let sockets = match sockets() {
        Ok(sockets) => sockets,
        Err(error) => return println!("skipped: sockets of a process cannot be seen here: {error}"),
    };
    let (mut accepted, mut outgoing) = (0, 0);
    for socket in sockets {
        // A listener has no peer.
        let (Ok(local), Ok(peer)) = (socket.local_addr(), socket.peer_addr()) else { continue };
        if local == server.address || peer == emulator.addr() {
            assert!(socket.nodelay().expect("an option"), "{local} to {peer}");
            accepted += usize::from(local == server.address);
            outgoing += usize::from(peer == emulator.addr());
        }
    }
    assert!(accepted == 1 && outgoing == 1, "{accepted} accepted, {outgoing} outgoing");
}

#[tokio::test]
async fn fault_09_each_token_arrives_when_it_is_sent() {
    const TOKENS: usize = 6;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&sent);
    let service = endpoint(move |mut connection| {
        let sent = Arc::clone(&times);
        async move {
            loop {
                connection.begin().await?;
                for _ in 0..TOKENS {
                    sleep(Duration::from_millis(250)).await;
                    sent.lock().expect("no panic").push(Instant::now());
                    connection.token("tok").await?;
                }
                connection.finish().await?;
            }
        }
    })
    .await;
    let gateway = Process::start(json!([model(service)]), &json!({}));
    let mut client = Client::connect(gateway.address).await;
    let mut best = [Duration::MAX; TOKENS];
    for _ in 0..TRIES {
        client.chat("e", true).await;
        let (status, head) = client.head().await;
        assert_eq!(status, 200);
        let head = head.to_ascii_lowercase();
        for header in ["x-accel-buffering: no\r\n", "cache-control: no-store\r\n"] {
            assert!(head.contains(header), "{head}");
        }
        let mut arrived = 0;
        while let Some(part) = client.part().await {
            let tokens = String::from_utf8(part).expect("UTF-8").matches("\"tok\"").count();
            assert!(tokens <= 1, "tokens wait for each other");
            if tokens == 1 {
                let late = sent.lock().expect("no panic")[arrived].elapsed();
                best[arrived] = best[arrived].min(late);
                arrived += 1;
            }
        }
        assert_eq!(arrived, TOKENS);
        sent.lock().expect("no panic").clear();
        if best.iter().all(|late| *late < Duration::from_millis(10)) {
            return println!("tokens are late by {best:?}");
        }
    }
    panic!("tokens are late by {best:?}");
}

/// An endpoint whose stream has this many bytes of text. It counts the bytes that it got rid of, and its open streams.
async fn long_streams(len: usize) -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (sent, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&sent), Arc::clone(&open));
    let service = endpoint(move |mut connection| {
        let (sent, open) = counts.clone();
        async move {
            let text = "x".repeat(4000);
            loop {
                connection.begin().await?;
                open.fetch_add(1, Ordering::SeqCst);
                let mut result = Ok(());
                for _ in 0..len / text.len() {
                    result = connection.token(&text).await;
                    if result.is_err() {
                        break;
                    }
                    sent.fetch_add(text.len(), Ordering::SeqCst);
                }
                open.fetch_sub(1, Ordering::SeqCst);
                result?;
                connection.finish().await?;
            }
        }
    })
    .await;
    (service, sent, open)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn fault_15_a_slow_reader_costs_no_memory() {
    // What the allocator keeps differs by some hundred KiB.
    let mut least = usize::MAX;
    for _ in 0..TRIES {
        least = least.min(growth_by_a_slow_reader().await);
        if least < MIB {
            return;
        }
    }
    panic!("memory grows by {least} bytes");
}

/// How much the gateway's memory grows while a client reads a byte each second of 200 MiB, and others are served.
#[cfg(target_os = "linux")]
async fn growth_by_a_slow_reader() -> usize {
    use tokio::io::AsyncReadExt;

    let (service, sent, _) = long_streams(200 * MIB).await;
    let (short, ..) = long_streams(MIB).await;
    let mut other = model(short);
    other["name"] = "short".into();
    let gateway = Process::start(json!([model(service), other]), &json!({}));
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(Client::connect(gateway.address).await);
    }
    for _ in 0..30 {
        serve_short(&mut others).await;
    }
    let before = gateway.memory("VmRSS");
    let mut slow = Client::connect(gateway.address).await;
    slow.chat("e", true).await;
    let mut slow = slow.into_stream();
    let (mut largest, mut counts) = (0, Vec::new());
    for _ in 0..6 {
        slow.read_u8().await.expect("a byte");
        for _ in 0..4 {
            sleep(Duration::from_millis(250)).await;
            serve_short(&mut others).await;
            largest = largest.max(gateway.memory("VmRSS"));
        }
        counts.push(sent.load(Ordering::SeqCst));
    }
    let growth = largest.saturating_sub(before);
    println!("memory grows by {growth} bytes from {before}; the endpoint has sent {counts:?}");
    // The rest is in the buffers of the kernel.
    let [.., earlier, last] = counts[..] else { panic!("{counts:?}") };
    assert!(earlier == last && last < 32 * MIB, "it is not held back: {counts:?}");
    growth
}

/// A complete stream of one MiB for each client, all at the same time.
#[cfg(target_os = "linux")]
async fn serve_short(clients: &mut [Client]) {
    for client in &mut *clients {
        client.chat("short", true).await;
    }
    for client in clients {
        let whole = client.whole().await;
        assert!(whole.body.len() > MIB && whole.body.ends_with("data: [DONE]\n\n"), "{}", whole.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_15_who_reads_nothing_is_closed() {
    let (service, sent, open) = long_streams(200 * MIB).await;
    let gateway = Process::start(json!([model(service)]), &json!({"bounds": {"send": "3s"}}));
    let mut slow = Client::connect(gateway.address).await;
    slow.chat("e", true).await;
    assert_eq!(slow.head().await.0, 200);
    let start = Instant::now();
    let mut is_open = false;
    while !is_open || open.load(Ordering::SeqCst) != 0 {
        is_open |= open.load(Ordering::SeqCst) != 0;
        assert!(start.elapsed() < Duration::from_secs(20), "the one that reads nothing stays");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(sent.load(Ordering::SeqCst) < 32 * MIB);
    let metrics = metrics(gateway.admin).await;
    assert!(metrics.lines().any(|line| line == "sagewire_requests_in_flight 0"), "{metrics}");
}

async fn metrics(admin: SocketAddr) -> String {
    let mut client = Client::connect(admin).await;
    client.send("GET", "/metrics", &[], b"").await;
    client.whole().await.body
}

/// Lets this process, and those that it starts, have this many open files, or as many as the system allows.
#[cfg(target_os = "linux")]
fn allow_files(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_some_and(|current| current < allowed) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum }).expect("it is allowed");
    }
    allowed
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn fault_34_more_clients_than_it_serves_are_refused_and_not_dropped() {
    const REQUESTS: usize = 500;
    /// Memory of the gateway for each connection, also while it has a request.
    const CONNECTION_MAX: usize = 64 << 10;
    // The clients and the endpoint are in this process; other tests need some, too.
    let files = allow_files(10_000);
    let count = usize::try_from(files).expect("a few").saturating_sub(2 * REQUESTS + 500).min(5000);
    assert!(count > 2 * REQUESTS, "{files} open files are too few");
    let script = json!({"rules": [{"first_byte_ms": 300}]}).to_string();
    let emulator = emulator(Default::default(), &script).await;
    let gateway = Process::start(json!([model(emulator.addr())]), &json!({"bounds": {"requests": REQUESTS}}));
    let idle = gateway.memory("VmRSS");
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::connect(gateway.address).await);
    }
    let mut after = Vec::new();
    for _ in 0..4 {
        let (served, refused);
        (clients, served, refused) = ask_all(clients).await;
        assert!(served >= REQUESTS && refused > 0, "{served} served, {refused} refused");
        after.push(gateway.memory("VmRSS"));
    }
    let metrics = metrics(gateway.admin).await;
    let open = format!("sagewire_connections_open {count}");
    assert!(metrics.lines().any(|line| line == open), "{metrics}");
    let peak = gateway.memory("VmHWM");
    println!("{count} connections: {idle} bytes before, {after:?} after each round, {peak} at most");
    assert!(peak - idle < count * CONNECTION_MAX, "{idle} grow to {peak}");
    // Other connections are served in each round, whose buffers stay.
    assert!(after[3] < after[0] / 4 * 5, "each round needs more: {after:?}");
}

/// Sends a request on each connection at the same time: the numbers of those that are served, and refused.
async fn ask_all(clients: Vec<Client>) -> (Vec<Client>, usize, usize) {
    let mut tasks = Vec::new();
    for mut client in clients {
        tasks.push(tokio::spawn(async move {
            client.chat("e", false).await;
            let whole = client.whole().await;
            (client, whole)
        }));
    }
    let (mut served, mut refused, mut clients) = (0, 0, Vec::new());
    for task in tasks {
        let (client, whole) = task.await.expect("no connection is dropped");
        match whole.status {
            200 => served += 1,
            503 => {
                refused += 1;
                assert!(whole.head.to_ascii_lowercase().contains("\r\nretry-after: "), "{}", whole.head);
            }
            status => panic!("{status}: {}", whole.body),
        }
        clients.push(client);
    }
    (clients, served, refused)
}

/// Responses of the health checks on one connection: the median and the largest time.
fn health(admin: SocketAddr) -> (Duration, Duration) {
    let stream = TcpStream::connect(admin).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut stream = BufReader::new(stream);
    let mut times = Vec::new();
    for path in ["/livez", "/readyz", "/health/liveliness", "/health/readiness"].iter().cycle().take(100) {
        let start = Instant::now();
        write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("it is open");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).expect("UTF-8"), 0, "{path}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        let mut body = String::new();
        stream.read_line(&mut body).expect("UTF-8");
        times.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    (median(&mut times), *times.last().expect("it is sorted"))
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_44_health_responds_under_load_and_without_the_shared_state() {
    const KEY: &str = "sk-a";
    let emulator = emulator(Default::default(), ECHO).await;
    // A frozen server is worse than none.
    let state = StateServer::start();
    let url = state.as_ref().map_or("redis://127.0.0.1:1".to_owned(), StateServer::url);
    if let Some(state) = &state {
        state.freeze();
    }
    let hash = sagewire_sigv4::signing::hash(KEY.as_bytes());
    let key = json!({"name": "a", "hash": format!("sha256:{hash}"), "limits": {"requests": "100000000/min"}});
    let more = json!({"state": {"url": url, "when_down": "local"}, "keys": [key]});
    let gateway = Process::start(json!([model(emulator.addr())]), &more);
    health(gateway.admin);
    assert_eq!(emulator.requests().len(), 0, "health calls no endpoint");
    // Both processors are busy with requests.
    let served = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> =
        (0..64).map(|_| tokio::spawn(load(gateway.address, KEY, Arc::clone(&served)))).collect();
    let is_loaded = async {
        while served.load(Ordering::SeqCst) <= 64 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), is_loaded).await.expect("requests are served");
    let mut times = Vec::new();
    for _ in 0..TRIES {
        let admin = gateway.admin;
        let round = tokio::task::spawn_blocking(move || health(admin)).await.expect("no panic");
        times.push(round);
        if round.0 < Duration::from_millis(5) {
            break;
        }
    }
    println!(
        "median and largest time of each round: {times:?}, {} requests meanwhile",
        served.load(Ordering::SeqCst)
    );
    let (median, largest) = times[times.len() - 1];
    assert!(median < Duration::from_millis(5), "{times:?}");
    // What Kubernetes waits.
    assert!(largest < Duration::from_secs(1), "{times:?}");
    for task in load {
        task.abort();
        let ended = timeout(Duration::from_secs(5), task).await.expect("it is aborted");
        assert!(ended.is_err_and(|error| error.is_cancelled()), "no request has failed");
    }
}

async fn load(address: SocketAddr, key: &str, served: Arc<AtomicUsize>) {
    let mut client = Client::connect(address).await;
    let authorization = format!("authorization: Bearer {key}");
    let body =
        json!({"model": "e", "messages": [{"role": "user", "content": "one two three four"}]}).to_string();
    loop {
        client.send("POST", "/v1/chat/completions", &[&authorization], body.as_bytes()).await;
        let whole = client.whole().await;
        assert_eq!(whole.status, 200, "{}", whole.body);
        let _: Value = serde_json::from_str(&whole.body).expect("JSON");
        served.fetch_add(1, Ordering::SeqCst);
    }
}
