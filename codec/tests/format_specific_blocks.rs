//! Blocks that exist in one format only: tools that the service runs itself, their results, images. They survive a round trip
//! in their format, and are a loss in every other.

mod common;

use common::transcode;
use sagewire_codec::model::{Response, ResponseOptions};
use sagewire_codec::{Api, Options};
use serde_json::{Value, json};

const BEDROCK: Api = Api::Converse;

/// The loss for a part without a counterpart in the target, with the reason.
fn foreign(target: Api) -> String {
    let why = match target {
        Api::OpenAi => "a message of OpenAI's is text, and calls that the client runs",
        Api::Anthropic => "Anthropic has none for what others run or make",
        Api::Converse => "Converse has none for what others run or make",
        _ => "TGI generates text",
    };
    format!("dropped: only its own API has such a block: {why}")
}

fn context() -> ResponseOptions {
    ResponseOptions::new().latency_ms(9)
}

fn read(body: &str) -> Response {
    Response::read(body.to_owned(), Options::new()).expect("complete")
}

/// Writes a non-streaming response; returns it with the losses.
fn whole(target: Api, body: &str) -> (String, Vec<String>) {
    let (written, losses) = common::write_whole(target, &read(body), &context());
    (String::from_utf8(written).expect("UTF-8"), losses)
}

/// Writes a streaming response; returns it with the losses.
fn streamed(target: Api, body: &str) -> (String, Vec<String>) {
    let (written, losses, ending) = transcode(target, context(), body);
    assert_eq!(ending, Ok(()));
    (String::from_utf8(written).expect("UTF-8"), losses)
}

/// A message with these blocks.
fn message(blocks: &[&str]) -> String {
    let usage = r#"{"input_tokens":1,"output_tokens":2}"#;
    format!(
        r#"{{"id":"m","type":"message","role":"assistant","model":"x","content":[{}],"stop_reason":"end_turn","stop_sequence":null,"usage":{usage}}}"#,
        blocks.join(",")
    )
}

/// A Converse response with these blocks.
fn converse(blocks: &[&str]) -> String {
    let usage = r#"{"inputTokens":1,"outputTokens":2,"totalTokens":3}"#;
    format!(
        r#"{{"output":{{"message":{{"role":"assistant","content":[{}]}}}},"stopReason":"end_turn","usage":{usage},"metrics":{{"latencyMs":9}}}}"#,
        blocks.join(",")
    )
}

/// Fields keep their order, and numbers their digits; the blocks stay between the texts that they came between.
#[test]
fn non_streaming_responses_keep_blocks_verbatim() {
    let text = r#"{"type":"text","text":"a"}"#;
    let blocks = [
        text,
        r#"{"type":"server_tool_use","id":"s","name":"code_execution","input":{"z":1.50,"a":"\u00e9"}}"#,
        r#"{"content":{"stdout":"","return_code":0},"type":"code_execution_tool_result","tool_use_id":"s"}"#,
        r#"{"type":"mcp_tool_use","id":"c","name":"n","server_name":"e","input":{}}"#,
        text,
    ];
    let body = message(&blocks);
    assert_eq!(whole(Api::Anthropic, &body), (body, vec![]));
    let blocks = [
        r#"{"text":"a"}"#,
        r#"{"toolUse":{"toolUseId":"s","type":"server_tool_use","name":"n","input":{"z":1.50}}}"#,
        r#"{"toolResult":{"toolUseId":"s","type":"t","content":[{"json":{"b":1,"a":2}}]}}"#,
        r#"{"image":{"format":"png","source":{"bytes":"AAAA"}}}"#,
        r#"{"video":{"format":"mp4"}}"#,
        r#"{"text":"b"}"#,
    ];
    let body = converse(&blocks);
    assert_eq!(whole(BEDROCK, &body), (body, vec![]));
}

/// A Converse stream has in deltas what a non-streaming response has in its blocks.
#[test]
fn converse_blocks_survive_streaming() {
    let blocks = [
        r#"{"toolUse":{"toolUseId":"s","name":"n","type":"server_tool_use","input":{"q":"x"}}}"#,
        r#"{"toolUse":{"toolUseId":"t","name":"n","type":"server_tool_use","input":{}}}"#,
        r#"{"toolResult":{"toolUseId":"s","content":[{"text":"r"},{"json":[1]}]}}"#,
        r#"{"image":{"format":"png","source":{"bytes":"AAAA"}}}"#,
        r#"{"searchResult":{"title":"t"}}"#,
    ];
    let body = converse(&blocks);
    let (stream, losses) = streamed(BEDROCK, &body);
    assert_eq!(losses, [""; 0]);
    let lines: Vec<Value> = stream.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        lines[1..4],
        [
            json!({"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "s", "name": "n", "type": "server_tool_use"}}}}),
            json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{\"q\":\"x\"}"}}}}),
            json!({"contentBlockStop": {"contentBlockIndex": 0}}),
        ]
    );
    assert_eq!(whole(BEDROCK, &stream), (body, vec![]));
    // The same again, read from the stream.
    assert_eq!(streamed(BEDROCK, &stream), (stream, vec![]));
}

/// Input that comes in pieces is joined in its block. Unknown deltas are kept in a stream, and are a loss without streaming.
#[test]
fn deltas_of_a_message() {
    let event = |event: Value| format!("data: {event}\n\n");
    let delta = |delta: Value| event(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let start = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "mcp_tool_use", "id": "c", "input": {}}});
    let body = [
        event(json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}})),
        event(start),
        delta(json!({"type": "input_json_delta", "partial_json": "{\"a\""})),
        delta(json!({"type": "input_json_delta", "partial_json": ":1}"})),
        delta(json!({"type": "news_delta", "news": 7})),
        event(json!({"type": "content_block_stop", "index": 0})),
        event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}})),
        event(json!({"type": "message_stop"})),
    ]
    .concat();
    let (stream, losses) = streamed(Api::Anthropic, &body);
    assert_eq!(losses, [""; 0]);
    assert!(stream.contains(r#""delta":{"news":7,"type":"news_delta"}"#), "{stream}");
    let (message, losses) = whole(Api::Anthropic, &body);
    let message: Value = serde_json::from_str(&message).expect("JSON");
    assert_eq!(message["content"], json!([{"type": "mcp_tool_use", "id": "c", "input": {"a": 1}}]));
    assert_eq!(losses, ["other part: approximated: a delta of unknown meaning is not in its block"]);
}

/// Other formats write nothing for such a block, not even an empty one, and report each with its position.
#[test]
fn other_formats_report_a_loss() {
    let own = r#"{"type":"server_tool_use","id":"s","name":"n","input":{"q":1}}"#;
    let body = message(&[own, r#"{"type":"text","text":"a"}"#, own]);
    let (answer, losses) = whole(BEDROCK, &body);
    assert!(answer.contains(r#""content":[{"text":"a"}]"#), "{answer}");
    let why = foreign(BEDROCK);
    assert_eq!(losses, [format!("/content/0: {why}"), format!("/content/2: {why}")]);
    let (stream, losses) = streamed(BEDROCK, &body);
    assert_eq!(stream.matches("contentBlock").count() - stream.matches("contentBlockIndex").count(), 2);
    assert!(!stream.contains("\"contentBlockIndex\":1"), "{stream}");
    assert_eq!(losses, [format!("/content/0: {why}")]);
    let item = r#"{"type":"web_search_call","id":"w","status":"completed"}"#;
    let body = format!(r#"{{"object":"response","status":"completed","output":[{item}]}}"#);
    for target in [BEDROCK, Api::Anthropic, Api::OpenAi, Api::Tgi] {
        for (_, losses) in [whole(target, &body), streamed(target, &body)] {
            assert_eq!(losses[0], format!("/output/0: {}", foreign(target)));
        }
    }
    // Converse has no counterpart of a message's block either, although both are JSON.
    let body = converse(&[r#"{"image":{"format":"png"}}"#]);
    let why = foreign(Api::Anthropic);
    assert_eq!(whole(Api::Anthropic, &body).1[0], format!("/output/message/content/0: {why}"));
}

/// An image comes in pieces, or is missing; a Converse stream has this in a delta, a non-streaming response in its block.
#[test]
fn images_of_converse() {
    let stream = |deltas: &[Value]| {
        let mut lines = vec![
            json!({"messageStart": {"role": "assistant"}}),
            json!({"contentBlockStart": {"contentBlockIndex": 0, "start": {"image": {"format": "png"}}}}),
        ];
        let delta =
            |delta: &Value| json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"image": delta}}});
        lines.extend(deltas.iter().map(delta));
        lines.extend([
            json!({"contentBlockStop": {"contentBlockIndex": 0}}),
            json!({"messageStop": {"stopReason": "end_turn"}}),
            json!({"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 9}}}),
        ]);
        lines.iter().map(|line| format!("{line}\n")).collect::<String>()
    };
    let bytes = |data: &str| json!({"source": {"bytes": data}});
    let failed = json!({"source": {"bytes": ""}, "error": {"message": "too dark"}});
    let other = json!({"source": {"s3Location": {"uri": "s3://b/k"}}});
    let lost = "other part: approximated: a delta of unknown meaning is not in its block";
    for (deltas, image, losses) in [
        (vec![bytes("AAAA")], json!({"format": "png", "source": {"bytes": "AAAA"}}), &[][..]),
        // "ab" and "cde", each with its own padding.
        (vec![bytes("YWI="), bytes("Y2Rl")], json!({"format": "png", "source": {"bytes": "YWJjZGU="}}), &[]),
        (
            vec![failed.clone()],
            json!({"format": "png", "source": {"bytes": ""}, "error": {"message": "too dark"}}),
            &[],
        ),
        (vec![json!({"error": {}})], json!({"format": "png", "error": {}}), &[]),
        (
            vec![bytes("AAAA"), other.clone()],
            json!({"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}),
            &[lost],
        ),
        (vec![json!({"pixels": 1})], json!({"format": "png"}), &[lost]),
    ] {
        let body = stream(&deltas);
        let (once, lost) = streamed(BEDROCK, &body);
        assert_eq!(lost, [""; 0]);
        assert!(once.lines().zip(body.lines()).all(|(one, other)| {
            serde_json::from_str::<Value>(one).expect("JSON")
                == serde_json::from_str::<Value>(other).expect("JSON")
        }));
        let (answer, lost) = whole(BEDROCK, &body);
        let value: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(
            (&value["output"]["message"]["content"][0]["image"], &lost[..]),
            (&image, &losses.iter().map(|loss| (*loss).to_owned()).collect::<Vec<_>>()[..])
        );
        // The non-streaming response becomes one delta.
        assert_eq!(whole(BEDROCK, &streamed(BEDROCK, &answer).0), (answer, vec![]));
    }
}

/// The summary of a compaction is in the block of a whole message, and in a delta of a stream.
#[test]
fn compactions_of_messages() {
    for (block, start, delta) in [
        (
            json!({"type": "compaction", "content": "S", "encrypted_content": "b", "signature": "s"}),
            json!({"type": "compaction", "content": null, "encrypted_content": null, "signature": "s"}),
            Some(json!({"type": "compaction_delta", "content": "S", "encrypted_content": "b"})),
        ),
        (
            json!({"type": "compaction", "content": "S"}),
            json!({"type": "compaction", "content": null}),
            Some(json!({"type": "compaction_delta", "content": "S"})),
        ),
        // It failed.
        (
            json!({"type": "compaction", "content": null}),
            json!({"type": "compaction", "content": null}),
            None,
        ),
    ] {
        let body = message(&[&block.to_string()]);
        let (stream, losses) = streamed(Api::Anthropic, &body);
        assert_eq!(losses, [""; 0]);
        let records = common::records(Api::Anthropic, stream.as_bytes());
        let find = |pointer: &str| records.iter().find_map(|record| record.pointer(pointer)).cloned();
        assert_eq!(find("/content_block"), Some(start));
        assert_eq!(find("/delta").filter(|delta| delta["type"] == "compaction_delta"), delta);
        let (again, losses) = whole(Api::Anthropic, &stream);
        assert_eq!(losses, [""; 0]);
        let content = |body: &str| serde_json::from_str::<Value>(body).expect("JSON")["content"].clone();
        assert_eq!(content(&again), json!([block]));
    }
}
