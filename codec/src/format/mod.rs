//! The chat formats. Each is read into and written from the canonical model of [`chat`](crate::chat); none knows
//! another.

pub mod bedrock;
mod detect;
mod failure;
pub mod openai;
mod reader;
mod template;

pub use reader::Format;
pub(crate) use reader::{Call, Reader};
