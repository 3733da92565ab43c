//! Turns the spans that readers find in records into ordered events.

mod block_order;
mod delta_call;
mod emitter;
mod event_queue;
mod input_hash;
mod record_log;
mod response_state;
mod sent_text;
mod tool_calls;
mod tracked;

pub(crate) use block_order::Block;
pub(crate) use delta_call::{DeltaCall, DeltaTarget, Element, Index};
pub(crate) use emitter::{Emitter, Stop, ToolDelta, hash};
pub(crate) use event_queue::{Delta, DeltaKind, EventQueue, EventRecord, Reason, Text, TextKind};
pub(crate) use record_log::{CacheableRecord, Ignored};
pub(crate) use response_state::ResponseState;
pub(crate) use sent_text::TextHash;
pub(crate) use tracked::Tracked;
