//! Verifies signatures as AWS does: signs the received request again and compares the two signatures.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::error::ServiceError;

/// The service name in signatures, which differs from the host name.
pub(crate) const SERVICE: &str = "sagemaker";
/// The largest clock skew that AWS accepts.
pub(crate) const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

pub(crate) const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";
pub(crate) const INVALID_TOKEN: &str = "The security token included in the request is invalid.";

/// The head of a request, with everything checked but the signature itself, which covers the body.
pub(crate) struct SignedHead<'a> {
    parts: &'a Parts,
    authorization: Authorization<'a>,
    time: SystemTime,
}

impl<'a> SignedHead<'a> {
    /// Checks credential, scope, date, session token and the list of signed headers.
    ///
    /// # Errors
    ///
    /// The error with which AWS rejects the request.
    pub(crate) fn check(
        parts: &'a Parts,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Self, Box<ServiceError>> {
        let authorization = text(&parts.headers, header::AUTHORIZATION.as_str()).unwrap_or_default();
        let Some(authorization) = authorization.strip_prefix("AWS4-HMAC-SHA256") else {
            return Err(refuse("MissingAuthenticationTokenException", "Missing Authentication Token"));
        };
        let authorization = Authorization::parse(authorization)?;
        let scope = &authorization.scope;
        let (time, date) = time(&parts.headers)?;
        if scope.key_id != credentials.access_key_id() {
            return Err(refuse("UnrecognizedClientException", INVALID_TOKEN));
        }
        scope.check(date)?;
        check_clock(date, time, now)?;
        check_session_token(parts, credentials.session_token())?;
        check_signed_headers(&parts.headers, &authorization)?;
        Ok(Self { parts, authorization, time })
    }

    /// Verifies the signature. Returns its region.
    ///
    /// # Errors
    ///
    /// The error with which AWS rejects the request.
    pub(crate) fn verify(&self, body: &[u8], credentials: &Credentials) -> Result<String, Box<ServiceError>> {
        let mismatch = || refuse("InvalidSignatureException", MISMATCH);
        let expected = signature(self.parts, body, &self.authorization, credentials, self.time);
        if !equal(expected.ok_or_else(mismatch)?.as_bytes(), self.authorization.signature.as_bytes()) {
            return Err(mismatch());
        }
        Ok(self.authorization.scope.region.into())
    }
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    scope: Scope<'a>,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Parses the header after the algorithm.
    fn parse(text: &'a str) -> Result<Self, Box<ServiceError>> {
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in text.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed_headers = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                _ => {}
            }
        }
        let missing = |name| incomplete(&format!("Authorization header requires '{name}' parameter."));
        let credential = credential.ok_or_else(|| missing("Credential"))?;
        let signature = signature.ok_or_else(|| missing("Signature"))?;
        let signed_headers = signed_headers.ok_or_else(|| missing("SignedHeaders"))?.split(';').collect();
        Ok(Self { scope: Scope::parse(credential)?, signed_headers, signature })
    }

    fn signs(&self, name: &str) -> bool {
        self.signed_headers.contains(&name)
    }
}

/// `KEY/DATE/REGION/SERVICE/aws4_request`
pub(crate) struct Scope<'a> {
    pub(crate) key_id: &'a str,
    date: &'a str,
    pub(crate) region: &'a str,
    service: &'a str,
    terminator: &'a str,
}

impl<'a> Scope<'a> {
    pub(crate) fn parse(credential: &'a str) -> Result<Self, Box<ServiceError>> {
        let mut fields = credential.split('/');
        let mut next = || fields.next().unwrap_or_default();
        let scope =
            Self { key_id: next(), date: next(), region: next(), service: next(), terminator: next() };
        if scope.terminator.is_empty() || fields.next().is_some() {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term.",
            ));
        }
        Ok(scope)
    }

    pub(crate) fn check(&self, date: &str) -> Result<(), Box<ServiceError>> {
        let message = if self.service != SERVICE {
            format!("Credential should be scoped to correct service: '{SERVICE}'.")
        } else if self.region.is_empty() {
            "Credential should be scoped to a valid region.".into()
        } else if self.terminator != "aws4_request" {
            "Credential should be scoped with a valid terminator: 'aws4_request'.".into()
        } else if self.date != &date[..8] {
            format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: {date}"
            )
        } else {
            return Ok(());
        };
        Err(refuse("InvalidSignatureException", &message))
    }
}

fn time(headers: &HeaderMap) -> Result<(SystemTime, &str), Box<ServiceError>> {
    let date = text(headers, "x-amz-date")
        .ok_or_else(|| incomplete("Authorization header requires existence of a 'X-Amz-Date' header."))?;
    let time = parse_date(date).ok_or_else(|| {
        incomplete(&format!(
            "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })?;
    Ok((time, date))
}

fn check_clock(date: &str, time: SystemTime, now: SystemTime) -> Result<(), Box<ServiceError>> {
    let message = if now.duration_since(time).is_ok_and(|late| late > SKEW_MAX) {
        format!("Signature expired: {date} is more than 5 min. earlier than the time of the service.")
    } else if time.duration_since(now).is_ok_and(|early| early > SKEW_MAX) {
        format!("Signature not yet current: {date} is more than 5 min. later than the time of the service.")
    } else {
        return Ok(());
    };
    Err(refuse("InvalidSignatureException", &message))
}

fn check_session_token(parts: &Parts, expected: Option<&str>) -> Result<(), Box<ServiceError>> {
    match (expected, text(&parts.headers, "x-amz-security-token")) {
        (None, None) => Ok(()),
        (Some(expected), Some(found)) if equal(expected.as_bytes(), found.as_bytes()) => Ok(()),
        _ => Err(refuse("UnrecognizedClientException", INVALID_TOKEN)),
    }
}

/// Host, date and all headers of AWS have to be signed, except the one that proxies on the way add.
fn check_signed_headers(
    headers: &HeaderMap,
    authorization: &Authorization<'_>,
) -> Result<(), Box<ServiceError>> {
    let is_signed = |name: &str| {
        let is_required = name.starts_with("x-amz-") || name.starts_with("x-amzn-");
        !is_required || name == "x-amzn-trace-id" || authorization.signs(name)
    };
    let unsigned = ["host", "x-amz-date"].into_iter().find(|name| !authorization.signs(name));
    match unsigned.or_else(|| headers.keys().map(|name| name.as_str()).find(|name| !is_signed(name))) {
        None => Ok(()),
        Some(name) => {
            let message = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
            Err(refuse("InvalidSignatureException", &message))
        }
    }
}

/// The expected signature. `None` if the request cannot be signed, or if its list of signed headers has one that it
/// does not have.
fn signature(
    parts: &Parts,
    body: &[u8],
    authorization: &Authorization<'_>,
    credentials: &Credentials,
    time: SystemTime,
) -> Option<String> {
    let host = host(parts)?;
    let mut headers = Vec::new();
    for name in &authorization.signed_headers {
        if *name == "host" {
            headers.push((*name, host));
            continue;
        }
        let mut values = parts.headers.get_all(*name).iter().peekable();
        values.peek()?;
        for value in values {
            headers.push((*name, std::str::from_utf8(value.as_bytes()).ok()?));
        }
    }
    let mut settings = SigningSettings::default();
    // The payload hash that the client signed is used; the value of the header does not matter.
    settings.excluded_headers = None;
    // The session token, if any, is already among the headers.
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    let identity = Credentials::new(id, secret, None, None, "sagewire-emulator").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(authorization.scope.region)
        .name(SERVICE)
        .time(time)
        .settings(settings)
        .build()
        .ok()?
        .into();
    let uri = format!("http://{host}{}", parts.uri.path_and_query()?);
    let request =
        SignableRequest::new(parts.method.as_str(), uri, headers.into_iter(), SignableBody::Bytes(body))
            .ok()?;
    Some(sign(request, &params).ok()?.signature().into())
}

/// The host that the client has signed: the header `host`, which HTTP/2 replaces by `:authority`.
fn host(parts: &Parts) -> Option<&str> {
    text(&parts.headers, "host").or_else(|| Some(parts.uri.authority()?.as_str()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Compares in constant time.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b))) == 0
}

pub(crate) fn refuse(error_type: &'static str, message: &str) -> Box<ServiceError> {
    Box::new(ServiceError::auth(StatusCode::FORBIDDEN, HeaderValue::from_static(error_type), message))
}

fn incomplete(message: &str) -> Box<ServiceError> {
    refuse("IncompleteSignatureException", message)
}

/// `YYYYMMDDTHHMMSSZ`, the only form that SDKs send.
pub(crate) fn parse_date(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = &bytes[from..to];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    // Days since the epoch, with years that start in March, so that leap days are last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    Some(UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let seconds = |text| parse_date(text).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("19700101T000000Z"), Some(0));
        assert_eq!(seconds("20000229T235959Z"), Some(951_868_799));
        assert_eq!(seconds("20000301T000000Z"), Some(951_868_800));
        assert_eq!(seconds("20150830T123600Z"), Some(1_440_938_160));
        for bad in [
            "",
            "2015-08-30T12:36Z",
            "20151330T123600Z",
            "20150830T12360Z",
            "20150830X123600Z",
            "é0150830T123600Z",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn authorization_headers() {
        let text = " Credential=AKID/20150830/us-east-1/sagemaker/aws4_request,SignedHeaders=host;x-amz-date , Signature=ab";
        let parsed = Authorization::parse(text).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!((parsed.scope.key_id, parsed.scope.region, parsed.signature), ("AKID", "us-east-1", "ab"));
        assert!(parsed.signs("host") && parsed.signs("x-amz-date") && !parsed.signs("content-type"));
        for (text, found) in [
            (" SignedHeaders=host, Signature=ab", "'Credential'"),
            (" Credential=A/B/C/D/E, Signature=ab", "'SignedHeaders'"),
            (" Credential=A/B/C/D/E, SignedHeaders=host", "'Signature'"),
            (" Credential=A/B/C/D, SignedHeaders=host, Signature=ab", "exactly 5"),
            (" Credential=A/B/C/D/E/F, SignedHeaders=host, Signature=ab", "exactly 5"),
        ] {
            let error = Authorization::parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(String::from_utf8_lossy(&error.body).contains(found), "{error:?}");
        }
    }
}
