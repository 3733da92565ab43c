//! Writes the results as JSON and as tables.

mod calls;
mod cells;
mod formats;
mod gateway;
mod requests;

use std::fmt::Write;

use serde_json::{Value, json};

use crate::lost::{Ending, Recovered, Variant};
use crate::machine::Machine;
use crate::measure::{READS, Row, SMALL_READ};
use crate::streams;
use crate::subjects::{Measure, SAGEWIRE};

use self::cells::{distinct, round, short, versions};

pub use self::calls::table_of_calls;
pub use self::formats::{table_of_formats, table_of_pairs};
pub use self::gateway::table_of_gateway;
pub use self::requests::table_of_requests;

/// All results. Measurements that were not requested are empty.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// A row for each subject, measure, workload and read size.
    pub speed: Vec<Row>,
    /// The same for formats other than OpenAI's.
    pub formats: Vec<Row>,
    /// The same for conversions: the workload is the source, the measure has the target.
    pub pairs: Vec<Row>,
    /// A row for each request document and target, and for the baseline.
    pub requests: Vec<crate::requests::Row>,
    /// A row for each subject that decodes many interleaved streams.
    pub streams: Vec<streams::Row>,
    /// A row for each subject that calls an endpoint, and for each kind of response.
    pub calls: Vec<crate::calls::Row>,
    /// The gateway under load.
    pub gateway: crate::gateway::Results,
    /// A row for each subject and variant of a stream.
    pub recovered: Vec<Recovered>,
}

impl Results {
    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        let Self { speed, formats, pairs, requests, streams, calls, gateway, recovered } = self;
        [speed, formats, pairs].into_iter().all(Vec::is_empty)
            && requests.is_empty()
            && streams.is_empty()
            && calls.is_empty()
            && gateway.rows.is_empty()
            && recovered.is_empty()
    }
}

/// One object: `machine`, `rows` with the speeds, and the other fields of [`Results`] under their names.
///
/// A row without a speed has nulls, and the reason in `fault`.
pub fn json(machine: &Machine, results: &Results) -> Value {
    fn all<T>(rows: &[T], json: fn(&T) -> Value) -> Vec<Value> {
        rows.iter().map(json).collect()
    }
    json!({
        "machine": machine,
        "rows": all(&results.speed, json_of_row),
        "formats": all(&results.formats, json_of_row),
        "pairs": all(&results.pairs, json_of_row),
        "requests": all(&results.requests, json_of_request),
        "streams": all(&results.streams, json_of_streams),
        "calls": all(&results.calls, calls::json),
        "gateway": gateway::json(&results.gateway),
        "recovered": all(&results.recovered, json_of_recovered),
    })
}

fn json_of_row(row: &Row) -> Value {
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
}

fn json_of_request(row: &crate::requests::Row) -> Value {
    let cost = row.outcome.as_ref().ok();
    let mut value = json!({
        "document": row.document,
        "bytes": row.bytes,
        "target": row.target,
        "subject": row.subject,
        "version": row.version,
        "mb_per_s": cost.map(|cost| round(row.bytes as f64 / cost.us)),
        "us": cost.map(|cost| round(cost.us)),
        "allocs": cost.map(|cost| cost.allocs),
    });
    if let Err(fault) = &row.outcome {
        value["fault"] = json!(fault);
    }
    value
}

fn json_of_streams(row: &streams::Row) -> Value {
    let cost = row.outcome.as_ref().ok();
    let mut value = json!({
        "subject": row.subject,
        "version": row.version,
        "alone_mb_per_s": cost.map(|cost| round(cost.alone)),
        "in_a_row_mb_per_s": cost.map(|cost| round(cost.in_a_row)),
        "in_turn_mb_per_s": cost.map(|cost| round(cost.in_turn)),
        "ratio": cost.map(|cost| round(cost.ratio())),
        "bytes_per_stream": cost.map(|cost| round(cost.bytes_per_stream)),
    });
    if let Err(fault) = &row.outcome {
        value["fault"] = json!(fault);
    }
    value
}

fn json_of_recovered(row: &Recovered) -> Value {
    let mut value = json!({
        "variant": row.variant,
        "subject": row.subject,
        "version": row.version,
        "recovered": row.recovered,
        "arrived": row.arrived,
        "sent": row.sent,
        "ending": row.ending.name(),
    });
    if let Ending::Error(fault) = &row.ending {
        value["fault"] = json!(fault);
    }
    value
}

/// The machine of the measurements.
pub fn machine(machine: &Machine) -> String {
    let Machine { cpu, cores, os, rustc, optimised } = machine;
    let warning = "Built without optimisations: these numbers mean nothing.\n";
    format!("{cpu}, {cores} cores, {os}, {rustc}\n{}", if *optimised { "" } else { warning })
}

/// A block for each measure, with nanoseconds per event and the ratio to sagewire in each column.
///
/// Smaller reads are shown for the first workload only, to keep the lines short; the JSON has all.
pub fn table(rows: &[Row]) -> String {
    let mut out = versions(rows) + "\n";
    out.push_str(
        "Nanoseconds for each event, and how many times sagewire's. MB/s and allocations for each event\n",
    );
    out.push_str("are those of the first column. Reads of 8,192 bytes, or as the column says.\n");
    let first = rows.first().map(|row| row.workload);
    let mut notes = Vec::new();
    for measure in Measure::SPEED {
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

/// Many interleaved streams, compared with one alone.
pub fn table_of_streams(plan: &streams::Plan, rows: &[streams::Row]) -> String {
    let mut out = format!(
        "streams: {} at once, a frame of each in turn; MB/s, and how much that is of one long stream's\n{:38}",
        plan.streams, ""
    );
    for column in ["alone", "in a row", "in turn", "ratio", "bytes each"] {
        let _ = write!(out, " {column:>10}");
    }
    out.push('\n');
    for row in rows {
        let _ = write!(out, "{:38}", short(&row.subject));
        let _ = match &row.outcome {
            Ok(cost) => writeln!(
                out,
                " {:>10.0} {:>10.0} {:>10.0} {:>9.2}x {:>10.0}",
                cost.alone,
                cost.in_a_row,
                cost.in_turn,
                cost.ratio(),
                cost.bytes_per_stream
            ),
            Err(fault) => writeln!(out, " {fault}"),
        };
    }
    out
}

/// Tokens that each subject recovers from each variant, and the ending that it reports.
pub fn table_of_lost(variants: &[Variant], rows: &[Recovered]) -> String {
    let line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|cell| format!(" {cell:>10}")).collect();
        format!("{name:38}{cells}\n")
    };
    let sent = rows.first().map_or(0, |row| row.sent);
    let mut out =
        format!("lost: tokens recovered of {sent}, in reads of 1 to 4,096 bytes, and how the stream ended\n");
    out += &line("", &mut variants.iter().map(|variant| variant.name.to_owned()));
    out += &line("in the bytes", &mut variants.iter().map(|variant| variant.arrived.to_string()));
    let subjects = distinct(rows.iter().map(|row| row.subject.as_str()));
    for subject in &subjects {
        let of_subject = || rows.iter().filter(|row| row.subject == *subject);
        out += &line(&short(subject), &mut of_subject().map(|row| row.recovered.to_string()));
        out += &line("", &mut of_subject().map(|row| row.ending.name().to_owned()));
    }
    out.push_str(
        "complete: says complete, and all of the answer is there. silent: says complete, but tokens are missing.\n\
         error: says that something is missing or wrong. No peer knows of [DONE]; their glue here does, and makes the\n\
         error where it is missing. By the letter of the standard, no-blank is one event that never ends.\n\n",
    );
    for Variant { name, about, .. } in variants {
        let _ = writeln!(out, "{name:10} {about}");
        let fault = |row: &Recovered| match &row.ending {
            Ending::Error(fault) if row.variant == *name => Some(fault.clone()),
            _ => None,
        };
        let faults: Vec<String> = rows.iter().filter_map(fault).collect();
        for fault in distinct(faults.iter()) {
            let count = faults.iter().filter(|other| *other == fault).count();
            let _ = writeln!(out, "{:10} error of {count} of {}: {fault}", "", subjects.len());
        }
    }
    out
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
