//! Signs requests.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sigv4};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sagewire_transport::Error;

/// The service name in signatures. It differs from the host name.
pub(crate) const SERVICE: &str = "sagemaker";

/// The scope of a signature.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) time: SystemTime,
}

impl<'a> Scope<'a> {
    /// SageMaker Runtime.
    pub(crate) fn new(region: &'a str, time: SystemTime) -> Self {
        Self { region, service: SERVICE, time }
    }
}

/// Adds the headers of the signature. All others must be there: from here on, none is added or changed.
pub(crate) fn sign(
    request: &mut http::Request<Bytes>,
    credentials: &Credentials,
    scope: Scope<'_>,
) -> Result<(), Error> {
    let headers = request.headers().iter();
    // `Request::headers` lets nothing through that is not printable ASCII.
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let uri = request.uri().to_string();
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(request.method().as_str(), uri, headers, body);
    let signable = signable.map_err(|_| unusable())?;
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(scope.time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| unusable())?
        .into();
    // Its errors quote header values, so they are not kept as a source.
    let (signed, _) = sigv4(signable, &params).map_err(|_| unusable())?.into_parts();
    for header in signed.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| unusable())?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::from_static(header.name()), value);
    }
    Ok(())
}

pub(crate) fn unusable() -> Error {
    Error::credentials("the credentials cannot be used to sign")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::Value;

    use super::*;

    /// The suite, with the parameters that all of its requests share.
    fn suite() -> Value {
        serde_json::from_str(include_str!("../testdata/sigv4-suite.json")).unwrap()
    }

    /// A signed request of the suite: without its signature, and the signature's headers.
    fn parse(signed: &str) -> (http::Request<Bytes>, Vec<(String, String)>) {
        let (head, body) = signed.split_once("\n\n").unwrap_or((signed, ""));
        let mut lines = head.lines();
        let line = lines.next().unwrap();
        let (method, line) = line.split_once(' ').unwrap();
        let target = line.strip_suffix(" HTTP/1.1").unwrap();
        let uri = format!("https://example.amazonaws.com{target}");
        let mut request = http::Request::builder().method(method).uri(uri);
        let mut added = Vec::new();
        for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
            let name = name.to_ascii_lowercase();
            match &*name {
                "authorization" | "x-amz-date" | "x-amz-security-token" => added.push((name, value.into())),
                _ => request = request.header(name, value),
            }
        }
        (request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap(), added)
    }

    #[test]
    fn the_published_suite_is_signed_to_the_byte() {
        let suite = suite();
        let text = |value: &Value| value.as_str().map(String::from);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let scope = Scope { region: "us-east-1", service: "service", time };
        let mut count = 0;
        for vector in suite["requests"].as_array().unwrap() {
            let (mut request, mut added) = parse(vector["signed"].as_str().unwrap());
            let credentials = Credentials::new(
                text(&suite["access_key_id"]).unwrap(),
                text(&suite["secret_access_key"]).unwrap(),
                text(&vector["session_token"]),
                None,
                "suite",
            );
            let before = request.headers().clone();
            sign(&mut request, &credentials, scope).unwrap();
            let headers = request.headers().iter();
            let mut found: Vec<(String, String)> = headers
                .filter(|(name, _)| !before.contains_key(*name))
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
                .collect();
            found.sort();
            added.sort();
            assert_eq!(found, added, "{}", vector["name"]);
            count += 1;
        }
        assert_eq!(count, suite["requests"].as_array().unwrap().len());
        assert!(count > 20);
    }

    #[test]
    fn what_authorizes_is_not_shown() {
        let mut request = http::Request::post("https://a/b").header("host", "a").body(Bytes::new()).unwrap();
        let keys = Credentials::new("id", "top secret", Some("session secret".into()), None, "test");
        sign(&mut request, &keys, Scope::new("us-east-1", SystemTime::UNIX_EPOCH)).unwrap();
        let shown = format!("{request:?}");
        assert!(request.headers().contains_key("x-amz-security-token"));
        assert!(!shown.contains("secret") && !shown.contains("Signature"), "{shown}");
    }
}
