//! Requests of all formats: read into and written from [`chat::Request`](crate::chat::Request).

mod bedrock;
mod conversion;
mod media;
mod messages;
mod names;
mod openai;
mod output;
mod source;
