//! Measures sagewire and named peers in one process, on the same bytes.
//!
//! `cargo run --release -p sagewire-benches --bin compare` prints the table, or JSON with `--json`.
//! `cargo bench -p sagewire-benches` measures sagewire's own layers.
//! `cargo run --release -p sagewire-benches --bin instructions` fails if a hot path takes more instructions than its baseline.
//!
//! - [`catalog`], [`workload`]: the bytes and the expected results, generated from a fixed seed without sagewire.
//! - [`formats`]: the formats of the streams.
//! - [`subjects`]: the decoders and encoders that are measured.
//! - [`tally`]: the result of a subject. An incorrect result is reported as an error, never as a speed.
//! - [`measure`](mod@measure): runs the subjects in turn, round after round, and takes medians.
//! - [`requests`]: conversion of requests.
//! - [`lost`]: the tokens that are recovered from damaged streams, and the reported endings.
//! - [`streams`]: many interleaved streams.
//! - [`calls`]: whole calls over loopback.
//! - [`gateway`]: the gateway under load, as a process of its own.
//! - [`paths`] and [`instructions`]: the code that runs under valgrind, and the comparison of its counts with the baseline.

pub mod calls;
pub mod catalog;
pub mod counting;
pub mod formats;
pub mod frames;
pub mod gateway;
mod generated;
pub mod instructions;
pub mod lost;
pub mod machine;
pub mod measure;
pub mod openai_stream;
pub mod paths;
pub mod proof;
pub mod random;
pub mod reads;
pub mod recorded;
pub mod report;
pub mod requests;
pub mod script;
pub mod streams;
pub mod subjects;
pub mod tally;
pub mod workload;
