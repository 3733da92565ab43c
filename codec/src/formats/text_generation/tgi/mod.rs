//! Writes the responses of TGI's `/generate_stream` and `/generate`.
//!
//! Source: `router/src/lib.rs` of TGI 3.3.6 (`StreamResponse`), and the requirements of its clients: those that validate,
//! such as `text-generation` and `huggingface_hub` for Python, require every field but `top_tokens`, and numbers for `id`,
//! `logprob`, `generated_tokens` and `input_length`.
//!
//! | canonical | written as |
//! |---|---|
//! | text | a record with a `token`; `index` counts the records from 1 |
//! | refusal | text (approximated) |
//! | finish, usage | the last record: a special token without text, `generated_text`, `details` |
//! | no finish, complete | the same, `details` are null |
//! | failure, truncation, corruption | `{"error":…,"error_type":…}`, and no last record |
//! | choices other than the first, reasoning, tool calls, logprobs, citations, unknown parts and fields | – (dropped) |
//!
//! Fields that TGI requires and that the canonical model lacks have default values, each reported as a
//! [`Loss`](crate::model::Loss): `id` and `logprob` of a token are 0, counts that the source does not contain are 0, `seed`
//! is null.

mod write_request;
mod write_response;
mod write_stream;

pub(crate) use write_request::{TABLE, read as read_request, write as write_request};
pub(crate) use write_response::write_response;
pub(crate) use write_stream::Writer;
