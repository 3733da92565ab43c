//! Tables of formats other than OpenAI's and of conversions.

use std::fmt::Write;

use super::cells::{distinct, short, versions};
use crate::formats::{Source, Target};
use crate::measure::{Row, Speed};
use crate::subjects::{Measure, SAGEWIRE};

/// A line for each subject, a column for each format.
pub fn table_of_formats(rows: &[Row]) -> String {
    let mut out = format!(
        "{}\nformats: bytes of other formats to text deltas, in reads of 8,192 bytes;\n",
        versions(rows)
    );
    out.push_str("nanoseconds for each event, how many times sagewire's, and allocations for each event\n");
    let mut notes = Vec::new();
    let columns = distinct(rows.iter().map(|row| row.workload));
    line("", &mut columns.iter().map(|column| (*column).to_owned()), &mut out);
    for subject in distinct(rows.iter().map(|row| row.subject.as_str())) {
        let mut cells = columns.iter().map(|column| {
            let of = |subject| find(rows, Measure::Decode, column, |row| row.subject == subject);
            match of(subject).map(|row| (row, &row.outcome)) {
                None => "-".to_owned(),
                Some((_, Ok(speed))) => {
                    let ours = of(SAGEWIRE).and_then(|row| row.outcome.as_ref().ok());
                    format!("{} {:>5.2}", against(speed, ours), speed.allocs_per_event)
                }
                Some((row, Err(fault))) => note(row, fault, &mut notes),
            }
        });
        line(&short(subject), &mut cells, &mut out);
    }
    end(&notes, &mut out);
    out
}

/// A line for each source, a column for each target.
pub fn table_of_pairs(rows: &[Row]) -> String {
    let mut out = format!(
        "{}\npairs: bytes of the format on the left to bytes of that above, in reads of 8,192 bytes;\n",
        versions(rows)
    );
    out.push_str(
        "sagewire's nanoseconds for each event, how many times that the peers take, and allocations of both\n",
    );
    let mut notes = Vec::new();
    line("", &mut Target::ALL.iter().map(|target| target.name().to_owned()), &mut out);
    for source in distinct(rows.iter().map(|row| row.workload)) {
        let mut cells = Target::ALL.into_iter().map(|target| {
            let of = |ours: bool| {
                find(rows, Measure::Pair(target), source, |row| (row.subject == SAGEWIRE) == ours)
            };
            let (Some(ours), Some(theirs)) = (of(true), of(false)) else { return "-".to_owned() };
            match (&ours.outcome, &theirs.outcome) {
                (Ok(ours), Ok(theirs)) => format!(
                    "{:.0} {:>5.2}x {:.2} {:.2}",
                    ours.ns_per_event,
                    theirs.ns_per_event / ours.ns_per_event,
                    ours.allocs_per_event,
                    theirs.allocs_per_event
                ),
                (Err(fault), _) => note(ours, fault, &mut notes),
                (_, Err(fault)) => note(theirs, fault, &mut notes),
            }
        });
        line(source, &mut cells, &mut out);
    }
    let with = Source::ALL.iter().filter_map(|source| {
        let row = find(rows, Measure::Pair(Target::OpenAi), source.name(), |row| row.subject != SAGEWIRE)?;
        Some(format!("{} with {}", source.name(), short(&row.subject)))
    });
    let _ = writeln!(out, "The peers decode {}.", with.collect::<Vec<_>>().join(", "));
    end(&notes, &mut out);
    out
}

fn find<'a>(rows: &'a [Row], measure: Measure, workload: &str, is: impl Fn(&Row) -> bool) -> Option<&'a Row> {
    rows.iter().find(|row| row.measure == measure && row.workload == workload && is(row))
}

fn against(speed: &Speed, ours: Option<&Speed>) -> String {
    let ratio = ours.map_or(f64::NAN, |ours| speed.ns_per_event / ours.ns_per_event);
    format!("{:.0} {ratio:>5.2}x", speed.ns_per_event)
}

fn line(name: &str, cells: &mut dyn Iterator<Item = String>, out: &mut String) {
    let cells: String = cells.map(|cell| format!(" {cell:>22}")).collect();
    let _ = writeln!(out, "{name:38}{cells}");
}

fn note(row: &Row, fault: &str, notes: &mut Vec<String>) -> String {
    let Row { subject, version, workload, measure, .. } = row;
    notes.push(format!("{subject} {version}, {}, {workload}: {fault}", measure.name()));
    format!("[{}]", notes.len())
}

fn end(notes: &[String], out: &mut String) {
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(out, "[{}] {note}", number + 1);
    }
}
