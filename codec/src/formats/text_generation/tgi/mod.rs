//! Writes what TGI's `/generate_stream` and `/generate` answer.
//!
//! Source: `router/src/lib.rs` of TGI 3.3.6 (`StreamResponse`), and what its clients require: those that check, as
//! `text-generation` and `huggingface_hub` for Python, want every member but `top_tokens`, and numbers for `id`,
//! `logprob`, `generated_tokens` and `input_length`.
//!
//! | canonical | written as |
//! |---|---|
//! | text | a record with a `token`; `index` counts the records from 1 |
//! | refusal | text (approximated) |
//! | finish, usage | the last record: a special token without text, `generated_text`, `details` |
//! | no finish, complete | the same, `details` are null |
//! | failure, truncation, corruption | `{"error":…,"error_type":…}`, and no last record |
//! | choices other than the first, reasoning, tool calls, logprobs, citations, parts and members of unknown meaning | – (dropped) |
//!
//! What TGI requires and the model here does not know has its default, and is a [`Loss`](crate::model::Loss): `id` and
//! `logprob` of a token are 0, counts that the source does not give are 0, `seed` is null.

mod write_request;
mod write_response;
mod write_stream;

pub(crate) use write_request::{TABLE, read as read_request, write as write_request};
pub(crate) use write_response::write_response;
pub(crate) use write_stream::Writer;
