//! Every path whose instructions are counted can be run, and the baseline has the same paths.

use std::process::{Command, Output};

use sagewire_benches::instructions::Baseline;

fn instructions(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_instructions")).args(args).output().unwrap()
}

fn names() -> Vec<String> {
    let names = String::from_utf8(instructions(&["--list"]).stdout).unwrap();
    names.lines().map(str::to_owned).collect()
}

#[test]
fn every_path_gives_its_answer() {
    for name in names() {
        let output = instructions(&["--run", &name]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_baseline_has_every_path() {
    let baseline: Baseline = serde_json::from_str(include_str!("../instructions.json")).unwrap();
    let mut names = names();
    names.sort();
    assert!(baseline.instructions.into_keys().eq(names), "renew the baseline");
}

#[test]
fn unknown_arguments_are_refused() {
    assert_eq!(instructions(&["--fast"]).status.code(), Some(2));
    assert_eq!(instructions(&["--run", "nothing"]).status.code(), Some(1));
}
