//! OpenAI chat completions, with what vLLM and SGLang add.
//!
//! Deprecated members are read, and written as their successors: `functions` as `tools`, `function_call` as
//! `tool_choice`. Calls and results without an ID are what `function_call` and the role `function` were.

mod messages;
mod parts;
mod read;
mod write;

pub(super) use read::read;
pub(super) use write::write;

/// Members of a request that only OpenAI gives a meaning.
const OWN: &[&str] = &[
    "audio",
    "metadata",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "verbosity",
    "web_search_options",
    // These have names in the model; here they have values that are not theirs.
    "model",
    "tools",
    "functions",
    "tool_choice",
    "function_call",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "n",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "response_format",
    "reasoning_effort",
    "stream",
    "stream_options",
    "user",
    "service_tier",
];
