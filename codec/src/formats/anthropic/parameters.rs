//! The parameters of a Messages request.

use alloc::format;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{Group, Parameter as P, Table, row, write_strings};
use crate::formats::thinking::{temperature, top_k, top_p};
use crate::json::Object;
use crate::model::Outcome;

pub(crate) const TABLE: Table = Table {
    groups: &[&MAX_TOKENS, &SAMPLING, &METADATA, &SERVICE_TIER],
    code: &[P::IncludeUsage, P::Reasoning, P::ResponseFormat, P::ToolChoice, P::ParallelToolCalls],
    extra: Some(""),
    known: &[
        "anthropic_beta",
        "anthropic_version",
        "betas",
        "billing_policy",
        "cache_control",
        "compaction",
        "container",
        "context_management",
        "diagnostics",
        "fallback_credit_token",
        "fallbacks",
        "inference_geo",
        "mcp_servers",
        "messages",
        "metadata",
        "output_config",
        "speed",
        "system",
        "thinking",
        "thread",
        "tool_choice",
        "tools",
        "user_profile_id",
        "workspace_id",
    ],
    objects: &["metadata", "output_config"],
    deprecated: &[],
    reason: "Anthropic has no such parameter",
};

pub(super) const MAX_TOKENS: Group = Group {
    object: "",
    rows: &[&[row(P::Model, "model").read_only(), row(P::MaxTokens, "max_tokens").quirk(max_tokens)]],
};

pub(super) const SAMPLING: Group = Group {
    object: "",
    rows: &[&[
        row(P::Temperature, "temperature").quirk(temperature),
        row(P::TopP, "top_p").quirk(top_p),
        row(P::TopK, "top_k").quirk(top_k),
        row(P::Stop, "stop_sequences").quirk(stop),
        row(P::Stream, "stream"),
    ]],
};

pub(super) const METADATA: Group = Group { object: "metadata", rows: &[&[row(P::User, "user_id")]] };

pub(super) const SERVICE_TIER: Group =
    Group { object: "", rows: &[&[row(P::ServiceTier, "service_tier").quirk(service_tier)]] };

/// The token limit of a response if the request has none, in addition to the tokens for its reasoning.
const DEFAULT_MAX_TOKENS: u64 = 4096;

fn max_tokens(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let tokens = c.max_tokens().unwrap_or_else(|| {
        let budget = c.request.reasoning.as_ref().and_then(|reasoning| reasoning.value.budget_tokens);
        let tokens = DEFAULT_MAX_TOKENS.saturating_add(budget.unwrap_or(0));
        c.report(None, "max_tokens", Outcome::Defaulted, format!("Anthropic requires a number: {tokens}"));
        tokens
    });
    object.integer(name, tokens);
}

fn stop(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let is_blank = |text: &str| text.trim().is_empty();
    for stop in c.request.stop.iter().filter(|stop| is_blank(&stop.value)) {
        c.report_dropped(stop.offset, "stop", "Anthropic takes no blank stop strings");
    }
    let mut strings =
        c.request.stop.iter().map(|stop| &*stop.value).filter(|stop| !is_blank(stop)).peekable();
    if strings.peek().is_some() {
        write_strings(object, name, strings);
    }
}

fn service_tier(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let Some(tier) = &c.request.service_tier else { return };
    match &*tier.value {
        "auto" => object.string(name, "auto"),
        "default" | "standard_only" => object.string(name, "standard_only"),
        _ => c.report_dropped(tier.offset, "service_tier", "Anthropic has no such tier"),
    }
}
