//! Verifies the bearer tokens of the OpenAI route: a presigned URL in Base64, generated with the AWS credentials.
//!
//! `sagemaker-api-key-` and then `sagemaker.amazonaws.com/?Action=CallWithBearerToken&X-Amz-...&Version=1`, of which the
//! version was appended after signing.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::ServiceError;
use crate::sigv4::{INVALID_TOKEN, MISMATCH, SERVICE, SKEW_MAX, Scope, equal, parse_date, refuse};

const PREFIX: &str = "Bearer sagemaker-api-key-";
const URL: &str = "sagemaker.amazonaws.com/?";
const VERSION: &str = "&Version=1";
const ACTION: (&str, &str) = ("Action", "CallWithBearerToken");
/// Twelve hours.
const EXPIRES_MAX: u64 = 43_200;

const EXPIRED: &str = "The security token included in the request is expired";

/// Returns the region of the token.
///
/// # Errors
///
/// The error with which AWS rejects the request.
pub(crate) fn verify(
    headers: &HeaderMap,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<String, Box<ServiceError>> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(encoded) = authorization.and_then(|text| text.strip_prefix(PREFIX)) else {
        return Err(refuse("MissingAuthenticationTokenException", "Missing Authentication Token"));
    };
    let invalid = || refuse("UnrecognizedClientException", INVALID_TOKEN);
    let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let token = text.as_deref().and_then(Token::parse).ok_or_else(invalid)?;
    let scope = Scope::parse(&token.credential)?;
    let session_token = token.session_token.as_deref().unwrap_or_default();
    if scope.key_id != credentials.access_key_id()
        || !equal(session_token.as_bytes(), credentials.session_token().unwrap_or_default().as_bytes())
    {
        return Err(invalid());
    }
    scope.check(&token.date)?;
    let time = parse_date(&token.date).ok_or_else(invalid)?;
    let expected = signature(&token, scope.region, credentials, time)
        .ok_or_else(|| refuse("InvalidSignatureException", MISMATCH))?;
    if !equal(expected.as_bytes(), token.signature.as_bytes()) {
        return Err(refuse("InvalidSignatureException", MISMATCH));
    }
    if time.duration_since(now).is_ok_and(|early| early > SKEW_MAX) {
        return Err(refuse("InvalidSignatureException", "Signature not yet current"));
    }
    if now.duration_since(time).is_ok_and(|age| age > token.expires) {
        return Err(refuse("ExpiredTokenException", EXPIRED));
    }
    Ok(scope.region.into())
}

/// The fields of a token.
struct Token {
    credential: String,
    date: String,
    expires: Duration,
    session_token: Option<String>,
    signature: String,
}

impl Token {
    /// `None` if a field is missing, repeated or invalid.
    fn parse(text: &str) -> Option<Self> {
        let query = text.strip_prefix(URL)?.strip_suffix(VERSION)?;
        let mut fields = BTreeMap::new();
        for field in query.split('&') {
            let (name, value) = field.split_once('=')?;
            if fields.insert(name, decode(value)?).is_some() {
                return None;
            }
        }
        let fixed = [ACTION, ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-SignedHeaders", "host")];
        if fixed.iter().any(|(name, value)| fields.remove(name).as_deref() != Some(*value)) {
            return None;
        }
        let expires = fields.remove("X-Amz-Expires")?;
        // In the form that was signed, without a sign and leading zeros.
        let seconds = expires.parse::<u64>().ok().filter(|seconds| seconds.to_string() == expires)?;
        let token = Self {
            credential: fields.remove("X-Amz-Credential")?,
            date: fields.remove("X-Amz-Date")?,
            expires: (1..=EXPIRES_MAX).contains(&seconds).then_some(Duration::from_secs(seconds))?,
            session_token: fields.remove("X-Amz-Security-Token"),
            signature: fields.remove("X-Amz-Signature")?,
        };
        // Further fields would not be signed. The date is parsed when the scope is verified.
        (fields.is_empty() && parse_date(&token.date).is_some()).then_some(token)
    }
}

fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(is_hex.then(|| u8::from_str_radix(digits, 16))?.ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The expected signature.
fn signature(token: &Token, region: &str, credentials: &Credentials, time: SystemTime) -> Option<String> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(token.expires);
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(time)
        .settings(settings)
        .build()
        .ok()?
        .into();
    let url = format!("https://{URL}{}={}", ACTION.0, ACTION.1);
    let request = SignableRequest::new("POST", url, std::iter::empty(), SignableBody::Bytes(b"")).ok()?;
    Some(sign(request, &params).ok()?.signature().into())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use axum::http::HeaderValue;

    use super::*;

    /// Presigned by botocore 1.43.11 for us-west-2 at [`MINTED`], as SageMaker's Python SDK does it, before the version.
    const SIGNED: &str = "sagemaker.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                          &X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Fus-west-2%2Fsagemaker%2Faws4_request\
                          &X-Amz-Date=20260101T000000Z&X-Amz-Expires=43200&X-Amz-SignedHeaders=host\
                          &X-Amz-Signature=83ac6359039767a855c30239fe8a0eefcc62c708272da0648e679e3ace435777";
    /// The same with a session token.
    const OF_SESSION: &str = "sagemaker.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                              &X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Fus-west-2%2Fsagemaker%2Faws4_request\
                              &X-Amz-Date=20260101T000000Z&X-Amz-Expires=43200&X-Amz-SignedHeaders=host\
                              &X-Amz-Security-Token=session%2Ftoken%2B%3D\
                              &X-Amz-Signature=2fb757b853d435772a5f291a8cd0e61c050d8196b64936b8bf35e4c99b68e2dc";
    /// 2026-01-01T00:00:00Z
    const MINTED: u64 = 1_767_225_600;

    fn check(signed: &str, session: Option<&str>, age: i64) -> Result<String, String> {
        let token = STANDARD.encode(format!("{signed}{VERSION}"));
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&format!("{PREFIX}{token}")).unwrap());
        let (id, secret) = (crate::ACCESS_KEY_ID, crate::SECRET_ACCESS_KEY);
        let credentials = Credentials::new(id, secret, session.map(Into::into), None, "test");
        let now = UNIX_EPOCH + Duration::from_secs(MINTED.checked_add_signed(age).unwrap());
        verify(&headers, &credentials, now).map_err(|error| error.error_type.to_str().unwrap().into())
    }

    #[test]
    fn tokens_of_the_service_s_own_generator_pass() {
        assert_eq!(check(SIGNED, None, 0), Ok("us-west-2".into()));
        assert_eq!(check(OF_SESSION, Some("session/token+="), 0), Ok("us-west-2".into()));
    }

    #[test]
    fn tokens_have_their_time() {
        let error = |name: &str| Err(name.to_string());
        assert_eq!(check(SIGNED, None, 43_200), Ok("us-west-2".into()));
        assert_eq!(check(SIGNED, None, 43_201), error("ExpiredTokenException"));
        assert_eq!(check(SIGNED, None, -300), Ok("us-west-2".into()));
        assert_eq!(check(SIGNED, None, -301), error("InvalidSignatureException"));
    }

    #[test]
    fn what_is_changed_after_signing_is_found() {
        for (from, to, found) in [
            ("us-west-2", "us-east-1", "InvalidSignatureException"),
            ("Expires=43200", "Expires=43199", "InvalidSignatureException"),
            ("2Fsagemaker%2F", "2Fs3%2F", "InvalidSignatureException"),
            ("Expires=43200", "Expires=43201", "UnrecognizedClientException"),
            ("Expires=43200", "Expires=0", "UnrecognizedClientException"),
            ("Date=20260101T", "Date=2026", "UnrecognizedClientException"),
            ("AKIDEXAMPLE", "AKIDOTHER", "UnrecognizedClientException"),
            ("CallWithBearerToken", "CallWithBearer", "UnrecognizedClientException"),
            ("&X-Amz-Date", "&More=1&X-Amz-Date", "UnrecognizedClientException"),
            ("&X-Amz-Expires=43200", "", "UnrecognizedClientException"),
            ("host&", "host&X-Amz-Expires=43200&", "UnrecognizedClientException"),
            ("sagemaker.amazonaws.com/", "example.com/", "UnrecognizedClientException"),
            ("%2F2026", "%G2026", "UnrecognizedClientException"),
        ] {
            assert!(SIGNED.contains(from), "{from}");
            assert_eq!(check(&SIGNED.replace(from, to), None, 0), Err(found.into()), "{from} {to}");
        }
        assert_eq!(check(SIGNED, Some("token"), 0), Err("UnrecognizedClientException".into()));
        assert_eq!(check(OF_SESSION, None, 0), Err("UnrecognizedClientException".into()));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let (id, secret) = (crate::ACCESS_KEY_ID, crate::SECRET_ACCESS_KEY);
        let credentials = Credentials::new(id, secret, None, None, "test");
        for (text, found) in [
            ("", "MissingAuthenticationTokenException"),
            ("Bearer sk-1", "MissingAuthenticationTokenException"),
            ("Bearer sagemaker-api-key-", "UnrecognizedClientException"),
            ("Bearer sagemaker-api-key-%%%", "UnrecognizedClientException"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::from_static(text));
            let error = verify(&headers, &credentials, UNIX_EPOCH).unwrap_err();
            assert_eq!(error.error_type, found, "{text}");
        }
    }
}
