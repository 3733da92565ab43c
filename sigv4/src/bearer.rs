//! The bearer tokens of SageMaker's OpenAI-compatible route: a presigned URL in Base64, generated with AWS credentials.
//!
//! A token is `sagemaker-api-key-` and then the Base64 of
//! `sagemaker.amazonaws.com/?Action=CallWithBearerToken&X-Amz-...&Version=1`, of which the version was appended after signing.
//!
//! Source: `sagemaker.core.token_generator` of the
//! [SageMaker Python SDK](https://github.com/aws/sagemaker-python-sdk).

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

use crate::credential::{self, Credential, check_session_token, check_signature};
use crate::date;
use crate::error::{SignatureError, SignatureErrorKind};
use crate::signing::{ALGORITHM, canonical_request, hash};

/// What every token begins with.
pub const PREFIX: &str = "sagemaker-api-key-";
/// The same in every region and partition. Nothing is sent to it.
pub const HOST: &str = "sagemaker.amazonaws.com";
/// The parameter of the presigned URL that says what it is.
pub const ACTION: (&str, &str) = ("Action", "CallWithBearerToken");
/// Appended after signing, and not signed.
pub const VERSION: &str = "&Version=1";
/// The longest lifetime of a token.
pub const LIFETIME_MAX: Duration = Duration::from_secs(12 * 60 * 60);

const SERVICE: &str = "sagemaker";

/// A bearer token with everything checked but its signature and its lifetime. While it is valid, it is as secret as the
/// credentials.
///
/// Nothing in it is authenticated before [`verify`](Self::verify).
#[derive(Clone)]
pub struct Token {
    access_key_id: String,
    region: String,
    date: String,
    time: SystemTime,
    lifetime: Duration,
    session_token: Option<String>,
    signature: String,
    /// The query without the signature.
    query: String,
}

impl Token {
    /// Parses the token in the header `authorization`.
    ///
    /// # Errors
    ///
    /// There is no such token, or a field of it is missing, repeated or malformed.
    pub fn parse(headers: &HeaderMap) -> Result<Self, SignatureError> {
        let authorization = credential::header(headers, header::AUTHORIZATION.as_str())?;
        let encoded = authorization.and_then(|text| text.strip_prefix("Bearer ")?.strip_prefix(PREFIX));
        let encoded = encoded.ok_or_else(SignatureError::missing)?;
        let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let fields = text.as_deref().and_then(Fields::parse);
        let Fields { credential, date, time, lifetime, session_token, signature, query } =
            fields.ok_or_else(SignatureError::unknown_credentials)?;
        let Credential { access_key_id, region, .. } = Credential::parse(&credential, &date, &[SERVICE])?;
        let (access_key_id, region) = (access_key_id.into(), region.into());
        Ok(Self { access_key_id, region, date, time, lifetime, session_token, signature, query })
    }

    /// The ID of the access key, as the token states it.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The region that the token is valid for: letters, digits and hyphens.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The session token of temporary credentials.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Signs the presigned URL again, compares the signatures, and checks the lifetime.
    ///
    /// # Errors
    ///
    /// The session token is another one, the signature does not match, or the token is not valid at this time.
    pub fn verify(
        &self,
        secret: &str,
        session_token: Option<&str>,
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        check_session_token(session_token, self.session_token())?;
        let (canonical, _) = canonical_request("POST", "/", &self.query, [("host", HOST)], &hash(b""));
        let scope = crate::signing::Scope { date: &self.date, region: &self.region, service: SERVICE };
        check_signature(&scope.sign(secret, &canonical), &self.signature)?;
        if date::is_early(self.time, now) {
            return Err(SignatureError::invalid("Signature not yet current"));
        }
        if now.duration_since(self.time).is_ok_and(|age| age > self.lifetime) {
            let message = "The security token included in the request is expired";
            return Err(SignatureError::new(SignatureErrorKind::ExpiredToken, message));
        }
        Ok(())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("access_key_id", &self.access_key_id)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The fields of a token.
struct Fields {
    credential: String,
    date: String,
    time: SystemTime,
    lifetime: Duration,
    session_token: Option<String>,
    signature: String,
    query: String,
}

impl Fields {
    /// `None` if a field is missing, repeated or invalid.
    fn parse(text: &str) -> Option<Self> {
        let query = text.strip_prefix(HOST)?.strip_prefix("/?")?.strip_suffix(VERSION)?;
        let (mut fields, mut signed) = (BTreeMap::new(), Vec::new());
        for field in query.split('&') {
            let (name, value) = field.split_once('=')?;
            if fields.insert(name, decode(value)?).is_some() {
                return None;
            }
            if name != "X-Amz-Signature" {
                signed.push(field);
            }
        }
        let fixed = [ACTION, ("X-Amz-Algorithm", ALGORITHM), ("X-Amz-SignedHeaders", "host")];
        if fixed.iter().any(|(name, value)| fields.remove(name).as_deref() != Some(*value)) {
            return None;
        }
        let expires = fields.remove("X-Amz-Expires")?;
        // In the form that was signed, without a sign and leading zeros.
        let seconds = expires.parse::<u64>().ok().filter(|seconds| seconds.to_string() == expires)?;
        let date = fields.remove("X-Amz-Date")?;
        let fields_of_token = Self {
            credential: fields.remove("X-Amz-Credential")?,
            time: date::parse(&date)?,
            date,
            lifetime: (1..=LIFETIME_MAX.as_secs())
                .contains(&seconds)
                .then_some(Duration::from_secs(seconds))?,
            session_token: fields.remove("X-Amz-Security-Token"),
            signature: fields.remove("X-Amz-Signature")?,
            query: signed.join("&"),
        };
        // SageMaker's generator has no further fields.
        fields.is_empty().then_some(fields_of_token)
    }
}

fn decode(text: &str) -> Option<String> {
    let is_escape = |part: &str| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let is_well_formed = text.split('%').skip(1).all(is_escape);
    percent_decode_str(text).decode_utf8().ok().filter(|_| is_well_formed).map(Into::into)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;

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

    fn check(signed: &str, session: Option<&str>, age: i64) -> Result<String, &'static str> {
        let token = STANDARD.encode(format!("{signed}{VERSION}"));
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Bearer {PREFIX}{token}")).unwrap();
        headers.insert("authorization", value);
        let now = UNIX_EPOCH + Duration::from_secs(MINTED.checked_add_signed(age).unwrap());
        let verified = Token::parse(&headers).and_then(|token| {
            if token.access_key_id() != "AKIDEXAMPLE" {
                return Err(SignatureError::unknown_credentials());
            }
            token.verify("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", session, now)?;
            Ok(token.region().into())
        });
        verified.map_err(|error| error.error_type())
    }

    #[test]
    fn tokens_of_the_service_s_own_generator_pass() {
        assert_eq!(check(SIGNED, None, 0), Ok("us-west-2".into()));
        assert_eq!(check(OF_SESSION, Some("session/token+="), 0), Ok("us-west-2".into()));
    }

    #[test]
    fn tokens_have_their_time() {
        let error = Err::<String, _>;
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
            assert_eq!(check(&SIGNED.replace(from, to), None, 0), Err(found), "{from} {to}");
        }
        assert_eq!(check(SIGNED, Some("token"), 0), Err("UnrecognizedClientException"));
        assert_eq!(check(OF_SESSION, None, 0), Err("UnrecognizedClientException"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for (text, found) in [
            ("", "MissingAuthenticationTokenException"),
            ("Bearer sk-1", "MissingAuthenticationTokenException"),
            ("Bearer sagemaker-api-key-", "UnrecognizedClientException"),
            ("Bearer sagemaker-api-key-%%%", "UnrecognizedClientException"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", HeaderValue::from_static(text));
            assert_eq!(Token::parse(&headers).unwrap_err().error_type(), found, "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.append("authorization", HeaderValue::from_static("Bearer a"));
        headers.append("authorization", HeaderValue::from_static("Bearer b"));
        assert_eq!(Token::parse(&headers).unwrap_err().error_type(), "IncompleteSignatureException");
    }
}
