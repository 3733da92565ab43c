//! TLS through rustls with *ring*, which needs only a C compiler to build. The process-wide provider is not changed.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::{ClientConfig, WantsClientCert};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use sagewire_transport::Error;

use crate::settings::Setting;

/// The variables with which OpenSSL, and the platforms that keep certificates in files, find them.
const FILE: &str = "SSL_CERT_FILE";
/// Where distributions of Linux and BSD keep the certificates.
const PLATFORM_FILES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The configuration of TLS, which trusts the certificates in a file, or those of the platform. A client of an `http` endpoint
/// never uses it, so it must not fail if there are no certificates.
pub(crate) fn config(https: bool, ca_bundle: Option<&Setting>) -> Result<ClientConfig, Error> {
    let unusable = |error| Error::config("tls cannot be set up").because(error);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?;
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> = if !https {
        builder.with_root_certificates(RootCertStore::empty())
    } else if let Some(bundle) = ca_bundle {
        builder.with_root_certificates(roots(&bundle.origin.to_string(), Path::new(&bundle.value))?)
    } else {
        match std::env::var_os(FILE) {
            Some(file) if is_blank(&file) => match platform_file() {
                Some(file) => builder.with_root_certificates(roots("platform", file)?),
                None => builder.with_platform_verifier().map_err(unusable)?,
            },
            Some(file) if cfg!(all(unix, not(target_vendor = "apple"))) => {
                builder.with_root_certificates(roots(&format!("environment: {FILE}"), Path::new(&file))?)
            }
            _ => builder.with_platform_verifier().map_err(unusable)?,
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates in a file. `origin` is where its path was found, for errors.
fn roots(origin: &str, path: &Path) -> Result<RootCertStore, Error> {
    let unusable = |reason: &dyn fmt::Display| {
        Error::config(format!("trusted certificates ({origin}): {}: {reason}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        // As the platforms do, certificates that rustls does not accept are skipped.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() { Err(unusable(&"there is no certificate in PEM form")) } else { Ok(roots) }
}

fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|value| value.trim().is_empty())
}

fn platform_file() -> Option<&'static Path> {
    PLATFORM_FILES.into_iter().map(Path::new).find(|path| path.exists())
}
