//! Bedrock's Converse and ConverseStream.
//!
//! The model stands in the path and the stream is an operation of its own, so neither is written. An image or a document
//! that lies elsewhere than in S3 is a loss: Converse takes bytes, and this crate fetches nothing.

mod blocks;
mod read;
mod tools;
mod write;
mod write_blocks;

pub(super) use read::read;
pub(super) use write::write;
