//! From what readers find in records to events in order.

mod block_order;
mod emitter;
mod event_queue;

pub(crate) use block_order::{Block, TextKind, ToolKey};
pub(crate) use emitter::{ResponseState, Emitter, Stop, hash};
pub(crate) use event_queue::{Delta, DeltaKind, EventQueue, Reason, EventRecord, Text};
