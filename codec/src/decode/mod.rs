//! The layers stacked: bytes to events, bytes to responses, bytes to the bytes of another API.

mod decode_loop;
mod decoder;
mod detect;
mod read_response;
mod reader;
mod shape_cache;
mod shape_match;
mod transcoder;

pub(crate) use decode_loop::DecodeLoop;
pub use decode_loop::{Chunk, Error};
pub use decoder::Decoder;
pub use transcoder::Transcoder;
