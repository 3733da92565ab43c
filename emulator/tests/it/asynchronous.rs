//! Asynchronous requests: valid requests, and where the response is stored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sagewire_emulator::Emulator;
use serde_json::{Value, json};

use crate::client::{Reply, Request};
use crate::container::Container;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// A directory that is deleted when this value is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sagewire-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn request(body: &str) -> Request {
    Request { headers: vec![], ..Request::new("/endpoints/e/async-invocations", body) }
}

/// Waits up to two seconds for a file.
async fn file(path: &Path) -> String {
    for _ in 0..200 {
        if let Ok(text) = std::fs::read_to_string(path) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} is missing", path.display());
}

#[track_caller]
fn accepted(reply: &Reply, id: &str, [output, failure]: [&str; 2]) {
    assert_eq!((reply.status, reply.text()), (202, json!({"InferenceId": id}).to_string()));
    let bucket = "s3://sagemaker-eu-central-1-123456789012/async-endpoint-";
    let location = |name| reply.header(name).unwrap().strip_prefix(bucket).unwrap();
    assert_eq!(location("x-amzn-sagemaker-outputlocation"), output);
    assert_eq!(location("x-amzn-sagemaker-failurelocation"), failure);
}

#[tokio::test]
async fn requests_are_taken() {
    let emulator = Emulator::builder().start().await.unwrap();
    let failure = format!("failures/e/{ID}-error.out");
    let reply = request("{}").send(&emulator).await;
    accepted(&reply, ID, [&format!("outputs/e/{ID}.out"), &failure]);
    assert_eq!(reply.header("content-type"), Some("application/json"));

    let emulator = Emulator::builder().start().await.unwrap();
    let mut located = request("");
    located.headers = vec![
        ("x-amzn-sagemaker-inputlocation", "s3://bucket/key"),
        ("x-amzn-sagemaker-inference-id", "mine"),
        ("x-amzn-sagemaker-s3outputpathextension", "a/b/"),
        ("x-amzn-sagemaker-filename", "answer.json"),
        ("x-amzn-sagemaker-requestttlseconds", "60"),
        ("x-amzn-sagemaker-invocationtimeoutseconds", "3600"),
    ];
    let failure = format!("failures/e/a/b/{ID}-error.out");
    accepted(&located.send(&emulator).await, "mine", ["outputs/e/a/b/answer.json", &failure]);
}

#[tokio::test]
async fn what_the_api_does_not_have_is_refused() {
    let emulator = Emulator::builder().start().await.unwrap();
    assert_eq!(request(&"x".repeat(128_000)).send(&emulator).await.status, 202);
    let long = "x".repeat(128_001);
    let location = ("x-amzn-sagemaker-inputlocation", "s3://bucket/key");
    for (body, header, found) in [
        ("", None, "One of InputLocation and Body must be given"),
        ("{}", Some(location), "Only one of InputLocation and Body"),
        (&long, None, "Body must be at most 128000 bytes, found 128001"),
        ("", Some((location.0, "ftp://bucket/key")), "at 'inputLocation' failed to satisfy"),
        ("{}", Some(("x-amzn-sagemaker-requestttlseconds", "59")), "must be 60 to 21600, found 59"),
        ("{}", Some(("x-amzn-sagemaker-invocationtimeoutseconds", "3601")), "must be 1 to 3600"),
        ("{}", Some(("x-amzn-sagemaker-filename", "a-name-that-is-longer-than-it-may-be")), "1 to 32 char"),
    ] {
        let reply = Request { headers: header.into_iter().collect(), ..request(body) }.send(&emulator).await;
        assert_eq!(
            (reply.status, reply.header("x-amzn-errortype")),
            (400, Some("ValidationError")),
            "{found}"
        );
        assert!(reply.text().contains(found), "{found}: {}", reply.text());
    }
    let unsigned: fn(&mut String) = |text| *text = text.replace("AWS4-HMAC-SHA256 ", "");
    assert_eq!(Request { tamper: unsigned, ..request("{}") }.send(&emulator).await.status, 403);
}

#[tokio::test]
async fn answers_are_written_where_the_client_was_told() {
    let folder = Folder::new("async");
    let bucket = folder.0.join("sagemaker-eu-central-1-123456789012");
    let container = Container::whole("200 OK", "", "the answer").await;
    let emulator = container.behind().storage(&folder.0).start().await.unwrap();
    let mut sent = request("{\"a\": 1}");
    sent.headers = vec![
        ("content-type", "application/octet-stream"),
        ("x-amzn-sagemaker-content-type", "application/json"),
        ("x-amzn-sagemaker-accept", "text/csv"),
        ("x-amzn-sagemaker-invocationtimeoutseconds", "60"),
    ];
    assert_eq!(sent.send(&emulator).await.status, 202);
    let output = |count: u64| bucket.join(format!("async-endpoint-outputs/e/{}{count}.out", &ID[..35]));
    assert_eq!(file(&output(1)).await, "the answer");
    let seen = container.requests().pop().unwrap();
    assert!(
        seen.contains("content-type: application/json\r\n") && seen.contains("accept: text/csv\r\n"),
        "{seen}"
    );
    assert!(!seen.contains("timeoutseconds") && seen.ends_with("{\"a\": 1}"), "{seen}");

    // From a file.
    std::fs::create_dir_all(folder.0.join("in/deep")).unwrap();
    std::fs::write(folder.0.join("in/deep/input.json"), "from a file").unwrap();
    let mut located = request("");
    located.headers = vec![("x-amzn-sagemaker-inputlocation", "s3://in/deep/input.json")];
    assert_eq!(located.send(&emulator).await.status, 202);
    assert_eq!(file(&output(2)).await, "the answer");
    assert!(container.requests().pop().unwrap().ends_with("from a file"));
}

#[tokio::test]
async fn failures_are_written_as_well() {
    let folder = Folder::new("async-failures");
    let bucket = folder.0.join("sagemaker-eu-central-1-123456789012");
    let failure =
        |count: u64| bucket.join(format!("async-endpoint-failures/e/{}{count}-error.out", &ID[..35]));
    let emulator = Emulator::builder().storage(&folder.0).start().await.unwrap();
    assert_eq!(request("[]").send(&emulator).await.status, 202);
    let text: Value = serde_json::from_str(&file(&failure(1)).await).unwrap();
    assert_eq!(text["OriginalStatusCode"], 400);
    for (count, location) in [(2, "s3://none/key"), (3, "s3://../../etc/passwd")] {
        let mut located = request("");
        located.headers = vec![("x-amzn-sagemaker-inputlocation", location)];
        assert_eq!(located.send(&emulator).await.status, 202);
        let text: Value = serde_json::from_str(&file(&failure(count)).await).unwrap();
        let message = text["OriginalMessage"].as_str().unwrap();
        assert!(message.starts_with(&format!("The input could not be read from {location}: ")), "{message}");
    }
}
