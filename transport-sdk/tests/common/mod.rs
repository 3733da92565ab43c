//! Creates a client of the SDK for the emulator, and a client of this transport for the shared tests.
#![allow(dead_code, unused_imports, reason = "no test uses all of it")]

#[path = "../../../transport/tests/shared/setup.rs"]
mod setup;

use std::sync::{Arc, LazyLock};

use aws_sdk_sagemakerruntime::Config;
use aws_sdk_sagemakerruntime::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

pub(crate) use sagewire_transport_sdk::Client;
pub(crate) use setup::*;

pub(crate) fn config(url: impl Into<String>) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(keys(None))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(url)
}

pub(crate) fn keys(token: Option<&str>) -> Credentials {
    Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, token.map(Into::into), None, "test")
}

pub(crate) fn sdk(emulator: &Emulator) -> aws_sdk_sagemakerruntime::Client {
    aws_sdk_sagemakerruntime::Client::from_conf(config(emulator.url()).build())
}

pub(crate) fn client(setup: &Setup) -> Client {
    with_config(setup, config(&setup.url))
}

fn with_config(setup: &Setup, config: Builder) -> Client {
    let (token, id) = (setup.session_token.clone(), setup.key_id.clone());
    let keys = Credentials::new(id, setup.secret.clone(), token, None, "test");
    let sdk = aws_sdk_sagemakerruntime::Client::from_conf(config.credentials_provider(keys).build());
    Client::builder(sdk).bounds(setup.bounds).build()
}

/// The origin of HTTP/2 servers, without the port. The client of the SDK uses HTTP/2 only over TLS.
pub(crate) const HTTP2_ORIGIN: &str = "https://localhost";
/// The client of the SDK sends no pings.
pub(crate) const HAS_PINGS: bool = false;

/// The SDK opens a new connection if the server temporarily refuses streams.
pub(crate) const KEEPS_REFUSING_CONNECTIONS: bool = false;

/// The server side of a connection, after the TLS handshake with HTTP/2.
pub(crate) async fn secured(socket: TcpStream) -> Option<TlsStream<TcpStream>> {
    static ACCEPTOR: LazyLock<TlsAcceptor> = LazyLock::new(acceptor);
    ACCEPTOR.accept(socket).await.ok()
}

fn acceptor() -> TlsAcceptor {
    let pem = |name: &str| format!("{}/../cli/testdata/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let certificate = CertificateDer::from_pem_file(pem("localhost.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(pem("localhost.key.pem")).expect("a key");
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a pair");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// A client that uses HTTP/2 if the server offers it, and trusts the certificate of the tests.
pub(crate) fn http2_client(setup: &Setup) -> Client {
    let ca = include_bytes!("../../../cli/testdata/tls/ca.pem");
    let trust = TrustStore::empty().with_pem_certificate(&ca[..]);
    let context = TlsContext::builder().with_trust_store(trust).build().expect("a context");
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https();
    with_config(setup, config(&setup.url).http_client(http))
}

/// Whether a header has to be signed. The SDK adds some that are not.
pub(crate) fn is_signed(name: &str) -> bool {
    name.starts_with("x-amzn-") || ["host", "content-type", "x-amz-date"].contains(&name)
}
