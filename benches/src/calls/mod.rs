//! Whole calls over loopback: a request is signed and sent, and a streamed answer read to its end.
//!
//! What counts is the time that the client's thread has of a processor, the kernel's work for it included. Each client has
//! a runtime on that one thread; the server has others, and costs nothing here.

#[cfg(feature = "calls")]
mod answer;
#[cfg(feature = "calls")]
mod callers;
#[cfg(feature = "calls")]
mod contest;
#[cfg(feature = "calls")]
mod lines;
#[cfg(feature = "calls")]
mod server;
mod ways;

#[cfg(feature = "calls")]
pub use self::contest::measure;
pub use self::ways::Way;

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Tokens of the answer.
    pub tokens: usize,
    /// Calls of each that count; the median of them does.
    pub calls: usize,
}

/// What calls cost one who makes them.
#[derive(Clone, Debug)]
pub struct Row {
    /// How the answer comes.
    pub way: Way,
    /// Who.
    pub subject: String,
    /// The versions of the packages that the subject is made of.
    pub version: String,
    /// Whether the answer is decoded; otherwise it is dropped.
    pub decodes: bool,
    /// How much, or why that cannot be said.
    pub outcome: Result<Cost, String>,
}

/// What a call costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Of a processor, for each token of the answer, in nanoseconds: the whole call, shared out.
    pub ns_per_token: f64,
    /// From the call to the first event with text, or to the first bytes, in microseconds.
    pub first_us: f64,
}

/// Measures nothing.
///
/// # Errors
///
/// Always: this was built without the feature `calls`.
#[cfg(not(feature = "calls"))]
pub fn measure(_: &Plan) -> Result<Vec<Row>, crate::tally::Fault> {
    Err("this was built without the feature `calls`".into())
}
