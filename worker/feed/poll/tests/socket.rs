//! Polling and a WebSocket beside it, both on loopback: who gives what, while the socket is up, down, and back.

use crate::feed::poll::{Plan, Poll};
use crate::feed::{ConnectionEvent, Event};
use crate::net::Readiness;
use crate::wire::websocket as ws;
use mio::{Events, Token, Waker};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use touchline_common::config::Config;

const LONG: Duration = Duration::from_secs(20);
const SNAPSHOT: &str = r#"{"type":"match_snapshot","matchId":7,"timestamp":1,"data":{"pushed":1}}"#;
const DELTA: &str = r#"{"type":"match_delta","matchId":7,"timestamp":2,"changes":{"updated":{"pushed":2}}}"#;

/// Answers each request, with another body each time.
fn answer_all(listener: &TcpListener) {
    for (n, stream) in listener.incoming().map_while(Result::ok).enumerate() {
        std::thread::spawn(move || answer(&stream, n));
    }
}

fn answer(stream: &TcpStream, connection: usize) {
    let (mut lines, mut out) = (BufReader::new(stream).lines(), stream);
    for n in 0.. {
        while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
        let body = format!("{{\"polled\":\"{connection} {n}\"}}");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if out.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// On each connection: what is asked for, then one snapshot and one delta; it is closed when that is wanted, and the next is answered when that is.
fn push_all(listener: &TcpListener, close: &Receiver<()>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let mut reader = ws::Reader::new(ws::Role::Server, ws::Limits::default());
        let mut writer = ws::Writer::new(ws::Role::Server, None, usize::MAX);
        let mut out = Vec::new();
        let request = loop {
            if let Some((request, used)) = ws::ServerRequest::parse(reader.unread()).unwrap() {
                reader.skip(used);
                break request;
            }
            fill(&stream, &mut reader);
        };
        assert_eq!(request.target, "/ws?key=a%20b");
        request.accept(None, None, &mut out);
        (&stream).write_all(&out).unwrap();
        while reader.advance().unwrap() != Some(ws::Arrived::Text) {
            fill(&stream, &mut reader);
        }
        assert_eq!(reader.payload(), br#"{"action":"subscribe","type":"match","matchId":7}"#);
        out.clear();
        for text in [r#"{"type":"connected"}"#, SNAPSHOT, DELTA] {
            writer.text(text.as_bytes(), &mut out);
        }
        (&stream).write_all(&out).unwrap();
        if close.recv().is_err() {
            return;
        }
        drop(stream);
        // The next has to wait, so that it is polled meanwhile.
        if close.recv().is_err() {
            return;
        }
    }
}

fn fill(mut stream: &TcpStream, reader: &mut ws::Reader) {
    let mut bytes = [0; 4096];
    let count = stream.read(&mut bytes).unwrap();
    assert!(count > 0, "it was closed too early");
    reader.feed(&bytes[..count]);
}

struct Bench {
    poll: mio::Poll,
    source: Poll,
    seen: Vec<String>,
}

impl Bench {
    /// Goes on until something is seen that `is_wanted`; what was seen up to then.
    fn until(&mut self, is_wanted: fn(&str) -> bool) -> Vec<String> {
        let end = Instant::now() + LONG;
        while !self.seen.iter().any(|seen| is_wanted(seen)) {
            assert!(Instant::now() < end, "{:?}", self.seen);
            self.turn(LONG);
        }
        std::mem::take(&mut self.seen)
    }

    fn turn(&mut self, longest: Duration) {
        let now = Instant::now();
        let due = self.source.deadline().map_or(longest, |due| due.saturating_duration_since(now));
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(due.min(longest))).unwrap();
        for event in &events {
            self.source.note(event.token(), Readiness::of(event));
        }
        self.source.advance(self.poll.registry(), Instant::now());
        loop {
            self.source.read(Instant::now());
            self.take();
            if self.source.is_drained() {
                break;
            }
        }
        self.source.flush();
    }

    fn take(&mut self) {
        let mut is_connected = false;
        while let Some(event) = self.source.next_event() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.seen.push(match event {
                Event::Snapshot { topic: b"m/7", body } => format!("snapshot {}", text(body)),
                Event::Delta { topic: b"m/7", body } => format!("delta {}", text(body)),
                Event::Skipped(why) => why,
                Event::Connection(change) => {
                    is_connected |= change == ConnectionEvent::Connected;
                    continue;
                }
                other @ (Event::Snapshot { .. }
                | Event::Delta { .. }
                | Event::Unchanged { .. }
                | Event::RoundEnd { .. }
                | Event::Removed { .. }
                | Event::Status { .. }
                | Event::Interrupted { .. }
                | Event::Refused { .. }
                | Event::QueueDepth(_)) => format!("{other:?}"),
            });
        }
        if is_connected {
            self.source.follow("m/7").unwrap();
        }
    }
}

#[test]
fn a_match_is_pushed_while_the_socket_is_up_and_polled_while_it_is_down() {
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (http, socket) = (listen(), listen());
    let text = format!(
        "[[feed]]\nkind = \"poll\"\nmatches = [\"7\"]\nheaders = {{ X-Key = \"a b\" }}\ninterval = \"20ms\"\n\
         [feed.socket]\nurl = \"ws://{}/ws?key={{X-Key}}\"\nsource = \"m\"\n\
         [[feed.source]]\nname = \"m\"\nurl = \"http://{}/{{ID}}\"\n",
        socket.local_addr().unwrap(),
        http.local_addr().unwrap()
    );
    let config: Config = toml::from_str(&text).unwrap();
    let plan = Plan::new(&config, &config.feed[0]).unwrap();
    let (close, closes) = std::sync::mpsc::channel();
    std::thread::spawn(move || answer_all(&http));
    std::thread::spawn(move || push_all(&socket, &closes));
    let poll = mio::Poll::new().unwrap();
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
    let source = Poll::new(plan, Token(5), waker, Instant::now());
    let mut bench = Bench { poll, source, seen: Vec::new() };
    let snapshot = r#"snapshot {"pushed":1}"#.to_owned();
    let seen = bench.until(|seen| seen == r#"delta {"pushed":2}"#);
    assert!(seen.contains(&snapshot), "{seen:?}");
    // Ten intervals pass in which it would be polled.
    let end = Instant::now() + Duration::from_millis(200);
    while Instant::now() < end {
        bench.turn(end.saturating_duration_since(Instant::now()));
    }
    assert!(bench.seen.is_empty(), "{:?}", bench.seen);
    close.send(()).unwrap();
    let seen = bench.until(|seen| seen.starts_with(r#"snapshot {"polled"#));
    assert!(seen[0].starts_with("the socket is down, its matches are polled"), "{seen:?}");
    close.send(()).unwrap();
    let seen = bench.until(|seen| seen == r#"delta {"pushed":2}"#);
    assert!(seen.contains(&snapshot), "{seen:?}");
}
