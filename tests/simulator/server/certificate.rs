//! TLS for a server that no client knows: an authority that is made at the start, and a certificate that it signs.
//!
//! Whoever is to trust the server is given the authority's certificate. Its key is forgotten at once, so nothing else will ever
//! be signed with it.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a server shows.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) config: Arc<ServerConfig>,
    /// The certificate of its authority, in PEM.
    pub(crate) authority: String,
}

impl Certified {
    /// A certificate for this machine by its names, and for the address that the server listens on.
    pub(crate) fn make(listen: SocketAddr) -> io::Result<Self> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let own = listen.ip().to_string();
        if !listen.ip().is_unspecified() && !names.contains(&own) {
            names.push(own);
        }
        let issuer = authority().map_err(failed)?;
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "touchline simulated push server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?.der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(failed)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(failed)?;
        Ok(Self { config: Arc::new(config), authority: issuer.pem() })
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "touchline simulated authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn failed(error: impl fmt::Display) -> io::Error {
    io::Error::other(format!("making a certificate: {error}"))
}
