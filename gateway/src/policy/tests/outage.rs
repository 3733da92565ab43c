//! A server that stands still, dies and comes back, while requests go on.

use futures_util::FutureExt;

use super::shared::{patient, policy, state, until};
use super::state_server::StateServer;
use super::*;
use crate::config::WhenDown;

fn timing() -> Timing {
    Timing {
        probe: (Duration::from_millis(10), Duration::from_millis(50)),
        response: Duration::from_millis(300),
        ..Timing::default()
    }
}

/// The time that a decision takes.
async fn timed(policy: &Policy, key: &Key) -> (Duration, Result<Reservation, Refusal>) {
    let start = Instant::now();
    let decision = policy.reserve(key, ask(10, 0.01)).await;
    (start.elapsed(), decision)
}

/// A server that was reached: not one of the first calls, which connect.
async fn connected(policy: &Policy, key: &Key) {
    let open = self::key(&key.name, KeyLimits { parallel: Some(1000), ..limits() });
    until(|| (!policy.degraded()).then_some(())).await;
    loop {
        let reservation = policy.reserve(&open, ask(0, 0.0)).await;
        if matches!(reservation, Ok(Reservation { held: Some(Held { place: Place::Server(_), .. }), .. })) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Fault 25: a server that stands still is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn fault_25_a_frozen_server_delays_no_decision() {
    let Some(server) = StateServer::start() else { return };
    for when_down in [WhenDown::Local, WhenDown::Deny] {
        let policy = Arc::new(policy(&state(&server, when_down), timing()));
        let key = key(&format!("{when_down:?}"), KeyLimits { requests: rate(1000, 1000 * HOUR), ..limits() });
        connected(&policy, &key).await;
        server.freeze();
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let (policy, key) = (policy.clone(), key.clone());
                tokio::spawn(async move { timed(&policy, &key).await })
            })
            .collect();
        let sleeps: Vec<_> = (0..50)
            .map(|_| {
                tokio::spawn(async {
                    let start = Instant::now();
                    tokio::time::sleep(Timing::default().decision).await;
                    start.elapsed()
                })
            })
            .collect();
        let mut slowest = Duration::ZERO;
        for call in calls {
            let (time, decision) = call.await.unwrap();
            slowest = slowest.max(time);
            match when_down {
                WhenDown::Local => drop(decision.unwrap()),
                WhenDown::Deny => assert_eq!(decision.unwrap_err().limit, Limit::Unavailable),
            }
        }
        // Within 50 ms: 20 more than tasks of a busy machine need that wait as long and do nothing.
        let mut busy = Duration::ZERO;
        for sleep in sleeps {
            busy = busy.max(sleep.await.unwrap());
        }
        assert!(slowest < busy + Duration::from_millis(20), "{slowest:?}, {busy:?}");
        assert!(policy.degraded());
        // From now on nothing waits for it: the decision is there at once.
        for _ in 0..100 {
            assert!(policy.reserve(&key, ask(10, 0.01)).now_or_never().is_some());
        }
        server.thaw();
        until(|| (!policy.degraded()).then_some(())).await;
        connected(&policy, &key).await;
        // What the server executed late was canceled: it knows of nothing but the call that connected.
        policy.flush(HOUR).await;
        let held = policy.reserve(&key, ask(0, 0.0)).await.unwrap();
        assert_eq!(held.headers().requests.unwrap().remaining, 999);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_a_process_goes_on_from_what_the_server_has_reported() {
    let Some(mut server) = StateServer::start() else { return };
    let policy = policy(&state(&server, WhenDown::Local), timing());
    let key = key("team", KeyLimits { requests: rate(10, 1000 * HOUR), budget: budget(1.0), ..limits() });
    connected(&policy, &key).await;
    for _ in 0..6 {
        policy.reserve(&key, ask(0, 0.1)).await.unwrap().settle(0, 0.1);
    }
    policy.flush(HOUR).await;
    server.kill();
    let mut held = Vec::new();
    while let Ok(reservation) = policy.reserve(&key, ask(0, 0.1)).await {
        held.push(reservation);
    }
    assert!(policy.degraded());
    assert_eq!(held.len(), 4);
    for reservation in held {
        reservation.settle(0, 0.05);
    }
    // The server starts without data. It learns what was spent without it, and nothing of before.
    server.restart();
    until(|| (!policy.degraded()).then_some(())).await;
    let probe = self::key("team", KeyLimits { requests: None, ..key.limits });
    drop(policy.reserve(&probe, ask(0, 0.0)).await.unwrap());
    assert_eq!(policy.account("team").usage().spent, 200_000_000);
}

/// Fault 22: a server that restarts during load makes no request fail that is within its limits, and counts none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fault_22_a_restart_during_load_refuses_nothing_and_counts_nothing_twice() {
    let Some(mut server) = StateServer::start() else { return };
    let timing = Timing { decision: patient().decision, ..timing() };
    let processes = [(); 3].map(|()| Arc::new(policy(&state(&server, WhenDown::Local), timing)));
    let limits =
        KeyLimits { requests: rate(5000, HOUR), parallel: Some(60), budget: budget(500.0), ..limits() };
    let key = key("team", limits);
    let load: Vec<_> = (0..60)
        .map(|client| {
            let (policy, key) = (processes[client % 3].clone(), key.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    let reservation = policy.reserve(&key, ask(0, 0.1)).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    reservation.settle(0, 0.1);
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(150)).await;
    server.restart();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let flush = redis::Client::open(server.url()).unwrap();
    redis::cmd("FLUSHALL").exec(&mut flush.get_connection().unwrap()).unwrap();
    for client in load {
        client.await.unwrap();
    }
    for process in &processes {
        until(|| (!process.degraded()).then_some(())).await;
        process.flush(HOUR).await;
        assert_eq!(process.account("team").usage().parallel, 0);
    }
    let _held = processes[0].reserve(&key, ask(0, 0.0)).await.unwrap();
    // 3,000 requests took 300 dollars; those before the loss of the data are forgotten, none counts twice.
    let spent = processes[0].account("team").usage().spent;
    assert!(spent > 0 && spent <= 300_000_000_000, "{spent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_run_count_again_after_a_restart() {
    let Some(mut server) = StateServer::start() else { return };
    let policy = policy(&state(&server, WhenDown::Deny), timing());
    let key = key("team", KeyLimits { parallel: Some(3), ..limits() });
    connected(&policy, &key).await;
    let reserve = || async {
        until(|| (!policy.degraded()).then_some(())).await;
        policy.reserve(&key, ask(0, 0.0)).await
    };
    let running = [reserve().await.unwrap(), reserve().await.unwrap()];
    server.restart();
    // The first request notices that the server was gone.
    until(|| policy.reserve(&key, ask(0, 0.0)).now_or_never().map(|_| ()).filter(|()| policy.degraded()))
        .await;
    let third = reserve().await.unwrap();
    assert_eq!(reserve().await.unwrap_err().limit, Limit::Parallel);
    drop((running, third));
    policy.flush(HOUR).await;
    let _all = [reserve().await.unwrap(), reserve().await.unwrap(), reserve().await.unwrap()];
}
