//! Sessions against a server that says whatever the test wants.

use super::session::Step;
use super::*;
use crate::feed::{ConnectionEvent, Event, FollowError, TOPIC_MAX};
use crate::wire::diffusion::tests::captures::conversations;
use crate::wire::diffusion::{
    self, ConnectRequest, ConnectResponse, FragmentError, FrameBuffer, HandshakeError, MessageType,
};
use crate::wire::diffusion::{FrameWriter, Part, ResponseCode, TopicRef, WireError};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const ACCEPTED: &[u8] = b"\x23\x04\x64\x04client-1\x00";

/// A session with its time; what it tells is written down as text, and what it skips apart.
struct Bench {
    session: Session,
    now: Instant,
    reported: Vec<String>,
    skipped: Vec<Skip>,
    is_over: bool,
}

impl Bench {
    fn new(config: SessionConfig) -> Bench {
        let now = Instant::now();
        Bench::on(Session::new(config, None, now), now)
    }

    /// Asks to go on with the session of this one, which is lost.
    fn again(self, config: SessionConfig) -> Bench {
        let earlier = self.session.into_resume_state().unwrap();
        Bench::on(Session::new(config, Some(earlier), self.now), self.now)
    }

    fn on(session: Session, now: Instant) -> Bench {
        Bench { session, now, reported: Vec::new(), skipped: Vec::new(), is_over: false }
    }

    fn open(config: SessionConfig) -> Bench {
        let mut bench = Bench::new(config);
        bench.receive(ACCEPTED);
        bench.output();
        bench.reported.clear();
        bench
    }

    fn receive(&mut self, bytes: &[u8]) -> &mut Bench {
        let mut rest = bytes;
        while !rest.is_empty() {
            let spare = self.session.spare();
            let (piece, after) = rest.split_at(spare.len().min(rest.len()));
            spare[..piece.len()].copy_from_slice(piece);
            self.session.filled(piece.len(), self.now);
            self.events();
            rest = after;
        }
        self
    }

    fn events(&mut self) {
        // As the loop does it.
        loop {
            let _ = self.session.look_ahead();
            let Some(step) = self.session.next_step(self.now) else { break };
            assert!(!self.is_over, "something after the end");
            if let Step::Skipped(why) = step {
                self.skipped.push(why);
            } else {
                self.reported.push(reported(&self.session.event(step).unwrap()));
            }
        }
        if let Some(why) = self.session.why().filter(|_| !self.is_over) {
            self.reported.push(format!("lost: {why}"));
            self.is_over = true;
        }
    }

    fn pass(&mut self, time: Duration) -> &mut Bench {
        self.now += time;
        self.session.timer(self.now);
        self.events();
        self
    }

    /// Takes what is to be sent.
    fn output(&mut self) -> Vec<u8> {
        let bytes = self.session.output().to_vec();
        self.session.output_sent(bytes.len());
        bytes
    }

    /// Takes what is to be sent, as type and first header.
    fn sent(&mut self) -> Vec<(MessageType, String)> {
        let bytes = self.output();
        let mut buffer = FrameBuffer::new(1 << 20);
        buffer.spare()[..bytes.len()].copy_from_slice(&bytes);
        buffer.filled(bytes.len());
        let mut sent = Vec::new();
        while let Some(message) = buffer.next_message().unwrap() {
            sent.push((message.kind, text(message.headers.get(0).unwrap_or_default())));
        }
        assert!(buffer.unread().is_empty());
        sent
    }

    fn take_reported(&mut self) -> Vec<String> {
        std::mem::take(&mut self.reported)
    }

    fn why(&self) -> &LostReason {
        match self.session.state() {
            State::Closed { why } => why,
            other @ (State::Shaking { .. } | State::Open) => panic!("not closed but {other:?}"),
        }
    }
}

fn reported(event: &Event<'_>) -> String {
    match event {
        Event::Connection(ConnectionEvent::Opened { client_id, session }) => {
            format!("opened {} {session:?}", text(client_id))
        }
        Event::Connection(other) => panic!("{other:?} is not a session's to tell"),
        Event::Snapshot { topic, body } => format!("load {} {}", text(topic), text(body)),
        Event::Delta { topic, body } => format!("delta {} {}", text(topic), text(body)),
        Event::Removed { topic } => format!("removed {}", text(topic)),
        Event::Unchanged { .. } | Event::RoundEnd { .. } => panic!("{event:?} is not a session's to tell"),
        Event::Status { topic, status } => format!("status {} {}", text(topic), text(status)),
        Event::Skipped(why) => format!("skipped: {why}"),
        Event::Interrupted { .. } | Event::Refused { .. } => unreachable!("a session has one connection"),
        Event::QueueDepth(depth) => format!("queue {depth}"),
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn bytes(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn load(name: &str, alias: &str, body: &str) -> Vec<u8> {
    let topic = TopicRef::Named { name: name.as_bytes(), alias: Some(alias.as_bytes()) };
    bytes(|out| diffusion::load(out, topic, body.as_bytes()).unwrap())
}

fn delta(alias: &str, body: &str) -> Vec<u8> {
    bytes(|out| diffusion::delta(out, TopicRef::Alias(alias.as_bytes()), body.as_bytes()).unwrap())
}

fn quiet() -> SessionConfig {
    SessionConfig { ping_interval: None, ..SessionConfig::default() }
}

fn topics(count: usize) -> Vec<String> {
    (0..count).map(|place| format!("t{place}")).collect()
}

mod bad_input;
mod bodies;
mod lifecycle;
mod messages;
mod resuming;
mod subscribing;
mod unanswered;
