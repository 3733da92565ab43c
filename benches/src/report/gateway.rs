//! Table and JSON of the gateway under load.

use std::fmt::Write;

use serde_json::{Value, json};

use super::cells::round;
use crate::gateway::{Results, Row, Subject};

pub(super) fn json(results: &Results) -> Value {
    let rows: Vec<Value> = results.rows.iter().map(json_of_row).collect();
    let (gateway, bound) = results.idle_mib;
    json!({ "rows": rows, "idle_mib": { "sagewire": round(gateway), "bound": round(bound) } })
}

fn json_of_row(row: &Row) -> Value {
    let cost = &row.cost;
    let pair = |(p50, p99): (f64, f64)| json!([round(p50), round(p99)]);
    json!({
        "workload": row.workload.name,
        "subject": row.subject.name(),
        "cpu_us_per_request": round(cost.cpu),
        "cpu_ratio": round(cost.cpu_ratio),
        "goal": row.goal(),
        "first_event_us": cost.first.map(pair),
        "total_us": pair(cost.total),
        "latency_ratio": round(cost.latency_ratio),
        "requests": cost.requests,
        "failures": cost.failures,
        "stalled": cost.stalled,
        "foreign": round(cost.foreign),
        "peak_mib": round(cost.peak_mib),
    })
}

/// A line for each workload and subject.
pub fn table_of_gateway(results: &Results) -> String {
    let mut out = String::from(
        "gateway: CPU time of its process for a response and for an event, kernel included, and how many times the\n\
         bound's in the same round; times of the client; microseconds, medians of the rounds\n",
    );
    let header =
        ["CPU", "an event", "ratio", "goal", "first p50", "p99", "total p50", "p99", "peak MiB", "others"];
    let mut last = "";
    for row in &results.rows {
        let Row { workload, subject, cost } = row;
        if workload.name != last {
            last = workload.name;
            let _ = write!(out, "\n{last}: {}\n{:20}", workload.about(), "");
            for name in header {
                let _ = write!(out, " {name:>9}");
            }
            out.push('\n');
        }
        let events = f64::from(workload.response.tokens());
        let event = workload.response.streams().then(|| format!("{:.2}", cost.cpu / events));
        let whole = |value: f64| Some(format!("{value:.0}"));
        let cells = [
            Some(format!("{:.1}", cost.cpu)),
            event,
            (*subject != Subject::Bound).then(|| format!("{:.2}x", cost.cpu_ratio)),
            row.goal().map(|goal| format!("{goal:.2}x")),
            cost.first.and_then(|first| whole(first.0)),
            cost.first.and_then(|first| whole(first.1)),
            whole(cost.total.0),
            whole(cost.total.1),
            Some(format!("{:.1}", cost.peak_mib)),
            Some(format!("{:.0} %", cost.foreign * 100.0)),
        ];
        let _ = write!(out, "{:20}", subject.name());
        for cell in &cells {
            let _ = write!(out, " {:>9}", cell.as_deref().unwrap_or("-"));
        }
        out.push('\n');
    }
    let (gateway, bound) = results.idle_mib;
    let _ = writeln!(
        out,
        "\nMemory before the first request: sagewire {gateway:.1} MiB, bound {bound:.1} MiB.\n\
         bound: signs, calls, opens the frames and gathers; no parsing, keys, limits or metrics. others: other processes' use\n\
         of the machine. Above 10 %, times mean nothing, and ratios little."
    );
    out
}
