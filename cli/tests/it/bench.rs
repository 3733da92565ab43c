//! `sagewire bench`.

use std::fs;

use serde_json::{Value, json};

use crate::process::{Emulate, Local, TempFile, calling, run, sagewire};

/// A load that is over soon.
const SHORT: [&str; 8] =
    ["--concurrency", "1,2", "--requests", "4", "--input-tokens", "5", "--output-tokens", "5"];

fn file(ending: &str) -> TempFile {
    let file = TempFile::ending(ending, "");
    fs::remove_file(&file.0).unwrap();
    file
}

#[test]
fn results_are_a_table_and_files() {
    let local = Local::new();
    let [json, csv, html] = [".json", ".csv", ".html"].map(file);
    let url = format!("{}/endpoints/x/openai/v1", local.url());
    let args = ["bench", "--endpoint", "a", "--url", &url, "--slo", "ttft=10s,itl=5s", "--warmup", "1"];
    let outputs = ["-o", json.path(), "-o", csv.path(), "--output", html.path()];
    let mut command = local.command(&[&args[..], &SHORT, &outputs].concat());
    command.env("OPENAI_API_KEY", "k-secret-1");
    command.args(["--url-header", "x-key: k-secret-2"]);
    let found = run(command, b"");
    // The key is not accepted by the emulator: that target has no complete response.
    assert_eq!(found.code, 4, "{found:?}");
    assert!(found.stderr.contains("no response is complete: "), "{}", found.stderr);
    let report: Value = serde_json::from_str(&fs::read_to_string(&json.0).unwrap()).unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["interrupted"], false);
    assert_eq!(report["settings"]["slo"], json!({"ttft": 10_000.0, "itl": 5_000.0}));
    assert_eq!(report["targets"][0]["name"], "a");
    for (level, concurrency) in [(0, 1), (1, 2)] {
        let level = &report["targets"][0]["levels"][level];
        assert_eq!((&level["concurrency"], &level["requests"]), (&json!(concurrency), &json!(4)));
        assert_eq!(level["endings"]["complete"], 4);
        for metric in ["ttft", "tpot", "itl", "e2el"] {
            for statistic in ["mean", "p50", "p90", "p99"] {
                assert!(level[metric][statistic].is_number(), "{metric} {statistic}: {level}");
            }
        }
        assert_eq!(level["goodput"], level["request_throughput"]);
        assert_eq!(report["targets"][1]["levels"][0]["endings"]["refused"], 4);
    }
    let csv = fs::read_to_string(&csv.0).unwrap();
    assert!(csv.starts_with("target,concurrency,") && csv.lines().count() == 5, "{csv}");
    let html = fs::read_to_string(&html.0).unwrap();
    assert!(html.to_lowercase().starts_with("<!doctype html>") && html.contains("<svg"), "{html}");
    assert!(found.text().starts_with("a\n") && found.text().contains("ttft ms"), "{}", found.text());
    for text in [found.text(), &found.stderr, &report.to_string(), &csv, &html] {
        assert!(!text.contains("k-secret"), "{text}");
    }
    // The warm-up has been sent, too.
    let of_endpoint = |path: &str| path.ends_with("/endpoints/a/invocations-response-stream");
    assert_eq!(local.requests().iter().filter(|request| of_endpoint(&request.path)).count(), 10);
    let sent = local.requests();
    let sent = sent.iter().find(|request| request.path.contains("/openai/")).unwrap();
    assert_eq!(sent.header("x-key"), Some("k-secret-2"));
}

#[test]
fn prompts_of_a_file_are_sent_in_the_format_of_the_container() {
    let local = Local::new();
    let prompts = TempFile::ending(
        ".jsonl",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"temperature\":0.5}\n{\"prompt\":\"b\",\"output_tokens\":7}\n",
    );
    let args =
        ["bench", "--endpoint", "a", "--prompts", prompts.path(), "--concurrency", "1", "--requests", "3"];
    let more = ["--model", "m", "--extra-body", r#"{"ignore_eos":true}"#];
    local.run(&[&args[..], &more].concat(), b"").succeeds();
    let bodies: Vec<Value> =
        local.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    let texts: Vec<&Value> = bodies.iter().map(|body| &body["messages"][0]["content"]).collect();
    assert_eq!(texts, ["a", "b", "a"]);
    assert_eq!((&bodies[0]["temperature"], &bodies[1]["max_tokens"]), (&json!(0.5), &json!(7)));
    for body in &bodies {
        assert_eq!(
            (&body["model"], &body["ignore_eos"], &body["stream"]),
            (&json!("m"), &json!(true), &json!(true))
        );
        assert_eq!(body["stream_options"]["include_usage"], true);
    }
    let emulate = Emulate::new(&["--format", "tgi"]);
    let args = ["bench", "--endpoint", "a", "--format", "tgi", "--template", "chatml"];
    run(calling(&emulate.url, &[&args[..], &SHORT].concat()), b"").succeeds();
}

#[test]
fn wrong_arguments_are_one_line() {
    let invalid = TempFile::ending(".jsonl", "{\"messages\":[]}\n");
    for (args, line) in [
        (&[][..], "usage: the following required arguments were not provided: --endpoint <NAME> "),
        (&["--endpoint", "a", "--concurrency", "0"], "usage: invalid value '0' for '--concurrency"),
        (&["--endpoint", "a", "--concurrency", "1,x"], "usage: invalid value 'x' for '--concurrency"),
        (&["--endpoint", "a", "--rate", "0/s"], "usage: invalid value '0/s' for '--rate"),
        (&["--endpoint", "a", "--rate", "1", "--concurrency", "1"], "usage: the argument '--rate"),
        (&["--endpoint", "a", "--requests", "0"], "usage: invalid value '0' for '--requests"),
        (&["--endpoint", "a", "--duration", "60"], "usage: invalid value '60' for '--duration"),
        (&["--endpoint", "a", "--slo", "ttft=1"], "usage: invalid value 'ttft=1' for '--slo"),
        (&["--endpoint", "a", "--slo", "p99=1s"], "usage: invalid value 'p99=1s' for '--slo"),
        (&["--endpoint", "a", "--extra-body", "[]"], "usage: invalid value '[]' for '--extra-body"),
        (&["--endpoint", "a", "-o", "x.txt"], "usage: --output x.txt: reports end in .json, .csv or .html"),
        (&["--endpoint", "a", "--prompts", "/no/such.jsonl"], "usage: --prompts: /no/such.jsonl: "),
        (&["--endpoint", "a", "--prompts", invalid.path()], "usage: --prompts: "),
        (
            &["--endpoint", "a", "--api-key", "k-secret"],
            "usage: the following required arguments were not provided: --url",
        ),
        (&["--endpoint", "a", "--format", "tgi"], "usage: this format takes a prompt"),
        (&["--endpoint", "a_b"], "usage: "),
        (
            &["--url", "ftp://h"],
            "usage: --url ftp://h: invalid configuration: the URL has to begin with http",
        ),
        (&["--url", "http://h", "--url-header", "k-secret"], "usage: --url-header: not NAME: VALUE"),
    ] {
        let local = Local::new();
        let run = local.run(&[&["bench"][..], args].concat(), b"");
        let found = run.fails(2);
        assert!(found.starts_with(line), "{args:?}: {found}");
        assert!(!found.contains("k-secret"), "{found}");
        assert!(local.requests().is_empty());
    }
    let refused = Local::scripted(&json!([{"status": 503}]));
    let run = refused.run(&[&["bench", "--endpoint", "a"][..], &SHORT].concat(), b"");
    assert_eq!(run.fails(4), "a: no response is complete: ServiceUnavailable");
    // A server needs no region and no credentials.
    let run =
        sagewire(&["bench", "--url", "http://127.0.0.1:1", "--requests", "1", "--concurrency", "1"], b"");
    assert_eq!(run.fails(4), "http://127.0.0.1:1: no response is complete: connect");
}

#[cfg(unix)]
#[test]
fn an_interrupt_reports_what_is_done() {
    use std::process::Command;
    use std::thread;
    use std::time::{Duration, Instant};

    let emulate = Emulate::new(&["--time-to-first-token", "50"]);
    let json = file(".json");
    let args = ["bench", "--endpoint", "a", "--duration", "10m", "--concurrency", "1,2", "-o", json.path()];
    let child = calling(&emulate.url, &args).spawn().unwrap();
    thread::sleep(Duration::from_secs(3));
    let start = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "interrupted: the results are those until then\n");
    let report: Value = serde_json::from_str(&fs::read_to_string(&json.0).unwrap()).unwrap();
    assert_eq!(report["interrupted"], true);
    let levels = report["targets"][0]["levels"].as_array().unwrap();
    assert_eq!(levels.len(), 1);
    assert!(
        levels[0]["requests"].as_u64().unwrap() > 0 && levels[0]["ttft"]["p50"].as_f64().unwrap() >= 49.0
    );
}

#[test]
fn the_overhead_is_printed() {
    let run = sagewire(&["bench", "--self-test", "--concurrency", "2"], b"").succeeds();
    assert!(
        run.text().starts_with("client: at 2 streams of 50 tokens/s it changes the p99 of itl by "),
        "{run:?}"
    );
}
