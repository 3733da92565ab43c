//! Results as a grid: a column for each provider, a row for each prompt, test and repetition.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::results::{Check, Outcome, Results, Tokens};

/// The grid.
pub(super) struct Grid<'a> {
    pub(super) columns: Vec<Column<'a>>,
    pub(super) rows: Vec<Row<'a>>,
}

/// A provider.
pub(super) struct Column<'a> {
    /// Its label, otherwise its ID.
    pub(super) name: String,
    pub(super) provider: &'a str,
    pub(super) sums: Sums,
}

/// The sums of a provider.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) errors: usize,
    pub(super) cached: usize,
    pub(super) tokens: Tokens,
    /// `None` without prices.
    pub(super) cost: Option<f64>,
    /// Of the calls that were not cached, in ascending order.
    latencies: Vec<u64>,
}

impl Sums {
    pub(super) fn median_latency(&self) -> Option<u64> {
        self.latencies.get(self.latencies.len().saturating_sub(1) / 2).copied()
    }

    fn add(&mut self, outcome: &Outcome) {
        match Status::of(outcome) {
            Status::Passed => self.passed += 1,
            Status::Failed => self.failed += 1,
            Status::Error => self.errors += 1,
        }
        self.cached += usize::from(outcome.cached);
        if let Some(cost) = outcome.cost {
            *self.cost.get_or_insert_default() += cost;
        }
        if let Some(tokens) = outcome.tokens {
            self.tokens.prompt = self.tokens.prompt.saturating_add(tokens.prompt);
            self.tokens.completion = self.tokens.completion.saturating_add(tokens.completion);
            self.tokens.total = self.tokens.total.saturating_add(tokens.total);
        }
        self.latencies.extend(outcome.latency_ms.filter(|_| !outcome.cached));
    }
}

/// A prompt with the variables of a test.
pub(super) struct Row<'a> {
    pub(super) prompt: &'a str,
    pub(super) prompt_index: usize,
    pub(super) test_index: usize,
    pub(super) repeat_index: usize,
    pub(super) description: Option<&'a str>,
    pub(super) vars: &'a Map<String, Value>,
    /// One for each column. `None`: it was not run.
    pub(super) cells: Vec<Option<&'a Outcome>>,
}

impl<'a> Grid<'a> {
    /// Columns and rows are in the order in which they first occur. A provider that occurs twice with the same label has
    /// two columns.
    pub(super) fn new(results: &'a Results) -> Self {
        let mut grid = Self { columns: Vec::new(), rows: Vec::new() };
        let mut columns = HashMap::new();
        let mut rows = HashMap::new();
        for outcome in &results.results {
            let key = (outcome.test_index, outcome.prompt_index, outcome.repeat_index);
            let row = *rows.entry(key).or_insert_with(|| {
                grid.rows.push(Row::new(outcome));
                grid.rows.len() - 1
            });
            let cells = &mut grid.rows[row].cells;
            let name = outcome.label.as_deref().unwrap_or(&outcome.provider);
            let column = (0..)
                .map(|nth| {
                    *columns.entry((&*outcome.provider, name, nth)).or_insert_with(|| {
                        grid.columns.push(Column::new(&outcome.provider, name, nth));
                        grid.columns.len() - 1
                    })
                })
                .find(|column| cells.get(*column).is_none_or(Option::is_none))
                .expect("each provider can have another column");
            if cells.len() <= column {
                cells.resize(column + 1, None);
            }
            cells[column] = Some(outcome);
            grid.columns[column].sums.add(outcome);
        }
        for row in &mut grid.rows {
            row.cells.resize(grid.columns.len(), None);
        }
        for column in &mut grid.columns {
            column.sums.latencies.sort_unstable();
        }
        grid
    }
}

impl<'a> Column<'a> {
    fn new(provider: &'a str, name: &str, nth: usize) -> Self {
        let name = if nth == 0 { name.to_owned() } else { format!("{name} ({})", nth + 1) };
        Self { name, provider, sums: Sums::default() }
    }
}

impl<'a> Row<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        Self {
            prompt: &outcome.prompt,
            prompt_index: outcome.prompt_index,
            test_index: outcome.test_index,
            repeat_index: outcome.repeat_index,
            description: outcome.description.as_deref(),
            vars: &outcome.vars,
            cells: Vec::new(),
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Passed,
    Failed,
    Error,
}

impl Status {
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome.error {
            Some(_) => Self::Error,
            None if outcome.success => Self::Passed,
            None => Self::Failed,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
        }
    }
}

/// The output as text: text itself, any other value as JSON.
pub(super) fn output(outcome: &Outcome) -> String {
    outcome.output.as_ref().map(text).unwrap_or_default()
}

/// A value as text: text itself, any other value as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => format!("{value:#}"),
    }
}

/// The assertions that have failed, those within sets too. A negated set can fail although each of its assertions has passed, so
/// a set is listed itself if it has failed and none of its assertions has.
pub(super) fn failed_checks(checks: &[Check]) -> Vec<&Check> {
    let mut failed = Vec::new();
    for check in checks.iter().filter(|check| !check.pass) {
        let within = failed_checks(&check.checks);
        match within.is_empty() {
            true => failed.push(check),
            false => failed.extend(within),
        }
    }
    failed
}

/// US dollars, with as many digits as small prices need.
pub(super) fn dollars(cost: f64) -> String {
    let digits = if cost >= 1.0 || cost == 0.0 { 2 } else { 6 };
    format!("${cost:.digits$}")
}

/// Milliseconds below ten seconds, seconds above.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", milliseconds as f64 / 1000.0),
    }
}
