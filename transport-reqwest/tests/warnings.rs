//! Warnings about configurations that may be a mistake.

use sagewire_emulator::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use sagewire_transport_reqwest::{Client, Credentials, EnvCredentials, Origin, Warning};

fn client(url: &str, key: &str) -> Client {
    let keys = Credentials::new(key, SECRET_ACCESS_KEY, None, None, "test");
    let builder = Client::builder().region("us-east-1").credentials(keys).endpoint_url(url);
    builder.build().expect("complete")
}

#[tokio::test]
async fn real_credentials_over_plain_http_cause_a_warning() {
    for (url, key, warned) in [
        ("http://10.0.0.1:8080", "AKIAREAL", true),
        ("http://emulator:8080", "AKIAREAL", true),
        ("http://emulator:8080", ACCESS_KEY_ID, false),
        ("http://127.0.0.1:8080", "AKIAREAL", false),
        ("http://[::1]:8080", "AKIAREAL", false),
        ("http://localhost", "AKIAREAL", false),
        ("https://10.0.0.1", "AKIAREAL", false),
    ] {
        let found = match client(url, key).warnings().await.as_slice() {
            [] => false,
            [warning @ Warning::PlainHttp { host, .. }] => {
                let text =
                    format!("requests to {host} are not encrypted, and neither is what authorizes them");
                assert_eq!(warning.to_string(), text);
                true
            }
            more => panic!("{more:?}"),
        };
        assert_eq!(found, warned, "{url} {key}");
    }
}

#[tokio::test]
async fn settings_have_origins() {
    let client = client("http://127.0.0.1:1/", ACCESS_KEY_ID);
    let settings = client.settings();
    assert_eq!(settings.region.to_string(), "us-east-1 (set by the program)");
    assert_eq!(settings.endpoint_url.to_string(), "http://127.0.0.1:1 (set by the program)");
    assert_eq!(settings.credentials, Origin::Program);
    let source = client.credentials_source().await.expect("keys");
    assert_eq!((source.to_string().as_str(), source.expiry), ("set by the program", None));

    let client = Client::builder().region("eu-west-1").credentials(EnvCredentials::new());
    let Ok(client) = client.build() else { return println!("skipped: no certificates to trust") };
    assert_eq!(client.settings().endpoint_url.origin, Origin::Region);
}

/// The warning is logged once per client, not per request.
#[cfg(feature = "tracing")]
#[tokio::test]
async fn the_warning_is_logged_once() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::{Event, Level, Metadata, Subscriber, span};

    struct Warnings(Arc<AtomicUsize>);

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            if event.metadata().target().starts_with("sagewire") {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    let count = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(Warnings(Arc::clone(&count)));
    let exposed = client("http://a.invalid", "AKIAREAL");
    for _ in 0..3 {
        exposed.credentials_source().await.expect("keys");
    }
    client("http://127.0.0.1:1", "AKIAREAL").credentials_source().await.expect("keys");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}
