//! See `oracles::chat_templates` of `chat-template`.
#![no_main]

#[path = "../../chat-template/tests/oracles/mod.rs"]
mod oracles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::chat_templates(data));
