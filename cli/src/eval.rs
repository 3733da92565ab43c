//! `sagewire eval`: runs an evaluation.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sagewire_eval::cache::Cache;
use sagewire_eval::config::{ConfigError, Suite};
use sagewire_eval::provider::Connector;
use sagewire_eval::report::{self, terminal};
use sagewire_eval::results::{Outcome, Results};
use sagewire_eval::runner::{Evaluation, Filter};

use crate::emulate::stop_signal;
use crate::environment;
use crate::fault::{Exit, Fault, note};
use crate::input;
use crate::output::print;

/// Arguments of `sagewire eval`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Configuration, as YAML or JSON, in the form of promptfoo's
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File for the results; its ending selects .json, .csv or .html (repeatable)
    #[arg(short, long, value_name = "FILE")]
    output: Vec<PathBuf>,
    /// Results of an earlier run, as JSON: what has no error there is not run again
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Neither read nor write the cache
    #[arg(long)]
    no_cache: bool,
    /// Folder of the cache [default: sagewire/eval in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Number of calls at the same time [default: evaluateOptions.maxConcurrency, or 4]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_concurrency: Option<u16>,
    /// Number of times that each test runs [default: evaluateOptions.repeat, or 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    repeat: Option<u16>,
    /// Only tests whose description matches this regular expression
    #[arg(long, value_name = "REGEX")]
    filter_pattern: Option<regex::Regex>,
    /// Only providers whose id or label matches this regular expression
    #[arg(long, value_name = "REGEX")]
    filter_providers: Option<regex::Regex>,
    /// Only the first N tests
    #[arg(short = 'n', long, value_name = "N")]
    filter_first_n: Option<usize>,
    /// URL to use instead of the region's SageMaker Runtime
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Do not print the table
    #[arg(long)]
    no_table: bool,
    /// Do not show progress
    #[arg(long)]
    no_progress: bool,
    /// Print each result as it is there, and what requests cannot express
    #[arg(short, long)]
    verbose: bool,
}

const HELP: &str = "\
The configuration has prompts with {{variables}}, providers (sagemaker:NAME, sagemaker:TYPE:NAME, sagemaker:embedding:NAME, \
openai:chat:NAME), and tests with variables and assertions. docs/evaluation.md describes all of its keys.

Exit code 100: at least one test has failed, or had an error. Ctrl-C prints and writes what is done; --resume goes on.";

/// Runs an evaluation, and reports its results.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let environment = |name: &str| std::env::var(name).ok();
    let suite = Suite::load(&args.file, &environment).map_err(|error| invalid(&error))?;
    suite.warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
    let suite = args.changed(suite)?;
    let outputs: Vec<_> = args.output.iter().chain(&suite.output_paths).cloned().collect();
    for path in &outputs {
        report::Format::of(path).map_err(|error| Fault::usage(format!("--output {error}")))?;
    }
    let previous = args.resume.as_deref().map(read_results).transpose()?;
    let mut connector = Connector::new().delay(suite.delay);
    if suite.cache {
        connector = connector.cache(args.cache()?);
    }
    if let Some(url) = &args.endpoint_url {
        connector = connector.endpoint_url(url);
    }
    let evaluation = Evaluation::new(suite, &mut connector).await;
    let evaluation = evaluation.map_err(|error| Fault::usage(format!("{}: {error}", args.file.display())))?;
    let stopped = stop_signal().map_err(|error| Fault::usage(format!("signals: {error}")))?;
    let bar = args.progress(evaluation.len());
    let results = evaluation.run(previous, stopped, |outcome| {
        if args.verbose {
            bar.suspend(|| note(&line(outcome)));
        }
        bar.inc(1);
    });
    let results = results.await;
    bar.finish_and_clear();
    if args.verbose {
        connector.losses().iter().for_each(|loss| note(&format!("loss: {loss}")));
    }
    // All files are tried, and the table is printed in any case.
    let written: Vec<_> = outputs.iter().map(|path| write(path, &results)).collect();
    if !args.no_table {
        print(&terminal::table(&results, &style()))?;
    }
    written.into_iter().collect::<Result<(), _>>()?;
    verdict(&results)
}

/// Prints a line for each mistake; the last one is the error.
fn invalid(error: &ConfigError) -> Fault {
    let mut lines: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    let last = lines.pop().unwrap_or_default();
    lines.iter().for_each(|line| note(line));
    Fault::Line(Exit::Usage, last)
}

impl Args {
    /// The suite with the settings of the arguments.
    fn changed(&self, mut suite: Suite) -> Result<Suite, Fault> {
        let mut filter = Filter::default();
        filter.pattern.clone_from(&self.filter_pattern);
        filter.providers.clone_from(&self.filter_providers);
        filter.first = self.filter_first_n;
        filter.apply(&mut suite);
        if suite.providers.is_empty() || suite.tests.is_empty() {
            return Err(Fault::usage("the filters leave no test or no provider"));
        }
        suite.cache &= !self.no_cache;
        suite.max_concurrency = self.max_concurrency.map_or(suite.max_concurrency, usize::from);
        suite.repeat = self.repeat.map_or(suite.repeat, usize::from);
        Ok(suite)
    }

    fn cache(&self) -> Result<Cache, Fault> {
        let folder = self.cache_dir.clone().or_else(cache_folder);
        let folder =
            folder.ok_or_else(|| Fault::usage("there is no cache folder: give --cache-dir or --no-cache"))?;
        Cache::open(&folder)
            .map_err(|error| Fault::usage(format!("--cache-dir: {}: {error}", folder.display())))
    }

    /// The progress bar, on a terminal.
    fn progress(&self, len: usize) -> ProgressBar {
        if self.no_progress || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(len as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar
    }
}

/// The user's folder for caches.
fn cache_folder() -> Option<PathBuf> {
    let folder = environment::text("XDG_CACHE_HOME").or_else(|| environment::text("LOCALAPPDATA"));
    let folder = match folder {
        Some(folder) => PathBuf::from(folder),
        None if cfg!(target_os = "macos") => std::env::home_dir()?.join("Library/Caches"),
        None => std::env::home_dir()?.join(".cache"),
    };
    Some(folder.join("sagewire").join("eval"))
}

fn read_results(path: &Path) -> Result<Results, Fault> {
    let text = input::read_text(path).map_err(|error| Fault::usage(format!("--resume: {error}")))?;
    let results = serde_json::from_str::<Results>(&text);
    results
        .map_err(|error| Fault::usage(format!("--resume: {}: these are no results: {error}", path.display())))
}

fn write(path: &Path, results: &Results) -> Result<(), Fault> {
    report::write(path, results)
        .map_err(|error| Fault::Line(Exit::Io, format!("output: {}: {error}", path.display())))
}

/// How the table is printed.
fn style() -> terminal::Style {
    let mut style = terminal::Style::default();
    if io::stdout().is_terminal() {
        style.colors = environment::text("NO_COLOR").is_none();
        let columns = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        style.width = columns.unwrap_or(style.width);
    }
    style
}

/// One outcome in a line.
fn line(outcome: &Outcome) -> String {
    let provider = outcome.label.as_deref().unwrap_or(&outcome.provider);
    let verdict = match (&outcome.error, outcome.success) {
        (Some(error), _) => format!("ERROR {error}"),
        (None, true) => "PASS".into(),
        (None, false) => {
            let failed = outcome.checks.iter().find(|check| !check.pass);
            format!("FAIL {}", failed.map_or("", |check| &check.reason))
        }
    };
    let latency = outcome.latency_ms.map_or(String::new(), |latency| format!(" {latency} ms"));
    let cached = if outcome.cached { " cached" } else { "" };
    format!(
        "test {} prompt {} {provider}{latency}{cached}: {verdict}",
        outcome.test_index, outcome.prompt_index
    )
}

/// The exit code.
fn verdict(results: &Results) -> Result<(), Fault> {
    let stats = &results.stats;
    if stats.skipped > 0 {
        let message =
            format!("interrupted: {} not run; --resume with the JSON of --output goes on", stats.skipped);
        return Err(Fault::Line(Exit::Interrupted, message));
    }
    if stats.failures + stats.errors == 0 {
        return Ok(());
    }
    let (passed, failed, errors) = (stats.successes, stats.failures, stats.errors);
    Err(Fault::Line(Exit::TestsFailed, format!("{passed} passed, {failed} failed, {errors} with an error")))
}
