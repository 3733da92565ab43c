//! Each call has one span, streaming or not.
#![cfg(feature = "tracing")]

use std::sync::{Arc, Mutex};

use sagewire_codec::model::ResponseOptions;
use sagewire_codec::{Api, Framing, embeddings, read_request};
use sagewire_transport::{
    Bounds, Chat, Chunks, Embeddings, Error, Invoke, InvokeStream, Metadata, Response, ResponseStream,
    ServiceError, Transcoded,
};
use tower::service_fn;
use tracing_subscriber::fmt::format::FmtSpan;

const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
const WHOLE: &str = r#"{"id":"i","model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}"#;

/// A body without any bytes.
struct Empty;

impl futures_core::Stream for Empty {
    type Item = Result<sagewire_codec::stream::Chunk, Error>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(None)
    }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The spans that `call` closes, one line each.
fn spans(call: impl Future<Output = ()>) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    tracing::subscriber::with_default(subscriber, || runtime.block_on(call));
    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    log.lines().map(String::from).collect()
}

#[test]
fn a_non_streaming_chat_has_one_span() {
    let spans = spans(async {
        let service =
            service_fn(|_: Invoke| async { Ok::<_, Error>(Response::new(Metadata::default(), WHOLE)) });
        let chat = Chat::new(service, "my-llm");
        let options = ResponseOptions::new();
        chat.transcode_complete(Api::OpenAi, BODY, Api::Anthropic, options).await.expect("a response");
    });
    let [span] = &spans[..] else { panic!("{spans:?}") };
    for field in [
        "chat{",
        r#"gen_ai.request.model="my-llm""#,
        r#"gen_ai.response.id="i""#,
        r#"gen_ai.response.model="m""#,
        r#"gen_ai.response.finish_reasons="stop""#,
        "gen_ai.usage.input_tokens=3",
        "gen_ai.usage.output_tokens=5",
    ] {
        assert!(span.contains(field), "{field}: {span}");
    }
}

#[test]
fn a_stream_that_fails_has_one_span_with_the_error() {
    let spans = spans(async {
        let service = service_fn(|_: InvokeStream| async {
            let chunks: Chunks = Box::pin(Empty);
            let bounds = Bounds::default();
            Ok::<_, Error>(ResponseStream::new(Metadata::default(), Framing::Unframed, chunks, &bounds))
        });
        let chat = Chat::new(service, "my-llm");
        let options = ResponseOptions::new();
        let stream = chat.transcode_stream(Api::OpenAi, BODY, Api::OpenAi, options).await.expect("a stream");
        let mut body = std::pin::pin!(Transcoded::from(stream).into_http().into_body());
        while std::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await.is_some() {}
    });
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert!(span.contains("chat{") && span.contains(r#"error.type="truncated""#), "{span}");
}

#[test]
fn a_call_that_fails_has_one_span_with_the_error() {
    let spans = spans(async {
        let service = service_fn(|_: Invoke| async { Err::<Response, _>(Error::connect()) });
        let request = read_request(Api::OpenAi, BODY).expect("a request");
        Chat::new(service, "my-llm").complete(&request).await.expect_err("no connection");
    });
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert!(span.contains("error.type=\"connect\""), "{span}");
}

/// The message of a container may quote the prompt.
#[test]
fn the_message_of_a_service_is_not_in_the_span() {
    let spans = spans(async {
        let service = service_fn(|_: Invoke| async {
            let body = r#"{"__type":"ModelError","Message":"cannot answer: hi there"}"#;
            let status = http::StatusCode::FAILED_DEPENDENCY;
            Err::<Response, Error>(ServiceError::new(status, &Default::default(), body.into()).into())
        });
        let request = read_request(Api::OpenAi, BODY).expect("a request");
        Chat::new(service, "my-llm").complete(&request).await.expect_err("a failure");
    });
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert!(span.contains(r#"error.type="ModelError""#) && !span.contains("hi there"), "{span}");
}

#[test]
fn embeddings_have_one_span() {
    let spans = spans(async {
        let service = service_fn(|_: Invoke| async {
            let body =
                r#"{"data":[{"index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
            Ok::<_, Error>(Response::new(Metadata::default(), body))
        });
        let request = embeddings::Request::new(embeddings::Input::Text("a".into()));
        Embeddings::new(service, "my-embeddings").embed(&request).await.expect("a response");
    });
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert!(span.contains(r#"embeddings{gen_ai.operation.name="embeddings""#), "{span}");
    assert!(span.contains("gen_ai.usage.input_tokens=3"), "{span}");
}
