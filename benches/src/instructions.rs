//! Counts of instructions, and their comparison with the baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The command that measures everything again and writes the baseline.
pub const RENEW: &str = "cargo run --release -p sagewire-benches --bin instructions -- --renew";

/// Per cent that a count may grow. Counts are exact, but an unrelated change may change what is inlined.
const TOLERANCE: u64 = 3;

/// The build of a binary. Counts of different builds cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The version of the compiler.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// `release` or `debug`.
    pub profile: String,
}

impl Build {
    /// The build of this binary.
    pub fn this() -> Self {
        let [rustc, target, profile] =
            [env!("SAGEWIRE_RUSTC"), env!("SAGEWIRE_TARGET"), env!("SAGEWIRE_PROFILE")].map(str::to_owned);
        Self { rustc, target, profile }
    }

    /// Why counts of `now` cannot be compared with those of this build. `None` if they can.
    pub fn differs(&self, now: &Self) -> Option<String> {
        [(&self.rustc, &now.rustc), (&self.target, &now.target), (&self.profile, &now.profile)]
            .into_iter()
            .find(|(made, this)| made != this)
            .map(|(made, this)| format!("the baseline was made by {made}, this is {this}"))
    }
}

/// Instructions of each path, by name.
pub type Counts = BTreeMap<String, u64>;

/// The counts that later ones are compared with, as committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The build that was measured.
    #[serde(flatten)]
    pub build: Build,
    /// The instructions of each path.
    pub instructions: Counts,
}

/// The difference between the baseline and the new count of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The path has both counts.
    Counted {
        /// The count in the baseline.
        baseline: u64,
        /// The new count.
        now: u64,
    },
    /// The path is in the baseline, but no longer exists.
    Missing(u64),
    /// The path is not in the baseline yet.
    New(u64),
}

impl Change {
    /// Whether the check fails.
    pub fn fails(self) -> bool {
        match self {
            Self::Counted { baseline, now } => now * 100 > baseline * (100 + TOLERANCE),
            Self::Missing(_) => true,
            Self::New(_) => false,
        }
    }

    /// The remark in the table, if there is one.
    pub fn remark(self) -> Option<&'static str> {
        match self {
            Self::Counted { .. } if self.fails() => Some("REGRESSION"),
            Self::Counted { baseline, now } if now * 100 < baseline * (100 - TOLERANCE) => {
                Some("better: renew the baseline to keep it")
            }
            Self::Counted { .. } => None,
            Self::Missing(_) => Some("MISSING: in the baseline, but no path any more"),
            Self::New(_) => Some("new: renew the baseline to guard it"),
        }
    }
}

/// The paths of both counts and what changed, as a table.
#[derive(Clone, Debug)]
pub struct Comparison(Vec<(String, Change)>);

impl Comparison {
    /// Compares the counts.
    pub fn new(baseline: &Counts, now: &Counts) -> Self {
        let names: BTreeSet<&String> = baseline.keys().chain(now.keys()).collect();
        let change = |name: &String| match (baseline.get(name), now.get(name)) {
            (Some(&baseline), Some(&now)) => Some(Change::Counted { baseline, now }),
            (Some(&baseline), None) => Some(Change::Missing(baseline)),
            (None, Some(&now)) => Some(Change::New(now)),
            (None, None) => None,
        };
        Self(names.into_iter().filter_map(|name| Some((name.clone(), change(name)?))).collect())
    }

    /// Whether the check fails for any path.
    pub fn fails(&self) -> bool {
        self.0.iter().any(|(_, change)| change.fails())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |path: &str, baseline: &str, now: &str, change: &str, remark: &str| {
            let line = format!("{path:<24} {baseline:>12} {now:>12} {change:>9}  {remark}");
            writeln!(f, "{}", line.trim_end())
        };
        line("path", "baseline", "now", "change", "")?;
        for (path, change) in &self.0 {
            let (baseline, now, percent) = match *change {
                Change::Counted { baseline, now } => {
                    let percent = (now as f64 / baseline as f64 - 1.0) * 100.0;
                    (baseline.to_string(), now.to_string(), format!("{percent:+.2} %"))
                }
                Change::Missing(baseline) => (baseline.to_string(), "-".to_owned(), String::new()),
                Change::New(now) => ("-".to_owned(), now.to_string(), String::new()),
            };
            line(path, &baseline, &now, &percent, change.remark().unwrap_or_default())?;
        }
        if self.fails() {
            writeln!(
                f,
                "\na path may take {TOLERANCE} % more than in the baseline, and none may go missing"
            )?;
        }
        if self.0.iter().any(|(_, change)| change.remark().is_some()) {
            writeln!(f, "where that is meant, renew with: {RENEW}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> Counts {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    fn compare(baseline: &[(&str, u64)], now: &[(&str, u64)]) -> (bool, String) {
        let comparison = Comparison::new(&counts(baseline), &counts(now));
        (comparison.fails(), comparison.to_string())
    }

    #[test]
    fn more_than_three_per_cent_fail() {
        for (now, fails) in [(1_029, false), (1_030, false), (1_031, true), (2_000, true), (1_000, false)] {
            let (failed, table) = compare(&[("sse", 1_000), ("frames", 5)], &[("sse", now), ("frames", 5)]);
            assert_eq!(failed, fails, "{table}");
            assert_eq!(table.contains("REGRESSION"), fails, "{table}");
            assert_eq!(table.contains(RENEW), fails, "{table}");
        }
    }

    #[test]
    fn less_is_noted_and_passes() {
        for (now, noted) in [(971, false), (970, false), (969, true)] {
            let (failed, table) = compare(&[("sse", 1_000)], &[("sse", now)]);
            assert!(!failed, "{table}");
            assert_eq!(table.contains("better") && table.contains(RENEW), noted, "{table}");
        }
    }

    #[test]
    fn a_missing_path_fails() {
        let (failed, table) = compare(&[("sse", 1_000), ("gone", 7)], &[("sse", 1_000)]);
        assert!(failed);
        assert!(table.contains("MISSING") && table.contains(RENEW), "{table}");
    }

    #[test]
    fn a_new_path_asks_to_renew() {
        let (failed, table) = compare(&[("sse", 1_000)], &[("sse", 1_000), ("added", 7)]);
        assert!(!failed);
        assert!(table.contains("new: renew") && table.contains(RENEW), "{table}");
    }

    #[test]
    fn other_builds_are_told_apart() {
        let build = Build::this();
        assert_eq!(build.differs(&build), None);
        let other = Build { rustc: "rustc 1.0.0".to_owned(), ..build.clone() };
        let why = other.differs(&build).unwrap();
        assert!(why.contains("made by rustc 1.0.0, this is rustc 1."), "{why}");
        assert!(other.differs(&Build { profile: "other".to_owned(), ..other.clone() }).is_some());
    }
}
