//! Creates a client of this transport for the shared tests.
#![allow(dead_code, unused_imports, reason = "no test uses all of it")]

#[path = "../../../transport/tests/shared/setup.rs"]
mod setup;

pub(crate) use sagewire_transport_reqwest::Client;
use std::time::Duration;

use sagewire_transport_reqwest::{Builder, Credentials, http_client};
use tokio::net::TcpStream;

pub(crate) use setup::*;

pub(crate) fn builder(setup: &Setup) -> Builder {
    let (token, id) = (setup.session_token.clone(), setup.key_id.clone());
    Client::builder()
        .region("us-east-1")
        .credentials(Credentials::new(id, setup.secret.clone(), token, None, "test"))
        .endpoint_url(setup.url.clone())
        .bounds(setup.bounds)
}

pub(crate) fn client(setup: &Setup) -> Client {
    builder(setup).build().expect("complete")
}

/// The origin of HTTP/2 servers, without the port.
pub(crate) const HTTP2_ORIGIN: &str = "http://127.0.0.1";
/// The client detects dead HTTP/2 connections.
pub(crate) const HAS_PINGS: bool = true;

/// The client keeps using a connection if the server temporarily refuses streams.
pub(crate) const KEEPS_REFUSING_CONNECTIONS: bool = true;

/// The server side of a connection.
pub(crate) async fn secured(socket: TcpStream) -> Option<TcpStream> {
    Some(socket)
}

/// A client that uses HTTP/2 without negotiation, with short ping intervals.
pub(crate) fn http2_client(setup: &Setup) -> Client {
    let http = http_client(false)
        .expect("no TLS")
        .connect_timeout(setup.bounds.timeouts.connect)
        .http2_prior_knowledge()
        .http2_keep_alive_interval(Duration::from_millis(200))
        .http2_keep_alive_timeout(Duration::from_millis(1300));
    builder(setup).http_client(http.build().expect("a client")).build().expect("complete")
}

/// Whether a header has to be signed.
pub(crate) fn is_signed(name: &str) -> bool {
    !["authorization", "content-length"].contains(&name)
}
