//! OpenAI chat completions, as OpenAI, vLLM, SGLang, llama.cpp, TGI and LMI stream them.
//!
//! Sources: the [API reference](https://platform.openai.com/docs/api-reference/chat-streaming) and the types of the
//! `openai` Python package 3.52.0 for the format, vLLM 0.33.0 and SGLang 0.5.23 for their extensions, and recordings of
//! real servers for their actual behaviour.
//!
//! | on the wire | canonical |
//! |---|---|
//! | `delta.content`, `message.content`, a legacy completion's `text` | text |
//! | `reasoning_content` (DeepSeek, SGLang, LMI), `reasoning` (vLLM from 0.16) | reasoning; the first where both are sent |
//! | `thinking` and `reasoning` parts of `content` (Mistral, gateways before Claude); `thinking_blocks` of a request (LiteLLM) | reasoning, with its signature |
//! | `refusal` | refusal |
//! | `annotations` | citations of the text; written where they have OpenAI's shape |
//! | `tool_calls`, a list or one object; `function_call` | tool calls; `arguments` may be an object, the `input` of `custom` tools is free text |
//! | `logprobs`, `usage` | as they are; what other formats have of them is written in the chat's shape; a `usage` that counts more than the model has names for is also shown as it is |
//! | `finish_reason` | finish; `error` and `abort` are a model failure |
//! | `error`, an object or a text; `"object":"error"` | model failure |
//! | `[DONE]` | the stream is complete, unless it failed before |
//! | any other field that is not null | [`Event::Other`](crate::model::Event::Other) with its name |
//!
//! Servers repeat `service_tier` and `system_fingerprint` in every chunk: the reader reports them once, and again if they
//! change; the writer repeats them in every chunk that follows. `object` and `obfuscation` are ignored.
//!
//! The responses of legacy completions are those of the chat with `text` in place of a message: they are read and written here, too.

mod chunk;
mod chunk_writer;
mod finish_reason;
mod nova;
mod parameters;
mod read_request;
mod read_stream;
mod write_completion;
mod write_completion_stream;
mod write_messages;
mod write_request;
mod write_response;
mod write_stream;

pub(crate) use nova::{NOVA, write as write_nova};
pub(crate) use parameters::TABLE;
pub(crate) use read_request::read as read_request;
pub(crate) use read_stream::{StreamState, read_record};
pub(crate) use write_completion::write_completion;
pub(crate) use write_completion_stream::CompletionWriter;
pub(crate) use write_request::write as write_request;
pub(crate) use write_response::write_response;
pub(crate) use write_stream::Writer;
