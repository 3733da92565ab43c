//! From what readers find in records to events in order.

mod block_order;
mod emitter;
mod event_queue;

pub(crate) use block_order::{Block, Plain, ToolKey};
pub(crate) use emitter::{Answer, Sink, Stop, hash};
pub(crate) use event_queue::{Delta, DeltaKind, Queue, Reason, Spec, Text};
