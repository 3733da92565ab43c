//! TLS through rustls with *ring*, which needs only a C compiler to build. The process-wide provider is not changed.

use std::sync::Arc;

use rustls::client::{ClientConfig, WantsClientCert};
use rustls::{ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use sagewire_transport::Error;

/// The configuration of TLS. A client of an `http` endpoint never uses it, so it must not fail if there are no certificates.
pub(crate) fn config(https: bool) -> Result<ClientConfig, Error> {
    let unusable = |error| Error::config("tls cannot be set up").because(error);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?;
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> = if https {
        builder.with_platform_verifier().map_err(unusable)?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
