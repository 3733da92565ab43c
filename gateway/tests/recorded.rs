//! Recorded streams of real servers through every door: what comes out is what the codec alone makes of them, and it ends in the
//! same way. With faults of the service in between, it never looks complete.

mod common;

use std::path::Path;

use base64::Engine;
use bytes::Bytes;
use common::{gateway, model, post};
use sagewire_codec::model::{Content, Event, Response, ResponseOptions};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Transcoder};
use sagewire_emulator::ContainerFormat;
use serde_json::{Value, json};

const DOORS: [(&str, &str, Api); 5] = [
    (
        "/v1/chat/completions",
        r#"{"model":"e","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true}}"#,
        Api::OpenAi,
    ),
    (
        "/v1/messages",
        r#"{"model":"e","max_tokens":9,"messages":[{"role":"user","content":"x"}],"stream":true}"#,
        Api::Anthropic,
    ),
    ("/model/e/converse-stream", r#"{"messages":[{"role":"user","content":[{"text":"x"}]}]}"#, Api::Converse),
    ("/v1/responses", r#"{"model":"e","input":"x","stream":true}"#, Api::Responses),
    (
        "/model/e/invoke-with-response-stream",
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
        Api::Anthropic,
    ),
];

/// How a stream has ended, in words that do not depend on the API.
fn verdict(end: &Result<(), DecodeError>) -> &'static str {
    match end {
        Ok(()) => "complete",
        Err(_) => "not complete",
    }
}

fn read(api: Api, body: Bytes) -> (Response, Result<(), DecodeError>) {
    let mut response = Response::default();
    let mut decoder = Decoder::with_options(Options::new().api(api));
    let mut take = |event: Event<'_>| response.add(&event);
    let fed = decoder.feed(body, &mut take);
    let end = fed.and_then(|()| decoder.end(&mut take));
    // These are of the proxy.
    (response.id, response.model, response.created) = (None, None, None);
    for part in response.choices.iter_mut().flat_map(|choice| &mut choice.content) {
        if let Content::ToolCall { id, .. } = &mut part.content {
            *id = None;
        }
    }
    response.others.clear();
    (response, end)
}

/// What the codec alone makes of a recording.
fn alone(api: Api, recording: &[u8]) -> (Response, &'static str) {
    let options = ResponseOptions::new().id("x").model("e");
    let mut transcoder = Transcoder::new(Options::new(), api, options).expect("it is written");
    let (mut chunk, mut out) = (Bytes::copy_from_slice(recording), Vec::new());
    let mut end = Ok(());
    loop {
        match transcoder.decode(&mut chunk) {
            Ok(Some(piece)) => out.extend_from_slice(piece),
            Ok(None) => break,
            Err(error) => {
                end = Err(error);
                break;
            }
        }
    }
    while end.is_ok() {
        match transcoder.finish() {
            Ok(Some(piece)) => out.extend_from_slice(piece),
            Ok(None) => break,
            Err(error) => end = Err(error),
        }
    }
    let (response, read) = read(api, out.into());
    assert_eq!(end.is_ok(), read.is_ok(), "{api}: the codec itself");
    (response, verdict(&read))
}

fn script(recording: &[u8], cut: &Value, fault: Option<&Value>) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(recording);
    let mut rule = json!({"content_type": "text/event-stream", "body_base64": body, "cut": cut});
    if let Some(fault) = fault {
        rule["fault"] = fault.clone();
    }
    json!({ "rules": [rule] }).to_string()
}

#[tokio::test]
async fn fault_48_recorded_streams_through_every_door() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/testdata/recorded");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the recordings") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "sse") {
            continue;
        }
        let (name, recording) =
            (path.file_name().expect("a name").to_string_lossy(), std::fs::read(&path).expect("a file"));
        for cut in [json!("events"), json!({"random": {"seed": 7, "min": 1, "max": 97}})] {
            let emulator =
                common::emulator(ContainerFormat::default(), &script(&recording, &cut, None)).await;
            let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
            for (path, request, api) in DOORS {
                let reply = post(&gateway, path, request).await;
                let (expected, ending) = alone(api, &recording);
                if reply.status != 200 {
                    assert_eq!(ending, "not complete", "{name} through {path}: {}", reply.text());
                    continue;
                }
                let (found, end) = read(api, reply.body.clone());
                assert_eq!(verdict(&end), ending, "{name} through {path}: {end:?}: {}", reply.text());
                assert_eq!(found, expected, "{name} through {path}, {cut}");
                count += 1;
            }
        }
        let middle = recording.len() / 2;
        for fault in [
            json!({"exception": {"type": "ModelStreamError", "message": "no"}, "after": middle}),
            json!({"error": {"code": "500", "message": "no"}, "after": middle}),
            json!({"truncated_frame": true, "after": middle}),
            json!({"corrupt_byte": true, "after": middle}),
            json!({"reset": true, "after": middle}),
            json!({"hang_up": true, "after": middle}),
        ] {
            let script = script(&recording, &json!("events"), Some(&fault));
            let emulator = common::emulator(ContainerFormat::default(), &script).await;
            let gateway = gateway(vec![model(&emulator, "e", Api::OpenAi)]).await;
            for (path, request, api) in DOORS {
                let reply = post(&gateway, path, request).await;
                // An `[DONE]` or its like before the fault makes a stream complete.
                let is_whole_before = alone(api, &recording[..middle]).1 == "complete";
                if reply.status == 200 && !is_whole_before {
                    let end = read(api, reply.body.clone()).1;
                    assert!(end.is_err(), "{name} through {path}, {fault}: {}", reply.text());
                }
            }
        }
    }
    assert!(count > 100, "{count} streams were compared");
}
