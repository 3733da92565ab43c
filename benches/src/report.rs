//! The numbers as JSON and as a table.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::measure::{READS, Row, SMALL_READ};
use crate::subjects::{Measure, SAGEWIRE};

/// One object: `machine`, and `rows` with a row for each subject, measure, workload and size of reads. A row without a
/// speed has nulls and says why in `fault`.
pub fn json(machine: &Machine, rows: &[Row]) -> Value {
    let round = |number: f64| (number * 1e3).round() / 1e3;
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let speed = row.outcome.as_ref().ok();
            let mut value = json!({
                "measure": row.measure.name(),
                "workload": row.workload,
                "reads": row.reads,
                "subject": row.subject,
                "version": row.version,
                "mb_per_s": speed.map(|speed| round(speed.mb_per_s)),
                "ns_per_event": speed.map(|speed| round(speed.ns_per_event)),
                "allocs_per_event": speed.map(|speed| round(speed.allocs_per_event)),
            });
            if let Err(fault) = &row.outcome {
                value["fault"] = json!(fault);
            }
            value
        })
        .collect();
    json!({ "machine": machine, "rows": rows })
}

/// A block for each measure: nanoseconds an event in each column, and how many times sagewire's that is.
///
/// The smaller reads are shown for the first workload only, to keep the lines short; JSON has all.
pub fn table(machine: &Machine, rows: &[Row]) -> String {
    let mut out = String::new();
    let Machine { cpu, cores, os, rustc, optimised } = machine;
    let _ = writeln!(out, "{cpu}, {cores} cores, {os}, {rustc}");
    let versions = rows.iter().flat_map(|row| row.subject.split(" + ").zip(row.version.split(" + ")));
    let versions = distinct(versions.filter(|(_, version)| !version.is_empty()).map(|(subject, version)| {
        let package = subject.split(' ').next().unwrap_or(subject);
        format!("{package} {version}")
    }));
    let _ = writeln!(out, "{}", versions.join(", "));
    if !optimised {
        out.push_str("Built without optimisations: these numbers mean nothing.\n");
    }
    out.push_str(
        "Nanoseconds for each event, and how many times sagewire's. MB/s and allocations for each event\n",
    );
    out.push_str("are those of the first column. Reads of 8,192 bytes, or as the column says.\n");
    let first = rows.first().map(|row| row.workload);
    let mut notes = Vec::new();
    for measure in Measure::ALL {
        let shown = |row: &&Row| {
            let full = row.reads.is_none_or(|reads| reads == READS[0]);
            row.measure == measure && (full || Some(row.workload) == first)
        };
        let rows: Vec<&Row> = rows.iter().filter(shown).collect();
        if !rows.is_empty() {
            block(measure, &rows, &mut notes, &mut out);
        }
    }
    if !notes.is_empty() {
        out.push('\n');
    }
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(out, "[{}] {note}", number + 1);
    }
    out
}

/// Names as the table has them: the packages of the pipelines are many and long.
fn short(subject: &str) -> String {
    subject.replace("aws-smithy-eventstream + ", "smithy + ").replace("serde_json", "serde")
}

fn block(measure: Measure, rows: &[&Row], notes: &mut Vec<String>, out: &mut String) {
    let columns = distinct(rows.iter().map(|row| (row.workload, row.reads)));
    let subjects = distinct(rows.iter().map(|row| row.subject.as_str()));
    let _ = writeln!(out, "\n{}: {}", measure.name(), measure.about());
    let _ = write!(out, "{:38} {:>6} {:>6}", "", "MB/s", "allocs");
    for (workload, reads) in &columns {
        let name = workload.strip_prefix("openai-").unwrap_or(workload);
        let small = match reads {
            Some(len) if *len == READS[1] => " 1.4K",
            Some(SMALL_READ) => " 128 B",
            _ => "",
        };
        let _ = write!(out, " {:>12}", format!("{name}{small}"));
    }
    out.push('\n');
    for subject in subjects {
        line(subject, &columns, rows, notes, out);
    }
}

fn line(
    subject: &str,
    columns: &[(&str, Option<usize>)],
    rows: &[&Row],
    notes: &mut Vec<String>,
    out: &mut String,
) {
    let find = |column: &(&str, Option<usize>), subject: &str| {
        rows.iter().find(|row| (row.workload, row.reads) == *column && row.subject == subject)
    };
    let _ = write!(out, "{:38}", short(subject));
    let _ = match columns.first().and_then(|column| find(column, subject)) {
        Some(Row { outcome: Ok(speed), .. }) => {
            write!(out, " {:>6.0} {:>6.2}", speed.mb_per_s, speed.allocs_per_event)
        }
        _ => write!(out, " {:>6} {:>6}", "-", "-"),
    };
    for column in columns {
        let ours = find(column, SAGEWIRE).and_then(|row| row.outcome.as_ref().ok());
        let cell = match find(column, subject).map(|row| (row, &row.outcome)) {
            None => "-".to_owned(),
            Some((_, Ok(speed))) => match ours {
                Some(ours) => {
                    format!("{:.0} {:>5.2}x", speed.ns_per_event, speed.ns_per_event / ours.ns_per_event)
                }
                None => format!("{:.0}", speed.ns_per_event),
            },
            Some((row, Err(fault))) => {
                let at = row.reads.map_or(String::new(), |reads| format!(", reads of {reads}"));
                let Row { subject, version, workload, .. } = row;
                let measure = row.measure.name();
                notes.push(format!("{subject} {version}, {measure}, {workload}{at}: {fault}"));
                format!("[{}]", notes.len())
            }
        };
        let _ = write!(out, " {cell:>12}");
    }
    out.push('\n');
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}
