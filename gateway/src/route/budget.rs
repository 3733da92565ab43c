//! How many retries a group may make: a share of its requests, so that retries do not multiply the load of a failing endpoint.

use std::sync::atomic::{AtomicI64, Ordering};

/// Retries in stock at the start, and at most.
const MAX: i64 = 100;
/// A retry costs this, in units of what a request earns: every fifth request may be retried.
const COST: i64 = 5;

#[derive(Debug)]
pub(crate) struct RetryBudget(AtomicI64);

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(MAX * COST))
    }

    /// A request has come.
    pub(crate) fn earn(&self) {
        if self.0.load(Ordering::Relaxed) < MAX * COST {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a retry out; false if there is none.
    pub(crate) fn spend(&self) -> bool {
        let spent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stock| {
            (stock >= COST).then_some(stock - COST)
        });
        spent.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fifth_request_may_be_retried() {
        let budget = RetryBudget::new();
        assert_eq!((0..1000).filter(|_| budget.spend()).count() as i64, MAX);
        (0..10).for_each(|_| budget.earn());
        assert_eq!((0..1000).filter(|_| budget.spend()).count(), 2);
    }
}
