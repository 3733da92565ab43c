//! Random faults for a while: see the shared file.

mod common;
#[path = "../../transport/tests/shared/soak.rs"]
mod shared;
