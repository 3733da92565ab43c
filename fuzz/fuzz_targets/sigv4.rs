//! See `oracles::received`.
#![no_main]

#[path = "../../sigv4/tests/oracles/mod.rs"]
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::received(data));
