//! Compares sagewire with named peers on this machine, and prints the result.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use sagewire_benches::catalog::NAMES;
use sagewire_benches::counting::{CountingAllocator, allocations};
use sagewire_benches::formats::{Source, Target};
use sagewire_benches::lost::Lost;
use sagewire_benches::machine::Machine;
use sagewire_benches::measure::{Plan, Row, measure};
use sagewire_benches::report::Results;
use sagewire_benches::subjects::Measure;
use sagewire_benches::workload::{LeftOut, Workload};
use sagewire_benches::{calls, gateway, report, requests, streams};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const USAGE: &str =
    "usage: compare [--json] [--quick] [--events N] [--workload NAME] [--only SECTION] [--write-streams DIR]

  --json               one JSON object instead of the tables
  --quick              few events and rounds: shows that it works, not how fast
  --events N           events in each workload (default 100000)
  --workload NAME      only this one: openai, openai-ragged, openai-tools, openai-changing, recorded,
                         recorded-short, tgi, lmi, converse-stream, anthropic, responses,
                         cohere, sglang, nova
  --only SECTION       only this one: speed, formats, pairs, requests, streams, calls, gateway, lost
  --write-streams DIR  measure nothing, write the streams of `lost` to files";

#[derive(Default)]
struct Options {
    json: bool,
    quick: bool,
    events: Option<usize>,
    workload: Option<String>,
    only: Option<String>,
    write_streams: Option<PathBuf>,
}

impl Options {
    fn wants(&self, section: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == section)
    }

    fn events(&self) -> usize {
        self.events.unwrap_or(if self.quick { 400 } else { 100_000 })
    }

    fn rounds(&self, rounds: usize) -> usize {
        if self.quick { 3 } else { rounds }
    }
}

const SECTIONS: [&str; 8] = ["speed", "formats", "pairs", "requests", "streams", "calls", "gateway", "lost"];

fn main() -> ExitCode {
    #[cfg(all(feature = "gateway", target_os = "linux"))]
    if let Err(fault) = gateway::child(std::env::args().skip(1)) {
        eprintln!("{fault}");
        return ExitCode::FAILURE;
    }
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic of a peer becomes a row of the table, without a backtrace.
    std::panic::set_hook(Box::new(|_| {}));

    let lost = Lost::new(if options.quick { 1000 } else { 10_000 });
    if let Some(folder) = &options.write_streams {
        if let Err(error) = lost.write(folder) {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
        return ExitCode::SUCCESS;
    }
    let plan = match options.quick {
        true => streams::Plan { streams: 100, rounds: 1 },
        false => streams::Plan { streams: 10_000, rounds: 5 },
    };
    let calls = match options.quick {
        true => calls::Plan { tokens: 100, calls: 1 },
        false => calls::Plan { tokens: 2000, calls: 21 },
    };
    let gateway = gateway::Plan::new(options.quick);
    let requests = requests::Plan { rounds: options.rounds(11), times: 50, allocations };
    let sources = |sources: &[Source]| sources.iter().map(|source| source.name()).collect::<Vec<_>>();
    let pairs = Target::ALL.map(Measure::Pair);
    let results = Results {
        speed: measure_section("speed", 11, &NAMES, &Measure::SPEED, &options),
        formats: measure_section("formats", 7, &sources(&Source::OTHERS), &[Measure::Decode], &options),
        pairs: measure_section("pairs", 5, &sources(&Source::ALL), &pairs, &options),
        requests: if options.wants("requests") { requests::measure(&requests) } else { Vec::new() },
        streams: if options.wants("streams") { streams::measure(&plan) } else { Vec::new() },
        calls: if options.wants("calls") { measure_calls(&calls) } else { Vec::new() },
        gateway: if options.wants("gateway") { measure_gateway(&gateway) } else { Default::default() },
        // Last, because it may abandon a thread that never returns.
        recovered: if options.wants("lost") { lost.recover() } else { Vec::new() },
    };
    let printed = print(&options, &plan, &calls, &lost, &results);
    let faults: Vec<_> =
        results.gateway.rows.iter().filter_map(|row| row.fault(gateway.checks_ratios)).collect();
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    // The other sections have no goals.
    if faults.is_empty() { printed } else { ExitCode::FAILURE }
}

/// A table of these rows.
type Table = fn(&[Row]) -> String;

fn print(
    options: &Options,
    plan: &streams::Plan,
    calls: &calls::Plan,
    lost: &Lost,
    results: &Results,
) -> ExitCode {
    if results.is_empty() {
        eprintln!("there is nothing to measure");
        return ExitCode::FAILURE;
    }
    let machine = Machine::this();
    if options.json {
        println!("{}", report::json(&machine, results));
        return ExitCode::SUCCESS;
    }
    print!("{}", report::machine(&machine));
    let tables: [(_, Table); 3] = [
        (&results.speed, report::table),
        (&results.formats, report::table_of_formats),
        (&results.pairs, report::table_of_pairs),
    ];
    for (rows, table) in tables.into_iter().filter(|(rows, _)| !rows.is_empty()) {
        print!("\n{}", table(rows));
    }
    if !results.requests.is_empty() {
        print!("\n{}", report::table_of_requests(&results.requests));
    }
    if !results.streams.is_empty() {
        print!("\n{}", report::table_of_streams(plan, &results.streams));
    }
    if !results.calls.is_empty() {
        print!("\n{}", report::table_of_calls(calls, &results.calls));
    }
    if !results.gateway.rows.is_empty() {
        print!("\n{}", report::table_of_gateway(&results.gateway));
    }
    if !results.recovered.is_empty() {
        print!("\n{}", report::table_of_lost(&lost.variants, &results.recovered));
    }
    ExitCode::SUCCESS
}

/// Measures whole calls, unless there is no network.
fn measure_calls(plan: &calls::Plan) -> Vec<calls::Row> {
    calls::measure(plan).unwrap_or_else(|fault| {
        eprintln!("skipping calls: {fault}");
        Vec::new()
    })
}

/// Measures the gateway, unless there is no network, or only one core.
fn measure_gateway(plan: &gateway::Plan) -> gateway::Results {
    gateway::measure(plan).unwrap_or_else(|fault| {
        eprintln!("skipping gateway: {fault}");
        gateway::Results::default()
    })
}

/// Runs all requested measures on each of these workloads.
fn measure_section(
    section: &str,
    rounds: usize,
    names: &[&str],
    measures: &[Measure],
    options: &Options,
) -> Vec<Row> {
    if !options.wants(section) {
        return Vec::new();
    }
    let plan = Plan { rounds: options.rounds(rounds), allocations };
    let mut workloads = Vec::new();
    for name in names {
        if options.workload.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        match Workload::load(name, options.events()) {
            Ok(workload) => {
                if !workload.files.is_empty() {
                    eprintln!("{name} is {}, again and again", workload.files.join(", "));
                }
                for LeftOut { file, why } in &workload.left_out {
                    eprintln!("{name} is without {file}: {why}");
                }
                workloads.push(workload);
            }
            Err(why) => eprintln!("skipping {name}: {why}"),
        }
    }
    let watched = std::io::stderr().is_terminal();
    let rows = measure(&workloads, measures, &plan, |round, rounds| {
        if watched {
            eprint!("\r{section}: round {} of {rounds} ", round + 1);
        }
    });
    if watched {
        eprint!("\r\x1b[K");
    }
    rows
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => options.json = true,
            "--quick" => options.quick = true,
            "--events" => {
                let events =
                    args.next().and_then(|events| events.parse().ok()).filter(|events| *events >= 16);
                options.events = Some(events.ok_or("--events takes a number from 16 on")?);
            }
            "--workload" => {
                let is_known = |name: &str| {
                    NAMES.contains(&name) || Source::ALL.iter().any(|source| source.name() == name)
                };
                let name = args.next().filter(|name| is_known(name));
                options.workload = Some(name.ok_or("--workload takes the name of one")?);
            }
            "--only" => {
                let section = args.next().filter(|section| SECTIONS.contains(&section.as_str()));
                options.only = Some(section.ok_or("--only takes the name of a section")?);
            }
            "--write-streams" => {
                let folder = args.next().ok_or("--write-streams takes a folder")?;
                options.write_streams = Some(folder.into());
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(options)
}
