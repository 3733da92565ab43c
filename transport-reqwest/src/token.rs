//! The bearer token of the OpenAI route.
//!
//! A token is the Base64 of a presigned URL. It is generated locally, and valid until it or the credentials expire. It is
//! byte for byte the token that `sagemaker.core.token_generator` of the SageMaker Python SDK generates.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sagewire_sigv4::bearer::{ACTION, HOST, PREFIX, VERSION};
use sagewire_sigv4::signing::{ALGORITHM, Scope, canonical_request, escape, hash};
use sagewire_transport::Error;

use crate::sign::{SERVICE, iso_8601_basic, unusable};

/// A bearer token of the OpenAI route. While it is valid, it is as secret as the credentials; only
/// [`expose`](Self::expose) shows it.
#[derive(Clone)]
pub struct Token {
    text: String,
    expiry: SystemTime,
}

impl Token {
    /// The longest lifetime of a token.
    pub const LIFETIME_MAX: Duration = sagewire_sigv4::bearer::LIFETIME_MAX;

    /// Generates a token that is valid from `time` on for `lifetime`: 1 second to 12 hours, in whole seconds.
    ///
    /// # Errors
    ///
    /// The lifetime is out of range.
    pub fn generate(
        credentials: &Credentials,
        region: &str,
        time: SystemTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let lifetime = checked(lifetime)?;
        let (query, signature) = sign(credentials, region, time, lifetime);
        let url = format!("{HOST}/?{query}&X-Amz-Signature={signature}{VERSION}");
        let text = format!("{PREFIX}{}", STANDARD.encode(url));
        let expiry = time.checked_add(lifetime).unwrap_or(time);
        let expiry = credentials.expiry().map_or(expiry, |credentials| credentials.min(expiry));
        Ok(Self { text, expiry })
    }

    /// The token itself. It authorizes anyone to invoke endpoints.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// When the token or the credentials expire, whichever is earlier.
    pub fn expiry(&self) -> SystemTime {
        self.expiry
    }

    /// The value of `authorization`.
    pub(crate) fn header(&self) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.text)).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The query of the presigned URL, and its signature.
/// Source: [Create a signed AWS API request](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
fn sign(credentials: &Credentials, region: &str, time: SystemTime, lifetime: Duration) -> (String, String) {
    let date = iso_8601_basic(time);
    let scope = Scope { date: &date, region, service: SERVICE };
    let credential = escape(&format!("{}/{}", credentials.access_key_id(), scope.credential()));
    let begin = format!(
        "{}={}&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={}\
         &X-Amz-SignedHeaders=host",
        ACTION.0,
        ACTION.1,
        lifetime.as_secs()
    );
    // The Python SDK sends the session token last.
    let token = credentials.session_token().map(|token| format!("&X-Amz-Security-Token={}", escape(token)));
    let query = begin + &token.unwrap_or_default();
    let (canonical, _) = canonical_request("POST", "/", &query, [("host", HOST)], &hash(b""));
    let signature = scope.sign(credentials.secret_access_key(), &canonical);
    (query, signature)
}

pub(crate) fn checked(lifetime: Duration) -> Result<Duration, Error> {
    let seconds = lifetime.as_secs();
    if !(1..=Token::LIFETIME_MAX.as_secs()).contains(&seconds) {
        return Err(Error::config(format!(
            "a token cannot last {seconds} seconds: allowed are 1 to {}",
            Token::LIFETIME_MAX.as_secs()
        )));
    }
    Ok(Duration::from_secs(seconds))
}

/// Caches the last token. It is refreshed before it expires, and if the service refuses it.
pub(crate) struct Tokens {
    lifetime: Duration,
    cached: Mutex<Option<Cached>>,
}

struct Cached {
    token: Token,
    credentials: Credentials,
    region: String,
    until: SystemTime,
}

impl Tokens {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, cached: Mutex::new(None) }
    }

    /// The cached token, unless it expires soon, and its credentials.
    pub(crate) fn cached(&self, region: &str, now: SystemTime) -> Option<(Token, Credentials)> {
        let cached = self.cached.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let cached = cached.as_ref().filter(|cached| cached.region == region && now < cached.until)?;
        Some((cached.token.clone(), cached.credentials.clone()))
    }

    pub(crate) fn generate(
        &self,
        credentials: &Credentials,
        region: &str,
        now: SystemTime,
    ) -> Result<Token, Error> {
        let token = Token::generate(credentials, region, now, self.lifetime)?;
        let lifetime = token.expiry.duration_since(now).unwrap_or_default();
        // The request needs time to arrive.
        let margin = (lifetime / 10).min(Duration::from_secs(5 * 60));
        let until = token.expiry.checked_sub(margin).unwrap_or(now);
        let cached =
            Cached { token: token.clone(), credentials: credentials.clone(), region: region.into(), until };
        *self.cached.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(cached);
        Ok(token)
    }

    /// Removes this token from the cache. A newer token stays.
    pub(crate) fn refused(&self, token: &Token) {
        let mut cached = self.cached.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if cached.as_ref().is_some_and(|cached| cached.token.text == token.text) {
            *cached = None;
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn keys(expiry: Option<u64>) -> Credentials {
        let expiry = expiry.map(|seconds| NOW + Duration::from_secs(seconds));
        Credentials::new("id", "secret", None, expiry, "test")
    }

    #[test]
    fn lifetimes_have_limits() {
        let generate = |millis| Token::generate(&keys(None), "r", NOW, Duration::from_millis(millis));
        for millis in [0, 999, 43_201_000] {
            assert!(generate(millis).err().is_some_and(|error| error.is_config()), "{millis}");
        }
        for (millis, lasts) in [(1_999, 1), (43_200_000, 43_200)] {
            assert_eq!(
                generate(millis).ok().map(|token| token.expiry()),
                Some(NOW + Duration::from_secs(lasts))
            );
        }
    }

    #[test]
    fn credentials_may_expire_first() {
        let token = Token::generate(&keys(Some(60)), "r", NOW, Token::LIFETIME_MAX).ok();
        assert_eq!(token.map(|token| token.expiry()), Some(NOW + Duration::from_secs(60)));
    }

    #[test]
    fn tokens_are_cached_until_shortly_before_they_expire() {
        for (expiry, lifetime) in [(None, 43_200 - 300), (Some(100), 90)] {
            let tokens = Tokens::new(Token::LIFETIME_MAX);
            assert!(tokens.cached("r", NOW).is_none());
            let token = tokens.generate(&keys(expiry), "r", NOW).expect("keys");
            let after = |seconds| tokens.cached("r", NOW + Duration::from_secs(seconds));
            assert!(after(lifetime - 1).is_some_and(|(found, _)| found.text == token.text));
            assert!(after(lifetime).is_none() && tokens.cached("other", NOW).is_none());

            let another = tokens.generate(&keys(expiry), "r", NOW + Duration::from_secs(1)).expect("keys");
            tokens.refused(&token);
            assert!(after(2).is_some());
            tokens.refused(&another);
            assert!(after(2).is_none());
        }
    }
}
