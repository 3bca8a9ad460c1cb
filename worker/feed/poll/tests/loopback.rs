//! The whole source, over a real socket.

use super::plan::*;
use crate::feed::poll::Poll;
use crate::feed::{ConnectionEvent, Event};
use crate::net::Readiness;
use mio::{Events, Token};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

/// Answers each request with its path and a number that rises.
fn serve(listener: &TcpListener) {
    for (n, stream) in listener.incoming().map_while(Result::ok).enumerate() {
        std::thread::spawn(move || answer(&stream, n));
    }
}

fn answer(mut stream: &TcpStream, connection: usize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let mut n = 0;
    while let Some(request) = lines.find(|line| line.starts_with("GET ")) {
        n += 1;
        let body =
            format!("{{\"path\":\"{}\",\"n\":\"{connection}.{n}\"}}", request.split(' ').nth(1).unwrap());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn documents_come_as_snapshot_and_then_as_deltas() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    std::thread::spawn(move || serve(&listener));
    let mut poll = mio::Poll::new().unwrap();
    let often = crate::feed::poll::SourcePlan {
        every_scheduled: Duration::from_millis(20),
        spread: Duration::ZERO,
        ..document("a", &url)
    };
    let end = Instant::now() + LONG;
    let waker = Arc::new(mio::Waker::new(poll.registry(), Token(8)).unwrap());
    let mut source = Poll::new(plan(vec![often]), Token(9), waker, Instant::now());
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 6 {
        assert!(Instant::now() < end, "{seen:?}");
        let now = Instant::now();
        let due = source.deadline().map_or(LONG, |due| due.saturating_duration_since(now));
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(due.min(LONG))).unwrap();
        for event in &events {
            source.note(event.token(), Readiness::of(event));
        }
        source.advance(poll.registry(), Instant::now());
        loop {
            source.read(Instant::now());
            let mut is_connected = false;
            while let Some(event) = source.next_event() {
                seen.push(match event {
                    Event::Snapshot { topic: b"a", body } if body.starts_with(b"{\"path\":\"/a\"") => {
                        "snapshot".into()
                    }
                    Event::Delta { topic: b"a", .. } => "delta".into(),
                    Event::Connection(ConnectionEvent::Connected) => {
                        is_connected = true;
                        "connected".into()
                    }
                    Event::Connection(ConnectionEvent::Opened { .. }) => "opened".into(),
                    Event::Connection(ConnectionEvent::Up) => "up".into(),
                    Event::RoundEnd { .. } => continue,
                    other @ (Event::Connection(_)
                    | Event::Snapshot { .. }
                    | Event::Delta { .. }
                    | Event::Unchanged { .. }
                    | Event::Removed { .. }
                    | Event::Status { .. }
                    | Event::Interrupted { .. }
                    | Event::Refused { .. }
                    | Event::Skipped(_)
                    | Event::QueueDepth(_)) => format!("{other:?}"),
                });
            }
            if is_connected {
                source.follow("a").unwrap();
            }
            if source.is_drained() {
                break;
            }
        }
    }
    assert_eq!(seen[..6], ["connected", "opened", "up", "snapshot", "delta", "delta"]);
}
