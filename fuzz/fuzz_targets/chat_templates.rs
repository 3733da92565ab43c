//! See `oracles::chat_templates`.
#![no_main]

#[path = "../../codec/tests/oracles/mod.rs"]
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::chat_templates(data));
