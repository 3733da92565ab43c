//! Bedrock's Converse and ConverseStream.
//!
//! Source: shapes `ConverseStreamOutput` and `ConverseResponse` of the service model `bedrock-runtime` 2023-09-30, see
//! the [API reference](https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html), and
//! recordings of real streams for actual behaviour.
//!
//! | canonical | read from | written as |
//! |---|---|---|
//! | start | `messageStart`, or the first event | `messageStart` |
//! | text, reasoning | blocks of `contentBlockDelta`s; a start is not required | the same; Bedrock sends no start for them |
//! | refusal | – | text (approximated) |
//! | signature, redacted reasoning | `reasoningContent` | the same |
//! | tool call | `toolUse` | `contentBlockStart`, deltas of its input, `contentBlockStop` |
//! | citation | `citation`, `citationsContent` | `citation`, where it has Bedrock's shape; else dropped |
//! | finish | `messageStop`, `stopReason`; a stop string in `additionalModelResponseFields` | `messageStop`; a `stop` after tool calls is `tool_use`, one with a stop string `stop_sequence` |
//! | usage | `metadata`, `usage`; input counts what was cached; reasoning tokens in `additionalModelResponseFields` | `metadata`, last; none where the source counts nothing; reasoning tokens where they are read |
//! | failure, truncation, corruption | exceptions | an exception, and no `messageStop`; Bedrock's own as they came |
//! | part of no name | `toolUse` with a `type`, `toolResult`, images, … | the same, if it came from Converse; else dropped |
//! | other | unknown counts and fields | counts; `metrics`, `trace`, `performanceConfig`, `serviceTier`, `additionalModelResponseFields`; else dropped |
//!
//! Events are read from frames of their own, or from JSON objects with the event under its name, in any order that
//! servers and emulators send. A `chunk` of `InvokeModelWithResponseStream` holds a record of the provider's format.
//!
//! A Converse response has one choice: the writer drops all others. It also drops logprobs and unknown fields. All of these
//! are reported in [`Writer::losses`].

mod extra_fields;
mod other_blocks;
mod parameters;
mod read_blocks;
mod read_content;
mod read_request;
mod read_response;
mod read_stream;
mod write_blocks;
mod write_common;
mod write_request;
mod write_response;
mod write_stream;
mod write_tools;

use crate::formats::tool_calls::IdRules;

/// The IDs of calls that Converse accepts.
pub(crate) const CALL_IDS: IdRules = IdRules { more_chars: &['.', ':'], len_max: 64 };

pub(crate) use parameters::TABLE;
pub(crate) use read_request::read as read_request;
pub(crate) use read_stream::{Name, read_event, read_record};
pub(crate) use write_request::write as write_request;
pub(crate) use write_response::write_response;
pub(crate) use write_stream::Writer;
