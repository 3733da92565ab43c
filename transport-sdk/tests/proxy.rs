//! HTTP responses for the clients of a proxy: what all transports do alike.

mod common;
#[path = "../../transport/tests/shared/proxy.rs"]
mod shared;
