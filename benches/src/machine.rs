//! The machine and the build of the measurements.

use serde::Serialize;

/// The machine and the compiler.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The name of the processor if the system provides it, otherwise its architecture.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The operating system.
    pub os: &'static str,
    /// The compiler that built this binary.
    pub rustc: &'static str,
    /// Whether it was built with optimisations.
    pub optimised: bool,
}

impl Machine {
    /// The current machine.
    pub fn this() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| Some(line.split_once(':')?.1.trim()));
        Self {
            cpu: model.unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            os: std::env::consts::OS,
            rustc: env!("SAGEWIRE_RUSTC"),
            optimised: !cfg!(debug_assertions),
        }
    }
}

/// The version of a package in the lock file of this build. Empty if it is not there.
pub fn version(package: &str) -> &'static str {
    let mut lines = include_str!("../../Cargo.lock").lines();
    let quoted = |line: &'static str, key| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
    while let Some(line) = lines.next() {
        if quoted(line, "name") == Some(package) {
            return lines.next().and_then(|line| quoted(line, "version")).unwrap_or_default();
        }
    }
    ""
}
