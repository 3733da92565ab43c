//! What an endpoint answers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use sagewire_codec::stream::{Events, Transcoded};
use sagewire_codec::{Decoder, Framing, Options, Target, Transcoder, chat};

use crate::body::Body;
use crate::error::Error;

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
    pub(crate) fn new(headers: &HeaderMap, stream: bool) -> Self {
        let text = |name: &str| {
            let text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_string();
            (!text.is_empty()).then_some(text)
        };
        Self {
            request_id: text("x-amzn-requestid"),
            content_type: text(if stream { "x-amzn-sagemaker-content-type" } else { "content-type" }),
            variant: text("x-amzn-invoked-production-variant"),
            custom_attributes: text("x-amzn-sagemaker-custom-attributes"),
            new_session_id: text("x-amzn-sagemaker-new-session-id"),
            closed_session_id: text("x-amzn-sagemaker-closed-session-id"),
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// What the headers say.
    pub metadata: Metadata,
    /// What the container answered.
    pub body: Bytes,
}

/// A streamed answer: event-stream frames, in chunks that are cut anywhere.
///
/// As a [`Stream`] it ends after an error. Dropping it closes the connection.
#[must_use = "nothing is read until the stream is"]
pub struct ResponseStream {
    metadata: Metadata,
    body: Body,
}

impl ResponseStream {
    pub(crate) fn new(metadata: Metadata, body: Body) -> Self {
        Self { metadata, body }
    }

    /// What the headers say.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The next bytes, as they come; `None` at the end of the body. That is no proof of a whole answer: only the frames
    /// and what is in them can tell.
    ///
    /// A call that is cancelled loses nothing.
    ///
    /// # Errors
    ///
    /// The connection broke, or nothing came for the idle time. After an error, the same error again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.body.chunk().await
    }

    /// The answer as chat events. The stream ends after the last event of a complete answer, and otherwise with an error.
    pub fn events(self) -> Events<Self, Error> {
        Events::new(self, Decoder::with_options(Options::new().framing(Framing::EventStream)))
    }

    /// The answer as the bytes of another format; `context` has what the answer does not say. The stream ends after the
    /// last bytes of a complete answer, and otherwise with an error, which the bytes before it say in the target's terms.
    pub fn transcoded(self, target: Target, context: chat::Context) -> Transcoded<Self, Error> {
        let options = Options::new().framing(Framing::EventStream);
        Transcoded::new(self, Transcoder::new(options, target, context))
    }
}

impl Stream for ResponseStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.body.end().is_some() {
            return Poll::Ready(None);
        }
        Poll::Ready(ready!(self.body.poll_chunk(cx)).transpose())
    }
}

impl fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}
