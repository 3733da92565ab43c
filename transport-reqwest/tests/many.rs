//! A thousand streams at once, over this transport.

mod common;
#[path = "../../codec/tests/common/counting.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is another crate's")]
mod counting;
#[path = "../../transport/tests/shared/many.rs"]
mod shared;
