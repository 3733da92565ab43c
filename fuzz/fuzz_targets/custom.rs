//! See `oracles::custom`.
#![no_main]

#[path = "../../codec/tests/oracles/mod.rs"]
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::custom(data));
