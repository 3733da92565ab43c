//! The same configuration through promptfoo and through this crate, against the same emulator: the same tests pass and fail.
//! `promptfoo/install.sh` installs promptfoo; without it, or without Node.js, the test is skipped.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::Command;

use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use sagewire_eval::config::Suite;
use sagewire_eval::provider::Connector;
use sagewire_eval::results::Outcome;
use sagewire_eval::runner::Evaluation;
use serde_json::{Value, json};

/// What the endpoints respond. The texts of the containers are echoes of the prompt.
const SCRIPT: &str = r#"{"rules": [
    {"endpoint": "chat", "format": "openai"},
    {"endpoint": "tgi", "format": "tgi"},
    {"endpoint": "lmi", "format": "lmi"},
    {"endpoint": "json", "body": "{\"answer\": \"{\\\"city\\\":\\\"Paris\\\",\\\"id\\\":7}\"}"},
    {"endpoint": "number", "body": "{\"data\": {\"score\": 42}}"},
    {"endpoint": "broken", "status": 400, "message": "no"}
]}"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promptfoo")
}

/// Where `install.sh` installs it.
fn installed() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    target.join("promptfoo")
}

/// Provider, prompt and variables of a result, and how it ended: `pass`, `fail` or `error`.
type Verdicts = BTreeMap<(String, String, String), &'static str>;

fn verdict(failed: bool, success: bool) -> &'static str {
    match (failed, success) {
        (true, _) => "error",
        (false, true) => "pass",
        (false, false) => "fail",
    }
}

/// A prompt, which JSON may have with its keys in another order.
fn prompt(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| value.to_string())
}

fn ours(outcomes: &[Outcome]) -> Verdicts {
    let key = |outcome: &Outcome| {
        (outcome.provider.clone(), prompt(&outcome.prompt), json!(outcome.vars).to_string())
    };
    outcomes.iter().map(|outcome| (key(outcome), verdict(outcome.error.is_some(), outcome.success))).collect()
}

fn theirs(output: &str) -> Verdicts {
    let results = output.lines().filter_map(|line| line.strip_prefix("result "));
    results
        .map(|line| {
            let result: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| result[key].as_str().unwrap().to_owned();
            let is = |key: &str| result[key] == json!(true);
            (
                (text("provider"), prompt(&text("prompt")), result["vars"].to_string()),
                verdict(is("failed"), is("success")),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_tests_pass_and_fail() {
    let installed = installed();
    if !installed.join("node_modules/promptfoo").is_dir() {
        return println!("skipped: run eval/tests/promptfoo/install.sh");
    }
    let emulator = Emulator::builder().script(SCRIPT.parse().unwrap()).start().await.unwrap();
    let config = folder().join("compare.yaml");
    let mut command = Command::new("node");
    command
        .arg("run.mjs")
        .arg(&config)
        .current_dir(&installed)
        .env("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", emulator.url())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .env("AWS_REGION", "us-east-1")
        .env("PROMPTFOO_CONFIG_DIR", installed.join("settings"))
        .env("PROMPTFOO_DISABLE_TELEMETRY", "1")
        .env("PROMPTFOO_DISABLE_UPDATE", "1")
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let Ok(output) = output else { return println!("skipped: there is no Node.js") };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let theirs = theirs(&text);

    // The keys are in the environment for promptfoo; here they are in a copy of the file, because a test cannot set its environment.
    let keys =
        format!("accessKeyId: {ACCESS_KEY_ID}, secretAccessKey: {SECRET_ACCESS_KEY}, region: us-east-1");
    let copy = std::fs::read_to_string(config).unwrap().replace("region: us-east-1", &keys);
    let path = installed.join("compare-with-keys.yaml");
    std::fs::write(&path, copy).unwrap();
    let suite = Suite::load(&path, &|_| None).unwrap();
    let mut connector = Connector::new().endpoint_url(emulator.url());
    let evaluation = Evaluation::new(suite, &mut connector).await.unwrap();
    let results = evaluation.run(None, pending(), |_| {}).await;
    let ours = ours(&results.results);

    assert_eq!(ours.len(), results.results.len());
    assert!(ours.len() >= 80, "{} results", ours.len());
    let different: Vec<_> = ours.iter().filter(|(key, verdict)| theirs.get(key) != Some(verdict)).collect();
    assert!(
        different.is_empty() && theirs.len() == ours.len(),
        "{} and {} results; different: {:#?}",
        theirs.len(),
        ours.len(),
        different.iter().map(|(key, verdict)| (key, verdict, theirs.get(key))).collect::<Vec<_>>()
    );
    for kind in ["pass", "fail", "error"] {
        assert!(ours.values().filter(|verdict| **verdict == kind).count() >= 5, "{kind}: {ours:#?}");
    }
    emulator.stop().await;
}
