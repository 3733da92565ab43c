//! Trying again, as all transports do.

mod common;
#[path = "../../transport/tests/shared/retry.rs"]
mod shared;
