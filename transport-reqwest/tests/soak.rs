//! Random faults for a while: see the shared module.

mod common;
#[path = "../../transport/tests/shared/soak.rs"]
mod shared;
