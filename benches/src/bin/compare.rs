//! Prints how sagewire compares with named peers on this machine.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use sagewire_benches::counting::{CountingAllocator, allocations};
use sagewire_benches::lost::Lost;
use sagewire_benches::machine::Machine;
use sagewire_benches::measure::{Plan, Row, measure};
use sagewire_benches::recorded::LeftOut;
use sagewire_benches::workload::{NAMES, Workload};
use sagewire_benches::{report, streams};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const USAGE: &str =
    "usage: compare [--json] [--quick] [--events N] [--workload NAME] [--only SECTION] [--write-streams DIR]

  --json               one JSON object instead of the tables
  --quick              few events and rounds: shows that it works, not how fast
  --events N           events in each workload (default 100000)
  --workload NAME      only this one: openai, openai-ragged, openai-tools, openai-changing, recorded,
                         recorded-short
  --only SECTION       only this one: speed, streams, lost
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
}

const SECTIONS: [&str; 3] = ["speed", "streams", "lost"];

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A peer that panics is a row of the table, not a backtrace in it.
    std::panic::set_hook(Box::new(|_| {}));

    let lost = Lost::new(if options.quick { 1000 } else { 10_000 });
    if let Some(folder) = &options.write_streams {
        if let Err(error) = lost.write(folder) {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
        return ExitCode::SUCCESS;
    }
    let Some(rows) = speed(&options) else { return ExitCode::FAILURE };
    let plan = match options.quick {
        true => streams::Plan { streams: 100, rounds: 1 },
        false => streams::Plan { streams: 10_000, rounds: 5 },
    };
    let streams = if options.wants("streams") { streams::measure(&plan) } else { Vec::new() };
    // Last, as it may leave a thread behind.
    let recovered = if options.wants("lost") { lost.recover() } else { Vec::new() };

    let machine = Machine::this();
    if options.json {
        println!("{}", report::json(&machine, &rows, &streams, &recovered));
        return ExitCode::SUCCESS;
    }
    print!("{}", report::machine(&machine));
    if !rows.is_empty() {
        print!("{}", report::table(&rows));
    }
    if !streams.is_empty() {
        print!("\n{}", report::table_of_streams(&plan, &streams));
    }
    if !recovered.is_empty() {
        print!("\n{}", report::table_of_lost(&lost.variants, &recovered));
    }
    ExitCode::SUCCESS
}

/// `None` where there is nothing to measure.
fn speed(options: &Options) -> Option<Vec<Row>> {
    if !options.wants("speed") {
        return Some(Vec::new());
    }
    let plan = Plan { rounds: if options.quick { 3 } else { 11 }, allocations };
    let events = options.events.unwrap_or(if options.quick { 400 } else { 100_000 });
    let mut workloads = Vec::new();
    for name in NAMES {
        if options.workload.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        match Workload::load(name, events) {
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
    if workloads.is_empty() {
        return None;
    }
    let watched = std::io::stderr().is_terminal();
    let rows = measure(&workloads, &plan, |round, rounds| {
        if watched {
            eprint!("\rround {} of {rounds} ", round + 1);
        }
    });
    if watched {
        eprint!("\r\x1b[K");
    }
    Some(rows)
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
                let name = args.next().filter(|name| NAMES.contains(&name.as_str()));
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
