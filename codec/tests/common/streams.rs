//! Streams in the shape of vLLM's, generated from a fixed seed.

use super::Random;

/// A token as a tokenizer produces it: some contain characters that JSON escapes, or that take more than one byte.
fn token(random: &mut Random) -> String {
    match random.below(20) {
        0 => ["\n", "\n\n", " \"", "\\", "\t"][random.below(5)].to_owned(),
        1 => ["é", " Zürich", "东京", " 🙂"][random.below(4)].to_owned(),
        _ => format!(" {}", &"consectetur"[..1 + random.below(11)]),
    }
}

fn record(delta: &serde_json::Value, finish: Option<&str>) -> String {
    let chunk = serde_json::json!({
        "id": "chatcmpl-9f2b6c0d4e5a41f7", "object": "chat.completion.chunk", "created": 1_770_933_892,
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
    });
    format!("data: {chunk}\n\n")
}

/// `count` text events, without an ending.
pub fn plain(count: usize) -> Vec<String> {
    let mut random = Random(1);
    let first = record(&serde_json::json!({"role": "assistant", "content": ""}), None);
    let deltas = (1..count).map(|_| record(&serde_json::json!({"content": token(&mut random)}), None));
    [first].into_iter().chain(deltas).collect()
}

/// `count` events of one tool call, without an ending.
pub fn tool(count: usize) -> Vec<String> {
    let mut random = Random(2);
    let call = |function| serde_json::json!({"tool_calls": [{"index": 0, "function": function}]});
    let open = serde_json::json!({"tool_calls": [{
        "index": 0, "id": "chatcmpl-tool-1", "type": "function",
        "function": {"name": "get_weather", "arguments": "{\"city\": \""},
    }]});
    let deltas = (1..count).map(|_| {
        // The tool input is itself JSON, so special characters are escaped twice on the wire.
        let quoted = serde_json::Value::from(token(&mut random)).to_string();
        record(&call(serde_json::json!({"arguments": &quoted[1..quoted.len() - 1]})), None)
    });
    [record(&open, None)].into_iter().chain(deltas).collect()
}

/// `count` tokens of a TGI stream, without an ending. Some tokens are special, or have no probability.
pub fn tgi(count: usize) -> Vec<String> {
    let mut random = Random(5);
    let records = (1..=count).map(|index| {
        let logprob = match random.below(50) {
            0 => "null".to_owned(),
            1 => "0.0".to_owned(),
            2 => "-1.1920929e-7".to_owned(),
            _ => format!("-{}.{}", random.below(3), random.below(100_000)),
        };
        let text = serde_json::Value::from(token(&mut random));
        format!(
            "data: {{\"index\":{index},\"token\":{{\"id\":{},\"text\":{text},\"logprob\":{logprob},\"special\":{}}},\
             \"generated_text\":null,\"details\":null}}\n\n",
            random.below(128_000),
            random.below(100) == 0,
        )
    });
    records.collect()
}

/// `count` tokens of LMI's JSON lines, without an ending.
pub fn lmi(count: usize) -> Vec<String> {
    let mut random = Random(6);
    let records = (1..=count).map(|_| {
        let text = serde_json::Value::from(token(&mut random));
        let (id, logprob) = (random.below(128_000), random.below(100_000));
        format!("{{\"token\": {{\"id\": {id}, \"text\": {text}, \"log_prob\": -0.{logprob}}}}}\n")
    });
    records.collect()
}

/// `count` deltas of one text of Cohere's chat, without an ending.
pub fn cohere(count: usize) -> Vec<String> {
    let mut random = Random(8);
    let start = "data: {\"type\":\"message-start\",\"id\":\"m\",\"delta\":{\"message\":{\"role\":\"assistant\"}}}\n\n";
    let deltas = (0..count).map(|_| {
        let delta = serde_json::json!({"message": {"content": {"text": token(&mut random)}}});
        let event = serde_json::json!({"type": "content-delta", "index": 0, "delta": delta});
        format!("data: {event}\n\n")
    });
    std::iter::once(start.to_owned()).chain(deltas).collect()
}

/// `count` records of SGLang, without an ending. Each has all text so far, or only the new text.
pub fn sglang(count: usize, is_cumulative: bool) -> Vec<String> {
    let mut random = Random(9);
    let (mut text, mut ids) = (String::new(), Vec::new());
    let records = (1..=count).map(|number| {
        if !is_cumulative {
            text.clear();
            ids.clear();
        }
        text.push_str(&token(&mut random));
        ids.push(random.below(128_000));
        let meta = serde_json::json!({
            "id": "r", "finish_reason": null, "prompt_tokens": 9, "completion_tokens": number, "cached_tokens": 0,
        });
        let record = serde_json::json!({"text": text, "output_ids": ids, "meta_info": meta});
        format!("data: {record}\n\n")
    });
    records.collect()
}

fn sse(event: &serde_json::Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type"))
}

/// The kind of content in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    Reasoning,
    Text,
    Tool,
}

/// `count` texts; those of a tool form a JSON text that does not end.
fn texts(block: Block, count: usize, random: &mut Random) -> Vec<String> {
    let tokens = (0..count).map(|number| match block {
        Block::Tool if number == 0 => "{\"city\": \"".to_owned(),
        Block::Tool => {
            let quoted = serde_json::Value::from(token(random)).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        _ => token(random),
    });
    tokens.collect()
}

/// `count` deltas of one block of an Anthropic message, without an ending.
pub fn message(block: Block, count: usize) -> Vec<String> {
    let sse = |event: serde_json::Value| {
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type"))
    };
    let (start, kind, member) = match block {
        Block::Reasoning => {
            (serde_json::json!({"type": "thinking", "thinking": ""}), "thinking_delta", "thinking")
        }
        Block::Text => (serde_json::json!({"type": "text", "text": ""}), "text_delta", "text"),
        Block::Tool => (
            serde_json::json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}),
            "input_json_delta",
            "partial_json",
        ),
    };
    let message = serde_json::json!({"id": "msg_1", "type": "message", "role": "assistant", "content": []});
    let mut events = vec![
        sse(serde_json::json!({"type": "message_start", "message": message})),
        sse(serde_json::json!({"type": "content_block_start", "index": 0, "content_block": start})),
    ];
    events.extend(texts(block, count, &mut Random(5)).into_iter().map(|text| {
        let delta = serde_json::json!({"type": kind, member: text});
        sse(serde_json::json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    }));
    events
}

/// `count` deltas of one block of ConverseStream, each its event type and its payload, padded as Bedrock does, without an ending.
pub fn converse(block: Block, count: usize) -> Vec<(&'static str, String)> {
    let mut random = Random(6);
    let mut events = vec![("messageStart", serde_json::json!({"role": "assistant", "p": "abc"}).to_string())];
    if block == Block::Tool {
        let start = serde_json::json!({"toolUse": {"toolUseId": "t", "name": "f"}});
        let start = serde_json::json!({"contentBlockIndex": 0, "start": start, "p": "ab"});
        events.push(("contentBlockStart", start.to_string()));
    }
    events.extend(texts(block, count, &mut Random(7)).into_iter().map(|text| {
        let delta = match block {
            Block::Reasoning => serde_json::json!({"reasoningContent": {"text": text}}),
            Block::Text => serde_json::json!({"text": text}),
            Block::Tool => serde_json::json!({"toolUse": {"input": text}}),
        };
        let padding = &"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[..random.below(52)];
        let delta = serde_json::json!({"contentBlockIndex": 0, "delta": delta, "p": padding});
        ("contentBlockDelta", delta.to_string())
    }));
    events
}

/// The ending of a complete stream.
pub fn ending() -> String {
    record(&serde_json::json!({}), Some("stop")) + "data: [DONE]\n\n"
}
