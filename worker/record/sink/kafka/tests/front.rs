//! What stands before librdkafka's own cluster, which knows neither TLS nor logins: it ends TLS, takes the login (SASL PLAIN), and
//! names itself in place of the broker in what the cluster answers, so that clients come through it for every request.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(2);

/// As a broker says it.
const WRONG: &str = "Authentication failed: Invalid username or password";
/// Requests of the protocol, by their keys.
const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
/// As a broker reports a login that is wrong.
const SASL_AUTHENTICATION_FAILED: i16 = 58;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Where clients connect, and how many have logged in.
pub(super) struct Front {
    pub(super) address: String,
    pub(super) logins: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Plan {
    tls: Option<Arc<ServerConfig>>,
    /// Name and password as PLAIN has them; `None`: whoever comes is let in.
    login: Option<&'static [u8]>,
    cluster: String,
    /// A broker's port and ours.
    ports: (u16, u16),
    logins: Arc<AtomicUsize>,
}

/// Before the one broker of a cluster.
pub(super) fn front(cluster: &str, tls: Option<Arc<ServerConfig>>, login: Option<&'static [u8]>) -> Front {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = listener.local_addr().unwrap().port();
    let theirs = cluster.rsplit_once(':').unwrap().1.parse().unwrap();
    let logins = Arc::new(AtomicUsize::new(0));
    let front = Front { address: format!("127.0.0.1:{ours}"), logins: Arc::clone(&logins) };
    let plan = Plan { tls, login, cluster: cluster.to_owned(), ports: (theirs, ours), logins };
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, plan) = (stream.unwrap(), plan.clone());
            // A client that goes away, or does not like the certificate, ends it.
            thread::spawn(move || drop(serve(stream, &plan)));
        }
    });
    front
}

fn serve(stream: TcpStream, plan: &Plan) -> io::Result<()> {
    stream.set_read_timeout(Some(LOOK))?;
    let mut client: Box<dyn Stream> = match &plan.tls {
        None => Box::new(stream),
        Some(config) => {
            Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream))
        }
    };
    let mut broker = TcpStream::connect(&plan.cluster)?;
    broker.set_read_timeout(Some(LOOK))?;
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    // The number of the request whose answer lists what the broker can do.
    let mut listing = None;
    let mut is_in = plan.login.is_none();
    loop {
        take(&mut *client, &mut asked)?;
        while let Some(frame) = next_frame(&mut asked) {
            let (key, number) = (i16::from_be_bytes(cut(&frame, 0)), i32::from_be_bytes(cut(&frame, 4)));
            match key {
                SASL_HANDSHAKE => client.write_all(&framed(&handshake(number)))?,
                SASL_AUTHENTICATE => {
                    is_in = plan.login.is_some_and(|login| frame.ends_with(login));
                    plan.logins.fetch_add(usize::from(is_in), Ordering::SeqCst);
                    client.write_all(&framed(&authenticated(number, is_in)))?;
                }
                API_VERSIONS => {
                    listing = Some(number);
                    broker.write_all(&framed(&frame))?;
                }
                _ if is_in => broker.write_all(&framed(&frame))?,
                _ => return Ok(()),
            }
        }
        take(&mut broker, &mut answered)?;
        while let Some(mut frame) = next_frame(&mut answered) {
            if plan.login.is_some()
                && listing.take_if(|of| *of == i32::from_be_bytes(cut(&frame, 0))).is_some()
            {
                add_logins(&mut frame);
            }
            let frame = renamed(&frame, plan.ports);
            client.write_all(&framed(&frame))?;
        }
    }
}

/// What came, as far as it did.
fn take(stream: &mut dyn Stream, into: &mut Vec<u8>) -> io::Result<()> {
    let mut room = [0; 16 * 1024];
    match stream.read(&mut room) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => {
            into.extend_from_slice(&room[..count]);
            Ok(())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error),
    }
}

fn next_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = i32::from_be_bytes(bytes.get(..4)?.try_into().unwrap()) as usize;
    let frame = bytes.get(4..4 + length)?.to_vec();
    bytes.drain(..4 + length);
    Some(frame)
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as i32).to_be_bytes()[..], frame].concat()
}

fn cut<const N: usize>(frame: &[u8], at: usize) -> [u8; N] {
    frame[at..at + N].try_into().unwrap()
}

/// No error, and the one mechanism.
fn handshake(number: i32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[0, 0], &1_i32.to_be_bytes(), &[0, 5], b"PLAIN"].concat()
}

fn authenticated(number: i32, is_in: bool) -> Vec<u8> {
    let (error, text) = if is_in { (0, "") } else { (SASL_AUTHENTICATION_FAILED, WRONG) };
    let length = text.len() as i16;
    // Without further bytes.
    let text = [&length.to_be_bytes()[..], text.as_bytes(), &0_i32.to_be_bytes()].concat();
    [&number.to_be_bytes()[..], &error.to_be_bytes(), &text].concat()
}

/// The cluster's list of what it can do, with the two requests that it has not; of the versions that it answers without an error.
fn add_logins(frame: &mut Vec<u8>) {
    if cut::<2>(frame, 4) != [0, 0] {
        return;
    }
    let length = i32::from_be_bytes(cut(frame, 6)) + 2;
    frame[6..10].copy_from_slice(&length.to_be_bytes());
    // From version 0 on; the handshake of version 1 is that which the other belongs to.
    let entry = |key: i16, max: u8| [&key.to_be_bytes()[..], &[0, 0, 0, max]].concat();
    frame.splice(10..10, [entry(SASL_HANDSHAKE, 1), entry(SASL_AUTHENTICATE, 0)].concat());
}

/// With our port wherever it names the broker's, as a host and a port of 32 bits behind it.
fn renamed(frame: &[u8], (theirs, ours): (u16, u16)) -> Vec<u8> {
    let named = |port: u16| [&b"127.0.0.1"[..], &u32::from(port).to_be_bytes()].concat();
    let (theirs, ours) = (named(theirs), named(ours));
    let mut renamed = frame.to_vec();
    for at in 0..renamed.len() {
        if renamed[at..].starts_with(&theirs) {
            renamed[at..at + ours.len()].copy_from_slice(&ours);
        }
    }
    renamed
}
