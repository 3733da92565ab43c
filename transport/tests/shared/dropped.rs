//! R14: every call is dropped at every await. Its connection closes, no task is left behind, and what was read is what was
//! sent.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use sagewire_codec::chat::{self, Context, RequestFormat};
use sagewire_codec::format::read_request;
use sagewire_codec::{Target, stream::Error as StreamError};
use sagewire_transport::{AsyncRequest, Chat, Error, Input, Request, Retry};
use serde_json::json;
use tokio::runtime::Handle;

use crate::common::{CHAT, Client, Setup, client};
use crate::server::{Server, Step, chunk, last_chunk, part, stream_head, whole};

#[derive(Clone, Copy, Debug)]
enum Call {
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

const CALLS: [Call; 8] = [
    Call::Invoke,
    Call::Stream,
    Call::Async,
    Call::Chat,
    Call::Complete,
    Call::Transcoded,
    Call::AfterRefusal,
    Call::AfterSilence,
];

/// Bytes in pieces that arrive one by one.
fn pieces(bytes: &[u8], len: usize) -> Vec<Step> {
    let send =
        |piece: &[u8]| [Step::Pause(Duration::from_millis(3)), Step::Send(Bytes::copy_from_slice(piece))];
    bytes.chunks(len).flat_map(send).collect()
}

fn stream() -> Vec<Step> {
    let delta = |text: &str| json!({"id": "x", "choices": [{"index": 0, "delta": {"content": text}}]});
    let words = ["one ", "zwölf ", "😀"].map(|text| part(&format!("data: {}\n\n", delta(text))));
    let end = json!({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let end = part(&format!("data: {end}\n\ndata: [DONE]\n\n"));
    let mut steps = pieces(&stream_head(), 100);
    for frame in words.iter().chain([&end]) {
        steps.extend(pieces(&chunk(frame), 120));
    }
    steps.extend(pieces(&last_chunk(), 9));
    steps
}

impl Call {
    fn answers(self) -> Vec<Vec<Step>> {
        let json = "content-type: application/json\r\n";
        let message = json!({"role": "assistant", "content": "one"});
        let answer =
            json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string();
        match self {
            Self::Invoke | Self::Complete => vec![pieces(&whole(200, json, answer.as_bytes()), 40)],
            Self::Async => vec![pieces(&whole(202, json, br#"{"InferenceId":"i"}"#), 40)],
            Self::Stream | Self::Chat | Self::Transcoded => vec![stream()],
            Self::AfterRefusal => vec![pieces(&whole(503, json, b"{}"), 40), stream()],
            Self::AfterSilence => {
                let silent = [&stream_head()[..], &chunk(&part("one")[..20]), &last_chunk()].concat();
                vec![pieces(&silent, 100), stream()]
            }
        }
    }

    /// Calls, and tells what it hears as it hears it.
    async fn run(self, transport: Client, heard: &RefCell<String>) -> Result<(), Error> {
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
                let mut chat = Chat::new(transport, "e");
                let target = Target::Anthropic;
                let context = Context::new();
                let mut bytes =
                    chat.transcode(RequestFormat::OpenAi, CHAT.as_bytes(), target, context).await?;
                while let Some(bytes) = bytes.next().await {
                    hear(&String::from_utf8_lossy(
                        &bytes.map_err(|error: StreamError<Error>| Error::from(error))?,
                    ));
                }
            }
        }
        Ok(())
    }
}

fn question() -> chat::Request<'static> {
    read_request(RequestFormat::OpenAi, CHAT.as_bytes()).expect("a request")
}

fn setup(server: &Server) -> Setup {
    Setup::at(server.url()).bounds(|bounds| {
        bounds.retry = Retry::default();
        bounds.retry.first_wait = Duration::from_millis(3);
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
async fn soon(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "not so after 10 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Drops the call when it waits for the `times`th time. False: it does not wait so often.
async fn drop_at(call: Call, times: usize, all: &str) -> bool {
    let how = format!("{call:?}, dropped at its await {times}");
    let server = Server::start(call.answers()).await;
    let (client, heard) = (client(&setup(&server)), RefCell::default());
    let result = wait_often(call.run(client.clone(), &heard), times).await;
    if let Some(result) = &result {
        result.as_ref().expect("an answer");
        assert_eq!(*heard.borrow(), all, "{how}");
    }
    assert!(all.starts_with(&*heard.borrow()), "{how}");
    // Nobody but the client can close a connection now.
    server.silence();
    soon(&format!("the connection closes: {how}"), || server.open() == 0).await;
    drop(client);
    drop(server);
    soon(&format!("no task is left: {how}"), || Handle::current().metrics().num_alive_tasks() == 0).await;
    result.is_none()
}

#[tokio::test]
async fn r14_dropped_at_every_await() {
    let mut sum = 0;
    for call in CALLS {
        let (server, all) = (Server::start(call.answers()).await, RefCell::default());
        call.run(client(&setup(&server)), &all).await.expect("an answer");
        drop(server);
        let all = all.into_inner();
        let mut times = 0;
        while drop_at(call, times, &all).await {
            times += 1;
        }
        println!("R14 {call:?}: {times} of {times} awaits");
        assert!(times > 2, "{call:?} does not wait");
        sum += times;
    }
    println!("R14 dropped at every await: {sum} of {sum} close the connection and leave no task behind");
}

/// Asking again after each await that was given up brings everything.
#[tokio::test]
async fn r14_what_is_asked_for_again_comes() {
    let server = Server::start(Call::Stream.answers()).await;
    let client = client(&setup(&server));
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
    println!("R14 asked again: {given_up} of {given_up} awaits that were given up lost nothing");
}
