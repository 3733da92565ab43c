//! Canonical requests and their signatures.
//!
//! Source: [Create a signed AWS API request](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// The algorithm, with which the header `authorization` begins.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The end of every scope.
pub(crate) const TERMINATOR: &str = "aws4_request";
/// All characters except the unreserved ones of [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same within a path.
const IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// What a signature is valid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Date and time as `YYYYMMDDTHHMMSSZ`, in UTC.
    pub date: &'a str,
    /// The AWS region.
    pub region: &'a str,
    /// The service's name in signatures, which may differ from the host name.
    pub service: &'a str,
}

impl Scope<'_> {
    /// `YYYYMMDD`
    fn day(&self) -> &str {
        self.date.get(..8).unwrap_or(self.date)
    }

    /// The scope as in credentials, after the access key ID: `20150830/us-east-1/service/aws4_request`.
    pub fn credential(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.day(), self.region, self.service)
    }

    /// The key of this scope. It is the same for a day, so that it can be kept for the next requests.
    pub fn key(&self, secret: &str) -> SigningKey {
        let mut key = hmac(format!("AWS4{secret}").as_bytes(), self.day());
        for part in [self.region, self.service, TERMINATOR] {
            key = hmac(&key, part);
        }
        SigningKey { key, scope: self.credential() }
    }

    /// The signature of a canonical request, in hexadecimal digits.
    pub fn sign(&self, secret: &str, canonical_request: &str) -> String {
        self.sign_with(&self.key(secret), canonical_request)
    }

    /// The same with the [`key`](Self::key) of this scope.
    pub fn sign_with(&self, SigningKey { key, scope }: &SigningKey, canonical_request: &str) -> String {
        let (date, hash) = (self.date, hash(canonical_request.as_bytes()));
        hexadecimal(&hmac(key, &format!("{ALGORITHM}\n{date}\n{scope}\n{hash}")))
    }
}

/// The key that signs the requests of a [`Scope`], which is derived from a secret. It is as confidential as the secret.
#[derive(Clone)]
pub struct SigningKey {
    key: [u8; 32],
    scope: String,
}

impl SigningKey {
    /// The scope that it is for, as [`Scope::credential`] writes it.
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The SHA-256 of a payload, in hexadecimal digits.
pub fn hash(payload: &[u8]) -> String {
    hexadecimal(&Sha256::digest(payload).into())
}

fn hexadecimal(bytes: &[u8; 32]) -> String {
    let mut digits = vec![0; 64];
    hex::encode_to_slice(bytes, &mut digits).expect("there are two digits for each byte");
    String::from_utf8(digits).expect("digits are ASCII")
}

/// Percent-encodes all but unreserved characters.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The canonical form of a request, and the names of its headers as in `SignedHeaders`.
///
/// `path` and `query` are as in the request: the path is encoded once more, which all services but Amazon S3 do. `headers` are
/// those to be signed, with names in lower case; values of equal names are joined in their order.
pub fn canonical_request<'a>(
    method: &str,
    path: &str,
    query: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    payload_hash: &str,
) -> (String, String) {
    let mut headers: Vec<_> = headers.into_iter().collect();
    // Stable: the values of a name keep their order.
    headers.sort_by_key(|(name, _)| *name);
    let (mut lines, mut signed) = (String::with_capacity(512), String::with_capacity(128));
    for same_name in headers.chunk_by(|(name, _), (next, _)| name == next) {
        let name = same_name[0].0;
        signed.push_str(if signed.is_empty() { "" } else { ";" });
        signed.push_str(name);
        lines.push_str(name);
        for (at, (_, value)) in same_name.iter().enumerate() {
            lines.push(if at == 0 { ':' } else { ',' });
            for (at, word) in value.split_ascii_whitespace().enumerate() {
                lines.push_str(if at == 0 { "" } else { " " });
                lines.push_str(word);
            }
        }
        lines.push('\n');
    }
    let (path, query) = (canonical_path(path), canonical_query(query));
    (format!("{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload_hash}"), signed)
}

/// The path without empty segments, `.` and `..`, and once more percent-encoded.
fn canonical_path(path: &str) -> String {
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
fn canonical_query(query: &str) -> String {
    // As bytes, so that no two queries are the same for not being UTF-8.
    let encoded = |text: &str| {
        let bytes: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&bytes, ESCAPED).to_string()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}
