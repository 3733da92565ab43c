//! Credentials from the environment, and the cache of credentials.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use sagewire_transport::{Error, ServiceError};

/// Credentials that expire sooner than this are not used, as in the AWS SDK: a request needs time to arrive.
const MIN_VALIDITY: Duration = Duration::from_secs(10);
/// How long before they expire credentials are refreshed.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// The pause after a failed refresh, while the old credentials are still valid.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long credentials without an expiry are cached, as in the AWS SDK.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);
const EXPIRATION: &str = "AWS_CREDENTIAL_EXPIRATION";
/// The error types of the service for credentials that have expired or were revoked.
const ERROR_TYPES: [&str; 4] =
    ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"];

/// Credentials from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, which expire at
/// `AWS_CREDENTIAL_EXPIRATION` if it is set.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct EnvCredentials;

impl EnvCredentials {
    /// A provider that reads the environment each time it is called.
    pub fn new() -> Self {
        Self
    }
}

impl ProvideCredentials for EnvCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(from_lookup(|name| std::env::var(name).ok()))
    }
}

fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> provider::Result {
    let set = |name| lookup(name).map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
    let missing = |name| format!("{name} is not set");
    let (id, secret) = match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) => return Err(CredentialsError::not_loaded(missing("AWS_ACCESS_KEY_ID"))),
        // An incomplete pair is a mistake, so other providers must not be tried.
        (None, _) => return Err(CredentialsError::invalid_configuration(missing("AWS_ACCESS_KEY_ID"))),
        (_, None) => return Err(CredentialsError::invalid_configuration(missing("AWS_SECRET_ACCESS_KEY"))),
    };
    let expiry = set(EXPIRATION).map(|text| expiry(&text)).transpose()?;
    let mut credentials = Credentials::new(id, secret, set("AWS_SESSION_TOKEN"), expiry, "environment");
    credentials
        .get_property_mut_or_default::<Vec<AwsCredentialFeature>>()
        .push(AwsCredentialFeature::CredentialsEnvVars);
    Ok(credentials)
}

/// Parses an expiry of ISO 8601. The tools that set the variable also write offsets without a colon.
fn expiry(text: &str) -> Result<SystemTime, CredentialsError> {
    let with_colon = match text.as_bytes() {
        [.., b'+' | b'-', a, b, c, d] if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()) => {
            let (hours, minutes) = text.split_at(text.len() - 2);
            format!("{hours}:{minutes}")
        }
        _ => text.to_owned(),
    };
    let expiry = DateTime::from_str(&with_colon, Format::DateTimeWithOffset).ok();
    let expiry = expiry.and_then(|expiry| SystemTime::try_from(expiry).ok());
    expiry.ok_or_else(|| {
        CredentialsError::invalid_configuration(format!("{EXPIRATION} is not a time: {text:?}"))
    })
}

/// A cache in front of a provider.
///
/// Only one request at a time calls the provider. Shortly before the credentials expire, the other requests use the old ones in
/// the meantime, and so do all if the provider fails. Once the credentials have expired, all requests wait for new ones.
pub(crate) struct Cache {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<Cached>>,
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Cached {
    credentials: Credentials,
    /// When they are refreshed.
    fresh_until: SystemTime,
    /// When they are no longer used.
    valid_until: SystemTime,
}

impl Cached {
    fn new(credentials: Credentials, now: SystemTime) -> Self {
        let Some(expiry) = credentials.expiry() else {
            return Self {
                credentials,
                fresh_until: now + DEFAULT_LIFETIME,
                valid_until: now + DEFAULT_LIFETIME,
            };
        };
        let left = expiry.duration_since(now).unwrap_or_default();
        let before = |duration: Duration| expiry.checked_sub(duration).unwrap_or(now);
        let (fresh_until, valid_until) =
            (before(REFRESH_BEFORE.min(left / 4)), before(MIN_VALIDITY.min(left / 4)));
        Self { credentials, fresh_until: fresh_until.min(valid_until), valid_until }
    }
}

impl Cache {
    pub(crate) fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, cached: Mutex::new(None), refreshing: tokio::sync::Mutex::new(()) }
    }

    pub(crate) async fn credentials(&self, now: SystemTime) -> provider::Result {
        match self.cached() {
            Some(cached) if now < cached.fresh_until => Ok(cached.credentials),
            Some(cached) if now < cached.valid_until => {
                let Ok(_refreshing) = self.refreshing.try_lock() else { return Ok(cached.credentials) };
                Ok(self.refresh(now).await.unwrap_or_else(|_| self.postpone(cached, now)))
            }
            _ => {
                let _refreshing = self.refreshing.lock().await;
                match self.cached() {
                    Some(cached) if now < cached.valid_until => Ok(cached.credentials),
                    _ => self.refresh(now).await,
                }
            }
        }
    }

    /// Removes these credentials from the cache, because the service refused them. Newer credentials stay.
    pub(crate) fn refused(&self, credentials: &Credentials) {
        let mut cached = self.cached.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if cached.as_ref().is_some_and(|cached| are_same(&cached.credentials, credentials)) {
            *cached = None;
        }
    }

    async fn refresh(&self, now: SystemTime) -> provider::Result {
        let credentials = self.provider.provide_credentials().await?;
        if credentials.expiry().is_some_and(|expiry| expiry <= now) {
            return Err(CredentialsError::invalid_configuration("the credentials have expired"));
        }
        self.store(Cached::new(credentials.clone(), now));
        Ok(credentials)
    }

    /// The provider failed: uses the old credentials, and refreshes them later.
    fn postpone(&self, cached: Cached, now: SystemTime) -> Credentials {
        let credentials = cached.credentials.clone();
        self.store(Cached { fresh_until: (now + RETRY_AFTER).min(cached.valid_until), ..cached });
        credentials
    }

    fn cached(&self) -> Option<Cached> {
        self.cached.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn store(&self, cached: Cached) {
        *self.cached.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(cached);
    }
}

pub(crate) fn not_loaded(error: CredentialsError) -> Error {
    Error::credentials("the credentials could not be loaded").because(error)
}

/// Whether two credentials are the same, except for their expiry.
pub(crate) fn are_same(one: &Credentials, other: &Credentials) -> bool {
    one.access_key_id() == other.access_key_id()
        && one.secret_access_key() == other.secret_access_key()
        && one.session_token() == other.session_token()
}

/// Whether other credentials may be accepted.
pub(crate) fn may_be_stale(error: &ServiceError) -> bool {
    matches!(error.status, 400 | 401 | 403)
        && error.error_type.as_deref().is_some_and(|name| ERROR_TYPES.contains(&name))
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    #[test]
    fn missing_variables_are_errors() {
        let lookup = |set: &'static [(&str, &str)]| {
            from_lookup(|name| {
                set.iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_string())
            })
        };
        let keys = [
            ("AWS_ACCESS_KEY_ID", "id\n"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "token"),
        ];
        let found = lookup(Box::leak(Box::new(keys))).unwrap();
        assert_eq!(
            (found.access_key_id(), found.secret_access_key(), found.session_token()),
            ("id", "secret", Some("token"))
        );
        assert_eq!(lookup(Box::leak(keys[..2].into())).unwrap().session_token(), None);
        assert!(lookup(&[("AWS_ACCESS_KEY_ID", "id")]).is_err());
        assert!(lookup(&[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "secret")]).is_err());
    }

    /// A provider of numbered credentials.
    #[derive(Debug, Default)]
    struct Counting {
        count: AtomicU64,
        lasts: Option<Duration>,
        takes: Duration,
        fails: AtomicBool,
    }

    impl Counting {
        async fn next(&self) -> provider::Result {
            tokio::time::sleep(self.takes).await;
            if self.fails.load(Ordering::Relaxed) {
                return Err(CredentialsError::not_loaded("not now"));
            }
            let count = self.count.fetch_add(1, Ordering::Relaxed);
            let expiry = self.lasts.map(|lasts| NOW + lasts * (count as u32 + 1));
            Ok(Credentials::new(count.to_string(), "", None, expiry, "test"))
        }
    }

    impl ProvideCredentials for &'static Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(self.next())
        }
    }

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn cache(provider: Counting) -> (&'static Counting, Cache) {
        let provider: &'static Counting = Box::leak(Box::new(provider));
        (provider, Cache::new(SharedCredentialsProvider::new(provider)))
    }

    async fn id(cache: &Cache, after: u64) -> String {
        let found = cache.credentials(NOW + Duration::from_secs(after)).await;
        found.map_or("failed".into(), |found| found.access_key_id().into())
    }

    #[tokio::test]
    async fn credentials_are_cached_until_shortly_before_they_expire() {
        let hour = Some(Duration::from_secs(3600));
        for (lasts, cached_for) in [(hour, 3299), (Some(Duration::from_secs(100)), 74), (None, 899)] {
            let (_, cache) = cache(Counting { lasts, ..Counting::default() });
            for (after, found) in [(0, "0"), (cached_for, "0"), (cached_for + 1, "1")] {
                assert_eq!(id(&cache, after).await, found, "{after}");
            }
        }
    }

    #[tokio::test]
    async fn old_credentials_are_used_until_they_expire() {
        let (provider, cache) =
            cache(Counting { lasts: Some(Duration::from_secs(3600)), ..Counting::default() });
        assert_eq!(id(&cache, 0).await, "0");
        provider.fails.store(true, Ordering::Relaxed);
        assert_eq!(id(&cache, 3400).await, "0");
        provider.fails.store(false, Ordering::Relaxed);
        assert_eq!(id(&cache, 3429).await, "0", "the refresh is postponed");
        assert_eq!(id(&cache, 3431).await, "1");
        provider.fails.store(true, Ordering::Relaxed);
        assert_eq!(id(&cache, 7200).await, "failed");
    }

    #[test]
    fn expired_credentials_are_recognized() {
        use http::{HeaderMap, HeaderValue, StatusCode};
        for (status, name, stale) in [
            (403, "ExpiredTokenException", true),
            (400, "ExpiredToken", true),
            (403, "InvalidClientTokenId", true),
            (403, "AccessDeniedException", false),
            (403, "RequestExpired", false),
            (424, "ExpiredTokenException", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-amzn-errortype", HeaderValue::from_static(name));
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(
                may_be_stale(&ServiceError::new(status, &headers, Default::default())),
                stale,
                "{name}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_refreshes_for_all() {
        let takes = Duration::from_secs(1);
        let lasts = Some(Duration::from_secs(3600));
        let (provider, cache) = cache(Counting { takes, lasts, ..Counting::default() });
        for (after, found) in [(0, ["0", "0"]), (3400, ["1", "0"])] {
            let (first, second) = tokio::join!(id(&cache, after), id(&cache, after));
            assert_eq!([&*first, &*second], found);
        }
        assert_eq!(provider.count.load(Ordering::Relaxed), 2);
    }
}
