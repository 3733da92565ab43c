//! Self-contained HTML: no resource is loaded, so a report works from a file system, and offline.
//!
//! The texts of models are hostile: everything is escaped, control characters are shown, and the policy of the page allows only
//! its own style and script, by their hashes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::grid::{Column, Grid, Row, Status, dollars, duration, failed_checks, output, text};
use crate::results::{Check, Outcome, Results};
use crate::visible;

pub use super::load_page::load;

const BASE_STYLE: &str = include_str!("html/base.css");
const PAGE: &str = include_str!("html/page.html");

/// The results of an evaluation as one HTML file: prompts and providers side by side. It can be filtered and searched, and shows the
/// differences of two providers. Reading it needs no JavaScript.
pub fn evaluation(results: &Results) -> String {
    let grid = Grid::new(results);
    let columns = grid.columns.len();
    let style = format!(
        "{BASE_STYLE}{}",
        // The columns are beside each other where there is room for all of them.
        include_str!("html/evaluation.css")
            .replace("WIDTH_MIN", &(15 + 18 * columns).to_string())
            .replace("COLUMNS", &columns.max(1).to_string())
    );
    let data = json!({
        "timestamp": line(&results.timestamp),
        "stats": results.stats,
        "total": results.results.len(),
        "columns": grid.columns.iter().map(column).collect::<Vec<_>>(),
        "rows": grid.rows.iter().map(row).collect::<Vec<_>>(),
    });
    let title = results.description.as_deref().map_or_else(|| "Evaluation".into(), line);
    page(&title, include_str!("html/evaluation.html"), &style, include_str!("html/evaluation.js"), &data)
}

/// A page with a body, and with its own style and script only.
pub(super) fn page(title: &str, body: &str, style: &str, script: &str, data: &Value) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // A line with nothing but a block is no line of the page.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the default ones"));
    environment.add_template("page.html", PAGE).expect("the page is a template");
    environment.add_template("body.html", body).expect("the body is a template");
    let data = json!({
        "title": title,
        "style": style,
        "script": script,
        "style_hash": hash(style),
        "script_hash": hash(script),
        "version": env!("CARGO_PKG_VERSION"),
        "report": data,
    });
    let template = environment.get_template("body.html").expect("it was added");
    template.render(minijinja::Value::from(Serde(data))).expect("the template uses no value that is missing")
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// Text with its lines, and with control characters shown.
fn lines(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut out = String::new();
    visible::text(&mut bytes, &mut out);
    out
}

pub(super) fn line(text: &str) -> String {
    visible::line(text)
}

fn column(column: &Column<'_>) -> Value {
    let sums = &column.sums;
    let total = sums.passed + sums.failed + sums.errors;
    let percent = |count: usize| count as f64 * 100.0 / total.max(1) as f64;
    json!({
        "name": line(&column.name),
        "provider": line(column.provider),
        "total": total,
        "passed": sums.passed,
        "failed": sums.failed,
        "errors": sums.errors,
        "cached": sums.cached,
        "passed_percent": percent(sums.passed),
        "failed_percent": percent(sums.failed),
        "errors_percent": percent(sums.errors),
        "latency": sums.median_latency().map(duration),
        "tokens": sums.tokens,
        "cost": sums.cost.map(dollars),
    })
}

fn row(row: &Row<'_>) -> Value {
    let mut statuses: Vec<_> = row.cells.iter().flatten().map(|outcome| Status::of(outcome).name()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let vars = row.vars.iter().map(|(name, value)| (line(name), lines(&text(value))));
    json!({
        "statuses": statuses.join(" "),
        "test": row.test_index + 1,
        "prompt_number": row.prompt_index + 1,
        "repetition": (row.repeat_index > 0).then_some(row.repeat_index + 1),
        "description": row.description.map(line),
        "prompt": lines(row.prompt),
        "vars": vars.collect::<Vec<_>>(),
        "cells": row.cells.iter().map(|outcome| outcome.map(cell)).collect::<Vec<_>>(),
    })
}

fn cell(outcome: &Outcome) -> Value {
    let output = output(outcome);
    let length = output.chars().count();
    let is_long = length > 700 || output.lines().count() > 12;
    json!({
        "status": Status::of(outcome).name(),
        "output": outcome.output.as_ref().map(|_| lines(&output)),
        "long": is_long.then_some(length),
        "error": outcome.error.as_deref().map(lines),
        "reasons": failed_checks(&outcome.checks).into_iter().map(Assertion::new).collect::<Vec<_>>(),
        "passed": outcome.checks.iter().filter(|check| check.pass).count(),
        "checks": outcome.checks.iter().map(Assertion::new).collect::<Vec<_>>(),
        "score": decimal(outcome.score),
        "latency": outcome.latency_ms.map(duration),
        "tokens": outcome.tokens,
        "cost": outcome.cost.map(dollars),
        "cached": outcome.cached,
        // Any other reason, such as `length`, explains a response.
        "finish_reason": outcome.finish_reason.as_deref().filter(|reason| *reason != "stop").map(line),
    })
}

#[derive(Serialize)]
struct Assertion {
    kind: String,
    pass: bool,
    score: String,
    reason: String,
    metric: Option<String>,
    checks: Vec<Assertion>,
}

impl Assertion {
    fn new(check: &Check) -> Self {
        Self {
            kind: line(&check.kind),
            pass: check.pass,
            score: decimal(check.score),
            reason: lines(&check.reason),
            metric: check.metric.as_deref().map(line),
            checks: check.checks.iter().map(Self::new).collect(),
        }
    }
}

/// At most two decimals.
fn decimal(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
