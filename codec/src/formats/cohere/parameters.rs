//! The parameters of a chat request.

use crate::formats::parameters::{Group, Parameter as P, Table, row};

pub(crate) const TABLE: Table = Table {
    groups: &[&PARAMETERS],
    // Usage is always reported.
    code: &[P::ToolChoice, P::Reasoning, P::ResponseFormat, P::IncludeUsage],
    extra: Some(""),
    known: &["messages", "response_format", "strict_tools", "thinking", "tool_choice", "tools"],
    objects: &[],
    deprecated: &[],
    reason: "Cohere's chat has no such parameter",
};

/// The ranges are those of the reference.
pub(super) const PARAMETERS: Group = Group {
    object: "",
    rows: &[&[
        row(P::Model, "model").read_only(),
        row(P::MaxTokens, "max_tokens"),
        row(P::Temperature, "temperature"),
        row(P::TopP, "p").range(0.01, 0.99),
        row(P::TopK, "k").skip_neutral(),
        row(P::Seed, "seed"),
        row(P::Stop, "stop_sequences"),
        row(P::FrequencyPenalty, "frequency_penalty").range(0.0, 1.0),
        row(P::PresencePenalty, "presence_penalty").range(0.0, 1.0),
        row(P::Logprobs, "logprobs"),
        row(P::Stream, "stream"),
    ]],
};
