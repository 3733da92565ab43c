//! Checks the bearer tokens of the OpenAI route: a presigned URL in base64, minted by whoever has the keys.
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

use crate::error::ErrorAnswer;
use crate::sigv4::{INVALID_TOKEN, MISMATCH, SERVICE, SKEW_MAX, Scope, equal, parse_date, refuse};

const PREFIX: &str = "Bearer sagemaker-api-key-";
const URL: &str = "sagemaker.amazonaws.com/?";
const VERSION: &str = "&Version=1";
const ACTION: (&str, &str) = ("Action", "CallWithBearerToken");
/// Twelve hours.
const EXPIRES_MAX: u64 = 43_200;

const EXPIRED: &str = "The security token included in the request is expired";

/// Returns the region that the token was minted for.
///
/// # Errors
///
/// What AWS answers to such a request.
pub(crate) fn verify(
    headers: &HeaderMap,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<String, Box<ErrorAnswer>> {
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
    /// `None`: a field is missing, is there twice, or says something that no token says.
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
        let seconds = fields.remove("X-Amz-Expires")?.parse().ok()?;
        let token = Self {
            credential: fields.remove("X-Amz-Credential")?,
            date: fields.remove("X-Amz-Date")?,
            expires: (1..=EXPIRES_MAX).contains(&seconds).then_some(Duration::from_secs(seconds))?,
            session_token: fields.remove("X-Amz-Security-Token"),
            signature: fields.remove("X-Amz-Signature")?,
        };
        // What is left would not be signed. The date is cut up where the scope is checked.
        (fields.is_empty() && parse_date(&token.date).is_some()).then_some(token)
    }
}

fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The signature that the token should have.
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
