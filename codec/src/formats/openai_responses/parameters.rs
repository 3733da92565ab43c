//! The parameters of a Responses request: OpenAI's, and those that vLLM adds (its `ResponsesRequest`).

use crate::formats::openai::{TOOLS, service_tier};
use crate::formats::parameters::{Group, Parameter as P, Row, Table, row};

pub(crate) const TABLE: Table = Table {
    groups: &[&TOOLS, &PARAMETERS, &STREAM],
    // The last event of every stream has the usage.
    code: &[P::ToolChoice, P::Reasoning, P::ResponseFormat, P::Logprobs, P::IncludeUsage],
    extra: Some(""),
    known: &[
        "access_programs",
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_tool_calls",
        "metadata",
        "moderation",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "store",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    ],
    objects: &["reasoning", "stream_options", "text"],
    deprecated: &[],
    reason: "Responses has no such parameter",
};

pub(super) const PARAMETERS: Group = Group {
    object: "",
    rows: &[
        &[
            row(P::Model, "model").read_only(),
            row(P::MaxTokens, "max_output_tokens"),
            row(P::Temperature, "temperature"),
            row(P::TopP, "top_p"),
            row(P::TopLogprobs, "top_logprobs"),
        ],
        &[row(P::User, "user"), row(P::ServiceTier, "service_tier").quirk(service_tier)],
        VLLM,
    ],
};

/// Parameters that vLLM adds.
const VLLM: &[Row] = &[
    row(P::TopK, "top_k"),
    row(P::Seed, "seed"),
    row(P::Stop, "stop").or_one_string(),
    row(P::RepetitionPenalty, "repetition_penalty"),
    row(P::LogitBias, "logit_bias"),
];

pub(super) const STREAM: Group = Group { object: "", rows: &[&[row(P::Stream, "stream")]] };
