//! A table that fits a terminal.

use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::presets::UTF8_FULL;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width};

use super::grid::{Column, Grid, Row, Status, dollars, duration, failed_checks, output, text};
use crate::results::{Outcome, Results};
use crate::visible;

/// The narrowest readable column.
const COLUMN_WIDTH_MIN: usize = 16;
/// A border, and a space on each side of a cell.
const BORDER: usize = 3;

/// How a table looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether cells are coloured.
    pub colors: bool,
    /// The number of characters after which an output is shortened.
    pub output_len: usize,
    /// The number of rows after which the table ends.
    pub rows: usize,
}

impl Default for Style {
    /// 80 columns without colours, 250 characters of each output, 50 rows.
    fn default() -> Self {
        Self { width: 80, colors: false, output_len: 250, rows: 50 }
    }
}

/// The results as a table with a column for each provider. If they do not fit beside each other, the table has one
/// row for each call instead.
///
/// Control characters of outputs are shown, not sent.
pub fn table(results: &Results, style: &Style) -> String {
    let grid = Grid::new(results);
    if grid.columns.is_empty() {
        return String::new();
    }
    let width_min = (grid.columns.len() + 1) * (COLUMN_WIDTH_MIN + BORDER) + 1;
    let mut table = match style.width >= width_min {
        true => side_by_side(&grid, style),
        false => stacked(&grid, style),
    };
    table.load_preset(UTF8_FULL).apply_modifier(UTF8_ROUND_CORNERS);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(style.width).unwrap_or(u16::MAX));
    match style.colors {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    let mut out = table.to_string();
    out.push('\n');
    if let Some(more) = grid.rows.len().checked_sub(style.rows).filter(|more| *more > 0) {
        out += &format!("{more} more rows are in the reports.\n");
    }
    out
}

fn side_by_side(grid: &Grid<'_>, style: &Style) -> Table {
    let mut table = Table::new();
    table.set_header(
        std::iter::once(Cell::new("Prompt")).chain(grid.columns.iter().map(|column| header(column))),
    );
    for row in grid.rows.iter().take(style.rows) {
        let cells = row.cells.iter().map(|outcome| cell(*outcome, style));
        table.add_row(std::iter::once(Cell::new(prompt(row, style))).chain(cells));
    }
    // Equal columns, whatever is in them: the outputs are to be compared.
    let share = style.width.saturating_sub(1) / (grid.columns.len() + 1);
    let share = u16::try_from(share.saturating_sub(1)).unwrap_or(u16::MAX);
    for column in table.column_iter_mut() {
        column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(share)));
    }
    table
}

fn stacked(grid: &Grid<'_>, style: &Style) -> Table {
    let mut table = Table::new();
    table.set_header(["Results"]);
    for row in grid.rows.iter().take(style.rows) {
        table.add_row([Cell::new(prompt(row, style))]);
        for (column, outcome) in grid.columns.iter().zip(&row.cells) {
            let Some(outcome) = *outcome else { continue };
            let content = format!("{}\n{}", visible::line(&column.name), content(outcome, style));
            table.add_row([colored(content, outcome)]);
        }
    }
    table
}

fn header(column: &Column<'_>) -> Cell {
    let sums = &column.sums;
    let all = sums.passed + sums.failed + sums.errors;
    let mut text = format!("{}\n{} of {all} passed", visible::line(&column.name), sums.passed);
    if let Some(latency) = sums.median_latency() {
        text += &format!(", median {}", duration(latency));
    }
    if let Some(cost) = sums.cost {
        text += &format!(", {}", dollars(cost));
    }
    Cell::new(text).add_attribute(Attribute::Bold)
}

fn prompt(row: &Row<'_>, style: &Style) -> String {
    let mut out = String::new();
    if let Some(description) = row.description {
        out += &format!("{}\n", visible::line(description));
    }
    out += &shortened(row.prompt, style.output_len);
    for (name, value) in row.vars {
        out += &format!("\n{} = {}", visible::line(name), visible::line(&shortened(&text(value), 60)));
    }
    if row.repeat_index > 0 {
        out += &format!("\nrepetition {}", row.repeat_index + 1);
    }
    out
}

fn cell(outcome: Option<&Outcome>, style: &Style) -> Cell {
    match outcome {
        Some(outcome) => colored(content(outcome, style), outcome),
        None => Cell::new("not run"),
    }
}

fn colored(content: String, outcome: &Outcome) -> Cell {
    let cell = Cell::new(content);
    match Status::of(outcome) {
        Status::Passed => cell.fg(Color::Green),
        Status::Failed => cell.fg(Color::Red),
        Status::Error => cell.fg(Color::Yellow),
    }
}

fn content(outcome: &Outcome, style: &Style) -> String {
    let mut out = match Status::of(outcome) {
        Status::Passed => "[PASS]".to_owned(),
        Status::Failed => "[FAIL]".to_owned(),
        Status::Error => "[ERROR]".to_owned(),
    };
    if let Some(error) = &outcome.error {
        out += &format!(" {}", shortened(error, style.output_len));
    }
    for check in failed_checks(&outcome.checks) {
        let reason = shortened(&check.reason, style.output_len);
        out += &format!(" {}: {reason}\n", visible::line(&check.kind));
    }
    let output = output(outcome);
    if !output.is_empty() {
        if !out.ends_with('\n') {
            out.push(' ');
        }
        out += &shortened(&output, style.output_len);
    }
    out.trim_end().to_owned()
}

/// The first characters of a text, with an ellipsis if there are more. Control characters are shown; line feeds stay.
fn shortened(text: &str, len_max: usize) -> String {
    let text = text.trim();
    let end = text.char_indices().nth(len_max).map_or(text.len(), |(end, _)| end);
    let mut bytes = text.as_bytes()[..end].to_vec();
    let mut out = String::new();
    visible::text(&mut bytes, &mut out);
    // A tab has no width of its own, so a cell with one would be too wide.
    let mut out = out.replace('\t', "    ");
    if end < text.len() {
        out.push('…');
    }
    out
}
