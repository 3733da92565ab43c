//! Custom formats.

use serde_json::{Value, json};

use crate::process::{Emulate, TempFile, decode, sagewire};

fn custom(description: &Value) -> (TempFile, String) {
    let file = TempFile::new(&description.to_string());
    let name = format!("custom:{}", file.path());
    (file, name)
}

/// The format of llama-server, as a custom format.
fn llama_server() -> Value {
    json!({
        "request": {"prompt": "{{prompt}}", "n_predict": "{{max_tokens}}", "stream": "{{stream}}"},
        "stream": {"text": "$.content", "done": "$.stop", "usage": {"output": "$.tokens_predicted"}},
        "response": {"text": "$.content"}
    })
}

#[test]
fn captured_bytes_are_decoded() {
    let (_file, name) = custom(&json!({
        "stream": {"text": "$.piece", "finish": "$.why", "error": "$.oops", "usage": {"output": "$.count"}},
        "finish_reasons": {"EOS": "stop"}
    }));
    let lines = b"{\"piece\":\"caf\"}\n{\"piece\":\"\xc3\xa9\"}\n{\"why\":\"EOS\",\"count\":2}\n";
    assert_eq!(decode(&["--from", &name], lines).succeeds().text(), "café");
    let openai = decode(&["--from", &name, "--to", "openai"], lines).succeeds();
    assert!(openai.text().contains("\"finish_reason\":\"stop\""), "{}", openai.text());
    let cut = decode(&["--from", &name], &lines[..15]);
    cut.fails(3);
    assert_eq!(cut.text(), "caf");
    let failed = decode(&["--from", &name], b"{\"piece\":\"a\"}\n{\"oops\":\"out of memory\"}\n");
    assert!(failed.fails(4).ends_with("out of memory"), "{failed:?}");
    let strange = decode(&["--from", &name], b"{\"token\":\"a\"}\n{\"token\":\"b\"}\n");
    let line = "the input looks like JSON, but of no API known here; hint: --from names its format";
    assert!(strange.fails(5).ends_with(line), "{strange:?}");
}

#[test]
fn requests_and_responses_are_converted() {
    let (_file, name) = custom(&llama_server());
    let request = br#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":4,"seed":3,"stream":true}"#;
    let args = ["convert", "request", "--from", "openai", "--to", &name];
    let run = sagewire(&[&args[..], &["--template", "chatml"]].concat(), request);
    let body: Value = serde_json::from_slice(&run.stdout).unwrap();
    let prompt = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(body, json!({"prompt": prompt, "n_predict": 4, "stream": true}));
    assert_eq!((run.code, &*run.stderr), (0, "loss: /seed: dropped: the template has no place for it\n"));
    assert_eq!(sagewire(&[&args[..], &["--template", "none", "--strict"]].concat(), request).code, 6);
    assert!(sagewire(&args, request).fails(2).contains("--template"));
    let settings = sagewire(&[&args[..], &["--template", "none", "--set", "merge=true"]].concat(), request);
    assert!(settings.fails(2).starts_with("usage: --set is not available for this format"));

    let args = ["convert", "response", "--from", &name, "--to", "openai"];
    let response: Value = serde_json::from_slice(&sagewire(&args, b"{\"content\":\"hi\"}").stdout).unwrap();
    assert_eq!(response["choices"][0]["message"]["content"], "hi");
}

#[test]
fn a_container_is_called() {
    let emulate = Emulate::new(&["--format", "llama-server"]);
    let (_file, name) = custom(&llama_server());
    let args = ["--format", &name, "--template", "none", "--max-tokens", "3", "--strict", "hi"];
    assert_eq!(emulate.chat(&args).succeeds().text(), "You said: “hi”");
    let whole = emulate.chat(&[&["--no-stream"], &args[..]].concat()).succeeds();
    assert_eq!(whole.text(), "You said: “hi”");
    // Without paths the format of the response is detected, or given by --from.
    let (_file, name) = custom(&json!({"request": llama_server()["request"]}));
    let args = ["--format", &name, "--template", "none", "--max-tokens", "3", "hi"];
    assert_eq!(emulate.chat(&args).succeeds().text(), "You said: “hi”");
    let lossy = emulate.chat(&[&["--strict", "--temperature", "1"], &args[..]].concat());
    assert_eq!(lossy.code, 6);
    assert!(lossy.stderr.starts_with("loss: temperature: dropped: "), "{lossy:?}");
}

/// Streams and non-streaming responses may have the same fields.
#[test]
fn a_non_streaming_response_needs_no_end_marker() {
    let paths = json!({"text": "$.t"});
    let (_file, name) =
        custom(&json!({"request": {"q": "{{messages}}"}, "stream": paths, "response": paths}));
    let rule = json!([{"body": "{\"t\":\"hi\"}", "content_type": "application/json"}]);
    let emulate = Emulate::scripted(&rule);
    assert_eq!(emulate.chat(&["--format", &name, "--no-stream", "hi"]).succeeds().text(), "hi");
    assert_eq!(emulate.chat(&["--format", &name, "hi"]).succeeds().text(), "hi");
    // More than one document is a stream, which needs an end marker.
    let rule = json!([{"body": "{\"t\":\"h\"}\n{\"t\":\"i\"}\n", "content_type": "application/jsonlines"}]);
    Emulate::scripted(&rule).chat(&["--format", &name, "hi"]).fails(3);
}

#[test]
fn a_failure_in_the_middle() {
    let (_file, name) = custom(&json!({
        "request": {"q": "{{messages}}"}, "stream": {"text": "$.t", "finish": "$.f", "error": "$.e.what"}
    }));
    let body = "{\"t\":\"so far\"}\n{\"e\":{\"what\":\"the model fell over\"}}\n";
    let emulate = Emulate::scripted(&json!([{"body": body, "content_type": "application/jsonlines"}]));
    let run = emulate.chat(&["--format", &name, "hi"]);
    assert!(run.fails(4).ends_with("the model fell over"), "{run:?}");
    assert_eq!(run.text(), "so far");
}

/// The message has file, position and reason.
#[test]
fn invalid_descriptions_are_reported() {
    for (text, found) in [
        ("{\"stream\": {\"text\": \"$.a[\"}}", ": /stream/text: `$.a[` at byte "),
        ("{\"response\": {\"usage\": {\"input\": \"a.b\"}}}", ": /response/usage/input: `a.b` at byte 0: "),
        (
            "{\"request\": {\"a\": [\"x {{nope}}\"]}}",
            ": /request/a/0: `x {{nope}}` at byte 2: `nope` is no placeholder",
        ),
        (
            "{\"request\": {\"a\": \"{{prompt\"}}",
            ": /request/a: `{{prompt` at byte 0: a placeholder does not end",
        ),
        (
            "{\"finish_reasons\": {\"X\": \"halt\"}}",
            ": /finish_reasons/X: `halt` at byte 0: `halt` is no finish reason",
        ),
        ("{\n  \"strem\": {}\n}", ": unknown field `strem`, expected one of `request`, "),
        ("{\n  \"request\": {},\n}", ": trailing comma at line 3 column 1"),
        ("\"text\"", ": invalid type: string \"text\", expected struct Spec at line 1 column 6"),
    ] {
        let file = TempFile::new(text);
        let name = format!("custom:{}", file.path());
        for args in [
            &["decode", "--from", &name][..],
            &["convert", "request", "--from", "openai", "--to", &name],
            &["chat", "--endpoint", "e", "--format", &name, "hi"],
        ] {
            let run = sagewire(args, b"{}");
            let line = run.fails(2);
            assert!(line.starts_with(&format!("usage: invalid value '{name}' for '--")), "{line}");
            assert!(line.contains(&format!("{}: custom format{found}", file.path())), "{line}");
        }
    }
}

#[test]
fn a_description_may_be_partial() {
    let (written, writes) = custom(&json!({"request": {"q": "{{prompt}}"}}));
    let (read, reads) = custom(&json!({"stream": {"text": "$.t", "finish": "$.f"}}));
    let no_request = format!("{}: has no `request`", read.path());
    let no_paths = format!("{}: has no path in `stream` or `response`", written.path());
    for (args, found) in [
        (&["convert", "request", "--from", "openai", "--to", &reads][..], &*no_request),
        (&["chat", "--endpoint", "e", "--format", &reads, "hi"], &no_request),
        (&["decode", "--from", &writes], &no_paths),
        (&["chat", "--endpoint", "e", "--from", &writes, "hi"], &no_paths),
        (&["convert", "request", "--from", &writes, "--to", "openai"], "can be written, but not read"),
        (&["decode", "--to", &reads], "can be read, but not written"),
        (&["convert", "response", "--to", &reads], "can be read, but not written"),
        (&["decode", "--from", "custom:"], "the path of a file has to follow"),
        (&["decode", "--from", "custom:/no/such/file"], "/no/such/file: No such file"),
        (&["decode", "--from", "custom:/"], "/: Is a directory"),
    ] {
        let run = sagewire(args, b"{}");
        assert!(run.fails(2).contains(found), "{run:?}");
    }
}

/// The example in the help works.
#[test]
fn the_example_in_the_help_works() {
    let help = sagewire(&["decode", "--help"], b"").succeeds();
    let start = help.text().find("    {\n").expect("an example");
    let end = start + help.text()[start..].find("\n    }\n").expect("its end") + "\n    }".len();
    let file = TempFile::new(&help.text()[start..end]);
    let name = format!("custom:{}", file.path());
    let run =
        sagewire(&["decode", "--from", &name], b"{\"piece\":\"hi\"}\n{\"reason\":\"EOS\"}\n").succeeds();
    assert_eq!(run.text(), "hi");
    let request = br#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":4}"#;
    let args = ["convert", "request", "--from", "openai", "--to", &name, "--template", "none"];
    let run = sagewire(&args, request).succeeds();
    assert_eq!(run.text(), "{\"question\":\"hi\",\"settings\":{\"length\":4}}\n");
    // The help has all placeholders.
    let all = sagewire(&["decode", "--from", "custom:/dev/stdin"], b"{\"request\":\"{{x}}\"}");
    let known = all.stderr.split("known: ").nth(1).expect("a list").split(" (see").next().expect("names");
    for name in known.trim().split(", ").filter(|name| !name.starts_with("other")) {
        assert!(help.text().contains(name), "{name}");
    }
}
