//! See `oracles::door`.
#![no_main]

#[path = "../../gateway/tests/oracles/mod.rs"]
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::door(data));
