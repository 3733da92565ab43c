//! Streams in the frames of SageMaker and of Bedrock's InvokeModel: they are read as the streams in them, and fail as AWS's do.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sagewire_codec::model::{Frames, ResponseOptions};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Writer, eventstream};
use serde_json::{Value, json};

const APIS: [Api; 5] = [Api::OpenAi, Api::Completions, Api::Responses, Api::Anthropic, Api::Tgi];

/// Writes the events of `body` as a stream of an API.
fn write(body: &[u8], api: Api, frames: Frames) -> (Vec<u8>, Result<(), DecodeError>) {
    let options = ResponseOptions::new().id("r").model("m").created(1).frames(frames);
    let (mut writer, mut out) = (Writer::new(api, options).expect("it is written"), Vec::new());
    let mut decoder = Decoder::new();
    let ending = decoder.feed(Bytes::copy_from_slice(body), |event| writer.write(&event, &mut out));
    let ending = ending.and_then(|()| decoder.end(|event| writer.write(&event, &mut out)));
    writer.set_latency_ms(30);
    writer.set_first_event_ms(10);
    writer.finish(ending.as_ref().copied(), &mut out);
    (out, ending)
}

/// The headers and the payload of each frame.
fn frames(bytes: &[u8]) -> Vec<([String; 3], Vec<u8>)> {
    let (mut decoder, mut found) = (eventstream::Decoder::new(), Vec::new());
    let mut chunk = Bytes::copy_from_slice(bytes);
    while let Some(frame) = decoder.decode(&mut chunk).expect("frames") {
        let header = |name: &str| {
            let value = frame.headers().get(name);
            value.and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let kind = header(":event-type") + &header(":exception-type");
        found.push(([header(":message-type"), kind, header(":content-type")], frame.payload().to_vec()));
    }
    decoder.finish().expect("whole frames");
    found
}

/// The events of a stream, without the metrics that only Bedrock adds.
fn events(body: &[u8]) -> (Vec<Value>, Result<(), DecodeError>) {
    let (mut events, ending) = common::decode(Options::new(), vec![Bytes::copy_from_slice(body)]);
    events.retain(|event| event["name"] != "amazon-bedrock-invocationMetrics");
    (events, ending)
}

fn streams() -> Vec<(String, Vec<u8>)> {
    let mut streams = Vec::new();
    for file in ["streams.json", "anthropic.json", "responses.json", "cohere.json"] {
        let vectors = common::read_json(&common::testdata(file));
        let vectors = vectors.as_array().expect("a list");
        streams.extend(vectors.iter().map(|vector| (common::name_of(vector).into(), common::body(vector))));
    }
    streams
}

#[test]
fn streams_in_frames_are_read_as_without() {
    let (mut complete, mut failed) = (0, 0);
    for (name, body) in streams() {
        for api in APIS {
            let (plain, ending) = write(&body, api, Frames::None);
            for kind in [Frames::PayloadPart, Frames::Chunk] {
                let (framed, again) = write(&body, api, kind);
                assert_eq!(again, ending, "{name}");
                match &ending {
                    Ok(()) => {
                        assert_eq!(events(&framed), events(&plain), "{name} as {api} in {kind:?}");
                        complete += 1;
                    }
                    Err(_) => {
                        let (_, ending) = events(&framed);
                        assert!(ending.expect_err("a failure").failure().is_some(), "{name} as {api}");
                        let frames = frames(&framed);
                        assert_eq!(frames.last().expect("a frame").0[0], "exception", "{name} as {api}");
                        failed += 1;
                    }
                }
            }
        }
    }
    assert!(complete > 500 && failed > 100, "{complete} {failed}");
}

const TEXT: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
const END: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";

/// The records in the chunks of InvokeModelWithResponseStream.
fn chunks(framed: &[u8]) -> Vec<Value> {
    let chunk = |([message, kind, content], payload): ([String; 3], Vec<u8>)| {
        assert_eq!([&*message, &*kind, &*content], ["event", "chunk", "application/json"]);
        let payload: Value = serde_json::from_slice(&payload).expect("JSON");
        let bytes = STANDARD.decode(payload["bytes"].as_str().expect("Base64")).expect("Base64");
        serde_json::from_slice(&bytes).expect("each chunk is one JSON document")
    };
    frames(framed).into_iter().map(chunk).collect()
}

#[test]
fn invoke_model_has_one_event_in_each_chunk() {
    let body = [TEXT, END].concat();
    let records = chunks(&write(&body, Api::Anthropic, Frames::Chunk).0);
    let types: Vec<_> = records.iter().map(|record| record["type"].as_str().expect("a type")).collect();
    assert_eq!(
        types,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(
        records.last().expect("an end")["amazon-bedrock-invocationMetrics"],
        json!({
            "inputTokenCount": 5, "outputTokenCount": 2, "invocationLatency": 30, "firstByteLatency": 10,
            "cacheReadInputTokenCount": 4
        })
    );
    let records = chunks(&write(&body, Api::OpenAi, Frames::Chunk).0);
    assert_eq!(records[1]["choices"][0]["delta"]["content"], "hi");
    assert_eq!(records.last().expect("counts")["usage"]["prompt_tokens"], 9);
}

#[test]
fn failures_are_exceptions_of_the_service() {
    let error =
        b"data: {\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\",\"code\":500}}\n\n";
    let broken = [TEXT].concat();
    let failed = [TEXT, error].concat();
    let last = |body: &[u8], kind| {
        let (framed, _) = write(body, Api::OpenAi, kind);
        let mut frames = frames(&framed);
        let ([message, kind, content], payload) = frames.pop().expect("a frame");
        assert_eq!([&*message, &*content], ["exception", "application/json"]);
        let rest = frames.into_iter().map(|(_, payload)| String::from_utf8(payload).expect("UTF-8"));
        let payload: Value = serde_json::from_slice(&payload).expect("JSON");
        (kind, payload, rest.collect::<Vec<_>>())
    };
    let (kind, payload, rest) = last(&broken, Frames::PayloadPart);
    assert_eq!((&*kind, &payload["ErrorCode"]), ("ModelStreamError", &json!("StreamBroken")));
    assert!(payload["Message"].as_str().expect("a message").contains("truncated"), "{payload}");
    assert!(!rest.concat().contains("error"), "{rest:?}");
    // The container's own error comes first, as the container writes it.
    let (kind, payload, rest) = last(&failed, Frames::PayloadPart);
    assert_eq!((&*kind, &payload["ErrorCode"]), ("ModelStreamError", &json!("StreamBroken")));
    assert!(rest.last().expect("the error").contains("\"message\":\"out of memory\""), "{rest:?}");
    let (kind, payload, rest) = last(&failed, Frames::Chunk);
    assert_eq!((&*kind, &payload["message"]), ("modelStreamErrorException", &json!("out of memory")));
    assert_eq!(payload["originalStatusCode"], 500);
    let has_error = |chunk: &String| {
        let payload: Value = serde_json::from_str(chunk).expect("JSON");
        STANDARD.decode(payload["bytes"].as_str().expect("Base64")).expect("Base64").starts_with(b"{\"error")
    };
    assert!(!rest.iter().any(has_error));
    // SageMaker's own exceptions stay what they are.
    let mut in_time = common::payload_part(TEXT);
    let exceeded = [("ModelInvocationTimeExceeded", "ModelStreamError"), ("", "InternalStreamFailure")];
    for (code, name) in exceeded {
        let body = json!({"Message": "slow", "ErrorCode": (!code.is_empty()).then_some(code)}).to_string();
        let headers = [
            (":exception-type", name),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ];
        let start = in_time.len();
        in_time.extend(common::frames::frame(&headers, body.as_bytes()));
        let (kind, payload, _) = last(&in_time, Frames::PayloadPart);
        assert_eq!((&*kind, &payload["Message"]), (name, &json!("slow")));
        assert_eq!(payload["ErrorCode"].as_str().unwrap_or_default(), code);
        in_time.truncate(start);
    }
}

#[test]
fn converse_has_frames_of_its_own() {
    let error = Writer::new(Api::Converse, ResponseOptions::new().frames(Frames::Chunk)).unwrap_err();
    assert!(error.to_string().contains("frames"), "{error}");
}
