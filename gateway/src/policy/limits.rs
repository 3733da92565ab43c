//! The arithmetic of limits: what a key has used, and whether a request fits in. There is no clock and no lock here.
//!
//! Requests and tokens are token buckets: what was used drains continuously, the whole limit in its period. Dollars count up in
//! a period of the calendar. The script `reserve.lua` does the same in a server that several processes share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};

use super::budget::{CalendarPeriod, Micros, nanodollars, rfc3339};
use crate::config::{KeyLimits, Prices, Rate};

/// What a request needs, by its estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ask {
    /// Tokens of the input and of the output.
    pub(crate) tokens: u64,
    /// What they cost.
    pub(crate) dollars: f64,
}

impl Ask {
    /// Tokens at these prices.
    pub(crate) fn new(input: u64, output: u64, prices: Prices) -> Self {
        let dollars = (input as f64 * prices.input + output as f64 * prices.output) / 1e6;
        Self { tokens: input.saturating_add(output), dollars }
    }
}

/// A limit that refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// Requests in a period.
    Requests,
    /// Tokens in a period.
    Tokens,
    /// Requests at the same time.
    Parallel,
    /// Dollars in a period.
    Budget,
    /// The shared state cannot be reached, and the configuration says to refuse.
    Unavailable,
}

/// A request that a limit does not admit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Refusal {
    /// The limit; with several, the one that takes longest.
    pub(crate) limit: Limit,
    /// When it is worth trying again. `None`: never, since the request alone is larger than the limit.
    pub(crate) retry_after: Option<Duration>,
    /// The state of the limits.
    pub(crate) headers: RateHeaders,
}

/// The state of the limits of a key, for response headers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RateHeaders {
    /// Requests in their period.
    pub(crate) requests: Option<RateStatus>,
    /// Tokens in their period.
    pub(crate) tokens: Option<RateStatus>,
}

/// The state of one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RateStatus {
    /// The limit.
    pub(crate) limit: u64,
    /// What is left of it.
    pub(crate) remaining: u64,
    /// When all of it is available again.
    pub(crate) reset: Duration,
}

impl RateHeaders {
    /// The headers as OpenAI sends them: `x-ratelimit-limit-requests`, `-remaining-requests`, `-reset-requests`, and the same
    /// for tokens (<https://platform.openai.com/docs/guides/rate-limits>).
    pub(crate) fn openai(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        const REQUESTS: [&str; 3] =
            ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
        const TOKENS: [&str; 3] =
            ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
        self.write(REQUESTS, TOKENS, openai_duration)
    }

    /// The headers as Anthropic sends them: `anthropic-ratelimit-requests-limit`, `-remaining`, `-reset` as a time, and the same
    /// for tokens (<https://docs.anthropic.com/en/api/rate-limits>).
    pub(crate) fn anthropic(&self, now: SystemTime) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        const REQUESTS: [&str; 3] = [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ];
        const TOKENS: [&str; 3] = [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ];
        self.write(REQUESTS, TOKENS, move |reset| {
            let time = (now + reset).duration_since(UNIX_EPOCH).unwrap_or_default();
            rfc3339(time.as_nanos().div_ceil(1_000_000_000) as u64)
        })
    }

    fn write(
        &self,
        requests: [&'static str; 3],
        tokens: [&'static str; 3],
        reset: impl Fn(Duration) -> String,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        [(self.requests, requests), (self.tokens, tokens)].into_iter().flat_map(move |(status, names)| {
            let values = status.and_then(|status| {
                let reset = HeaderValue::try_from(reset(status.reset)).ok()?;
                Some([status.limit.into(), status.remaining.into(), reset])
            });
            values
                .into_iter()
                .flat_map(move |values| names.into_iter().map(HeaderName::from_static).zip(values))
        })
    }
}

/// A duration as OpenAI writes it: `12ms`, `1.5s`, `6m0s`, `1h0m3s`.
fn openai_duration(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000) as u64;
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, seconds) = (millis / 60_000, (millis % 60_000) as f64 / 1000.0);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// What one request takes of the limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    pub(super) tokens: u64,
    pub(super) nanodollars: i64,
}

impl From<Ask> for Cost {
    fn from(ask: Ask) -> Self {
        // As large as the differences of settlements can be.
        Self { tokens: ask.tokens.min(i64::MAX as u64), nanodollars: nanodollars(ask.dollars) }
    }
}

/// What a key has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// The time at which the numbers are right.
    pub(super) at: Micros,
    pub(super) requests: f64,
    pub(super) tokens: f64,
    pub(super) parallel: u32,
    /// The period of the budget, by its first day.
    pub(super) period: i64,
    /// Billionths of a dollar in this period.
    pub(super) spent: i64,
    /// The time of the server at which it reported the numbers.
    pub(super) reported: Micros,
}

impl Usage {
    /// Lets time pass. A clock that goes back does not count.
    pub(super) fn advance(&mut self, limits: &KeyLimits, now: Micros) {
        let elapsed = now.saturating_sub(self.at) as f64;
        self.at = now;
        for (used, rate) in [(&mut self.requests, limits.requests), (&mut self.tokens, limits.tokens)] {
            *used = rate.map_or(0.0, |rate| (*used - elapsed * speed(rate)).max(0.0));
        }
        if let Some(budget) = limits.budget {
            let start = CalendarPeriod::of(budget.per, now).start;
            if start != self.period {
                (self.period, self.spent) = (start, 0);
            }
        }
    }

    /// Takes over what the server has reported, unless it has reported something later. The number of parallel requests
    /// remains that of this process.
    pub(super) fn learn(&mut self, reported: &Self, now: Micros) {
        if reported.reported >= self.reported {
            *self = Self { at: now, parallel: self.parallel, ..*reported };
        }
    }

    /// The limit that does not admit a request, and when it will.
    pub(super) fn refuses(&self, limits: &KeyLimits, cost: Cost) -> Option<(Limit, Option<Duration>)> {
        let requests = limits.requests.map(|rate| (Limit::Requests, wait(rate, self.requests, 1.0)));
        let tokens = limits.tokens.map(|rate| (Limit::Tokens, wait(rate, self.tokens, cost.tokens as f64)));
        let parallel = limits.parallel.map(|limit| {
            let full = Some((limit > 0).then_some(PARALLEL_WAIT));
            (Limit::Parallel, full.filter(|_| self.parallel >= limit))
        });
        let budget = limits.budget.map(|budget| {
            let limit = nanodollars(budget.dollars);
            let end = CalendarPeriod::of(budget.per, self.at).remaining(self.at);
            let full = Some((cost.nanodollars <= limit).then_some(Duration::from_micros(end)));
            (Limit::Budget, full.filter(|_| self.spent.saturating_add(cost.nanodollars) > limit))
        });
        [parallel, requests, tokens, budget]
            .into_iter()
            .flatten()
            .filter_map(|(limit, wait)| Some((limit, wait?)))
            .max_by_key(|(_, wait)| wait.unwrap_or(Duration::MAX))
    }

    /// Takes a request in.
    pub(super) fn charge(&mut self, limits: &KeyLimits, cost: Cost) {
        self.requests += f64::from(u8::from(limits.requests.is_some()));
        self.tokens += if limits.tokens.is_some() { cost.tokens as f64 } else { 0.0 };
        self.parallel += 1;
        self.spent = self.spent.saturating_add(cost.nanodollars);
    }

    /// Replaces the estimate of a request, made in `period`, by what it took, and frees its place.
    pub(super) fn settle(&mut self, limits: &KeyLimits, estimate: Cost, actual: Cost, period: i64) {
        if limits.tokens.is_some() {
            self.tokens = (self.tokens + (actual.tokens as f64 - estimate.tokens as f64)).max(0.0);
        }
        self.parallel = self.parallel.saturating_sub(1);
        if self.period == period {
            let difference = actual.nanodollars.saturating_sub(estimate.nanodollars);
            self.spent = self.spent.saturating_add(difference).max(0);
        }
    }

    /// The state of the limits for the response.
    pub(super) fn headers(&self, limits: &KeyLimits) -> RateHeaders {
        let status = |rate: Option<Rate>, used: f64| {
            rate.map(|rate| RateStatus {
                limit: rate.amount,
                remaining: (rate.amount as f64 - used + TOLERANCE).max(0.0) as u64,
                reset: Duration::from_micros((used / speed(rate)).ceil() as u64),
            })
        };
        RateHeaders {
            requests: status(limits.requests, self.requests),
            tokens: status(limits.tokens, self.tokens),
        }
    }
}

/// How long a client waits that is refused because of its parallel requests: nobody knows when one of them ends.
const PARALLEL_WAIT: Duration = Duration::from_secs(1);

/// A bucket drains in fractions. A request that is this close to fitting in fits in.
const TOLERANCE: f64 = 1e-6;

/// What drains in a microsecond.
fn speed(rate: Rate) -> f64 {
    rate.amount as f64 / rate.per.as_micros().max(1) as f64
}

/// `None`: the bucket has room. Else the time until it has, unless it is too small.
fn wait(rate: Rate, used: f64, cost: f64) -> Option<Option<Duration>> {
    let over = used + cost - rate.amount as f64;
    let fits = cost <= rate.amount as f64;
    (over > TOLERANCE).then(|| fits.then(|| Duration::from_micros((over / speed(rate)).ceil() as u64)))
}
