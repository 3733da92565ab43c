//! Whether a deployment is called, after it has failed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config;

/// The health of a deployment. It survives a reload of the configuration.
///
/// After a number of failures in a row, a deployment is left out for a time, which doubles with each further failure. When it
/// has passed, requests are sent again, and the next failure leaves it out at once.
#[derive(Debug)]
pub(crate) struct Health {
    start: Instant,
    /// Failures in a row.
    failures: AtomicU32,
    /// Milliseconds after `start`; 0: it was never left out.
    until: AtomicU64,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), failures: AtomicU32::new(0), until: AtomicU64::new(0) }
    }

    /// How much longer it is left out; `None` if it is called.
    pub(crate) fn cools_for(&self, now: Instant) -> Option<Duration> {
        let until = self.start + Duration::from_millis(self.until.load(Ordering::Relaxed));
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// It has responded.
    pub(crate) fn succeeded(&self) {
        // Read first: a write would move the cache line between cores with each request.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// It has failed, by no fault of the client. A delay that it asks for is kept in any case. Returns whether it is left out.
    pub(crate) fn failed(
        &self,
        now: Instant,
        settings: &config::Cooldown,
        retry_after: Option<Duration>,
    ) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let doublings = failures.checked_sub(settings.failures.max(1));
        let own = doublings.map(|n| settings.base.saturating_mul(1 << n.min(16)).min(settings.max));
        let asked = retry_after.map(|delay| delay.min(settings.max));
        let Some(delay) = own.max(asked) else { return false };
        self.extend(now, delay);
        true
    }

    /// Leaves it out for this time at least: the end never moves back.
    pub(crate) fn extend(&self, now: Instant, delay: Duration) {
        let until = now.saturating_duration_since(self.start) + delay;
        self.until.fetch_max(until.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_19_the_end_of_a_cooldown_never_moves_back() {
        let (health, settings, now) = (Health::new(), config::Cooldown::default(), Instant::now());
        let seconds = Duration::from_secs;
        assert!(!health.failed(now, &settings, None) && !health.failed(now, &settings, None));
        assert_eq!(health.cools_for(now), None);
        assert!(health.failed(now, &settings, None));
        let first = health.cools_for(now).expect("it cools");
        assert!(first > seconds(4) && first <= seconds(5) + Duration::from_millis(1), "{first:?}");
        // A long delay of the service is kept, and a shorter one of the next failure does not replace it.
        health.failed(now, &settings, Some(seconds(50)));
        let long = health.cools_for(now).expect("it cools");
        health.failed(now, &settings, Some(seconds(1)));
        assert!(health.cools_for(now) >= Some(long) && long > seconds(49));
        // The time passes, and a success starts anew.
        assert_eq!(health.cools_for(now + seconds(61)), None);
        health.succeeded();
        assert!(!health.failed(now + seconds(61), &settings, None));
    }
}
