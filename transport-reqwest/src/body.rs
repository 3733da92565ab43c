//! The body of a response, as chunks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use http_body::Body as _;
use sagewire_codec::stream::Chunk;
use sagewire_transport::{Chunks, Error};

pub(crate) fn chunks(body: reqwest::Body) -> Chunks {
    Box::pin(Body(body))
}

struct Body(reqwest::Body);

impl Stream for Body {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.0).poll_frame(cx)) else { return Poll::Ready(None) };
            let frame = frame.map_err(|error| Error::broken_off().because(error.without_url()))?;
            // Trailers say nothing here, and frames without bytes must not pass for progress.
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Poll::Ready(Some(Ok(data.into())));
            }
        }
    }
}
