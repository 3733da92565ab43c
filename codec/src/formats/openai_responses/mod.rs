//! OpenAI Responses. `docs/wire/openai-responses.md` has all fields, items and events.
//!
//! Sources: the types of the `openai` Python package 3.57.0 (`types/responses`, generated from OpenAI's API description) for the
//! format, and recordings of vLLM's and llama-server's `/v1/responses` for the actual behaviour of other servers: vLLM sends
//! `response.completed` for incomplete responses, llama-server omits all indices and identifies items by ID alone. The
//! recordings have no refusals, summaries, annotations, custom tools, `queued` or `failed`: these are read as the types
//! define them.
//!
//! Of responses and streams:
//!
//! | on the wire | canonical |
//! |---|---|
//! | `response.created`, `response.in_progress` | start |
//! | `output_text.delta`, `refusal.delta` of a `message` | text, refusal; a part each `content_index` |
//! | `reasoning_text.delta`, `reasoning_summary_text.delta` of a `reasoning` item | reasoning; a part each |
//! | `encrypted_content` of a `reasoning` item | signature: with it OpenAI takes the reasoning back |
//! | `function_call`, `custom_tool_call` items, deltas of their `arguments` and `input` | tool calls, by `call_id`; a custom tool's input is free text |
//! | `output_text.annotation.added`, `annotations` | citations |
//! | `logprobs` that are not empty | logprobs |
//! | `*.done`, `output` of the last event | content that no delta had, and the ends of parts |
//! | `status`, `incomplete_details` | finish: `max_output_tokens` is length; with calls, `completed` is tool calls |
//! | `response.failed`, `status` of `failed` or `cancelled`, `error` | model failure |
//! | items of tools that the service runs itself, once each; contents of unknown meaning | parts of no name |
//! | `phase` of a message | a field of the choice, before the text |
//! | `service_tier` of the last event; unknown events and fields, such as the progress of such a tool | other |
//!
//! `response.completed`, `response.incomplete` and `response.failed` are terminal; there is no `[DONE]`. Fields
//! that repeat the request (`tools`, `temperature`, `instructions` and so on) are ignored. Reasoning is written as summaries. A
//! response is written by the writer of streams, too: it is what the last event has.

mod known_parts;
mod object;
mod open_item;
mod parameters;
mod read_items;
mod read_output;
mod read_request;
mod read_stream;
mod write_error;
mod write_items;
mod write_request;
mod write_response;
mod write_stream;

pub(crate) use parameters::TABLE;
pub(crate) use read_request::{read as read_request, stored_history};
pub(crate) use read_stream::{StreamState, read_record};
pub(crate) use write_request::write as write_request;
pub(crate) use write_response::write_response;
pub(crate) use write_stream::Writer;
