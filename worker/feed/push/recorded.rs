//! Connections as they were recorded, one after the other, each with its WebSocket and its session: for a replay, without a socket.
//!
//! What is asked of the server goes out at once here, so every answer finds it asked for. Nobody reads what the session sends. A connection whose
//! beginning is missing, or in which something is, is given up, and its bytes are counted. Caller: `replay`.

use super::plan::Plan;
use super::session::{Form, ResumeState, Session, SessionConfig};
use crate::feed::Event;
use crate::wire::websocket::{self, Arrived, Reader, Role, agreed_in};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As of a connection.
const KEEP: Duration = Duration::from_secs(60);
/// Topics and messages a second: any number.
const ANY: f64 = 1e9;

pub struct Recorded {
    config: Arc<SessionConfig>,
    limits: websocket::Limits,
    followed: BTreeSet<String>,
    live: Option<Live>,
    earlier: Option<(ResumeState, Instant)>,
    /// The connection that was given up.
    broken: Option<u64>,
}

struct Live {
    connection: u64,
    reader: Reader,
    session: Session,
    opening: Opening,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// The answer to our request is not whole.
    Asked,
    Open,
}

/// Nothing more of the connection can be read.
struct Over;

impl Recorded {
    pub fn new(plan: &Plan) -> Recorded {
        let mut config = SessionConfig::clone(&plan.session);
        config.subscriptions.topics_per_s = ANY;
        config.subscriptions.messages_per_s = ANY;
        let (limits, followed) = (plan.limits, BTreeSet::new());
        Recorded { config: Arc::new(config), limits, followed, live: None, earlier: None, broken: None }
    }

    /// Asks for a topic; again, if it was asked for.
    pub fn follow(&mut self, topic: &str) {
        self.followed.insert(topic.to_owned());
        if let Some(live) = &mut self.live {
            // What it could say was said when it was recorded.
            let _ = live.session.follow(topic);
        }
    }

    pub fn unfollow(&mut self, topic: &str) {
        self.followed.remove(topic);
        self.live.iter_mut().for_each(|live| live.session.unfollow(topic));
    }

    /// Gives each event of the bytes to `take`, which says whether a delta could not be applied; how many bytes are skipped.
    pub fn bytes(
        &mut self,
        connection: u64,
        bytes: &[u8],
        now: Instant,
        take: &mut dyn FnMut(&Event<'_>) -> Applied,
    ) -> usize {
        if self.broken == Some(connection) {
            return bytes.len();
        }
        if self.live.as_ref().is_none_or(|live| live.connection != connection) {
            self.begin(connection, now);
        }
        let Some(live) = &mut self.live else { return bytes.len() };
        live.reader.feed(bytes);
        if live.read(now, take).is_err() {
            self.lost(now);
            self.broken = Some(connection);
        }
        0
    }

    fn begin(&mut self, connection: u64, now: Instant) {
        self.lost(now);
        let earlier = self.earlier.take().filter(|(_, until)| now < *until);
        let earlier = earlier.map(|(earlier, _)| earlier).unwrap_or_default();
        let mut session = Session::new(Arc::clone(&self.config), earlier, now);
        for topic in &self.followed {
            let _ = session.keep(topic);
        }
        let reader = Reader::new(Role::Client, self.limits);
        self.live = Some(Live { connection, reader, session, opening: Opening::Asked });
    }

    /// The connection is over; what it held may be gone on with.
    pub fn lost(&mut self, now: Instant) {
        if let Some(live) = self.live.take() {
            self.earlier = now.checked_add(KEEP).map(|until| (live.session.into_resume_state(), until));
        }
    }

    /// Nothing more of this connection can be replayed.
    pub fn give_up(&mut self, connection: u64) {
        (self.live, self.earlier) = (None, None);
        self.broken = Some(connection);
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    Yes,
    /// A delta of this topic could not be: it is asked for anew.
    NotTo(String),
}

impl Live {
    fn read(&mut self, now: Instant, take: &mut dyn FnMut(&Event<'_>) -> Applied) -> Result<(), Over> {
        if self.opening == Opening::Asked {
            let Some((deflate, used)) = agreed_in(self.reader.unread()).map_err(|_| Over)? else {
                return Ok(());
            };
            self.reader.skip(used);
            self.reader.agreed(deflate);
            self.opening = Opening::Open;
            self.session.connected(now);
        }
        self.session.timer(now);
        self.give(now, take);
        while let Some(arrived) = self.reader.advance().map_err(|_| Over)? {
            match arrived {
                Arrived::Text => self.session.take(self.reader.payload(), Form::Text, now),
                Arrived::Binary => self.session.take(self.reader.payload(), Form::Binary, now),
                Arrived::Ping | Arrived::Pong => self.session.frame_came(now),
                Arrived::Close(_) => return Err(Over),
            }
            self.give(now, take);
            if self.session.why().is_some() {
                return Err(Over);
            }
        }
        Ok(())
    }

    fn give(&mut self, now: Instant, take: &mut dyn FnMut(&Event<'_>) -> Applied) {
        loop {
            while self.session.next_outgoing().is_some() {}
            if self.session.next_step().is_none() {
                // What a step asks for goes out before the next message.
                self.session.timer(now);
                if !self.session.has_steps() {
                    break;
                }
                continue;
            }
            let applied = self.session.event().map_or(Applied::Yes, |event| take(&event));
            match applied {
                Applied::Yes => {}
                Applied::NotTo(topic) => self.session.renew(&topic, now),
            }
        }
        while self.session.next_outgoing().is_some() {}
    }
}
