//! The wire layer for language models behind Amazon SageMaker, without I/O.
//!
//! A model container answers `InvokeEndpointWithResponseStream` with server-sent events or JSON lines. SageMaker cuts
//! these bytes anywhere, also inside a character, and sends them in event-stream frames. This crate turns what arrives
//! back into what was said: [`chat::Event`]s, or the bytes of another format.
//!
//! # One call shape
//!
//! Every decoder works the same way, at every layer:
//!
//! ```
//! use bytes::Bytes;
//! use sagewire_codec::{Decoder, model::Event};
//!
//! # let body = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n";
//! # let chunks = [Bytes::from_static(body)];
//! let mut decoder = Decoder::new();
//! for mut chunk in chunks {
//!     // Events borrow: from the chunk when they lie whole in it.
//!     while let Some(event) = decoder.decode(&mut chunk)? {
//!         if let Event::TextDelta { text, .. } = event {
//!             print!("{text}");
//!         }
//!     }
//!     // `Ok(None)`: the chunk is empty, bring the next one.
//! }
//! // The end of the input: what was held back, then `Ok(None)` if, and only if, the stream is complete.
//! while let Some(event) = decoder.finish()? {
//!     println!("{event:?}");
//! }
//! # Ok::<(), sagewire_codec::DecodeError>(())
//! ```
//!
//! # Four endings
//!
//! A stream ends in exactly one of four ways, and the caller can tell which: *complete* (`Ok(None)` of `finish`),
//! *truncated* ([`Error::is_truncated`]), *model failure* ([`Error::is_model_failure`]), and *corrupt*
//! ([`Error::is_corrupt`], or [`Error::is_limit`] where a bound was reached). Everything decoded before has been
//! delivered by then. A finish reason is never invented.
//!
//! # Layers
//!
//! | module | wire thing |
//! |---|---|
//! | [`eventstream`] | AWS event-stream frames, both directions |
//! | [`sagemaker`] | the events of SageMaker's response stream |
//! | [`sse`] | server-sent events, strict, both directions |
//! | [`json_lines`] | JSON lines |
//! | [`chat`] | the canonical model between all formats |
//! | [`format`] | the chat formats |
//! | [`embedding`] | requests and responses of embeddings |
//! | `chat_template` | prompts from messages, for endpoints that take nothing but text |
//! | [`Decoder`], [`Transcoder`] | the layers stacked: bytes to events, bytes to bytes |
//!
//! # Features
//!
//! - `std` (default): the fastest CRC and byte search that the processor has, found at run time. Without it the crate
//!   is `no_std` with `alloc`.
//! - `stream`: adapters for any `futures_core::Stream` of `Bytes`, in the module `stream`.
//! - `templates`: the module `chat_template`. Its template engine needs the standard library.
//! - `custom`: the module `format::custom`, formats that are described in a file. Its path engine needs the standard library.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod assemble;
mod buffer;
#[cfg(feature = "templates")]
pub mod chat_template;
mod convert_error;
mod decode;
mod error;
pub mod eventstream;
pub mod formats;
mod input;
#[cfg(feature = "std")]
pub mod io;
mod json;
pub mod json_lines;
mod limits;
mod media_type;
pub mod model;
mod options;
mod records;
pub mod sagemaker;
pub mod sse;
#[cfg(feature = "stream")]
pub mod stream;
mod utf8;

pub use convert_error::{ConvertError, ConvertErrorKind};
pub use decode::{Decoder, Transcoder};
pub use error::{DecodeError, DecodeErrorKind, Layer};
#[cfg(feature = "custom")]
pub use formats::custom;
pub use formats::embeddings;
pub use formats::{
    HttpError, HttpErrorKind, Writer, convert_request, detect_request, read_request, tool_names,
    write_request, write_response,
};
pub use limits::Limits;
pub use model::{Api, Failure, UnknownApi};
pub use options::Options;
pub use records::Framing;
