//! The APIs. Each is read into and written from the canonical model of [`model`](crate::model); no API depends on another.

pub(crate) mod anthropic;
pub(crate) mod call_ids;
mod chat_parts;
pub(crate) mod cohere;
pub(crate) mod converse;
mod conversion;
#[cfg(feature = "custom")]
pub mod custom;
mod detect_request;
mod edit;
pub mod embeddings;
pub(crate) mod error_record;
mod framed;
mod history;
mod http_error;
mod logprobs;
mod media;
mod messages;
mod openai;
pub(crate) mod openai_chat;
mod openai_completions;
pub(crate) mod openai_responses;
mod openai_usage;
mod parameters;
mod pass_through;
pub(crate) mod plain_text;
pub(crate) mod python_repr;
mod request;
mod request_reader;
mod sampling;
pub(crate) mod text_generation;
mod thinking;
mod tool_calls;
mod tool_names;
mod unique_names;
mod writer;

pub use detect_request::detect_request;
pub use http_error::{HttpError, HttpErrorKind};
pub use request::{convert_request, read_request, read_request_with, tool_names, write_request};
pub use writer::{Writer, write_response};
