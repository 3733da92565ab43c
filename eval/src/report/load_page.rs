//! The HTML of a load test.

use serde_json::{Value, json};

use super::html::{line, page};
use super::plot::{Axis, COLORS, Line, Plot, number};
use crate::load::results::{Latency, Level, LoadReport, Settings};

const BASE_STYLE: &str = include_str!("html/base.css");

/// The latencies of a level, by name.
const METRICS: [Metric; 4] = [
    Metric { name: "TTFT", title: "Time to first token", of: |level| level.ttft.as_ref() },
    Metric { name: "TPOT", title: "Time per output token", of: |level| level.tpot.as_ref() },
    Metric { name: "ITL", title: "Inter-token latency", of: |level| level.itl.as_ref() },
    Metric { name: "E2EL", title: "End-to-end latency", of: |level| level.e2el.as_ref() },
];

struct Metric {
    name: &'static str,
    title: &'static str,
    of: fn(&Level) -> Option<&Latency>,
}

/// A line of a plot: its name, stroke, and value of a level.
type Series<'a> = (&'a str, &'static str, &'a dyn Fn(&Level) -> Option<f64>);

/// The results of a load test as one HTML file: tables, and plots as SVG. It has no JavaScript.
pub fn load(report: &LoadReport) -> String {
    let loads = Loads::new(report);
    let style = format!("{BASE_STYLE}{}", include_str!("html/load.css"));
    let data = json!({
        "timestamp": line(&report.timestamp),
        "interrupted": report.interrupted,
        "settings": settings(&report.settings),
        "overhead": report.overhead.map(|overhead| json!({
            "streams": overhead.streams,
            "rate": number(overhead.tokens_per_second),
            "distortion": number(overhead.itl_p99_distortion),
        })),
        "has_slo": !report.settings.slo.is_empty(),
        "load": loads.label,
        "metrics": METRICS.map(|metric| json!({"name": metric.name, "title": metric.title})),
        "targets": report.targets.iter().enumerate().map(|(index, target)| json!({
            "name": line(&target.name),
            "color": index % COLORS,
            "levels": target.levels.iter().map(level).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "throughput": throughput(report, &loads),
        "latencies": METRICS.iter().map(|metric| latency(report, &loads, metric)).collect::<Vec<_>>(),
        "distributions": distributions(report),
    });
    let names: Vec<_> = report.targets.iter().map(|target| line(&target.name)).collect();
    let title = format!("Load test of {}", names.join(", "));
    page(&title, include_str!("html/load.html"), &style, "", &data)
}

fn settings(settings: &Settings) -> Vec<(&'static str, String)> {
    let slo = &settings.slo;
    let objectives: Vec<_> = [("TTFT", slo.ttft), ("TPOT", slo.tpot), ("ITL", slo.itl), ("E2EL", slo.e2el)]
        .into_iter()
        .filter_map(|(name, limit)| Some(format!("{name} ≤ {} ms", number(limit?))))
        .collect();
    [
        ("Requests of each level", settings.requests.map(|count| count.to_string())),
        ("Duration of each level", settings.duration_s.map(|seconds| format!("{} s", number(seconds)))),
        ("Prompts", Some(line(&settings.prompts))),
        ("Input tokens", settings.input_tokens.map(|count| count.to_string())),
        ("Output tokens, at most", settings.output_tokens.map(|count| count.to_string())),
        ("Warm-up requests", Some(settings.warmup.to_string())),
        ("Retries", Some(settings.retries.to_string())),
        ("Seed", Some(settings.seed.to_string())),
        ("Objectives", (!objectives.is_empty()).then(|| objectives.join(", "))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// A level's name: `16` at a time, or `5/s`.
fn load_name(level: &Level) -> String {
    match (level.concurrency, level.rate) {
        (Some(concurrency), _) => concurrency.to_string(),
        (None, Some(rate)) => format!("{}/s", number(rate)),
        (None, None) => "?".into(),
    }
}

fn level(level: &Level) -> Value {
    let endings: Vec<_> = level.endings.iter().filter(|(_, count)| *count > 0).collect();
    json!({
        "load": load_name(level),
        "requests": level.requests,
        "complete": level.endings.complete,
        "is_whole": level.endings.complete == level.requests,
        "endings": endings.into_iter().filter(|(name, _)| *name != "complete").collect::<Vec<_>>(),
        "errors": level.errors.iter().map(|(name, count)| (line(name), count)).collect::<Vec<_>>(),
        "throttles": level.throttles,
        "retried": level.retried,
        "empty": level.empty,
        "late": level.schedule.map_or(0, |schedule| schedule.late),
        "max_delay": level.schedule.map(|schedule| number(schedule.max_delay_ms)),
        "request_throughput": number(level.request_throughput),
        "output_token_throughput": number(level.output_token_throughput),
        "by_events": level.counted_by_events > 0,
        "goodput": level.goodput.map(number),
        "duration": number(level.duration_s),
        "latencies": METRICS.iter().map(|metric| {
            (metric.of)(level).map(|latency| [latency.p50, latency.p90, latency.p99].map(number))
        }).collect::<Vec<_>>(),
    })
}

/// The horizontal axis of all levels: each has the same distance from the next one.
struct Loads {
    label: &'static str,
    /// In ascending order.
    names: Vec<String>,
}

impl Loads {
    fn new(report: &LoadReport) -> Self {
        let mut levels: Vec<_> = report.targets.iter().flat_map(|target| &target.levels).collect();
        let key = |level: &Level| (level.concurrency, level.rate.unwrap_or_default());
        levels.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal));
        let label = match levels.iter().all(|level| level.concurrency.is_some()) {
            true => "requests at a time",
            false => "requests per second",
        };
        let mut names: Vec<_> = levels.into_iter().map(load_name).collect();
        names.dedup();
        Self { label, names }
    }

    fn position(&self, level: &Level) -> f64 {
        let name = load_name(level);
        let index = self.names.iter().position(|other| *other == name).unwrap_or_default();
        (index as f64 + 0.5) / self.names.len().max(1) as f64
    }

    fn axis(&self) -> Axis {
        let count = self.names.len().max(1) as f64;
        // Labels of more levels would overlap.
        let every = self.names.len().div_ceil(12).max(1);
        let ticks = self.names.iter().enumerate().step_by(every);
        let ticks = ticks.map(|(index, name)| ((index as f64 + 0.5) / count, name.clone())).collect();
        Axis { label: self.label.into(), ticks }
    }

    /// A plot with these lines for each target. A level without a value has no point.
    fn plot(&self, report: &LoadReport, title: &str, unit: &str, series: &[Series<'_>]) -> Value {
        let mut lines = Vec::new();
        for (color, target) in report.targets.iter().enumerate() {
            for (name, stroke, value) in series {
                let mut points: Vec<_> = target
                    .levels
                    .iter()
                    .filter_map(|level| {
                        Some((self.position(level), value(level).filter(|value| value.is_finite())?))
                    })
                    .collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                let name = format!("{}, {name}", line(&target.name));
                lines.push(Line { name, color, stroke, has_marks: true, points });
            }
        }
        let plot = Plot { title, x: self.axis(), y_label: unit, y_max: None, lines };
        let strokes: Vec<_> = series.iter().map(|(name, stroke, _)| (name, stroke)).collect();
        json!({"title": title, "svg": plot.svg(), "strokes": strokes})
    }
}

fn throughput(report: &LoadReport, loads: &Loads) -> Vec<Value> {
    let tokens = |level: &Level| Some(level.output_token_throughput);
    let requests = |level: &Level| Some(level.request_throughput);
    let goodput = |level: &Level| level.goodput;
    let series: [Series<'_>; 2] = [("complete", "solid", &requests), ("goodput", "dashed", &goodput)];
    let shown = if report.settings.slo.is_empty() { 1 } else { 2 };
    let title = if shown == 1 { "Request throughput" } else { "Request throughput and goodput" };
    vec![
        loads.plot(report, "Output token throughput", "tokens per second", &[("complete", "solid", &tokens)]),
        loads.plot(report, title, "responses per second", &series[..shown]),
    ]
}

fn latency(report: &LoadReport, loads: &Loads, metric: &Metric) -> Value {
    let p50 = |level: &Level| (metric.of)(level).map(|latency| latency.p50);
    let p90 = |level: &Level| (metric.of)(level).map(|latency| latency.p90);
    let p99 = |level: &Level| (metric.of)(level).map(|latency| latency.p99);
    let series: [Series<'_>; 3] = [("p50", "solid", &p50), ("p90", "dashed", &p90), ("p99", "dotted", &p99)];
    loads.plot(report, &format!("{} ({})", metric.title, metric.name), "milliseconds", &series)
}

/// For each target the share of responses whose first token came in a time, with a line for each level.
fn distributions(report: &LoadReport) -> Vec<Value> {
    let latencies =
        || report.targets.iter().flat_map(|target| &target.levels).filter_map(|level| level.ttft.as_ref());
    // The same axis for all targets, so that they can be compared.
    let min = latencies().map(|latency| latency.min.max(0.1)).fold(f64::INFINITY, f64::min);
    let max = latencies().map(|latency| latency.max).fold(min * 1.1, f64::max);
    if !min.is_finite() || !max.is_finite() {
        return Vec::new();
    }
    let of_target = |target: &crate::load::results::Target| {
        let (x, position) = Axis::logarithmic("milliseconds, logarithmic".into(), min, max);
        let levels: Vec<_> = target
            .levels
            .iter()
            .filter(|level| level.ttft.as_ref().is_some_and(|ttft| ttft.count > 0))
            .collect();
        let lines = levels.iter().enumerate().map(|(color, level)| Line {
            name: load_name(level),
            color,
            stroke: STROKES[color / COLORS % STROKES.len()],
            has_marks: false,
            points: level.ttft.as_ref().map(|ttft| cumulated(ttft, &position)).unwrap_or_default(),
        });
        let title = format!("Time to first token of {}", line(&target.name));
        let plot =
            Plot { title: &title, x, y_label: "% of responses", y_max: Some(100.0), lines: lines.collect() };
        let legend: Vec<_> = levels
            .iter()
            .enumerate()
            .map(|(color, level)| (load_name(level), color % COLORS, STROKES[color / COLORS % STROKES.len()]))
            .collect();
        json!({"title": title, "svg": plot.svg(), "legend": legend})
    };
    report.targets.iter().map(of_target).collect()
}

const STROKES: [&str; 3] = ["solid", "dashed", "dotted"];

/// The share of values up to the end of each bucket, in percent.
fn cumulated(latency: &Latency, position: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let total: u64 = latency.histogram.iter().map(|(_, count)| count).sum();
    let mut points = vec![(position(latency.min), 0.0)];
    let mut sum = 0;
    for (end, count) in &latency.histogram {
        sum += count;
        points.push((position(end.min(latency.max)), sum as f64 * 100.0 / total.max(1) as f64));
    }
    points
}
