//! Text generation: TGI, LMI, JumpStart, Triton, llama-server's own and SGLang's shapes, distinguished by their fields.
//!
//! Sources: TGI 3.3.6 (`router/src/lib.rs`, `server.rs`), djl-serving's output formatters
//! (`djl_python/output_formatter.py`, `lmi_vllm/request_response_utils.py`), JumpStart's notebooks, Triton's
//! [generate extension](https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_generate.md),
//! llama.cpp's server; and recordings of real servers for their actual behaviour.
//!
//! | on the wire | canonical |
//! |---|---|
//! | `token.text` (TGI, LMI) | text, unless `special` or `special_token` |
//! | `generated_text` without tokens before it; `generated_texts`; a `generation` without `stop_reason` | text of a non-streaming response: one choice each, in the order of the response; an echo of the prompt cannot be recognized, and is kept |
//! | `generated_text` after tokens | the end of its choice; not a delta but a check, see below |
//! | `generation` beside `stop_reason`, in `body` (LMI's `3p`) or not | text; it ends with the reason |
//! | `outputs` (LMI's dynamic batches) | text, a choice each |
//! | `text_output` (Triton) | text; it ends with `sequence_end`, or with the body where that is one JSON document |
//! | `content` beside `stop` (llama-server) | text of the choice `index`; it ends with `stop` |
//! | `index` (LMI on vLLM, where it begins with 0 and tokens have no `special`) | choice; in TGI, `index` counts tokens |
//! | `details`, `best_of_sequences`, `stop_type`, `stop_reason` | finish: `eos_token`, `eos`, `stop` are a stop, `stop_sequence`, `word` a stop sequence, `length`, `limit` the length; others are kept |
//! | `generated_tokens`, `input_length`, the length of `prefill`, `metering`, `tokens_predicted`, `tokens_evaluated`, … | usage, at the end; `3p` also has the input tokens at the beginning |
//! | `details.tokens` of a non-streaming response, `completion_probabilities` | logprobs |
//! | `token.logprob` of a stream | nothing, because servers send it even if it was not requested; logprobs of the token with [`Options::token_logprobs`](crate::Options::token_logprobs) |
//! | `error`, `token.error_msg`, a finish reason of `error` or `abort` | model failure |
//! | any other field that is not null or empty | [`Event::Other`](crate::model::Event::Other) with its name |
//!
//! Fields that only repeat the request or the previous record (`inputs`, `prompt`, `generation_settings`, `id_slot`,
//! `content_type`, `model_version`, `sequence_id`, `sequence_start`) are ignored.
//!
//! `generated_text` ends a choice, with or without a finish reason; a stream without a reason is complete, too. LMI's dynamic
//! batches and most of Triton's streams have no terminal record at all, so they are reported as truncated.
//!
//! `generated_text` in a stream repeats the streamed text, perhaps after the prompt (`return_full_text`). If the streamed
//! text is only a prefix of it, the rest is delivered; otherwise, as for an echo of the prompt, it is ignored.

mod details;
pub(crate) mod jumpstart;
pub(crate) mod lmi;
mod read_request;
mod read_stream;
mod record;
pub(crate) mod sglang;
mod state;
pub(crate) mod tgi;
mod token;
pub(crate) mod triton;
mod write_prompt;

pub(crate) use read_stream::read_record;
pub(crate) use sglang::finish_input;
pub(crate) use state::StreamState;
pub(crate) use write_prompt::write_prompt;
