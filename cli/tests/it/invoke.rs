//! `sagewire invoke`.

use sagewire_emulator::Emulator;
use serde_json::{Value, json};

use crate::process::{Local, TempFile, calling, command, run, sagewire, server};

const REQUEST: &str = r#"{"messages":[{"role":"user","content":"Say é"}],"max_tokens":3}"#;
const STREAMED: &str = r#"{"messages":[{"role":"user","content":"Say é"}],"max_tokens":3,"stream":true}"#;

#[test]
fn bodies_are_not_changed() {
    let local = Local::new();
    let file = TempFile::new(REQUEST);
    let args = ["invoke", "my-llm", file.path(), "--accept", "application/json"];
    let response: Value = serde_json::from_str(local.run(&args, b"").succeeds().text()).unwrap();
    assert_eq!(response["choices"][0]["message"]["content"], "You said: “Say");
    let piped = local.run(&["invoke", "my-llm"], REQUEST.as_bytes()).succeeds();
    let dash = local.run(&["invoke", "my-llm", "-"], REQUEST.as_bytes()).succeeds();
    assert_eq!(piped.stdout, dash.stdout);
    for request in local.requests() {
        assert_eq!(
            (request.path.as_str(), &*request.body),
            ("/endpoints/my-llm/invocations", REQUEST.as_bytes())
        );
    }
    assert_eq!(local.requests()[0].header("accept"), Some("application/json"));
}

#[test]
fn a_stream_is_printed_with_or_without_frames() {
    let local = Local::new();
    let plain = local.run(&["invoke", "my-llm", "--stream"], STREAMED.as_bytes()).succeeds();
    assert!(plain.text().starts_with("data: {") && plain.text().ends_with("data: [DONE]\n\n"));
    let framed = local.run(&["invoke", "my-llm", "--stream", "--frames"], STREAMED.as_bytes()).succeeds();
    assert!(framed.stdout.len() > plain.stdout.len());
    for bytes in [&plain.stdout, &framed.stdout] {
        assert_eq!(sagewire(&["decode"], bytes).succeeds().text(), "You said: “Say");
    }
}

#[test]
fn any_content_type_is_accepted() {
    let body = b"\x89PNG\r\n\x1a\n\0\xff";
    let rule = json!([{"headers": {"content-type": "text/csv"}, "body": "1,2\n"}]);
    let local = Local::scripted(&rule);
    let args = ["invoke", "my-llm", "--content-type", "image/png", "--accept", "text/csv"];
    assert_eq!(local.run(&args, body).succeeds().stdout, b"1,2\n");
    let request = &local.requests()[0];
    assert_eq!((request.header("content-type"), &*request.body), (Some("image/png"), &body[..]));
}

#[test]
fn options_of_the_endpoint_become_headers() {
    // A container without sessions ignores the ID of one.
    let local = Local::scripted(&json!([{"format": "tgi"}]));
    let flags = [
        ("--inference-component", "ic", "inference-component"),
        ("--target-variant", "v", "target-variant"),
        ("--target-container-hostname", "c", "target-container-hostname"),
        ("--session-id", "s", "session-id"),
        ("--inference-id", "i", "inference-id"),
        ("--prefix-aware-id", "p", "prefix-aware-id"),
    ];
    let unary = [
        ("--target-model", "m.tar.gz", "target-model"),
        ("--enable-explanations", "`true`", "enable-explanations"),
    ];
    let given = |command: &[&'static str], flags: &[(&'static str, &'static str, &str)]| {
        let flags = flags.iter().flat_map(|(flag, value, _)| [*flag, *value]);
        command.iter().copied().chain(flags).collect::<Vec<_>>()
    };
    let sent = |flags: &[(&str, &str, &str)]| {
        let request = local.requests().pop().unwrap();
        for (flag, value, header) in flags {
            let name = format!("x-amzn-sagemaker-{header}");
            assert_eq!(request.header(&name), Some(*value), "{flag}");
            let signed = request.header("authorization").unwrap();
            assert!(signed.contains(&name), "{signed}");
        }
    };
    local.run(&given(&["invoke", "e"], &[&flags[..], &unary].concat()), REQUEST.as_bytes()).succeeds();
    sent(&[&flags[..], &unary].concat());
    local.run(&given(&["invoke", "e", "--stream"], &flags), STREAMED.as_bytes()).succeeds();
    sent(&flags);
    local.run(&given(&["chat", "--endpoint", "e", "hi"], &flags), b"").succeeds();
    sent(&flags);
    let before = local.requests().len();
    for (flag, value, header) in unary {
        let run = local.run(&["invoke", "e", "--stream", flag, value], STREAMED.as_bytes());
        let line = run.fails(2);
        assert!(
            line.starts_with(&format!("usage: --{header} is not available with a streaming response")),
            "{line}"
        );
    }
    assert_eq!(local.requests().len(), before);
}

#[test]
fn custom_attributes_are_joined() {
    let local = Local::new();
    let sent = |attributes: &[&str]| {
        let flags = attributes.iter().flat_map(|text| ["--custom-attributes", text]);
        let args: Vec<&str> = ["invoke", "e"].into_iter().chain(flags).collect();
        local.run(&args, REQUEST.as_bytes())
    };
    for (attributes, header) in [
        (&["accept_eula=true"][..], "accept_eula=true"),
        (&["a=1", "b=x=y"], "a=1;b=x=y"),
        (&["c000b4f9;as it is"], "c000b4f9;as it is"),
    ] {
        sent(attributes).succeeds();
        let request = local.requests().pop().unwrap();
        assert_eq!(request.header("x-amzn-sagemaker-custom-attributes"), Some(header));
    }
    let line = "usage: --custom-attributes b: not KEY=VALUE, which is required if the option is repeated";
    assert_eq!(sent(&["a=1", "b"]).fails(2), line);
    assert!(sent(&["a=1", "b=2;c=3"]).fails(2).contains("contains a separator, `=` or `;`"));
}

#[test]
fn headers_are_printed_on_demand() {
    let local = Local::new();
    let run = local.run(&["invoke", "my-llm", "--include"], REQUEST.as_bytes());
    assert_eq!(run.code, 0);
    assert!(run.stderr.starts_with("x-amzn-requestid: 00000000-"), "{}", run.stderr);
    assert!(run.stderr.contains("content-type: application/json\n"), "{}", run.stderr);
    assert!(run.text().starts_with('{'));
    let local = Local::new();
    let args = ["invoke", "my-llm", "--stream", "--include=headers"];
    let run = local.run(&args, STREAMED.as_bytes()).succeeds();
    let (headers, body) = run.text().split_once("\n\n").unwrap();
    assert!(headers.starts_with("x-amzn-requestid: 00000000-"), "{headers}");
    assert!(headers.contains("\ncontent-type: text/event-stream"), "{headers}");
    assert!(body.starts_with("data: {"));
}

#[test]
fn asynchronous_calls_print_the_output_location() {
    let folder = std::env::temp_dir().join(format!("sagewire-cli-async-{}", std::process::id()));
    let local = Local::with(Emulator::builder().storage(&folder));
    let args = ["invoke", "my-llm", "--async", "--inference-id", "mine", "--filename", "response.json"];
    let run = local.run(&args, REQUEST.as_bytes()).succeeds();
    let accepted: Value = serde_json::from_str(run.text()).unwrap();
    assert_eq!(accepted["InferenceId"], "mine");
    let output = accepted["OutputLocation"].as_str().unwrap();
    assert!(output.starts_with("s3://") && output.ends_with("/response.json"), "{output}");
    assert!(accepted["FailureLocation"].as_str().unwrap().starts_with("s3://"));

    let args =
        ["invoke", "my-llm", "--async", "--input-location", "s3://bucket/key", "--request-ttl-seconds", "60"];
    local.run(&args, b"not read").succeeds();
    let request = local.requests().pop().unwrap();
    assert_eq!(request.header("x-amzn-sagemaker-inputlocation"), Some("s3://bucket/key"));
    assert!(request.body.is_empty());
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn faults_have_exit_codes_and_print_what_was_received() {
    let body = "data: 1\n\ndata: 2\n\n";
    for (fault, code, found) in [
        (json!({"reset": true}), 3, "transport: byte "),
        (json!({"hang_up": true}), 3, "transport: byte "),
        (json!({"truncated_frame": true}), 3, "eventstream: byte "),
        (json!({"corrupt_byte": true}), 5, "eventstream: byte "),
        (json!({"exception": {"type": "InternalStreamFailure", "message": "oops"}}), 4, "sagemaker: byte "),
        (json!({"error": {"code": "500", "message": "oom"}}), 4, "sagemaker: byte "),
    ] {
        let mut fault = fault;
        fault["after"] = json!(9);
        let rule =
            json!([{"body": body, "cut": "events", "content_type": "text/event-stream", "fault": fault}]);
        let local = Local::scripted(&rule);
        let run = local.run(&["invoke", "e", "--stream"], b"{}");
        assert!(run.fails(code).starts_with(found), "{run:?}");
        assert_eq!(run.text(), "data: 1\n\n", "{fault}");
    }
}

#[test]
fn errors_of_the_service_are_reported() {
    for (rule, args, code, found) in [
        (
            json!({"status": 424}),
            &["--stream"][..],
            4,
            "service: 424 ModelError: Received server error (500)",
        ),
        (json!({"status": 403}), &[], 4, "service: 403 "),
        (json!({"status": 500}), &["--async"], 4, "service: 500 InternalFailure"),
    ] {
        let run =
            Local::scripted(&json!([rule])).run(&[&["invoke", "e", "--retries", "0"], args].concat(), b"{}");
        assert!(run.fails(code).starts_with(found), "{run:?}");
        assert!(run.stdout.is_empty());
    }
    let refused = Local::new().run(&["invoke", "my-llm"], b"{}");
    assert!(refused.fails(4).contains("; hint: is it what this container takes?"), "{refused:?}");
}

#[test]
fn invalid_arguments_are_reported() {
    let local = Local::new();
    for (args, found) in [
        (&["invoke"][..], "usage: the following required arguments were not provided: <ENDPOINT>"),
        (&["invoke", "e!", "-"], "usage: invalid request: endpoint \"e!\" "),
        (
            &["invoke", "e", "--async", "--stream"],
            "usage: the argument '--async' cannot be used with '--stream'",
        ),
        (&["invoke", "e", "--frames"], "usage: the following required arguments were not provided: --stream"),
        (
            &["invoke", "e", "--input-location", "s3://b/k"],
            "usage: the following required arguments were not provided: --async",
        ),
        (&["invoke", "e", "-", "--async", "--input-location", "s3://b/k"], "usage: the argument "),
        (&["invoke", "e", "--async", "--input-location", "b/k"], "usage: --input-location \"b/k\" "),
        (
            &["invoke", "e", "--async", "--session-id", "s"],
            "usage: --session-id is not available with an async",
        ),
        (
            &["invoke", "e", "--async", "--request-ttl-seconds", "5"],
            "usage: --request-ttl-seconds is 5 seconds",
        ),
        (&["invoke", "e", "--include=nowhere"], "usage: invalid value 'nowhere' for '--include[=<WHERE>]'"),
    ] {
        let run = local.run(args, b"{}");
        assert!(run.fails(2).starts_with(found), "{run:?}");
        assert!(run.stdout.is_empty());
    }
    for (path, found) in [("/no/such/file", "input: /no/such/file: "), ("/", "input: /: ")] {
        assert!(local.run(&["invoke", "e", path], b"{}").fails(1).starts_with(found));
    }
    assert!(local.requests().is_empty());
    let mut command = local.command(&["invoke", "e"]);
    command.env("AWS_SECRET_ACCESS_KEY", "wrong");
    assert!(run(command, b"{}").fails(4).starts_with("service: 403 InvalidSignatureException"));
}

#[test]
fn the_openai_route_uses_a_bearer_token() {
    let local = Local::new();
    let body = br#"{"messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let run = local.run(&["invoke", "my-llm", "-", "--stream", "--route", "openai"], body).succeeds();
    assert!(run.text().starts_with("data: {") && run.text().ends_with("data: [DONE]\n\n"), "{}", run.text());

    let chat = local.run(&["chat", "--endpoint", "my-llm", "--route", "openai", "hi"], b"").succeeds();
    assert!(!chat.text().is_empty());
    for request in local.requests() {
        assert_eq!(request.path, "/endpoints/my-llm/openai/v1/chat/completions");
        assert!(request.header("authorization").is_some() && request.header("x-amz-date").is_none());
    }
}

#[test]
fn a_token_is_printed() {
    let local = Local::new();
    let token = local.run(&["token", "--lifetime", "60"], b"").succeeds();
    let token = token.text().strip_suffix('\n').unwrap();
    assert!(token.starts_with("sagemaker-api-key-") && !token.contains(char::is_whitespace));
    assert!(local.run(&["token", "--lifetime", "43201"], b"").fails(2).contains("43201"));
}

#[test]
fn unencrypted_requests_cause_a_warning() {
    let mut command = command(&["invoke", "my-llm", "-", "--retries", "0"]);
    command.args(["--region", "us-east-1", "--endpoint-url", "http://sagewire.invalid"]);
    command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "hidden");
    let ended = run(command, b"{}");
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.stderr.starts_with("warning: requests to sagewire.invalid are not encrypted"), "{ended:?}");
}

/// A proxy may change the status of an asynchronous call.
#[test]
fn an_asynchronous_call_accepts_every_success() {
    for status in ["200 OK", "201 Created", "202 Accepted"] {
        let response = format!(
            "HTTP/1.1 {status}\r\nx-amzn-sagemaker-outputlocation: s3://b/k\r\nconnection: close\r\n\
             content-length: 22\r\n\r\n{{\"InferenceId\":\"mine\"}}"
        );
        let run =
            run(calling(&server(response.leak().as_bytes()), &["invoke", "e", "--async"]), b"{}").succeeds();
        assert_eq!(run.lines()[0]["OutputLocation"], "s3://b/k");
    }
}

/// The emulated container is vLLM's, which has routes.
#[test]
fn a_route_within_the_container_is_an_attribute() {
    let local = Local::new();
    let messages = r#"{"messages":[{"role":"user","content":"Say é"}],"max_tokens":3,"system":"Be brief."}"#;
    for (args, body) in [
        (["invoke", "my-llm", "--route-path", "/v1/messages"], messages),
        (["invoke", "my-llm", "--route-path", "auto"], messages),
    ] {
        let response: Value =
            serde_json::from_str(local.run(&args, body.as_bytes()).succeeds().text()).unwrap();
        assert_eq!(response["content"][0]["text"], "You said: “Say");
    }
    let chat = ["--route-path", "auto", "--custom-attributes", "accept_eula=true", "--max-tokens", "3"];
    let text = local.chat(&[&chat[..], &["--format", "anthropic", "Say é"]].concat()).succeeds();
    assert_eq!(text.text().trim_end(), "You said: “Say");
    let request = local.requests().pop().unwrap();
    let attributes = request.header("x-amzn-sagemaker-custom-attributes");
    assert_eq!(attributes, Some("accept_eula=true;route=/v1/messages"));

    for (args, found) in [
        (&["--format", "tgi", "--template", "none", "--route-path", "auto"][..], "--route-path auto: "),
        (&["--route-path", "/v1/messages?x=1"][..], "--route-path \"/v1/messages?x=1\" has the character"),
        (&["--route", "openai", "--route-path", "auto"][..], "--route-path is not available with the OpenAI"),
    ] {
        let refused = local.chat(&[args, &["hi"]].concat());
        assert!(refused.fails(2).contains(found), "{refused:?}");
    }
    let refused = local.run(&["invoke", "my-llm", "--route-path", "auto"], b"text");
    assert!(refused.fails(2).contains("the API of the request is not known"), "{refused:?}");
}

#[test]
fn a_gateway_is_invoked_by_its_id() {
    let local = Local::new();
    let token = TempFile::new("secret.token\n");
    let gateway = ["--gateway", "--identity-token-file", token.path()];
    let args =
        [&["chat", "--endpoint", "abc1", "--model", "m", "--max-tokens", "3"][..], &gateway, &["Say é"]];
    assert_eq!(local.run(&args.concat(), b"").succeeds().text().trim_end(), "You said: “Say");
    let body = REQUEST.replacen('{', r#"{"model":"m","#, 1);
    let invoked = local.run(&[&["invoke"][..], &gateway, &["abc1"]].concat(), body.as_bytes()).succeeds();
    assert!(invoked.text().contains("You said: “Say"));
    let paths = ["invocations-response-stream", "invocations"];
    for (request, path) in local.requests().iter().zip(paths) {
        assert_eq!(request.path, format!("/global-inference-gateway/abc1/{path}"));
        assert!(request.header("x-amzn-sagemaker-customer-identity-token").is_some());
    }
    for (args, found) in [
        (&["chat", "--endpoint", "abc1", "--gateway", "hi"][..], "body has no model"),
        (&["chat", "--endpoint", "A", "--gateway", "--model", "m", "hi"], "endpoint \"A\""),
        (&["chat", "--endpoint", "abc1", "--identity-token-file", "x", "hi"], "--gateway"),
        (
            &["chat", "--endpoint", "abc1", "--gateway", "--session-id", "s", "--model", "m", "hi"],
            "--session-id is not",
        ),
        (
            &["chat", "--endpoint", "e", "--route", "openai", "--gateway", "--model", "m", "hi"],
            "the OpenAI route",
        ),
    ] {
        let refused = local.run(args, b"");
        assert!(refused.fails(2).contains(found), "{refused:?}");
    }
    let rules = json!([{"status": 502, "message": "inference gateway (model server): 500 secret-free"}]);
    let local = Local::scripted(&rules);
    let failed = local.run(&["chat", "--endpoint", "abc1", "--gateway", "--model", "m", "hi"], b"");
    assert!(
        failed.fails(4).contains("service: 502 BadGatewayException: inference gateway (model server): 500")
    );
    assert_eq!(local.requests().len(), 1, "it may have run");
}

/// The emulator takes the part of another service, under the paths of its own.
#[test]
fn host_and_path_are_free() {
    let local = Local::new();
    let url = local.url();
    let args = ["--path", "/endpoints/{name}/invocations", "--header", "X-Amzn-SageMaker-Inference-Id: i1"];
    let stream = ["--stream-path", "/endpoints/{name}/invocations-response-stream"];
    let args = [&["--runtime", &*url][..], &args, &stream].concat();
    for stream in [&[][..], &["--stream"]] {
        let all = [&["invoke", "my-llm"][..], &args, stream].concat();
        let run = run(calling("http://127.0.0.1:1", &all), REQUEST.as_bytes()).succeeds();
        assert!(run.text().contains("You said: “Say"), "{run:?}");
        let request = local.requests().pop().unwrap();
        assert_eq!(request.header("x-amzn-sagemaker-inference-id"), Some("i1"));
    }
    for (args, found) in [
        (&["--path", "/x"][..], "--runtime"),
        (
            &["--runtime", "job-runtime.sagemaker"],
            "a non-streaming response is not available with the runtime",
        ),
        (&["--runtime", "http://example.com", "--path", "/x"], "https is required"),
        (&["--runtime", "x", "--path", "x"], "--path \"x\" is not the path of a URL"),
        (&["--runtime", "x", "--path", "/x", "--header", "host: y"], "--header: host cannot be set here"),
        (&["--runtime", "x", "--path", "/x", "--header", "y"], "--header y: not NAME: VALUE"),
    ] {
        let refused = local.run(&[&["invoke", "my-llm"][..], args].concat(), REQUEST.as_bytes());
        assert!(refused.fails(2).contains(found), "{refused:?}");
    }
}
