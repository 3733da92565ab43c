//! Calls of the emulator, the same tests for all transports.

mod common;
#[path = "../../transport/tests/shared/emulator.rs"]
mod shared;
