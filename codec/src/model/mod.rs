//! The canonical chat model: every API is read into it and written from it.
//!
//! A stream is a sequence of [`Event`]s with these promises:
//!
//! - [`Event::Start`] comes once, before any part.
//! - The content of a choice is a sequence of *parts*: text, reasoning, refusal, tool call, and blocks that are specific to
//!   one API. Parts of one choice never overlap: each is opened, filled and closed before the next opens. Parts of
//!   different choices do interleave.
//! - [`Event::Finish`] comes at most once for a choice, after its parts, and is never invented. If a server continues
//!   after its finish reason, the text is a further part.
//! - [`Event::Usage`] comes whenever the source sends counts, also after the finish. Each replaces the previous one.
//! - Fields and records without an event of their own come as [`Event::Other`].
//!
//! Whether the stream ended well is not an event: it is what [`Decoder::finish`](crate::Decoder::finish) returns.

mod api;
mod builders;
mod conversion_options;
pub(crate) mod custom_tool_input;
mod deserialize;
mod event;
mod failure;
mod loss;
mod owned;
pub(crate) mod position;
mod request;
mod response;
mod response_events;
mod response_options;
mod text;
mod tool_names;
mod usage;

pub use api::{Api, UnknownApi};
pub use builders::Parts;
pub use conversion_options::{
    ConversionOptions, FirstMessage, MissingResult, PromptImages, PromptLoss, Render, Rendered,
    SystemPlacement, ZeroTemperature,
};
pub use event::{Event, FinishReason, Json, PartKind};
pub use failure::Failure;
pub(crate) use loss::{CHOICE, FOREIGN_DELTA, PAUSED, SHAPELESS};
pub use loss::{Loss, Losses, Outcome};
pub use request::{
    Content, Fields, Message, Offset, Param, Part, Reasoning, Request, ResponseFormat, Role, Source, Tool,
    ToolChoice,
};
pub use response::{Choice, Response};
pub(crate) use response::{call_input, input_object};
pub use response_options::{ConverseEncoding, Frames, ResponseOptions};
pub use text::Text;
pub use tool_names::ToolNames;
pub use usage::Usage;
