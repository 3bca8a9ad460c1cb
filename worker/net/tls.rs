//! TLS: whom to trust, and the message for a certificate that cannot be trusted.
//!
//! The system's roots are read once per process, and only where a feed has TLS; a feed's own `ca_file` counts beside them.
//! `insecure` accepts any certificate: for test servers, and logged at each start.

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use std::fmt;
use std::sync::Arc;

/// TLS sessions kept to go on with, so that coming back costs less.
const SESSIONS: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The system's authorities, and those in a file, if one is named.
    Authorities {
        /// The file, in PEM; empty: none.
        ca_file: String,
    },
    Any,
}

#[derive(Clone, Debug)]
pub struct TlsPlan {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsPlan {
    /// What connections to `host` are made with.
    ///
    /// # Errors
    /// Why TLS cannot be set up, and what to do.
    pub fn new(host: &str, trust: &Trust) -> Result<TlsPlan, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("url: no certificate can be for the host '{host}'"))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let mut config = match trust {
            Trust::Authorities { ca_file } => {
                builder.with_root_certificates(roots(ca_file)?).with_no_client_auth()
            }
            Trust::Any => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAny { provider }))
                .with_no_client_auth(),
        };
        // One server: the library would make room for hundreds.
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(TlsPlan { config: Arc::new(config), name })
    }

    /// A connection that has yet to shake hands.
    pub(super) fn connect(&self) -> Result<ClientConnection, Error> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enums grow, and have words of their own"
    )]
    pub(super) fn explain(&self, error: &Error) -> String {
        let host = self.name.to_str();
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                format!(
                    "the certificate of {host} is not signed by an authority that this system trusts; if it is right, name its authority's certificate in `ca_file`"
                )
            }
            Error::InvalidCertificate(
                why @ (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }),
            ) => format!("the server's certificate is not for {host}: {why}; check the host in `url`"),
            Error::InvalidCertificate(
                why @ (CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }),
            ) => format!(
                "the certificate of {host} cannot be used now: {why}; check this machine's clock, or contact the server's operator"
            ),
            Error::InvalidCertificate(why) => format!("the certificate of {host} cannot be used: {why}"),
            Error::InvalidMessage(_) => format!(
                "{host} does not answer in TLS; check the port in `url`, or take the scheme without TLS (dpt or ws)"
            ),
            Error::AlertReceived(alert) => format!("{host} refuses the TLS connection: {alert:?}"),
            other => format!("TLS with {host}: {other}"),
        }
    }
}

fn roots(ca_file: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(system.certs);
    if !ca_file.is_empty() {
        add_file(&mut store, ca_file)?;
    }
    if store.is_empty() {
        let why = system.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(format!(
            "the system has no certificates of authorities ({why}); install ca-certificates, or name a file in `ca_file`"
        ));
    }
    Ok(store)
}

fn add_file(store: &mut RootCertStore, path: &str) -> Result<(), String> {
    let wrong = |why: &dyn fmt::Display| {
        format!("ca_file {path}: {why}; expected certificates of authorities in PEM")
    };
    let mut found = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        store.add(certificate).map_err(|error| wrong(&error))?;
        found += 1;
    }
    if found == 0 { Err(wrong(&"there is no certificate in it")) } else { Ok(()) }
}

/// Takes any certificate; signatures are still checked, so that what is read is from whoever answered.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
