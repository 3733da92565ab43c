//! Responses from the cache, and into it, also that which several processes share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use sagewire_codec::model::{Event, Request, Response, Usage};
use sagewire_codec::{Api, Decoder, Options};

use crate::policy::{Cache, CacheKey, Leader, VALUE_MAX};

/// The responses to chats, which are replayed as a stream or whole.
pub(crate) type Responses = Cache<Response>;

/// Whether the response to a request is another one each time.
pub(crate) fn is_sampled(request: &Request<'_>) -> bool {
    request.temperature.as_ref().is_none_or(|temperature| temperature.value > 0.0)
}

/// The first byte of a shared response.
const VERSION: u8 = 1;
/// The version and the time at which it was stored, in milliseconds since the epoch.
const HEAD_LEN: usize = 9;

/// The name of a shared response.
pub(crate) fn shared_name(key: &CacheKey) -> String {
    format!("sagewire:cache:{key}")
}

/// A response for other processes: its events as JSON lines. `None` if it is too large, or if these would not give it again.
pub(crate) fn encode(response: &Response, now: SystemTime) -> Option<Vec<u8>> {
    let millis = now.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let mut out = vec![VERSION];
    out.extend_from_slice(&u64::try_from(millis).ok()?.to_le_bytes());
    let mut is_written = true;
    response.for_each_event(|event| {
        is_written &= out.len() <= VALUE_MAX && serde_json::to_writer(&mut out, &event).is_ok();
        out.push(b'\n');
    });
    (is_written && decode(&out, now)?.0 == *response).then_some(out)
}

/// The response of another process, and how old it is. `None` if it is none.
pub(crate) fn decode(bytes: &[u8], now: SystemTime) -> Option<(Response, Duration)> {
    let (head, lines) = bytes.split_at_checked(HEAD_LEN)?;
    let (version, millis) = head.split_first()?;
    if *version != VERSION {
        return None;
    }
    let stored =
        UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_le_bytes(millis.try_into().ok()?)))?;
    let mut response = Response::default();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        response.add(&serde_json::from_slice::<Event<'_>>(line).ok()?);
    }
    // The clock of another machine may be ahead.
    Some((response, now.duration_since(stored).unwrap_or_default()))
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
