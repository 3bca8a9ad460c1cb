//! An HTTPS server whose authority nobody knows: every request gets the same answer. Ends with its value.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long a client may say nothing.
const SILENT: Duration = Duration::from_secs(10);
/// A request's bytes at most.
const REQUEST: usize = 8 * 1024;

/// A running server.
#[derive(Debug)]
pub struct Https {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate of its authority, in PEM.
    pub authority: String,
    answered: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Https {
    /// Answers with this JSON.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(json: &str) -> Https {
        let (config, authority) = certified();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("the port's address");
        let (answered, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, over, json) = (Arc::clone(&answered), Arc::clone(&is_over), Arc::<str>::from(json));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let (config, count, json) = (Arc::clone(&config), Arc::clone(&count), Arc::clone(&json));
                // A client that does not trust it breaks off, which is its right.
                std::thread::spawn(move || drop(answer(socket, config, &json, &count)));
            }
        });
        Https { address, authority, answered, is_over }
    }

    /// Requests that came through.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // It waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    json: &str,
    answered: &AtomicU64,
) -> std::io::Result<()> {
    socket.set_read_timeout(Some(SILENT))?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, socket);
    let (mut request, mut room) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") && request.len() < REQUEST {
        let count = stream.read(&mut room)?;
        request.extend_from_slice(room.get(..count).filter(|came| !came.is_empty()).unwrap_or(b"\r\n\r\n"));
    }
    answered.fetch_add(1, Ordering::AcqRel);
    let length = json.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{json}"
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn certified() -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters of an authority");
    // With the name of what it signs it would pass for signed by itself.
    params.distinguished_name.push(DnType::CommonName, "an authority that nobody knows");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters of a certificate");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate").der().clone();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
        .expect("a certificate with its key");
    (Arc::new(config), issuer.pem())
}
