//! The parameters of a chat completion request: OpenAI's, and those of vLLM and SGLang.

use crate::formats::conversion::Conversion;
use crate::formats::openai::{TOOLS, service_tier};
use crate::formats::parameters::{Group, PENALTIES, Parameter as P, SAMPLING, Table, row};
use crate::json::Object;

pub(crate) const TABLE: Table = Table {
    groups: &[&TOOLS, &PARAMETERS, &STREAM, &STREAM_OPTIONS],
    code: &[P::ToolChoice, P::Reasoning, P::ResponseFormat],
    extra: Some(""),
    known: &[
        "audio",
        "function_call",
        "functions",
        "messages",
        "metadata",
        "modalities",
        "moderation",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "store",
        "stream_options",
        "tool_choice",
        "tools",
        "verbosity",
        "web_search_options",
    ],
    objects: &["stream_options"],
    deprecated: &[("functions", "tools"), ("function_call", "tool_choice")],
    reason: "OpenAI's chat has no such parameter",
};

pub(super) const PARAMETERS: Group = Group {
    object: "",
    rows: &[
        &[
            row(P::Model, "model").read_only(),
            // Every container takes the older name, not all take the newer one.
            row(P::MaxTokens, "max_completion_tokens").read_only(),
            row(P::MaxTokens, "max_tokens").quirk(max_tokens),
            row(P::Temperature, "temperature"),
        ],
        SAMPLING,
        &[row(P::N, "n"), row(P::Stop, "stop").or_one_string()],
        PENALTIES,
        &[
            row(P::Logprobs, "logprobs").quirk(logprobs),
            row(P::TopLogprobs, "top_logprobs"),
            row(P::LogitBias, "logit_bias"),
            row(P::User, "user"),
            row(P::ServiceTier, "service_tier").quirk(service_tier),
        ],
    ],
};

pub(super) const STREAM: Group = Group { object: "", rows: &[&[row(P::Stream, "stream")]] };

pub(super) const STREAM_OPTIONS: Group =
    Group { object: "stream_options", rows: &[&[row(P::IncludeUsage, "include_usage")]] };

pub(super) fn max_tokens(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    if let Some(tokens) = c.request.max_tokens.map(|tokens| tokens.value).or_else(|| c.max_tokens()) {
        object.integer(name, tokens);
    }
}

/// Alternatives are only returned with probabilities.
pub(super) fn logprobs(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    match (c.request.logprobs, c.request.top_logprobs) {
        (Some(logprobs), _) => object.bool(name, logprobs.value),
        (None, Some(_)) => object.bool(name, true),
        (None, None) => {}
    }
}
