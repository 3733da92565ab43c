//! What an endpoint answers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, header};
use sagewire_codec::sagemaker::Event;
use sagewire_codec::stream::{Chunk, Events, Transcoded};
use sagewire_codec::{Api, Decoder, Framing, Options, Transcoder, eventstream, model};

use crate::body::{Body, Chunks, Deadline, Timeouts};
use crate::endpoint::Operation;
use crate::error::Error;

/// An error that takes more than this to explain is not read any further.
const ERROR_LEN_MAX: usize = 1 << 20;

/// What the headers of a response say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The id of the request, for AWS's support.
    pub request_id: Option<String>,
    /// The media type of what the container answered, not that of the frames around it.
    pub content_type: Option<String>,
    /// The production variant that answered.
    pub variant: Option<String>,
    /// What the container passed on; `None` if that is nothing.
    pub custom_attributes: Option<String>,
    /// The session that was opened: its id, `; Expires=` and a time.
    pub new_session_id: Option<String>,
    /// The session that was closed.
    pub closed_session_id: Option<String>,
}

impl Metadata {
    /// What these headers say.
    pub fn new(headers: &HeaderMap, operation: Operation) -> Self {
        let content_type = match operation {
            Operation::Stream => &names::CONTAINER_CONTENT_TYPE,
            _ => &header::CONTENT_TYPE,
        };
        Self {
            request_id: text(headers, &names::REQUEST_ID),
            content_type: text(headers, content_type),
            variant: text(headers, &names::VARIANT),
            custom_attributes: text(headers, &names::CUSTOM_ATTRIBUTES),
            new_session_id: text(headers, &names::NEW_SESSION_ID),
            closed_session_id: text(headers, &names::CLOSED_SESSION_ID),
        }
    }
}

/// The service's own headers of responses. To look for a name that is text would parse it each time.
mod names {
    use http::HeaderName;

    pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
    pub(super) static CONTAINER_CONTENT_TYPE: HeaderName =
        HeaderName::from_static("x-amzn-sagemaker-content-type");
    pub(super) static VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");
    pub(super) static CUSTOM_ATTRIBUTES: HeaderName =
        HeaderName::from_static("x-amzn-sagemaker-custom-attributes");
    pub(super) static NEW_SESSION_ID: HeaderName = HeaderName::from_static("x-amzn-sagemaker-new-session-id");
    pub(super) static CLOSED_SESSION_ID: HeaderName =
        HeaderName::from_static("x-amzn-sagemaker-closed-session-id");
    pub(super) static OUTPUT_LOCATION: HeaderName =
        HeaderName::from_static("x-amzn-sagemaker-outputlocation");
    pub(super) static FAILURE_LOCATION: HeaderName =
        HeaderName::from_static("x-amzn-sagemaker-failurelocation");
}

/// Whether the body that these headers announce is an event stream: for those who write a transport.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/vnd.amazon.eventstream")
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_string();
    (!text.is_empty()).then_some(text)
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// What the headers say.
    pub metadata: Metadata,
    /// What the container answered.
    pub body: Bytes,
}

impl Response {
    /// A whole answer.
    pub fn new(metadata: Metadata, body: impl Into<Bytes>) -> Self {
        Self { metadata, body: body.into() }
    }

    /// The answer in canonical terms. `options` say how it is read; the default tells by the bytes.
    ///
    /// # Errors
    ///
    /// It is no answer of a chat, it is not whole, or it is an error of the container: see [`Error::codec`].
    pub fn chat(&self, options: Options) -> Result<model::Response, Error> {
        Ok(model::Response::read(self.body.clone(), options.framing(Framing::Unframed))?)
    }
}

/// What the service answers to an asynchronous invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsyncResponse {
    /// What the headers say.
    pub metadata: Metadata,
    /// The id of the invocation.
    pub inference_id: Option<String>,
    /// Where in S3 the answer will be.
    pub output_location: Option<String>,
    /// Where in S3 an error will be.
    pub failure_location: Option<String>,
}

impl AsyncResponse {
    /// What these headers and this body say: `{"InferenceId":"…"}`.
    pub fn new(headers: &HeaderMap, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Body {
            #[serde(rename = "InferenceId")]
            inference_id: Option<String>,
        }
        let body: Option<Body> = serde_json::from_slice(body).ok();
        Self {
            metadata: Metadata::new(headers, Operation::Async),
            inference_id: body.and_then(|body| body.inference_id),
            output_location: text(headers, &names::OUTPUT_LOCATION),
            failure_location: text(headers, &names::FAILURE_LOCATION),
        }
    }
}

/// A streamed answer, in chunks that are cut anywhere: frames of the event stream, or what was in them.
///
/// As a [`Stream`] it ends after an error. Dropping it closes the connection, and of a connection of HTTP/2 the stream.
/// Nothing is read from the connection that was not asked for, beyond one chunk or the window of HTTP/2.
#[must_use = "nothing is read until the stream is"]
pub struct ResponseStream {
    metadata: Metadata,
    framing: Framing,
    body: Body,
    ended: bool,
}

impl ResponseStream {
    /// For those who write a transport. `framing` says what the chunks are.
    pub fn new(
        metadata: Metadata,
        framing: Framing,
        chunks: Chunks,
        timeouts: &Timeouts,
        deadline: Deadline,
    ) -> Self {
        let body = Body::new(chunks, timeouts.idle, deadline, true);
        Self { metadata, framing, body, ended: false }
    }

    /// The same of a response that has these headers.
    ///
    /// # Errors
    ///
    /// It is no event stream, and should be one.
    pub async fn of(
        headers: &HeaderMap,
        operation: Operation,
        chunks: Chunks,
        timeouts: &Timeouts,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let framing = match operation {
            Operation::OpenAi => Framing::Unframed,
            _ => Framing::EventStream,
        };
        if framing == Framing::EventStream && !is_event_stream(headers) {
            let found = headers.get(header::CONTENT_TYPE);
            let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return Err(Error::content_type(found, read_error_body(chunks, timeouts, deadline).await));
        }
        Ok(Self::new(Metadata::new(headers, operation), framing, chunks, timeouts, deadline))
    }

    /// What the headers say.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the chunks are: for a decoder of one's own.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The next bytes, as they come; `None` at the end of the body. That is no proof of a whole answer: only the frames
    /// and what is in them can tell.
    ///
    /// A call that is cancelled loses nothing.
    ///
    /// # Errors
    ///
    /// The connection broke, or nothing came for the idle time; where the transport has removed the frames, also what an
    /// exception in them said. After an error, the same error again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.body.bytes().await
    }

    /// The answer as chat events. The stream ends after the last event of a complete answer, and otherwise with an error.
    pub fn events(self) -> Events<ChunkStream, Error> {
        self.events_with(Options::new())
    }

    /// The same, read as `options` say; the framing is known.
    pub fn events_with(self, options: Options) -> Events<ChunkStream, Error> {
        let decoder = Decoder::with_options(options.framing(self.framing));
        Events::new(ChunkStream(self), decoder)
    }

    /// The answer as the bytes of another format; `context` has what the answer does not say. The stream ends after the
    /// last bytes of a complete answer, and otherwise with an error, which the bytes before it say in the target's terms.
    pub fn transcoded(
        self,
        target: Api,
        context: model::ResponseOptions,
    ) -> Result<Transcoded<ChunkStream, Error>, Error> {
        self.transcoded_with(Options::new(), target, context)
    }

    /// The same, read as `options` say; the framing is known.
    pub fn transcoded_with(
        self,
        options: Options,
        target: Api,
        context: model::ResponseOptions,
    ) -> Result<Transcoded<ChunkStream, Error>, Error> {
        self.transcoded_for(options, target, context, model::ToolNames::default())
    }

    /// The same, with the names that tools had before the request was sent.
    pub(crate) fn transcoded_for(
        self,
        options: Options,
        target: Api,
        context: model::ResponseOptions,
        names: model::ToolNames,
    ) -> Result<Transcoded<ChunkStream, Error>, Error> {
        let mut transcoder = Transcoder::new(options.framing(self.framing), target, context)?;
        transcoder.set_tool_names(names);
        Ok(Transcoded::new(ChunkStream(self), transcoder))
    }

    /// Waits until the stream says something, and takes nothing of it. False: it ended before that, in a way that another
    /// try may not.
    ///
    /// The first frame decides, whatever is in it: what is kept is bounded so.
    pub(crate) async fn begins(&mut self) -> bool {
        let mut frames = eventstream::Decoder::new();
        loop {
            return match self.body.peek().await {
                Ok(Some(Chunk::Bytes(mut bytes))) if self.framing == Framing::EventStream => {
                    match frames.decode(&mut bytes).map(|frame| frame.map(|frame| Event::parse(&frame))) {
                        Ok(None) => continue,
                        Ok(Some(Event::Failure(failure))) => !failure.is_retryable(),
                        _ => true,
                    }
                }
                Ok(Some(Chunk::Bytes(_))) => true,
                Ok(Some(Chunk::Failure(failure))) => !failure.is_retryable(),
                Ok(Some(Chunk::Error(error))) => !error.is_truncated(),
                Ok(None) => false,
                Err(error) => !error.is_transient(),
            };
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.body.poll_chunk(cx)).transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

impl Stream for ResponseStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(ready!(self.poll_chunk(cx)).map(|item| match item? {
            Chunk::Bytes(bytes) => Ok(bytes),
            Chunk::Failure(failure) => {
                self.ended = true;
                Err(failure.into())
            }
            Chunk::Error(error) => {
                self.ended = true;
                Err(error.into())
            }
        }))
    }
}

impl fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// The chunks of a [`ResponseStream`] as a decoder takes them.
#[derive(Debug)]
#[must_use = "nothing is read until the stream is"]
pub struct ChunkStream(ResponseStream);

impl ChunkStream {
    /// What the headers say.
    pub fn metadata(&self) -> &Metadata {
        self.0.metadata()
    }
}

impl Stream for ChunkStream {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_chunk(cx)
    }
}

/// Reads a whole body: for those who write a transport.
///
/// # Errors
///
/// What the body ends with, a time that was up, or more than `limit` bytes.
pub async fn read_body(
    chunks: Chunks,
    timeouts: &Timeouts,
    deadline: Deadline,
    limit: usize,
) -> Result<Bytes, Error> {
    Body::new(chunks, timeouts.idle, deadline, false).collect(limit).await
}

/// Reads the body of an error: what comes of it, and no more than 1 MiB. For those who write a transport.
pub async fn read_error_body(chunks: Chunks, timeouts: &Timeouts, deadline: Deadline) -> Bytes {
    Body::new(chunks, timeouts.idle, deadline, false).collect_some(ERROR_LEN_MAX).await
}
