//! No secret appears in `Debug`, in an error or its sources, or in the log of any dependency.

use std::error::Error as _;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sagewire_emulator::{ACCESS_KEY_ID, Emulator};
use sagewire_transport_reqwest::{
    Builder, Client, Credentials, Endpoint, EnvCredentials, Error, Request, Retry, Route, http_client,
};
use tracing_subscriber::fmt::MakeWriter;

mod server;
use server::{Reply, Server};

const SECRET: &str = "wholly-made-up-secret-key";
const SESSION: &str = "wholly-made-up-session-token";
const IDENTITY: &str = "wholly-made-up-identity-token";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn builder(url: String) -> Builder {
    let expiry = SystemTime::now() + Duration::from_secs(3600);
    let keys = Credentials::new(ACCESS_KEY_ID, SECRET, Some(SESSION.into()), Some(expiry), "test");
    Client::builder().region("us-east-1").credentials(keys).endpoint_url(url).retry(Retry::never())
}

/// All texts of an error and its sources.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text} {error} {error:?}");
        source = error.source();
    }
    text
}

/// Calls an endpoint with this client, and collects all texts.
async fn ask(builder: Builder, texts: &mut String) {
    texts.push_str(&format!("{builder:?} "));
    let client = builder.build().expect("complete");
    for client in [client.route(Route::Invocations), client.route(Route::OpenAi)] {
        let endpoint = Endpoint::gateway("abc1").customer_identity_token(IDENTITY);
        let request = Request::new(endpoint, r#"{"model":"m"}"#);
        texts.push_str(&format!("{request:?}"));
        match client.invoke(request).await {
            Ok(reply) => texts.push_str(&format!("{reply:?}")),
            Err(error) => texts.push_str(&shown(&error)),
        }
        let request = Request::new("my-llm", "{}");
        texts.push_str(&format!("{request:?} {:?} {:?}", client, client.settings()));
        match client.invoke(request.clone()).await {
            Ok(reply) => texts.push_str(&format!("{reply:?}")),
            Err(error) => texts.push_str(&shown(&error)),
        }
        match client.invoke_stream(request).await {
            Ok(stream) => texts.push_str(&format!("{stream:?}")),
            Err(error) => texts.push_str(&shown(&error)),
        }
        // The token is cached now.
        texts.push_str(&format!("{client:?} {:?}", client.credentials_source().await));
        texts.push_str(&format!("{:?} ", client.warnings().await));
    }
}

#[tokio::test]
async fn nothing_shows_secrets() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    subscriber.with_writer(log.clone()).init();

    let mut texts = format!("{:?}", EnvCredentials::new());
    let emulator = Emulator::builder().start().await.expect("a port");
    ask(builder(emulator.url()), &mut texts).await;
    ask(builder(format!("{}/a%20b", emulator.url())), &mut texts).await;
    emulator.stop().await;
    ask(builder("http://127.0.0.1:1".into()), &mut texts).await;
    ask(builder("https://127.0.0.1:1".into()), &mut texts).await;

    let headers = [("content-type", "application/json")];
    let replies = (0..5).map(|_| Reply::new(200, &headers, "{}"));
    let refusals = (0..2).map(|_| Reply::new(403, &headers, "{}"));
    let server = Server::start(refusals.chain(replies).collect()).await;
    let http = http_client(false).expect("no TLS").http2_prior_knowledge().build().expect("a client");
    ask(builder(format!("http://{}", server.addr)).http_client(http), &mut texts).await;

    let sent = server.requests();

    let bad =
        Credentials::new(format!("{ACCESS_KEY_ID}\n"), SECRET, Some(format!("{SESSION}\n")), None, "test");
    ask(builder("http://127.0.0.1:1".into()).credentials(bad), &mut texts).await;

    let echo = format!(r#"{{"message":"refused: x-amz-security-token:{SESSION}"}}"#);
    let server = Server::start((0..9).map(|_| Reply::new(403, &headers, echo.clone())).collect()).await;
    let http = http_client(false).expect("no TLS").http2_prior_knowledge().build().expect("a client");
    ask(builder(format!("http://{}", server.addr)).http_client(http), &mut texts).await;
    assert!(texts.contains("x-amz-security-token:REDACTED"));

    // The requests had the secrets, so they could have been shown.
    let header = |request: &http::Request<bytes::Bytes>| {
        let value = request.headers()["authorization"].to_str().expect("text").to_owned();
        value.rsplit(['=', ' ']).next().expect("the last of it").to_owned()
    };
    assert!(sent.iter().any(|request| request.headers().contains_key("x-amz-security-token")));
    let mut secrets: Vec<String> = sent.iter().map(header).collect();
    assert!(secrets.len() >= 4);
    let token = sent.iter().find_map(|request| {
        request.headers()["authorization"].to_str().ok()?.strip_prefix("Bearer ").map(String::from)
    });
    assert!(
        sent.iter().any(|request| request.headers().contains_key("x-amzn-sagemaker-customer-identity-token"))
    );
    secrets.extend([SECRET.into(), SESSION.into(), IDENTITY.into(), token.expect("the OpenAI route")]);

    let log = String::from_utf8_lossy(&log.0.lock().expect("not poisoned")).into_owned();
    assert!(log.contains("h2") && log.contains("hyper"), "the crates below log, too");
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        for (what, text) in [("shown", &texts), ("log", &log)] {
            let at = text.find(secret.as_str());
            let around = at.map(|at| text[at.saturating_sub(300)..].chars().take(400).collect::<String>());
            assert!(around.is_none(), "{what}: {}", around.unwrap_or_default());
        }
    }
}
