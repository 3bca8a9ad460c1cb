//! The rooms of a worker and what drives them: sockets, timers, the line of those that wait to connect.
//!
//! Invariants: a room has at most one connection; one place at an address is taken for each connection and attempt. A turn looks at the
//! rooms that are ready or due, never at all of them. One socket is read at a time, whose packets are taken before the next is read, and
//! a room with more to read goes behind the others: a flood starves nobody. Called through `Source`. `connecting` is
//! what becomes of a room's connection, `reading` what it brings.

mod connecting;
mod reading;

use super::line::Line;
use super::link::Link;
use super::lost::Lost;
use super::plan::Plan;
use super::room::{Input, Room};
use super::table::{Index, Queued, Table, Wire};
use crate::feed::polled::{self, Polled};
use crate::feed::{ConnectionEvent, FollowError, SessionKind, TOPIC_MAX};
use crate::net::Readiness;
use crate::wire::websocket::CloseCode;
use mio::{Registry, Token, Waker};
use reading::{Arriving, Given, Pending};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

/// Tokens of rooms; those of the ranking's sockets come after them.
const ROOM_TOKENS: usize = 1 << 20;

#[derive(Debug)]
pub struct Rooms {
    plan: Plan,
    first: Token,
    waker: Arc<Waker>,
    /// The time as last passed in.
    now: Instant,
    table: Table,
    line: Line,
    queues: Queues,
    arriving: Arriving,
    given: Given,
    pending: VecDeque<Pending>,
    ranking: Option<Polled>,
    counts: Counts,
}

/// Rooms of which something is to be done in this turn.
#[derive(Debug, Default)]
struct Queues {
    /// Those whose sockets have something to read, in turn.
    ready: VecDeque<Index>,
    /// Those that have something to write and a socket that may take it.
    unsent: Vec<Index>,
    /// Those whose attempt to connect may have come further; between two turns, those that wait for a resolver.
    connecting: Vec<Index>,
}

#[derive(Debug)]
struct Counts {
    begun: Begun,
    /// Rooms that are live.
    live: u32,
    /// Rooms with a connection or on the way to one.
    asked: u32,
    connections: u64,
    errors: u64,
}

/// Whether the first turn came, which says that rooms can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    No,
    Yes,
}

impl Rooms {
    /// Rooms of which none is followed. `waker` is of the loop's poll.
    pub fn new(plan: Plan, first: Token, waker: Arc<Waker>, now: Instant) -> Rooms {
        let ranking = plan.ranking.clone();
        let body = plan.limits.body;
        Rooms {
            first,
            waker,
            now,
            table: Table::default(),
            line: Line::new(plan.servers.len(), plan.max_per_address),
            queues: Queues::default(),
            arriving: Arriving::default(),
            given: Given::default(),
            pending: VecDeque::new(),
            ranking: ranking.map(|plan| Polled::new(plan, body, Token(first.0 + ROOM_TOKENS))),
            counts: Counts { begun: Begun::No, live: 0, asked: 0, connections: 0, errors: 0 },
            plan,
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        let at_once = self.counts.begun == Begun::No || (self.line.is_due() && !self.is_resolving());
        let ranking = self.ranking.as_ref().and_then(Polled::deadline);
        let timers = [self.table.deadline(), self.line.deadline(), ranking];
        timers.into_iter().flatten().chain(at_once.then_some(self.now)).min()
    }

    /// Does what is due, and what readiness events may have made possible.
    pub fn advance(&mut self, registry: &Registry, now: Instant) {
        self.now = now;
        self.begin();
        for index in std::mem::take(&mut self.queues.connecting) {
            self.advance_connector(index, registry, now);
        }
        while let Some(index) = self.table.due(now) {
            self.advance_connector(index, registry, now);
            self.advance_room(index, now);
        }
        if self.line.deadline().is_some_and(|until| now >= until) {
            self.line.permit();
        }
        let table = &self.table;
        let attempt = |index: Index| table.get(index).map_or(0, |entry| entry.room.attempt());
        if let Some((index, address)) = self.line.admit(attempt) {
            self.connect(index, address, registry, now);
        }
        if !self.is_resolving() && self.line.asks(now) {
            self.pending.push_back(Pending::Connection(ConnectionEvent::PermitNeeded));
        }
        self.advance_ranking(registry, now);
    }

    /// While a name is being resolved no other room gets its turn: the answer would most likely be the same, and a resolver that
    /// hangs costs a few threads instead of one for each room.
    fn is_resolving(&self) -> bool {
        !self.queues.connecting.is_empty()
    }

    /// There is no single connection: rooms can be followed from the first turn on.
    fn begin(&mut self) {
        match std::mem::replace(&mut self.counts.begun, Begun::Yes) {
            Begun::Yes => {}
            Begun::No => {
                let opened = ConnectionEvent::Opened { client_id: Vec::new(), session: SessionKind::Fresh };
                let begin = [ConnectionEvent::Connected, opened, ConnectionEvent::Up];
                self.pending.extend(begin.map(Pending::Connection));
            }
        }
    }

    fn mark_ready(&mut self, index: Index) {
        let Some(entry) = self.table.get_mut(index) else { return };
        if std::mem::replace(&mut entry.in_ready, Queued::Yes) == Queued::No {
            self.queues.ready.push_back(index);
        }
    }

    fn mark_unsent(&mut self, index: Index) {
        let Some(entry) = self.table.get_mut(index) else { return };
        if std::mem::replace(&mut entry.in_unsent, Queued::Yes) == Queued::No {
            self.queues.unsent.push(index);
        }
    }

    fn advance_ranking(&mut self, registry: &Registry, now: Instant) {
        let Some(came) = self.ranking.as_mut().and_then(|ranking| ranking.advance(registry, now)) else {
            return;
        };
        match came {
            polled::Came::Answer(body) => self.pending.push_back(Pending::List(body)),
            polled::Came::Failed(why) => {
                self.counts.errors += 1;
                self.pending.push_back(Pending::Skipped(why));
            }
            polled::Came::FailedAgain => self.counts.errors += 1,
        }
    }

    pub fn note(&mut self, token: Token, readiness: Readiness) {
        let Some(place) = token.0.checked_sub(self.first.0) else { return };
        if place >= ROOM_TOKENS {
            self.ranking.iter_mut().for_each(|ranking| ranking.note(token, readiness));
            return;
        }
        let index = Index(u32::try_from(place).unwrap_or(u32::MAX));
        let Some(entry) = self.table.get_mut(index) else { return };
        match &mut entry.wire {
            Wire::None => {}
            Wire::Connecting { .. } => self.queues.connecting.push(index),
            Wire::Open(link) => {
                link.note(readiness);
                if link.has_output() {
                    self.mark_unsent(index);
                }
                self.mark_ready(index);
            }
        }
    }

    /// Writes what is to be sent, as far as the sockets take it.
    pub fn flush(&mut self) {
        for index in std::mem::take(&mut self.queues.unsent) {
            let Some(entry) = self.table.get_mut(index) else { continue };
            entry.in_unsent = Queued::No;
            let flushed = entry.link().map_or(Ok(()), Link::flush);
            if let Err(broken) = flushed {
                self.ended(index, &Lost::from(broken), self.now);
            }
        }
    }

    pub fn permit(&mut self, _now: Instant) {
        self.line.permit();
    }

    /// Joins a room; afresh, if it is followed already.
    ///
    /// # Errors
    /// [`FollowError`]: nothing has changed then.
    pub fn follow(&mut self, topic: &str) -> Result<(), FollowError> {
        if self.follows_ranking(topic) {
            return Ok(());
        }
        let Some(index) = self.table.index(topic) else { return self.add(topic) };
        let Some(entry) = self.table.get_mut(index) else { return Ok(()) };
        let before = entry.room.state();
        let action = entry.room.step(Input::Renew, random(), self.now);
        self.closed(index, before, &Lost::Renewed, action);
        self.table.schedule(index);
        Ok(())
    }

    /// Joins a room, unless it is followed already.
    ///
    /// # Errors
    /// As [`Rooms::follow`].
    pub fn keep(&mut self, topic: &str) -> Result<(), FollowError> {
        if self.follows_ranking(topic) || self.table.index(topic).is_some() {
            return Ok(());
        }
        self.add(topic)
    }

    fn follows_ranking(&mut self, topic: &str) -> bool {
        let now = self.now;
        match &mut self.ranking {
            Some(ranking) if topic == self.plan.list_topic => {
                ranking.follow(now);
                true
            }
            Some(_) | None => false,
        }
    }

    fn add(&mut self, topic: &str) -> Result<(), FollowError> {
        if topic.is_empty() || topic.len() > TOPIC_MAX || topic.chars().any(char::is_control) {
            return Err(FollowError::Name { topic: topic.as_bytes().to_vec() });
        }
        let limit = self.plan.max_rooms.min(ROOM_TOKENS);
        if self.table.len() >= limit {
            return Err(FollowError::Full { limit });
        }
        let index = self.table.insert(topic, Room::new(self.plan.heartbeat, self.now));
        self.table.schedule(index);
        Ok(())
    }

    /// Leaves a room.
    pub fn unfollow(&mut self, topic: &str) {
        if topic == self.plan.list_topic {
            self.ranking.iter_mut().for_each(Polled::unfollow);
        }
        let Some(index) = self.table.index(topic) else { return };
        let Some(before) = self.table.get(index).map(|entry| entry.room.state()) else { return };
        self.release(index, before, CloseCode::NORMAL);
        self.line.leave(index);
        let Queues { ready, unsent, connecting } = &mut self.queues;
        ready.retain(|queued| *queued != index);
        unsent.retain(|queued| *queued != index);
        connecting.retain(|queued| *queued != index);
        self.table.remove(index);
    }

    /// Whether rooms can be followed.
    pub fn is_connected(&self) -> bool {
        self.counts.begun == Begun::Yes
    }

    /// Whether a room is live, or the ranking was answered.
    pub fn is_loaded(&self, topic: &str) -> bool {
        let room = self.table.index(topic).and_then(|index| self.table.get(index));
        match (room, &self.ranking) {
            (Some(entry), _) => entry.is_live(),
            (None, Some(ranking)) => topic == self.plan.list_topic && ranking.is_loaded(),
            (None, None) => false,
        }
    }

    /// Rooms with a connection or on the way to one, and the ranking.
    pub fn asked(&self) -> u32 {
        let ranking = self.ranking.as_ref().is_some_and(Polled::is_followed);
        self.counts.asked + u32::from(ranking)
    }

    pub fn errors(&self) -> u64 {
        self.counts.errors
    }

    /// Connections so far, of all rooms.
    pub fn connections(&self) -> u64 {
        self.counts.connections
    }

    /// Leaves all rooms.
    pub fn close(&mut self) {
        let all: Vec<Index> = self.table.indexes().collect();
        for index in all {
            if let Some(name) = self.table.get(index).map(|entry| Arc::clone(&entry.name)) {
                self.unfollow(&name);
            }
        }
    }
}

/// A random number, beyond prediction: no two hashers of the standard library have the same keys.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
