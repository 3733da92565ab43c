//! `sagewire chat`, against `sagewire emulate`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::{Emulate, Local, Run, TempFile, calling, command, run, sagewire, server};

/// A stream. The faults of the tests interrupt it in its third event.
const BODY: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"so \"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"far\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" and no further\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_response_is_printed_in_the_requested_format() {
    let emulate = Emulate::new(&[]);
    let text = emulate.chat(&["Say é"]).succeeds();
    assert!(text.text().starts_with("You said: “Say é”\n\nNo model has read this"));
    assert!(text.text().ends_with("and nothing was added."));

    let events = emulate.chat(&["--to", "events", "Say é"]).succeeds().lines();
    assert_eq!((&events[0]["type"], &events[0]["model"]), (&json!("start"), &json!("my-llm")));
    assert_eq!(events.last().unwrap()["type"], "usage");
    let deltas = events.iter().filter(|event| event["type"] == "text_delta");
    assert_eq!(deltas.map(|event| event["text"].as_str().unwrap()).collect::<String>(), text.text());

    let openai = emulate.chat(&["--to", "openai", "Say é"]).succeeds();
    assert!(openai.text().starts_with("data: {\"id\":") && openai.text().ends_with("data: [DONE]\n\n"));
    let bedrock = emulate.chat(&["--to", "bedrock", "Say é"]).succeeds().lines();
    assert!(bedrock[0]["messageStart"].is_object());
    assert!(bedrock.last().unwrap()["metadata"]["usage"]["outputTokens"].as_u64() > Some(10));
}

#[test]
fn arguments_become_fields_of_the_request() {
    let emulate = Emulate::new(&[]);
    let args = ["--model", "m", "--system", "Be brief.", "--max-tokens", "2", "--temperature", "0.5"];
    let more = ["--inference-component", "ic", "--to", "events", "-"];
    let run = run(emulate.command(&[&args[..], &more].concat()), "from stdin".as_bytes()).succeeds();
    let events = run.lines();
    assert_eq!(events[0]["model"], "m");
    let find = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap();
    assert_eq!(find("finish")["reason"], "length");
    let usage = find("usage");
    // Four per message, and one per word.
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(12), &json!(2)));
}

#[test]
fn a_wrong_secret_is_reported() {
    let emulate = Emulate::new(&[]);
    let mut command = emulate.command(&["hi"]);
    command.env("AWS_SECRET_ACCESS_KEY", "wrong");
    let refused = run(command, b"");
    let line = refused.fails(4);
    assert!(line.starts_with("service: 403 InvalidSignatureException: "), "{line}");
    assert!(line.contains("(request 00000000-") && line.contains("; hint: the secret access key "), "{line}");
    assert!(!line.contains("wrong,") && refused.stdout.is_empty());
}

#[test]
fn faults_have_exit_codes_and_print_the_text_so_far() {
    let so_far: usize = BODY.split_inclusive("\n\n").take(2).map(str::len).sum();
    for (fault, code, found) in [
        (json!({"reset": true}), 3, "transport: byte "),
        (json!({"hang_up": true}), 3, "transport: byte "),
        (json!({"truncated_frame": true}), 3, "eventstream: byte "),
        (json!({"corrupt_byte": true}), 5, "eventstream: byte "),
        (
            json!({"exception": {"type": "ModelStreamError", "code": "ModelInvocationTimeExceeded", "message": "slow"}}),
            4,
            "sagemaker: byte ",
        ),
        (json!({"error": {"code": "500", "message": "oom"}}), 4, "sagemaker: byte "),
    ] {
        let mut fault = fault;
        fault["after"] = json!(so_far + 1);
        let rule = json!([{"body": BODY, "content_type": "text/event-stream", "fault": fault}]);
        let emulate = Emulate::scripted(&rule);
        let run = emulate.chat(&["hi"]);
        let line = run.fails(code);
        assert!(line.starts_with(found), "{line}");
        assert_eq!(run.text(), "so far", "{line}");
        if code == 4 {
            assert!(line.ends_with(": slow") || line.ends_with("error (500): oom"), "{line}");
        }
    }
}

/// A stream is complete with its last event.
#[test]
fn a_connection_may_break_after_the_last_event() {
    let rule = json!([{"body": BODY, "content_type": "text/event-stream", "fault": {"hang_up": true, "after": BODY.len()}}]);
    assert_eq!(Emulate::scripted(&rule).chat(&["hi"]).succeeds().text(), "so far and no further");
}

#[test]
fn errors_of_the_service_are_reported() {
    for (rule, found) in [
        (
            json!({"status": 424}),
            "service: 424 ModelError: Received server error (500) from primary with message",
        ),
        (json!({"status": 429, "message": "a\nb"}), "service: 429 ThrottlingException: a\\nb (request 0"),
        (json!({"status": 503, "body": "<html>"}), "service: 503 ServiceUnavailable: <html> (request 0"),
        (json!({"endpoint": "other"}), "service: 400 ValidationError: Endpoint my-llm of account"),
        (
            json!({"headers": {"content-type": "application/json"}}),
            "transport: the response is application/json",
        ),
    ] {
        let run = Emulate::scripted(&json!([rule])).chat(&["hi"]);
        assert!(run.fails(4).starts_with(found), "{run:?}");
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn invalid_settings_are_reported() {
    for (args, found) in [
        (&["chat", "hi"][..], "usage: the following required arguments were not provided: --endpoint <NAME>"),
        (&["chat", "--endpoint", "e", "hi"], "usage: the region is not set: give --region"),
        (
            &["chat", "--endpoint", "e", "--region", "us-east-1", "hi"],
            "usage: the credentials could not be loaded: environment: AWS_ACCESS_KEY_ID is not set; profile: ",
        ),
        (
            &["chat", "--endpoint", "e", "--region", "us-east-1", "--endpoint-url", "ftp://x", "hi"],
            "usage: invalid configuration: ",
        ),
        (
            &["chat", "--endpoint", "e", "--temperature", "NaN", "hi"],
            "usage: invalid value 'NaN' for '--temperature <X>'",
        ),
    ] {
        let run = sagewire(args, b"");
        assert!(run.fails(2).starts_with(found), "{run:?}");
    }
    let emulate = Emulate::new(&[]);
    let run = emulate.chat(&["--endpoint-url", "http://127.0.0.1:1", "hi"]);
    assert_eq!(run.code, 2, "given twice");
    let mut command = emulate.command(&["hi"]);
    let line = format!("transport: {}: connecting failed: ", emulate.url.trim_start_matches("http://"));
    drop(emulate);
    command.env("AWS_REGION", "eu-west-1");
    let run = crate::process::run(command, b"");
    assert!(run.fails(4).starts_with(&line) && !run.stderr.contains("region"), "{run:?}");
}

fn call(url: &str, args: &[&str]) -> Run {
    run(calling(url, &[args, &["--retries", "0"]].concat()), br#"{"messages":[]}"#)
}

/// All ways to call an endpoint and decode the response.
const CALLS: [&[&str]; 4] = [
    &["chat", "--endpoint", "e", "hi"],
    &["chat", "--endpoint", "e", "hi", "--no-stream"],
    &["chat", "--endpoint", "e", "hi", "--route", "openai"],
    &["chat", "--endpoint", "e", "hi", "--route", "openai", "--no-stream"],
];

#[test]
fn a_connection_that_ends_before_the_response_has_one_exit_code() {
    let url = server(b"");
    let invoke = [&["invoke", "e"][..], &["invoke", "e", "--stream"], &["invoke", "e", "--async"]];
    for args in CALLS.iter().chain(&invoke) {
        let run = call(&url, args);
        assert!(
            run.fails(4).starts_with("transport: the connection broke off before the response"),
            "{run:?}"
        );
    }
    // After the head, the response has ended early.
    let url = server(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"choices\":");
    for args in [CALLS[1], CALLS[3], &["invoke", "e"]] {
        assert!(call(&url, args).fails(3).starts_with("transport: the response broke off after 11 bytes"));
    }
}

#[test]
fn responses_that_are_not_recognized_are_described() {
    let html = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: 13\r\n\r\n<html></html>";
    let gzip = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\nconnection: close\r\n\
        content-length: 4\r\n\r\n\x1f\x8b\x08\0";
    let json = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 7\r\n\r\n{\"a\":1}";
    for (response, found) in [
        (&html[..], "looks like HTML"),
        (gzip, "looks like gzip"),
        (json, "looks like JSON, but of no API known here; hint: --from names its format"),
    ] {
        let url = server(response);
        for args in CALLS {
            let run = call(&url, args);
            let line = run.fails(4);
            // Streams of the other route have to be frames, which the transport checks.
            if args.len() == 4 {
                assert!(line.starts_with("transport: the response is "), "{line}");
            } else {
                assert_eq!(line, format!("format: not recognized: the response {found}"), "{args:?}");
            }
        }
    }
    // The same in frames.
    let rule = json!([{"body": "<html></html>", "content_type": "text/html"}]);
    let run = Emulate::scripted(&rule).chat(&["hi"]);
    assert_eq!(run.fails(4), "format: not recognized: the response looks like HTML");
}

#[test]
fn a_response_above_the_limit_is_refused() {
    let body = TempFile::ending(".json", &vec![b' '; (32 << 20) + 1]);
    let emulate = Emulate::scripted(&json!([{"body_file": body.path()}]));
    for args in [&["chat", "--endpoint", "e", "hi", "--no-stream"][..], &["invoke", "e"]] {
        let run = call(&emulate.url, args);
        assert_eq!(run.fails(5), "transport: the response is larger than the limit of 33554432 bytes");
    }
}

#[test]
fn a_long_retry_after_is_shown() {
    let emulate = Emulate::scripted(&json!([{"status": 429, "retry_after": 3600}]));
    assert!(emulate.chat(&["hi"]).fails(4).ends_with("; retry after 3600 s"));
}

/// Only what may be the cause.
#[test]
fn hints_fit_the_error() {
    for (rule, hint) in [
        (
            json!({"status": 403}),
            Some("; hint: the credentials need the permissions sagemaker:InvokeEndpoint"),
        ),
        (json!({"status": 403, "error_type": "Other"}), None),
        (
            json!({"status": 403, "error_type": "ExpiredTokenException"}),
            Some("; hint: the credentials have expired"),
        ),
    ] {
        let run = Emulate::scripted(&json!([rule])).chat(&["hi"]);
        let line = run.fails(4);
        assert_eq!(line.contains("hint"), hint.is_some(), "{line}");
        assert!(hint.is_none_or(|hint| line.contains(hint)), "{line}");
    }
    // A name that cannot be resolved: the region is to blame only if the name is derived from it.
    let mut command = command(&["chat", "--endpoint", "e", "--retries", "0", "--region", "nowhere-1", "hi"]);
    command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "s");
    let derived = run(command, b"");
    let line = derived.fails(4);
    assert!(
        line.starts_with("transport: runtime.sagemaker.nowhere-1.amazonaws.com:443: connecting failed: ")
    );
    assert!(line.ends_with("; hint: is the region right, or does HTTPS_PROXY have to be set?"), "{line}");
    let given =
        run(calling("https://sagewire.invalid", &["chat", "--endpoint", "e", "--retries", "0", "hi"]), b"");
    let line = given.fails(4);
    assert!(line.starts_with("transport: sagewire.invalid:443: ") && !line.contains("hint"), "{line}");
}

/// Each command describes only options that it uses, in lines that fit the terminal.
#[test]
fn help_is_short_and_specific() {
    let verbose = |command: &str| {
        let help = sagewire(&[command, "-h"], b"").succeeds();
        assert!(help.text().lines().all(|line| line.chars().count() <= 120), "{}", help.text());
        // The names of formats are in one place.
        assert!(!help.text().contains("jumpstart-dialogs"), "{}", help.text());
        help.text().lines().find(|line| line.contains("--verbose")).map(str::to_owned)
    };
    for (command, found) in [
        ("decode", "losses"),
        ("chat", "request"),
        ("invoke", "size and type of the request"),
        ("emulate", "every request"),
    ] {
        assert!(verbose(command).is_some_and(|line| line.contains(found)), "{command}");
    }
    for command in ["demo", "convert", "formats", "doctor", "token", "completions", "man"] {
        assert_eq!(verbose(command), None, "{command}");
    }
    let chat = sagewire(&["chat", "--help"], b"").succeeds();
    assert!(!chat.text().contains("jumpstart-dialogs"), "{}", chat.text());
}

/// The session IDs and bodies of the requests that an emulator received.
fn sessions(local: &Local) -> Vec<(String, String)> {
    let requests = local.requests();
    let id = |request: &sagewire_emulator::Request| {
        request.header("x-amzn-sagemaker-session-id").unwrap_or_default().to_owned()
    };
    let body = |request: &sagewire_emulator::Request| String::from_utf8_lossy(&request.body).into_owned();
    requests.iter().map(|request| (id(request), body(request))).collect()
}

#[test]
fn a_session_is_closed_at_the_end() {
    let local = Local::new();
    local.chat(&["--session", "hi"]).succeeds();
    // Also after an error of the container.
    local.chat(&["--session", "--stop", "", "--set", "others=keep", "--max-tokens", "0", "hi"]);
    let sent = sessions(&local);
    for call in sent.chunks(3) {
        let [(new, open), (used, _), (closed, close)] = call else { panic!("{sent:?}") };
        assert_eq!((&**new, &**open), ("NEW_SESSION", r#"{"requestType":"NEW_SESSION"}"#));
        assert_eq!((used, &**close), (closed, r#"{"requestType":"CLOSE"}"#));
        assert!(used.starts_with("00000000-"), "{used}");
    }
    assert_eq!(sent.len(), 6);
    assert_ne!(sent[1].0, sent[4].0);

    let verbose = local.chat(&["--session", "-v", "hi"]);
    assert!(
        verbose.stderr.contains("session: 00000000-0000-4000-9000-000000000003, expires 2"),
        "{verbose:?}"
    );
    let twice = local.chat(&["--session", "--session-id", "s", "hi"]);
    assert!(twice.fails(2).contains("--session-id"), "{twice:?}");
}

#[test]
fn a_container_without_sessions_is_reported() {
    for builder in [
        sagewire_emulator::Emulator::builder().session_lifetime(None),
        sagewire_emulator::Emulator::builder().format(sagewire_emulator::ContainerFormat::Tgi),
    ] {
        let local = Local::with(builder);
        let run = local.chat(&["--session", "hi"]);
        let line = run.fails(4);
        assert!(
            line.starts_with("session: not supported: stateful sessions: the container responded"),
            "{line}"
        );
        assert_eq!((local.requests().len(), run.stdout.len()), (1, 0));
    }
}

/// The response stalls, and a signal stops it.
#[cfg(unix)]
#[test]
fn a_signal_closes_the_session() {
    let stalled = json!([
        {"times": 1},
        {"times": 1, "body": BODY, "content_type": "text/event-stream", "fault": {"stall": true, "after": 70}},
        {},
    ]);
    let local = Local::scripted(&stalled);
    let mut command = local.command(&["chat", "--endpoint", "my-llm", "--session", "hi"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while local.requests().len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    // Time for the first event to arrive and to be printed.
    std::thread::sleep(Duration::from_millis(300));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "so ");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "stopped by a signal\n");
    let sent = sessions(&local);
    assert_eq!((sent.len(), &*sent[2].1, &sent[2].0), (3, r#"{"requestType":"CLOSE"}"#, &sent[1].0));
}
