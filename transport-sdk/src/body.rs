//! The bodies of responses, as chunks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_sagemakerruntime::error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use sagewire_codec::stream::Chunk;
use sagewire_transport::{Chunks, Error};

/// The body that the SDK did not get.
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
