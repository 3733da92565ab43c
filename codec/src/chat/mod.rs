//! The canonical chat model: what every format is read into and written from.
//!
//! A stream is a sequence of [`Event`]s with these promises:
//!
//! - [`Event::Start`] comes once, before any part.
//! - The content of a choice is a sequence of *parts*: text, reasoning, refusal, tool call, and blocks that only their
//!   format knows. Parts of one choice never overlap: each is opened, filled and closed before the next opens. Parts of
//!   different choices do interleave.
//! - [`Event::Finish`] comes at most once for a choice, after its parts, and is never invented. Should a server go on
//!   after its finish reason, what it says is a further part.
//! - [`Event::Usage`] comes whenever the source sends counts, also after the finish. The last one stands.
//! - What the source says and the model does not know comes as [`Event::Other`].
//!
//! Whether the stream ended well is not an event: it is what [`Decoder::finish`](crate::Decoder::finish) returns.

mod context;
mod custom_call;
mod event;
mod format;
mod loss;
mod parts;
mod place;
mod queue;
pub mod request;
mod response;
mod settings;
mod sink;
mod text;
mod tool_names;
mod usage;

pub use context::Context;
pub(crate) use custom_call::{CUSTOM_INPUT, CustomInput, custom_object};
pub use event::{Event, FinishReason, Json, PartKind};
pub use format::Format;
pub(crate) use loss::{CHOICE, FOREIGN_DELTA, SHAPELESS};
pub use loss::{Loss, Losses, Outcome};
pub(crate) use parts::{Block, Plain, ToolKey};
pub use place::Place;
pub(crate) use place::{Spot, Thing};
pub(crate) use queue::{Delta, DeltaKind, Queue, Reason, Spec, Text};
pub use request::{Request, RequestFormat};
pub use response::{Choice, Response};
pub(crate) use response::{call_input, input_object};
pub use settings::{
    FirstMessage, PromptImages, Render, Rendered, Settings, SystemPlacement, ZeroTemperature,
};
pub(crate) use sink::{Answer, Sink, Stop, hash};
pub use tool_names::ToolNames;
pub use usage::Usage;
