//! Retries, the same tests for all transports, and the correction of the clock.

mod common;
#[path = "../../transport/tests/shared/retry.rs"]
mod shared;

use std::time::{Duration, SystemTime};

use common::{CHAT, Setup, client, with_rules};
use sagewire_emulator::Emulator;
use sagewire_transport_reqwest::{Request, Retry};
use serde_json::json;

fn setup(emulator: &Emulator) -> Setup {
    let mut retry = Retry::default();
    retry.initial_delay = Duration::from_millis(5);
    Setup::new(emulator).bounds(|bounds| bounds.retry = retry)
}

/// The clock of the emulator is right; the `Date` that it sends is scripted.
#[tokio::test]
async fn the_clock_is_corrected_once() {
    let at = |offset: i64| {
        let by = Duration::from_secs(offset.unsigned_abs());
        let now = SystemTime::now();
        httpdate::fmt_http_date(if offset < 0 { now - by } else { now + by })
    };
    let refusal = |date: String, error_type: &str, times: u64| json!({"status": 403, "error_type": error_type, "headers": {"date": date}, "times": times});
    let signed_at = |emulator: &Emulator, request: usize| {
        let requests = emulator.requests();
        let date = requests[request].header("x-amz-date").expect("signed").to_owned();
        let [hour, minute] = [9..11, 11..13].map(|range| date[range].parse::<i64>().expect("digits"));
        hour * 60 + minute
    };

    // The emulator tolerates this skew, so it also accepts the corrected request.
    let emulator = with_rules(&json!([refusal(at(-280), "InvalidSignatureException", 1), {}])).await;
    let client_once = client(&setup(&emulator));
    client_once.invoke(Request::new("e", CHAT)).await.expect("a response");
    let moved = (signed_at(&emulator, 0) - signed_at(&emulator, 1)).rem_euclid(24 * 60);
    assert!([4, 5].contains(&moved), "{moved} minutes");
    // The correction is kept.
    client_once.invoke(Request::new("e", CHAT)).await.expect("a response");
    let moved = (signed_at(&emulator, 2) - signed_at(&emulator, 1)).rem_euclid(24 * 60);
    assert!([0, 1].contains(&moved) && emulator.requests().len() == 3, "{moved} minutes");

    for (date, error_type, count) in [
        (at(-280), "AccessDeniedException", 1),
        (at(10), "InvalidSignatureException", 1),
        ("soon".into(), "RequestExpired", 1),
    ] {
        let emulator = with_rules(&json!([refusal(date, error_type, 9)])).await;
        let error = client(&setup(&emulator)).invoke(Request::new("e", CHAT)).await.expect_err("refused");
        assert_eq!((error.status(), emulator.requests().len()), (Some(403), count), "{error_type}");
    }

    let emulator = with_rules(&json!([refusal(at(-280), "RequestExpired", 9)])).await;
    let error = client(&setup(&emulator)).invoke(Request::new("e", CHAT)).await.expect_err("refused");
    assert_eq!((error.status(), emulator.requests().len()), (Some(403), 2));
}
