//! The sink against a broker in a thread, which confirms, keeps silent, refuses or talks nonsense, connection by connection.

use super::*;
use crate::wire::amqp::{Closing, Frame, Frames, Method, PROTOCOL, Table, Tuning};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;
use touchline_common::config::{Dur, SinkLane};

const FRAME: usize = 128 * 1024;

/// What the broker does with the messages of one connection.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Confirms,
    Silent,
    /// It closes the channel at a body of so many bytes.
    RefusesFrom(usize),
    /// It closes the channel when the exchange is declared, with this code.
    Closes(u16),
    Nonsense,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A broker that takes one connection after the other; ids of the messages that it got.
fn broker(moods: &'static [Mood]) -> (String, Receiver<String>) {
    broker_over(None, moods)
}

fn broker_over(tls: Option<Arc<ServerConfig>>, moods: &'static [Mood]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, ids) = channel();
    thread::spawn(move || {
        for mood in moods {
            let (stream, _) = listener.accept().unwrap();
            let stream: Box<dyn Stream> = match &tls {
                None => Box::new(stream),
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                    Box::new(StreamOwned::new(connection, stream))
                }
            };
            let frames = Frames::new(FRAME);
            let peer = Peer { stream, frames, mood: *mood, ids: sender.clone(), id: None, tag: 0 };
            // A sink that goes away ends it.
            let _ = peer.serve();
        }
    });
    (address, ids)
}

/// A server's side of TLS for this address, and the certificate of who vouches for it.
pub(in crate::record::sink) fn tls(address: &str) -> (Arc<ServerConfig>, tempfile::NamedTempFile) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Another than the certificate's, which would pass for signed by itself.
    params.distinguished_name.push(DnType::CommonName, "the authority of a test");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(issuer.pem().as_bytes()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![address.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (Arc::new(config), file)
}

struct Peer {
    stream: Box<dyn Stream>,
    frames: Frames,
    mood: Mood,
    ids: Sender<String>,
    id: Option<Short>,
    tag: u64,
}

impl Peer {
    fn serve(mut self) -> io::Result<()> {
        let mut greeting = [0; 8];
        self.stream.read_exact(&mut greeting)?;
        assert_eq!(&greeting, PROTOCOL);
        if matches!(self.mood, Mood::Nonsense) {
            return self.stream.write_all(b"SSH-2.0-nobody\r\n");
        }
        let (mechanisms, locales) = ("PLAIN".to_owned(), "en_US".to_owned());
        self.say(&Method::Start { version: (0, 9), properties: Table::default(), mechanisms, locales })?;
        let mut room = [0; 4096];
        loop {
            let count = self.stream.read(&mut room)?;
            if count == 0 {
                return Ok(());
            }
            self.frames.push(&room[..count]);
            loop {
                let answer = match self.frames.next_frame().unwrap() {
                    None => break,
                    Some(Frame::Heartbeat) => None,
                    Some(Frame::Method(_, method)) => answer(&method, self.mood),
                    Some(Frame::Header(_, content)) => {
                        self.id = content.properties.message_id;
                        None
                    }
                    // Bodies here fit into a frame.
                    Some(Frame::Body(_, bytes)) => {
                        self.tag += 1;
                        let id = self.id.take().unwrap().to_string();
                        self.ids.send(id).unwrap();
                        judge(self.mood, bytes.len(), self.tag)
                    }
                };
                if let Some(answer) = answer {
                    self.say(&answer)?;
                }
            }
        }
    }

    fn say(&mut self, method: &Method) -> io::Result<()> {
        let mut bytes = Vec::new();
        method.write(1, &mut bytes);
        self.stream.write_all(&bytes)?;
        self.stream.flush()
    }
}

fn closing(code: u16, method: (u16, u16)) -> Closing {
    Closing { code, text: Short::cut("WHY"), method }
}

fn answer(method: &Method, mood: Mood) -> Option<Method> {
    Some(match method.id() {
        (10, 11) => Method::Tune(Tuning { channels: 10, frame: 0, heartbeat: 0 }),
        (10, 40) => Method::OpenOk,
        (10, 50) => Method::CloseOk,
        (20, 10) => Method::ChannelOpenOk,
        (40, 10) => {
            if let Mood::Closes(code) = mood {
                Method::ChannelClose(closing(code, (40, 10)))
            } else {
                Method::ExchangeDeclareOk
            }
        }
        (85, 10) => Method::ConfirmSelectOk,
        _ => return None,
    })
}

fn judge(mood: Mood, length: usize, tag: u64) -> Option<Method> {
    match mood {
        Mood::RefusesFrom(bytes) if length >= bytes => Some(Method::ChannelClose(closing(406, (60, 40)))),
        Mood::Confirms | Mood::RefusesFrom(_) => Some(Method::Ack { tag, multiple: false }),
        Mood::Silent | Mood::Closes(_) | Mood::Nonsense => None,
    }
}

fn sink(address: &str) -> RabbitMq {
    let mut streams =
        StreamsConfig { rabbitmq: format!("amqp://guest@{address}"), ..StreamsConfig::default() };
    streams.rabbitmq_options.timeout = Dur::millis(400);
    RabbitMq::new(&streams, 17)
}

fn row(seq: i64, json: &str) -> Row {
    let (feed, id, kind) = ("in.play".to_owned(), "m".to_owned(), "odds_change".to_owned());
    Row { seq, feed, id, kind, lane: SinkLane::Odds, json: json.to_owned() }
}

fn ids(received: &Receiver<String>, count: usize) -> Vec<String> {
    (0..count).map(|_| received.recv_timeout(Duration::from_secs(5)).unwrap()).collect()
}

#[test]
fn rows_are_published_and_confirmed() {
    let (address, received) = broker(&[Mood::Confirms]);
    let mut sink = sink(&address);
    let held = Position { mark: "m".into(), ..Position::default() };
    assert_eq!(sink.connect(&held), Ok(held.clone()));
    let rows = [row(1, "{}"), row(2, "{}")];
    assert_eq!(sink.deliver(&rows, &mut || ()), Delivery::all(&rows));
    assert_eq!(sink.deliver(&rows[1..], &mut || ()), Delivery::all(&rows[1..]));
    assert_eq!(ids(&received, 3), ["17-1", "17-2", "17-2"]);
    sink.disconnect();
    assert!(sink.deliver(&rows, &mut || ()).failure.is_some());
}

#[test]
fn over_tls_only_a_broker_that_is_vouched_for_gets_the_login() {
    let (config, file) = tls("127.0.0.1");
    let (address, received) = broker_over(Some(config), &[Mood::Confirms, Mood::Confirms]);
    let mut streams =
        StreamsConfig { rabbitmq: format!("amqps://guest@{address}"), ..StreamsConfig::default() };
    streams.rabbitmq_options.timeout = Dur::secs(5);
    let error = RabbitMq::new(&streams, 17).connect(&Position::default()).unwrap_err();
    // Of a machine without any authorities that is said instead.
    assert!(error.contains("`ca_file`"), "{error}");
    streams.rabbitmq_options.ca_file = file.path().to_str().unwrap().to_owned();
    let mut sink = RabbitMq::new(&streams, 17);
    sink.connect(&Position::default()).unwrap();
    // More than one record of TLS.
    let rows = [row(1, &"x".repeat(100_000)), row(2, "{}")];
    assert_eq!(sink.deliver(&rows, &mut || ()), Delivery::all(&rows));
    assert_eq!(ids(&received, 2), ["17-1", "17-2"]);
    sink.disconnect();
}

#[test]
fn what_is_never_confirmed_is_published_again_on_another_connection() {
    let (address, received) = broker(&[Mood::Silent, Mood::Confirms]);
    let mut sink = sink(&address);
    sink.connect(&Position::default()).unwrap();
    let rows = [row(1, "{}"), row(2, "{}")];
    let delivery = sink.deliver(&rows, &mut || ());
    assert_eq!((delivery.settled, delivery.refused.len()), (0, 0));
    assert!(delivery.failure.unwrap().contains("did not confirm 2 messages"));
    sink.connect(&Position::default()).unwrap();
    assert_eq!(sink.deliver(&rows, &mut || ()), Delivery::all(&rows));
    assert_eq!(ids(&received, 4), ["17-1", "17-2", "17-1", "17-2"]);
}

#[test]
fn a_message_that_is_too_large_is_refused_alone() {
    let (address, _received) = broker(&[Mood::RefusesFrom(10), Mood::RefusesFrom(10), Mood::Confirms]);
    let mut sink = sink(&address);
    let rows = [row(1, "a long body, too long"), row(2, "{}")];
    sink.connect(&Position::default()).unwrap();
    let first = sink.deliver(&rows, &mut || ());
    assert_eq!((first.settled, first.refused.len()), (0, 0), "{first:?}");
    sink.connect(&Position::default()).unwrap();
    let second = sink.deliver(&rows, &mut || ());
    assert_eq!((second.settled, second.refused.len(), second.refused[0].0), (1, 1, 0), "{second:?}");
    sink.connect(&Position::default()).unwrap();
    assert_eq!(sink.deliver(&rows[1..], &mut || ()), Delivery::all(&rows[1..]));
}

#[test]
fn a_broker_that_does_not_let_in_is_explained() {
    let (address, _received) = broker(&[Mood::Closes(404), Mood::Closes(406), Mood::Nonsense]);
    let mut sink = sink(&address);
    for part in ["404 WHY; declare the exchange", "406 WHY; the exchange is there", "is no AMQP frame"] {
        let error = sink.connect(&Position::default()).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = self::sink(&nobody).connect(&Position::default()).unwrap_err();
    assert!(error.contains(&nobody), "{error}");
}

#[test]
fn a_feeds_name_makes_no_word_of_a_key() {
    assert_eq!(routing_key(&row(1, "")).as_str(), "in%2Eplay.odds.odds_change");
    let said = Row { feed: "live".into(), kind: "super_chat".into(), lane: SinkLane::Chat, ..row(1, "") };
    assert_eq!(routing_key(&said).as_str(), "live.chat.super_chat");
}
