//! Responses from the cache, and into it.

use bytes::BytesMut;
use sagewire_codec::model::{Event, Request, Response, Usage};
use sagewire_codec::{Api, Decoder, Options};

use crate::policy::{Cache, Leader};

/// The responses to chats, which are replayed as a stream or whole.
pub(crate) type Responses = Cache<Response>;

/// Whether the response to a request is another one each time.
pub(crate) fn is_sampled(request: &Request<'_>) -> bool {
    request.temperature.as_ref().is_none_or(|temperature| temperature.value > 0.0)
}

/// Keeps a copy of a stream for the cache, as long as it is small enough.
pub(crate) struct Tee {
    leader: Leader<Response>,
    api: Api,
    bytes: BytesMut,
    largest: usize,
}

impl Tee {
    pub(crate) fn new(leader: Leader<Response>, api: Api, largest: usize) -> Self {
        Self { leader, api, bytes: BytesMut::new(), largest }
    }

    /// Adds a piece of the stream. False if the stream is too large for the cache.
    pub(crate) fn add(&mut self, piece: &[u8]) -> bool {
        self.bytes.extend_from_slice(piece);
        self.bytes.len() <= self.largest
    }

    /// The stream is complete. A client that has not requested the usage has not got it, but the next one may.
    pub(crate) fn complete(self, usage: Option<Usage>) {
        let Self { leader, api, bytes, .. } = self;
        let size = bytes.len();
        let mut response = Response::default();
        let mut decoder = Decoder::with_options(Options::new().api(api));
        let mut take = |event: Event<'_>| response.add(&event);
        let fed = decoder.feed(bytes.freeze(), &mut take);
        if fed.and_then(|()| decoder.end(&mut take)).is_ok() {
            response.usage = response.usage.or(usage);
            leader.complete(response, size);
        }
    }
}
