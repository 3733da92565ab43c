//! AWS's own client reads the output of `--to bedrock-wire`.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::{Run, run, sagewire};

const TOOLS: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\",\"content\":null}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"function\":",
    "{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":",
    "{\"arguments\":\"\\\"København\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}],",
    "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n",
    "data: [DONE]\n\n",
);

fn botocore(frames: &[u8]) -> Run {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/botocore_bedrock.py");
    let mut python = Command::new("python3");
    python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    run(python, frames)
}

fn has_botocore() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import botocore"]).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

#[test]
fn botocore_reads_the_frames() {
    if !has_botocore() {
        println!("skipped: no python3 with botocore");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/testdata/recorded");
    let recorded = [
        "vllm-chat-tool2-auto.sse",
        "vllm-chat-emoji.sse",
        "vllm-inv-usage-cont.sse",
        "sglang-chat-tool.sse",
        "sglang-chat-think.sse",
        "vllm-inv-enginedeath.sse",
        "sglang-chat-error-midstream.sse",
    ];
    let mut streams: Vec<_> = recorded.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect();
    streams.push(TOOLS.into());
    let events = TOOLS.split_inclusive("\n\n");
    streams.push(events.take(2).collect::<String>().into_bytes());
    for stream in streams {
        let lines = sagewire(&["decode", "--to", "bedrock"], &stream);
        let frames = sagewire(&["decode", "--to", "bedrock-wire"], &stream);
        assert_eq!(frames.code, lines.code);
        let expected: Vec<Value> = lines.lines().into_iter().map(as_botocore).collect();
        let found = botocore(&frames.stdout).succeeds().lines();
        assert!(found.len() > 1);
        assert_eq!(found, expected);
    }
}

/// The event as botocore returns it: exceptions are raised, with code and message.
fn as_botocore(line: Value) -> Value {
    let (name, fields) = line.as_object().unwrap().iter().next().unwrap();
    if name.ends_with("Exception") {
        json!({"error": {"Code": name, "Message": fields["message"]}})
    } else {
        line
    }
}
