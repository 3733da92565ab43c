//! From the bytes of a response to records: one JSON document or one text chunk at a time.

mod boundary;
mod framing;
mod scanner;
pub(crate) mod text_chunks;

pub(crate) use boundary::{Extent, JsonBoundary};
pub use framing::Framing;
pub(crate) use scanner::{Found, RecordBuffer, Scanner};
