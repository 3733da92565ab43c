//! Prints how sagewire compares with named peers on this machine.

use std::io::IsTerminal;
use std::process::ExitCode;

use sagewire_benches::counting::{CountingAllocator, allocations};
use sagewire_benches::machine::Machine;
use sagewire_benches::measure::{Plan, measure};
use sagewire_benches::recorded::LeftOut;
use sagewire_benches::report;
use sagewire_benches::workload::{NAMES, Workload};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const USAGE: &str = "usage: compare [--json] [--quick] [--events N] [--workload NAME]

  --json            one JSON object instead of the table
  --quick           few events and rounds: shows that it works, not how fast
  --events N        events in each workload (default 100000)
  --workload NAME   only this one: openai, openai-ragged, openai-tools, openai-changing, recorded";

struct Options {
    json: bool,
    quick: bool,
    events: Option<usize>,
    workload: Option<String>,
}

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
        return ExitCode::FAILURE;
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

    let machine = Machine::this();
    if options.json {
        println!("{}", report::json(&machine, &rows));
    } else {
        print!("{}", report::table(&machine, &rows));
    }
    ExitCode::SUCCESS
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { json: false, quick: false, events: None, workload: None };
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
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(options)
}
