//! Options of the commands that call the service: retries, timeouts, defaults from the environment, tools and images.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::{Local, TempFile, run};

#[test]
fn calls_are_retried_as_often_as_configured() {
    let failing = || Local::scripted(&json!([{"status": 503}]));
    for (flag, variable, attempts) in [
        (None, None, 3),
        (Some("0"), None, 1),
        (Some("1"), Some("5"), 2),
        (None, Some("0"), 1),
        (None, Some("1"), 2),
        (None, Some(" "), 3),
    ] {
        let local = failing();
        let flags = flag.map(|retries| ["--retries", retries]);
        let args = [&["chat", "--endpoint", "e", "hi"][..], flags.as_ref().map_or(&[], |flags| &flags[..])];
        let mut command = local.command(&args.concat());
        command.envs(variable.map(|retries| ("AWS_SAGEMAKER_MAX_RETRIES", retries)));
        assert!(run(command, b"").fails(4).starts_with("service: 503 "));
        assert_eq!(local.requests().len(), attempts, "{flag:?} {variable:?}");
    }
    let local = Local::scripted(&json!([{"status": 503, "times": 1}, {}]));
    local.chat(&["hi"]).succeeds();
    let local = failing();
    let mut command = local.command(&["invoke", "e"]);
    command.env("AWS_SAGEMAKER_MAX_RETRIES", "many");
    let line = "usage: AWS_SAGEMAKER_MAX_RETRIES: \"many\": not a whole number from 0 to 100";
    assert_eq!(run(command, b"{}").fails(2), line);
    assert!(failing().chat(&["--retries", "101", "hi"]).fails(2).contains("'--retries <N>'"));
}

#[test]
fn timeouts_are_reported() {
    let body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"so far\"}}]}\n\n";
    let slow = Local::scripted(&json!([{"first_byte_ms": 5000, "body": body}]));
    let stalled = Local::scripted(&json!([
        {"body": body, "content_type": "text/event-stream", "fault": {"stall": true, "after": body.len()}}
    ]));
    let silent = Local::scripted(&json!([
        {"body": body, "content_type": "text/event-stream", "fault": {"stall": true, "after": 0}}
    ]));
    let start = Instant::now();
    for (local, args, code, found) in [
        (&silent, &["--first-byte-timeout", "0.2"][..], 4, "transport: no response within 200ms"),
        (
            &silent,
            &["--first-byte-timeout", "0.2", "--retries", "0"],
            4,
            "transport: no response within 200ms",
        ),
        (&silent, &["--first-byte-timeout", "0.2", "--no-stream"], 4, "transport: no response within 200ms"),
        (&slow, &["--retries", "0", "--first-byte-timeout", "0.2"], 4, "transport: no response within 200ms"),
        (&slow, &["--timeout", "0.2"], 4, "transport: not done within 200ms"),
        (&stalled, &["--idle-timeout", "0.2"], 3, "transport: byte "),
        (&stalled, &["--timeout", "0.3"], 3, "transport: byte "),
    ] {
        let run = local.chat(&[args, &["hi"]].concat());
        assert!(run.fails(code).starts_with(found), "{run:?}");
        assert_eq!(run.text(), if code == 3 { "so far" } else { "" });
    }
    // Far below the default timeouts, of which the shortest is a minute.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    for text in ["0", "-1", "soon", "inf"] {
        let run = slow.chat(&[&format!("--timeout={text}"), "hi"]);
        assert!(run.fails(2).contains("not a number of seconds above 0"), "{run:?}");
    }
}

#[test]
fn parameters_have_defaults_from_the_environment() {
    let local = Local::new();
    let set = [
        ("AWS_SAGEMAKER_MAX_TOKENS", "7"),
        ("AWS_SAGEMAKER_TEMPERATURE", "0.25"),
        ("AWS_SAGEMAKER_TOP_P", "0.5"),
    ];
    let mut command = local.command(&["chat", "--endpoint", "e", "hi"]);
    run(
        {
            command.envs(set);
            command
        },
        b"",
    )
    .succeeds();
    let sent = local.last();
    assert_eq!(
        (&sent["max_tokens"], &sent["temperature"], &sent["top_p"]),
        (&json!(7), &json!(0.25), &json!(0.5))
    );
    let args = ["chat", "--endpoint", "e", "--max-tokens", "9", "--temperature", "1", "--top-p", "0.9", "hi"];
    let mut command = local.command(&args);
    run(
        {
            command.envs(set);
            command
        },
        b"",
    )
    .succeeds();
    let sent = local.last();
    assert_eq!(
        (&sent["max_tokens"], &sent["temperature"], &sent["top_p"]),
        (&json!(9), &json!(1), &json!(0.9))
    );
    for (name, text, why) in [
        ("AWS_SAGEMAKER_MAX_TOKENS", "-1", "not a number of tokens"),
        ("AWS_SAGEMAKER_TEMPERATURE", "warm", "not a finite number"),
        ("AWS_SAGEMAKER_TOP_P", "NaN", "not a finite number"),
    ] {
        let mut command = local.command(&["chat", "--endpoint", "e", "hi"]);
        command.env(name, text);
        assert_eq!(run(command, b"").fails(2), format!("usage: {name}: {text:?}: {why}"));
    }
}

const TOOLS: &str = r#"[{"type":"function","function":{"name":"weather","description":"of a city",
    "parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]"#;

#[test]
fn tools_are_sent_and_their_calls_printed() {
    let body = concat!(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",",
        "\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n",
    );
    let local = Local::scripted(&json!([{"body": body, "content_type": "text/event-stream"}]));
    let file = TempFile::new(TOOLS);
    let run = local.chat(&["--tools", file.path(), "hi"]);
    assert_eq!((run.code, run.text()), (0, ""));
    assert_eq!(run.stderr, "tool call (call_1): weather {\"city\":\"Paris\"}\n");
    let tools: serde_json::Value = serde_json::from_str(TOOLS).unwrap();
    assert_eq!(local.last()["tools"], tools);
    let run = local.chat(&["--tools", file.path(), "--format", "anthropic", "--max-tokens", "9", "hi"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(local.last()["tools"][0]["input_schema"], tools[0]["function"]["parameters"]);
    // Formats without tools report them as a loss.
    let run = local.chat(&[
        "--tools",
        file.path(),
        "--format",
        "jumpstart",
        "--template",
        "chatml",
        "--strict",
        "hi",
    ]);
    assert!(run.code == 6 && run.stderr.contains("/tools"), "{run:?}");
}

#[test]
fn invalid_tools_are_rejected() {
    let local = Local::new();
    for (text, found) in [
        ("[]", "has no tools"),
        ("{}", "not a JSON array of tools: invalid type: map"),
        ("[{}", "not a JSON array of tools: "),
        ("[{\"type\":\"function\",\"function\":{}}]", "a function has no name"),
        ("[{\"function\":{\"name\":\"f\"}}]", "not a JSON array of tools: missing field `type`"),
        ("[7]", "not a JSON array of tools: invalid type: integer `7`"),
    ] {
        let file = TempFile::new(text);
        let run = local.chat(&["--tools", file.path(), "hi"]);
        let line = run.fails(2);
        assert!(line.starts_with(&format!("usage: --tools: {}: {found}", file.path())), "{line}");
    }
    assert!(local.chat(&["--tools", "/no/such", "hi"]).fails(2).starts_with("usage: --tools: /no/such: "));
    assert!(local.requests().is_empty());
}

#[test]
fn images_are_sent_with_the_prompt() {
    let local = Local::new();
    let png = TempFile::ending(".txt", b"\x89PNG\r\n\x1a\nrest");
    let gif = TempFile::ending(".bin", b"GIF89arest");
    local.chat(&["--image", png.path(), "--image", gif.path(), "what?"]).succeeds();
    assert_eq!(
        local.last()["messages"],
        json!([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgpyZXN0"}},
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhcmVzdA=="}},
            {"type": "text", "text": "what?"},
        ]}])
    );
    let before = local.requests().len();
    let text = TempFile::new("<svg/>");
    for (path, why) in [(text.path(), "not a PNG, JPEG, GIF or WebP"), ("/no/such", "No such file")] {
        let run = local.chat(&["--image", path, "what?"]);
        assert!(run.fails(2).starts_with(&format!("usage: --image: {path}: {why}")), "{run:?}");
    }
    assert_eq!(local.requests().len(), before);
}

#[test]
fn headers_of_the_response_are_printed_on_demand() {
    for flags in [&[][..], &["--no-stream"]] {
        let run = Local::new().chat(&[flags, &["-v", "hi"]].concat());
        assert_eq!(run.code, 0);
        assert!(run.stderr.contains("\nresponse: x-amzn-requestid: 00000000-"), "{}", run.stderr);
    }
}

#[test]
fn standard_input_is_the_default_prompt() {
    let local = Local::new();
    let run = local.run(&["chat", "--endpoint", "e", "--max-tokens", "3"], "piped".as_bytes()).succeeds();
    assert_eq!(run.text(), "You said: “piped”");
    let run = local.run(&["chat", "--endpoint", "e"], b"");
    assert_eq!(run.fails(2), "usage: the prompt is empty: nothing on standard input");
}
