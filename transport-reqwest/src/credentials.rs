//! Where keys come from, and how long they are kept.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};

/// Credentials that expire sooner than this are fetched anew, as AWS's SDK does.
const BUFFER: Duration = Duration::from_secs(10);
/// How long credentials are kept that do not say when they expire, as in AWS's SDK.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

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
    let required = |name| set(name).ok_or_else(|| CredentialsError::not_loaded(format!("{name} is not set")));
    let (id, secret) = (required("AWS_ACCESS_KEY_ID")?, required("AWS_SECRET_ACCESS_KEY")?);
    Ok(Credentials::new(id, secret, set("AWS_SESSION_TOKEN"), None, "environment"))
}

/// A provider that is not asked for every request: those of AWS leave keeping to the client.
pub(crate) struct Cache {
    provider: SharedCredentialsProvider,
    /// With the time until which they are kept.
    kept: Mutex<Option<(Credentials, SystemTime)>>,
}

impl Cache {
    pub(crate) fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, kept: Mutex::new(None) }
    }

    pub(crate) async fn credentials(&self, now: SystemTime) -> provider::Result {
        if let Some((credentials, until)) =
            &*self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
            && now < *until
        {
            return Ok(credentials.clone());
        }
        let credentials = self.provider.provide_credentials().await?;
        let until = match credentials.expiry() {
            Some(expiry) => expiry.checked_sub(BUFFER).unwrap_or(now),
            None => now + LIFETIME,
        };
        *self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
            Some((credentials.clone(), until));
        Ok(credentials)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

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

    #[derive(Debug)]
    struct Counting(AtomicU64, Option<SystemTime>);

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::ready(Ok(Credentials::new(
                count.to_string(),
                "",
                None,
                self.1,
                "test",
            )))
        }
    }

    #[tokio::test]
    async fn credentials_are_kept_until_they_expire() {
        let now = SystemTime::now();
        for (expiry, kept) in [(Some(now + Duration::from_secs(100)), 89), (None, 899)] {
            let cache = Cache::new(SharedCredentialsProvider::new(Counting(AtomicU64::new(0), expiry)));
            for (after, id) in [(0, "0"), (kept, "0"), (kept + 2, "1")] {
                let found = cache.credentials(now + Duration::from_secs(after)).await.unwrap();
                assert_eq!(found.access_key_id(), id, "{after}");
            }
        }
    }
}
