//! HTTP responses for the clients of a proxy: the same tests for all transports.

mod common;
#[path = "../../transport/tests/shared/proxy.rs"]
mod shared;
