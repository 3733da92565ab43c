//! Measures sagewire and named peers in one process, on the same bytes.
//!
//! `cargo run --release -p sagewire-benches --bin compare` prints the table, with `--json` for machines.
//! `cargo bench -p sagewire-benches` measures sagewire's own layers.
//! `cargo run --release -p sagewire-benches --bin instructions` fails where a hot path takes more instructions than it
//! did.
//!
//! - [`workload`]: the bytes, and the truth about them, made from a fixed seed without sagewire.
//! - [`formats`]: the same for formats other than OpenAI's.
//! - [`subjects`]: who is measured, and how it is used.
//! - [`tally`]: what a subject found. A wrong answer is shown as wrong, never as a speed.
//! - [`measure`](mod@measure): the subjects run in turn, round after round; medians count.
//! - [`requests`]: requests of one format converted to another.
//! - [`lost`]: what is recovered of streams as they come in practice, and how they are said to have ended.
//! - [`streams`]: many streams in turn.
//! - [`calls`]: whole calls over loopback.
//! - [`paths`] and [`instructions`]: what is run under valgrind, and how its counts compare with those of the baseline.

pub mod calls;
pub mod catalog;
pub mod counting;
pub mod formats;
pub mod frames;
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
