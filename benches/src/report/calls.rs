//! Tables and JSON of whole calls.

use std::fmt::Write;

use serde_json::{Value, json};

use super::cells::{distinct, round};
use crate::calls::{Plan, Row, Way};

pub(super) fn json(row: &Row) -> Value {
    let cost = row.outcome.as_ref().ok();
    let mut value = json!({
        "way": row.way.name(),
        "subject": row.subject,
        "version": row.version,
        "decodes": row.decodes,
        "ns_per_token": cost.map(|cost| round(cost.ns_per_token)),
        "first_us": cost.map(|cost| round(cost.first_us)),
    });
    if let Err(fault) = &row.outcome {
        value["fault"] = json!(fault);
    }
    value
}

/// A line for each caller, and two columns for each kind of response.
pub fn table_of_calls(plan: &Plan, rows: &[Row]) -> String {
    let versions = distinct(rows.iter().flat_map(|row| {
        let packages = row.subject.split(" + ").zip(row.version.split(" + "));
        packages
            .map(|(package, version)| format!("{} {version}", package.split(' ').next().unwrap_or(package)))
    }));
    let mut out = format!(
        "{}\ncalls: {} tokens over loopback, each of {} calls; nanoseconds of the client's thread on a processor for\n\
         each token, how many times the first line's, and microseconds to the first event\n{:45}",
        versions.join(", "),
        plan.tokens,
        plan.calls,
        ""
    );
    for way in Way::ALL {
        let _ = write!(out, " {:>14} {:>8}", way.name(), "first");
    }
    out.push('\n');
    let mut notes = Vec::new();
    let subjects = distinct(rows.iter().map(|row| row.subject.as_str()));
    for subject in &subjects {
        let _ = write!(out, "{subject:45}");
        for way in Way::ALL {
            let find = |subject: &str| rows.iter().find(|row| row.way == way && row.subject == subject);
            let ours = subjects.first().and_then(|first| find(first)?.outcome.as_ref().ok());
            let (cell, first) = match find(subject).map(|row| &row.outcome) {
                None => ("-".to_owned(), String::new()),
                Some(Ok(cost)) => {
                    let ratio = ours.map_or(f64::NAN, |ours| cost.ns_per_token / ours.ns_per_token);
                    (format!("{:.0} {ratio:>5.2}x", cost.ns_per_token), format!("{:.0}", cost.first_us))
                }
                Some(Err(fault)) => {
                    notes.push(format!("{subject}, {}: {fault}", way.name()));
                    (format!("[{}]", notes.len()), String::new())
                }
            };
            let _ = write!(out, " {cell:>14} {first:>8}");
        }
        out.push('\n');
    }
    for way in Way::ALL {
        let _ = writeln!(out, "{:7} {}", way.name(), way.about());
    }
    out.push_str("dropped: everything arrives, and nobody decodes it.\n");
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(out, "[{}] {note}", number + 1);
    }
    out
}
