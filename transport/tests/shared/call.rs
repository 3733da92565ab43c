//! R14: calls that are dropped while they wait, whatever they go over.

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

use crate::answer::{Answer, JSON, part, words};
use crate::common::{CHAT, Client, Setup};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Invoke,
    Stream,
    Async,
    Chat,
    Complete,
    Transcoded,
    /// The first try is refused.
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
    pub(crate) fn answers(self) -> Vec<Answer> {
        let whole = |status, body: &str| Answer::whole(status, &[JSON], body.to_owned());
        let stream = words(&["one ", "zwölf ", "😀"]);
        let message = json!({"role": "assistant", "content": "one"});
        let answer = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        match self {
            Self::Invoke | Self::Complete => vec![whole(200, &answer.to_string())],
            Self::Async => vec![whole(202, r#"{"InferenceId":"i"}"#)],
            Self::Stream | Self::Chat | Self::Transcoded => vec![stream],
            Self::AfterRefusal => vec![whole(503, "{}"), stream],
            Self::AfterSilence => vec![Answer::Stream(vec![part("one")[..20].to_vec()]), stream],
        }
    }

    /// Calls, and tells what it hears as it hears it.
    pub(crate) async fn run(self, transport: Client, heard: &RefCell<String>) -> Result<(), Error> {
        let hear = |text: &str| heard.borrow_mut().push_str(text);
        let request = || Request::new("e", CHAT);
        match self {
            Self::Invoke => hear(&String::from_utf8_lossy(&transport.invoke(request()).await?.body)),
            Self::Async => {
                let request = AsyncRequest::new("e", Input::Inline(Bytes::from_static(b"{}")));
                hear(&transport.invoke_async(request).await?.inference_id.unwrap_or_default());
            }
            Self::Stream | Self::AfterRefusal | Self::AfterSilence => {
                let mut stream = transport.invoke_stream(request()).await?;
                while let Some(chunk) = stream.chunk().await? {
                    hear(&chunk.iter().map(|byte| char::from(*byte)).collect::<String>());
                }
            }
            Self::Chat => {
                let mut stream = Chat::new(transport, "e").stream(&question()).await?;
                while let Some(event) = stream.event().await? {
                    hear(&format!("{event:?}"));
                }
            }
            Self::Complete => {
                hear(&format!("{:?}", Chat::new(transport, "e").complete(&question()).await?));
            }
            Self::Transcoded => {
                let chat = Chat::new(transport, "e");
                let options = ResponseOptions::new();
                let response = chat.transcode(Api::OpenAi, CHAT.as_bytes(), Api::Anthropic, options).await?;
                let Transcoded::Stream(mut stream) = response else { panic!("a stream was requested") };
                while let Some(bytes) = stream.chunk().await? {
                    hear(&String::from_utf8_lossy(&bytes));
                }
            }
        }
        Ok(())
    }
}

fn question() -> model::Request<'static> {
    read_request(Api::OpenAi, CHAT.as_bytes()).expect("a request")
}

pub(crate) fn setup(url: String) -> Setup {
    Setup::at(url).bounds(|bounds| {
        bounds.retry = Retry::default();
        bounds.retry.initial_delay = Duration::from_millis(3);
    })
}

/// The future's value, unless it has to be waited for more often: then it is dropped.
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

/// Waits for what will be so soon.
pub(crate) async fn soon(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "not so after 10 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until only so many tasks are left.
pub(crate) async fn tasks_left(count: usize, how: &str) {
    soon(&format!("{count} tasks are left: {how}"), || {
        Handle::current().metrics().num_alive_tasks() == count
    })
    .await;
}

impl Call {
    /// Drops the call when it waits for the `times`th time. False: it does not wait so often.
    pub(crate) async fn drop_at(self, times: usize, client: &Client, all: &str) -> bool {
        let heard = RefCell::default();
        let result = wait_often(self.run(client.clone(), &heard), times).await;
        let heard = heard.into_inner();
        if let Some(result) = &result {
            result.as_ref().expect("an answer");
            assert_eq!(heard, all, "{self:?}");
        }
        assert!(all.starts_with(&heard), "{self:?}, dropped at its await {times}: {heard}");
        result.is_none()
    }
}

/// Asking again after each await that was given up brings everything. The server answers with streams.
///
/// How many were given up.
pub(crate) async fn ask_again(client: Client) -> usize {
    let (chunks, events) = (RefCell::default(), RefCell::default());
    Call::Stream.run(client.clone(), &chunks).await.expect("an answer");
    Call::Chat.run(client.clone(), &events).await.expect("an answer");

    let (mut given_up, mut heard) = (0, String::new());
    let mut stream = client.invoke_stream(Request::new("e", CHAT)).await.expect("a stream");
    // Each poll is that of a new future, and drops it.
    while let Some(chunk) = poll_fn(|cx| {
        let poll = pin!(stream.chunk()).poll(cx);
        given_up += usize::from(poll.is_pending());
        poll
    })
    .await
    .expect("a chunk")
    {
        heard.extend(chunk.iter().map(|byte| char::from(*byte)));
    }
    assert_eq!(heard, chunks.into_inner());

    heard.clear();
    let mut stream = Chat::new(client, "e").stream(&question()).await.expect("a stream");
    while let Some(event) = poll_fn(|cx| {
        let poll = pin!(stream.event()).poll(cx);
        given_up += usize::from(poll.is_pending());
        poll
    })
    .await
    .expect("an event")
    {
        heard.push_str(&format!("{event:?}"));
    }
    assert_eq!(heard, events.into_inner());
    assert!(given_up > 10, "{given_up}");
    given_up
}
