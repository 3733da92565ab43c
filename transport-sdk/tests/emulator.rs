//! What all transports do alike against the emulator.

mod common;
#[path = "../../transport/tests/shared/emulator.rs"]
mod shared;
