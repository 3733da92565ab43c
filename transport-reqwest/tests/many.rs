//! A thousand streams at once, in one process with the endpoint.

use std::time::Instant;

use futures_util::StreamExt;
use sagewire_codec::chat::Event;
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use sagewire_transport_reqwest::{Client, Credentials, Request};

const STREAMS: usize = 1000;
const CHAT: &str = r#"{"messages": [{"role": "user", "content": "hi"}], "stream": true}"#;

#[tokio::test]
async fn a_thousand_streams_at_once_are_all_whole() {
    // Both ends of each connection are in this process; many systems begin with 1,024 files.
    let files = rlimit::increase_nofile_limit(8 * STREAMS as u64).unwrap();
    assert!(files > 3 * STREAMS as u64, "only {files} files may be open here");
    let emulator = Emulator::builder().start().await.unwrap();
    let client = Client::builder()
        .region("us-east-1")
        .credentials(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test"))
        .endpoint_url(emulator.url())
        .build()
        .unwrap();
    let start = Instant::now();
    // All have begun before the first is read.
    let begin = (0..STREAMS).map(|_| client.invoke_stream(Request::new("my-llm", CHAT)));
    let begun = futures_util::future::join_all(begin).await;
    let read = begun.into_iter().map(|stream| async {
        let mut events = stream.unwrap().events();
        let (mut text, mut is_finished) = (String::new(), false);
        while let Some(event) = events.next().await {
            match event.unwrap() {
                Event::TextDelta { text: delta, .. } => text.push_str(&delta),
                Event::Finish { .. } => is_finished = true,
                _ => {}
            }
        }
        assert!(is_finished);
        text
    });
    let texts = futures_util::future::join_all(read).await;
    assert_eq!(texts.len(), STREAMS);
    assert!(!texts[0].is_empty() && texts.iter().all(|text| *text == texts[0]));
    assert_eq!(emulator.requests().len(), STREAMS);
    println!("{STREAMS} streams, all complete, in {:?}", start.elapsed());
}
