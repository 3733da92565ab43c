//! Calls are recorded, and a recording replays the same bytes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sagewire_emulator::{Emulator, Limits, Script};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::asynchronous::Folder;
use crate::client::{Reply, Request};
use crate::container::{Container, Step, chunk, head};

const EVENTS: [&str; 3] = ["data: {\"a\": 1}\n\n", "data: {\"b\": \"\u{e9}\"}\n\n", "data: [DONE]\n\n"];

/// Waits up to two seconds for the recordings.
async fn files(folder: &Folder, count: usize) -> Vec<PathBuf> {
    for _ in 0..200 {
        let entries = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
        files.sort();
        if files.len() >= count {
            assert_eq!(files.len(), count);
            return files;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no {count} recordings");
}

fn read(file: &PathBuf) -> Value {
    let text = std::fs::read_to_string(file).unwrap();
    for secret in ["AKID", "Signature", "authorization", "security-token", "api-key", "hidden"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let mut script: Value = serde_json::from_str(&text).unwrap();
    script["rules"][0].take()
}

/// Status, whether the body is complete, headers, chunks.
type Seen = (u16, bool, Vec<(String, String)>, Vec<Vec<u8>>);

/// The parts of a reply that have to be equal in a replay.
fn seen(reply: &Reply) -> Seen {
    let headers = reply.headers.iter().filter(|(name, _)| !["date", "set-cookie"].contains(&name.as_str()));
    let mut headers: Vec<(String, String)> = headers.cloned().collect();
    headers.sort();
    (reply.status, reply.whole, headers, reply.chunks.clone())
}

/// Sends a request to a container, and to its recording. Returns the recorded rule.
async fn replayed(
    name: &str,
    container: &Container,
    limits: Limits,
    script: Option<&Value>,
    request: &Request,
) -> Value {
    let folder = Folder::new(&format!("record-{name}"));
    let mut builder = container.behind().limits(limits).session_token("hidden").record(&folder.0);
    if let Some(script) = script {
        builder = builder.script(script.to_string().parse().unwrap());
    }
    let emulator = builder.start().await.unwrap();
    let first = request.send(&emulator).await;
    let file = files(&folder, 1).await.remove(0);
    let script = Script::load(&file).unwrap();
    let emulator = Emulator::builder().session_token("hidden").script(script).start().await.unwrap();
    assert_eq!(seen(&request.send(&emulator).await), seen(&first), "{name}");
    read(&file)
}

fn with_token(mut request: Request) -> Request {
    request.token = Some("hidden");
    if request.bearer.is_some() {
        request.bearer = Some(request.token());
    }
    request
}

#[tokio::test]
async fn every_answer_replays_to_the_same_bytes() {
    let (plain, limits) = (
        Limits::default(),
        Limits { stream: Duration::from_millis(250), response_len: 20, ..Limits::default() },
    );
    let custom =
        "x-amzn-sagemaker-custom-attributes: trace=7\r\nset-cookie: hidden=1\r\ncontent-type: a/b\r\n";
    let ok = Container::whole("200 OK", custom, "{\"a\": \"\u{e9}\"}").await;
    let bare = Container::whole("200 OK", "", "x").await;
    let refusing = Container::whole("422 No", custom, "{\"error\": \"no\"}").await;
    let long = Container::whole("200 OK", custom, "012345678901234567890").await;
    let streaming = Container::streaming(&EVENTS).await;
    let split = Container::new(vec![
        head(),
        chunk(&b"data: \xc3"[..]),
        Step::Wait(Duration::from_millis(20)),
        chunk(&b"\xa9\n\n"[..]),
        Step::Send(b"0\r\n\r\n".into()),
    ])
    .await;
    let broken = Container::new(vec![head(), chunk(EVENTS[0])]).await;
    let slow = Container::new(vec![head(), chunk(EVENTS[0]), Step::AwaitClose]).await;
    let silent = Container::new(vec![Step::AwaitClose]).await;
    let containers = [
        ("ok", &ok, plain),
        ("bare", &bare, plain),
        ("refusing", &refusing, plain),
        ("long", &long, limits),
        ("streaming", &streaming, plain),
        ("split", &split, plain),
        ("broken", &broken, plain),
        ("slow", &slow, limits),
        ("silent", &silent, Limits { unary: limits.stream, ..limits }),
    ];
    for (name, container, limits) in containers {
        let limits = Limits { unary: Duration::from_millis(400), ..limits };
        for (route, request) in [
            ("unary", Request::unary("e", "{}")),
            ("stream", Request::stream("e", "{}")),
            ("openai", Request::openai("e", "{}")),
        ] {
            replayed(&format!("{name}-{route}"), container, limits, None, &with_token(request)).await;
        }
    }
    for (name, fault) in [
        ("reset", json!({"reset": true, "after": 20})),
        ("hang", json!({"hang_up": true, "after": 3})),
        ("corrupt", json!({"corrupt_byte": true, "after": 20})),
        ("half", json!({"truncated_frame": true, "after": 99})),
        ("error", json!({"error": {"code": "5", "message": "no"}, "after": 16})),
        ("whole", Value::Null),
    ] {
        let mut rule = json!({"cut": "characters", "chunks": {"random": {"seed": 3, "max": 50}}, "headers": {"x-more": "1"}, "pause_ms": 1});
        if !fault.is_null() {
            rule["fault"] = fault;
        }
        let script = json!({"rules": [rule]});
        let rule =
            replayed(name, &streaming, plain, Some(&script), &with_token(Request::stream("e", "{}"))).await;
        assert_eq!((&rule["cut"], &rule["headers"]["x-more"]), (&json!("characters"), &json!("1")));
    }
}

#[tokio::test]
async fn recordings_can_be_read_by_people() {
    let container = Container::streaming(&EVENTS).await;
    let folder = Folder::new("record-read");
    let emulator = container.behind().record(&folder.0).start().await.unwrap();
    let mut request = Request::stream("my-llm", "{\"b\": 2}");
    request.headers.push(("x-amzn-sagemaker-accept", "text/event-stream"));
    request.path += "?a=b";
    request.send(&emulator).await;
    let file = files(&folder, 1).await.remove(0);
    assert_eq!(file.file_name().unwrap(), "000001-my-llm.json");
    let rule = read(&file);
    let headers = json!({"content-type": "application/json", "accept": "text/event-stream"});
    let request = json!({
        "method": "POST",
        "path": "/endpoints/my-llm/invocations-response-stream",
        "headers": headers,
        "body": "{\"b\": 2}",
    });
    assert_eq!((&rule["endpoint"], &rule["request"]), (&json!("my-llm"), &request));
    assert_eq!(rule["content_type"], "text/event-stream; charset=utf-8");
    assert_eq!(rule["headers"], json!({"x-amzn-sagemaker-custom-attributes": "trace=7"}));
    let chunks = rule["body_chunks"].as_array().unwrap();
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk["text"].as_str().unwrap()).collect();
    assert_eq!(texts, EVENTS);
    assert!(
        chunks[1..].iter().all(|chunk| (5..500).contains(&chunk["pause_ms"].as_u64().unwrap())),
        "{chunks:?}"
    );
    // The next run adds to the existing recordings.
    let emulator = container.behind().record(&folder.0).start().await.unwrap();
    Request::stream("my-llm", "{}").send(&emulator).await;
    assert_eq!(files(&folder, 2).await[1].file_name().unwrap(), "000002-my-llm.json");
}

#[tokio::test]
async fn delays_are_kept() {
    let pause = Step::Wait(Duration::from_millis(120));
    let steps = vec![pause.clone(), head(), chunk("a"), pause, chunk("b"), Step::Send(b"0\r\n\r\n".into())];
    let container = Container::new(steps).await;
    let folder = Folder::new("record-delays");
    let emulator = container.behind().record(&folder.0).start().await.unwrap();
    Request::stream("e", "{}").send(&emulator).await;
    let script = Script::load(&files(&folder, 1).await[0]).unwrap();
    let emulator = Emulator::builder().script(script).start().await.unwrap();
    let start = Instant::now();
    Request::stream("e", "{}").send(&emulator).await;
    assert!(start.elapsed() >= Duration::from_millis(230), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded_as_a_connection_that_breaks() {
    let container = Container::new(vec![head(), chunk(EVENTS[0]), Step::AwaitClose]).await;
    let folder = Folder::new("record-left");
    let emulator = container.behind().record(&folder.0).start().await.unwrap();
    let mut socket = Request::stream("e", "{}").connect(&emulator).await;
    let mut bytes = vec![];
    while !bytes.windows(4).any(|window| window == b"DONE" || window == b"1}\n\n") {
        assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0);
    }
    drop(socket);
    let rule = read(&files(&folder, 1).await[0]);
    assert_eq!(rule["fault"], json!({"hang_up": true, "after": EVENTS[0].len()}));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_told_and_passes() {
    let container = Container::streaming(&EVENTS).await;
    let folder = Folder::new("record-gone");
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = std::sync::Arc::clone(&told);
    let builder = container.behind().record(&folder.0);
    let emulator =
        builder.on_failure(move |text| tell.lock().unwrap().push(text.to_string())).start().await.unwrap();
    std::fs::remove_dir_all(&folder.0).unwrap();
    assert_eq!(Request::stream("e", "{}").send(&emulator).await.parts(), EVENTS.concat().as_bytes());
    let told = std::mem::take(&mut *told.lock().unwrap());
    assert!(told.len() == 1 && told[0].starts_with("recording in "), "{told:?}");
    assert!(Emulator::builder().record("/dev/null/no").start().await.is_err());
}
