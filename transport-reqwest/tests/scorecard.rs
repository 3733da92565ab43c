//! The rows of `RELIABILITY.md` that are about transports: each prints its count.
//!
//! `cargo test -p sagewire-transport-reqwest --test scorecard -- --nocapture`

mod common;
#[path = "../../transport/tests/shared/dropped.rs"]
mod dropped;
#[path = "../../transport/tests/shared/faults.rs"]
mod faults;
#[path = "../../transport/tests/shared/server.rs"]
mod server;
