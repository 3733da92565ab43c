//! Containers that take their time, and that have a limited number of slots.

use std::time::{Duration, Instant};

use crate::client::Request;
use sagewire_emulator::{Emulator, Pace};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

const STREAMED_CHAT: &str = r#"{"messages": [{"role": "user", "content": "one two three"}], "stream": true}"#;
const CHAT: &str = r#"{"messages": [{"role": "user", "content": "one two three"}]}"#;

#[tokio::test]
async fn a_paced_response_has_the_bytes_of_a_fast_one() {
    let fast = Emulator::builder().start().await.unwrap();
    let pace =
        Pace::new().time_to_first_token(Duration::from_millis(40)).tokens_per_second(200.0).jitter(0.5);
    let paced = Emulator::builder().pace(pace).start().await.unwrap();
    for request in [Request::stream("e", STREAMED_CHAT), Request::stream("e", CHAT)] {
        let expected = request.clone().send(&fast).await;
        let started = Instant::now();
        let reply = request.send(&paced).await;
        // A lower bound only: a busy machine may be slow. With its jitter the first token comes after 20 ms or more.
        assert!(started.elapsed() >= Duration::from_millis(20), "{:?}", started.elapsed());
        assert_eq!((reply.status, reply.whole), (200, true));
        assert_eq!(reply.parts(), expected.parts());
        assert_eq!(reply.header("content-type"), expected.header("content-type"));
    }
    // One frame for each event, as a container sends them.
    let reply = Request::stream("e", STREAMED_CHAT).send(&paced).await;
    let events = String::from_utf8(reply.parts()).unwrap().matches("\n\n").count();
    assert_eq!(reply.frames().0.len(), events);
    // Without frames too.
    let (one, other) = (Request::openai("e", STREAMED_CHAT), Request::unary("e", CHAT));
    for request in [one, other] {
        assert_eq!(request.clone().send(&paced).await.text(), request.send(&fast).await.text());
    }
}

/// A response that a script stalls holds its slot until its client leaves.
#[tokio::test]
async fn requests_beyond_the_slots_are_throttled() {
    for (status, error_type, message) in [
        (429, "ThrottlingException", "Rate exceeded"),
        (503, "ServiceUnavailable", "Service is temporarily unavailable"),
    ] {
        let script = json!({"rules": [
            {"endpoint": "e", "fault": {"stall": true, "after": 500}, "pace": {"slots": 2, "overload_status": status}},
            {"endpoint": "free"},
        ]});
        let script = script.to_string().parse().unwrap();
        let emulator = Emulator::builder().script(script).start().await.unwrap();
        let open = async || {
            let mut socket = Request::stream("e", STREAMED_CHAT).connect(&emulator).await;
            let mut first = [0; 64];
            socket.read_exact(&mut first).await.unwrap();
            assert!(first.starts_with(b"HTTP/1.1 200"));
            socket
        };
        let (first, _second) = (open().await, open().await);
        for request in
            [Request::stream("e", STREAMED_CHAT), Request::unary("e", CHAT), Request::openai("e", CHAT)]
        {
            let reply = request.send(&emulator).await;
            assert_eq!((reply.status, reply.header("x-amzn-errortype")), (status, Some(error_type)));
            assert_eq!(serde_json::from_str::<Value>(&reply.text()).unwrap()["Message"], message);
        }
        assert_eq!(Request::unary("free", CHAT).send(&emulator).await.status, 200);
        drop(first);
        // The emulator notices it in its own time; refused requests change nothing.
        let another = async {
            while Request::stream("e", STREAMED_CHAT).send(&emulator).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), another).await.unwrap();
    }
}

#[tokio::test]
async fn as_many_requests_as_fit_are_served() {
    let pace = Pace::new().time_to_first_token(Duration::from_millis(300)).slots(2).queue(3);
    let emulator = Emulator::builder().pace(pace).start().await.unwrap();
    let status = async || {
        let mut reply = String::new();
        Request::unary("e", CHAT).connect(&emulator).await.read_to_string(&mut reply).await.unwrap();
        reply.split(' ').nth(1).unwrap().to_owned()
    };
    let statuses = futures_util::future::join_all((0..9).map(|_| status())).await;
    let count = |status| statuses.iter().filter(|found| *found == status).count();
    assert_eq!((count("200"), count("429")), (5, 4));
    // All slots are free again.
    assert_eq!(Request::unary("e", CHAT).send(&emulator).await.status, 200);
}

#[tokio::test]
async fn a_pace_out_of_range_is_refused() {
    let error = Emulator::builder().pace(Pace::new().jitter(2.0)).start().await.unwrap_err();
    assert_eq!(error.to_string(), "jitter must be from 0 to 1");
}
