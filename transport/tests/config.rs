//! Configuration files: what can be read and written with the feature `serde`.
#![cfg(feature = "serde")]

use std::time::Duration;

use sagewire_codec::Api;
use sagewire_transport::{Bounds, Endpoint, Retry, Runtime, Timeouts};
use serde::{Deserialize, Serialize};

/// A configuration of an application.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    endpoint: Endpoint,
    api: Api,
    #[serde(default)]
    bounds: Bounds,
}

#[test]
fn a_configuration_is_read_and_written() {
    let text = r#"{
        "endpoint": {"name": "my-llm", "region": "eu-west-1", "custom_attributes": "tenant=a"},
        "api": "tgi",
        "bounds": {"timeouts": {"connect": 2, "idle": 0.25, "total": 90}, "retry": {"attempts": 5}}
    }"#;
    let config: Config = serde_json::from_str(text).unwrap();
    let endpoint = Endpoint::new("my-llm").region("eu-west-1").custom_attributes([("tenant", "a")]);
    assert_eq!((&config.endpoint, config.api), (&endpoint, Api::Tgi));
    let timeouts = config.bounds.timeouts;
    assert_eq!((timeouts.connect, timeouts.idle), (Duration::from_secs(2), Duration::from_millis(250)));
    assert_eq!(
        (timeouts.first_byte, timeouts.total),
        (Timeouts::default().first_byte, Some(Duration::from_secs(90)))
    );
    assert_eq!(config.bounds.retry, Retry::default().attempts(5));
    let again: Config = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
}

#[test]
fn other_services_are_read_and_written_without_secrets() {
    let gateway = Endpoint::gateway("abc1").customer_identity_token("secret.token");
    let text = serde_json::to_string(&gateway).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let again: Endpoint = serde_json::from_str(&text).unwrap();
    assert_eq!(again.customer_identity_token("secret.token"), gateway);

    let text = r#"{"name": "j1", "route": "/v1/messages", "runtime": {
        "host": "job-runtime.sagemaker", "path": "/sample", "headers": {"x-amzn-sagemaker-job-arn": "arn"}
    }}"#;
    let runtime =
        Runtime::new("job-runtime.sagemaker").path("/sample").header("x-amzn-sagemaker-job-arn", "arn");
    let endpoint = Endpoint::new("j1").route("/v1/messages").runtime(runtime);
    assert_eq!(serde_json::from_str::<Endpoint>(text).unwrap(), endpoint);
    assert_eq!(
        serde_json::from_str::<Endpoint>(&serde_json::to_string(&endpoint).unwrap()).unwrap(),
        endpoint
    );
    for runtime in [r#"{}"#, r#"{"host":"h","paht":"/"}"#, r#"{"host":"h","rules":"other"}"#] {
        assert!(serde_json::from_str::<Runtime>(runtime).is_err(), "{runtime}");
    }
}

#[test]
fn fields_that_are_not_set_are_not_written() {
    assert_eq!(serde_json::to_string(&Endpoint::new("e")).unwrap(), r#"{"name":"e"}"#);
    let timeouts = serde_json::to_string(&Timeouts::default()).unwrap();
    assert_eq!(timeouts, r#"{"connect":5.0,"first_byte":70.0,"idle":60.0}"#);
    let bounds: Bounds = serde_json::from_str("{}").unwrap();
    assert_eq!(bounds, Bounds::default());
}

#[test]
fn mistakes_are_errors() {
    for endpoint in [r#"{"region":"r"}"#, r#"{"name":"e","regoin":"r"}"#, r#""e""#] {
        assert!(serde_json::from_str::<Endpoint>(endpoint).is_err(), "{endpoint}");
    }
    for timeouts in
        [r#"{"idle":-1}"#, r#"{"idle":1e300}"#, r#"{"idle":"1s"}"#, r#"{"idel":1}"#, r#"{"total":-1}"#]
    {
        assert!(serde_json::from_str::<Timeouts>(timeouts).is_err(), "{timeouts}");
    }
    assert!(serde_json::from_str::<Retry>(r#"{"attempts":-1}"#).is_err());
}
