//! Sessions against a server that says whatever the test wants.

use super::*;
use crate::feed::{FollowError, TOPIC_MAX};
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
    told: Vec<String>,
    skipped: Vec<Skip>,
}

impl Bench {
    fn new(config: SessionConfig) -> Bench {
        let now = Instant::now();
        Bench { session: Session::new(config, now), now, told: Vec::new(), skipped: Vec::new() }
    }

    /// Asks to go on with the session of this one, which is lost.
    fn again(self, config: SessionConfig) -> Bench {
        let earlier = self.session.into_resume_state().unwrap();
        let session = Session::resume(config, earlier, self.now);
        Bench { session, now: self.now, told: Vec::new(), skipped: Vec::new() }
    }

    fn open(config: SessionConfig) -> Bench {
        let mut bench = Bench::new(config);
        bench.receive(ACCEPTED);
        bench.output();
        bench.told.clear();
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
            self.session.look_ahead();
            let Some(event) = self.session.next_event(self.now) else { return };
            if let SessionEvent::Skipped { why } = event {
                self.skipped.push(why);
            } else {
                self.told.push(told(&event));
            }
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

    fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn why(&self) -> &LostReason {
        match self.session.state() {
            State::Closed { why } => why,
            other @ (State::Shaking { .. } | State::Open) => panic!("not closed but {other:?}"),
        }
    }
}

fn told(event: &SessionEvent<'_>) -> String {
    match event {
        SessionEvent::Opened { client_id, session } => format!("opened {} {session:?}", text(client_id)),
        SessionEvent::Load { topic, body } => format!("load {} {}", text(topic), text(body)),
        SessionEvent::Delta { topic, body } => format!("delta {} {}", text(topic), text(body)),
        SessionEvent::TopicRemoved { topic } => format!("removed {}", text(topic)),
        SessionEvent::TopicStatus { topic, status } => format!("status {} {}", text(topic), text(status)),
        SessionEvent::Skipped { why } => format!("skipped: {why}"),
        SessionEvent::ServerQueue(depth) => format!("queue {depth}"),
        SessionEvent::Lost { why } => format!("lost: {why}"),
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
