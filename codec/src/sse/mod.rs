//! Server-sent events, to the letter of the [standard](https://html.spec.whatwg.org/multipage/server-sent-events.html).
//!
//! Real containers often deviate from the standard; the record layer inside [`Decoder`](crate::Decoder) handles that.
//! Decisions where the standard leaves a choice, or is not about bytes:
//!
//! - Malformed UTF-8 becomes U+FFFD, as the standard has it, and is never an error.
//! - A CR at the very end of the input ends its line.
//! - An event without data is not an event. `id` and `retry` on their own still take effect.
//! - An event that is unfinished at the end of the input is discarded, and [`Decoder::finish`] returns a *truncated* error.
//!
//! ```
//! use bytes::Bytes;
//! use sagewire_codec::sse::{Decoder, Event};
//!
//! let mut decoder = Decoder::new();
//! let mut chunk = Bytes::from_static(b"event: add\ndata: 73857293\n\n");
//! while let Some(event) = decoder.decode(&mut chunk)? {
//!     assert_eq!(event, Event { event: "add".into(), ..Event::new("73857293") });
//! }
//! decoder.finish()?;
//! # Ok::<(), sagewire_codec::DecodeError>(())
//! ```

mod decoder;
mod encode;
mod event;
mod line;

pub use decoder::Decoder;
pub use event::Event;
pub(crate) use line::{Field, Line, Lines, may_be_field};
