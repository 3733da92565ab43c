//! Load tests of the emulator.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sagewire_emulator::{ACCESS_KEY_ID, Builder, Emulator, Pace, SECRET_ACCESS_KEY, Script};
use sagewire_eval::load::results::{Level, Slo};
use sagewire_eval::load::{Load, PacedServer, Plan, Target, measure_overhead};
use sagewire_eval::server::Server;
use sagewire_transport_reqwest::{Bounds, Client, Credentials, Endpoint, Request, Retry};
use tokio::sync::watch;

/// A short chat with token counts.
const BODY: &str = r#"{"messages":[{"role":"user","content":"one two three four five six"}],"stream":true,"stream_options":{"include_usage":true}}"#;
/// The same without.
const UNCOUNTED: &str =
    r#"{"messages":[{"role":"user","content":"one two three four five six"}],"stream":true}"#;

fn client(url: &str) -> Client {
    Client::builder()
        .region("us-east-1")
        .credentials(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test"))
        .endpoint_url(url)
        .retry(Retry::never())
        .build()
        .unwrap()
}

fn target(emulator: &Emulator, name: &str, body: &'static str) -> Target {
    Target::new(name, client(&emulator.url()), vec![Request::new(Endpoint::new(name), body)])
}

fn plan(load: Load, requests: u64) -> Plan {
    Plan {
        loads: vec![load],
        requests: Some(requests),
        duration: None,
        warmup: 0,
        retry: Retry::never(),
        slo: Slo::default(),
        seed: 1,
    }
}

/// Runs a plan with one load on one target.
async fn level(plan: &Plan, target: Target) -> Level {
    let (_interrupt, interrupted) = watch::channel(false);
    let mut targets = plan.run(&[target], interrupted, |_| ()).await;
    targets.remove(0).levels.remove(0)
}

async fn paced(pace: Pace) -> Emulator {
    Emulator::builder().pace(pace).start().await.unwrap()
}

async fn scripted(rules: &str) -> Emulator {
    let script: Script = format!(r#"{{"rules":[{rules}]}}"#).parse().unwrap();
    Emulator::builder().script(script).start().await.unwrap()
}

type Counts<'a> = Vec<(&'a str, u64)>;

/// The endings and the errors of a level.
fn endings(level: &Level) -> (Counts<'_>, Counts<'_>) {
    let endings = level.endings.iter().filter(|(_, count)| *count > 0).collect();
    (endings, level.errors.iter().map(|(name, count)| (name.as_str(), *count)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn endings_are_counted_apart() {
    let emulator = scripted(
        r#"{"endpoint":"e","times":4},
        {"endpoint":"e","times":3,"fault":{"hang_up":true,"after":300}},
        {"endpoint":"e","times":2,"fault":{"truncated_frame":true,"after":300}},
        {"endpoint":"e","times":2,"fault":{"exception":{"type":"ModelStreamError","message":"m"},"after":300}},
        {"endpoint":"e","times":1,"fault":{"corrupt_byte":true,"after":300}},
        {"endpoint":"e","times":2,"status":429},
        {"endpoint":"e","times":1,"status":424,"original_status":429},
        {"endpoint":"e","times":1,"status":503}"#,
    )
    .await;
    let level = level(&plan(Load::Concurrency(3), 16), target(&emulator, "e", BODY)).await;
    let (endings, errors) = endings(&level);
    let expected = [("complete", 4), ("truncated", 5), ("failed", 2), ("corrupt", 1), ("refused", 4)];
    assert_eq!(endings, expected, "{errors:?}");
    let refused =
        [("ModelError", 1), ("ModelStreamError", 2), ("ServiceUnavailable", 1), ("ThrottlingException", 2)];
    for error in refused {
        assert!(errors.contains(&error), "{errors:?}");
    }
    assert_eq!(errors.iter().map(|(_, count)| count).sum::<u64>(), 12);
    assert_eq!((level.requests, level.throttles, level.retried), (16, 3, 0));
    // A response that is cut is never a fast success.
    assert_eq!([&level.ttft, &level.e2el].map(|of| of.as_ref().unwrap().count), [4, 4]);
    assert!((level.request_throughput - 4.0 / level.duration_s).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_respond_is_unreachable() {
    // A port that nothing listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::new(&format!("http://127.0.0.1:{port}"), Bounds::default()).unwrap();
    let target = Target::new("server", server, vec![Request::new(Endpoint::new("e"), BODY)]);
    let level = level(&plan(Load::Concurrency(2), 6), target).await;
    assert_eq!(endings(&level), (vec![("unreachable", 6)], vec![("connect", 6)]));
    assert_eq!((level.ttft, level.request_throughput), (None, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_are_counted() {
    let emulator = scripted(r#"{"endpoint":"e","times":2,"status":429},{"endpoint":"e"}"#).await;
    let mut plan = plan(Load::Concurrency(1), 3);
    plan.retry = Retry::default();
    let level = level(&plan, target(&emulator, "e", BODY)).await;
    assert_eq!(endings(&level), (vec![("complete", 3)], vec![]));
    assert_eq!((level.retried, level.throttles), (1, 2));
    assert_eq!(emulator.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_concurrency_is_kept() {
    // A request that comes while 5 others wait or run would be refused; the one that ends may still have its slot.
    let pace = Pace::new().time_to_first_token(Duration::from_millis(200)).slots(4).queue(4);
    let emulator = paced(pace).await;
    let mut plan = plan(Load::Concurrency(4), 24);
    plan.warmup = 4;
    let level = level(&plan, target(&emulator, "e", BODY)).await;
    assert_eq!(endings(&level).0, [("complete", 24)]);
    assert_eq!((level.max_in_flight, emulator.requests().len()), (4, 28));
    // 6 rounds of 200 ms, if there are 4 at a time; 24 if there is one.
    assert!((1.2..4.0).contains(&level.duration_s), "{}", level.duration_s);
}

/// The emulator, and the times at which it received requests.
async fn timed(builder: Builder) -> (Emulator, Arc<Mutex<Vec<Instant>>>) {
    let times = Arc::new(Mutex::new(Vec::new()));
    let observed = Arc::clone(&times);
    let builder = builder.on_request(move |_, _| observed.lock().unwrap().push(Instant::now()));
    (builder.start().await.unwrap(), times)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_kept_without_responses() {
    let pace = Pace::new().time_to_first_token(Duration::from_secs(1));
    let (emulator, times) = timed(Emulator::builder().pace(pace)).await;
    let level = level(&plan(Load::Rate(50.0), 100), target(&emulator, "e", BODY)).await;
    assert_eq!((level.endings.complete, level.rate), (100, Some(50.0)));
    // In two seconds 100 requests arrive, on average; each takes a second.
    let times = times.lock().unwrap();
    let span = times.last().unwrap().duration_since(times[0]).as_secs_f64();
    assert!((1.2..3.5).contains(&span), "{span}");
    assert!(level.max_in_flight > 25, "{}", level.max_in_flight);
    let schedule = level.schedule.unwrap();
    assert!(schedule.max_delay_ms < 1000.0 && schedule.late <= 100, "{schedule:?}");
    // Random arrivals are not a constant rate: some are close, and some are far from each other.
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect();
    assert!(gaps.iter().any(|gap| *gap < 0.01) && gaps.iter().any(|gap| *gap > 0.04), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_loop_counts_the_time_in_the_queue() {
    // Ten requests per second are served, and forty arrive.
    let pace = Pace::new().time_to_first_token(Duration::from_millis(100)).slots(1).queue(100);
    let emulator = paced(pace).await;
    let mut plan = plan(Load::Rate(40.0), 30);
    plan.slo.ttft = Some(1000.0);
    let level = level(&plan, target(&emulator, "e", BODY)).await;
    assert_eq!(level.endings.complete, 30);
    let ttft = level.ttft.unwrap();
    // The last one waits for all others: 3 seconds, less the 0.75 after which it arrives.
    assert!(ttft.max > 1500.0 && ttft.p50 > 600.0, "{ttft:?}");
    assert!(level.goodput.unwrap() < level.request_throughput);
}

#[tokio::test(flavor = "multi_thread")]
async fn latencies_are_those_of_the_server() {
    let pace = Pace::new().time_to_first_token(Duration::from_millis(300)).tokens_per_second(20.0);
    let emulator = paced(pace).await;
    let level = level(&plan(Load::Concurrency(2), 4), target(&emulator, "e", BODY)).await;
    assert_eq!(level.endings.complete, 4);
    let [ttft, tpot, itl, e2el] =
        [&level.ttft, &level.tpot, &level.itl, &level.e2el].map(|of| of.clone().unwrap());
    // Nothing arrives before its time, and a busy machine makes it late.
    assert!(ttft.min >= 299.0 && ttft.p50 < 600.0, "{ttft:?}");
    assert!((45.0..90.0).contains(&itl.p50) && (45.0..90.0).contains(&itl.mean), "{itl:?}");
    assert!((40.0..90.0).contains(&tpot.p50), "{tpot:?}");
    assert!(e2el.min >= ttft.min + 49.0 * (itl.count / 4) as f64, "{e2el:?} {}", itl.count);
    assert!(ttft.p50 <= ttft.p90 && ttft.p90 <= ttft.p99 && ttft.p99 <= ttft.max, "{ttft:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_those_of_the_container_and_events_otherwise() {
    let emulator = Emulator::builder().start().await.unwrap();
    let plan = plan(Load::Concurrency(1), 2);
    let counted = level(&plan, target(&emulator, "e", BODY)).await;
    assert_eq!((counted.endings.complete, counted.counted_by_events), (2, 0));
    assert!(counted.input_tokens >= 12 && counted.output_tokens >= 12, "{counted:?}");
    let uncounted = level(&plan, target(&emulator, "e", UNCOUNTED)).await;
    assert_eq!((uncounted.counted_by_events, uncounted.input_tokens), (2, 0));
    // One event is between two others: each but the first has a latency.
    assert_eq!(uncounted.output_tokens, uncounted.itl.unwrap().count + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_take_turns() {
    let emulator = Emulator::builder().start().await.unwrap();
    let targets = ["a", "b"].map(|name| target(&emulator, name, BODY));
    let mut plan = plan(Load::Concurrency(1), 2);
    plan.loads.push(Load::Concurrency(2));
    let (_interrupt, interrupted) = watch::channel(false);
    let mut seen = 0;
    let done = plan.run(&targets, interrupted, |progress| seen = seen.max(progress.level.requests)).await;
    assert_eq!(seen, 2);
    assert!(done.iter().all(|target| target.levels.len() == 2));
    let order: Vec<String> =
        emulator.requests().iter().map(|request| request.path.split('/').nth(2).unwrap().into()).collect();
    assert_eq!(order, ["a", "a", "b", "b", "a", "a", "b", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_test_keeps_what_is_done() {
    for load in [Load::Concurrency(1), Load::Rate(20.0)] {
        let pace = Pace::new().time_to_first_token(Duration::from_millis(100));
        let emulator = paced(pace).await;
        let (interrupt, interrupted) = watch::channel(false);
        let mut plan = plan(load, 1_000_000);
        plan.loads.push(Load::Concurrency(1));
        let targets = [target(&emulator, "a", BODY), target(&emulator, "b", BODY)];
        let start = Instant::now();
        let done = plan.run(&targets, interrupted, |progress| {
            if progress.level.requests >= 2 {
                interrupt.send_replace(true);
            }
        });
        let done = done.await;
        assert!(start.elapsed() < Duration::from_secs(20));
        let [a, b] = &done[..] else { panic!() };
        assert_eq!((a.levels.len(), b.levels.len()), (1, 0));
        let level = &a.levels[0];
        assert!(level.requests >= 2 && level.requests == level.endings.complete, "{level:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duration_ends_a_level() {
    for load in [Load::Concurrency(2), Load::Rate(30.0)] {
        let emulator = Emulator::builder().start().await.unwrap();
        let mut plan = plan(load, 1);
        (plan.requests, plan.duration) = (None, Some(Duration::from_millis(700)));
        let level = level(&plan, target(&emulator, "e", BODY)).await;
        assert!(level.requests > 3 && level.requests == level.endings.complete, "{level:?}");
        assert!((0.2..5.0).contains(&level.duration_s), "{}", level.duration_s);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overhead_of_the_client_is_measured() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = PacedServer { tokens: 20, interval: Duration::from_millis(10) };
    let serving = tokio::spawn(server.serve(listener));
    let request = Request::new(Endpoint::new("self-test"), "{}");
    let overhead = measure_overhead(client(&url), request, 4, server).await.unwrap();
    assert_eq!((overhead.streams, overhead.tokens, overhead.tokens_per_second), (4, 80, 100.0));
    assert!(overhead.itl_p99_sent >= 9.0 && overhead.itl_p99_measured >= 5.0, "{overhead:?}");
    assert!(overhead.delay_p50 <= overhead.delay_p99 && overhead.delay_p50 < 100.0, "{overhead:?}");
    serving.abort();
}
