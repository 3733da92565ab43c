//! The chat formats. Each is read into and written from the canonical model of [`chat`](crate::chat); none knows
//! another.

mod anthropic;
pub mod bedrock;
#[cfg(feature = "custom")]
pub mod custom;
mod detect;
pub(crate) mod failure;
mod generate;
pub mod openai;
mod reader;
mod responses;
mod template;

pub(crate) use bedrock::Name;
pub use reader::Format;
pub(crate) use reader::{Call, Reader, RecordKind};
