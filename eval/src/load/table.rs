//! The results of a load test as a table that fits a terminal.

use std::fmt::Write as _;

use super::results::{Latency, Level, LoadReport};
use crate::visible;

/// Spaces between two columns.
const GAP: usize = 2;

/// A column: its heading in two lines, how soon it is left out if there is no room, and its cells.
struct Column {
    head: [&'static str; 2],
    /// Columns with a higher number are left out first.
    rank: u8,
    cell: fn(&Level) -> String,
}

const COLUMNS: [Column; 18] = [
    Column { head: ["", "load"], rank: 0, cell: load },
    Column { head: ["", "complete"], rank: 0, cell: complete },
    Column { head: ["", "req/s"], rank: 0, cell: |level| short(level.request_throughput) },
    Column { head: ["", "tok/s"], rank: 0, cell: |level| short(level.output_token_throughput) },
    Column { head: ["", "goodput"], rank: 0, cell: |level| level.goodput.map_or(String::new(), short) },
    Column { head: ["ttft ms", "mean"], rank: 5, cell: |level| of(&level.ttft, |of| of.mean) },
    Column { head: ["ttft ms", "p50"], rank: 0, cell: |level| of(&level.ttft, |of| of.p50) },
    Column { head: ["ttft ms", "p90"], rank: 3, cell: |level| of(&level.ttft, |of| of.p90) },
    Column { head: ["ttft ms", "p99"], rank: 0, cell: |level| of(&level.ttft, |of| of.p99) },
    Column { head: ["tpot ms", "p50"], rank: 2, cell: |level| of(&level.tpot, |of| of.p50) },
    Column { head: ["tpot ms", "p90"], rank: 4, cell: |level| of(&level.tpot, |of| of.p90) },
    Column { head: ["tpot ms", "p99"], rank: 2, cell: |level| of(&level.tpot, |of| of.p99) },
    Column { head: ["itl ms", "p50"], rank: 1, cell: |level| of(&level.itl, |of| of.p50) },
    Column { head: ["itl ms", "p90"], rank: 4, cell: |level| of(&level.itl, |of| of.p90) },
    Column { head: ["itl ms", "p99"], rank: 0, cell: |level| of(&level.itl, |of| of.p99) },
    Column { head: ["e2el ms", "p50"], rank: 1, cell: |level| of(&level.e2el, |of| of.p50) },
    Column { head: ["e2el ms", "p90"], rank: 4, cell: |level| of(&level.e2el, |of| of.p90) },
    Column { head: ["e2el ms", "p99"], rank: 1, cell: |level| of(&level.e2el, |of| of.p99) },
];

/// A table for each target, of at most `width` columns of the terminal where that is possible, followed by what is not a
/// latency: how requests ended that are not complete, and what has to be known to read the figures.
pub fn table(report: &LoadReport, width: usize) -> String {
    let mut text = String::new();
    let levels: Vec<&Level> = report.targets.iter().flat_map(|target| &target.levels).collect();
    let columns = columns(&levels, width);
    for target in &report.targets {
        let _ = writeln!(text, "{}", visible::line(&target.name));
        for line in 0..2 {
            row(&mut text, columns.iter().map(|(column, width)| (column.head[line].to_owned(), *width)));
        }
        for level in &target.levels {
            row(&mut text, columns.iter().map(|(column, width)| ((column.cell)(level), *width)));
        }
        for level in &target.levels {
            notes(level).iter().for_each(|note| {
                let _ = writeln!(text, "  {}: {note}", load(level));
            });
        }
        text.push('\n');
    }
    if let Some(overhead) = &report.overhead {
        let _ = writeln!(
            text,
            "client: at {} streams of {} tokens/s it changes the p99 of itl by {:+.2} ms ({:.2} ms sent, {:.2} ms measured); \
             tokens arrive {:.2} ms (p50) and {:.2} ms (p99) after they were sent",
            overhead.streams,
            overhead.tokens_per_second.round(),
            overhead.itl_p99_distortion,
            overhead.itl_p99_sent,
            overhead.itl_p99_measured,
            overhead.delay_p50,
            overhead.delay_p99,
        );
    }
    text
}

/// The columns that have cells and fit, with their widths.
fn columns(levels: &[&Level], width: usize) -> Vec<(&'static Column, usize)> {
    let mut columns: Vec<(&Column, usize)> = COLUMNS
        .iter()
        .filter(|column| levels.iter().any(|level| !(column.cell)(level).is_empty()))
        .map(|column| {
            let cells = levels.iter().map(|level| (column.cell)(level).chars().count());
            let head = column.head.iter().map(|line| line.len());
            (column, cells.chain(head).max().unwrap_or(0))
        })
        .collect();
    while columns.iter().map(|(_, width)| width + GAP).sum::<usize>() > width {
        let Some(rank) = columns.iter().map(|(column, _)| column.rank).max().filter(|rank| *rank > 0) else {
            break;
        };
        columns.retain(|(column, _)| column.rank < rank);
    }
    columns
}

fn row(text: &mut String, cells: impl Iterator<Item = (String, usize)>) {
    let line: String = cells.map(|(cell, width)| format!("{:GAP$}{cell:>width$}", "")).collect();
    text.push_str(line.trim_end());
    text.push('\n');
}

fn load(level: &Level) -> String {
    match (level.concurrency, level.rate) {
        (Some(concurrency), _) => concurrency.to_string(),
        (None, Some(rate)) => format!("{rate}/s"),
        (None, None) => String::new(),
    }
}

fn complete(level: &Level) -> String {
    format!("{}/{}", level.endings.complete, level.requests)
}

fn of(latency: &Option<Latency>, statistic: fn(&Latency) -> f64) -> String {
    latency.as_ref().map_or(String::new(), |latency| short(statistic(latency)))
}

/// A number with about three digits.
fn short(number: f64) -> String {
    match number {
        number if number < 9.995 => format!("{number:.2}"),
        number if number < 99.95 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

/// What has to be known to read the figures of a level.
fn notes(level: &Level) -> Vec<String> {
    let mut notes = Vec::new();
    let endings = level.endings.iter().filter(|(name, count)| *name != "complete" && *count > 0);
    let endings: Vec<String> = endings.map(|(name, count)| format!("{count} {name}")).collect();
    if !endings.is_empty() {
        let errors = level.errors.iter().map(|(name, count)| format!("{} {count}", visible::line(name)));
        notes.push(format!("{} ({})", endings.join(", "), errors.collect::<Vec<_>>().join(", ")));
    }
    let counted = [
        (level.empty, "complete without output, and without latencies"),
        (level.retried, "sent more than once: their latencies have the time of all attempts"),
        (level.throttles, "attempts throttled"),
        (level.counted_by_events, "complete without token counts: their events with output are counted"),
    ];
    notes.extend(
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
    );
    if let Some(schedule) = level.schedule.filter(|schedule| schedule.late > 0) {
        notes.push(format!(
            "the client did not keep the schedule: {} sent late, up to {:.0} ms; latencies count from their time",
            schedule.late, schedule.max_delay_ms
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::results::{Endings, Schedule, Target};

    fn report() -> LoadReport {
        let latency = |p50: f64| {
            Some(Latency { count: 9, mean: p50, p50, p90: 2.0 * p50, p99: 3.0 * p50, ..Latency::default() })
        };
        let level = |concurrency| Level {
            concurrency: Some(concurrency),
            requests: 200,
            endings: Endings { complete: 197, truncated: 2, refused: 1, ..Endings::default() },
            errors: [("truncated".to_owned(), 2), ("Throttling\u{1b}[31m".to_owned(), 1)].into(),
            request_throughput: 3.1399,
            output_token_throughput: 12345.6,
            ttft: latency(123.4),
            itl: latency(20.0),
            counted_by_events: 197,
            ..Level::default()
        };
        let open = Level {
            rate: Some(2.5),
            schedule: Some(Schedule { late: 3, max_delay_ms: 40.2 }),
            ..Level::default()
        };
        let targets = vec![
            Target { name: "my-llm".into(), levels: vec![level(1), level(64)] },
            Target { name: "http://h".into(), levels: vec![open] },
        ];
        LoadReport { targets, ..LoadReport::default() }
    }

    #[test]
    fn the_table_fits() {
        for width in [60, 80, 100, 200] {
            let text = table(&report(), width);
            let rows = text.lines().filter(|line| !line.contains(": "));
            assert!(rows.clone().all(|line| line.chars().count() <= width), "{width}\n{text}");
            assert!(text.contains("ttft ms"), "{text}");
        }
        assert!(table(&report(), 200).contains("mean") && !table(&report(), 60).contains("mean"));
    }

    #[test]
    fn endings_and_doubts_are_said() {
        let text = table(&report(), 100);
        for line in [
            "  64: 2 truncated, 1 refused (Throttling\\u{1b}[31m 1, truncated 2)",
            "  64: 197 complete without token counts: their events with output are counted",
            "  2.5/s: the client did not keep the schedule: 3 sent late, up to 40 ms",
            "    64   197/200   3.14  12346",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        // A column without values is not shown.
        assert!(!text.contains("goodput") && !text.contains("tpot"), "{text}");
    }
}
