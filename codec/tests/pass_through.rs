//! Records that are passed on in their own API: the same events, the same JSON, and no terminal record without a complete
//! response.

mod common;

use bytes::Bytes;
use sagewire_codec::model::{Frames, ResponseOptions};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Writer};
use serde_json::{Value, json};

/// Passes the records of chunks on; `None` if they are not those of the API.
fn pass(
    api: Api,
    options: ResponseOptions,
    chunks: Vec<Bytes>,
) -> Option<(Vec<u8>, Result<(), DecodeError>)> {
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    let mut writer = Writer::new(api, options).expect("it is written");
    decoder.keep_records();
    let (mut is_own, mut is_first) = (true, true);
    let mut take = |decoder: &mut Decoder, writer: &mut Writer| {
        decoder.take_records(|record, is_last| {
            is_own &= !std::mem::take(&mut is_first) || writer.can_pass(record);
            writer.write_record(record, is_last, &mut out);
        });
    };
    let mut ending = Ok(());
    'chunks: for mut chunk in chunks {
        loop {
            let decoded = decoder.decode(&mut chunk).map(|event| event.is_some());
            take(&mut decoder, &mut writer);
            match decoded {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    ending = Err(error);
                    break 'chunks;
                }
            }
        }
    }
    while ending.is_ok() {
        let decoded = decoder.finish().map(|event| event.is_some());
        take(&mut decoder, &mut writer);
        match decoded {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => ending = Err(error),
        }
    }
    writer.finish(ending.as_ref().copied(), &mut out);
    is_own.then_some((out, ending))
}

fn whole(body: &[u8]) -> Vec<Bytes> {
    vec![Bytes::copy_from_slice(body)]
}

/// The records in `data` lines.
fn records(out: &[u8]) -> Vec<Value> {
    common::records(Api::OpenAi, out)
}

#[test]
fn streams_are_passed_on_with_the_same_events() {
    let mut count = 0;
    let mut check = |name: &str, api: Api, body: &[u8]| {
        let Some((out, ending)) = pass(api, ResponseOptions::new(), whole(body)) else { return };
        let (events, source) = common::decode(Options::new(), whole(body));
        assert_eq!(ending, source, "{name}");
        let (again, written) = common::decode(Options::new(), whole(&out));
        let is_shown = |event: &&Value| event["type"] != "malformed";
        let shown = |events: &[Value]| events.iter().filter(is_shown).cloned().collect::<Vec<_>>();
        match &source {
            Ok(()) => assert_eq!(shown(&again), shown(&events), "{name}"),
            // A record that has an error is the error, whatever else it has.
            Err(_) => {
                assert!(common::texts(&events).starts_with(&common::texts(&again)), "{name}");
            }
        }
        assert_eq!(written.is_ok(), source.is_ok(), "{name}");
        let is_terminal = |line: &str| line == "data: [DONE]" || line == "event: message_stop";
        let is_complete = String::from_utf8_lossy(&out).lines().any(is_terminal);
        assert_eq!(is_complete, source.is_ok(), "{name}: {}", String::from_utf8_lossy(&out));
        for size in [1, 7, 64] {
            let chunks = body.chunks(size).map(Bytes::copy_from_slice).collect();
            let again = pass(api, ResponseOptions::new(), chunks).expect("the same API");
            assert_eq!(String::from_utf8_lossy(&again.0), String::from_utf8_lossy(&out), "{name}");
        }
        count += 1;
    };
    let golden = common::testdata("golden");
    for (name, api) in
        [("openai", Api::OpenAi), ("completions", Api::Completions), ("anthropic", Api::Anthropic)]
    {
        let body = std::fs::read(golden.join(format!("{name}.sse"))).expect("a stream");
        check(name, api, &body);
        let records = body.split_inclusive(|&byte| byte == b'\n').count();
        // Cut anywhere, it is not complete, and does not look as if it were.
        for len in (0..body.len()).step_by(body.len() / records.max(1) + 1) {
            check(name, api, &body[..len]);
        }
    }
    for (file, apis) in [
        ("streams.json", &[Api::OpenAi, Api::Completions][..]),
        ("anthropic.json", &[Api::Anthropic]),
        ("errors.json", &[Api::OpenAi, Api::Anthropic]),
    ] {
        for (name, vector) in common::vectors_with(file, "text") {
            for api in apis {
                check(&name, *api, vector["text"].as_str().expect("text").as_bytes());
            }
        }
    }
    assert!(count >= 60, "{count}");
}

fn chunk(rest: &Value) -> String {
    let mut chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"});
    chunk.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
    format!("data: {chunk}\n\n")
}

#[test]
fn unknown_fields_stay_and_counts_can_be_hidden() {
    let body = [
        chunk(
            &json!({"choices": [{"index": 0, "delta": {"content": "hi"}, "token_ids": [7]}], "usage": null}),
        ),
        chunk(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": 3}]})),
        chunk(&json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})),
        "data: [DONE]\n\n".into(),
    ]
    .concat();
    let (out, _) = pass(Api::OpenAi, ResponseOptions::new(), whole(body.as_bytes())).expect("own");
    assert_eq!(String::from_utf8_lossy(&out), body);
    let (out, _) =
        pass(Api::OpenAi, ResponseOptions::new().hide_usage(true), whole(body.as_bytes())).expect("own");
    let shown = records(&out);
    assert_eq!(
        (shown.len(), &shown[0]["choices"][0]["token_ids"], &shown[2]),
        (3, &json!([7]), &json!("[DONE]"))
    );
    // Continuous counts are in records that have more.
    let continuous = body.replace("\"usage\":null", "\"usage\":{\"prompt_tokens\":1}");
    let options = ResponseOptions::new().hide_usage(true);
    let (out, _) = pass(Api::OpenAi, options, whole(continuous.as_bytes())).expect("own");
    assert_eq!(records(&out).len(), 3);
}

#[test]
fn a_broken_response_ends_with_one_error() {
    let text = chunk(&json!({"choices": [{"index": 0, "delta": {"content": "hi"}}]}));
    let error = "data: {\"error\":{\"message\":\"boom\",\"type\":\"t\",\"code\":500}}\n\n";
    for (body, message) in [
        (text.clone() + "data: {\"choi", "truncated"),
        (text.clone() + "data: [DONE]\n\n", ""),
        (text.clone() + error + "data: [DONE]\n\n", "boom"),
        (text.clone(), "truncated"),
    ] {
        let (out, ending) = pass(Api::OpenAi, ResponseOptions::new(), whole(body.as_bytes())).expect("own");
        let shown = records(&out);
        assert_eq!(shown[0]["choices"][0]["delta"]["content"], "hi");
        if message.is_empty() {
            // The terminal record makes it complete.
            assert_eq!((ending, shown.len()), (Ok(()), 2));
            continue;
        }
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(shown[1]["error"]["message"].as_str().expect("a message").contains(message), "{shown:?}");
        let framed = ResponseOptions::new().frames(Frames::PayloadPart);
        let (framed, _) = pass(Api::OpenAi, framed, whole(body.as_bytes())).expect("own");
        let (_, ending) = common::decode(Options::new(), whole(&framed));
        assert!(ending.expect_err("a failure").failure().is_some());
    }
}

#[test]
fn other_shapes_are_not_passed_on() {
    let writer = |api, frames| Writer::new(api, ResponseOptions::new().frames(frames)).expect("a writer");
    let chat = br#"{"object":"chat.completion.chunk","choices":[]}"#;
    let completion = br#"{"object":"text_completion","choices":[]}"#;
    let message = br#"{"type":"message_start","message":{}}"#;
    for (api, record, is_own) in [
        (Api::OpenAi, &chat[..], true),
        (Api::OpenAi, completion, false),
        (Api::OpenAi, br#"{"choices":[{"delta":{"content":"hi"}}]}"#, false),
        (Api::Completions, completion, true),
        (Api::Completions, chat, false),
        (Api::Anthropic, message, true),
        (Api::Anthropic, chat, false),
        (Api::Responses, br#"{"type":"response.created"}"#, false),
        (Api::Tgi, br#"{"token":{"text":"hi"}}"#, false),
        (Api::OpenAi, b"\xff", false),
    ] {
        assert_eq!(writer(api, Frames::None).can_pass(record), is_own, "{api}");
        assert_eq!(writer(api, Frames::PayloadPart).can_pass(record), is_own, "{api}");
        assert!(!writer(api, Frames::Chunk).can_pass(record), "{api}");
    }
}
