//! Cohere Chat v2, as Cohere's own containers and vLLM's `/cohere/v2/chat` speak it, and the responses of v1.
//!
//! Sources: the types of the `cohere` Python package 7.3.1 and the [API reference](https://docs.cohere.com/reference/chat) for
//! the format, vLLM 0.27 (`vllm/entrypoints/cohere`) for its behaviour: it has no `event:` lines, sends token counts as
//! floating-point numbers, and ends a failed stream with `message-end` and `[DONE]`.
//!
//! | canonical | read from | v1 |
//! |---|---|---|
//! | start | `message-start`, or the first event with content | `stream-start` |
//! | text | `text` items, `content-delta` | `text-generation`, `text` |
//! | reasoning | `thinking` items; `tool_plan`, which is where models without reasoning plan their calls | `tool_call_delta.text`, `text` beside `tool_calls` |
//! | tool call | `tool_calls`, `tool-call-start`, `tool-call-delta` | `tool-calls-chunk`, `tool-calls-generation` |
//! | citation | `citation-start`, `citations` | `citation-generation`, `citations` |
//! | logprobs | `logprobs` of a delta, or of the response | – |
//! | finish | `finish_reason` | the same |
//! | usage | `usage.tokens`, else `billed_units`; billed units also as they are, in [`Event::Other`](crate::model::Event::Other) | `meta` |
//! | failure | `ERROR`, `TIMEOUT`, `USER_CANCEL`; `error` | the same |
//! | part of no name | other items of the content | – |
//!
//! `message-end` and `stream-end` are the terminal records. Calls and content are numbered apart. What `stream-end` repeats of the
//! stream is delivered only if it was not streamed; the history of the request is ignored.
//!
//! Requests are those of v2: see [`read_request`] and [`write_request`].

mod parameters;
mod read_message;
mod read_parts;
mod read_request;
mod read_stream;
mod read_v1;
mod write_messages;
mod write_request;

pub(crate) use parameters::TABLE;
pub(crate) use read_request::read as read_request;
pub(crate) use read_stream::read_record;
pub(crate) use write_request::write as write_request;
