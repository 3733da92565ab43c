//! Calls of the emulator, the same tests for all transports, and TLS.

mod common;
#[path = "../../transport/tests/shared/emulator.rs"]
mod shared;

#[cfg(feature = "rustls")]
use common::{Setup, builder};
#[cfg(feature = "rustls")]
use sagewire_emulator::Emulator;
#[cfg(feature = "rustls")]
use sagewire_transport_reqwest::Request;

/// The emulator does not support TLS, so the handshake fails; this shows that it was attempted.
#[cfg(feature = "rustls")]
#[tokio::test]
async fn https_is_used() {
    let emulator = Emulator::builder().start().await.unwrap();
    let client = builder(&Setup::new(&emulator)).endpoint_url(format!("https://{}", emulator.addr()));
    let client = match client.build() {
        Err(error) if error.is_config() => return println!("skipped: {error}"),
        client => client.unwrap(),
    };
    let error = client.invoke(Request::new("e", "")).await.unwrap_err();
    assert!(error.is_connect() && emulator.requests().is_empty(), "{error}");
    let (mut sources, mut error): (String, &dyn std::error::Error) = (String::new(), &error);
    while let Some(source) = error.source() {
        (sources, error) = (format!("{sources}: {source}"), source);
    }
    assert!(sources.contains("InvalidContentType"), "{sources}");
}
