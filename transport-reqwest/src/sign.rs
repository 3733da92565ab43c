//! Signs requests.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sagewire_sigv4::signing::{self, ALGORITHM, SigningKey, canonical_request, hash};
use sagewire_transport::Error;

use crate::credentials::are_same;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

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

/// The key of the last signature: it is the same for a day.
#[derive(Default)]
pub(crate) struct LastKey(Mutex<Option<Derived>>);

struct Derived {
    key: SigningKey,
    credentials: Credentials,
}

impl LastKey {
    fn get(&self, scope: signing::Scope<'_>, credentials: &Credentials) -> SigningKey {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.key.scope() == scope.credential()
            && are_same(&last.credentials, credentials)
        {
            return last.key.clone();
        }
        let key = scope.key(credentials.secret_access_key());
        *last = Some(Derived { key: key.clone(), credentials: credentials.clone() });
        key
    }
}

impl fmt::Debug for LastKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastKey").finish_non_exhaustive()
    }
}

/// What is signed beside the headers.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
}

/// Adds the headers of the signature. All others must be there: from here on, none is added or changed.
pub(crate) fn sign(
    headers: &mut HeaderMap,
    request: Signed<'_>,
    credentials: &Credentials,
    scope: Scope<'_>,
    last_key: &LastKey,
) -> Result<(), Error> {
    let date = iso_8601_basic(scope.time);
    headers.insert(DATE, HeaderValue::from_str(&date).map_err(|_| unusable())?);
    if let Some(token) = credentials.session_token() {
        headers.insert(SESSION_TOKEN, secret(token)?);
    }
    // `Request::headers` lets nothing through that is not printable ASCII.
    let values = headers.iter();
    let values = values.map(|(name, value)| Ok((name.as_str(), value.to_str().map_err(|_| unusable())?)));
    let values = values.collect::<Result<Vec<_>, Error>>()?;
    let Signed { method, path, query, body } = request;
    let (canonical, signed) = canonical_request(method, path, query, values, &hash(body));
    let scope = signing::Scope { date: &date, region: scope.region, service: scope.service };
    let key = last_key.get(scope, credentials);
    let signature = scope.sign_with(&key, &canonical);
    let (id, scope) = (credentials.access_key_id(), key.scope());
    let authorization =
        format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}");
    headers.insert(header::AUTHORIZATION, secret(&authorization)?);
    Ok(())
}

fn secret(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
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
    use std::time::Duration;

    use bytes::Bytes;
    use serde_json::Value;

    use super::*;

    /// The suite, with the parameters that all of its requests share.
    fn suite() -> Value {
        serde_json::from_str(include_str!("../../sigv4/testdata/sigv4-suite.json")).unwrap()
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

    fn sign_request(request: &mut http::Request<Bytes>, credentials: &Credentials, scope: Scope<'_>) {
        let (parts, body) = std::mem::take(request).into_parts();
        let (method, uri) = (parts.method.as_str(), &parts.uri);
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let signed = Signed { method, path, query, body: &body };
        let mut headers = parts.headers.clone();
        sign(&mut headers, signed, credentials, scope, &LastKey::default()).unwrap();
        *request = http::Request::from_parts(parts, body);
        *request.headers_mut() = headers;
    }

    #[test]
    fn the_key_is_derived_again_for_other_credentials_and_scopes() {
        let keys = |id, secret| Credentials::new(id, secret, None, None, "test");
        let scope = |date, region| signing::Scope { date, region, service: SERVICE };
        let last = LastKey::default();
        let (first, day) = (keys("a", "s"), "20260520T123456Z");
        for (credentials, scope) in [
            (&first, scope(day, "us-east-1")),
            (&first, scope("20260520T235959Z", "us-east-1")),
            (&first, scope("20260521T000000Z", "us-east-1")),
            (&first, scope("20260521T000000Z", "eu-west-1")),
            // The same ID with a corrected secret.
            (&keys("a", "t"), scope("20260521T000000Z", "eu-west-1")),
        ] {
            let signature = scope.sign_with(&last.get(scope, credentials), "a request");
            assert_eq!(signature, scope.sign(credentials.secret_access_key(), "a request"), "{scope:?}");
        }
        assert!(!format!("{last:?}").contains("secret"));
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
            sign_request(&mut request, &credentials, scope);
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
        sign_request(&mut request, &keys, Scope::new("us-east-1", SystemTime::UNIX_EPOCH));
        let shown = format!("{request:?}");
        assert!(request.headers().contains_key("x-amz-security-token"));
        assert!(!shown.contains("secret") && !shown.contains("Signature"), "{shown}");
    }
}
