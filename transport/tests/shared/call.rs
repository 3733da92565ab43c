//! R14: calls that are dropped at an await, independent of the HTTP version.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sagewire_codec::model::{self, ResponseOptions};
use sagewire_codec::{Api, read_request};
use sagewire_transport::{AsyncRequest, Chat, Error, Input, Request, Retry, Transcoded};
use serde_json::json;
use tokio::runtime::Handle;

use crate::common::{CHAT, Client, Setup};
use crate::reply::{JSON, Reply, part, words};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Invoke,
    Stream,
    Async,
    Chat,
    Complete,
    Transcoded,
    /// The first attempt is refused.
    AfterRefusal,
    /// The first stream ends before its first event.
    AfterSilence,
}

pub(crate) const CALLS: [Call; 8] = [
    Call::Invoke,
    Call::Stream,
    Call::Async,
    Call::Chat,
    Call::Complete,
    Call::Transcoded,
    Call::AfterRefusal,
    Call::AfterSilence,
];

impl Call {
    pub(crate) fn replies(self) -> Vec<Reply> {
        let whole = |status, body: &str| Reply::whole(status, &[JSON], body.to_owned());
        let stream = words(&["one ", "zwölf ", "😀"]);
        let message = json!({"role": "assistant", "content": "one"});
        let reply = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        match self {
            Self::Invoke | Self::Complete => vec![whole(200, &reply.to_string())],
            Self::Async => vec![whole(202, r#"{"InferenceId":"i"}"#)],
            Self::Stream | Self::Chat | Self::Transcoded => vec![stream],
            Self::AfterRefusal => vec![whole(503, "{}"), stream],
            Self::AfterSilence => vec![Reply::Stream(vec![part("one")[..20].to_vec()]), stream],
        }
    }

    /// Makes the call, and appends what it receives to `received`.
    pub(crate) async fn run(self, transport: Client, received: &RefCell<String>) -> Result<(), Error> {
        let receive = |text: &str| received.borrow_mut().push_str(text);
        let request = || Request::new("e", CHAT);
        match self {
            Self::Invoke => receive(&String::from_utf8_lossy(&transport.invoke(request()).await?.body)),
            Self::Async => {
                let request = AsyncRequest::new("e", Input::Inline(Bytes::from_static(b"{}")));
                receive(&transport.invoke_async(request).await?.inference_id.unwrap_or_default());
            }
            Self::Stream | Self::AfterRefusal | Self::AfterSilence => {
                let mut stream = transport.invoke_stream(request()).await?;
                while let Some(chunk) = stream.chunk().await? {
                    receive(&chunk.iter().map(|byte| char::from(*byte)).collect::<String>());
                }
            }
            Self::Chat => {
                let mut stream = Chat::new(transport, "e").stream(&chat_request()).await?;
                while let Some(event) = stream.event().await? {
                    receive(&format!("{event:?}"));
                }
            }
            Self::Complete => {
                receive(&format!("{:?}", Chat::new(transport, "e").complete(&chat_request()).await?));
            }
            Self::Transcoded => {
                let chat = Chat::new(transport, "e");
                let options = ResponseOptions::new();
                let response = chat.transcode(Api::OpenAi, CHAT.as_bytes(), Api::Anthropic, options).await?;
                let Transcoded::Stream(mut stream) = response else { panic!("a stream was requested") };
                while let Some(bytes) = stream.chunk().await? {
                    receive(&String::from_utf8_lossy(&bytes));
                }
            }
        }
        Ok(())
    }
}

fn chat_request() -> model::Request<'static> {
    read_request(Api::OpenAi, CHAT.as_bytes()).expect("a request")
}

pub(crate) fn setup(url: String) -> Setup {
    Setup::at(url).bounds(|bounds| {
        bounds.retry = Retry::default();
        bounds.retry.initial_delay = Duration::from_millis(3);
    })
}

/// The value of the future, unless it is pending more than `times` times: then it is dropped.
async fn wait_often<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let (mut future, mut waited) = (pin!(future), 0);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if waited == times => Poll::Ready(None),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

/// Waits until a condition is true, for 10 seconds at most.
pub(crate) async fn soon(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "not true after 10 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until no more than `count` tasks are left.
pub(crate) async fn tasks_left(count: usize, how: &str) {
    soon(&format!("{count} tasks are left: {how}"), || {
        Handle::current().metrics().num_alive_tasks() == count
    })
    .await;
}

impl Call {
    /// Drops the call at its await number `times`. Returns false if it has fewer.
    pub(crate) async fn drop_at(self, times: usize, client: &Client, all: &str) -> bool {
        let received = RefCell::default();
        let result = wait_often(self.run(client.clone(), &received), times).await;
        let received = received.into_inner();
        if let Some(result) = &result {
            result.as_ref().expect("a response");
            assert_eq!(received, all, "{self:?}");
        }
        assert!(all.starts_with(&received), "{self:?}, dropped at its await {times}: {received}");
        result.is_none()
    }
}

/// Cancelling `chunk` and `event` at each await loses nothing. The server replies with streams.
///
/// Returns how many awaits were cancelled.
pub(crate) async fn cancelled_reads(client: Client) -> usize {
    let (chunks, events) = (RefCell::default(), RefCell::default());
    Call::Stream.run(client.clone(), &chunks).await.expect("a response");
    Call::Chat.run(client.clone(), &events).await.expect("a response");

    let (mut cancelled, mut received) = (0, String::new());
    let mut stream = client.invoke_stream(Request::new("e", CHAT)).await.expect("a stream");
    // Each poll creates a new future and drops it.
    while let Some(chunk) = poll_fn(|cx| {
        let poll = pin!(stream.chunk()).poll(cx);
        cancelled += usize::from(poll.is_pending());
        poll
    })
    .await
    .expect("a chunk")
    {
        received.extend(chunk.iter().map(|byte| char::from(*byte)));
    }
    assert_eq!(received, chunks.into_inner());

    received.clear();
    let mut stream = Chat::new(client, "e").stream(&chat_request()).await.expect("a stream");
    while let Some(event) = poll_fn(|cx| {
        let poll = pin!(stream.event()).poll(cx);
        cancelled += usize::from(poll.is_pending());
        poll
    })
    .await
    .expect("an event")
    {
        received.push_str(&format!("{event:?}"));
    }
    assert_eq!(received, events.into_inner());
    assert!(cancelled > 10, "{cancelled}");
    cancelled
}
