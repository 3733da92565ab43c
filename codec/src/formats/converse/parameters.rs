//! The parameters of a Converse request.

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{Group, Parameter as P, Table, row, write_strings};
use crate::formats::thinking::{temperature, top_k, top_p};
use crate::json::Object;

pub(crate) const TABLE: Table = Table {
    groups: &[&INFERENCE, &ADDITIONAL, &SERVICE_TIER, &PROJECT],
    code: &[P::IncludeUsage, P::User, P::Reasoning, P::ResponseFormat, P::ToolChoice, P::ParallelToolCalls],
    extra: Some(ADDITIONAL.object),
    known: &["thinking"],
    objects: &[
        "inferenceConfig",
        "toolConfig",
        "additionalModelRequestFields",
        "outputConfig",
        "serviceTier",
        "requestMetadata",
    ],
    deprecated: &[],
    reason: "Converse has no such parameter",
};

/// The same where `tool_choice` is written among the parameters of the model.
pub(super) const TABLE_WITH_CHOICE: Table = Table { known: &["thinking", "tool_choice"], ..TABLE };

pub(super) const INFERENCE: Group = Group {
    object: "inferenceConfig",
    rows: &[&[
        row(P::MaxTokens, "maxTokens"),
        row(P::Temperature, "temperature").quirk(temperature),
        row(P::TopP, "topP").quirk(top_p),
        row(P::Stop, "stopSequences").quirk(stop),
    ]],
};

/// Parameters of one model, which have names in other APIs.
pub(super) const ADDITIONAL: Group =
    Group { object: "additionalModelRequestFields", rows: &[&[row(P::TopK, "top_k").quirk(top_k)]] };

pub(super) const SERVICE_TIER: Group =
    Group { object: "serviceTier", rows: &[&[row(P::ServiceTier, "type").quirk(service_tier)]] };

pub(super) const PROJECT: Group = Group { object: "", rows: &[&[row(P::Project, "projectIdentifier")]] };

fn stop(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let mut strings =
        c.request.stop.iter().map(|stop| &*stop.value).filter(|stop| !stop.is_empty()).peekable();
    if strings.peek().is_some() {
        write_strings(object, name, strings);
    }
}

fn service_tier(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let Some(tier) = &c.request.service_tier else { return };
    match &*tier.value {
        "standard_only" => object.string(name, "default"),
        tier @ ("default" | "flex" | "priority" | "reserved") => object.string(name, tier),
        "auto" => {}
        _ => c.report_dropped(tier.offset, "service_tier", "Converse has no such tier"),
    }
}
