//! What is read, and the events that it makes: one socket at a time, packet by packet.

use super::{Rooms, random};
use crate::feed::rooms::link::{Came, Link};
use crate::feed::rooms::lost::Lost;
use crate::feed::rooms::room::{Input, State};
use crate::feed::rooms::table::{Index, Queued};
use crate::feed::{ConnectionEvent, Event, TakeReceived};
use crate::wire::rooms::{Operation, join_outcome};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of one read.
const READ: usize = 64 * 1024;
/// What the buffer of an event's body keeps.
const KEEP: usize = 64 * 1024;
/// Bytes of the answer to a heartbeat that are the popularity; others may follow.
const POPULARITY: usize = 4;
/// What stands for the answer to a join where a server serves without one.
const NO_ANSWER: &[u8] = b"{}";

/// What no packet brings.
#[derive(Debug)]
pub(super) enum Pending {
    Connection(ConnectionEvent),
    Interrupted {
        topic: Arc<str>,
        why: String,
        unheard: Duration,
    },
    Refused {
        topic: Arc<str>,
        why: String,
        retry: Duration,
    },
    Skipped(String),
    /// The ranking.
    List(Vec<u8>),
}

/// What was read of one room and is not taken yet. All rooms share the buffer.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    bytes: Vec<u8>,
    filled: usize,
    taken: usize,
    of: Option<Index>,
    /// None where nobody wants it.
    kept: Option<Kept>,
}

/// What was read since it was last taken.
#[derive(Debug, Default)]
struct Kept {
    /// The number of its connection.
    connection: u64,
    /// Whose that is, with its first bytes.
    topic: Option<Arc<str>>,
    bytes: Vec<u8>,
}

impl Arriving {
    /// The rest is not taken: its connection is over.
    pub(super) fn forget(&mut self, index: Index) {
        if self.of == Some(index) {
            self.of = None;
        }
    }
}

/// What the event that was given last borrows.
#[derive(Debug)]
pub(super) struct Given {
    topic: Arc<str>,
    body: Vec<u8>,
    /// A message that comes next: it was the first sign that a join is accepted.
    next: Option<Vec<u8>>,
}

impl Default for Given {
    fn default() -> Given {
        Given { topic: "".into(), body: Vec::new(), next: None }
    }
}

/// An event, but for what it borrows.
enum Step {
    Connection(ConnectionEvent),
    Snapshot,
    Delta,
    Interrupted(String, Duration),
    Refused(String, Duration),
    Skipped(String),
}

impl Rooms {
    /// One read of one socket; how many bytes.
    pub fn read(&mut self, now: Instant) -> usize {
        self.now = now;
        if self.arriving.of.is_some() {
            return 0;
        }
        let Some(index) = self.queues.ready.pop_front() else { return 0 };
        let Some(entry) = self.table.get_mut(index) else { return 0 };
        entry.in_ready = Queued::No;
        let name = Arc::clone(&entry.name);
        let Some(link) = entry.link() else { return 0 };
        let Arriving { bytes, filled, taken, of, kept } = &mut self.arriving;
        bytes.resize(READ, 0);
        let count = match link.read(bytes) {
            Ok(count) => count,
            Err(lost) => {
                self.ended(index, &lost, now);
                return 0;
            }
        };
        if let Some(kept) = kept
            && count > 0
        {
            kept.connection = link.number;
            kept.topic = link.is_first_read().then(|| Arc::clone(&name));
            kept.bytes.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
        (*filled, *taken, *of) = (count, 0, (count > 0).then_some(index));
        let (is_drained, has_output) = (link.is_drained(), link.has_output());
        if count > 0 {
            entry.room.step(Input::Heard, random(), now);
        }
        if !is_drained {
            self.mark_ready(index);
        }
        // Its timer may have fired while this waited to be read.
        self.table.schedule(index);
        // TLS answers what it read.
        if has_output {
            self.mark_unsent(index);
        }
        count
    }

    /// Whether all that came is read and given.
    pub fn is_drained(&self) -> bool {
        let given = self.pending.is_empty() && self.given.next.is_none() && self.arriving.of.is_none();
        given && self.queues.ready.is_empty()
    }

    /// The next event in what was read; none if more must be read.
    pub fn next_event(&mut self, now: Instant) -> Option<Event<'_>> {
        self.now = now;
        let step = self.next_step(now)?;
        let (topic, body) = (self.given.topic.as_bytes(), self.given.body.as_slice());
        Some(match step {
            Step::Connection(event) => Event::Connection(event),
            Step::Snapshot => Event::Snapshot { topic, body },
            Step::Delta => Event::Delta { topic, body },
            Step::Interrupted(why, unheard) => Event::Interrupted { topic, why, unheard },
            Step::Refused(why, retry) => Event::Refused { topic, why, retry },
            Step::Skipped(why) => Event::Skipped(why),
        })
    }

    fn next_step(&mut self, now: Instant) -> Option<Step> {
        if let Some(body) = self.given.next.take() {
            self.given.body = body;
            return Some(Step::Delta);
        }
        loop {
            if let Some(pending) = self.pending.pop_front() {
                return Some(self.give(pending));
            }
            let index = self.arriving.of?;
            match self.take(index) {
                Ok(Some(Came::Packet(operation))) => {
                    if let Some(step) = self.packet(index, operation, now) {
                        return Some(step);
                    }
                }
                Ok(Some(Came::Opened)) => self.join(index),
                Ok(Some(Came::Bad(why))) => {
                    self.counts.errors += 1;
                    let room = self.table.get(index).map_or("", |entry| &entry.name);
                    return Some(Step::Skipped(format!("room {room}: {why}")));
                }
                Ok(None) => self.arriving.of = None,
                Err(lost) => {
                    self.counts.errors += u64::from(lost.is_bad_input());
                    self.ended(index, &lost, now);
                    self.arriving.of = None;
                }
            }
        }
    }

    fn give(&mut self, pending: Pending) -> Step {
        match pending {
            Pending::Connection(event) => Step::Connection(event),
            Pending::Skipped(why) => Step::Skipped(why),
            Pending::Interrupted { topic, why, unheard } => {
                self.given.topic = topic;
                Step::Interrupted(why, unheard)
            }
            Pending::Refused { topic, why, retry } => {
                self.given.topic = topic;
                Step::Refused(why, retry)
            }
            Pending::List(body) => {
                self.given.topic = self.plan.list_topic.as_str().into();
                self.given.body = body;
                Step::Snapshot
            }
        }
    }

    /// The next of what was read of a room; its body is given.
    fn take(&mut self, index: Index) -> Result<Option<Came>, Lost> {
        let Some(link) = self.table.get_mut(index).and_then(|entry| entry.link()) else { return Ok(None) };
        let Arriving { bytes, filled, taken, .. } = &mut self.arriving;
        if self.given.body.capacity() > KEEP {
            self.given.body = Vec::new();
        }
        link.next(bytes.get(..*filled).unwrap_or_default(), taken, &mut self.given.body)
    }

    fn join(&mut self, index: Index) {
        let Some(entry) = self.table.get_mut(index) else { return };
        let name = Arc::clone(&entry.name);
        entry.link().into_iter().for_each(|link: &mut Link| link.join(&name));
        self.mark_unsent(index);
    }

    /// What a packet means; its body is in `given`.
    fn packet(&mut self, index: Index, operation: Operation, now: Instant) -> Option<Step> {
        let entry = self.table.get(index)?;
        if !Arc::ptr_eq(&self.given.topic, &entry.name) {
            self.given.topic = Arc::clone(&entry.name);
        }
        let stage = match entry.room.state() {
            State::Live { .. } => Stage::Live,
            State::Joining { .. } => Stage::Joining,
            State::Waiting { .. } | State::InLine | State::Connecting | State::Parked { .. } => return None,
        };
        match (operation, stage) {
            (Operation::Message, Stage::Live) => Some(Step::Delta),
            (Operation::HeartbeatReply, Stage::Live) => {
                self.given.body.truncate(POPULARITY);
                Some(Step::Delta)
            }
            (Operation::JoinReply, Stage::Joining) => match join_outcome(&self.given.body) {
                Ok(()) => Some(self.accepted(index, now)),
                Err(code) => {
                    self.ended(index, &Lost::Refused { code }, now);
                    None
                }
            },
            // A server that serves has accepted the join, whether or not it says so.
            (Operation::Message, Stage::Joining) => {
                self.given.next = Some(std::mem::replace(&mut self.given.body, NO_ANSWER.to_vec()));
                Some(self.accepted(index, now))
            }
            (Operation::JoinReply, Stage::Live)
            | (Operation::HeartbeatReply, Stage::Joining)
            | (Operation::Heartbeat | Operation::Join | Operation::Other(_), Stage::Live | Stage::Joining) => {
                None
            }
        }
    }

    fn accepted(&mut self, index: Index, now: Instant) -> Step {
        if let Some(entry) = self.table.get_mut(index) {
            entry.room.step(Input::Accepted, random(), now);
            self.counts.live += 1;
        }
        self.table.schedule(index);
        Step::Snapshot
    }

    /// Bytes that came and are not applied.
    pub fn receive_queue(&self) -> u64 {
        let waiting = self.queues.ready.iter().filter_map(|index| self.table.get(*index));
        let waiting: u64 = waiting.filter_map(|entry| entry.open()).map(Link::receive_queue).sum();
        let Arriving { filled, taken, of, .. } = &self.arriving;
        waiting + of.map_or(0, |_| filled.saturating_sub(*taken) as u64)
    }

    /// From now on, what sockets bring is kept for [`Rooms::take_received`].
    pub fn keep_received(&mut self) {
        self.arriving.kept.get_or_insert_default();
    }

    /// Gives what a socket brought since the last time, as it was read, with the number of its connection; the first time with the room.
    pub fn take_received(&mut self, take: &mut TakeReceived<'_>) {
        if let Some(kept) = &mut self.arriving.kept
            && !kept.bytes.is_empty()
        {
            take(kept.connection, kept.topic.take().as_deref(), &kept.bytes);
            kept.bytes.clear();
        }
    }
}

/// How far a connection has come of which packets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Joining,
    Live,
}
