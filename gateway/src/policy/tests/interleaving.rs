//! Any interleaving of reservations, settlements and hang-ups stays within every limit, and ends with all places free.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        tokens: u64,
        cents: u64,
    },
    /// Settles one of those that run, at this percentage of its estimate.
    Settle(prop::sample::Index, u64),
    Drop(prop::sample::Index),
    Wait(Micros),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u64..400, 0_u64..40).prop_map(|(tokens, cents)| Step::Reserve { tokens, cents }),
        2 => (any::<prop::sample::Index>(), 0_u64..150).prop_map(|(index, percent)| Step::Settle(index, percent)),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => (0_u64..3_000_000).prop_map(Step::Wait),
    ]
}

const PARALLEL: u32 = 3;
const REQUESTS: u64 = 5;
const TOKENS: u64 = 1000;
const CENTS: u64 = 200;
const PERIOD: u64 = 10;

/// What a ledger says that forgets nothing.
#[derive(Default)]
struct Ledger {
    requests: u64,
    /// Estimates of requests that run, and what the others took.
    tokens: u64,
    cents: u64,
    /// What requests took beyond their estimates, which no limit can prevent.
    excess: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn limits_hold(steps in vec(step(), 1..200)) {
        let per = Duration::from_secs(PERIOD);
        let limits = KeyLimits {
            requests: rate(REQUESTS, per),
            tokens: rate(TOKENS, per),
            parallel: Some(PARALLEL),
            budget: budget(CENTS as f64 / 100.0),
        };
        let account = Arc::new(Account::new("key"));
        let start = 1_700_000_000 * SECOND;
        let mut now = start;
        let mut ledger = Ledger::default();
        let mut running: Vec<(Reservation, u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(micros) => now += micros,
                Step::Reserve { tokens, cents } => {
                    let estimate = ask(tokens, cents as f64 / 100.0).into();
                    match account.reserve(&limits, estimate, Place::Process, now) {
                        Ok(reservation) => {
                            running.push((reservation, tokens, cents));
                            ledger.requests += 1;
                            ledger.tokens += tokens;
                            ledger.cents += cents;
                            prop_assert!(ledger.cents <= CENTS);
                            prop_assert!(running.len() <= PARALLEL as usize);
                            // Since the start, no more than one full bucket and what has drained.
                            let seconds = (now - start) as f64 / SECOND as f64;
                            let drained = |limit: u64| limit as f64 * (1.0 + seconds / PERIOD as f64) + 1e-3;
                            prop_assert!(ledger.requests as f64 <= drained(REQUESTS));
                            prop_assert!(ledger.tokens as f64 <= drained(TOKENS) + ledger.excess as f64);
                        }
                        // Nothing is refused that fits in.
                        Err(refusal) => match refusal.limit {
                            Limit::Parallel => prop_assert_eq!(running.len(), PARALLEL as usize),
                            Limit::Budget => prop_assert!(ledger.cents + cents > CENTS),
                            Limit::Requests => prop_assert!(ledger.requests >= REQUESTS),
                            Limit::Tokens => prop_assert!(ledger.tokens + ledger.excess + tokens > TOKENS
                                || account.usage().tokens + tokens as f64 > TOKENS as f64),
                            Limit::Unavailable => prop_assert!(false),
                        },
                    }
                }
                Step::Settle(index, percent) if !running.is_empty() => {
                    let (mut reservation, tokens, cents) = running.swap_remove(index.index(running.len()));
                    let (took, cost) = (tokens * percent / 100, cents * percent / 100);
                    reservation.end(Some(ask(took, cost as f64 / 100.0).into()), now);
                    ledger.tokens = ledger.tokens - tokens + took;
                    ledger.cents = ledger.cents - cents + cost;
                    ledger.excess += took.saturating_sub(tokens);
                }
                Step::Drop(index) if !running.is_empty() => {
                    let (mut reservation, ..) = running.swap_remove(index.index(running.len()));
                    reservation.end(None, now);
                }
                Step::Settle(..) | Step::Drop(_) => {}
            }
            prop_assert_eq!(account.usage().parallel as usize, running.len());
        }
        for (mut reservation, ..) in running {
            reservation.end(None, now);
        }
        prop_assert_eq!(account.usage().parallel, 0);
        prop_assert_eq!(account.usage().spent, ledger.cents as i64 * 10_000_000);
    }
}
