//! `sagewire chat`, against `sagewire emulate`.

use serde_json::json;

use crate::process::{Emulate, run, sagewire};

/// A stream that is broken off in its third event.
const BODY: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"so \"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"far\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" and no further\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn an_answer_is_printed_as_asked() {
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
fn the_request_says_what_the_arguments_say() {
    let emulate = Emulate::new(&[]);
    let args = ["--model", "m", "--system", "Be brief.", "--max-tokens", "2", "--temperature", "0.5"];
    let more = ["--inference-component", "ic", "--to", "events", "-"];
    let run = run(emulate.command(&[&args[..], &more].concat()), "from stdin".as_bytes()).succeeds();
    let events = run.lines();
    assert_eq!(events[0]["model"], "m");
    let find = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap();
    assert_eq!(find("finish")["reason"], "length");
    let usage = find("usage");
    // Four for each message, and its words.
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(12), &json!(2)));
}

#[test]
fn a_wrong_secret_is_refused_and_says_so() {
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
fn faults_have_their_codes_and_the_text_so_far() {
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

/// Whoever has the last event has the answer.
#[test]
fn a_connection_that_breaks_after_the_end_does_not_matter() {
    let rule = json!([{"body": BODY, "content_type": "text/event-stream", "fault": {"hang_up": true, "after": BODY.len()}}]);
    assert_eq!(Emulate::scripted(&rule).chat(&["hi"]).succeeds().text(), "so far and no further");
}

#[test]
fn errors_of_the_service_are_named() {
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
fn settings_that_cannot_be_used_are_named() {
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
    drop(emulate);
    command.env("AWS_REGION", "eu-west-1");
    assert!(crate::process::run(command, b"").fails(4).starts_with("transport: connecting failed: "));
}
