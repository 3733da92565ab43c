//! CSV: one line for each call.

use std::borrow::Cow;
use std::io;

use super::grid::{Status, failed_checks, output};
use crate::results::{Outcome, Results};

const HEADER: [&str; 19] = [
    "test",
    "prompt_index",
    "repeat",
    "provider",
    "label",
    "description",
    "vars",
    "prompt",
    "status",
    "score",
    "output",
    "reasons",
    "latency_ms",
    "cached",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost",
    "finish_reason",
];

/// The results as CSV.
pub(super) fn evaluation(results: &Results) -> io::Result<Vec<u8>> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for outcome in &results.results {
        writer.write_record(record(outcome).iter().map(|field| field.as_bytes()))?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

fn record(outcome: &Outcome) -> [Cow<'_, str>; 19] {
    let reasons = match &outcome.error {
        Some(error) => error.clone(),
        None => failed_checks(&outcome.checks)
            .iter()
            .map(|check| format!("{}: {}", check.kind, check.reason))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    let vars = match outcome.vars.is_empty() {
        true => String::new(),
        false => serde_json::Value::Object(outcome.vars.clone()).to_string(),
    };
    let tokens = |count: fn(&crate::results::Tokens) -> u64| number(outcome.tokens.as_ref().map(count));
    [
        number(Some(outcome.test_index)),
        number(Some(outcome.prompt_index)),
        number(Some(outcome.repeat_index)),
        text(&outcome.provider),
        text(outcome.label.as_deref().unwrap_or_default()),
        text(outcome.description.as_deref().unwrap_or_default()),
        text(vars),
        text(&outcome.prompt),
        Status::of(outcome).name().into(),
        number(Some(outcome.score)),
        text(output(outcome)),
        text(reasons),
        number(outcome.latency_ms),
        number(Some(outcome.cached)),
        tokens(|tokens| tokens.prompt),
        tokens(|tokens| tokens.completion),
        tokens(|tokens| tokens.total),
        number(outcome.cost),
        text(outcome.finish_reason.as_deref().unwrap_or_default()),
    ]
}

fn number<'a>(value: Option<impl ToString>) -> Cow<'a, str> {
    value.map(|value| value.to_string()).unwrap_or_default().into()
}

/// Text that a spreadsheet would run as a formula gets an apostrophe, as OWASP recommends: a model must not be able to
/// run one. Numbers stay numbers.
pub(super) fn text<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let text = text.into();
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    if is_formula { format!("'{text}").into() } else { text }
}
