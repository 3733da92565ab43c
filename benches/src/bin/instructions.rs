//! Counts the instructions of hot paths under valgrind, and fails if there are more than in the baseline.
//!
//! Counts are the same on every run, unlike times on a shared machine. Similar crates (gungraun, formerly iai-callgrind) need a
//! runner of exactly the same version to be installed; this binary needs only valgrind, and skips the check if it is
//! missing.
//!
//! Valgrind emulates its own CPU, with at most AVX2, so the functions that detect vector instructions at run time (checksums,
//! searches, copies) take the same branches on all machines that have AVX2.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, ExitCode};

use sagewire_benches::instructions::{Baseline, Build, Comparison, Counts, RENEW};
use sagewire_benches::paths::{HotPath, Prepared};
use sagewire_benches::tally::Answer;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

const USAGE: &str = "usage: instructions [--renew | --list | --run NAME]

  --renew      write the baseline instead of comparing with it
  --list       the names of the paths
  --run NAME   run this path once: what is run under valgrind";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(),
        ["--renew"] => renew(),
        ["--list"] => {
            HotPath::ALL.iter().for_each(|path| println!("{}", path.name));
            Ok(ExitCode::SUCCESS)
        }
        ["--run", name] => run(name),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|fault| {
        eprintln!("{fault}");
        ExitCode::FAILURE
    })
}

fn check() -> Result<ExitCode, String> {
    let baseline = std::fs::read(BASELINE).map_err(|error| error.to_string());
    let baseline: Baseline = baseline
        .and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()))
        .map_err(|fault| format!("no baseline: {fault}; make one with: {RENEW}"))?;
    if let Some(why) = baseline.build.differs(&Build::this()) {
        println!("skipped: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    let Some(now) = count_all()? else {
        println!("skipped: valgrind is not installed");
        return Ok(ExitCode::SUCCESS);
    };
    let comparison = Comparison::new(&baseline.instructions, &now);
    print!("{comparison}");
    Ok(if comparison.fails() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn renew() -> Result<ExitCode, String> {
    let build = Build::this();
    if build.profile != "release" {
        return Err(format!("this is a {} build; renew with: {RENEW}", build.profile));
    }
    let instructions = count_all()?.ok_or("valgrind is not installed")?;
    for (name, count) in &instructions {
        println!("{name:<24} {count:>12}");
    }
    let json = serde_json::to_string_pretty(&Baseline { build, instructions });
    let json = json.map_err(|error| error.to_string())?;
    std::fs::write(BASELINE, json + "\n").map_err(|error| format!("{BASELINE}: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// `None` without valgrind.
fn count_all() -> Result<Option<Counts>, String> {
    let mut counts = Counts::new();
    for path in HotPath::ALL {
        let Some(count) = count(path.name).map_err(|fault| format!("{}: {fault}", path.name))? else {
            return Ok(None);
        };
        counts.insert(path.name.to_owned(), count);
    }
    Ok(Some(counts))
}

/// Runs this binary under valgrind. The profile stays next to the binary, for `callgrind_annotate`.
fn count(name: &str) -> Result<Option<u64>, String> {
    let binary = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = binary.with_file_name(format!("instructions-{name}.callgrind"));
    let mut out_file = OsString::from("--callgrind-out-file=");
    out_file.push(&profile);
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--toggle-collect=*measured*"])
        .arg(out_file)
        .arg(&binary)
        .args(["--run", name])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("valgrind: {error}")),
    };
    if !output.status.success() {
        return Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    total(&profile).map(Some)
}

fn total(profile: &Path) -> Result<u64, String> {
    let lines = std::fs::read_to_string(profile).map_err(|error| error.to_string())?;
    let total = lines.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    // The count is zero if the function's symbol is not found.
    total.filter(|total| *total > 0).ok_or_else(|| "nothing was counted".to_owned())
}

fn run(name: &str) -> Result<ExitCode, String> {
    let path =
        HotPath::ALL.into_iter().find(|path| path.name == name).ok_or("there is no path of that name")?;
    let prepared = path.prepare()?;
    let answer = measured(&prepared);
    if answer != prepared.expected {
        return Err(format!("{answer:?} instead of {:?}", prepared.expected));
    }
    Ok(ExitCode::SUCCESS)
}

/// The code that is counted. Valgrind finds it by its name. No function that it calls may contain that name, because that
/// would stop the counting.
#[inline(never)]
fn measured(prepared: &Prepared) -> Answer {
    prepared.run()
}
