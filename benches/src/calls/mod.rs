//! Whole calls over loopback: a request is signed and sent, and a streaming response is received completely.
//!
//! The measured time is the CPU time of the client's thread, including the kernel's work for it. Each client has a runtime on
//! that one thread; the server has its own threads, which are not measured.

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

/// The size of the measurement.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Tokens of the response.
    pub tokens: usize,
    /// Measured calls of each subject; the median is used.
    pub calls: usize,
}

/// The result of one subject.
#[derive(Clone, Debug)]
pub struct Row {
    /// How the response is sent.
    pub way: Way,
    /// The subject.
    pub subject: String,
    /// The versions of the packages that the subject uses.
    pub version: String,
    /// Whether the response is decoded; otherwise it is dropped.
    pub decodes: bool,
    /// The cost, or why there is none.
    pub outcome: Result<Cost, String>,
}

/// The cost of a call.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU time of the whole call, divided by the number of tokens, in nanoseconds.
    pub ns_per_token: f64,
    /// Time from the call to the first event with text, or to the first bytes, in microseconds.
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
