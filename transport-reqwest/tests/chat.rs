//! From a request to chat events: what all transports do alike.

mod common;
#[path = "../../transport/tests/shared/chat.rs"]
mod shared;
