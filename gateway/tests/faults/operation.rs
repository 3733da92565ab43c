//! Faults of servers: 14, 35, 40, 42, 43 and 45.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sagewire_codec::Api;
use sagewire_emulator::{ContainerFormat, Emulator};
use sagewire_gateway::config::{AccessLog, Config, Key, KeyPair, Secret};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use crate::common::server::{Running, serve, serve_file};
use crate::common::{ECHO, config, emulator, keys, model, post, send_raw};

const MILLISECOND: Duration = Duration::from_millis(1);
/// The default bound of a body, which is that of SageMaker.
const BODY_LEN_MAX: usize = 6 << 20;

/// A server in front of an emulator with a script.
async fn serve_script(script: &str, change: impl FnOnce(&mut Config)) -> (Running, Emulator) {
    let emulator = emulator(ContainerFormat::default(), script).await;
    let mut config = config(vec![model(&emulator, "e", Api::OpenAi)]);
    config.shutdown.linger = Duration::ZERO;
    change(&mut config);
    (serve(config).await, emulator)
}

/// A stream of events, with a pause before each.
fn events(count: usize, pause: Duration) -> String {
    let chunks: Vec<_> = (0..=count)
        .map(|index| {
            let (delta, finish) =
                if index < count { (json!({"content": "tok"}), None) } else { (json!({}), Some("stop")) };
            let event = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
            let end = if index < count { "" } else { "data: [DONE]\n\n" };
            json!({"pause_ms": pause.as_millis() as u64, "text": format!("data: {event}\n\n{end}")})
        })
        .collect();
    json!({"rules": [{"content_type": "text/event-stream", "body_chunks": chunks}]}).to_string()
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sagewire-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_14_a_stalled_stream_ends() {
    let script = json!({"rules": [{"fault": {"stall": true, "after": 1200}}]}).to_string();
    let idle = Duration::from_millis(600);
    let (server, emulator) = serve_script(&script, |config| config.models[0].timeouts.idle = idle).await;
    let mut client = server.connect().await;
    let start = Instant::now();
    client.chat("e", true).await;
    assert_eq!(client.head().await.0, 200);
    let mut body = String::from_utf8(client.part().await.expect("an event")).expect("UTF-8");
    assert!(!body.contains("\"error\""), "{body}");
    body += &client.rest().await;
    let time = start.elapsed();
    assert!((idle..idle * 8).contains(&time), "{time:?}");
    assert!(body.contains("\"error\"") && !body.contains("[DONE]"), "{body}");
    assert_eq!(server.metric("sagewire_requests_total", &["error=\"upstream_timeout\""]).await, 1.0);
    // The emulator ends when its last connection does.
    timeout(Duration::from_secs(5), emulator.stop()).await.expect("the connection is closed");
}

/// A chat request of this length.
fn chat_of_len(len: usize) -> Vec<u8> {
    let (start, end) = (r#"{"model":"e","max_tokens":1,"messages":[{"role":"user","content":""#, r#""}]}"#);
    let text = "x".repeat(len - start.len() - end.len());
    format!("{start}{text}{end}").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_35_a_body_over_the_limit_is_a_413_that_names_it() {
    let (server, emulator) = serve_script(ECHO, |_| {}).await;
    let mut client = server.connect().await;
    client.send("POST", "/v1/chat/completions", &[], &chat_of_len(BODY_LEN_MAX - 1)).await;
    let whole = client.whole().await;
    assert_eq!(whole.status, 200, "{}", &whole.body[..whole.body.len().min(300)]);
    let calls = emulator.requests().len();

    for (path, field) in [
        ("/v1/chat/completions", "/error/message"),
        ("/v1/messages", "/error/message"),
        ("/v1/responses", "/error/message"),
        ("/model/e/converse", "/message"),
    ] {
        // Without the body: it is refused by its length, so that clients that ask first do not send it.
        let mut client = server.connect().await;
        client.send_head("POST", path, &["expect: 100-continue"], BODY_LEN_MAX + 1).await;
        let whole =
            timeout(Duration::from_secs(5), client.whole()).await.expect("it does not wait for the body");
        assert_eq!(whole.status, 413, "{path}");
        let body: serde_json::Value = serde_json::from_str(&whole.body).expect("JSON");
        let message = body.pointer(field).and_then(|message| message.as_str()).expect("a message");
        assert!(
            message.contains("6 MiB") || message.contains(&BODY_LEN_MAX.to_string()),
            "{path}: {message}"
        );
    }
    // A body that does not say how long it is, is refused when it is too long.
    let mut client = server.connect().await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write(head.as_bytes()).await;
    let body = chat_of_len(BODY_LEN_MAX + 1);
    client.write(format!("{:x}\r\n", body.len()).as_bytes()).await;
    client.write(&body).await;
    assert_eq!(client.head().await.0, 413);
    assert_eq!(emulator.requests().len(), calls, "no call was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_40_secrets_are_nowhere() {
    const CANARIES: [&str; 4] =
        ["canary-key", "CANARYSECRETOFAKEY", "CANARYUPSTREAMSECRET", "canary-wrong-key"];
    let folder = Folder::new("canary");
    let log = folder.path("access.log");
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let mut refused = model(&emulator, "refused", Api::OpenAi);
    if let sagewire_gateway::config::Upstream::SageMaker(upstream) = &mut refused.upstream {
        upstream.credentials = keys();
        upstream.credentials.keys = Some(KeyPair::new("AKIDCANARY", Secret::new(CANARIES[2])));
    }
    let mut config = config(vec![model(&emulator, "e", Api::OpenAi), refused]);
    config.access_log = AccessLog::File(log.clone());
    config.shutdown.linger = Duration::ZERO;
    let mut key = Key::new("team-a");
    key.hash = Some(Sha256::digest(CANARIES[0]).into());
    key.aws = Some(KeyPair::new("AKSWCANARY", Secret::new(CANARIES[1])));
    config.keys.push(key);
    let mut seen = format!("{config:?}");
    let mut server = serve(config).await;
    seen += &format!("{:?}", server.gateway);
    let scheme = |key: &str| format!("authorization: Bearer {key}");
    let body = |model: &str| {
        json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}).to_string().into_bytes()
    };
    let (right, wrong) = (scheme(CANARIES[0]), scheme(CANARIES[3]));
    for (header, model, status) in
        [(&right, "e", 200), (&right, "refused", 503), (&right, "unknown", 404), (&wrong, "e", 401)]
    {
        let mut client = server.connect().await;
        client.send("POST", "/v1/chat/completions", &[header], &body(model)).await;
        let whole = client.whole().await;
        assert!(whole.status == status || (status, whole.status / 100) == (503, 5), "{model}: {whole:?}");
        seen += &whole.head;
        seen += &whole.body;
    }
    // Keys in other places, and a signature of somebody else.
    for header in [
        format!("x-api-key: {}", CANARIES[3]),
        format!("authorization: {}", CANARIES[0]),
        "authorization: AWS4-HMAC-SHA256 Credential=AKSWCANARY/20261201/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00".to_owned(),
    ] {
        let mut client = server.connect().await;
        client.send("POST", "/model/e/converse", &[&header], b"{}").await;
        let whole = client.whole().await;
        assert!((400..500).contains(&whole.status), "{whole:?}");
        seen += &whole.head;
        seen += &whole.body;
    }
    // A key in place of a name. What a client gets back is its own.
    let mut records = 7;
    for key in [CANARIES[0], CANARIES[3]] {
        for (method, path, model) in [
            ("POST", "/v1/chat/completions", key),
            ("POST", "/v1/embeddings", key),
            ("POST", "/v1/messages", key),
            ("POST", &format!("/model/{key}/converse"), "e"),
            ("POST", &format!("/endpoints/{key}/invocations"), "e"),
            ("POST", &format!("/v1/chat/completions?key={key}"), key),
            ("POST", &format!("/{key}"), "e"),
            ("GET", &format!("/v1/models/{key}"), "e"),
        ] {
            let body = json!({"model": model, "input": "hi", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]});
            let mut client = server.connect().await;
            client.send(method, path, &[&right], body.to_string().as_bytes()).await;
            let whole = client.whole().await;
            assert!(matches!(whole.status, 400 | 404), "{path}: {whole:?}");
            records += 1;
        }
    }
    seen += &server.admin("/metrics").await.body;
    server.begin_stop();
    server.stopped().await;
    let log = fs::read_to_string(log).expect("a log");
    assert_eq!(log.lines().count(), records, "{log}");
    assert!(log.contains("\"key\":\"team-a\"") && log.contains("\"error\":\"gateway_credentials\""), "{log}");
    seen += &log;
    for canary in CANARIES {
        assert!(!seen.contains(canary), "{canary} in {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_42_streams_end_before_the_server_does() {
    const STREAMS: usize = 100;
    let linger = Duration::from_millis(500);
    let (mut server, _emulator) =
        serve_script(&events(10, Duration::from_millis(150)), |config| config.shutdown.linger = linger).await;
    let mut tasks = Vec::new();
    for _ in 0..STREAMS {
        let mut client = server.connect().await;
        client.chat("e", true).await;
        assert_eq!(client.head().await.0, 200);
        tasks.push(tokio::spawn(async move { client.rest().await }));
    }
    server.begin_stop();
    let start = Instant::now();
    while server.admin("/readyz").await.status != 503 {
        assert!(start.elapsed() < linger, "readiness comes first");
        sleep(5 * MILLISECOND).await;
    }
    assert_eq!(server.admin("/livez").await.status, 200);
    // Clients of a load balancer that does not know yet.
    let mut late = server.connect().await;
    late.chat("e", true).await;
    assert_eq!(late.head().await.0, 200);
    for task in tasks {
        let body = task.await.expect("no panic");
        assert_eq!(body.matches("\"tok\"").count(), 10);
        assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
    }
    assert!(late.rest().await.ends_with("data: [DONE]\n\n"));
    timeout(Duration::from_secs(5), server.stopped()).await.expect("it ends with its last stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_42_what_is_left_after_the_drain_ends_with_an_error() {
    let mut script: serde_json::Value =
        serde_json::from_str(&events(100, Duration::from_millis(100))).expect("JSON");
    let rules = script["rules"].as_array_mut().expect("a list");
    rules.insert(0, json!({"endpoint": "slow", "first_byte_ms": 60_000}));
    let (mut server, _emulator) = serve_script(&script.to_string(), |config| {
        config.shutdown.drain = Duration::from_millis(300);
        config.bounds.ping = Some(100 * MILLISECOND);
        config.bounds.ping_before_response = true;
        let mut slow = config.models[0].clone();
        slow.name = "slow".into();
        if let sagewire_gateway::config::Upstream::SageMaker(upstream) = &mut slow.upstream {
            upstream.endpoint = "slow".into();
        }
        config.models.push(slow);
    })
    .await;
    let mut clients = Vec::new();
    for number in 0..10 {
        let mut client = server.connect().await;
        client.chat(if number % 2 == 0 { "e" } else { "slow" }, true).await;
        assert_eq!(client.head().await.0, 200);
        clients.push(client);
    }
    server.begin_stop();
    for mut client in clients {
        let body = client.rest().await;
        assert!(body.contains("\"error\"") && !body.contains("[DONE]"), "{body}");
    }
    timeout(Duration::from_secs(5), server.stopped()).await.expect("it ends");
}

/// A configuration file with models of an emulator.
fn file(emulator: &Emulator, models: &[&str]) -> String {
    let credentials = keys().keys.expect("a key pair");
    let models: Vec<_> = models
        .iter()
        .map(|name| {
            json!({"name": name, "endpoint": "e", "region": "us-east-1", "endpoint_url": emulator.url(),
                "aws": {"access_key_id": credentials.access_key_id, "secret": credentials.secret.expose()}})
        })
        .collect();
    // JSON is YAML.
    json!({"models": models, "access_log": "off", "shutdown": {"linger": "0s", "drain": "5s"}}).to_string()
}

/// Waits until a chat with a model has this status.
async fn wait_for_status(server: &Running, model: &str, status: u16) {
    let start = Instant::now();
    loop {
        let mut client = server.connect().await;
        client.chat(model, false).await;
        let whole = client.whole().await;
        if whole.status == status {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{model}: {whole:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn fault_43_a_changed_file_is_applied_and_a_broken_one_is_not() {
    let emulator = emulator(ContainerFormat::default(), &events(30, Duration::from_millis(200))).await;
    let folder = Folder::new("reload");
    // As Kubernetes mounts it: file → ..data/file, ..data → a folder of this version, swapped as a whole.
    let publish = |version: &str, text: &str| {
        fs::create_dir_all(folder.path(version)).expect("a folder");
        fs::write(folder.path(version).join("gateway.yaml"), text).expect("a file");
        std::os::unix::fs::symlink(version, folder.path("..new")).expect("a link");
        fs::rename(folder.path("..new"), folder.path("..data")).expect("it is swapped");
    };
    publish("..1", &file(&emulator, &["first"]));
    std::os::unix::fs::symlink("..data/gateway.yaml", folder.path("gateway.yaml")).expect("a link");
    let server = serve_file(&folder.path("gateway.yaml")).await;
    let mut running = server.connect().await;
    running.chat("first", true).await;
    assert_eq!(running.head().await.0, 200);

    publish("..2", &file(&emulator, &["second"]));
    wait_for_status(&server, "first", 404).await;
    assert_eq!(server.metric("sagewire_config_reloads_total", &[]).await, 1.0);
    assert_eq!(server.metric("sagewire_config_ok", &[]).await, 1.0);

    publish("..3", "models:\n  - name: third\n    endpiont: e\n");
    let start = Instant::now();
    while server.metric("sagewire_config_ok", &[]).await != 0.0 {
        assert!(start.elapsed() < Duration::from_secs(20), "a broken file is not reported");
        sleep(Duration::from_millis(100)).await;
    }
    wait_for_status(&server, "third", 404).await;
    wait_for_status(&server, "second", 200).await;

    // In place, and at once.
    fs::write(folder.path("..data").join("gateway.yaml"), file(&emulator, &["second", "fourth"]))
        .expect("a file");
    let hangup = std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
    assert!(hangup.is_ok_and(|status| status.success()));
    wait_for_status(&server, "fourth", 200).await;
    assert_eq!(server.metric("sagewire_config_ok", &[]).await, 1.0);
    assert_eq!(server.metric("sagewire_config_reloads_total", &[]).await, 2.0);

    // The request that began with the first file has ended with it, and its count is still there.
    assert!(running.rest().await.ends_with("data: [DONE]\n\n"));
    assert!(server.metric("sagewire_requests_total", &["model=\"first\"", "status=\"200\""]).await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_45_clients_add_no_series() {
    let (server, _emulator) = serve_script(ECHO, |_| {}).await;
    let ask = async |number: usize| {
        let model = if number.is_multiple_of(2) { "e".to_owned() } else { format!("m{number}") };
        let body = json!({"model": model, "user": format!("u{number}"), "max_tokens": 1,
            "messages": [{"role": "user", "content": "x"}]});
        post(&server.gateway, "/v1/chat/completions", &body).await;
        let unknown = format!("/p{number}/{}", "x".repeat(number % 50));
        send_raw(&server.gateway, &unknown, "{}", &[("x-user", &number.to_string())]).await;
        post(&server.gateway, &format!("/model/m{number}/converse"), "{}").await;
        post(&server.gateway, &format!("/endpoints/e{number}/invocations"), "{}").await;
    };
    let series = async || server.admin("/metrics").await.body.lines().count();
    for number in 0..4 {
        ask(number).await;
    }
    let before = series().await;
    for number in 4..300 {
        ask(number).await;
    }
    assert_eq!(series().await, before);
}
