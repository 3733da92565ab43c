//! The wire layer for language models behind Amazon SageMaker, without I/O.
//!
//! A model container responds to `InvokeEndpointWithResponseStream` with server-sent events or JSON lines. SageMaker cuts these
//! bytes at arbitrary positions, also inside a character, and sends them in event-stream frames. This crate decodes them to chat
//! [events](model::Event), converts them to the stream of another API, and converts requests and responses among APIs.
//!
//! # Which function do I want?
//!
//! | to | use |
//! |---|---|
//! | decode a response stream to events | [`Decoder`]; with a callback [`Decoder::feed`], from a reader `io::Events`, from a futures stream `stream::Events` |
//! | convert a response stream to another API | [`Transcoder`]; `stream::Transcoded` for a futures stream |
//! | convert a request to another API | [`convert_request`]; or [`read_request`], change the [`Request`](model::Request), [`write_request`] |
//! | read and write a non-streaming response | [`Response::read`](model::Response::read), [`write_response`] |
//! | write a stream from events of your own | [`Writer`] |
//! | write a whole response as a stream | [`Response::for_each_event`](model::Response::for_each_event), [`Writer`] |
//! | pass a stream on unchanged, but know how it ends | [`Decoder::take_records`], [`Writer::write_record`] |
//! | read an HTTP error, make one, and write it as an API would | [`HttpError`] |
//! | convert requests and responses of embeddings | [`embeddings`] |
//! | describe the API of one endpoint in a file | `custom` (feature `custom`) |
//! | name an API, parse its name, list all | [`Api`] |
//! | frames, server-sent events or JSON lines alone | [`eventstream`], [`sse`], [`json_lines`]; [`sagemaker`] for the events in the frames |
//!
//! Prompts for endpoints that take text are made by the crate `sagewire-chat-template`.
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
//!     // Events borrow from the chunk wherever their text is contiguous there.
//!     while let Some(event) = decoder.decode(&mut chunk)? {
//!         if let Event::TextDelta { text, .. } = event {
//!             print!("{text}");
//!         }
//!     }
//!     // `Ok(None)`: the chunk is empty, pass the next one.
//! }
//! // The end of the input: events that were held back, then `Ok(None)` if, and only if, the stream is complete.
//! while let Some(event) = decoder.finish()? {
//!     println!("{event:?}");
//! }
//! # Ok::<(), sagewire_codec::DecodeError>(())
//! ```
//!
//! # Four endings
//!
//! A stream ends in exactly one of four ways: *complete* (`Ok(None)` of `finish`), *truncated*
//! ([`DecodeError::is_truncated`]), *model failure* ([`DecodeError::is_model_failure`]), and *corrupt*
//! ([`DecodeError::is_corrupt`], or [`DecodeError::is_limit`] if a bound was reached). Everything decoded before the fault has been
//! delivered. A finish reason is never invented.
//!
//! # Losses
//!
//! Every conversion returns [`Losses`](model::Losses): what the target API cannot express, each with a JSON pointer into the source.
//! An empty list means that the conversion was lossless.
//!
//! # Features
//!
//! - `std` (default): selects the fastest CRC and byte search of the processor at run time, and adds the module `io`. Without it the
//!   crate is `no_std` with `alloc`.
//! - `stream`: adapters for any `futures_core::Stream` of `Bytes`, in the module `stream`.
//! - `signing`: `eventstream::Signer` and `eventstream::Verifier`, for the events that clients send in bidirectional streams.
//! - `custom`: the module `custom`, APIs that are described in a file. Its JSONPath engine needs the standard library.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "ablation")]
#[doc(hidden)]
pub mod ablation;
#[cfg(not(feature = "ablation"))]
#[allow(unreachable_pub)]
mod ablation;
mod assemble;
mod buffer;
mod convert_error;
mod decode;
mod error;
pub mod eventstream;
mod formats;
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
mod setters;
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
    HttpError, HttpErrorKind, Writer, convert_request, detect_request, read_request, read_request_with,
    tool_names, write_request, write_response,
};
pub use limits::{Limits, RequestLimits};
pub use model::{Api, Failure, UnknownApi};
pub use options::Options;
pub use records::Framing;
