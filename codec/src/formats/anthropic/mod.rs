//! Anthropic Messages.
//!
//! Sources: the types of the `anthropic` Python package 2.15.0 and the
//! [API reference](https://docs.anthropic.com/en/api/messages-streaming) for the format, captures of Anthropic's own
//! streams, and recordings of vLLM's and llama-server's `/v1/messages` for the actual behaviour of other servers.
//!
//! | canonical | read from | written as |
//! |---|---|---|
//! | start | `message_start`, or the first event of a block | `message_start`, with the first part |
//! | text | `text` blocks, `text_delta` | the same |
//! | reasoning | `thinking` blocks, `thinking_delta` | the same |
//! | signature | `signature_delta`, also after the block has ended | `signature_delta`, before the block ends |
//! | redacted reasoning | `redacted_thinking` blocks | the same, each a whole block |
//! | refusal | – | text (approximated) |
//! | tool call | `tool_use` blocks, `input_json_delta`; an `input` that is not empty is all of it | the same; no input is one empty delta |
//! | citation | `citations_delta`, `citations` | the same, where it has Anthropic's shape; else dropped |
//! | finish | `stop_reason` with `stop_sequence` | `message_delta`, after all blocks; a `stop` after tool calls is `tool_use` |
//! | usage | `usage`; later counts replace earlier ones, input counts what was cached | `message_start` as far as known, `message_delta` |
//! | failure, truncation, corruption | `error`, in Anthropic's or OpenAI's shape | `error`, and no `message_stop` |
//! | part of no name | server tools, their results, compactions, … | the same, if it came from Anthropic; else dropped |
//! | other | unknown counts and fields | counts; `stop_details`, `container`, `context_management`, `input_transformations`, `diagnostics`; else dropped |
//!
//! `message_stop` is the terminal record; a stream that ends after a stop reason is complete, too. `ping` is ignored.
//!
//! A message has one choice: the writer drops all others. It also drops logprobs. All of these are reported in
//! [`Writer::losses`].

mod other_blocks;
mod parameters;
mod read_blocks;
mod read_request;
mod read_stream;
mod stop;
mod write_blocks;
mod write_common;
mod write_request;
mod write_response;
mod write_stream;

use crate::formats::tool_calls::IdRules;

/// The IDs of calls that Anthropic accepts.
pub(crate) const CALL_IDS: IdRules = IdRules { more_chars: &[], len_max: usize::MAX };

pub(crate) use parameters::TABLE;
pub(crate) use read_request::read as read_request;
pub(crate) use read_stream::{StreamState, read_record};
pub(crate) use write_request::write as write_request;
pub(crate) use write_response::write_response;
pub(crate) use write_stream::Writer;
