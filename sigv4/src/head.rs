//! Verifies requests with a signature in the header `authorization`.

use std::fmt;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, header};

use crate::credential::{self, Credential, check_session_token, check_signature};
use crate::date;
use crate::error::SignatureError;
use crate::signing::{ALGORITHM, canonical_request, hash};

/// The pseudo-header of HTTP/2 in place of `host`.
const AUTHORITY: &str = ":authority";

/// How the names of the headers begin that services of AWS add to a request after it was signed: Application Load Balancers the
/// [trace ID](https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html), their
/// [TLS and client certificates](https://docs.aws.amazon.com/elasticloadbalancing/latest/application/header-modification.html) and
/// [users](https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html), VPC Lattice
/// [its callers](https://docs.aws.amazon.com/vpc-lattice/latest/ug/http-targets.html), CloudFront an ID, WAF what its rules say.
const ADDED_ON_THE_WAY: [&str; 7] = [
    "x-amz-cf-id",
    "x-amzn-lattice-",
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-amzn-tls-",
    "x-amzn-trace-id",
    "x-amzn-waf-",
];

/// The head of a signed request, with everything checked but the signature, which covers the body.
///
/// Nothing in it is authenticated before [`verify`](Self::verify).
#[derive(Clone)]
pub struct SignedHead<'a> {
    parts: &'a Parts,
    credential: Credential<'a>,
    date: &'a str,
    /// The headers that are signed, sorted by name.
    headers: Vec<(&'a str, &'a str)>,
    content_hash: Option<&'a str>,
    session_token: Option<&'a str>,
    signature: &'a str,
}

impl<'a> SignedHead<'a> {
    /// Checks the form of the signature, its scope, its date, and that it covers all headers that matter.
    ///
    /// The scope has to name one of `services`; the date may differ from `now` by five minutes. The headers `host`, `x-amz-date`, and
    /// all others that begin with `x-amz-` or `x-amzn-`, have to be signed, except those that load balancers, CloudFront, WAF and VPC
    /// Lattice add on the way, such as `x-amzn-trace-id` and `x-amzn-tls-version`: nothing in them comes from the client. Over
    /// HTTP/2, `:authority` takes the place of `host`; the SDK for JavaScript signs it by that name.
    ///
    /// # Errors
    ///
    /// Something of this is missing or wrong, a signed header is missing or repeated, or the payload is not signed as a whole.
    pub fn parse(parts: &'a Parts, services: &[&str], now: SystemTime) -> Result<Self, SignatureError> {
        let headers = &parts.headers;
        let text = credential::header(headers, header::AUTHORIZATION.as_str())?.unwrap_or_default();
        let authorization = Authorization::parse(text)?;
        let date = credential::header(headers, "x-amz-date")?.ok_or_else(|| {
            SignatureError::incomplete("Authorization header requires existence of a 'X-Amz-Date' header.")
        })?;
        let time = date::parse(date).ok_or_else(|| {
            SignatureError::incomplete("'X-Amz-Date' must be in ISO-8601 'basic format': YYYYMMDDTHHMMSSZ.")
        })?;
        let credential = Credential::parse(authorization.credential, date, services)?;
        date::check_clock(date, time, now)?;
        authorization.check_coverage(headers)?;
        Ok(Self {
            parts,
            credential,
            date,
            headers: authorization.headers(parts)?,
            content_hash: content_hash(headers)?,
            session_token: credential::header(headers, "x-amz-security-token")?,
            signature: authorization.signature,
        })
    }

    /// The ID of the access key, as the request states it.
    pub fn access_key_id(&self) -> &'a str {
        self.credential.access_key_id
    }

    /// The region of the scope: letters, digits and hyphens.
    pub fn region(&self) -> &'a str {
        self.credential.region
    }

    /// The service of the scope.
    pub fn service(&self) -> &'a str {
        self.credential.service
    }

    /// The session token of temporary credentials.
    pub fn session_token(&self) -> Option<&'a str> {
        self.session_token
    }

    /// Signs the request again and compares the signatures. `secret` is the secret access key to
    /// [`access_key_id`](Self::access_key_id); `session_token` has to be that of the request.
    ///
    /// # Errors
    ///
    /// The session token is another one, or the signature does not match.
    pub fn verify(
        &self,
        body: &[u8],
        secret: &str,
        session_token: Option<&str>,
    ) -> Result<(), SignatureError> {
        check_session_token(session_token, self.session_token)?;
        let hash = hash(body);
        if self.content_hash.is_some_and(|signed| signed != hash) {
            return Err(SignatureError::mismatch());
        }
        let (method, uri) = (self.parts.method.as_str(), &self.parts.uri);
        let query = uri.query().unwrap_or_default();
        let headers = self.headers.iter().copied();
        let (canonical, _) = canonical_request(method, uri.path(), query, headers, &hash);
        check_signature(&self.credential.scope(self.date).sign(secret, &canonical), self.signature)
    }
}

impl fmt::Debug for SignedHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (region, service) = (self.region(), self.service());
        f.debug_struct("SignedHead")
            .field("access_key_id", &self.access_key_id())
            .field("region", &region)
            .field("service", &service)
            .finish_non_exhaustive()
    }
}

/// The parts of an `authorization` header.
struct Authorization<'a> {
    credential: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Result<Self, SignatureError> {
        let (algorithm, fields) = text.split_once(' ').unwrap_or((text, ""));
        if algorithm != ALGORITHM {
            return Err(match algorithm.starts_with("AWS4-") {
                true => SignatureError::incomplete(format!("The only supported algorithm is {ALGORITHM}.")),
                false => SignatureError::missing(),
            });
        }
        const NAMES: [&str; 3] = ["Credential", "SignedHeaders", "Signature"];
        let mut values = [None; 3];
        for field in fields.split(',').map(str::trim).filter(|field| !field.is_empty()) {
            let named = field.split_once('=');
            let slot = named.and_then(|(name, _)| NAMES.iter().position(|known| *known == name));
            match (slot, named) {
                (Some(slot), Some((_, value))) if values[slot].is_none() => values[slot] = Some(value),
                _ => {
                    let message = "Authorization header takes 'Credential', 'SignedHeaders' and 'Signature', each once.";
                    return Err(SignatureError::incomplete(message));
                }
            }
        }
        let value = |slot: usize| {
            let value = values[slot].filter(|value| !value.is_empty());
            value.ok_or_else(|| {
                let message = format!("Authorization header requires '{}' parameter.", NAMES[slot]);
                SignatureError::incomplete(message)
            })
        };
        let (credential, signature) = (value(0)?, value(2)?);
        let signed_headers: Vec<&str> = value(1)?.split(';').collect();
        // So no name occurs twice, and it can be found by a binary search.
        if !signed_headers.is_sorted_by(|a, b| a < b) {
            let message = "'SignedHeaders' must be sorted, and name each header once.";
            return Err(SignatureError::incomplete(message));
        }
        Ok(Self { credential, signed_headers, signature })
    }

    /// Host, date and all headers of AWS have to be signed, except those that are [`ADDED_ON_THE_WAY`].
    fn check_coverage(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        let is_required = |name: &&str| {
            (name.starts_with("x-amz-") || name.starts_with("x-amzn-"))
                && !ADDED_ON_THE_WAY.iter().any(|added| name.starts_with(added))
        };
        let names = headers.keys().map(header::HeaderName::as_str).filter(is_required);
        let is_signed = |name: &str| self.signed_headers.binary_search(&name).is_ok();
        let mut required = ["host", "x-amz-date"].into_iter().chain(names);
        match required.find(|name| !(is_signed(name) || *name == "host" && is_signed(AUTHORITY))) {
            None => Ok(()),
            Some(name) => {
                let message = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
                Err(SignatureError::invalid(message))
            }
        }
    }

    /// The signed headers. Each has to occur exactly once.
    fn headers(&self, parts: &'a Parts) -> Result<Vec<(&'a str, &'a str)>, SignatureError> {
        let value = |name: &'a str| {
            let value = if matches!(name, "host" | AUTHORITY) {
                host(parts)?
            } else {
                credential::header(&parts.headers, name)?
            };
            let missing = || SignatureError::invalid("A header of 'SignedHeaders' is not in the request.");
            // A header map finds names in any case; what is signed is in lower case.
            let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
            Ok((name, value.filter(|_| is_lower).ok_or_else(missing)?))
        };
        self.signed_headers.iter().copied().map(value).collect()
    }
}

/// The host that the client has signed: the header `host`, which HTTP/2 replaces by `:authority`. They are not to differ.
fn host(parts: &Parts) -> Result<Option<&str>, SignatureError> {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = credential::header(&parts.headers, header::HOST.as_str())?;
    match (host, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            Err(SignatureError::invalid("'host' is not the authority of the request's URI."))
        }
        _ => Ok(host.or(authority)),
    }
}

/// The hash of the payload, if the request states it. A payload that is not signed, or in chunks, is not accepted.
fn content_hash(headers: &HeaderMap) -> Result<Option<&str>, SignatureError> {
    let hash = credential::header(headers, "x-amz-content-sha256")?;
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hash.is_some_and(|text| !is_hash(text)) {
        let message = "The payload must be signed: 'x-amz-content-sha256' must be the SHA-256 of the body.";
        return Err(SignatureError::invalid(message));
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::signing::Scope;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const DATE: &str = "20150830T123600Z";
    const BODY: &[u8] = b"{}";
    /// The authority in an ARN is encoded by the SDKs of Bedrock.
    const TARGET: &str =
        "/model/arn%3Aaws%3Asagemaker%3Aus-east-1%3A123456789012%3Aendpoint%2Fmy-llm/converse";

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_440_938_160)
    }

    /// A request with these headers, of which the first ones are signed. `authorization` is made of the text after `change`.
    fn request(target: &str, headers: &[(&'static str, &str)], change: impl Fn(String) -> String) -> Parts {
        let signed = [("host", "localhost:4000"), ("x-amz-date", DATE)].into_iter();
        let signed =
            signed.chain(headers.iter().copied().filter(|(name, _)| !name.starts_with("x-amzn-trace")));
        let (canonical, names) = canonical_request("POST", target, "", signed.clone(), &hash(BODY));
        let scope = Scope { date: DATE, region: "us-east-1", service: "bedrock" };
        let authorization = format!(
            "{ALGORITHM} Credential=AKIDEXAMPLE/{}, SignedHeaders={names}, Signature={}",
            scope.credential(),
            scope.sign(SECRET, &canonical)
        );
        let mut request = http::Request::post(target).body(()).unwrap().into_parts().0;
        for (name, value) in [("host", "localhost:4000"), ("x-amz-date", DATE)].iter().chain(headers) {
            request.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let value = HeaderValue::from_str(&change(authorization)).unwrap();
        request.headers.insert(header::AUTHORIZATION, value);
        request
    }

    fn check(parts: &Parts) -> Result<(), String> {
        let shown = |error: SignatureError| format!("{}: {error}", error.error_type());
        let head = SignedHead::parse(parts, &["bedrock", "sagemaker"], now()).map_err(shown)?;
        head.verify(BODY, SECRET, head.session_token()).map_err(shown)
    }

    #[track_caller]
    fn refused(parts: &Parts, error_type: &str, message: &str) {
        let error = check(parts).expect_err("a request that is refused");
        assert!(error.starts_with(&format!("{error_type}: ")) && error.contains(message), "{error}");
        assert!(!error.contains("Signature=") && !error.contains(SECRET), "{error}");
    }

    #[test]
    fn escaped_paths_are_escaped_once_more() {
        assert_eq!(check(&request(TARGET, &[], |text| text)), Ok(()));
        let decoded = TARGET.replace("%2F", "/");
        let mut parts = request(TARGET, &[], |text| text);
        parts.uri = decoded.parse().unwrap();
        refused(&parts, "InvalidSignatureException", "does not match");
    }

    #[test]
    fn authorization_has_three_parameters() {
        type Change = fn(String) -> String;
        let changes: [(Change, &str); 9] = [
            (|text| text.replace("Credential=", "Key="), "'Credential'"),
            (|text| text.replace(", Signature=", ", S="), "'Signature'"),
            (|text| text + ", Signature=ab", "each once"),
            (|text| text.split(", Signature").next().unwrap().into(), "requires 'Signature'"),
            (|text| text.replace("AKIDEXAMPLE/", "AKID/EXAMPLE/"), "exactly 5"),
            (|text| text.replace("/bedrock/", "/"), "exactly 5"),
            (|text| text.replace("HMAC-SHA256", "ECDSA-P256-SHA256"), "only supported algorithm"),
            (|text| text.replace("host;x-amz-date", "x-amz-date;host"), "sorted"),
            (|text| text.replace("host;", "host;host;"), "each header once"),
        ];
        for (change, message) in changes {
            refused(&request(TARGET, &[], change), "IncompleteSignatureException", message);
        }
        // Without spaces, as some clients write it.
        assert_eq!(check(&request(TARGET, &[], |text| text.replace(", ", ","))), Ok(()));
        let other: Change = |_| "Bearer sk-1".into();
        refused(&request(TARGET, &[], other), "MissingAuthenticationTokenException", "Missing");
    }

    #[test]
    fn scopes_are_checked() {
        type Change = fn(String) -> String;
        let changes: [(Change, &str); 5] = [
            (|text| text.replace("/bedrock/", "/s3/"), "correct service: 'bedrock' or 'sagemaker'"),
            (|text| text.replace("/us-east-1/", "/us.east.1/"), "valid region"),
            (|text| text.replace("aws4_request", "aws5_request"), "valid terminator"),
            (|text| text.replace("/20150830/", "/20150831/"), "Date in Credential scope"),
            (|text| text.replace("/us-east-1/", "/us-east-2/"), "does not match"),
        ];
        for (change, message) in changes {
            refused(&request(TARGET, &[], change), "InvalidSignatureException", message);
        }
    }

    #[test]
    fn dates_may_be_off_five_minutes() {
        let parts = request(TARGET, &[], |text| text);
        for (seconds, is_ok) in [(-301, false), (-300, true), (300, true), (301, false)] {
            let time =
                UNIX_EPOCH + Duration::from_secs(1_440_938_160_u64.checked_add_signed(seconds).unwrap());
            assert_eq!(SignedHead::parse(&parts, &["bedrock"], time).is_ok(), is_ok, "{seconds}");
        }
    }

    #[test]
    fn headers_of_aws_are_signed_once() {
        let parts = request(TARGET, &[("x-amzn-trace-id", "Root=1"), ("x-amz-target", "a")], |text| text);
        assert_eq!(check(&parts), Ok(()));
        for name in [
            "x-amz-target",
            "x-amzn-bedrock-trace",
            "x-amz-security-token",
            "x-amzn-sagemaker-custom-attributes",
            "x-amz-cf",
            "x-amzn-tls",
        ] {
            let mut parts = request(TARGET, &[], |text| text);
            parts.headers.insert(HeaderName::from_static(name), HeaderValue::from_static("a"));
            refused(&parts, "InvalidSignatureException", &format!("'{name}' must be a 'SignedHeader'"));
        }
        for name in ["host", "x-amz-date", "authorization", "x-amz-target"] {
            let mut parts = request(TARGET, &[("x-amz-target", "a")], |text| text);
            let value = parts.headers[name].clone();
            parts.headers.append(HeaderName::from_static(name), value);
            refused(&parts, "IncompleteSignatureException", &format!("'{name}' occurs more than once"));
        }
        let mut parts = request(TARGET, &[("content-type", "text/plain")], |text| text);
        parts.headers.remove("content-type");
        refused(&parts, "InvalidSignatureException", "not in the request");
        let upper = request(TARGET, &[], |text| text.replace("SignedHeaders=", "SignedHeaders=ACCEPT;"));
        refused(&upper, "InvalidSignatureException", "not in the request");
    }

    #[test]
    fn services_on_the_way_may_add_headers() {
        let mut parts = request(TARGET, &[], |text| text);
        for name in [
            "x-amz-cf-id",
            "x-amzn-lattice-identity",
            "x-amzn-mtls-clientcert-subject",
            "x-amzn-oidc-accesstoken",
            "x-amzn-oidc-data",
            "x-amzn-tls-cipher-suite",
            "x-amzn-tls-version",
            "x-amzn-trace-id",
            "x-amzn-waf-action",
            "x-forwarded-for",
            "via",
        ] {
            parts.headers.insert(HeaderName::from_static(name), HeaderValue::from_static("a"));
            assert_eq!(check(&parts), Ok(()), "{name}");
        }
        // One that the client has signed is not to be changed.
        let mut parts = request(TARGET, &[("x-amzn-tls-version", "TLSv1.2")], |text| text);
        assert_eq!(check(&parts), Ok(()));
        parts.headers.insert("x-amzn-tls-version", HeaderValue::from_static("TLSv1.3"));
        refused(&parts, "InvalidSignatureException", "does not match");
    }

    #[test]
    fn payloads_are_signed_as_a_whole() {
        let hash = hash(BODY);
        assert_eq!(check(&request(TARGET, &[("x-amz-content-sha256", &hash)], |text| text)), Ok(()));
        for unsigned in [
            "UNSIGNED-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "",
        ] {
            let parts = request(TARGET, &[("x-amz-content-sha256", unsigned)], |text| text);
            refused(&parts, "InvalidSignatureException", "payload must be signed");
        }
        let other = crate::signing::hash(b"other");
        let parts = request(TARGET, &[("x-amz-content-sha256", &other)], |text| text);
        refused(&parts, "InvalidSignatureException", "does not match");
    }

    /// As AWS's SDK for JavaScript signs over HTTP/2.
    #[test]
    fn the_authority_may_be_signed_by_its_own_name() {
        let signed = [(AUTHORITY, "localhost:4000"), ("x-amz-date", DATE)];
        let (canonical, names) = canonical_request("POST", TARGET, "", signed, &hash(BODY));
        assert_eq!(names, ":authority;x-amz-date");
        let scope = Scope { date: DATE, region: "us-east-1", service: "bedrock" };
        let signature = scope.sign(SECRET, &canonical);
        let mut parts = request(TARGET, &[], |text| {
            let (start, _) = text.split_once("SignedHeaders=").unwrap();
            format!("{start}SignedHeaders={names}, Signature={signature}")
        });
        // Also where a proxy on the way has made HTTP/1.1 of it.
        assert_eq!(check(&parts), Ok(()));
        parts.headers.remove("host");
        refused(&parts, "InvalidSignatureException", "not in the request");
        parts.uri = format!("http://localhost:4000{TARGET}").parse().unwrap();
        assert_eq!(check(&parts), Ok(()));
        parts.uri = format!("http://localhost:4001{TARGET}").parse().unwrap();
        refused(&parts, "InvalidSignatureException", "does not match");
    }

    #[test]
    fn the_authority_takes_the_place_of_the_host() {
        let mut parts = request(TARGET, &[], |text| text);
        let authority = |authority: &str| format!("http://{authority}{TARGET}").parse().unwrap();
        parts.uri = authority("localhost:4000");
        assert_eq!(check(&parts), Ok(()));
        parts.headers.remove("host");
        assert_eq!(check(&parts), Ok(()));
        parts.uri = authority("localhost:4001");
        refused(&parts, "InvalidSignatureException", "does not match");
        parts.headers.insert("host", HeaderValue::from_static("localhost:4000"));
        refused(&parts, "InvalidSignatureException", "authority");
    }

    #[test]
    fn secrets_are_not_shown() {
        let parts = request(TARGET, &[("x-amz-security-token", "session secret")], |text| text);
        let head = SignedHead::parse(&parts, &["bedrock"], now()).unwrap();
        assert_eq!(head.verify(BODY, SECRET, Some("session secret")), Ok(()));
        assert_eq!(head.verify(BODY, SECRET, None), Err(SignatureError::unknown_credentials()));
        let shown = format!("{head:?}");
        assert!(
            shown.contains("AKIDEXAMPLE") && !shown.contains("secret") && !shown.contains(head.signature)
        );
    }
}
