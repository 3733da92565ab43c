//! Token counts.

use serde::{Deserialize, Serialize};

/// Token counts of the source. A count that the source does not have is `None`; nothing is computed. If the source has more
/// counts than these, all of its counts follow as [`Event::Other`](crate::model::Event::Other) with the name `usage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the request, including those read from or written to a cache (OpenAI's `prompt_tokens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of the response, including reasoning (OpenAI's `completion_tokens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// The sum, if the source has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Tokens of the request that were read from a cache (OpenAI's `cached_tokens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Tokens of the request that were written to a cache (OpenAI's `cache_write_tokens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens of the response that were reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Tokens of the input that were read from or written to a cache, which some APIs count separately.
    pub(crate) fn cached_tokens(&self) -> u64 {
        self.cache_read_tokens.unwrap_or(0).saturating_add(self.cache_write_tokens.unwrap_or(0))
    }
}
