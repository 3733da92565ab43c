//! The body of a response as chunks.

use sagewire_transport::{Chunks, http_chunks};

pub(crate) fn chunks(body: reqwest::Body) -> Chunks {
    http_chunks(body, reqwest::Error::without_url)
}
