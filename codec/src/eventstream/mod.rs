//! AWS event-stream frames (`application/vnd.amazon.eventstream`).
//!
//! ```text
//! 0       4              8             12         12+H                total-4    total
//! ├ total ┼ headers (H) ─┼ prelude CRC ┼ headers … ┼ payload …          ┼ message CRC ┤     integers big-endian
//! └────────── prelude ───────────────┘
//! ```
//!
//! Both checksums are CRC-32/ISO-HDLC; the second covers everything before it. The layout and the header types are
//! those of the [Smithy specification](https://smithy.io/2.0/aws/amazon-eventstream.html). Where AWS's own decoders
//! disagree, this one decides as follows.
//!
//! | case | here | why |
//! |---|---|---|
//! | a corrupt length | refused as soon as the twelve bytes of the prelude are in | botocore and the C runtime do; waiting for up to 4 GiB is a denial of service |
//! | a header name twice in one frame | refused | botocore and smithy-python refuse it; which one counts is a guess |
//! | a header value of 32,768 bytes and more | refused | the specification's bound, which the C runtime and smithy-python hold |
//! | more than 1,024 headers | refused, see [`Limits`](crate::Limits) | the C runtime's bound |
//! | an empty header name | refused | the specification requires at least one byte; the C runtime refuses it |
//! | bad UTF-8 in a name or a string, an unknown type | refused | everyone does |
//!
//! ```
//! use bytes::Bytes;
//! use sagewire_codec::eventstream::{Decoder, Header, Value, encode};
//!
//! let mut wire = Vec::new();
//! encode([Header::new(":event-type", Value::String("PayloadPart"))], b"data: hi", &mut wire)?;
//!
//! let mut decoder = Decoder::new();
//! let mut chunk = Bytes::from(wire);
//! while let Some(frame) = decoder.decode(&mut chunk)? {
//!     assert_eq!(frame.headers().get(":event-type"), Some(Value::String("PayloadPart")));
//!     assert_eq!(frame.payload(), b"data: hi");
//! }
//! decoder.finish()?;
//! # Ok::<(), sagewire_codec::DecodeError>(())
//! ```

mod decoder;
mod encode;
mod frame;
mod header;
mod header_cache;
#[cfg(feature = "signing")]
mod signing;

pub use decoder::Decoder;
pub(crate) use decoder::Scanner;
pub use encode::encode;
pub(crate) use encode::{encode_block, encode_headers};
pub use frame::{Frame, SNIFF_LEN, looks_like_frames, parse};
pub use header::{Header, Headers, Iter, Value};
#[cfg(feature = "signing")]
pub use signing::{Signed, Signer, SigningParams, Verifier};
