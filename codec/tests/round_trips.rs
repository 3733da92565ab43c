//! Responses that are written in the format that they were read in: streaming and non-streaming, nothing is lost. Some are
//! also written in another format, where the form of the response matters there.

mod common;

use sagewire_codec::model::{Response, ResponseOptions};
use sagewire_codec::{Api, Options};
use serde_json::{Value, json};

/// The vectors that have a field of this name, each with its name and its format.
fn vectors(own: &str) -> Vec<(String, Api, Value)> {
    let with_target = |(name, vector): (String, Value)| {
        let target = vector["to"].as_str().or(vector["format"].as_str()).expect("a format");
        (name, common::target(target), vector)
    };
    common::vectors_with("answers.json", own).into_iter().map(with_target).collect()
}

/// The expected output of a vector, by default the input itself, and the expected losses.
fn expected(vector: &Value, own: &str) -> (Value, Value) {
    let losses = vector.get("losses").cloned().unwrap_or_else(|| json!([]));
    (vector.get("rewritten").unwrap_or(&vector[own]).clone(), losses)
}

/// Writes a non-streaming response in a format; returns it with the losses.
fn rewrite(target: Api, body: &str) -> (Value, Vec<String>) {
    let response = Response::read(body.to_owned(), Options::new()).expect("an answer");
    let (written, losses) = common::write_whole(target, &response, &ResponseOptions::new());
    (serde_json::from_slice(&written).expect("JSON"), losses)
}

#[test]
fn non_streaming_responses_survive_a_round_trip() {
    let vectors = vectors("body");
    for (name, target, vector) in &vectors {
        let (body, losses) = expected(vector, "body");
        for source in
            [vector["body"].to_string(), serde_json::to_string_pretty(&vector["body"]).expect("JSON")]
        {
            let (written, lost) = rewrite(*target, &source);
            assert_eq!((written, json!(lost)), (body.clone(), losses.clone()), "{name}");
        }
        assert_eq!(rewrite(*target, &body.to_string()), (body, vec![]), "{name} a second time");
    }
    assert!(vectors.len() >= 50, "{}", vectors.len());
}

/// The bytes of a stream of these records.
fn encode(target: Api, records: &Value) -> String {
    let encode = |record: &Value| match (target, record.as_str()) {
        (Api::Converse, _) => format!("{record}\n"),
        (Api::Anthropic | Api::Responses, _) => {
            format!("event: {}\ndata: {record}\n\n", record["type"].as_str().expect("a type"))
        }
        (_, Some(word)) => format!("data: {word}\n\n"),
        _ => format!("data: {record}\n\n"),
    };
    records.as_array().expect("records").iter().map(encode).collect()
}

/// Writes a stream in its own format; returns it with the losses and the error.
fn transcode(target: Api, records: &Value) -> (Value, Value, Value) {
    let (out, losses, ending) = common::transcode(target, ResponseOptions::new(), encode(target, records));
    let failure = ending.err().map(|error| error.failure().expect("its own failure").to_string());
    (common::records(target, &out).into(), losses.into(), json!(failure))
}

#[test]
fn streams_survive_a_round_trip() {
    let vectors = vectors("stream");
    for (name, target, vector) in &vectors {
        let (records, losses) = expected(vector, "stream");
        let failure = vector["fails"].clone();
        let found = transcode(*target, &vector["stream"]);
        assert_eq!(found, (records.clone(), losses, failure.clone()), "{name}");
        assert_eq!(transcode(*target, &records), (records, json!([]), failure), "{name} a second time");
    }
    assert!(vectors.len() >= 30, "{}", vectors.len());
}

/// A non-streaming response and a stream with this finish reason.
fn ended(format: &str, reason: &str, stop: Option<&str>) -> [String; 2] {
    match format {
        "openai" => {
            let usage = json!({"prompt_tokens": 1, "completion_tokens": 1});
            let body = |content: &str| {
                let choice = json!({"index": 0, content: {"content": "x"}, "finish_reason": reason, "stop_reason": stop});
                json!({"choices": [choice], "usage": usage})
            };
            [body("message").to_string(), format!("data: {}\n\n", body("delta"))]
        }
        "anthropic" => {
            let usage = json!({"input_tokens": 1, "output_tokens": 1});
            let end = json!({"stop_reason": reason, "stop_sequence": stop});
            let mut whole =
                json!({"type": "message", "content": [{"type": "text", "text": "x"}], "usage": usage});
            whole.as_object_mut().expect("an object").extend(end.as_object().expect("an object").clone());
            let stream =
                json!([{"type": "message_delta", "delta": end, "usage": usage}, {"type": "message_stop"}]);
            [whole.to_string(), encode(Api::Anthropic, &stream)]
        }
        _ => {
            let usage = json!({"inputTokens": 1, "outputTokens": 1, "totalTokens": 2});
            let fields = stop.map(|stop| json!({"stop_sequence": stop}));
            let end = json!({"stopReason": reason, "additionalModelResponseFields": fields});
            let mut whole = json!({"output": {"message": {"content": [{"text": "x"}]}}, "usage": usage});
            whole.as_object_mut().expect("an object").extend(end.as_object().expect("an object").clone());
            [
                whole.to_string(),
                format!("{}\n{}\n", json!({"messageStop": end}), json!({"metadata": {"usage": usage}})),
            ]
        }
    }
}

/// The finish reason in a record.
fn reason_of(record: &Value) -> Option<&str> {
    let pointers = [
        "/choices/0/finish_reason",
        "/stop_reason",
        "/delta/stop_reason",
        "/stopReason",
        "/status",
        "/response/status",
        "/messageStop/stopReason",
        "/details/finish_reason",
    ];
    let found = pointers.iter().find_map(|pointer| record.pointer(pointer)?.as_str());
    found.filter(|reason| *reason != "in_progress")
}

/// Every finish reason of each format in the others, in both kinds of response, and whether information is lost.
#[test]
fn finish_reasons() {
    let vectors = common::read_json(&common::testdata("reasons.json"));
    let vectors = vectors.as_array().expect("a list");
    for vector in vectors {
        let name = common::name_of(vector);
        let text = |member: &str| vector[member].as_str();
        let bodies = ended(text("from").expect("a format"), text("reason").expect("a reason"), text("stop"));
        for (to, expected) in vector["to"].as_object().expect("formats") {
            let target = common::target(to);
            let is_less = vector["approximated"].as_array().expect("formats").contains(&json!(to));
            for (body, is_whole) in bodies.iter().zip([true, false]) {
                let (records, losses) = if is_whole {
                    let (written, losses) = rewrite(target, body);
                    (vec![written], losses)
                } else {
                    let (out, losses, ending) = common::transcode(target, ResponseOptions::new(), body);
                    assert_eq!(ending, Ok(()), "{name} to {to}");
                    (common::records(target, &out), losses)
                };
                let found = records.iter().find_map(reason_of);
                assert_eq!(found, expected.as_str(), "{name} to {to}, whole: {is_whole}: {records:?}");
                let said = losses.iter().any(|loss| loss.contains("eason: approximated"));
                assert_eq!(said, is_less, "{name} to {to}, whole: {is_whole}: {losses:?}");
            }
        }
    }
    assert!(vectors.len() >= 25, "{}", vectors.len());
}
