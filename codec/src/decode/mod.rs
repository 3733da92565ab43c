//! The layers stacked: bytes to events, bytes to responses, bytes to the bytes of another API.

mod decoder;
mod detect;
mod read_response;
mod reader;
mod shape_cache;
mod shape_match;
mod transcoder;

pub use decoder::Decoder;
pub use transcoder::Transcoder;
