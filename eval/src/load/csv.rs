//! The results of a load test as CSV: a row for each target and level.

use super::results::{Latency, Level, LoadReport};

/// Columns before the endings.
const FIRST: [&str; 5] = ["target", "concurrency", "rate", "requests", "duration_s"];
/// Columns between the endings and the latencies.
const COUNTS: [&str; 12] = [
    "errors",
    "retried",
    "throttles",
    "input_tokens",
    "output_tokens",
    "counted_by_events",
    "empty",
    "max_in_flight",
    "late",
    "request_throughput",
    "output_token_throughput",
    "goodput",
];
/// The latencies, with the statistics of each.
const LATENCIES: [&str; 4] = ["ttft", "tpot", "itl", "e2el"];
const STATISTICS: [&str; 6] = ["mean", "p50", "p90", "p99", "min", "max"];

/// The results as CSV, with a header. Latencies are in milliseconds, and empty if there are none.
pub fn to_csv(report: &LoadReport) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let endings = super::results::Endings::default();
    let head = FIRST.into_iter().chain(endings.iter().map(|(name, _)| name)).chain(COUNTS).map(String::from);
    let latencies =
        LATENCIES.iter().flat_map(|name| STATISTICS.iter().map(move |of| format!("{of}_{name}_ms")));
    let mut rows = vec![head.chain(latencies).collect::<Vec<_>>()];
    for target in &report.targets {
        rows.extend(target.levels.iter().map(|level| row(&target.name, level)));
    }
    for row in rows {
        writer.write_record(row).expect("rows have the same length, and memory takes them");
    }
    let bytes = writer.into_inner().expect("memory takes all bytes");
    String::from_utf8(bytes).expect("all fields are text")
}

fn row(target: &str, level: &Level) -> Vec<String> {
    let optional = |number: Option<String>| number.unwrap_or_default();
    let mut row = vec![
        target.to_owned(),
        optional(level.concurrency.map(|number| number.to_string())),
        optional(level.rate.map(|number| number.to_string())),
        level.requests.to_string(),
        decimal(level.duration_s),
    ];
    row.extend(level.endings.iter().map(|(_, count)| count.to_string()));
    // JSON, which no spreadsheet runs as a formula.
    row.push(serde_json::to_string(&level.errors).expect("a map of numbers can be written"));
    let counts = [
        level.retried,
        level.throttles,
        level.input_tokens,
        level.output_tokens,
        level.counted_by_events,
        level.empty,
        level.max_in_flight,
    ];
    row.extend(counts.map(|count| count.to_string()));
    row.push(optional(level.schedule.map(|schedule| schedule.late.to_string())));
    row.extend([decimal(level.request_throughput), decimal(level.output_token_throughput)]);
    row.push(optional(level.goodput.map(decimal)));
    for latency in [&level.ttft, &level.tpot, &level.itl, &level.e2el] {
        match latency {
            Some(Latency { mean, p50, p90, p99, min, max, .. }) => {
                row.extend([mean, p50, p90, p99, min, max].map(|number| decimal(*number)));
            }
            None => row.extend(STATISTICS.map(|_| String::new())),
        }
    }
    row
}

fn decimal(number: f64) -> String {
    format!("{number:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::results::{Endings, Target};

    #[test]
    fn each_level_is_a_row() {
        let mut level = Level { concurrency: Some(4), requests: 3, duration_s: 1.5, ..Level::default() };
        level.endings = Endings { complete: 2, truncated: 1, ..Endings::default() };
        level.errors.insert("truncated".into(), 1);
        level.ttft = Some(Latency { count: 2, mean: 12.3456, p50: 12.0, ..Latency::default() });
        let target = Target { name: "a, \"b\"".into(), levels: vec![level.clone(), level] };
        let csv = to_csv(&LoadReport { targets: vec![target], ..LoadReport::default() });
        let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
        let head = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        for (column, expected) in [
            ("target", "a, \"b\""),
            ("concurrency", "4"),
            ("rate", ""),
            ("complete", "2"),
            ("truncated", "1"),
            ("errors", r#"{"truncated":1}"#),
            ("goodput", ""),
            ("mean_ttft_ms", "12.346"),
            ("p50_ttft_ms", "12.000"),
            ("p99_e2el_ms", ""),
        ] {
            let at = head.iter().position(|name| name == column).unwrap();
            assert_eq!(&rows[0][at], expected, "{column}");
        }
    }
}
