//! The rows of `RELIABILITY.md` about transports. Each test prints its counts.
//!
//! `cargo test -p sagewire-transport-sdk --test scorecard -- --nocapture`

#[path = "../../transport/tests/shared/call.rs"]
mod call;
mod common;
#[path = "../../transport/tests/shared/fault.rs"]
mod fault;
#[path = "../../transport/tests/shared/http1/mod.rs"]
mod http1;
#[path = "../../transport/tests/shared/http2/mod.rs"]
mod http2;
#[path = "../../transport/tests/shared/reply.rs"]
mod reply;
