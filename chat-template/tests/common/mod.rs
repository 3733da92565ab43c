//! Shared by the tests.
// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub)]

#[path = "../../../codec/tests/common/mutation.rs"]
pub mod mutation;
#[path = "../../../codec/tests/common/random.rs"]
pub mod random;

use serde_json::Value;

/// The vectors.
pub fn vectors() -> Vec<Value> {
    let text = include_str!("../../testdata/chat_templates.json");
    serde_json::from_str(text).expect("a list of vectors")
}
