//! Rooms over real sockets: the test drives the source as the loop does, threads play the server.

mod failures;
mod websocket;

use super::link::Link;
use super::plan::{Limits, Plan, Server};
use super::source::Rooms;
use super::table::Entry;
use crate::feed::{ConnectionEvent, Event, FollowError};
use crate::net::Readiness;
use crate::wire::rooms::{self, BodyForm, Decoder, Operation, write_packet};
use crate::wire::websocket as ws;
use mio::{Events, Poll, Token, Waker};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
const WAKER: Token = Token(0);
const FIRST: Token = Token(1 << 32);
const ACCEPTED: &[u8] = b"{\"code\":0}";

/// A loop with nothing but the rooms in it.
struct Bench {
    poll: Poll,
    events: Events,
    rooms: Rooms,
    seen: Vec<String>,
    /// Of each interruption.
    unheard: Vec<Duration>,
}

impl Bench {
    fn new(plan: Plan) -> Bench {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
        let rooms = Rooms::new(plan, FIRST, waker, Instant::now());
        Bench { poll, events: Events::with_capacity(64), rooms, seen: Vec::new(), unheard: Vec::new() }
    }

    fn following(plan: Plan, topics: &[&str]) -> Bench {
        let mut bench = Bench::new(plan);
        for topic in topics {
            bench.rooms.follow(topic).unwrap();
        }
        bench
    }

    /// Turns until an event is seen that begins so.
    fn until(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = self.seen.iter().find(|seen| seen.starts_with(wanted)) {
                return seen.clone();
            }
            assert!(Instant::now() < deadline, "no '{wanted}'; seen: {:?}", self.seen);
            self.turn();
        }
    }

    fn count(&self, wanted: &str) -> usize {
        self.seen.iter().filter(|seen| seen.starts_with(wanted)).count()
    }

    /// As the scanning loop does it: what is due, all that came, what is to be sent.
    fn turn(&mut self) {
        let due = self.rooms.deadline().map_or(PATIENCE, |at| at.saturating_duration_since(Instant::now()));
        let wait = if self.rooms.is_drained() { due } else { Duration::ZERO };
        self.poll.poll(&mut self.events, Some(wait.min(Duration::from_millis(100)))).unwrap();
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            self.rooms.note(event.token(), Readiness::of(event));
        }
        let now = Instant::now();
        self.rooms.advance(self.poll.registry(), now);
        // As much as a turn of the loop reads, more or less: a flood must not keep what is ready from being noticed.
        for _ in 0..8 {
            if !self.rooms.is_drained() {
                self.rooms.read(now);
            }
            self.take(now);
            if self.rooms.is_drained() {
                break;
            }
        }
        self.rooms.flush();
    }

    fn take(&mut self, now: Instant) {
        let mut permits = 0;
        while let Some(event) = self.rooms.next_event(now) {
            let mut seen = match event {
                Event::Connection(ConnectionEvent::PermitNeeded) => {
                    permits += 1;
                    continue;
                }
                Event::Connection(ConnectionEvent::Connected) => "connected".to_owned(),
                Event::Connection(ConnectionEvent::Opened { .. }) => "opened".to_owned(),
                Event::Connection(ConnectionEvent::Up) => "up".to_owned(),
                Event::Snapshot { topic, body } => format!("snapshot {} {}", text(topic), text(body)),
                Event::Delta { topic, body } => format!("delta {} {}", text(topic), text(body)),
                Event::Interrupted { topic, why, unheard } => {
                    self.unheard.push(unheard);
                    format!("interrupted {} {why}", text(topic))
                }
                Event::Refused { topic, why, retry } => {
                    format!("refused {} {} {why}", text(topic), retry.as_secs())
                }
                Event::Skipped(why) => format!("skipped {why}"),
                Event::Connection(ConnectionEvent::ConnectFailed(_) | ConnectionEvent::Lost(_))
                | Event::Unchanged { .. }
                | Event::RoundEnd { .. }
                | Event::Removed { .. }
                | Event::Status { .. }
                | Event::QueueDepth(_) => format!("unexpected {event:?}"),
            };
            seen.truncate(200);
            self.seen.push(seen);
        }
        for _ in 0..permits {
            self.rooms.permit(now);
        }
    }
}

/// As it reads, or escaped where it does not; of a long one the beginning.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.get(..100).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        Ok(_) | Err(_) => bytes.escape_ascii().to_string(),
    }
}

fn plan(addresses: &[SocketAddr]) -> Plan {
    let server = |address: &SocketAddr| Server { authority: address.to_string(), tls: None, upgrade: None };
    let packets = rooms::Limits { packet: 100_000, inflated: 1_000_000, ratio: 200, depth: 4 };
    Plan {
        servers: addresses.iter().map(server).collect(),
        heartbeat: Duration::from_millis(50),
        max_rooms: 4,
        max_per_address: 4,
        auth_file: String::new(),
        limits: Limits { packets, messages: ws::Limits::default(), body: 1_000_000 },
        ranking: None,
        list_topic: String::new(),
    }
}

/// A server that gives each connection, with its number, to `handle` in a thread of its own.
fn serve(handle: impl Fn(usize, Peer) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(number, Peer::new(stream)));
        }
    });
    address
}

/// The server's side of one connection.
struct Peer {
    stream: TcpStream,
    decoder: Decoder,
}

impl Peer {
    fn new(stream: TcpStream) -> Peer {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, decoder: Decoder::new(rooms::Limits::default()) }
    }

    /// The next packet; none at the end.
    fn read(&mut self) -> Option<(Operation, String)> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(Ok(packet)) = self.decoder.next() {
                return Some((packet.operation, String::from_utf8_lossy(packet.body).into_owned()));
            }
            let count = self.stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
            self.decoder.push(bytes.get(..count)?);
        }
    }

    fn write(&mut self, operation: Operation, body: &[u8]) {
        let mut packet = Vec::new();
        write_packet(&mut packet, BodyForm::Plain, operation, body);
        self.raw(&packet);
    }

    fn raw(&mut self, bytes: &[u8]) {
        // A client that has left is what some tests are about.
        let _ = self.stream.write_all(bytes);
    }

    /// The room that is joined.
    fn joined(&mut self) -> Option<String> {
        match self.read()? {
            (Operation::Join, body) => {
                let body: serde_json::Value = serde_json::from_str(&body).ok()?;
                Some(body.get("roomid")?.to_string())
            }
            (_, _) => None,
        }
    }

    fn accept(&mut self) -> Option<String> {
        let room = self.joined()?;
        self.write(Operation::JoinReply, ACCEPTED);
        Some(room)
    }

    /// Answers heartbeats until the client leaves.
    fn answer(&mut self) {
        while let Some((operation, _)) = self.read() {
            if operation == Operation::Heartbeat {
                self.write(Operation::HeartbeatReply, b"\0\0\x09\xa2");
            }
        }
    }
}

#[test]
fn a_room_is_joined_brings_messages_and_its_popularity_with_each_heartbeat() {
    let address = serve(|_, mut peer| {
        let room = peer.accept().unwrap();
        peer.write(Operation::Message, format!("said in {room}").as_bytes());
        peer.answer();
    });
    let mut bench = Bench::following(plan(&[address]), &["7", "8"]);
    assert!(!bench.rooms.is_connected());
    for room in ["7", "8"] {
        bench.until(&format!("snapshot {room} {{\"code\":0}}"));
        bench.until(&format!("delta {room} said in {room}"));
        assert!(bench.rooms.is_loaded(room));
    }
    assert_eq!(bench.seen[..3], ["connected", "opened", "up"]);
    assert_eq!((bench.rooms.asked(), bench.rooms.connections()), (2, 2));
    let popularity = "delta 7 \\x00\\x00\\t\\xa2";
    let deadline = Instant::now() + PATIENCE;
    while bench.count(popularity) < 3 {
        assert!(Instant::now() < deadline, "{:?}", bench.seen);
        bench.turn();
    }
    assert_eq!((bench.count("interrupted"), bench.rooms.errors()), (0, 0));
    bench.rooms.unfollow("7");
    assert_eq!((bench.rooms.asked(), bench.rooms.is_loaded("7")), (1, false));
}

#[test]
fn a_server_that_serves_without_an_answer_has_accepted_the_join() {
    let address = serve(|_, mut peer| {
        peer.joined().unwrap();
        peer.write(Operation::Message, b"first");
        peer.write(Operation::Message, b"second");
        peer.answer();
    });
    let mut bench = Bench::following(plan(&[address]), &["7"]);
    bench.until("delta 7 second");
    let told: Vec<&str> = bench.seen.iter().map(String::as_str).filter(|seen| seen.contains(" 7 ")).collect();
    assert_eq!(told[..3], ["snapshot 7 {}", "delta 7 first", "delta 7 second"]);
}

#[test]
fn packets_of_seven_bytes_a_write_are_put_together() {
    let address = serve(|_, mut peer| {
        peer.joined().unwrap();
        let mut packets = Vec::new();
        write_packet(&mut packets, BodyForm::Plain, Operation::JoinReply, ACCEPTED);
        let mut inner = Vec::new();
        for said in [&b"one"[..], b"two"] {
            write_packet(&mut inner, BodyForm::Plain, Operation::Message, said);
        }
        write_packet(&mut packets, BodyForm::Zlib, Operation::Message, &inner);
        for piece in packets.chunks(7) {
            peer.raw(piece);
        }
        peer.answer();
    });
    let mut bench = Bench::following(plan(&[address]), &["7"]);
    bench.until("delta 7 two");
    assert_eq!((bench.count("snapshot 7"), bench.count("delta 7 one")), (1, 1));
}

#[test]
fn a_room_that_floods_keeps_no_other_from_being_read() {
    const MESSAGES: usize = 4_000;
    let (begin, begun) = channel::<()>();
    let (flooding, flooded) = channel::<()>();
    let (begun, flooded) = (std::sync::Mutex::new(begun), std::sync::Mutex::new(flooded));
    let address = serve(move |_, mut peer| {
        if peer.accept().unwrap() == "2" {
            begin.send(()).unwrap();
            flooded.lock().unwrap().recv().unwrap();
            peer.write(Operation::Message, b"quiet");
            return peer.answer();
        }
        begun.lock().unwrap().recv().unwrap();
        let body = vec![b'x'; 8_000];
        for n in 0..MESSAGES {
            peer.write(Operation::Message, &body);
            if n == 100 {
                flooding.send(()).unwrap();
            }
        }
        peer.answer();
    });
    let mut plan = plan(&[address]);
    plan.heartbeat = Duration::from_secs(30);
    let mut bench = Bench::following(plan, &["1", "2"]);
    bench.until("delta 2 quiet");
    assert!(bench.count("delta 1 xxx") < MESSAGES, "it did not have to wait for the end");
    let deadline = Instant::now() + PATIENCE;
    while bench.count("delta 1 xxx") < MESSAGES {
        assert!(Instant::now() < deadline);
        bench.turn();
    }
}

#[test]
fn names_and_numbers_of_rooms_have_bounds() {
    let mut bench = Bench::new(plan(&[([127, 0, 0, 1], 9).into()]));
    for topic in ["", "a\nb"] {
        assert!(matches!(bench.rooms.follow(topic), Err(FollowError::Name { .. })));
    }
    for topic in ["1", "2", "3", "4"] {
        bench.rooms.keep(topic).unwrap();
        bench.rooms.keep(topic).unwrap();
    }
    assert_eq!(bench.rooms.keep("5"), Err(FollowError::Full { limit: 4 }));
    bench.rooms.unfollow("2");
    assert_eq!(bench.rooms.keep("5"), Ok(()));
    bench.rooms.close();
    assert_eq!(bench.rooms.keep("6"), Ok(()));
}

#[test]
fn a_room_at_rest_takes_little() {
    assert!(size_of::<Entry>() + size_of::<Link>() <= 2_048);
}
