//! Credentials that the service refuses although they have not expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use sagewire_transport_reqwest::{Client, Credentials, Request, Retry, Route};

const CHAT: &str = r#"{"messages": [{"role": "user", "content": "hi"}], "stream": true}"#;
const FRESH: &str = "fresh";

/// Returns one session token after the other, and then always the last one; an empty name is an error.
#[derive(Clone, Debug)]
struct Rotating {
    tokens: &'static [&'static str],
    calls: Arc<AtomicUsize>,
}

impl Rotating {
    fn new(tokens: &'static [&'static str]) -> Self {
        Self { tokens, calls: Arc::default() }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let at = self.calls.fetch_add(1, Ordering::Relaxed).min(self.tokens.len() - 1);
        future::ProvideCredentials::ready(match self.tokens[at] {
            "" => Err(CredentialsError::not_loaded("gone")),
            token => Ok(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, Some(token.into()), None, "test")),
        })
    }
}

async fn emulator() -> Emulator {
    Emulator::builder().session_token(FRESH).start().await.expect("a port")
}

fn client(emulator: &Emulator, provider: impl ProvideCredentials + 'static) -> Client {
    let builder = Client::builder().region("us-east-1").endpoint_url(emulator.url()).retry(Retry::never());
    builder.credentials(provider).build().expect("complete")
}

#[tokio::test]
async fn expired_credentials_are_refreshed_once() {
    for route in [Route::Invocations, Route::OpenAi] {
        let (emulator, provider) = (emulator().await, Rotating::new(&["expired", FRESH]));
        let client = client(&emulator, provider.clone()).route(route);
        for _ in 0..2 {
            let mut stream = client.invoke_stream(Request::new("e", CHAT)).await.expect("a response");
            while stream.chunk().await.expect("a chunk").is_some() {}
            client.invoke(Request::new("e", CHAT)).await.expect("a response");
        }
        assert_eq!((provider.calls(), emulator.requests().len()), (2, 5), "{route:?}");
    }
}

#[tokio::test]
async fn one_request_refreshes_for_all() {
    let (emulator, provider) = (emulator().await, Rotating::new(&["expired", FRESH]));
    let client = client(&emulator, provider.clone());
    let all = (0..20).map(|_| client.invoke(Request::new("e", CHAT)));
    for reply in futures_util::future::join_all(all).await {
        reply.expect("a response");
    }
    assert_eq!(provider.calls(), 2);
}

#[tokio::test]
async fn refreshed_credentials_may_be_refused() {
    let (emulator, provider) = (emulator().await, Rotating::new(&["expired", "expired as well", FRESH]));
    let error =
        client(&emulator, provider.clone()).invoke(Request::new("e", CHAT)).await.expect_err("refused");
    assert_eq!((error.status(), provider.calls(), emulator.requests().len()), (Some(403), 2, 2));
}

#[tokio::test]
async fn unchanged_credentials_fail_at_once() {
    let static_keys =
        Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, Some("expired".into()), None, "test");
    let emulator_of_static = emulator().await;
    let error = client(&emulator_of_static, static_keys).invoke(Request::new("e", CHAT)).await;
    assert_eq!(error.expect_err("refused").status(), Some(403));
    assert_eq!(emulator_of_static.requests().len(), 1);

    // The provider fails: the error is that of the service, not that of the provider.
    let (emulator, provider) = (emulator().await, Rotating::new(&["expired", ""]));
    let error = client(&emulator, provider).invoke(Request::new("e", CHAT)).await.expect_err("refused");
    assert_eq!((error.status(), emulator.requests().len()), (Some(403), 1));
}
