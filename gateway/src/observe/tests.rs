use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};

use super::access_log::AccessLog;
use super::timestamp::Timestamp;
use super::{EndpointState, Observers, StateSource, TraceParent};
use crate::config::{self, Config, Model};
use crate::door::Door;
use crate::record::{Ending, ErrorClass, Record, Tokens};

fn record() -> Record {
    Record {
        id: "req-1".into(),
        door: Door::OpenAi,
        route: "/v1/chat/completions",
        key: Some("team-a".into()),
        model: Some("llama".into()),
        endpoint: Some("my-llm".into()),
        status: 200,
        streamed: true,
        ending: Ending::Complete,
        error: None,
        message: None,
        attempts: 2,
        client_attempt: None,
        tokens: Tokens { input: 10, output: 21, estimated: false },
        first_event: Some(Duration::from_millis(100)),
        total: Duration::from_millis(2100),
        own: Duration::from_micros(80),
        losses: vec!["/logit_bias".to_owned()],
        upstream_id: Some("up-1".to_owned()),
        trace: TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        cached: false,
    }
}

fn config() -> Config {
    let mut model = Model::endpoint("my-llm");
    "llama".clone_into(&mut model.name);
    Config { models: vec![model], access_log: config::AccessLog::Off, ..Config::default() }
}

fn text(observers: &Observers) -> String {
    let mut text = String::new();
    observers.metrics().write(&mut text);
    text
}

/// The value of a series by its name and the labels it has to have.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut lines = text.lines().filter(|line| {
        line.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| line.contains(label))
    });
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "{name} {labels:?} is not one series");
    line.rsplit(' ').next().and_then(|value| value.parse().ok())
}

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sagewire-gateway-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn request_is_counted_in_every_metric() {
    let observers = Observers::new(&config()).unwrap();
    let in_flight = observers.started();
    assert_eq!(value(&text(&observers), "sagewire_requests_in_flight", &[]), Some(1.0));
    observers.finished(&record());
    drop(in_flight);
    let text = text(&observers);
    let gen_ai = [
        r#"gen_ai_operation_name="chat""#,
        r#"gen_ai_provider_name="aws.sagemaker""#,
        r#"gen_ai_request_model="llama""#,
    ];
    let with = |label: &'static str| [&gen_ai[..], &[label]].concat();
    assert_eq!(value(&text, "sagewire_requests_in_flight", &[]), Some(0.0));
    assert_eq!(value(&text, "sagewire_config_ok", &[]), Some(1.0));
    assert_eq!(
        value(&text, "sagewire_requests_total", &[r#"status="200""#, r#"ending="complete""#, r#"error="""#]),
        Some(1.0)
    );
    assert_eq!(value(&text, "gen_ai_server_request_duration_seconds_sum", &gen_ai), Some(2.1));
    assert_eq!(
        value(&text, "gen_ai_server_request_duration_seconds_bucket", &with(r#"le="2.56""#)),
        Some(1.0)
    );
    assert_eq!(value(&text, "gen_ai_server_time_to_first_token_seconds_sum", &gen_ai), Some(0.1));
    assert_eq!(value(&text, "gen_ai_server_time_per_output_token_seconds_sum", &gen_ai), Some(0.1));
    for (token_type, count) in [("input", 10.0), ("output", 21.0)] {
        let label = format!(r#"token_type="{token_type}""#);
        assert_eq!(value(&text, "gen_ai_client_token_usage_sum", &[&label]), Some(count));
        assert_eq!(value(&text, "sagewire_tokens_total", &[r#"key="team-a""#, &label]), Some(count));
    }
    assert_eq!(
        value(&text, "sagewire_gateway_overhead_seconds_bucket", &[r#"le="0.0001""#]),
        Some(1.0),
        "80 microseconds"
    );
    assert_eq!(value(&text, "sagewire_retries_total", &[r#"model="llama""#]), Some(1.0));
    assert_eq!(value(&text, "sagewire_losses_total", &[r#"door="openai""#]), Some(1.0));
    assert_eq!(value(&text, "sagewire_cache_hits_total", &[]), Some(0.0));
}

#[test]
fn estimated_tokens_are_not_reported_as_the_containers() {
    let observers = Observers::new(&config()).unwrap();
    let tokens = Tokens { input: 3, output: 4, estimated: true };
    observers.finished(&Record { tokens, ..record() });
    let text = text(&observers);
    assert_eq!(value(&text, "gen_ai_client_token_usage_count", &[r#"type="output""#]), Some(0.0));
    assert_eq!(
        value(&text, "sagewire_tokens_total", &[r#"estimated="true""#, r#"type="output""#]),
        Some(4.0)
    );
}

#[test]
fn fault_45_series_do_not_depend_on_what_clients_send() {
    let observers = Observers::new(&config()).unwrap();
    let count = |observers: &Observers| text(observers).lines().count();
    let mut before = 0;
    for number in 0..10_000_u32 {
        observers.finished(&Record {
            id: format!("req-{number}").into(),
            status: 400 + (number % 99) as u16,
            error: Some(ErrorClass::UpstreamRefused),
            message: Some(format!("model m{number} is unknown")),
            losses: vec![format!("/x{number}")],
            upstream_id: Some(number.to_string()),
            ..record()
        });
        if number == 100 {
            before = count(&observers);
        }
    }
    assert_eq!(count(&observers), before);
}

#[test]
fn state_of_the_gateway_is_read_with_the_metrics() {
    struct Source;
    impl StateSource for Source {
        fn endpoints(&self) -> Vec<EndpointState> {
            let endpoint = |name: &str, cooldown| EndpointState {
                model: "llama".into(),
                endpoint: name.into(),
                cooldown,
            };
            vec![endpoint("a", Some(Duration::from_secs(7))), endpoint("b", None)]
        }
        fn limits_degraded(&self) -> bool {
            true
        }
        fn shared_failures(&self) -> u64 {
            3
        }
    }
    let observers = Observers::new(&config()).unwrap();
    let source = Arc::new(Source);
    let weak = Arc::downgrade(&source);
    observers.metrics().set_source(weak);
    let text = text(&observers);
    assert_eq!(value(&text, "sagewire_endpoint_cooldown_seconds", &[r#"endpoint="a""#]), Some(7.0));
    assert_eq!(value(&text, "sagewire_endpoint_cooldown_seconds", &[r#"endpoint="b""#]), Some(0.0));
    assert_eq!(value(&text, "sagewire_limits_degraded", &[]), Some(1.0));
}

#[test]
fn line_of_the_access_log() {
    let path = file("line");
    let log = AccessLog::new(&config::AccessLog::File(path.clone()), Counter::default()).unwrap();
    log.write(&record());
    let many = (0..100).map(|number| format!("/{number}")).collect();
    log.write(&Record {
        message: Some("\u{e9}\n".repeat(5000)),
        losses: many,
        first_event: None,
        key: None,
        error: Some(ErrorClass::UpstreamFailed),
        ..record()
    });
    log.flush();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [mut first, second] = lines.try_into().unwrap();
    assert!(first.as_object_mut().unwrap().remove("time").is_some());
    assert_eq!(
        first,
        json!({
            "id": "req-1", "key": "team-a", "door": "openai", "route": "/v1/chat/completions", "model": "llama",
            "endpoint": "my-llm", "status": 200, "ending": "complete", "streamed": true, "cached": false,
            "attempts": 2, "input_tokens": 10, "output_tokens": 21, "tokens_estimated": false,
            "first_event_ms": 100.0, "total_ms": 2100.0, "own_ms": 0.08, "loss_count": 1,
            "losses": ["/logit_bias"], "upstream_id": "up-1",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        })
    );
    assert!(second["message"].as_str().unwrap().len() <= 1024);
    assert_eq!(second["losses"].as_array().unwrap().len(), 32);
    assert_eq!(second["loss_count"], 100);
    assert_eq!(second["error"], "upstream_failed");
    assert_eq!(second.get("key"), None);
    fs::remove_file(path).unwrap();
}

#[test]
fn file_of_the_access_log_is_opened_again() {
    let (path, moved) = (file("reopen"), file("moved"));
    let log = AccessLog::new(&config::AccessLog::File(path.clone()), Counter::default()).unwrap();
    log.write(&record());
    log.flush();
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    log.write(&record());
    log.flush();
    for path in [path, moved] {
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1, "{}", path.display());
        fs::remove_file(path).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn lines_that_cannot_be_written_are_counted() {
    let dropped = Counter::default();
    let log = AccessLog::new(&config::AccessLog::File("/dev/full".into()), dropped.clone()).unwrap();
    log.write(&record());
    log.write(&record());
    log.flush();
    assert_eq!(dropped.get(), 2);
}

#[test]
fn times_are_written_as_rfc_3339() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (1_735_689_599, "2024-12-31T23:59:59.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(Timestamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string(), expected);
    }
    let time = UNIX_EPOCH + Duration::from_millis(1_764_600_543_007);
    assert_eq!(Timestamp(time).to_string(), "2025-12-01T14:49:03.007Z");
}

#[test]
fn headers_of_traces() {
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let parse = |value: &str| TraceParent::parse(value.as_bytes());
    let parent = parse(&format!("00-{trace}-{span}-01")).unwrap();
    assert_eq!(
        (hex::encode(parent.trace_id), hex::encode(parent.span_id)),
        (trace.to_owned(), span.to_owned())
    );
    assert!(parent.sampled);
    assert!(!parse(&format!("00-{trace}-{span}-00")).unwrap().sampled);
    assert_eq!(parse(&format!("01-{trace}-{span}-01-more")), Some(parent), "a later version");
    for (value, why) in [
        (String::new(), "empty"),
        (format!("00-{trace}-{span}"), "too short"),
        (format!("00-{trace}-{span}-01-more"), "too long for its version"),
        (format!("01-{trace}-{span}-01x"), "no separator"),
        (format!("ff-{trace}-{span}-01"), "a forbidden version"),
        (format!("00-{}-{span}-01", trace.to_uppercase()), "upper case"),
        (format!("00-{}-{span}-01", "0".repeat(32)), "no trace"),
        (format!("00-{trace}-{}-01", "0".repeat(16)), "no span"),
        (format!("00-{trace}-{}-01", "x".repeat(16)), "no digits"),
        (format!("00_{trace}-{span}-01"), "no dash"),
    ] {
        assert_eq!(parse(&value), None, "{why}");
    }
}
