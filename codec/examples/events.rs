//! Reads a captured response from standard input and prints its events, without async and without a runtime:
//! `cargo run -p sagewire-codec --example events < codec/testdata/recorded/vllm-chat-emoji.sse`

use std::io::Read;

use bytes::Bytes;
use sagewire_codec::Decoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let len = std::io::stdin().read(&mut buffer)?;
        if len == 0 {
            break;
        }
        let mut chunk = Bytes::copy_from_slice(&buffer[..len]);
        while let Some(event) = decoder.decode(&mut chunk)? {
            println!("{event:?}");
        }
    }
    while let Some(event) = decoder.finish()? {
        println!("{event:?}");
    }
    println!("complete");
    Ok(())
}
