//! Threads and [`std::io::Read`] without async: the decoder takes bytes from any source, and never blocks.
//!
//! `cargo run -p sagewire-examples --example threads`

use std::io::Read;
use std::thread;

use bytes::Bytes;
use sagewire_codec::Decoder;
use sagewire_codec::model::Response;
use sagewire_examples::{CHAT, Error, blocking_stream, endpoint};
use sagewire_transport::Request;

fn complete(url: &str) -> Result<String, Error> {
    let mut body = blocking_stream(url, &Request::new("my-llm", CHAT))?;
    let (mut decoder, mut response) = (Decoder::new(), Response::default());
    let mut buffer = [0; 8192];
    loop {
        let len = body.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        let mut chunk = Bytes::copy_from_slice(&buffer[..len]);
        while let Some(event) = decoder.decode(&mut chunk)? {
            response.add(&event);
        }
    }
    // The response is complete only if `finish` succeeds.
    while let Some(event) = decoder.finish()? {
        response.add(&event);
    }
    Ok(response.choices[0].text())
}

/// Runs the example.
///
/// # Errors
///
/// Anything that fails.
pub fn main() -> Result<(), Error> {
    let endpoint = endpoint()?;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let url = endpoint.url();
            thread::spawn(move || complete(&url))
        })
        .collect();
    for thread in threads {
        let text = thread.join().map_err(|_| "a thread panicked")??;
        println!("{text}");
        assert!(!text.is_empty());
    }
    Ok(())
}
