//! Fifty faults of other gateways, each with a test that this one does not have it. The names have their numbers.

#[path = "../common/mod.rs"]
mod common;

mod cache;
mod doors;
mod leaving;
mod limits;
mod load;
mod operation;
mod process;
mod retries;
mod security;
mod streams;
