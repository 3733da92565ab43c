//! The table of requests.

use std::fmt::Write;

use super::cells::distinct;
use crate::requests::{Cost, Row};

/// A line for each target, a column for each document.
pub fn table_of_requests(rows: &[Row]) -> String {
    let versions = distinct(rows.iter().map(|row| format!("{} {}", row.subject, row.version)));
    let mut out = format!("{}\nrequests: OpenAI's to other formats;\n", versions.join(", "));
    out.push_str(
        "microseconds, how many times as fast as serde_json's Value and back unchanged, and allocations\n",
    );
    let documents = distinct(rows.iter().map(|row| (row.document, row.bytes)));
    let _ = write!(out, "{:38}", "");
    for (document, bytes) in &documents {
        let _ = write!(out, " {:>22}", format!("{document}, {bytes} bytes"));
    }
    out.push('\n');
    let mut notes = Vec::new();
    for target in distinct(rows.iter().map(|row| row.target)) {
        let _ = write!(out, "{:38}", target.unwrap_or("serde_json Value and back"));
        for (document, _) in &documents {
            let of = |target| rows.iter().find(|row| row.document == *document && row.target == target);
            let cost = |row: &Row| row.outcome.as_ref().ok().copied();
            let base = of(None).and_then(cost);
            let cell = match of(target).map(|row| (row, &row.outcome)) {
                None => "-".to_owned(),
                Some((_, Ok(cost))) => cell(cost, base),
                Some((row, Err(fault))) => {
                    notes.push(format!("{document} to {}: {fault}", row.target.unwrap_or(&row.subject)));
                    format!("[{}]", notes.len())
                }
            };
            let _ = write!(out, " {cell:>22}");
        }
        out.push('\n');
    }
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(out, "[{}] {note}", number + 1);
    }
    out
}

fn cell(cost: &Cost, base: Option<Cost>) -> String {
    let ratio = base.map_or(f64::NAN, |base| base.us / cost.us);
    format!("{:.1} {ratio:>5.2}x {:>4}", cost.us, cost.allocs)
}
