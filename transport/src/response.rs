//! Responses of endpoints.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, header};
use sagewire_codec::sagemaker::Event;
use sagewire_codec::stream::{Chunk, Events};
use sagewire_codec::{Api, Decoder, Framing, Options, eventstream, model};

use crate::body::{Body, Chunks, Deadline};
use crate::bounds::Bounds;
use crate::endpoint::Operation;
use crate::error::Error;
use crate::event_source::EventSource;
use crate::transcoded::{TranscodedResponse, TranscodedStream};

/// The most bytes that are read of an error body.
const ERROR_LEN_MAX: usize = 1 << 20;

/// The headers of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The ID of the request, for AWS support.
    pub request_id: Option<String>,
    /// The media type of the container's response, not that of the frames around it.
    pub content_type: Option<String>,
    /// The production variant that responded.
    pub variant: Option<String>,
    /// The custom attributes that the container returned; `None` if there are none.
    pub custom_attributes: Option<String>,
    /// The session that was opened: its ID, `; Expires=` and a time.
    pub new_session_id: Option<String>,
    /// The session that was closed.
    pub closed_session_id: Option<String>,
}

impl Metadata {
    /// Reads these headers.
    pub fn new(headers: &HeaderMap, operation: Operation) -> Self {
        let content_type = match operation {
            Operation::Stream if is_event_stream(headers) => &names::CONTAINER_CONTENT_TYPE,
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

/// Names of response headers. They are static because looking a header up by a string would parse the name each time.
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

/// Whether these headers announce an event stream.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/vnd.amazon.eventstream")
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_string();
    (!text.is_empty()).then_some(text)
}

/// A non-streaming response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The headers.
    pub metadata: Metadata,
    /// The body that the container returned.
    pub body: Bytes,
}

impl Response {
    /// A response with these headers and this body.
    pub fn new(metadata: Metadata, body: impl Into<Bytes>) -> Self {
        Self { metadata, body: body.into() }
    }

    /// Reads the response of a chat with these `options`. By default, its API is detected automatically.
    ///
    /// # Errors
    ///
    /// [`Error::decode`]: the body is not a response of a chat, is truncated, or is an error of the container.
    pub fn chat(&self, options: Options) -> Result<model::Response, Error> {
        Ok(model::Response::read(self.body.clone(), options.framing(Framing::Unframed))?)
    }

    /// Converts the response of a chat into a response of another API. It is read with `options`; `response_options` have
    /// the values that it does not contain.
    ///
    /// # Errors
    ///
    /// Those of [`chat`](Self::chat), and [`Error::convert`] if the codec does not write responses of `api`.
    pub fn transcoded(
        &self,
        options: Options,
        api: Api,
        response_options: &model::ResponseOptions,
    ) -> Result<TranscodedResponse, Error> {
        TranscodedResponse::write(self.metadata.clone(), &self.chat(options)?, api, response_options)
    }
}

/// The response to an asynchronous invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsyncResponse {
    /// The headers.
    pub metadata: Metadata,
    /// The ID of the invocation.
    pub inference_id: Option<String>,
    /// The location in S3 of the future response.
    pub output_location: Option<String>,
    /// The location in S3 of the future error.
    pub failure_location: Option<String>,
}

impl AsyncResponse {
    /// Reads these headers and this body: `{"InferenceId":"…"}`.
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

/// A streaming response: bytes in chunks of any size, which are event-stream frames or the payloads of frames.
///
/// As a [`Stream`] it ends after an error. Dropping it closes the connection, or resets the HTTP/2 stream. At most one chunk
/// is read ahead, over HTTP/2 at most one flow-control window.
#[must_use = "streams do nothing unless polled"]
pub struct ResponseStream {
    metadata: Metadata,
    framing: Framing,
    body: Body,
    ended: bool,
}

/// For authors of transports.
impl ResponseStream {
    /// A response with this body. `framing` is the framing of its chunks.
    ///
    /// The idle timeout and the total timeout of `bounds` apply. The total timeout starts now;
    /// [`with_deadline`](Self::with_deadline) sets one that started with the call.
    pub fn new(metadata: Metadata, framing: Framing, chunks: Chunks, bounds: &Bounds) -> Self {
        let timeouts = &bounds.timeouts;
        let body = Body::new(chunks, timeouts, Deadline::new(timeouts), true);
        Self { metadata, framing, body, ended: false }
    }

    /// Replaces the deadline.
    pub fn with_deadline(mut self, deadline: Deadline) -> Self {
        self.body.set_deadline(deadline);
        self
    }

    /// A response with these headers.
    ///
    /// # Errors
    ///
    /// [`Error::is_content_type`]: the operation requires an event stream, and the response is none.
    pub async fn from_headers(
        headers: &HeaderMap,
        operation: Operation,
        chunks: Chunks,
        bounds: &Bounds,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let framing = match operation {
            Operation::OpenAi => Framing::Unframed,
            _ => Framing::EventStream,
        };
        if framing == Framing::EventStream && !is_event_stream(headers) {
            let found = headers.get(header::CONTENT_TYPE);
            let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return Err(Error::content_type(found, read_error_body(chunks, bounds, deadline).await));
        }
        let stream = Self::new(Metadata::new(headers, operation), framing, chunks, bounds);
        Ok(stream.with_deadline(deadline))
    }

    /// A response with these headers of a [`Runtime`](crate::Runtime), whose streams may have frames or not: the first bytes
    /// decide. An error before them is that of the first [`chunk`](Self::chunk).
    pub async fn detect_framing(
        headers: &HeaderMap,
        chunks: Chunks,
        bounds: &Bounds,
        deadline: Deadline,
    ) -> Self {
        let metadata = Metadata::new(headers, Operation::Stream);
        let mut stream = Self::new(metadata, Framing::Unframed, chunks, bounds).with_deadline(deadline);
        let has_frames = is_event_stream(headers)
            || match stream.body.peek(0).await {
                Ok(Some(Chunk::Bytes(bytes))) => eventstream::looks_like_frames(&bytes),
                _ => false,
            };
        if has_frames {
            stream.framing = Framing::EventStream;
        }
        stream
    }
}

impl ResponseStream {
    /// The headers.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the chunks contain, for a decoder of your own.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The next bytes as they arrive; `None` at the end of the body. The end of the body does not prove that the response is
    /// complete: only decoding its frames and records does.
    ///
    /// Cancelling the call loses no data.
    ///
    /// # Errors
    ///
    /// The connection broke, a timeout expired, or, where the transport has removed the frames, an exception arrived in one.
    /// After an error, the same error is returned again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.body.bytes().await
    }

    /// Decodes the response into chat events. The stream ends after the last event of a complete response, and otherwise with
    /// an error.
    pub fn events(self) -> Events<ChunkStream, Error> {
        self.events_with(Options::new())
    }

    /// The same with options. Their framing is ignored: it is known.
    pub fn events_with(self, options: Options) -> Events<ChunkStream, Error> {
        let decoder = Decoder::with_options(options.framing(self.framing));
        Events::new(ChunkStream(self), decoder)
    }

    /// Converts the response into a stream of another API. `response_options` have what the response does not contain.
    ///
    /// # Errors
    ///
    /// [`Error::convert`]: the codec does not write streams of `api`.
    pub fn transcoded(
        self,
        api: Api,
        response_options: model::ResponseOptions,
    ) -> Result<TranscodedStream, Error> {
        self.transcoded_with(Options::new(), api, response_options)
    }

    /// The same with options for decoding. Their framing is ignored: it is known.
    ///
    /// # Errors
    ///
    /// Those of [`transcoded`](Self::transcoded).
    pub fn transcoded_with(
        self,
        options: Options,
        api: Api,
        response_options: model::ResponseOptions,
    ) -> Result<TranscodedStream, Error> {
        let metadata = self.metadata.clone();
        let source = EventSource::new(self, options, model::ToolNames::default(), None);
        TranscodedStream::new(metadata, source, model::Losses::default(), api, response_options)
    }

    /// Waits until the stream delivers something, without consuming it. Returns false if it ended before that for a transient
    /// reason.
    ///
    /// The first frame decides, whatever it contains; this limits how much is buffered.
    pub(crate) async fn has_started(&mut self) -> bool {
        let mut frames = eventstream::Decoder::new();
        let mut index = 0;
        loop {
            let chunk = self.body.peek(index).await;
            index += 1;
            return match chunk {
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

    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Error>>> {
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

/// The chunks of a [`ResponseStream`], as the decoders of the codec take them.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct ChunkStream(ResponseStream);

impl ChunkStream {
    /// The headers.
    pub fn metadata(&self) -> &Metadata {
        self.0.metadata()
    }

    /// The response.
    pub fn get_ref(&self) -> &ResponseStream {
        &self.0
    }

    /// The response. Chunks that are read from it are missing for the decoder.
    pub fn get_mut(&mut self) -> &mut ResponseStream {
        &mut self.0
    }

    /// The response, with the chunks that were not read yet.
    pub fn into_inner(self) -> ResponseStream {
        self.0
    }
}

impl Stream for ChunkStream {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_chunk(cx)
    }
}

/// Reads the body of a non-streaming response, [`Bounds::max_response_len`] bytes at most. For authors of transports.
///
/// # Errors
///
/// The error that the body ended with, a timeout, or [`Error::is_too_large`].
pub async fn read_body(chunks: Chunks, bounds: &Bounds, deadline: Deadline) -> Result<Bytes, Error> {
    Body::new(chunks, &bounds.timeouts, deadline, false).collect(bounds.max_response_len).await
}

/// Reads the start of an error body: as much as arrives, 1 MiB at most. For authors of transports.
pub async fn read_error_body(chunks: Chunks, bounds: &Bounds, deadline: Deadline) -> Bytes {
    Body::new(chunks, &bounds.timeouts, deadline, false).collect_prefix(ERROR_LEN_MAX).await
}
