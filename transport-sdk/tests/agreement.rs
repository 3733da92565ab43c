//! Both transports return the same events and the same ending for the same script.

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::StreamExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use sagewire_codec::model::Event;
use sagewire_codec::stream::Error as StreamError;
use sagewire_codec::{DecodeErrorKind, Layer};
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY, Script};
use sagewire_transport::{Error, Request, Retry, Transport};
use serde_json::{Value, json};

/// How a stream ended, as far as both transports know.
#[derive(Debug, PartialEq)]
enum Ending {
    Complete,
    /// The offset of an exception is that of its frame, or the number of payload bytes before it.
    Decode(Layer, DecodeErrorKind, Option<u64>),
    BrokenOff,
    Refused(String),
}

impl Ending {
    fn name(&self) -> &'static str {
        match self {
            Self::Complete => "Complete",
            Self::Decode(_, DecodeErrorKind::Failure(_), _) => "Failure",
            Self::Decode(_, DecodeErrorKind::Truncated { .. }, _) => "Truncated",
            Self::Decode(..) => "Corrupt",
            Self::BrokenOff => "BrokenOff",
            Self::Refused(_) => "Refused",
        }
    }
}

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        match error.is_broken_off() {
            true => Self::BrokenOff,
            false => Self::Refused(format!("{error} {:?} {:?}", error.service(), error.retry_after())),
        }
    }
}

impl From<StreamError<Error>> for Ending {
    fn from(error: StreamError<Error>) -> Self {
        match error {
            StreamError::Transport(error) => error.into(),
            StreamError::Decode(error) => {
                let is_exception = error.layer() == Layer::SageMaker && error.is_model_failure();
                let offset = (!is_exception).then_some(error.offset());
                Self::Decode(error.layer(), error.kind().clone(), offset)
            }
        }
    }
}

async fn read(transport: impl Transport) -> (Vec<Event<'static>>, Ending) {
    let request = Request::new("my-llm", r#"{"messages": [], "stream": true}"#);
    let mut stream = match transport.invoke_stream(request).await {
        Ok(stream) => stream.events(),
        Err(error) => return (Vec::new(), error.into()),
    };
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => return (events, error.into()),
        }
    }
    (events, Ending::Complete)
}

/// Each transport has its own emulator, so that the request IDs are the same.
async fn emulator(rule: &Value) -> Emulator {
    let script: Script = json!({"rules": [rule]}).to_string().parse().expect("a script");
    Emulator::builder().script(script).start().await.expect("a port")
}

async fn both(rule: &Value) -> [(Vec<Event<'static>>, Ending); 2] {
    let (first, second) = (emulator(rule).await, emulator(rule).await);
    let keys =
        sagewire_transport_reqwest::Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test");
    let reqwest = sagewire_transport_reqwest::Client::builder()
        .region("us-east-1")
        .credentials(keys)
        .endpoint_url(first.url())
        .retry(Retry::never())
        .build()
        .expect("complete");
    let sdk = sagewire_transport_sdk::Client::builder(common::sdk(&second)).retry(Retry::never()).build();
    [read(reqwest).await, read(sdk).await]
}

/// A record of an OpenAI stream, or invalid bytes.
fn record() -> impl Strategy<Value = String> {
    let delta = |text: String| json!({"id": "x", "choices": [{"index": 0, "delta": {"content": text}}]});
    prop_oneof![
        8 => "[a-zé😀\"\\\\\n ]{0,12}".prop_map(move |text| format!("data: {}\n\n", delta(text))),
        1 => Just(": comment\n\n".to_owned()),
        1 => Just("data: {\"choices\": [\n\n".to_owned()),
        1 => Just(
            "data: {\"error\":{\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}}\n\n".to_owned()
        ),
        1 => Just(
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned()
        ),
    ]
}

fn body() -> impl Strategy<Value = String> {
    let end = prop_oneof![3 => Just("data: [DONE]\n\n"), 1 => Just("data: [DO"), 1 => Just("")];
    (prop::collection::vec(record(), 0..8), end).prop_map(|(records, end)| records.concat() + end)
}

fn random() -> impl Strategy<Value = Value> {
    (any::<u32>(), 1..80).prop_map(|(seed, max)| json!({"random": {"seed": seed, "min": 1, "max": max}}))
}

fn fault() -> impl Strategy<Value = Value> {
    let code = prop_oneof![Just(json!("StreamBroken")), Just(json!("ModelInvocationTimeExceeded"))];
    let name = prop_oneof![
        Just("ModelStreamError"),
        Just("InternalStreamFailure"),
        Just("ThrottlingException"),
        Just("SomethingNew")
    ];
    prop_oneof![
        3 => Just(Value::Null),
        3 => (name, prop::option::of(code), "[a-z\"é\n]{0,9}").prop_map(|(name, code, message)| {
            let mut exception = json!({"type": name, "message": message});
            if let Some(code) = code {
                exception["code"] = code;
            }
            json!({"exception": exception})
        }),
        1 => Just(json!({"error": {"code": "500", "message": "m"}})),
        1 => Just(json!({"truncated_frame": true})),
        2 => Just(json!({"corrupt_byte": true})),
        1 => Just(json!({"hang_up": true})),
        1 => Just(json!({"reset": true})),
    ]
}

fn rule() -> impl Strategy<Value = Value> {
    let cut = prop_oneof![
        Just(json!("events")),
        Just(json!("whole")),
        Just(json!("bytes")),
        Just(json!("characters")),
        random()
    ];
    let chunks = prop_oneof![Just(json!("frames")), Just(json!("whole")), Just(json!("bytes")), random()];
    (body(), cut, chunks, fault(), any::<prop::sample::Index>()).prop_map(
        |(body, cut, chunks, mut fault, after)| {
            let mut rule = json!({"cut": cut, "chunks": chunks, "content_type": "text/event-stream"});
            if fault.is_object() {
                fault["after"] = json!(after.index(body.len() + 1));
                rule["fault"] = fault;
            }
            rule["body"] = json!(body);
            rule
        },
    )
}

#[test]
fn every_script_gives_the_same_events_and_the_same_ending() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = Config { cases: 256, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let endings = RefCell::new(BTreeMap::<_, u32>::new());
    let run = TestRunner::new_with_rng(config, rng).run(&rule(), |rule| {
        let [reqwest, sdk] = runtime.block_on(both(&rule));
        // A reset discards data that is in flight.
        if rule["fault"]["reset"].is_null() {
            prop_assert_eq!(&reqwest.0, &sdk.0);
        }
        prop_assert_eq!(&reqwest.1, &sdk.1);
        *endings.borrow_mut().entry(sdk.1.name()).or_default() += 1;
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    let endings = endings.into_inner();
    println!("{endings:?}");
    for ending in ["Complete", "Failure", "Truncated", "Corrupt", "BrokenOff"] {
        assert!(endings.contains_key(ending), "no stream ended so: {ending}");
    }
}

#[tokio::test]
async fn every_service_error_is_the_same() {
    for rule in [
        json!({"status": 400, "message": "no"}),
        json!({"status": 400, "error_type": "ThrottlingException", "message": "Rate exceeded"}),
        json!({"status": 403}),
        json!({"status": 404, "body": "<html>"}),
        json!({"status": 424, "original_status": 503, "body": "{\"error\":\"loading\"}"}),
        json!({"status": 429, "retry_after": 7}),
        json!({"status": 500, "error_type": "InternalStreamFailure"}),
        json!({"status": 503, "headers": {"content-type": "text/html"}, "body": "<html>"}),
        json!({"status": 530}),
        json!({"status": 204}),
        json!({"status": 307, "headers": {"location": "http://elsewhere.invalid/"}}),
        json!({"body": "a\n", "headers": {"content-type": "text/html"}}),
    ] {
        let [reqwest, sdk] = both(&rule).await;
        assert!(matches!(&sdk.1, Ending::Refused(_)), "{rule}: {sdk:?}");
        assert_eq!(reqwest, sdk, "{rule}");
    }
}
