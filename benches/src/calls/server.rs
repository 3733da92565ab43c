//! An endpoint on loopback that returns the same prepared response to every request.
//!
//! It has threads of its own, so its CPU time is not part of the client's thread.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::answer::Answer;
use crate::tally::Fault;

/// Maximum number of headers in a request.
const HEADERS_MAX: usize = 64;

/// Serves until the process ends.
///
/// Errors of the network.
///
/// Those of the network.
pub(super) fn serve(answer: Answer) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A client that disconnects ends only its own connection.
            thread::spawn(move || converse(connection, &answer).is_ok());
        }
    });
    Ok(address)
}

fn converse(mut connection: TcpStream, answer: &Answer) -> Result<(), Fault> {
    connection.set_nodelay(true)?;
    let mut received = Vec::new();
    while take_request(&mut connection, &mut received)? {
        for (number, write) in answer.writes.iter().enumerate() {
            if number > 0 && answer.pause > Duration::ZERO {
                thread::sleep(answer.pause);
            }
            connection.write_all(write)?;
        }
    }
    Ok(())
}

/// Waits for a complete request, and drops it. False if there are no more.
fn take_request(connection: &mut TcpStream, received: &mut Vec<u8>) -> Result<bool, Fault> {
    let mut chunk = [0; 8192];
    loop {
        if let Some(len) = request_len(received)?.filter(|len| *len <= received.len()) {
            received.drain(..len);
            return Ok(true);
        }
        match connection.read(&mut chunk)? {
            0 => return Ok(false),
            len => received.extend_from_slice(&chunk[..len]),
        }
    }
}

/// Bytes of a request with its body, once its headers are complete.
fn request_len(received: &[u8]) -> Result<Option<usize>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(received)? else { return Ok(None) };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body: usize =
        length.map_or(Ok(0), |header| std::str::from_utf8(header.value)?.parse().map_err(Fault::from))?;
    Ok(Some(head + body))
}
