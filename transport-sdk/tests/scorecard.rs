//! The rows of `RELIABILITY.md` that are about transports: each prints its count.
//!
//! `cargo test -p sagewire-transport-sdk --test scorecard -- --nocapture`

#[path = "../../transport/tests/shared/answer.rs"]
mod answer;
#[path = "../../transport/tests/shared/call.rs"]
mod call;
mod common;
#[path = "../../transport/tests/shared/fault.rs"]
mod fault;
#[path = "../../transport/tests/shared/http1/mod.rs"]
mod http1;
#[path = "../../transport/tests/shared/http2/mod.rs"]
mod http2;
