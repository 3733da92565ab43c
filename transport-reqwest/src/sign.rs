//! Signs requests.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sagewire_transport::Error;
use sha2::{Digest, Sha256};

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// All characters except the unreserved ones of [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3).
pub(crate) const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same within a path.
const IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

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
///
/// Of `aws-sigv4` only the key derivation is used, because it logs the values of headers, which may be secret.
/// Source: [Create a signed AWS API request](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
pub(crate) fn sign(
    request: &mut http::Request<Bytes>,
    credentials: &Credentials,
    scope: Scope<'_>,
) -> Result<(), Error> {
    let date = iso_8601_basic(scope.time);
    let headers = request.headers_mut();
    headers.insert(DATE, HeaderValue::from_str(&date).map_err(|_| unusable())?);
    if let Some(token) = credentials.session_token() {
        headers.insert(SESSION_TOKEN, secret(token)?);
    }
    let (canonical, signed) = canonical(request)?;
    let Scope { region, service, time } = scope;
    let scope = format!("{}/{region}/{service}/aws4_request", &date[..8]);
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let key = generate_signing_key(credentials.secret_access_key(), time, region, service);
    let signature = calculate_signature(key, text.as_bytes());
    let id = credentials.access_key_id();
    let authorization =
        format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}");
    request.headers_mut().insert(header::AUTHORIZATION, secret(&authorization)?);
    Ok(())
}

fn secret(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The canonical form of a request, and the names of its headers.
fn canonical(request: &http::Request<Bytes>) -> Result<(String, String), Error> {
    let mut headers = BTreeMap::<&str, String>::new();
    for (name, value) in request.headers() {
        // `Request::headers` lets nothing through that is not printable ASCII.
        let value = value.to_str().map_err(|_| unusable())?;
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let values = headers.entry(name.as_str()).or_default();
        *values = if values.is_empty() { value } else { format!("{values},{value}") };
    }
    let signed = headers.keys().copied().collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let (method, path, query) = (request.method(), path(request.uri().path()), query(request.uri().query()));
    let hash = hex::encode(Sha256::digest(request.body()));
    Ok((format!("{method}\n{path}\n{query}\n{lines}\n{signed}\n{hash}"), signed))
}

/// The path without empty segments, `.` and `..`, and once more percent-encoded.
fn path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    let path = format!("/{}{end}", segments.join("/"));
    utf8_percent_encode(&path, IN_PATH).to_string()
}

/// The parameters of a query, sorted.
fn query(query: Option<&str>) -> String {
    let encoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        utf8_percent_encode(&decoded, ESCAPED).to_string()
    };
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// `20260520T123456Z`
pub(crate) fn iso_8601_basic(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = DateTime::from_secs(i64::try_from(since.as_secs()).unwrap_or_default());
    let text = time.fmt(Format::DateTime).unwrap_or_else(|_| "19700101T000000Z".into());
    text.replace(['-', ':'], "")
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
