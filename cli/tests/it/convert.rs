//! `sagewire convert`.

use serde_json::{Value, json};

use crate::process::sagewire;

fn value(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn a_request_and_what_is_lost() {
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
    assert_eq!(losses[0]["what"], "/seed");
    assert_eq!(lines.next(), Some("strict: 1 lost"));
}

/// Raw text needs another content type, which is told.
#[test]
fn a_prompt_alone() {
    let request = json!({"prompt": "Say \"hi\".", "max_tokens": 9}).to_string().into_bytes();
    let args = ["convert", "request", "--from", "completions", "--to", "jumpstart-raw"];
    let text = sagewire(&args, &request);
    assert_eq!((text.code, &text.stdout[..]), (0, &b"Say \"hi\".\n"[..]));
    let lines: Vec<_> = text.stderr.lines().collect();
    let loss = "loss: /max_tokens: dropped: raw text is the prompt and nothing else";
    assert_eq!(lines, ["content type: application/x-text", loss]);
}

/// TGI has images in its text, where it is asked for.
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

/// A tool whose name Converse does not take is called by its own in the answer.
#[test]
fn names_of_tools_come_back() {
    let request = std::env::temp_dir().join(format!("sagewire-request-{}.json", std::process::id()));
    let tool = json!({"type": "function", "function": {"name": "files.read", "parameters": {}}});
    std::fs::write(&request, json!({"messages": [], "tools": [tool]}).to_string()).unwrap();
    let path = request.to_str().unwrap();
    let answer = json!({"output": {"message": {"role": "assistant", "content": [
        {"toolUse": {"toolUseId": "t", "name": "files_read", "input": {}}}
    ]}}, "stopReason": "tool_use"});
    let answer = answer.to_string().into_bytes();
    let name = |args: &[&str], pointer: &str| {
        let run = sagewire(&[args, &["--to", "openai"]].concat(), &answer).succeeds();
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
    assert!(sagewire(&wrong, &answer).fails(2).contains("--request"));
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
    let unknown = sagewire(&[&args[..], &["--template", "nobody"]].concat(), request);
    assert!(unknown.fails(2).contains("known: "), "{unknown:?}");
    let setting = sagewire(&[&args[..], &["--set", "zero-temperature=cold"]].concat(), request);
    assert!(setting.fails(2).contains("not a setting"), "{setting:?}");
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
    assert_eq!((anthropic.code, anthropic.stderr.as_str()), (0, "status: 429, may be sent again\n"));
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
    let said = sagewire(&["convert", "embedding-request", "--from", "openai", "--to", "inputs"], request);
    assert_eq!(said.stdout, tei.stdout);
    let args = ["convert", "embedding-response", "--context", "model=m"];
    let openai = sagewire(&args, b"[[0.5,1.0],[2.0,3.0]]").succeeds();
    assert_eq!(value(&openai.stdout)["data"][1]["embedding"], json!([2.0, 3.0]));
    let said =
        sagewire(&[&args[..], &["--from", "inputs", "--to", "openai"]].concat(), b"[[0.5,1.0],[2.0,3.0]]");
    assert_eq!(said.stdout, openai.stdout);
    let tokens = sagewire(&args, b"[[[1.0,2.0],[3.0,4.0]]]");
    assert_ne!(tokens.code, 0, "vectors of tokens are pooled only when asked: {tokens:?}");
    let pooled = sagewire(&[&args[..], &["--pooling", "mean"]].concat(), b"[[[1.0,2.0],[4.0,5.0]]]");
    assert_eq!(value(&pooled.stdout)["data"][0]["embedding"], json!([2.5, 3.5]));
}

#[test]
fn streams_of_every_target() {
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
