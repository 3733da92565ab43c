//! Where keys come from, and how long they are kept.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use sagewire_transport::{Error, ServiceError};

/// Credentials that expire sooner than this are not used, as in AWS's SDK: a request takes its time to arrive.
const BUFFER: Duration = Duration::from_secs(10);
/// So long before they expire, credentials are fetched anew.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// How long a provider that failed is not asked again, where the old credentials will do.
const PAUSE: Duration = Duration::from_secs(30);
/// How long credentials are kept that do not say when they expire, as in AWS's SDK.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// What the service says of credentials that have expired, or were revoked.
const REFUSALS: [&str; 4] =
    ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"];

/// Keys from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct EnvCredentials;

impl EnvCredentials {
    /// The provider. The environment is read when it is asked, not now.
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
        // Half a pair is a mistake, and no reason to look elsewhere.
        (None, _) => return Err(CredentialsError::invalid_configuration(missing("AWS_ACCESS_KEY_ID"))),
        (_, None) => return Err(CredentialsError::invalid_configuration(missing("AWS_SECRET_ACCESS_KEY"))),
    };
    let mut credentials = Credentials::new(id, secret, set("AWS_SESSION_TOKEN"), None, "environment");
    credentials
        .get_property_mut_or_default::<Vec<AwsCredentialFeature>>()
        .push(AwsCredentialFeature::CredentialsEnvVars);
    Ok(credentials)
}

/// A provider that is not asked for every request: those of AWS leave keeping to the client.
///
/// The provider is asked by one request at a time. Shortly before the credentials expire, the others go on with the old
/// ones in the meantime, and so do all if the provider fails; once they have expired, all wait for the new ones.
pub(crate) struct Cache {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<Kept>>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    credentials: Credentials,
    /// From then on, others are asked for.
    fresh_until: SystemTime,
    /// From then on, they are not used any more.
    valid_until: SystemTime,
}

impl Kept {
    fn new(credentials: Credentials, now: SystemTime) -> Self {
        let Some(expiry) = credentials.expiry() else {
            return Self { credentials, fresh_until: now + LIFETIME, valid_until: now + LIFETIME };
        };
        let left = expiry.duration_since(now).unwrap_or_default();
        let before = |time: Duration| expiry.checked_sub(time).unwrap_or(now);
        let (fresh_until, valid_until) = (before(EARLY.min(left / 4)), before(BUFFER.min(left / 4)));
        Self { credentials, fresh_until: fresh_until.min(valid_until), valid_until }
    }
}

impl Cache {
    pub(crate) fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, kept: Mutex::new(None), asking: tokio::sync::Mutex::new(()) }
    }

    pub(crate) async fn credentials(&self, now: SystemTime) -> provider::Result {
        match self.kept() {
            Some(kept) if now < kept.fresh_until => Ok(kept.credentials),
            Some(kept) if now < kept.valid_until => {
                let Ok(_asking) = self.asking.try_lock() else { return Ok(kept.credentials) };
                Ok(self.ask(now).await.unwrap_or_else(|_| self.later(kept, now)))
            }
            _ => {
                let _asking = self.asking.lock().await;
                match self.kept() {
                    Some(kept) if now < kept.valid_until => Ok(kept.credentials),
                    _ => self.ask(now).await,
                }
            }
        }
    }

    /// Keeps these no longer: the service knows better when they expired. Others that were fetched in the meantime stay.
    pub(crate) fn refused(&self, credentials: &Credentials) {
        let mut kept = self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if kept.as_ref().is_some_and(|kept| are_same(&kept.credentials, credentials)) {
            *kept = None;
        }
    }

    async fn ask(&self, now: SystemTime) -> provider::Result {
        let credentials = self.provider.provide_credentials().await?;
        self.keep(Kept::new(credentials.clone(), now));
        Ok(credentials)
    }

    /// The provider failed: not every request has to wait for it.
    fn later(&self, kept: Kept, now: SystemTime) -> Credentials {
        let credentials = kept.credentials.clone();
        self.keep(Kept { fresh_until: (now + PAUSE).min(kept.valid_until), ..kept });
        credentials
    }

    fn kept(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn keep(&self, kept: Kept) {
        *self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(kept);
    }
}

pub(crate) fn not_loaded(error: CredentialsError) -> Error {
    Error::credentials("the credentials could not be loaded").because(error)
}

/// The service sees no difference between them, whatever they say of their expiry.
pub(crate) fn are_same(one: &Credentials, other: &Credentials) -> bool {
    one.access_key_id() == other.access_key_id()
        && one.secret_access_key() == other.secret_access_key()
        && one.session_token() == other.session_token()
}

/// Other credentials may be let through.
pub(crate) fn may_be_stale(error: &ServiceError) -> bool {
    matches!(error.status, 400 | 401 | 403)
        && error.error_type.as_deref().is_some_and(|name| REFUSALS.contains(&name))
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
    fn the_environment_may_lack_keys() {
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

    /// Credentials that are numbered, and last for a while.
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
    async fn credentials_are_kept_until_shortly_before_they_expire() {
        let hour = Some(Duration::from_secs(3600));
        for (lasts, kept) in [(hour, 3299), (Some(Duration::from_secs(100)), 74), (None, 899)] {
            let (_, cache) = cache(Counting { lasts, ..Counting::default() });
            for (after, found) in [(0, "0"), (kept, "0"), (kept + 1, "1")] {
                assert_eq!(id(&cache, after).await, found, "{after}");
            }
        }
    }

    #[tokio::test]
    async fn old_credentials_do_until_they_expire() {
        let (provider, cache) =
            cache(Counting { lasts: Some(Duration::from_secs(3600)), ..Counting::default() });
        assert_eq!(id(&cache, 0).await, "0");
        provider.fails.store(true, Ordering::Relaxed);
        assert_eq!(id(&cache, 3400).await, "0");
        provider.fails.store(false, Ordering::Relaxed);
        assert_eq!(id(&cache, 3429).await, "0", "it is not asked again so soon");
        assert_eq!(id(&cache, 3431).await, "1");
        provider.fails.store(true, Ordering::Relaxed);
        assert_eq!(id(&cache, 7200).await, "failed");
    }

    #[test]
    fn some_refusals_mean_the_credentials() {
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
    async fn one_asks_for_all() {
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
