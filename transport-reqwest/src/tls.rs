//! rustls with *ring*: needs nothing but a C compiler to build, and leaves the process-wide provider alone.

use std::sync::Arc;

use rustls::client::{ClientConfig, WantsClientCert};
use rustls::{ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::error::{Error, Kind};

/// The settings of TLS. A client of an `http` endpoint never uses them, and must not fail for want of certificates.
pub(crate) fn config(https: bool) -> Result<ClientConfig, Error> {
    let unusable = |error| Error::with_source(Kind::Config("tls cannot be set up".into()), error);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?;
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> = if https {
        builder.with_platform_verifier().map_err(unusable)?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
