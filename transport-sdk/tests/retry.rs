//! Retries, the same tests for all transports.

mod common;
#[path = "../../transport/tests/shared/retry.rs"]
mod shared;
