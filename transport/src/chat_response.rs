//! Responses of a chat in canonical form.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use sagewire_codec::Api;
use sagewire_codec::model::{self, Event, Losses, ResponseOptions};

use crate::error::Error;
use crate::event_source::{EventSource, Step};
use crate::response::{Metadata, ResponseStream};
use crate::transcoded::{TranscodedResponse, TranscodedStream};

/// A non-streaming response of a chat.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChatResponse {
    /// The headers of the endpoint's response.
    pub metadata: Metadata,
    /// The response.
    pub response: model::Response,
    /// What the container's API could not express of the request.
    pub losses: Losses,
    /// The body, if it may be passed on: no names of tools in it had to be replaced.
    body: Option<Bytes>,
}

impl ChatResponse {
    pub(crate) fn new(
        metadata: Metadata,
        response: model::Response,
        losses: Losses,
        body: Option<Bytes>,
    ) -> Self {
        Self { metadata, response, losses, body }
    }

    /// The text of the first choice; empty if there is none.
    pub fn text(&self) -> String {
        self.response.choices.first().map(model::Choice::text).unwrap_or_default()
    }

    /// Converts the response into a response of an API. `options` have what it does not contain.
    ///
    /// # Errors
    ///
    /// [`Error::convert`]: the codec does not write responses of `api`.
    pub fn transcoded(self, api: Api, options: &ResponseOptions) -> Result<TranscodedResponse, Error> {
        let body = self.body.filter(|body| options.pass_through && can_pass(api, body));
        let written = match body {
            Some(body) => TranscodedResponse::new(self.metadata, api, body, Losses::default()),
            None => TranscodedResponse::write(self.metadata, &self.response, api, options)?,
        };
        Ok(written.request_losses(self.losses))
    }
}

/// Whether a body is a response of the API, by the field that its clients rely on.
fn can_pass(api: Api, body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        object: Option<Cow<'a, str>>,
        #[serde(borrow, rename = "type")]
        kind: Option<Cow<'a, str>>,
    }
    let Ok(Body { object, kind }) = serde_json::from_slice(body) else { return false };
    match api {
        Api::OpenAi => object.as_deref() == Some("chat.completion"),
        Api::Completions => object.as_deref() == Some("text_completion"),
        Api::Anthropic => kind.as_deref() == Some("message"),
        _ => false,
    }
}

/// A streaming response of a chat: its events. It ends after the last event of a complete response, and otherwise with one
/// error.
///
/// Nothing is read from the endpoint until the stream is polled. Dropping it closes the connection.
#[must_use = "streams do nothing unless polled"]
pub struct ChatStream {
    metadata: Metadata,
    losses: Losses,
    source: Box<EventSource>,
    ended: bool,
}

impl ChatStream {
    pub(crate) fn new(metadata: Metadata, losses: Losses, source: Box<EventSource>) -> Self {
        Self { metadata, losses, source, ended: false }
    }

    /// The headers of the endpoint's response.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the container's API could not express of the request.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// The response of the endpoint.
    pub fn get_ref(&self) -> &ResponseStream {
        self.source.stream()
    }

    /// The response of the endpoint. Chunks that are read from it are missing here.
    pub fn get_mut(&mut self) -> &mut ResponseStream {
        self.source.stream_mut()
    }

    /// The response of the endpoint, with the chunks that were not read yet.
    pub fn into_inner(self) -> ResponseStream {
        self.source.into_stream()
    }

    /// The next event; `None` after the last event of a complete response.
    ///
    /// Cancelling the call loses no event.
    ///
    /// # Errors
    ///
    /// The response is incomplete: the connection broke, a timeout expired, or the model failed.
    pub async fn event(&mut self) -> Result<Option<Event<'static>>, Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }

    /// Converts the events that were not read yet into a stream of an API. `options` have what the response does not contain.
    ///
    /// # Errors
    ///
    /// [`Error::convert`]: the codec does not write streams of `api`.
    pub fn transcoded(self, api: Api, options: ResponseOptions) -> Result<TranscodedStream, Error> {
        TranscodedStream::new(self.metadata, self.source, self.losses, api, options)
    }
}

impl Stream for ChatStream {
    type Item = Result<Event<'static>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            let mut next = None;
            match self.source.step(|event| next = Some(event.into_owned())) {
                Step::Event => return Poll::Ready(next.map(Ok)),
                Step::NeedsChunk => ready!(self.source.poll_chunk(cx)),
                Step::Complete => self.ended = true,
                Step::Failed(error, cause) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(cause.unwrap_or_else(|| error.into()))));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}
