//! The chat formats. Each is read into and written from the canonical model of [`chat`](crate::chat); none knows
//! another.

pub mod anthropic;
pub mod bedrock;
mod call;
#[cfg(feature = "custom")]
pub mod custom;
mod detect;
mod error;
pub(crate) mod failure;
mod generate;
pub mod openai;
mod reader;
mod request;
mod responses;
mod template;
mod text;
pub mod tgi;
mod writer;

pub(crate) use bedrock::Name;
pub use error::{ErrorKind, ServiceError};
pub use reader::Format;
pub(crate) use reader::{Call, Reader, RecordKind};
pub use request::{convert_request, read_request, tool_names, write_request};
pub use writer::{Target, Writer, write_response};
