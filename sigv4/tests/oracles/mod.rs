//! Oracles for the property test, the corpus and the fuzz target. `aws-sigv4` signs; it shares no code with this crate.
#![allow(dead_code, unreachable_pub)]

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::request::Parts;
use sagewire_sigv4::{SignedHead, bearer};

pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const SERVICES: [&str; 3] = ["sagemaker", "bedrock", "service"];

/// 2015-08-30T12:36:00Z
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

/// What is signed.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub host: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub region: String,
    pub service: &'static str,
    pub session_token: Option<String>,
}

impl Request {
    /// The request as a server receives it, signed by `aws-sigv4`. `None` if it cannot sign it.
    pub fn signed(&self) -> Option<Parts> {
        let token = self.session_token.clone();
        let identity = Credentials::new(ACCESS_KEY_ID, SECRET, token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(now())
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers = headers.chain([("host", self.host.as_str())]);
        let uri = format!("http://{}{}", self.host, self.target);
        let signable =
            SignableRequest::new(&self.method, uri, headers, SignableBody::Bytes(&self.body)).ok()?;
        let (signature, _) = sign(signable, &params).ok()?.into_parts();
        let mut request = http::Request::builder().method(self.method.as_str()).uri(&self.target);
        for (name, value) in self.headers.iter().chain([&("host".to_owned(), self.host.clone())]) {
            request = request.header(name, value);
        }
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        Some(request.body(()).ok()?.into_parts().0)
    }
}

/// Whether the request is accepted.
pub fn verifies(parts: &Parts, body: &[u8], session_token: Option<&str>) -> bool {
    SignedHead::parse(parts, &SERVICES, now()).is_ok_and(|head| {
        head.access_key_id() == ACCESS_KEY_ID && head.verify(body, SECRET, session_token).is_ok()
    })
}

/// Texts that bytes of 0xFF separate: method, target, body, and headers as `name:value`.
///
/// Total; what is accepted has the signature that `aws-sigv4` gives the same request, and is not accepted with another body or
/// secret.
pub fn received(data: &[u8]) {
    let mut texts = data.split(|byte| *byte == 0xff);
    let mut next = || texts.next().unwrap_or_default();
    let (method, target, body) = (next(), next(), next());
    let mut request = http::Request::builder().method(method).uri(target);
    for line in texts {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        request = request.header(&line[..at], line.get(at + 1..).unwrap_or_default());
    }
    let Ok(request) = request.body(()) else { return };
    let parts = request.into_parts().0;
    let authorization = parts.headers.get("authorization").map_or(&b""[..], |value| value.as_bytes());
    let secrets = [authorization.rsplit(|byte| *byte == b'=').next().unwrap_or_default()];
    if let Err(error) =
        bearer::Token::parse(&parts.headers).and_then(|token| token.verify(SECRET, None, now()))
    {
        assert!(!error.to_string().is_empty() && !error.error_type().is_empty());
    }
    let head = match SignedHead::parse(&parts, &SERVICES, now()) {
        Ok(head) => head,
        Err(error) => {
            let shown = format!("{error} {error:?}");
            for secret in secrets.iter().filter(|secret| secret.len() >= 32) {
                assert!(!shown.as_bytes().windows(secret.len()).any(|window| window == *secret), "{shown}");
            }
            return;
        }
    };
    assert!(SERVICES.contains(&head.service()));
    let token = head.session_token();
    if head.verify(body, SECRET, token).is_ok() {
        assert!(head.verify(body, "another", token).is_err());
        assert!(head.verify(&[body, b"x"].concat(), SECRET, token).is_err());
        assert!(head.verify(body, SECRET, Some("another")).is_err());
    }
}
