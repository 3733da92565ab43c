//! A private certificate authority, as companies have them.
#![allow(dead_code, reason = "no test uses all of it")]

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        // Otherwise it has the name of the certificates that it signs.
        params.distinguished_name.push(DnType::CommonName, "A private authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its certificate in PEM form, as in a file of trusted certificates.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// The TLS of a server with a certificate for these names.
    pub(crate) fn server(&self, names: &[&str]) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(names);
        params.use_authority_key_identifier_extension = true;
        config(&params.signed_by(&key, &self.0).expect("a certificate"), &key)
    }

    /// The TLS of a server with a certificate that is its own authority, and the certificate in PEM form.
    pub(crate) fn self_signed(name: &str) -> (ServerConfig, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(&[name]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        (config(&certificate, &key), certificate.pem())
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("names");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params
}

fn config(certificate: &Certificate, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth();
    config.with_single_cert(vec![certificate.der().clone()], key).expect("a key of the certificate")
}
