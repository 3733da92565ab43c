//! The layers stacked: bytes to events, bytes to responses, bytes to the bytes of another API.

#[cfg(any(feature = "std", feature = "stream"))]
mod decode_loop;
mod decoder;
mod detect;
mod kept_records;
mod read_response;
mod reader;
mod shape_cache;
mod shape_match;
mod transcoder;

#[cfg(any(feature = "std", feature = "stream"))]
pub(crate) use decode_loop::DecodeLoop;
#[cfg(any(feature = "std", feature = "stream"))]
#[cfg_attr(not(feature = "stream"), allow(unreachable_pub))]
pub use decode_loop::{Chunk, Error};
pub use decoder::Decoder;
pub use transcoder::Transcoder;
