//! Anthropic Messages.
//!
//! `max_tokens` is required. Where the request does not say, it is what the settings say, else 4,096 more than the model
//! may think, and reported.

mod blocks;
mod read;
mod write;
mod write_blocks;

pub(super) use read::read;
pub(super) use write::write;

/// Members of a request that only Anthropic gives a meaning.
const OWN: &[&str] = &[
    "anthropic_version",
    "anthropic_beta",
    "betas",
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "mcp_servers",
    "speed",
    // These have names in the model; here they have values that are not theirs.
    "model",
    "system",
    "max_tokens",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "metadata",
    "service_tier",
];
