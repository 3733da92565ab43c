#![no_std]
#![forbid(unsafe_code)]
//! codec

extern crate alloc;

mod balance;
mod carry;
pub mod chat;
mod decoder;
mod error;
pub mod eventstream;
mod failure;
pub mod format;
mod input;
mod json;
pub mod json_lines;
mod limits;
mod record;
pub mod sagemaker;
pub mod sse;
#[cfg(feature = "stream")]
pub mod stream;
mod transcoder;

pub use decoder::{Decoder, Format, Framing, Options};
pub use error::{Error, ErrorKind, Layer};
pub use failure::Failure;
pub use limits::Limits;
pub use record::Wrapping;
pub use transcoder::{Target, Transcoder};
