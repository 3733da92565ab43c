//! Rejects requests of web pages.
//!
//! The default credentials are public. A page whose name resolves to 127.0.0.1 (DNS rebinding) can sign with them, and the
//! browser lets it read the responses. Its requests have the page's name as their host, or an `Origin`.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::error::ServiceError;

/// Checks that a client on this machine has sent the request.
///
/// # Errors
///
/// The request has an `Origin`, or its host is neither this machine nor in `allowed`.
pub(crate) fn check(parts: &Parts, allowed: &[String]) -> Result<(), Box<ServiceError>> {
    if parts.headers.contains_key(header::ORIGIN) {
        return Err(refuse("Requests of web pages are not accepted: the request has an Origin"));
    }
    let Some(authority) = authority(&parts.headers, parts.uri.authority()) else {
        return Err(refuse("The request needs one Host, which is that of its URL"));
    };
    let host = authority.host();
    if is_local(host) || allowed.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(refuse(&format!("Requests for the host {host} are not accepted; --allow-host {host} accepts them")))
}

/// The host of the request: the header, or the authority of HTTP/2. `None` if there are several, or if they differ.
fn authority(headers: &HeaderMap, of_uri: Option<&Authority>) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match hosts.next() {
        Some(host) => Some(Authority::try_from(host.as_bytes()).ok()?),
        None => None,
    };
    match (host, of_uri) {
        _ if hosts.next().is_some() => None,
        (Some(host), Some(of_uri)) => (host == *of_uri).then_some(host),
        (host, of_uri) => host.or_else(|| of_uri.cloned()),
    }
}

/// Whether a name or address always means this machine. `host.docker.internal` is its name in a container.
fn is_local(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
        || ["localhost", "host.docker.internal"].contains(&&*host)
        || host.ends_with(".localhost")
}

fn refuse(message: &str) -> Box<ServiceError> {
    let kind = HeaderValue::from_static("AccessDeniedException");
    Box::new(ServiceError::auth(StatusCode::FORBIDDEN, kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = axum::http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0, &["Box.example".into()]).is_ok()
    }

    #[test]
    fn hosts() {
        for host in [
            "localhost",
            "LOCALHOST:8787",
            "e.localhost:1",
            "127.0.0.1:8787",
            "127.1.2.3",
            "[::1]:80",
            "host.docker.internal:8787",
            "box.example",
        ] {
            assert!(accepts("/", &[("host", host)]), "{host}");
        }
        for host in ["evil.example:8787", "localhost.evil.example", "10.0.0.1", "evillocalhost", "", "a b"] {
            assert!(!accepts("/", &[("host", host)]), "{host}");
        }
    }

    #[test]
    fn one_host_and_no_origin() {
        assert!(!accepts("/", &[]));
        assert!(!accepts("/", &[("host", "localhost"), ("host", "localhost")]));
        assert!(!accepts("/", &[("host", "localhost"), ("origin", "http://localhost")]));
        assert!(accepts("http://localhost/", &[]));
        assert!(accepts("http://localhost/", &[("host", "localhost")]));
        assert!(!accepts("http://evil.example/", &[("host", "localhost")]));
        assert!(!accepts("http://localhost/", &[("host", "evil.example")]));
    }
}
