//! `sagewire bench`: load-tests endpoints and servers.

mod self_test;
mod targets;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sagewire_eval::load::results::{LoadReport, Settings, Slo};
use sagewire_eval::load::{Load, Plan, Progress, parse_duration, table, to_csv};
use sagewire_eval::report::{self, Format};
use sagewire_transport_reqwest::Retry;
use tokio::sync::watch;

use crate::aws_config::ENVIRONMENT;
use crate::emulate::stop_signal;
use crate::fault::{Exit, Fault};
use crate::format::{self, CUSTOM_HELP, Container};
use crate::output::print;
use crate::{connection, endpoint, losses, request};

/// Concurrency if neither it nor a rate is given.
const CONCURRENCY: [u64; 3] = [1, 4, 16];
/// Streams of the self-test if no concurrency is given.
const SELF_TEST_STREAMS: u64 = 64;
/// Requests of a level if neither their number nor a duration is given.
const REQUESTS: u64 = 100;
/// Columns of the table if there is no terminal.
const WIDTH: usize = 120;

/// Arguments of `sagewire bench`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = help(),
    after_long_help = format!("{}\n\n{CUSTOM_HELP}", help()),
    mut_arg("retries", |retries| retries.help("Number of retries of a request; such requests are counted [default: 0]")),
)]
pub(crate) struct Args {
    // Arguments without a heading have to come first.
    /// Name of an endpoint (repeatable)
    #[arg(long = "endpoint", value_name = "NAME", required_unless_present_any = ["urls", "self_test", "self_test_server"])]
    endpoints: Vec<String>,
    /// URL of a server with OpenAI's API (repeatable)
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// Requests at a time, one level after the other [default: 1,4,16]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=10_000))]
    concurrency: Vec<u64>,
    /// Requests per second at random times, whether or not there are responses: 5/s or 300/m
    #[arg(long, value_name = "RATE,...", value_delimiter = ',', value_parser = rate, conflicts_with = "concurrency")]
    rate: Vec<f64>,
    /// Number of requests of each level [default: 100, or as many as --duration allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// How long each level sends requests, such as 60s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Number of requests before each level that are not measured
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup: u64,
    /// Longest latencies of good responses, such as ttft=500ms,itl=50ms; also tpot and e2el
    #[arg(long, value_name = "METRIC=DURATION,...")]
    slo: Option<Slo>,
    /// File for the results; its ending selects .json, .csv or .html (repeatable)
    #[arg(short, long, value_name = "FILE")]
    output: Vec<PathBuf>,
    /// Measure what this command itself adds to latencies, with a server in another process
    #[arg(long)]
    self_test: bool,
    /// The server of the self-test
    #[arg(long, hide = true, exclusive = true)]
    self_test_server: bool,
    #[command(flatten)]
    prompts: targets::PromptArgs,
    /// Format of the containers of endpoints (see sagewire formats)
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "openai",
        hide_possible_values = true,
        value_parser = format::containers()
    )]
    format: Container,
    #[command(flatten)]
    writing: request::Args,
    #[command(flatten)]
    losses: losses::Args,
    #[command(flatten)]
    servers: targets::ServerArgs,
    #[command(flatten)]
    endpoint: endpoint::Args,
    #[command(flatten)]
    connection: connection::Args,
}

fn help() -> String {
    format!(
        "\
{ENVIRONMENT}

Latencies are those of complete responses: ttft (time to first token), tpot (time per output token), itl (inter-token latency) \
and e2el (end-to-end latency), as vLLM's benchmark defines them. With --rate they count from the time at which a request had \
to be sent. Ctrl-C reports what is done."
    )
}

fn rate(text: &str) -> Result<f64, String> {
    let invalid = || "not a rate above 0, such as 5/s or 300/m".to_owned();
    let (number, seconds) = match text.split_once('/') {
        None | Some((_, "s")) => (text.trim_end_matches("/s"), 1.0),
        Some((number, "m" | "min")) => (number, 60.0),
        Some(_) => return Err(invalid()),
    };
    let rate = number.parse::<f64>().map_err(|_| invalid())? / seconds;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err(invalid()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "not a duration above 0, such as 60s or 500ms".into())
}

/// Runs the test, and reports its results.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    if args.self_test_server {
        return self_test::serve().await;
    }
    for path in &args.output {
        Format::of(path).map_err(|error| Fault::usage(format!("--output {error}")))?;
    }
    let plan = args.plan()?;
    let mut report = LoadReport::new(args.settings(&plan));
    if args.has_targets() {
        let targets = targets::targets(args, &plan).await?;
        let stopped = stop_signal().map_err(|error| Fault::usage(format!("signals: {error}")))?;
        let (interrupt, interrupted) = watch::channel(false);
        let bar = progress_bar();
        let test = plan.run(&targets, interrupted.clone(), |progress| show(&bar, progress));
        let interruption = async {
            stopped.await;
            // The receiver lives as long as the test.
            let _ = interrupt.send(true);
            std::future::pending::<()>().await;
        };
        report.targets = tokio::select! {
            targets = test => targets,
            () = interruption => unreachable!("it never ends"),
        };
        report.interrupted = *interrupted.borrow();
        bar.finish_and_clear();
    }
    if args.self_test && !report.interrupted {
        let streams = args.concurrency.iter().max().copied().unwrap_or(SELF_TEST_STREAMS);
        report.overhead = Some(self_test::run(streams).await?);
    }
    // All files are tried, and the table is printed in any case.
    let written: Vec<_> = args.output.iter().map(|path| write(path, &report)).collect();
    print(&table(&report, width()))?;
    written.into_iter().collect::<Result<(), _>>()?;
    verdict(&report)
}

impl Args {
    fn has_targets(&self) -> bool {
        !self.endpoints.is_empty() || !self.urls.is_empty()
    }

    fn plan(&self) -> Result<Plan, Fault> {
        let loads = match (&*self.concurrency, &*self.rate) {
            ([], []) => CONCURRENCY.map(Load::Concurrency).to_vec(),
            (levels, []) => levels.iter().copied().map(Load::Concurrency).collect(),
            (_, rates) => rates.iter().copied().map(Load::Rate).collect(),
        };
        let requests = match (self.requests, self.duration) {
            (None, None) => Some(REQUESTS),
            (requests, _) => requests,
        };
        let retries = usize::try_from(self.connection.retries_given().unwrap_or(0)).unwrap_or(usize::MAX);
        Ok(Plan {
            loads,
            requests,
            duration: self.duration,
            warmup: self.warmup,
            retry: Retry::never().attempts(retries.saturating_add(1)),
            slo: self.slo.unwrap_or_default(),
            seed: self.prompts.seed,
        })
    }

    fn settings(&self, plan: &Plan) -> Settings {
        Settings {
            requests: plan.requests,
            duration_s: plan.duration.map(|duration| duration.as_secs_f64()),
            warmup: plan.warmup,
            retries: (plan.retry.attempts - 1) as u64,
            seed: plan.seed,
            prompts: self.prompts.origin(),
            input_tokens: self.prompts.synthetic_words().map(|words| words as u64),
            output_tokens: self.prompts.output_tokens(),
            slo: plan.slo,
        }
    }
}

/// A progress bar on a terminal.
fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: &Progress<'_>) {
    if bar.is_hidden() {
        return;
    }
    let (done, elapsed) = (progress.level.requests, progress.elapsed.as_secs_f64());
    let by_time = progress.duration.map_or(0.0, |duration| elapsed / duration.as_secs_f64());
    let by_number = progress.total.map_or(0.0, |total| done as f64 / total as f64);
    bar.set_length(1000);
    bar.set_position((by_time.max(by_number) * 1000.0) as u64);
    let load = match progress.load {
        Load::Concurrency(concurrency) => format!("at {concurrency}"),
        Load::Rate(rate) => format!("at {rate}/s"),
    };
    let total = progress.total.map_or(String::new(), |total| format!("/{total}"));
    let failed = match done - progress.level.endings.complete {
        0 => String::new(),
        failed => format!(", {failed} not complete"),
    };
    bar.set_message(format!("{} {load}: {done}{total} requests in {elapsed:.0} s{failed}", progress.target));
}

fn write(path: &Path, report: &LoadReport) -> Result<(), Fault> {
    let failed =
        |error: &dyn std::fmt::Display| Fault::Line(Exit::Io, format!("output: {}: {error}", path.display()));
    let text = match Format::of(path).map_err(|error| failed(&error))? {
        Format::Csv => to_csv(report),
        Format::Html => report::html::load(report),
        _ => serde_json::to_string_pretty(report).map_err(|error| failed(&error))? + "\n",
    };
    report::replace(path, text.as_bytes()).map_err(|error| failed(&error))
}

/// Columns of the terminal.
fn width() -> usize {
    let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    terminal.map_or(WIDTH, |(width, _)| usize::from(width.0))
}

/// The exit code.
fn verdict(report: &LoadReport) -> Result<(), Fault> {
    if report.interrupted {
        return Err(Fault::Line(Exit::Interrupted, "interrupted: the results are those until then".into()));
    }
    for target in &report.targets {
        if target.levels.iter().all(|level| level.endings.complete == 0) {
            let errors = target.levels.iter().flat_map(|level| level.errors.keys().map(String::as_str));
            let errors: Vec<&str> = errors.collect::<BTreeSet<_>>().into_iter().collect();
            let line = format!("{}: no response is complete: {}", target.name, errors.join(", "));
            return Err(Fault::Line(Exit::Failed, line));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        for (text, expected) in [("5/s", 5.0), ("0.5", 0.5), ("300/m", 5.0), ("30/min", 0.5)] {
            assert_eq!(rate(text), Ok(expected));
        }
        for text in ["", "0/s", "-1/s", "x/s", "5/h", "inf/s", "nan"] {
            rate(text).unwrap_err();
        }
    }
}
