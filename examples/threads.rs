//! Plain threads and [`std::io::Read`]: the decoder takes bytes from anything, and waits for nothing.
//!
//! `cargo run -p sagewire-examples --example threads`

use std::io::Read;
use std::thread;

use bytes::Bytes;
use sagewire_codec::Decoder;
use sagewire_codec::model::Response;
use sagewire_examples::{CHAT, Error, blocking_stream, endpoint};
use sagewire_transport::Request;

fn ask(url: &str) -> Result<String, Error> {
    let mut body = blocking_stream(url, &Request::new("my-llm", CHAT))?;
    let (mut decoder, mut answer) = (Decoder::new(), Response::default());
    let mut buffer = [0; 8192];
    loop {
        let len = body.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        let mut chunk = Bytes::copy_from_slice(&buffer[..len]);
        while let Some(event) = decoder.decode(&mut chunk)? {
            answer.add(&event);
        }
    }
    // An answer is whole when this says so, and only then.
    while let Some(event) = decoder.finish()? {
        answer.add(&event);
    }
    Ok(answer.choices[0].text())
}

/// Runs it.
///
/// # Errors
///
/// Whatever goes wrong.
pub fn main() -> Result<(), Error> {
    let endpoint = endpoint()?;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let url = endpoint.url();
            thread::spawn(move || ask(&url))
        })
        .collect();
    for thread in threads {
        let answer = thread.join().map_err(|_| "a thread panicked")??;
        println!("{answer}");
        assert!(!answer.is_empty());
    }
    Ok(())
}
