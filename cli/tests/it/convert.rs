//! `sagewire convert`.

use serde_json::{Value, json};

use crate::process::{TempFile, sagewire};

fn value(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn a_request_is_converted_and_losses_are_printed() {
    let request = json!({
        "model": "m", "seed": 7, "max_tokens": 9,
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hi"}]
    });
    let request = request.to_string().into_bytes();
    let converse = sagewire(&["convert", "request", "--from", "openai", "--to", "bedrock"], &request);
    assert_eq!(converse.code, 0);
    assert_eq!(converse.stderr, "loss: /seed: dropped: Converse has no such parameter\n");
    assert_eq!(
        value(&converse.stdout),
        json!({
            "messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "system": [{"text": "Be short."}],
            "inferenceConfig": {"maxTokens": 9}
        })
    );
    let args =
        ["convert", "request", "--from", "openai", "--to", "bedrock", "--strict", "--losses", "json", "-"];
    let strict = sagewire(&args, &request);
    assert_eq!(strict.code, 6);
    let mut lines = strict.stderr.lines();
    let losses: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(losses[0]["path"], "/seed");
    assert_eq!(lines.next(), Some("strict: 1 loss"));
}

/// Raw text needs another content type, which is printed.
#[test]
fn a_request_becomes_raw_text() {
    let request = json!({"prompt": "Say \"hi\".", "max_tokens": 9}).to_string().into_bytes();
    let args = ["convert", "request", "--from", "completions", "--to", "jumpstart-raw"];
    let text = sagewire(&args, &request);
    assert_eq!((text.code, &text.stdout[..]), (0, &b"Say \"hi\".\n"[..]));
    let lines: Vec<_> = text.stderr.lines().collect();
    let loss = "loss: /max_tokens: dropped: raw text is the prompt and nothing else";
    assert_eq!(lines, ["content type: application/x-text", loss]);
}

/// TGI accepts images in its prompt, on demand.
#[test]
fn images_in_a_prompt() {
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    let content = json!([image, {"type": "text", "text": "What?"}]);
    let request = json!({"messages": [{"role": "user", "content": content}]}).to_string().into_bytes();
    let args = ["convert", "request", "--from", "openai", "--to", "tgi", "--template"];
    let markdown = ["--set", "images=markdown"];
    for (template, prompt) in [
        ("none", "![](https://example.com/a.png)What?"),
        (
            "gemma",
            "<start_of_turn>user\n![](https://example.com/a.png)What?<end_of_turn>\n<start_of_turn>model\n",
        ),
    ] {
        let written = sagewire(&[&args[..], &[template], &markdown].concat(), &request).succeeds();
        assert_eq!(value(&written.stdout)["inputs"], prompt);
        assert_eq!(sagewire(&[&args[..], &[template]].concat(), &request).code, 2, "{template}");
    }
}

/// If Converse does not accept the name of a tool, the response has its original name.
#[test]
fn names_of_tools_are_restored() {
    let request = std::env::temp_dir().join(format!("sagewire-request-{}.json", std::process::id()));
    let tool = json!({"type": "function", "function": {"name": "files.read", "parameters": {}}});
    std::fs::write(&request, json!({"messages": [], "tools": [tool]}).to_string()).unwrap();
    let path = request.to_str().unwrap();
    let response = json!({"output": {"message": {"role": "assistant", "content": [
        {"toolUse": {"toolUseId": "t", "name": "files_read", "input": {}}}
    ]}}, "stopReason": "tool_use"});
    let response = response.to_string().into_bytes();
    let name = |args: &[&str], pointer: &str| {
        let run = sagewire(&[args, &["--to", "openai"]].concat(), &response).succeeds();
        let text = String::from_utf8(run.stdout).unwrap();
        let records = text.lines().filter_map(|line| line.strip_prefix("data: ").or(Some(line)));
        let mut records = records.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.find_map(|record| record.pointer(pointer)?.as_str().map(str::to_owned)).unwrap()
    };
    let whole = "/choices/0/message/tool_calls/0/function/name";
    let piece = "/choices/0/delta/tool_calls/0/function/name";
    assert_eq!(name(&["convert", "response"], whole), "files_read");
    assert_eq!(name(&["convert", "response", "--request", path], whole), "files.read");
    assert_eq!(name(&["convert", "response", "--from", "bedrock", "--request", path], whole), "files.read");
    assert_eq!(name(&["decode", "--request", path], piece), "files.read");
    let wrong = ["convert", "response", "--request", path, "--request-format", "tgi", "--to", "openai"];
    assert!(sagewire(&wrong, &response).fails(2).contains("--request"));
    std::fs::remove_file(request).unwrap();
}

#[test]
fn a_prompt_needs_a_template() {
    let request = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let args = ["convert", "request", "--from", "openai", "--to", "tgi"];
    let line = sagewire(&args, request);
    assert!(line.fails(2).contains("chat template"), "{line:?}");
    let tgi = sagewire(&[&args[..], &["--template", "chatml"]].concat(), request).succeeds();
    assert_eq!(value(&tgi.stdout)["inputs"], "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    let unknown = sagewire(&[&args[..], &["--template", "no-such-model"]].concat(), request);
    assert!(unknown.fails(2).contains("known families: "), "{unknown:?}");
    let setting = sagewire(&[&args[..], &["--set", "zero-temperature=cold"]].concat(), request);
    assert!(setting.fails(2).contains("--set zero-temperature=cold: no such option or value"), "{setting:?}");
}

#[test]
fn a_response() {
    let tgi =
        br#"[{"generated_text":"hi","details":{"finish_reason":"length","generated_tokens":3,"tokens":[]}}]"#;
    let args = ["convert", "response", "--to", "openai", "--context", "id=chatcmpl-7,model=m,created=9"];
    let openai = sagewire(&args, tgi);
    assert_eq!(openai.code, 0, "{openai:?}");
    let openai = value(&openai.stdout);
    assert_eq!(openai["id"], "chatcmpl-7");
    assert_eq!(openai["choices"][0]["message"]["content"], "hi");
    assert_eq!(openai["choices"][0]["finish_reason"], "length");
    assert_eq!(openai["usage"]["completion_tokens"], 3);
    assert_eq!(sagewire(&["convert", "response", "--to", "tgi"], b"{\"choices\":[").code, 3);
}

#[test]
fn an_error_is_unwrapped() {
    let wrapped =
        br#"{"Message":"Received","OriginalStatusCode":429,"OriginalMessage":"{\"error\":\"busy\"}"}"#;
    let anthropic = sagewire(&["convert", "error", "--from", "tgi", "--to", "anthropic"], wrapped);
    assert_eq!((anthropic.code, anthropic.stderr.as_str()), (0, "status: 429, retryable\n"));
    assert_eq!(
        value(&anthropic.stdout),
        json!({"type": "error", "error": {"type": "rate_limit_error", "message": "busy"}})
    );
}

#[test]
fn embeddings() {
    let request = br#"{"model":"m","input":["a","b"]}"#;
    let tei = sagewire(&["convert", "embedding-request", "--to", "inputs"], request);
    assert_eq!(value(&tei.stdout), json!({"inputs": ["a", "b"]}));
    assert!(tei.stderr.starts_with("content type: application/json\n"), "{tei:?}");
    let explicit = sagewire(&["convert", "embedding-request", "--from", "openai", "--to", "inputs"], request);
    assert_eq!(explicit.stdout, tei.stdout);
    let args = ["convert", "embedding-response", "--context", "model=m"];
    let openai = sagewire(&args, b"[[0.5,1.0],[2.0,3.0]]");
    let loss = "loss: /usage: defaulted: the source does not report token counts: both are zero\n";
    assert_eq!((openai.code, openai.stderr.as_str()), (0, loss));
    assert_eq!(value(&openai.stdout)["data"][1]["embedding"], json!([2.0, 3.0]));
    let explicit =
        sagewire(&[&args[..], &["--from", "inputs", "--to", "openai"]].concat(), b"[[0.5,1.0],[2.0,3.0]]");
    assert_eq!(explicit.stdout, openai.stdout);
    let tokens = sagewire(&args, b"[[[1.0,2.0],[3.0,4.0]]]");
    assert_ne!(tokens.code, 0, "vectors of tokens are pooled only on demand: {tokens:?}");
    let pooled = sagewire(&[&args[..], &["--pooling", "mean"]].concat(), b"[[[1.0,2.0],[4.0,5.0]]]");
    assert_eq!(value(&pooled.stdout)["data"][0]["embedding"], json!([2.5, 3.5]));
}

#[test]
fn streams_are_written_in_every_api() {
    let tgi = b"data:{\"index\":1,\"token\":{\"id\":5,\"text\":\"hi\",\"logprob\":-0.5,\"special\":false},\
        \"generated_text\":\"hi\",\"details\":{\"finish_reason\":\"eos_token\",\"generated_tokens\":1,\"seed\":null}}\n\n";
    for (to, expected) in [
        ("openai", "\"content\":\"hi\""),
        ("bedrock", "\"delta\":{\"text\":\"hi\"}"),
        ("anthropic", "{\"type\":\"text_delta\",\"text\":\"hi\"}"),
        ("tgi", "\"generated_text\":\"hi\""),
    ] {
        let run = sagewire(&["decode", "--to", to], tgi).succeeds();
        assert!(run.text().contains(expected), "{to}: {}", run.text());
    }
}

#[test]
fn the_table_of_formats() {
    let table = sagewire(&["formats"], b"").succeeds();
    for format in ["openai", "responses", "bedrock", "anthropic", "tgi", "lmi", "jumpstart", "embeddings"] {
        assert!(table.text().lines().any(|line| line.starts_with(format)), "{format}");
    }
}

#[test]
fn the_api_of_a_request_is_detected() {
    let openai = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9});
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}], "inferenceConfig": {"maxTokens": 9}});
    let anthropic = json!({"max_tokens": 9, "system": "S", "messages": [{"role": "user", "content": "hi"}]});
    for (request, api) in [(&openai, "openai"), (&converse, "converse"), (&anthropic, "messages")] {
        let body = request.to_string().into_bytes();
        let args = ["convert", "request", "--to", "bedrock"];
        let detected = sagewire(&args, &body).succeeds();
        assert_eq!(value(&detected.stdout)["inferenceConfig"]["maxTokens"], 9, "{api}");
        for from in ["auto", api] {
            assert_eq!(sagewire(&[&args[..], &["--from", from]].concat(), &body), detected, "{from}");
        }
    }
    // --request as well.
    let request = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}});
    let file = TempFile::new(&request.to_string());
    let response = br#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    sagewire(&["convert", "response", "--request", file.path(), "--to", "bedrock"], response);
    let unknown = TempFile::new("{}");
    let run = sagewire(&["convert", "response", "--request", unknown.path(), "--to", "bedrock"], response);
    let line = format!("usage: --request: {}: its API is not recognized; ", unknown.path());
    assert!(run.fails(2).starts_with(&line), "{run:?}");
}

#[test]
fn documents_that_are_not_recognized_are_described() {
    let json = "JSON, but of no API known here; hint: --from names its format";
    for (input, found, is_json) in [
        (&b"<html></html>"[..], "looks like HTML", false),
        (b"\x1f\x8b\x08\0", "looks like gzip", false),
        (b"\0\x01\x02\xff", "looks like binary data", false),
        (b"{\"a\":1}", &format!("looks like {json}"), true),
    ] {
        for args in [
            &["convert", "request", "--to", "bedrock"][..],
            &["convert", "response", "--to", "bedrock"],
            &["convert", "request", "--from", "openai", "--to", "bedrock"],
            &["convert", "embedding-request", "--to", "inputs"],
            &["convert", "embedding-response"],
        ] {
            let run = sagewire(args, input);
            let line = run.fails(5);
            // With a known format, the error is about the field that is missing.
            let is_detected = !args.contains(&"--from") && !args[1].starts_with("embedding");
            if is_detected || !is_json {
                assert_eq!(line, format!("format: not recognized: the input {found}"), "{args:?}");
            } else {
                assert!(line.starts_with("byte 0: "), "{args:?}: {line}");
            }
        }
    }
    let file = TempFile::new("<html>");
    let run = sagewire(&["convert", "request", "--to", "bedrock", file.path()], b"");
    assert_eq!(run.fails(5), format!("{}: format: not recognized: the input looks like HTML", file.path()));
    let empty = sagewire(&["convert", "request", "--to", "bedrock"], b"");
    assert_eq!(empty.fails(5), "format: not recognized: the input is empty");
    let large = vec![b' '; 25 * 1024 * 1024 + 1];
    let large = sagewire(&["convert", "request", "--to", "bedrock"], &large);
    assert_eq!(large.fails(5), "input: standard input: larger than the limit of 26214400 bytes");
}

/// Options that a conversion does not use are not accepted.
#[test]
fn options_are_those_of_the_document() {
    for args in [
        &["convert", "request", "--to", "bedrock", "--context", "id=1"][..],
        &["convert", "error", "--to", "openai", "--strict"],
        &["convert", "error", "--to", "openai", "-v"],
    ] {
        assert!(sagewire(args, b"{}").fails(2).starts_with("usage: unexpected argument "), "{args:?}");
    }
}

#[test]
fn the_model_is_replaced_or_left_out() {
    let request = br#"{"model":"gpt-4o", "messages":[{"role":"user","content":"hi"}], "x":1}"#;
    for (to, args, expected) in [
        ("openai", &["--no-model"][..], r#"{"messages":[{"role":"user","content":"hi"}], "x":1}"#),
        (
            "openai",
            &["--model", "/opt/ml/model"],
            r#"{"model":"/opt/ml/model", "messages":[{"role":"user","content":"hi"}], "x":1}"#,
        ),
        (
            "anthropic",
            &["--model", "m", "--set", "max-tokens=9", "--set", "others=drop"],
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#,
        ),
    ] {
        let args = [&["convert", "request", "--from", "openai", "--to", to][..], args].concat();
        let run = sagewire(&args, request);
        assert_eq!((run.code, value(&run.stdout)), (0, value(expected.as_bytes())), "{run:?}");
    }
    let both = sagewire(&["convert", "request", "--to", "openai", "--model", "m", "--no-model"], request);
    assert!(both.fails(2).contains("--no-model"), "{both:?}");
}
