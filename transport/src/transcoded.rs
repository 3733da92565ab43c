//! Responses in the shape of any API.

use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;
use sagewire_codec::model::{self, ConverseEncoding, Frames, Loss, Losses, ResponseOptions};
use sagewire_codec::{Api, Failure, Writer, write_response};

use crate::error::Error;
use crate::event_source::{EventSource, Step};
use crate::response::{Metadata, ResponseStream};
use crate::stream_stats::StreamStats;

/// A piece is returned once it has this many bytes, so that a large chunk does not become a huge piece.
const PIECE_LEN: usize = 64 * 1024;

/// Gives a response an ID, in case that the container does not: that of the HTTP response, else a random one. IDs of tool calls
/// are made of it, so that they differ from those of other responses.
fn with_id(mut options: ResponseOptions, api: Api, metadata: &Metadata) -> ResponseOptions {
    let prefix = match api {
        Api::OpenAi => "chatcmpl-",
        Api::Anthropic => "msg_",
        _ => "",
    };
    options.id.get_or_insert_with(|| match &metadata.request_id {
        Some(id) => format!("{prefix}{id}"),
        None => format!("{prefix}{:016x}", RandomState::new().hash_one(0)),
    });
    options
}

/// The response to a converted request: streaming, if a stream was requested.
///
/// [`into_http`](Self::into_http) makes an HTTP response of it.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one for each call, and it is not stored")]
pub enum Transcoded {
    /// A stream was requested.
    Stream(TranscodedStream),
    /// A non-streaming response was requested.
    Whole(TranscodedResponse),
}

impl Transcoded {
    /// The headers of the endpoint's response.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Stream(stream) => stream.metadata(),
            Self::Whole(response) => &response.metadata,
        }
    }

    /// What was lost in the request and, so far, in the response.
    pub fn losses(&self) -> impl Iterator<Item = &Loss> {
        let (request, response) = match self {
            Self::Stream(stream) => (stream.request_losses(), stream.response_losses()),
            Self::Whole(response) => (&response.request_losses, &response.response_losses),
        };
        request.iter().chain(response)
    }
}

impl From<TranscodedStream> for Transcoded {
    fn from(stream: TranscodedStream) -> Self {
        Self::Stream(stream)
    }
}

impl From<TranscodedResponse> for Transcoded {
    fn from(response: TranscodedResponse) -> Self {
        Self::Whole(response)
    }
}

/// A non-streaming response in the shape of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TranscodedResponse {
    /// The headers of the endpoint's response.
    pub metadata: Metadata,
    /// The API of this response.
    pub api: Api,
    /// The body.
    pub body: Bytes,
    /// What the container's API could not express of the request.
    pub request_losses: Losses,
    /// What the API could not express of the response.
    pub response_losses: Losses,
}

impl TranscodedResponse {
    /// Writes a response of a chat.
    pub(crate) fn write(
        metadata: Metadata,
        response: &model::Response,
        api: Api,
        options: &ResponseOptions,
    ) -> Result<Self, Error> {
        let options = &with_id(options.clone(), api, &metadata);
        let (body, response_losses) =
            write_response(api, response, options).map_err(Error::response_conversion)?;
        Ok(Self::new(metadata, api, body, response_losses))
    }

    pub(crate) fn new(metadata: Metadata, api: Api, body: impl Into<Bytes>, response_losses: Losses) -> Self {
        let (body, request_losses) = (body.into(), Losses::default());
        Self { metadata, api, body, request_losses, response_losses }
    }

    pub(crate) fn request_losses(mut self, losses: Losses) -> Self {
        self.request_losses = losses;
        self
    }

    /// What was lost in the request and in the response.
    pub fn losses(&self) -> impl Iterator<Item = &Loss> {
        self.request_losses.iter().chain(&self.response_losses)
    }
}

/// A streaming response in the shape of an API: the bytes of its stream.
///
/// It ends after the last bytes of a complete response, and otherwise with one error. The bytes before the error report it
/// in the terms of the API, so that the client sees it, too.
///
/// Nothing is read from the endpoint until the stream is polled. Dropping it closes the connection.
#[must_use = "streams do nothing unless polled"]
pub struct TranscodedStream {
    metadata: Metadata,
    request_losses: Losses,
    source: Box<EventSource>,
    api: Api,
    encoding: ConverseEncoding,
    frames: Frames,
    writer: Writer,
    out: Vec<u8>,
    end: Option<Result<(), Error>>,
    /// The error was returned, if there was one.
    has_returned: bool,
    /// The latency is measured, because the options do not have it.
    measures_latency: bool,
    passing: Passing,
}

/// Whether the records of the source are passed on in place of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    No,
    /// The first record decides.
    Unknown,
    Yes,
}

impl TranscodedStream {
    pub(crate) fn new(
        metadata: Metadata,
        source: Box<EventSource>,
        request_losses: Losses,
        api: Api,
        options: ResponseOptions,
    ) -> Result<Self, Error> {
        let options = with_id(options, api, &metadata);
        let (encoding, frames) = (options.encoding, options.frames);
        let measures_latency = options.latency_ms.is_none();
        let mut source = source;
        let passing = match options.pass_through && source.keep_records() {
            true => Passing::Unknown,
            false => Passing::No,
        };
        let writer = Writer::new(api, options).map_err(Error::response_conversion)?;
        Ok(Self {
            metadata,
            request_losses,
            source,
            api,
            encoding,
            frames,
            writer,
            out: Vec::new(),
            end: None,
            has_returned: false,
            measures_latency,
            passing,
        })
    }

    /// The headers of the endpoint's response.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The API of this stream.
    pub fn api(&self) -> Api {
        self.api
    }

    /// How the events of a ConverseStream are encoded.
    pub fn encoding(&self) -> ConverseEncoding {
        self.encoding
    }

    /// The frames that the stream is put into.
    pub fn frames(&self) -> Frames {
        self.frames
    }

    /// What the container's API could not express of the request.
    pub fn request_losses(&self) -> &Losses {
        &self.request_losses
    }

    /// What the API could not express of the response, so far.
    pub fn response_losses(&self) -> &Losses {
        self.writer.losses()
    }

    /// What was lost in the request and, so far, in the response.
    pub fn losses(&self) -> impl Iterator<Item = &Loss> {
        self.request_losses.iter().chain(self.writer.losses())
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

    /// What was delivered so far.
    pub fn stats(&self) -> &StreamStats {
        &self.source.stats
    }

    /// How the response ended; `None` while it has not.
    pub fn ending(&self) -> Option<Result<(), &Error>> {
        self.end.as_ref().map(|end| end.as_ref().copied())
    }

    /// Waits for the first event of the response, so that a proxy can still send an HTTP status if there is none. The bytes of
    /// the event come with the first [`chunk`](Self::chunk).
    ///
    /// Cancelling the call loses nothing.
    ///
    /// # Errors
    ///
    /// The response failed before its first event. Nothing was written then: the stream has ended.
    pub async fn start(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_start(cx)).await
    }

    /// The same as [`start`](Self::start), for a `poll` function.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start).
    pub fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.source.stats.first_event.is_none() && self.end.is_none() {
            if !self.convert() {
                ready!(self.source.poll_chunk(cx));
            }
        }
        match &self.end {
            Some(Err(error)) if self.source.stats.first_event.is_none() => {
                self.out.clear();
                self.has_returned = true;
                Poll::Ready(Err(error.clone()))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Ends the stream with a failure: the connection to the endpoint is no longer read, the client gets the error in the terms of
    /// the API, and the error is that of the stream. A stream that has ended stays as it is.
    pub fn fail(&mut self, failure: Failure) {
        self.source.fail(failure);
    }

    /// The next bytes; `None` after the last bytes of a complete response.
    ///
    /// # Errors
    ///
    /// The response is incomplete: the connection broke, a timeout expired, or the model failed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }

    /// Converts what has arrived. True once there is output to return, or the end.
    fn convert(&mut self) -> bool {
        loop {
            let Self { source, writer, out, passing, .. } = self;
            // A further delta of a text loses nothing that the first one has not lost.
            let mut is_text = false;
            let mut first = None;
            let step = source.step(|event| {
                is_text = matches!(event, model::Event::TextDelta { .. });
                match passing {
                    Passing::No => writer.write(&event, out),
                    Passing::Unknown => first = Some(event.into_owned()),
                    Passing::Yes => {}
                }
            });
            if *passing != Passing::No {
                source.take_records(|record, is_last| {
                    if *passing == Passing::Unknown {
                        *passing = if writer.can_pass(record) { Passing::Yes } else { Passing::No };
                    }
                    if *passing == Passing::Yes {
                        writer.write_record(record, is_last, out);
                    }
                });
                if let (Some(event), false) = (first, *passing == Passing::Yes) {
                    // An event of no record, or of one that has to be converted.
                    *passing = Passing::No;
                    writer.write(&event, out);
                }
            }
            let end = match step {
                Step::Event => {
                    if !is_text && *passing == Passing::No {
                        writer.locate_losses(|| source.pointer());
                    }
                    if out.len() >= PIECE_LEN {
                        return true;
                    }
                    continue;
                }
                Step::NeedsChunk => return !out.is_empty(),
                Step::Complete => Ok(()),
                Step::Failed(error, cause) => Err((error, cause)),
            };
            if let Some(observer) = &source.observer {
                if self.measures_latency {
                    writer.set_latency_ms(observer.elapsed_ms(Instant::now()));
                }
                if let Some(first) = source.stats.first_event {
                    writer.set_first_event_ms(observer.elapsed_ms(first));
                }
            }
            writer.finish(end.as_ref().copied().map_err(|(error, _)| error), out);
            self.end = Some(end.map_err(|(error, cause)| cause.unwrap_or_else(|| error.into())));
            return true;
        }
    }
}

impl Stream for TranscodedStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while this.end.is_none() && !this.convert() {
            ready!(this.source.poll_chunk(cx));
        }
        if !this.out.is_empty() {
            let piece = Bytes::copy_from_slice(&this.out);
            this.out.clear();
            this.out.shrink_to(2 * PIECE_LEN);
            return Poll::Ready(Some(Ok(piece)));
        }
        // The error once, then the end.
        let error = this.end.clone().and_then(Result::err);
        Poll::Ready(error.filter(|_| !std::mem::replace(&mut this.has_returned, true)).map(Err))
    }
}

impl fmt::Debug for TranscodedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TranscodedStream")
            .field("metadata", &self.metadata)
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_have_an_id_of_their_own() {
        let id = |options: ResponseOptions, api, request_id: Option<&str>| {
            let metadata = Metadata { request_id: request_id.map(Into::into), ..Metadata::default() };
            with_id(options, api, &metadata).id.expect("an ID")
        };
        let new = ResponseOptions::new;
        assert_eq!(id(new(), Api::OpenAi, Some("r")), "chatcmpl-r");
        assert_eq!(id(new(), Api::Anthropic, Some("r")), "msg_r");
        assert_eq!(id(new().id("mine"), Api::OpenAi, Some("r")), "mine");
        let random = [(); 2].map(|()| id(new(), Api::OpenAi, None));
        assert_ne!(random[0], random[1]);
    }
}
