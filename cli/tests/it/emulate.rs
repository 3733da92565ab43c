//! `sagewire emulate`.

use std::io::Read;
use std::process::Command;

use serde_json::json;

use crate::process::{Emulate, FORMATS, TempFile, run, sagewire};

#[test]
fn the_first_line_says_where() {
    let emulate = Emulate::new(&[]);
    let port = emulate.url.strip_prefix("http://127.0.0.1:").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    // A port that is taken.
    let taken = sagewire(&["emulate", "--port", port], b"");
    assert!(taken.fails(2).starts_with(&format!("usage: port {port}: ")));
}

#[test]
fn credentials_are_those_that_were_set() {
    let set = ["--access-key-id", "AKIDOTHER", "--secret-access-key", "s3cret", "--session-token", "token"];
    let emulate = Emulate::new(&set);
    assert!(emulate.chat(&["hi"]).fails(4).starts_with("service: 403 "));
    let mut command = emulate.command(&["hi"]);
    command.env("AWS_ACCESS_KEY_ID", "AKIDOTHER");
    command.env("AWS_SECRET_ACCESS_KEY", "s3cret");
    command.env("AWS_SESSION_TOKEN", "token");
    run(command, b"").succeeds();
}

#[test]
fn requests_are_told_to_those_who_ask() {
    let mut emulate = Emulate::new(&["-v"]);
    emulate.chat(&["hi"]).succeeds();
    let mut command = emulate.command(&["hi"]);
    command.env("AWS_SECRET_ACCESS_KEY", "wrong");
    run(command, b"").fails(4);
    emulate.child.kill().unwrap();
    let mut told = String::new();
    emulate.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("POST /endpoints/my-llm/invocations-response-stream "), "{told}");
    assert!(lines[0].ends_with(" bytes: 200") && lines[1].ends_with(" bytes: 403"), "{told}");
}

/// Asked as OpenAI's clients ask: those that take it answer, in whichever shape, the others refuse.
#[test]
fn the_container_is_that_which_was_asked_for() {
    for (format, _) in FORMATS {
        let run = Emulate::new(&["--format", format]).chat(&["--max-tokens", "500", "hi"]);
        match format {
            "openai" | "anthropic" | "tgi" | "lmi" | "lmi-vllm" => {
                assert!(run.succeeds().text().starts_with("You said: “hi”\n\n"), "{format}");
            }
            _ => assert!(run.fails(4).starts_with("service: 424 ModelError: Received "), "{format}"),
        }
    }
    let run = sagewire(&["emulate", "--format", "bedrock"], b"");
    assert!(run.fails(2).starts_with("usage: invalid value 'bedrock' for '--format <FORMAT>'"));
}

#[test]
fn a_script_may_name_the_container() {
    let emulate = Emulate::scripted(&json!([{"format": "lmi", "cut": "characters"}]));
    assert_eq!(emulate.chat(&["--max-tokens", "2", "hi"]).succeeds().text(), "You said:");
}

#[test]
fn a_script_that_cannot_be_used_is_named() {
    let script = TempFile::new(r#"{"rules": [{"stauts": 1}]}"#);
    let run = sagewire(&["emulate", "--port", "0", "--script", script.path()], b"");
    let line = run.fails(2);
    assert!(line.starts_with(&format!("usage: {}: unknown field `stauts`", script.path())), "{line}");
    assert!(
        sagewire(&["emulate", "--script", "/no/such/file"], b"")
            .fails(2)
            .starts_with("usage: /no/such/file: ")
    );
    let both = sagewire(&["emulate", "--script", script.path(), "--seed", "2"], b"");
    assert!(both.fails(2).contains("cannot be used with"));
}

#[cfg(unix)]
#[test]
fn signals_end_it_well() {
    for signal in ["-TERM", "-INT"] {
        // Also while an answer hangs.
        let mut emulate = Emulate::scripted(&json!([{"body": "data: {}\n\n", "fault": {"stall": true}}]));
        let mut waiting = emulate.command(&["hi"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let id = emulate.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert_eq!(emulate.child.wait().unwrap().code(), Some(0));
        assert_eq!(waiting.wait().unwrap().code(), Some(3));
    }
}
