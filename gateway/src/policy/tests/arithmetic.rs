//! Limits with the time passed in.

use super::*;

fn reserve(
    account: &Arc<Account>,
    limits: &KeyLimits,
    tokens: u64,
    dollars: f64,
    now: Micros,
) -> Result<Reservation, Refusal> {
    account.reserve(limits, ask(tokens, dollars).into(), Place::Process, now)
}

/// Ends reservations, so that only rates count.
fn pass(
    account: &Arc<Account>,
    limits: &KeyLimits,
    tokens: u64,
    now: Micros,
) -> Result<RateHeaders, Refusal> {
    let mut reservation = reserve(account, limits, tokens, 0.0, now)?;
    reservation.end(None, now);
    Ok(reservation.headers())
}

fn account() -> Arc<Account> {
    Arc::new(Account::new("key"))
}

#[test]
fn a_limit_of_requests_drains_with_time() {
    let limits = KeyLimits { requests: rate(7, Duration::from_secs(60)), ..limits() };
    let account = account();
    let start = 1_000 * SECOND;
    for _ in 0..7 {
        pass(&account, &limits, 0, start).unwrap();
    }
    let refusal = pass(&account, &limits, 0, start).unwrap_err();
    assert_eq!(
        (refusal.limit, refusal.retry_after),
        (Limit::Requests, Some(Duration::from_micros(8_571_429)))
    );
    // At that time, and not before.
    let wait = refusal.retry_after.unwrap().as_micros() as Micros;
    assert!(pass(&account, &limits, 0, start + wait - 1000).is_err());
    pass(&account, &limits, 0, start + wait).unwrap();
    assert!(pass(&account, &limits, 0, start + wait).is_err());
    // A minute later, all of it, and no more than that.
    let later = start + wait + 600 * SECOND;
    assert_eq!((0..20).filter(|_| pass(&account, &limits, 0, later).is_ok()).count(), 7);
}

/// Fault 24: a request takes its tokens of the limit, not one.
#[test]
fn fault_24_tokens_are_settled_and_may_go_below_zero() {
    let limits = KeyLimits { tokens: rate(1000, Duration::from_secs(10)), ..limits() };
    let account = account();
    let mut first = reserve(&account, &limits, 600, 0.0, SECOND).unwrap();
    assert_eq!(first.headers().tokens.unwrap().remaining, 400);
    assert_eq!(reserve(&account, &limits, 500, 0.0, SECOND).unwrap_err().limit, Limit::Tokens);
    // It took fewer: the rest is free again.
    first.end(Some(ask(100, 0.0).into()), SECOND);
    let mut second = reserve(&account, &limits, 900, 0.0, SECOND).unwrap();
    // It took more than the whole limit: others wait until that has drained.
    second.end(Some(ask(2000, 0.0).into()), SECOND);
    let refusal = reserve(&account, &limits, 100, 0.0, SECOND).unwrap_err();
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(12)));
    assert_eq!(refusal.headers.tokens.unwrap().remaining, 0);
    let _held = reserve(&account, &limits, 100, 0.0, 13 * SECOND).unwrap();
}

#[test]
fn a_request_that_is_larger_than_a_limit_is_not_worth_repeating() {
    let dear = KeyLimits { budget: budget(1.0), ..limits() };
    let large = KeyLimits { tokens: rate(1000, HOUR), ..limits() };
    let none = KeyLimits { requests: rate(0, HOUR), ..limits() };
    let closed = KeyLimits { parallel: Some(0), ..limits() };
    for (limits, limit) in
        [(dear, Limit::Budget), (large, Limit::Tokens), (none, Limit::Requests), (closed, Limit::Parallel)]
    {
        let refusal = reserve(&account(), &limits, 1001, 1.01, SECOND).unwrap_err();
        assert_eq!((refusal.limit, refusal.retry_after), (limit, None));
    }
}

#[test]
fn parallel_requests_end_by_settling_and_by_dropping() {
    let limits = KeyLimits { parallel: Some(2), ..limits() };
    let account = account();
    let first = reserve(&account, &limits, 0, 0.0, SECOND).unwrap();
    let second = reserve(&account, &limits, 0, 0.0, SECOND).unwrap();
    let refusal = reserve(&account, &limits, 0, 0.0, SECOND).unwrap_err();
    assert_eq!((refusal.limit, refusal.retry_after), (Limit::Parallel, Some(Duration::from_secs(1))));
    drop(first);
    let third = reserve(&account, &limits, 0, 0.0, SECOND).unwrap();
    second.settle(1, 0.0);
    let _fourth = reserve(&account, &limits, 0, 0.0, SECOND).unwrap();
    assert!(reserve(&account, &limits, 0, 0.0, SECOND).is_err());
    drop(third);
}

#[test]
fn a_budget_starts_anew_with_its_period() {
    // 2026-12-31 12:00, and the month that starts half a day later.
    let (december, january) = ((20_818 * 24 + 12) * 3600 * SECOND, 20_819 * 24 * 3600 * SECOND);
    let limits = KeyLimits { budget: Some(Budget { dollars: 1.0, per: Period::Month }), ..limits() };
    let account = account();
    let mut first = reserve(&account, &limits, 0, 0.75, december).unwrap();
    let refusal = reserve(&account, &limits, 0, 0.5, december).unwrap_err();
    assert_eq!((refusal.limit, refusal.retry_after), (Limit::Budget, Some(12 * HOUR)));
    let _second = reserve(&account, &limits, 0, 1.0, january).unwrap();
    // What was reserved in December is settled there: it gives January nothing back.
    first.end(Some(ask(0, 0.0).into()), january);
    assert!(reserve(&account, &limits, 0, 0.1, january).is_err());
}

#[test]
fn the_limit_that_takes_longest_is_reported() {
    let limits = KeyLimits {
        requests: rate(1, Duration::from_secs(10)),
        tokens: rate(100, Duration::from_secs(100)),
        parallel: Some(1),
        budget: None,
    };
    let account = account();
    let _held = reserve(&account, &limits, 50, 0.0, SECOND).unwrap();
    assert_eq!(reserve(&account, &limits, 50, 0.0, SECOND).unwrap_err().limit, Limit::Requests);
    assert_eq!(reserve(&account, &limits, 100, 0.0, SECOND).unwrap_err().limit, Limit::Tokens);
    assert_eq!(reserve(&account, &limits, 101, 0.0, SECOND).unwrap_err().retry_after, None);
    assert_eq!(reserve(&account, &limits, 50, 0.0, 20 * SECOND).unwrap_err().limit, Limit::Parallel);
}

#[test]
fn a_clock_that_goes_back_gives_nothing_and_takes_nothing() {
    let limits = KeyLimits { requests: rate(2, Duration::from_secs(2)), ..limits() };
    let account = account();
    for _ in 0..2 {
        pass(&account, &limits, 0, 100 * SECOND).unwrap();
    }
    assert!(pass(&account, &limits, 0, 50 * SECOND).is_err());
    pass(&account, &limits, 0, 51 * SECOND).unwrap();
    assert!(pass(&account, &limits, 0, 51 * SECOND).is_err());
}

#[test]
fn headers_have_openais_form() {
    let limits =
        KeyLimits { requests: rate(60, Duration::from_secs(60)), tokens: rate(150_000, HOUR), ..limits() };
    let headers = pass(&account(), &limits, 15_003, SECOND).unwrap();
    let headers: Vec<_> =
        headers.openai().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    assert_eq!(
        headers,
        [
            "x-ratelimit-limit-requests: 60",
            "x-ratelimit-remaining-requests: 59",
            "x-ratelimit-reset-requests: 1s",
            "x-ratelimit-limit-tokens: 150000",
            "x-ratelimit-remaining-tokens: 134997",
            "x-ratelimit-reset-tokens: 6m0.072s",
        ]
    );
    assert_eq!(RateHeaders::default().openai().count(), 0);
}

#[test]
fn headers_have_anthropics_form() {
    let limits = KeyLimits { tokens: rate(1000, HOUR), ..limits() };
    let headers = pass(&account(), &limits, 250, SECOND).unwrap();
    let headers: Vec<_> = headers
        .anthropic(UNIX_EPOCH + Duration::from_millis(1_798_761_599_001))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    assert_eq!(
        headers,
        [
            "anthropic-ratelimit-tokens-limit: 1000",
            "anthropic-ratelimit-tokens-remaining: 750",
            "anthropic-ratelimit-tokens-reset: 2027-01-01T00:15:00Z",
        ]
    );
}

#[tokio::test]
async fn without_a_shared_state_nothing_is_awaited_and_a_reload_keeps_what_was_used() {
    use futures_util::FutureExt;
    let policy = Policy::new(None).unwrap();
    let key = key("a", KeyLimits { requests: rate(2, HOUR), ..limits() });
    let reserve = |key: &Key| policy.reserve(key, ask(1, 0.0)).now_or_never().unwrap();
    drop(reserve(&key).unwrap());
    policy.reload(None, |name| name == key.name).unwrap();
    drop(reserve(&key).unwrap());
    assert_eq!(reserve(&key).unwrap_err().limit, Limit::Requests);
    // A key that is gone takes no memory.
    policy.reload(None, |_| false).unwrap();
    assert!(policy.accounts.read().unwrap().is_empty());
    assert!(!policy.degraded());
    // Nor does one without limits.
    drop(reserve(&Key::new("b")).unwrap());
    assert!(policy.accounts.read().unwrap().is_empty());
}
