//! Non-streaming responses: read in one format, written in another.

use std::path::PathBuf;

use bytes::Bytes;
use sagewire_codec::model::{Losses, Response, ResponseOptions};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Transcoder, write_response};
use serde_json::{Value, json};

fn read(body: &str) -> Result<Response, DecodeError> {
    Response::read(body.to_owned(), Options::new())
}

/// The same event by event, which does not record positions in the body.
fn added(body: &str) -> Response {
    let mut response = Response::default();
    let mut decoder = Decoder::new();
    let mut chunk = Bytes::copy_from_slice(body.as_bytes());
    while let Some(event) = decoder.decode(&mut chunk).expect("good") {
        response.add(&event);
    }
    while let Some(event) = decoder.finish().expect("complete") {
        response.add(&event);
    }
    response
}

fn value((bytes, losses): (Vec<u8>, Losses)) -> (Value, Vec<String>) {
    let value = serde_json::from_slice(&bytes).expect("JSON");
    (value, losses.as_slice().iter().map(ToString::to_string).collect())
}

fn openai_body() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": "Let me see.", "reasoning_content": "Weather, then.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}},
                    {"id": "b", "type": "function", "function": {"name": "time", "arguments": "{}"}}
                ]
            },
            "finish_reason": "tool_calls"
        }],
        "usage": {
            "prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25,
            "prompt_tokens_details": {"cached_tokens": 12}
        }
    })
}

#[test]
fn openai_to_converse_and_back() {
    let response = read(&openai_body().to_string()).expect("complete");
    let (converse, losses) = value(
        write_response(Api::Converse, &response, &ResponseOptions::new().latency_ms(9))
            .expect("it is written"),
    );
    assert_eq!(losses, [""; 0]);
    assert_eq!(
        converse,
        json!({
            "output": {"message": {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "Weather, then."}}},
                {"text": "Let me see."},
                {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": "Oslo"}}},
                {"toolUse": {"toolUseId": "b", "name": "time", "input": {}}}
            ]}},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 8, "outputTokens": 5, "totalTokens": 25, "cacheReadInputTokens": 12},
            "metrics": {"latencyMs": 9}
        })
    );
    let back = read(&converse.to_string()).expect("complete");
    let context = ResponseOptions::new().id("chatcmpl-1").model("m").created(7);
    let (mut openai, losses) = value(write_response(Api::OpenAi, &back, &context).expect("it is written"));
    let metrics = openai.as_object_mut().expect("an object").remove("metrics");
    assert_eq!(metrics, Some(json!({"latencyMs": 9})), "what has no name here is kept");
    assert_eq!(openai, openai_body());
    assert_eq!(losses, [""; 0]);
}

/// Fields of other formats do not displace OpenAI's own fields, in streaming and in non-streaming responses. Of several fields
/// with the same name only one is kept.
#[test]
fn fields_of_other_formats_do_not_displace_fields() {
    let delta =
        |index: u32, delta: Value| json!({"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}});
    let lines = [
        json!({"messageStart": {"role": "assistant", "choices": [], "mood": 1}}),
        delta(0, json!({"text": "right", "picture": {"picture": 1}})),
        delta(0, json!({"content": "wrong"})),
        delta(1, json!({"text": "", "picture": {"picture": 2}})),
        json!({"messageStop": {"stopReason": "end_turn"}}),
    ];
    let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (written, losses) = value(
        write_response(Api::OpenAi, &read(&body).expect("complete"), &ResponseOptions::new().created(1))
            .expect("it is written"),
    );
    assert_eq!(
        written["choices"],
        json!([{"index": 0, "message": {"role": "assistant", "content": "right"}, "finish_reason": "stop", "picture": {"picture": 2}}])
    );
    assert_eq!(written["mood"], 1);
    assert_eq!(
        losses,
        [
            "other: dropped: those of earlier records: the format has one place",
            "other: dropped: in OpenAI's this name has a meaning of its own",
        ]
    );
    let mut transcoder =
        Transcoder::new(Options::new(), Api::OpenAi, ResponseOptions::new()).expect("it is written");
    let (mut chunk, mut stream) = (Bytes::from(body), Vec::new());
    while let Some(bytes) = transcoder.decode(&mut chunk).expect("good") {
        stream.extend_from_slice(bytes);
    }
    while let Some(bytes) = transcoder.finish().expect("complete") {
        stream.extend_from_slice(bytes);
    }
    let again = read(&String::from_utf8(stream).expect("UTF-8")).expect("complete");
    assert_eq!(again.choices[0].text(), "right");
    assert!(!transcoder.losses().is_empty());
}

#[test]
fn losses_are_reported() {
    let body = json!({"choices": [
        {"index": 0, "message": {"content": "a", "refusal": "no"}, "finish_reason": "stop",
         "logprobs": {"content": []}, "stop_reason": "END"},
        {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"}
    ]});
    let response = read(&body.to_string()).expect("complete");
    let (converse, losses) =
        value(write_response(Api::Converse, &response, &ResponseOptions::new()).expect("it is written"));
    assert_eq!(converse["stopReason"], "stop_sequence");
    assert_eq!(converse["additionalModelResponseFields"]["stop_sequence"], "END");
    assert_eq!(converse["output"]["message"]["content"], json!([{"text": "a"}, {"text": "no"}]));
    let whats: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
    let pointers = ["/choices/1", "/choices/0/logprobs", "/choices/0/message/refusal", "usage", "latency"];
    assert_eq!(whats, pointers);
    // A response that was built from events has no positions.
    let names = ["choice", "logprobs", "refusal", "usage", "latency"];
    let response = added(&body.to_string());
    let (_, losses) =
        write_response(Api::Converse, &response, &ResponseOptions::new()).expect("it is written");
    let whats: Vec<_> = losses.as_slice().iter().map(|loss| &*loss.path).collect();
    assert_eq!(whats, names);
    let found: Vec<_> = losses.as_slice().iter().filter_map(|loss| loss.name).collect();
    assert_eq!(found, names);
}

/// Each loss of a non-streaming response is reported with its position; if several share one, each kind is reported.
#[test]
fn losses_of_non_streaming_responses_have_positions() {
    let call = |id: Value, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "[]"}});
    let body = json!({"mood": 1, "usage": {"prompt_tokens": 1, "completion_tokens": 1,
        "completion_tokens_details": {"reasoning_tokens": 1}}, "choices": [
        {"finish_reason": "repetition", "index": 0, "message": {"content": "a",
            "tool_calls": [call(json!("a b"), "f"), call(Value::Null, "g h"), call(json!("c"), "i")]}},
        {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"},
        {"index": 2, "message": {}, "finish_reason": "stop"}
    ]});
    let response = read(&body.to_string()).expect("complete");
    let (_, losses) = value(
        write_response(Api::Converse, &response, &ResponseOptions::new().latency_ms(1))
            .expect("it is written"),
    );
    let object = "approximated: the target takes an object: it is a field of one";
    let id = "approximated: an ID of Converse has 1 to 64 letters, digits and few marks";
    let name = "approximated: a name in Converse has 1 to 64 letters, digits and few marks";
    let at = |index: u32, why: &str| format!("/choices/0/message/tool_calls/{index}: {why}");
    assert_eq!(
        losses,
        [
            "/choices/1: dropped: the target has only one choice",
            "/choices/2: dropped: the target has only one choice",
            "/mood: dropped: Converse has no place for a field of unknown meaning",
            &at(0, id),
            &at(0, object),
            &at(1, "defaulted: the call has no ID"),
            &at(1, name),
            &at(1, object),
            &at(2, object),
            "/choices/0/finish_reason: approximated: Converse does not know it: `end_turn`",
        ]
    );
}

/// A response that came in several records has no document to point into.
#[test]
fn losses_of_a_collected_stream_have_names() {
    let body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"n\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"o\"},\"finish_reason\":\"stop\"}]}\n\n";
    let response = read(body).expect("complete");
    let (_, losses) =
        write_response(Api::Anthropic, &response, &ResponseOptions::new()).expect("it is written");
    assert_eq!(losses.as_slice()[0].path, "refusal");
}

#[test]
fn samples_of_real_services() {
    let Some(shared) = std::env::var_os("SAGEWIRE_SHARED").map(PathBuf::from) else {
        println!("skipped: SAGEWIRE_SHARED is not set");
        return;
    };
    for (name, text, tools) in [
        ("openai-chat-response.json", true, 0),
        ("bedrock-converse-response-text.json", true, 0),
        ("bedrock-converse-response-reasoning.json", true, 0),
        ("tgi-chat-response-toolcall.json", false, 1),
    ] {
        let body = std::fs::read_to_string(shared.join("wire/samples").join(name)).expect(name);
        let response = read(&body).expect(name);
        let choice = &response.choices[0];
        assert_eq!(!choice.text().is_empty(), text, "{name}");
        assert_eq!(choice.tool_calls().count(), tools, "{name}");
        assert!(choice.finish.is_some(), "{name}");
    }
}

/// A non-streaming TGI response reports the same losses as a stream.
#[test]
fn losses_of_tgi_are_reported() {
    let body = json!({"type": "message", "role": "assistant", "content": [
        {"type": "text", "text": "a", "citations": [{"type": "char_location"}]}
    ], "stop_reason": "stop_sequence", "stop_sequence": "END",
        "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}});
    let response = read(&body.to_string()).expect("complete");
    let (tgi, losses) =
        value(write_response(Api::Tgi, &response, &ResponseOptions::new()).expect("it is written"));
    assert_eq!(
        (&tgi["generated_text"], &tgi["details"]["finish_reason"]),
        (&json!("a"), &json!("stop_sequence"))
    );
    let mut whats: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
    whats.sort_unstable();
    assert_eq!(whats, ["/content/0/citations/0", "/stop_reason", "/usage", "/usage"]);
}
