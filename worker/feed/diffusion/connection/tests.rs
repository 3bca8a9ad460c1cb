//! The connection over real sockets: the test drives the client's side, a thread plays the server.

#![allow(clippy::wildcard_enum_match_arm)] // A test looks for one thing among many.

mod hostile;

use super::*;
use crate::feed::diffusion::SessionConfig;
use crate::net::{RESOLVE_DEADLINE, TlsPlan, Trust};
use crate::wire::diffusion::tunnel::{Form, ServerConfig, ServerTunnel, TunnelConfig};
use crate::wire::diffusion::{
    self, ConnectRequest, ConnectResponse, FrameBuffer, MessageType, ResponseCode, TopicRef,
};
use crate::wire::websocket::Limits;
use mio::{Events, Poll};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

const PATIENCE: Duration = Duration::from_secs(10);
const TOKEN: Token = Token(1);
const WAKER: Token = Token(2);

/// A loop with nothing but the connection in it.
struct Bench {
    poll: Poll,
    events: Events,
    connection: Connection,
    seen: Vec<String>,
}

impl Bench {
    fn new(plan: Plan) -> Bench {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
        let connection = Connection::new(plan, TOKEN, waker, Instant::now());
        Bench { poll, events: Events::with_capacity(16), connection, seen: Vec::new() }
    }

    /// Turns until an event is seen that `wanted` holds for.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = self.seen.iter().find(|seen| wanted(seen)) {
                return seen.clone();
            }
            assert!(Instant::now() < deadline, "it never came; seen: {:?}", shortened(&self.seen));
            self.turn();
        }
    }

    /// As the scanning loop does it: an event, or what is due; all that came; what is to be sent.
    fn turn(&mut self) {
        let due =
            self.connection.deadline().map_or(PATIENCE, |at| at.saturating_duration_since(Instant::now()));
        let wait = if self.connection.is_drained() { due } else { Duration::ZERO };
        self.poll.poll(&mut self.events, Some(wait.min(PATIENCE))).unwrap();
        for event in &self.events {
            self.connection.note(event.token(), Readiness::of(event));
        }
        let now = Instant::now();
        self.connection.advance(self.poll.registry(), now);
        loop {
            if !self.connection.is_drained() {
                self.connection.read(now);
            }
            self.take(now);
            if self.connection.is_drained() {
                break;
            }
        }
        self.connection.flush();
    }

    fn take(&mut self, now: Instant) {
        let (mut is_permitted, mut is_connected) = (false, false);
        while let Some(event) = self.connection.next_event(now) {
            self.seen.push(match event {
                Event::Connection(ConnectionEvent::PermitNeeded) => {
                    is_permitted = true;
                    continue;
                }
                Event::Connection(ConnectionEvent::Connected) => {
                    is_connected = true;
                    "connected".to_owned()
                }
                Event::Connection(ConnectionEvent::Up) => continue,
                Event::Connection(ConnectionEvent::Opened { client_id, .. }) => {
                    format!("opened {}", client_id.escape_ascii())
                }
                Event::Connection(ConnectionEvent::ConnectFailed(loss)) => format!("failed {loss}"),
                Event::Connection(ConnectionEvent::Lost(loss)) => format!("lost {loss}"),
                Event::Snapshot { topic, body } => {
                    format!("load {} {}", topic.escape_ascii(), String::from_utf8_lossy(body))
                }
                Event::Delta { topic, body } => {
                    format!("delta {} {}", topic.escape_ascii(), String::from_utf8_lossy(body))
                }
                other => format!("{other:?}"),
            });
        }
        if is_permitted {
            self.connection.permit(now);
        }
        if is_connected {
            self.connection.follow("6V1").unwrap();
        }
    }

    fn is_lost(seen: &str) -> bool {
        seen.starts_with("lost ") || seen.starts_with("failed ")
    }

    /// Why the connection was lost, without who it was to and when the next attempt is.
    fn lost(&mut self) -> String {
        let seen = self.until(Bench::is_lost);
        let why = seen.split_once(": ").unwrap().1;
        why.rsplit_once("; next attempt in ").unwrap().0.to_owned()
    }
}

fn shortened(seen: &[String]) -> Vec<String> {
    seen.iter().map(|seen| seen.chars().take(100).collect()).collect()
}

fn session() -> SessionConfig {
    SessionConfig { ping_interval: None, subscribes_per_s: 1e6, ..SessionConfig::default() }
}

fn plan(authority: &str, tls: Option<TlsPlan>, form: Option<Form>) -> Plan {
    let tunnel = form.map(|form| TunnelConfig {
        form,
        host: authority.to_owned(),
        path: String::new(),
        headers: Vec::new(),
        limits: Limits::default(),
    });
    Plan {
        authority: authority.to_owned(),
        session: session(),
        tls,
        tunnel,
        list_topic: String::new(),
        time_topic: String::new(),
    }
}

/// An authority of our own, and what it signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new() -> Authority {
        Authority::named("authority of the test")
    }

    fn named(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Authority { issuer, file }
    }

    fn trust(&self) -> Trust {
        Trust::Authorities { ca_file: self.file.path().to_str().unwrap().to_owned() }
    }

    /// The server's side for a certificate of `names`.
    fn server(&self, names: &[&str], change: impl Fn(&mut CertificateParams)) -> Arc<rustls::ServerConfig> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate: CertificateDer<'static> =
            params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .unwrap();
        Arc::new(config)
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A server of one connection in a thread of its own.
fn serve(
    tls: Option<Arc<rustls::ServerConfig>>,
    play: impl FnOnce(Box<dyn Stream>) + Send + 'static,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        match tls {
            None => play(Box::new(stream)),
            Some(config) => {
                let connection = rustls::ServerConnection::new(config).unwrap();
                play(Box::new(rustls::StreamOwned::new(connection, stream)));
            }
        }
    });
    (authority, thread)
}

/// A push server that speaks DPT, behind a tunnel or not.
struct Speaker {
    stream: Box<dyn Stream>,
    tunnel: Option<ServerTunnel>,
    heard: FrameBuffer,
}

impl Speaker {
    fn new(stream: Box<dyn Stream>, tunnel: Option<ServerTunnel>) -> Speaker {
        Speaker { stream, tunnel, heard: FrameBuffer::new(1 << 20) }
    }

    fn hear(&mut self) -> usize {
        let mut room = vec![0; 10_000];
        let count = self.stream.read(&mut room).unwrap_or(0);
        let Some(tunnel) = &mut self.tunnel else {
            self.heard.spare()[..count].copy_from_slice(&room[..count]);
            self.heard.filled(count);
            return count;
        };
        tunnel.spare()[..count].copy_from_slice(&room[..count]);
        tunnel.filled(count);
        while let Ok(count @ 1..) = tunnel.pull(self.heard.spare()) {
            self.heard.filled(count);
        }
        self.flush();
        count
    }

    fn say(&mut self, bytes: &[u8]) {
        match &mut self.tunnel {
            None => self.stream.write_all(bytes).unwrap(),
            Some(tunnel) => assert_eq!(tunnel.push(bytes), bytes.len()),
        }
        self.flush();
    }

    fn flush(&mut self) {
        if let Some(tunnel) = &mut self.tunnel {
            self.stream.write_all(tunnel.output()).unwrap();
            let count = tunnel.output().len();
            tunnel.output_sent(count);
        }
        self.stream.flush().unwrap();
    }

    /// Lets the client in; the login topics that it asked for.
    fn open(&mut self) -> String {
        let topics = loop {
            if let Some((request, used)) = ConnectRequest::parse(self.heard.unread()).unwrap() {
                let topics = String::from_utf8(request.topics.to_vec()).unwrap();
                self.heard.skip(used);
                break topics;
            }
            assert!(self.hear() > 0, "it left");
        };
        let mut answer = Vec::new();
        ConnectResponse::Accepted { version: 4, code: ResponseCode::Ok, client_id: b"id" }
            .encode(&mut answer)
            .unwrap();
        self.say(&answer);
        topics
    }

    /// The topic of the next subscription.
    fn subscribed(&mut self) -> String {
        loop {
            if let Some(message) = self.heard.next_message().unwrap() {
                if message.kind == MessageType::Subscribe {
                    return String::from_utf8(message.selector().unwrap().to_vec()).unwrap();
                }
                continue;
            }
            assert!(self.hear() > 0, "it left");
        }
    }

    /// Everything that still comes, until the client closes.
    fn rest(&mut self) {
        while self.hear() > 0 {}
    }
}

fn load(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    diffusion::load(&mut out, TopicRef::Named { name: b"6V1", alias: Some(b"a") }, body).unwrap();
    out
}

fn delta(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    diffusion::delta(&mut out, TopicRef::Alias(b"a"), body).unwrap();
    out
}

/// Every transport with every form that it carries.
const WAYS: [(bool, Option<Form>); 6] = [
    (false, None),
    (true, None),
    (false, Some(Form::V4)),
    (true, Some(Form::V4)),
    (false, Some(Form::Zap)),
    (true, Some(Form::Zap)),
];

/// All that a server has to say in one go comes, although the socket announces it once: TLS and the tunnel hold much of it
/// when the socket is empty.
#[test]
fn every_transport_brings_all_of_it_in_order() {
    const DELTAS: usize = 3000;
    let authority = Authority::new();
    for (tls, form) in WAYS {
        let server = tls.then(|| authority.server(&["127.0.0.1"], |_| {}));
        let trusted = tls.then(|| TlsPlan::new("127.0.0.1", &authority.trust()).unwrap());
        let (address, thread) = serve(server, move |stream| {
            let tunnel = form.map(|_| {
                ServerTunnel::new(ServerConfig { joining: 300, frame: 200, ..ServerConfig::default() })
            });
            let mut server = Speaker::new(stream, tunnel);
            assert_eq!(server.open(), "__time,S_1");
            assert_eq!(server.subscribed(), "6V1");
            let mut bytes = load(&[b'x'; 900_000]);
            for n in 0..DELTAS {
                bytes.extend_from_slice(&delta(format!("U|N={n};|").as_bytes()));
            }
            server.say(&bytes);
            server.rest();
        });
        let mut plan = plan(&address, trusted, form);
        plan.session.login_topics = vec!["__time".to_owned(), "S_1".to_owned()];
        let mut bench = Bench::new(plan);
        bench.until(|seen| seen == format!("delta 6V1 U|N={};|", DELTAS - 1));
        assert_eq!(bench.seen[..2], ["connected", "opened id"]);
        assert_eq!(bench.seen[2].len(), "load 6V1 ".len() + 900_000);
        assert_eq!(bench.seen.len(), 3 + DELTAS);
        assert!(bench.seen[3..].iter().enumerate().all(|(n, seen)| *seen == format!("delta 6V1 U|N={n};|")));
        assert!(bench.connection.is_drained());
        bench.connection.close();
        drop(bench);
        thread.join().unwrap();
    }
}

/// The same with a server that takes what it is sent in small pieces: a peer that reads slowly loses nothing.
#[test]
fn what_the_socket_does_not_take_at_once_is_sent_later() {
    const TOPICS: usize = 20_000;
    let authority = Authority::new();
    for (tls, form) in WAYS {
        let server = tls.then(|| authority.server(&["127.0.0.1"], |_| {}));
        let trusted = tls.then(|| TlsPlan::new("127.0.0.1", &authority.trust()).unwrap());
        let (address, thread) = serve(server, move |stream| {
            let mut server = Speaker::new(stream, form.map(|_| ServerTunnel::new(ServerConfig::default())));
            server.open();
            server.subscribed();
            thread::sleep(Duration::from_millis(100));
            for n in 0..TOPICS {
                assert_eq!(server.subscribed(), format!("a topic with a name of some length, number {n}"));
            }
            server.say(&load(b"done"));
            server.rest();
        });
        let mut plan = plan(&address, trusted, form);
        plan.session.max_subscriptions = TOPICS + 1;
        let mut bench = Bench::new(plan);
        bench.until(|seen| seen == "connected");
        for n in 0..TOPICS {
            let topic = format!("a topic with a name of some length, number {n}");
            bench.connection.follow(&topic).unwrap();
        }
        bench.until(|seen| seen == "load 6V1 done");
        drop(bench);
        thread.join().unwrap();
    }
}

#[test]
fn a_certificate_that_does_not_fit_says_what_to_do() {
    let (ours, foreign, namesake) = (Authority::new(), Authority::named("another"), Authority::new());
    let name = "push.example.org";
    let long_ago = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 2, 1);
    };
    for (host, server, trust, wanted) in [
        (
            "127.0.0.1",
            ours.server(&[name], |_| {}),
            ours.trust(),
            "the server's certificate is not for 127.0.0.1: ",
        ),
        (
            "localhost",
            ours.server(&[name], |_| {}),
            ours.trust(),
            "the server's certificate is not for localhost: ",
        ),
        (
            "127.0.0.1",
            ours.server(&["127.0.0.1"], |_| {}),
            foreign.trust(),
            "the certificate of 127.0.0.1 is not signed by an authority that this system trusts; if it is right, name its authority's certificate in `ca_file`",
        ),
        (
            "127.0.0.1",
            ours.server(&["127.0.0.1"], |_| {}),
            namesake.trust(),
            "the certificate of 127.0.0.1 is not signed by an authority that this system trusts; ",
        ),
        (
            "127.0.0.1",
            ours.server(&["127.0.0.1"], long_ago),
            ours.trust(),
            "the certificate of 127.0.0.1 cannot be used now: ",
        ),
    ] {
        for form in [None, Some(Form::V4)] {
            let (address, thread) = serve(Some(Arc::clone(&server)), |mut stream| {
                assert!(stream.read(&mut [0; 10]).is_err(), "the client speaks to another server");
            });
            let trusted = TlsPlan::new(host, &trust).unwrap();
            let mut bench = Bench::new(plan(&address, Some(trusted), form));
            let why = bench.lost();
            assert!(why.starts_with(wanted), "{why}");
            thread.join().unwrap();
        }
    }
}

#[test]
fn insecure_takes_what_nobody_vouches_for() {
    let authority = Authority::new();
    let (address, thread) = serve(Some(authority.server(&["elsewhere"], |_| {})), |stream| {
        let mut server = Speaker::new(stream, None);
        server.open();
        server.rest();
    });
    let mut bench = Bench::new(plan(&address, Some(TlsPlan::new("127.0.0.1", &Trust::Any).unwrap()), None));
    bench.until(|seen| seen == "opened id");
    drop(bench);
    thread.join().unwrap();
}

#[test]
fn a_file_of_authorities_that_is_none_is_said_at_the_start() {
    let missing = Trust::Authorities { ca_file: "/nowhere/ca.pem".to_owned() };
    let error = TlsPlan::new("h", &missing).unwrap_err().to_string();
    assert!(error.starts_with("ca_file /nowhere/ca.pem: "), "{error}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = empty.path().to_str().unwrap().to_owned();
    let error = TlsPlan::new("h", &Trust::Authorities { ca_file: path.clone() }).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("ca_file {path}: there is no certificate in it; expected certificates of authorities in PEM")
    );
}

#[test]
fn a_peer_that_leaves_without_saying_so_in_tls_has_left() {
    let authority = Authority::new();
    let (address, thread) = serve(Some(authority.server(&["127.0.0.1"], |_| {})), |stream| {
        let mut server = Speaker::new(stream, None);
        server.open();
        server.say(&load(b"last"));
        // The socket closes, nothing was said.
    });
    let trusted = TlsPlan::new("127.0.0.1", &authority.trust()).unwrap();
    let mut bench = Bench::new(plan(&address, Some(trusted), None));
    let why = bench.lost();
    // What the client had sent and nobody read makes it a reset, at times.
    assert!(["the stream ended", "the socket failed: connection reset"].contains(&why.as_str()), "{why}");
    assert!(bench.seen.contains(&"load 6V1 last".to_owned()), "{:?}", bench.seen);
    thread.join().unwrap();
}

#[test]
fn addresses_of_a_name_are_tried_in_turn() {
    let (address, thread) = serve(None, |stream| {
        let mut server = Speaker::new(stream, None);
        server.open();
        server.rest();
    });
    static LIVE: std::sync::OnceLock<SocketAddr> = std::sync::OnceLock::new();
    LIVE.set(address.parse().unwrap()).unwrap();
    fn two(name: &str) -> crate::net::Addresses {
        assert_eq!(name, "push.example:1");
        // Nobody listens at the first.
        let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(vec![dead, *LIVE.get().unwrap()])
    }
    let mut bench = Bench::new(plan("push.example:1", None, None));
    bench.connection.connector.resolve_by(two);
    bench.until(|seen| seen == "opened id");
    assert_eq!(bench.seen, ["connected", "opened id"]);
    drop(bench);
    thread.join().unwrap();
}

#[test]
fn a_name_without_an_answer_holds_up_nobody_and_is_asked_for_once() {
    static ASKED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    static HANGS: std::sync::Mutex<()> = std::sync::Mutex::new(());
    fn hangs(_: &str) -> crate::net::Addresses {
        ASKED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let _until_the_test_says = HANGS.lock();
        Ok(Vec::new())
    }
    let hold = HANGS.lock().unwrap();
    let mut poll = Poll::new().unwrap();
    let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
    let began = Instant::now();
    let mut connection = Connection::new(plan("slow.example:1", None, None), TOKEN, waker, began);
    connection.connector.resolve_by(hangs);
    assert_eq!(advance(&mut connection, &poll, began), None);
    assert!(began.elapsed() < Duration::from_secs(1), "the loop goes on");
    let later = began + RESOLVE_DEADLINE;
    assert_eq!(connection.deadline(), Some(later));
    let Some(Event::Connection(ConnectionEvent::ConnectFailed(loss))) =
        advance(&mut connection, &poll, later)
    else {
        panic!("no deadline")
    };
    let why = loss.to_string();
    assert!(why.starts_with("slow.example:1: the name has no answer within 5s; next attempt in "), "{why}");
    // Again and again, with a permit or without an answer to the question for it: the first question is still out.
    for _ in 0..10 {
        let now = connection.deadline().unwrap();
        advance(&mut connection, &poll, now);
    }
    // An answer that comes while nothing is asked serves the next question, without a wait.
    while !connection.connector.is_idle() {
        let now = connection.deadline().unwrap();
        advance(&mut connection, &poll, now);
    }
    drop(hold);
    let mut events = Events::with_capacity(1);
    poll.poll(&mut events, Some(PATIENCE)).unwrap();
    assert!(!events.is_empty(), "the thread wakes the loop");
    let now = connection.deadline().unwrap();
    let mut event = advance(&mut connection, &poll, now);
    if event == Some(Event::Connection(ConnectionEvent::PermitNeeded)) {
        let now = connection.deadline().unwrap();
        event = advance(&mut connection, &poll, now);
    }
    let Some(Event::Connection(ConnectionEvent::ConnectFailed(loss))) = event else {
        panic!("it waits for an answer that is there: {event:?}")
    };
    assert!(loss.why.contains("the name has no address"), "{loss}");
    assert_eq!(ASKED.load(std::sync::atomic::Ordering::SeqCst), 1);
}

fn advance<'a>(connection: &'a mut Connection, poll: &Poll, now: Instant) -> Option<Event<'a>> {
    connection.advance(poll.registry(), now);
    connection.next_event(now)
}
