//! Over real sockets: a server that is written out, one thread for each connection.

use super::*;
use crate::feed::push::{Connection, Plan};
use crate::net::Readiness;
use crate::wire::websocket as ws;
use mio::{Events, Poll, Token, Waker};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

const PATIENCE: Duration = Duration::from_secs(10);
const WAKER: Token = Token(0);

/// The server's side of a WebSocket.
struct Peer {
    stream: TcpStream,
    reader: ws::Reader,
    writer: ws::Writer,
}

impl Peer {
    fn open(stream: TcpStream) -> Peer {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = ws::Reader::new(ws::Role::Server, ws::Limits::default());
        let request = loop {
            if let Some((request, used)) = ws::ServerRequest::parse(reader.unread()).unwrap() {
                reader.skip(used);
                break request;
            }
            fill(&stream, &mut reader).unwrap();
        };
        assert_eq!(request.target, "/x");
        let mut answer = Vec::new();
        let deflate = request.accept(None, None, &mut answer);
        reader.agreed(deflate);
        let mut peer = Peer { stream, reader, writer: ws::Writer::new(ws::Role::Server, deflate, 0) };
        peer.raw(&answer);
        peer
    }

    /// The next text; none at the end.
    fn read(&mut self) -> Option<String> {
        loop {
            match self.reader.advance().ok()? {
                Some(ws::Arrived::Text) => {
                    return Some(String::from_utf8_lossy(self.reader.payload()).into_owned());
                }
                Some(ws::Arrived::Close(_)) => return None,
                Some(ws::Arrived::Binary | ws::Arrived::Ping | ws::Arrived::Pong) => {}
                None => fill(&self.stream, &mut self.reader)?,
            }
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn write(&mut self, text: &str) {
        let mut frames = Vec::new();
        self.writer.message(ws::Opcode::Text, text.as_bytes(), 3_000, &mut frames);
        self.raw(&frames);
    }

    fn close(&mut self, code: u16, reason: &str) {
        let mut frames = Vec::new();
        self.writer.close(CloseCode(code), reason, &mut frames);
        self.raw(&frames);
    }
}

fn fill(mut stream: &TcpStream, reader: &mut ws::Reader) -> Option<()> {
    let mut bytes = [0; 4096];
    let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
    reader.feed(bytes.get(..count)?);
    Some(())
}

fn serve(handle: impl Fn(usize, Peer) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(number, Peer::open(stream)));
        }
    });
    address
}

/// A connection that is driven as the scanning loop does it.
struct Client {
    connection: Connection,
    poll: Poll,
    events: Events,
    topics: Vec<String>,
    seen: Vec<String>,
}

impl Client {
    fn new(address: SocketAddr, more: &str, topics: &[&str]) -> Client {
        let mut config = config(more);
        let feed = config.feed.first_mut().unwrap();
        feed.url = format!("ws://{address}/x").parse().unwrap();
        let plan = Plan::new(&config, config.feed.first().unwrap()).unwrap();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
        let connection = Connection::new(plan, Token(1), waker, Instant::now());
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Client { connection, poll, events: Events::with_capacity(64), topics, seen: Vec::new() }
    }

    fn turn(&mut self) {
        let wait = if self.connection.is_drained() { Duration::from_millis(20) } else { Duration::ZERO };
        self.poll.poll(&mut self.events, Some(wait)).unwrap();
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            self.connection.note(event.token(), Readiness::of(event));
        }
        let now = Instant::now();
        self.connection.advance(self.poll.registry(), now);
        if !self.connection.is_drained() {
            self.connection.read();
        }
        self.take(now);
        self.connection.flush();
    }

    fn take(&mut self, now: Instant) {
        loop {
            let (mut connected, mut permit) = (None, None);
            let line = match self.connection.next_event(now) {
                None => return,
                Some(Event::Connection(ConnectionEvent::PermitNeeded)) => {
                    permit = Some(());
                    "permit".to_owned()
                }
                Some(Event::Connection(ConnectionEvent::Connected)) => {
                    connected = Some(());
                    "connected".to_owned()
                }
                Some(Event::Connection(ConnectionEvent::Up)) => "up".to_owned(),
                Some(Event::Connection(ConnectionEvent::Lost(loss))) => format!("lost {loss}"),
                Some(other) => line(&other),
            };
            if permit.is_some() {
                self.connection.permit(now);
            }
            if connected.is_some() {
                for topic in &self.topics {
                    self.connection.keep(topic).unwrap();
                }
            }
            self.seen.push(line.chars().take(200).collect());
        }
    }

    /// Turns until something that begins so was seen.
    fn until(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.iter().position(|seen| seen.starts_with(wanted)) {
                return self.seen.drain(..=at).next_back().unwrap();
            }
            assert!(Instant::now() < deadline, "{wanted}: {:?}", self.seen);
            self.turn();
        }
    }
}

#[test]
fn a_topic_is_followed_over_a_websocket_and_again_on_the_next_connection() {
    let address = serve(|number, mut peer| {
        assert_eq!(peer.read().as_deref(), Some(r#"{"sub":["a"],"id":1}"#));
        peer.write(r#"{"t":"a","k":"s","d":1}"#);
        peer.write(&format!(r#"{{"t":"a","d":"{}"}}"#, "y".repeat(20_000)));
        if number == 0 {
            peer.close(1012, "for the night");
        }
        while peer.read().is_some() {}
    });
    let mut client = Client::new(address, SNAPSHOTS, &["a"]);
    client.until("opened");
    client.until("up");
    client.until("snapshot a 1");
    client.until("delta a \"yyy");
    let lost = client.until("lost ");
    assert!(lost.contains("1012 (restarting): for the night"), "{lost}");
    client.until("snapshot a 1");
    assert_eq!(client.connection.errors(), 0);
    client.connection.close();
}

#[test]
fn a_message_of_fifty_megabytes_costs_the_connection_by_its_head_alone() {
    let address = serve(|_, mut peer| {
        peer.read();
        let mut head = vec![0x81, 127];
        head.extend_from_slice(&50_000_000_u64.to_be_bytes());
        peer.raw(&head);
        while peer.read().is_some() {}
    });
    let mut client = Client::new(address, "", &["a"]);
    let lost = client.until("lost ");
    assert!(lost.contains("50000000"), "{lost}");
}
