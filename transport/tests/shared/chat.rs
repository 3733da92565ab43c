//! From a signed request to chat events, over the wire, with all kinds of faults.

use futures_util::StreamExt;
use sagewire_codec::model::{Event, ResponseOptions};
use sagewire_codec::stream::Error as StreamError;
use sagewire_codec::{Api, eventstream};
use sagewire_emulator::Emulator;
use sagewire_transport::{Error, Request, ResponseStream};
use serde_json::{Value, json};

use crate::common::{CHAT, Setup, client, scripted};

/// Three words, two of them with multi-byte characters, and the end.
fn body() -> String {
    let chunk = |delta: Value, finish: Value| {
        format!(
            "data: {}\n\n",
            json!({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        )
    };
    [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "one "}), Value::Null),
        chunk(json!({"content": "zwölf "}), Value::Null),
        chunk(json!({"content": "😀"}), Value::Null),
        chunk(json!({}), json!("stop")),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}

async fn reply(rule: &Value) -> (Emulator, ResponseStream) {
    let emulator = scripted(rule.clone()).await;
    let client = client(&Setup::new(&emulator));
    let stream = client.invoke_stream(Request::new("my-llm", CHAT)).await.expect("a response");
    (emulator, stream)
}

/// The text, and the error that it ended with.
async fn read(rule: Value) -> (String, Option<StreamError<Error>>) {
    let (_emulator, stream) = reply(&rule).await;
    let mut events = stream.events();
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::TextDelta { text: delta, .. }) => text.push_str(&delta),
            Ok(_) => {}
            Err(error) => {
                assert!(events.next().await.is_none(), "an error is the end");
                return (text, Some(error));
            }
        }
    }
    (text, None)
}

#[tokio::test]
async fn every_split_gives_the_same_text() {
    let cuts = ["whole", "events", "bytes", "characters"].map(|cut| json!(cut)).into_iter();
    let random = (0..4).map(|seed| json!({"random": {"seed": seed, "min": 1, "max": 40}}));
    for cut in cuts.chain(random) {
        for chunks in [
            json!("whole"),
            json!("frames"),
            json!("bytes"),
            json!({"random": {"seed": 1, "min": 1, "max": 99}}),
        ] {
            let (text, error) = read(json!({"body": body(), "cut": cut, "chunks": chunks})).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(text, "one zwölf 😀", "{cut} {chunks}");
        }
    }
}

/// Checks an error.
type Expected = fn(&StreamError<Error>) -> bool;

/// Each fault comes after the first word of the body; its error is checked.
#[tokio::test]
async fn faults_come_after_the_text_before_them() {
    let body = body();
    let after = body.find("zwölf").expect("the second word");
    let faults: [(Value, Expected); 6] = [
        (
            json!({"exception": {"type": "ModelStreamError", "code": "StreamBroken", "message": "m"}, "after": after}),
            |error| matches!(error, StreamError::Decode(error) if error.failure().is_some_and(|f| f.is_retryable())),
        ),
        (
            json!({"error": {"code": "InternalFailure", "message": "m"}, "after": after}),
            |error| matches!(error, StreamError::Decode(error) if error.is_model_failure()),
        ),
        (
            json!({"truncated_frame": true, "after": after}),
            |error| matches!(error, StreamError::Decode(error) if error.is_truncated()),
        ),
        (
            json!({"corrupt_byte": true, "after": after}),
            |error| matches!(error, StreamError::Decode(error) if error.is_corrupt()),
        ),
        (
            json!({"reset": true, "after": after}),
            |error| matches!(error, StreamError::Transport(error) if error.is_broken_off()),
        ),
        (
            json!({"hang_up": true, "after": after}),
            |error| matches!(error, StreamError::Transport(error) if error.is_broken_off()),
        ),
    ];
    for (fault, expected) in faults {
        let (text, error) = read(json!({"body": body, "cut": "events", "fault": fault})).await;
        let error = error.expect("a fault is no success");
        assert!(expected(&error), "{fault}: {error:?}");
        assert_eq!(text, "one ", "{fault}");
    }
}

#[tokio::test]
async fn a_response_is_converted_to_converse_stream() {
    let (_emulator, stream) = reply(&json!({"body": body(), "cut": "bytes"})).await;
    let mut out = stream.transcoded(Api::Converse, ResponseOptions::new()).expect("it is written");
    let mut decoder = eventstream::Decoder::new();
    let (mut names, mut text) = (Vec::new(), String::new());
    while let Some(bytes) = out.next().await {
        let mut chunk = bytes.expect("complete");
        while let Some(frame) = decoder.decode(&mut chunk).expect("our own frames") {
            names.push(
                frame.headers().get(":event-type").and_then(|name| name.as_str()).unwrap_or("").to_owned(),
            );
            let event: Value = serde_json::from_slice(frame.payload()).expect("JSON");
            text.push_str(event["delta"]["text"].as_str().unwrap_or(""));
        }
    }
    decoder.finish().expect("whole frames");
    assert_eq!(text, "one zwölf 😀");
    assert_eq!(
        names,
        [
            "messageStart",
            "contentBlockDelta",
            "contentBlockDelta",
            "contentBlockDelta",
            "contentBlockStop",
            "messageStop"
        ]
    );
}
