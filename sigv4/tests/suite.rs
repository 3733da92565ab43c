//! AWS's published test suite for signatures, as requests that are received.

use std::time::{Duration, SystemTime};

use sagewire_sigv4::{SignatureErrorKind, SignedHead};
use serde_json::Value;

fn suite() -> Value {
    serde_json::from_str(include_str!("../testdata/sigv4-suite.json")).unwrap()
}

/// A request of the suite.
fn parse(signed: &str) -> http::Request<&str> {
    let (head, body) = signed.split_once("\n\n").unwrap_or((signed, ""));
    let mut lines = head.lines();
    let line = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
        request = request.header(name, value.trim());
    }
    request.body(body).unwrap()
}

#[test]
fn its_requests_verify() {
    let suite = suite();
    let secret = suite["secret_access_key"].as_str().unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let (mut verified, mut repeated) = (0, 0);
    for vector in suite["requests"].as_array().unwrap() {
        let name = &vector["name"];
        let (parts, body) = parse(vector["signed"].as_str().unwrap()).into_parts();
        let head = match SignedHead::parse(&parts, &["service"], now) {
            // Stricter than the suite: its two requests with a header that is signed and occurs several times.
            Err(error) if parts.headers.get_all("my-header1").iter().count() > 1 => {
                assert_eq!(error.kind(), SignatureErrorKind::IncompleteSignature, "{name}");
                repeated += 1;
                continue;
            }
            parsed => parsed.unwrap_or_else(|error| panic!("{name}: {error}")),
        };
        assert_eq!(
            (head.access_key_id(), head.region(), head.service()),
            ("AKIDEXAMPLE", "us-east-1", "service")
        );
        assert_eq!(head.session_token(), vector["session_token"].as_str(), "{name}");
        let token = head.session_token();
        head.verify(body.as_bytes(), secret, token).unwrap_or_else(|error| panic!("{name}: {error}"));
        let wrong = head.verify(body.as_bytes(), "wrong", token).map_err(|error| error.kind());
        assert_eq!(wrong, Err(SignatureErrorKind::InvalidSignature), "{name}");
        let wrong = head.verify(body.as_bytes(), secret, Some("wrong")).map_err(|error| error.kind());
        assert_eq!(wrong, Err(SignatureErrorKind::UnrecognizedClient), "{name}");
        let longer = head.verify(format!("{body} ").as_bytes(), secret, token).map_err(|error| error.kind());
        assert_eq!(longer, Err(SignatureErrorKind::InvalidSignature), "{name}");
        verified += 1;
    }
    assert_eq!((verified, repeated), (26, 2));
}
