//! An HTTP proxy, which records the requests that it gets.
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The user and password that a proxy may require, in Base64.
pub(crate) const AUTHORIZATION: &str = "proxy-authorization: Basic dXNlcjpwYXNz";

pub(crate) struct Proxy {
    pub(crate) url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy that rejects all requests.
    pub(crate) fn start() -> Self {
        Self::forwarding(HashMap::new())
    }

    /// A proxy that connects to these hosts, if it gets [`AUTHORIZATION`], and rejects all other requests.
    pub(crate) fn forwarding(hosts: HashMap<String, SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (hosts, heads) = (Arc::new(hosts), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (hosts, kept) = (Arc::clone(&hosts), Arc::clone(&kept));
                // The client may have closed the connection.
                thread::spawn(move || serve(&socket, &hosts, &kept).ok());
            }
        });
        Self { url, heads }
    }

    /// The heads of the requests since the last call.
    pub(crate) fn heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().expect("not poisoned"))
    }
}

fn serve(
    mut client: &TcpStream,
    hosts: &HashMap<String, SocketAddr>,
    kept: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let lines = reader.by_ref().lines().map_while(Result::ok);
    let head = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let target = head.strip_prefix("CONNECT ").and_then(|rest| Some(rest.split_once(' ')?.0.to_owned()));
    let is_authorized = head.to_ascii_lowercase().contains(&AUTHORIZATION.to_ascii_lowercase());
    kept.lock().expect("not poisoned").push(head);
    let Some(address) = target.and_then(|target| hosts.get(&target)).filter(|_| is_authorized) else {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    };
    let server = TcpStream::connect(address)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut to_server, mut from_client) = (server.try_clone()?, client.try_clone()?);
    // A client sends nothing before the response to CONNECT, so the reader has buffered nothing.
    let upward = thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        to_server.shutdown(Shutdown::Write)
    });
    io::copy(&mut &server, &mut client)?;
    client.shutdown(Shutdown::Both)?;
    let _ = upward.join();
    Ok(())
}
