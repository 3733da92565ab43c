//! SGLang's own `/generate`: `{"text":"…","sampling_params":{…}}`.
//!
//! Sources: SGLang 0.5.23 (`managers/io_struct.py`, `managers/tokenizer_manager.py`, `sampling/sampling_params.py`,
//! `entrypoints/http_server.py`), and earlier versions of the tokenizer manager.
//!
//! | on the wire | canonical |
//! |---|---|
//! | `text` | text: all of the choice so far, or only what is new, which `text_mode.rs` distinguishes |
//! | `index`, else the number of responses before | choice |
//! | `meta_info.id` | the ID of the response |
//! | `finish_reason`: `stop` with a text in `matched` | a stop string; with a token, a stop, and the token as a field of unknown meaning |
//! | `finish_reason`: `length` | the length |
//! | `finish_reason`: `abort` | model failure: `message`, `status_code`, `err_type` |
//! | `prompt_tokens`, `completion_tokens`, `cached_tokens`, `reasoning_tokens` | usage at the end of each choice: the input of that choice, and the output of all so far |
//! | `output_token_logprobs` | logprobs, each token's at once |
//! | other fields of `meta_info` | [`Event::Other`](crate::model::Event::Other) at the end of the choice |
//! | `output_ids` | ignored in streams of text, else [`Event::Other`](crate::model::Event::Other) |
//! | a list of responses, `{"predictions":[…]}` | a choice each |
//!
//! In requests a list as `text` is several requests, and `input_ids` are tokens: only completions have the same.

mod choices;
mod read_record;
mod request;
mod text_mode;

pub(super) use choices::Choices;
pub(crate) use read_record::{finish_input, read_record};
pub(crate) use request::{TABLE, read, write};
