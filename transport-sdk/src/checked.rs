//! The bodies of responses: as chunks, and with their frames checked.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use aws_sdk_sagemakerruntime::error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame};
use sagewire_codec::eventstream::Decoder;
use sagewire_codec::stream::Chunk;
use sagewire_transport::{Chunks, Error};

/// A body that the SDK does not read.
pub(crate) fn chunks(body: SdkBody) -> Chunks {
    Box::pin(Unread(body))
}

struct Unread(SdkBody);

impl Stream for Unread {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let data = ready!(poll_data(&mut self.0, cx));
        Poll::Ready(
            data.map(|data| data.map(Chunk::from).map_err(|error| Error::broken_off().because(error))),
        )
    }
}

/// The next bytes. Trailers say nothing here, and frames without bytes must not pass for progress.
fn poll_data(body: &mut SdkBody, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(cx)).transpose()? {
            None => return Poll::Ready(None),
            Some(frame) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}

/// Bytes that passed to the SDK: what it has of a frame is not to be seen otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed(Arc<AtomicUsize>);

impl Passed {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Frames on their way to the SDK. They pass as they are, up to the first that is none: the body fails there with the
/// error of our own decoder, which [`events`](crate::events) finds again in the SDK's.
pub(crate) struct Checked {
    body: SdkBody,
    decoder: Decoder,
    passed: Passed,
    /// Bytes of the whole frames among them.
    whole: usize,
    ending: Option<Result<(), sagewire_codec::Error>>,
}

impl Checked {
    pub(crate) fn new(body: SdkBody, passed: Passed) -> Self {
        Self { body, decoder: Decoder::new(), passed, whole: 0, ending: None }
    }

    /// What of `data` may pass. The rest comes before an error.
    fn check(&mut self, data: &mut Bytes) {
        let mut rest = data.clone();
        loop {
            match self.decoder.decode(&mut rest) {
                Ok(Some(frame)) => self.whole += frame.as_bytes().len(),
                Ok(None) => break,
                Err(error) => {
                    data.truncate(self.whole.saturating_sub(self.passed.get()));
                    self.ending = Some(Err(error));
                    break;
                }
            }
        }
        self.passed.0.fetch_add(data.len(), Ordering::Relaxed);
    }
}

impl Body for Checked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.ending.is_none() {
            match ready!(poll_data(&mut self.body, cx)).transpose()? {
                Some(mut data) => {
                    self.check(&mut data);
                    if self.ending.is_none() || !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                None => self.ending = Some(self.decoder.finish()),
            }
        }
        // Once: an error ends a body.
        let ending = self.ending.replace(Ok(())).unwrap_or(Ok(()));
        Poll::Ready(ending.err().map(|error| Err(error.into())))
    }
}
