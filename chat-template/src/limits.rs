//! Bounds on what a template may use.

/// Bounds on what a template may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a template. Default: 1 MiB. The longest in use have about 30 KiB.
    pub template: usize,
    /// Steps of the template engine. Default: 1,000,000. A message takes about 50. Values that are compared, sorted or searched
    /// count as an eighth of a step each, and more messages than an eighth of the steps are refused.
    pub steps: u64,
    /// Nesting of blocks and macros while a template runs. Default: 100. A macro call counts several times.
    pub depth: usize,
    /// Bytes of a prompt, and of each value that its template creates. Default: 8 MiB. All values together have at most 16
    /// times as many.
    pub prompt: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { template: 1024 * 1024, steps: 1_000_000, depth: 100, prompt: 8 * 1024 * 1024 }
    }
}
