//! From a request to chat events: the same tests for all transports.

mod common;
#[path = "../../transport/tests/shared/chat.rs"]
mod shared;
