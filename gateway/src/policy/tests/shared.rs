//! Limits in a real server.

use std::process::{Command, Stdio};

use super::state_server::StateServer;
use super::*;
use crate::config::{Secret, State, WhenDown};

pub(super) fn state(server: &StateServer, when_down: WhenDown) -> State {
    State { url: Secret::new(server.url()), when_down }
}

/// Decisions take as long as the machine needs: these tests are about numbers.
pub(super) fn patient() -> Timing {
    Timing { decision: Duration::from_secs(10), response: Duration::from_secs(10), ..Timing::default() }
}

pub(super) fn policy(state: &State, timing: Timing) -> Policy {
    let store = Store::new(state, timing).unwrap();
    Policy { accounts: RwLock::default(), store: ArcSwapOption::new(Some(store)) }
}

/// The usage of a key as the server reports it.
async fn usage(policy: &Policy, key: &Key) -> (u32, f64, i64) {
    let never = KeyLimits { requests: rate(0, HOUR), budget: budget(0.0), ..key.limits };
    let _ = policy.reserve(&self::key(&key.name, never), ask(0, 0.0)).await;
    let account = policy.account(&key.name);
    let usage = *account.usage();
    (usage.parallel, usage.tokens, usage.spent)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_decides_as_the_process_does() {
    let Some(server) = StateServer::start() else { return };
    let shared = policy(&state(&server, WhenDown::Deny), patient());
    let alone = Policy::new(None).unwrap();
    let per = Duration::from_secs(1 << 40);
    let mut random = fastrand::Rng::with_seed(17);
    for number in 0..20 {
        let mut optional = |limit: Option<Rate>| limit.filter(|_| random.u8(..4) > 0);
        let limits = KeyLimits {
            requests: optional(rate(40, per)),
            tokens: optional(rate(7000, per)),
            parallel: optional(rate(6, per)).map(|rate| rate.amount as u32),
            budget: optional(rate(0, per)).and_then(|_| budget(0.3)),
        };
        let key = key(&format!("key {number}"), limits);
        let mut running = Vec::new();
        for step in 0..60 {
            let ask = ask(random.u64(..900), random.f64() / 50.0);
            let took = self::ask(random.u64(..900), random.f64() / 50.0);
            match (shared.reserve(&key, ask).await, alone.reserve(&key, ask).await) {
                (Ok(one), Ok(other)) => {
                    assert_eq!(
                        remaining(one.headers()),
                        remaining(other.headers()),
                        "{limits:?}, step {step}"
                    );
                    running.push((one, other));
                }
                (Err(one), Err(other)) => {
                    assert_eq!(one.limit, other.limit, "{limits:?}, step {step}");
                    assert_eq!(remaining(one.headers), remaining(other.headers));
                    assert_eq!(one.retry_after.is_some(), other.retry_after.is_some());
                }
                (one, other) => panic!("{limits:?}, step {step}: {one:?}, but {other:?}"),
            }
            if random.bool() && !running.is_empty() {
                let (one, other) = running.swap_remove(random.usize(..running.len()));
                if random.u8(..4) > 0 {
                    one.settle(took.tokens, took.dollars);
                    other.settle(took.tokens, took.dollars);
                } else {
                    drop((one, other));
                }
                shared.flush(HOUR).await;
            }
        }
    }
}

fn remaining(headers: RateHeaders) -> [Option<u64>; 2] {
    [headers.requests, headers.tokens].map(|status| Some(status?.remaining))
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_never_spend_more_than_the_budget() {
    let Some(server) = StateServer::start() else { return };
    let processes = [(); 3].map(|()| Arc::new(policy(&state(&server, WhenDown::Deny), patient())));
    let key = key("team", KeyLimits { budget: budget(1.0), ..limits() });
    let calls: Vec<_> = (0..100)
        .map(|call| {
            let (policy, key) = (processes[call % 3].clone(), key.clone());
            tokio::spawn(async move { policy.reserve(&key, ask(0, 0.03)).await.ok() })
        })
        .collect();
    let mut admitted = Vec::new();
    for call in calls {
        admitted.extend(call.await.unwrap());
    }
    assert_eq!(admitted.len(), 33);
    // They take a third: two thirds of the budget are free again, for the other processes too.
    for reservation in admitted {
        reservation.settle(0, 0.01);
    }
    for process in &processes {
        process.flush(HOUR).await;
    }
    assert_eq!(usage(&processes[1], &key).await, (0, 0.0, 330_000_000));
    let _large = processes[2].reserve(&key, ask(0, 0.67)).await.unwrap();
    assert_eq!(processes[0].reserve(&key, ask(0, 0.01)).await.unwrap_err().limit, Limit::Budget);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_of_a_process_that_dies_are_free_after_their_lease() {
    let Some(server) = StateServer::start() else { return };
    let timing = Timing { lease: Duration::from_millis(600), ..patient() };
    let [one, other] = [(); 2].map(|()| policy(&state(&server, WhenDown::Deny), timing));
    let key = key("team", KeyLimits { parallel: Some(2), ..limits() });
    let alive = one.reserve(&key, ask(0, 0.0)).await.unwrap();
    let dead = one.reserve(&key, ask(0, 0.0)).await.unwrap();
    // Its process renews it no more, and never settles it.
    one.store.load().as_ref().unwrap().server.open().retain(|id, _| *id == 0);
    std::mem::forget(dead);
    assert_eq!(other.reserve(&key, ask(0, 0.0)).await.unwrap_err().limit, Limit::Parallel);
    tokio::time::sleep(2 * timing.lease).await;
    // The one that runs is renewed, however long it takes.
    let next = other.reserve(&key, ask(0, 0.0)).await.unwrap();
    assert_eq!(other.reserve(&key, ask(0, 0.0)).await.unwrap_err().limit, Limit::Parallel);
    alive.settle(0, 0.0);
    one.flush(HOUR).await;
    let _second = other.reserve(&key, ask(0, 0.0)).await.unwrap();
    drop(next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_starts_when_it_has_ended_is_not_refused() {
    let Some(server) = StateServer::start() else { return };
    let limits = KeyLimits { parallel: Some(6), tokens: rate(6000, 1000 * HOUR), ..limits() };
    let key = key("team", limits);
    let processes = [(); 2].map(|()| Arc::new(policy(&state(&server, WhenDown::Deny), patient())));
    let clients: Vec<_> = (0..6)
        .map(|client| {
            let (policy, key) = (processes[client % 2].clone(), key.clone());
            tokio::spawn(async move {
                for _ in 0..100 {
                    policy.reserve(&key, ask(1000, 0.0)).await.unwrap().settle(0, 0.0);
                    // As long as a client takes at least, so that the other process has heard of the tokens.
                    policy.flush(HOUR).await;
                }
                // The places are free at once.
                for _ in 0..100 {
                    policy.reserve(&key, ask(0, 0.0)).await.unwrap().settle(0, 0.0);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_decision_takes_nothing() {
    use futures_util::FutureExt;
    let Some(server) = StateServer::start() else { return };
    let policy = policy(&state(&server, WhenDown::Deny), patient());
    let limits = KeyLimits {
        requests: rate(2, HOUR),
        tokens: rate(100, HOUR),
        parallel: Some(2),
        budget: budget(1.0),
    };
    let key = key("team", limits);
    drop(policy.reserve(&key, ask(10, 0.1)).await.unwrap());
    for _ in 0..50 {
        assert!(policy.reserve(&key, ask(1, 0.01)).now_or_never().is_none());
    }
    policy.flush(HOUR).await;
    let held = policy.reserve(&key, ask(90, 0.9)).await.unwrap();
    assert_eq!(remaining(held.headers()), [Some(0), Some(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_its_data_counts_nothing_twice_and_refuses_nothing() {
    let Some(server) = StateServer::start() else { return };
    let policy = policy(&state(&server, WhenDown::Deny), patient());
    let limits = KeyLimits {
        requests: rate(4, HOUR),
        tokens: rate(1000, HOUR),
        parallel: Some(9),
        budget: budget(1.0),
    };
    let key = key("team", limits);
    let mut before = Vec::new();
    for _ in 0..4 {
        before.push(policy.reserve(&key, ask(250, 0.25)).await.unwrap());
    }
    assert!(policy.reserve(&key, ask(0, 0.0)).await.is_err());
    let client = redis::Client::open(server.url()).unwrap();
    redis::cmd("FLUSHALL").exec(&mut client.get_connection().unwrap()).unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut client.get_connection().unwrap()).unwrap();
    // Everything is free again, and four more pass.
    let mut after = Vec::new();
    for _ in 0..4 {
        after.push(policy.reserve(&key, ask(100, 0.1)).await.unwrap());
    }
    // What ran at that time was lost with the data: it neither gives nor takes.
    for reservation in before {
        reservation.settle(0, 0.0);
    }
    policy.flush(HOUR).await;
    let known = usage(&policy, &key).await;
    assert_eq!((known.0, known.2), (4, 400_000_000));
    assert!((known.1 - 400.0).abs() < 1.0, "{known:?}");
    for reservation in after {
        reservation.settle(50, 0.05);
    }
    policy.flush(HOUR).await;
    let known = usage(&policy, &key).await;
    assert_eq!((known.0, known.2), (0, 200_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn cooldowns_reach_the_other_processes_and_never_end_earlier() {
    let Some(server) = StateServer::start() else { return };
    let timing = Timing { poll: Duration::from_millis(20), ..patient() };
    let [one, other] = [(); 2].map(|()| policy(&state(&server, WhenDown::Local), timing));
    let now = Instant::now();
    one.cooldown("llama/my-llm", now + HOUR);
    one.cooldown("llama/my-llm", now + HOUR / 2);
    one.cooldown("llama/other", now + Duration::from_millis(300));
    one.flush(HOUR).await;
    let end = |name| other.cooldowns().and_then(|cooldowns| cooldowns.until(name));
    let ends = until(|| end("llama/my-llm")).await;
    let difference =
        ends.saturating_duration_since(now + HOUR).max((now + HOUR).saturating_duration_since(ends));
    assert!(difference < Duration::from_secs(10), "{difference:?}");
    assert_eq!(end("llama/unknown"), None);
    until(|| end("llama/other").is_none_or(|end| end < Instant::now()).then_some(())).await;
}

/// Waits until there is something.
pub(super) async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing within 20 seconds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The variable that makes [`one_of_three_processes`] a process of its own.
const PROCESS: &str = "SAGEWIRE_TEST_STATE";

/// Fault 21: a limit that three processes share is one limit.
#[test]
fn fault_21_three_processes_keep_one_limit_exactly() {
    let Some(server) = StateServer::start() else { return };
    let processes: Vec<_> = (0..3)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["policy::tests::shared::one_of_three_processes", "--exact", "--nocapture"])
                .env(PROCESS, server.url())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let admitted: Vec<usize> = processes
        .into_iter()
        .map(|process| {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success());
            let output = String::from_utf8(output.stdout).unwrap();
            output.lines().find_map(|line| line.split_once("admitted ")).unwrap().1.parse().unwrap()
        })
        .collect();
    assert_eq!(admitted.iter().sum::<usize>(), 60, "{admitted:?}");
}

#[test]
fn one_of_three_processes() {
    let Ok(url) = std::env::var(PROCESS) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let admitted = runtime.block_on(async {
        let state = State { url: Secret::new(url), when_down: WhenDown::Deny };
        let policy = Arc::new(policy(&state, patient()));
        let key = key("team", KeyLimits { requests: rate(60, 1000 * HOUR), ..limits() });
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let (policy, key) = (policy.clone(), key.clone());
                tokio::spawn(async move { policy.reserve(&key, ask(0, 0.0)).await })
            })
            .collect();
        let mut admitted = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => admitted += 1,
                Err(refusal) => assert_eq!(refusal.limit, Limit::Requests),
            }
        }
        admitted
    });
    println!("\nadmitted {admitted}");
}
