//! What one worker read: its connections one after the other, its trees, and what it reported.
//!
//! Invariants: bytes go through the session that a live connection has, under the time under which they were read; observations are numbered as a
//! worker's match stream is. A connection of which something is missing is given up, its bytes are counted; the next one begins anew.

use super::ledgers::Ledgers;
use crate::feed::diffusion::{ResumeState, Session, SessionConfig, State};
use crate::feed::{ConnectionEvent, Event, Plan, SessionKind};
use crate::payload::{MatchSlot, Names, Received, Seen, Sink, TreeError, Trees};
use crate::raw::Mark;
use crate::record::ledger::incidents::Stated;
use crate::record::ledger::{Input, Report, Source};
use crate::scan;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Instant;
use touchline_common::config::{Config, FeedConfig};
use touchline_common::ipc::messages::data::{EndReason, MatchBase, Section, SectionKey};
use touchline_common::ipc::messages::worker::ReleaseReason;
use touchline_common::model::{
    Clock, Epoch, FeedId, Generation, Handle, Incidents, MarketValue, MatchId, MatchKey, OddsChange,
    SelectionValue, SlotId,
};

pub(super) struct Worker {
    feed_name: String,
    config: SessionConfig,
    /// Empty: the server has no clock.
    time_topic: String,
    trees: Trees,
    live: Option<Live>,
    earlier: Option<ResumeState>,
    /// Something is missing before the next bytes.
    hole: bool,
    /// The connection that was given up.
    broken: Option<u64>,
    reports: Reports,
    pub(super) skipped_bytes: u64,
    pub(super) unusable: u64,
}

struct Live {
    connection: u64,
    session: Session,
}

/// What is followed, and how it is reported.
struct Reports {
    feed: FeedId,
    source: Source,
    /// The number of the newest frame of the match stream.
    n: u64,
    seats: BTreeMap<MatchSlot, Seat>,
    /// Keys of markets, by their handles from 1.
    keys: Vec<String>,
}

struct Seat {
    id: MatchId,
    epoch: Epoch,
    topics: Vec<String>,
    /// Topics whose next load is compared with what is held.
    audited: Vec<String>,
    is_live: bool,
}

impl Worker {
    /// A worker that has read nothing.
    ///
    /// # Errors
    /// Why the feed's settings cannot be used.
    pub(super) fn new(
        config: &Config,
        feed: &FeedConfig,
        (id, slot, generation): (FeedId, SlotId, Generation),
    ) -> Result<Worker, String> {
        let plan = match Plan::new(config, feed)? {
            Plan::Diffusion(plan) => plan,
            Plan::Rooms(_) | Plan::Poll(_) | Plan::Push(_) => {
                return Err(format!(
                    "{}: recordings of feeds of kind {} cannot be replayed",
                    feed.name,
                    feed.kind.name()
                ));
            }
        };
        Ok(Worker {
            feed_name: feed.name.clone(),
            config: plan.session.clone(),
            time_topic: plan.time_topic.clone(),
            trees: scan::trees(config, feed).map_err(|error| error.to_string())?,
            live: None,
            earlier: None,
            hole: false,
            broken: None,
            reports: Reports {
                feed: id,
                source: Source { slot, generation },
                n: 0,
                seats: BTreeMap::new(),
                keys: Vec::new(),
            },
            skipped_bytes: 0,
            unusable: 0,
        })
    }

    /// Something is missing from here on.
    pub(super) fn hole(&mut self) {
        self.hole = true;
    }

    pub(super) fn bytes(&mut self, at: i64, connection: u64, bytes: &[u8], ledgers: &mut Ledgers) {
        let (received, now) = (ledgers.received(at), ledgers.instant(at));
        self.settle(received.mono_ns, ledgers);
        if std::mem::take(&mut self.hole) {
            self.give_up(connection);
        }
        if self.broken == Some(connection) {
            self.skipped_bytes += bytes.len() as u64;
            return;
        }
        if self.live.as_ref().is_none_or(|live| live.connection != connection) {
            self.keep_session();
            let session = Session::new(self.config.clone(), self.earlier.take(), now);
            self.live = Some(Live { connection, session });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(live) = &mut self.live else { return };
            let room = live.session.spare();
            let count = room.len().min(rest.len());
            let (head, tail) = rest.split_at(count);
            if let Some(room) = room.get_mut(..count) {
                room.copy_from_slice(head);
            }
            live.session.filled(count, now);
            self.apply(received, now, ledgers);
            let is_closed = |live: &Live| matches!(live.session.state(), State::Closed { .. });
            if self.live.as_ref().is_none_or(is_closed) || count == 0 {
                self.skipped_bytes += tail.len() as u64;
                return self.give_up(connection);
            }
            rest = tail;
        }
    }

    fn give_up(&mut self, connection: u64) {
        (self.live, self.earlier) = (None, None);
        self.broken = Some(connection);
    }

    fn keep_session(&mut self) {
        if let Some(live) = self.live.take() {
            self.earlier = live.session.into_resume_state();
        }
    }

    /// Takes every message that is whole.
    fn apply(&mut self, received: Received, now: Instant, ledgers: &mut Ledgers) {
        let Worker { live, trees, reports, time_topic, unusable, .. } = self;
        let Some(Live { session, .. }) = live else { return };
        let is_time = |topic: &[u8]| !time_topic.is_empty() && topic == time_topic.as_bytes();
        while let Some(event) = session.next_event(now) {
            let mut sink = Reporter { reports, ledgers };
            let applied = match event {
                Event::Snapshot { topic, body } | Event::Delta { topic, body } if is_time(topic) => {
                    trees.server_time(body, received);
                    Ok(())
                }
                Event::Snapshot { topic, body } => load(trees, topic, body, received, &mut sink),
                Event::Delta { topic, body } => trees.delta(topic, body, received, &mut sink),
                Event::Removed { topic } => trees.topic_removed(topic, received, &mut sink).map(drop),
                Event::Connection(ConnectionEvent::Opened { session, .. }) => {
                    opened(session, trees, received, &mut sink);
                    Ok(())
                }
                Event::Connection(
                    ConnectionEvent::PermitNeeded
                    | ConnectionEvent::Connected
                    | ConnectionEvent::ConnectFailed(_)
                    | ConnectionEvent::Up
                    | ConnectionEvent::Lost(_),
                )
                | Event::Status { .. }
                | Event::Interrupted { .. }
                | Event::Refused { .. }
                | Event::Unchanged { .. }
                | Event::Skipped(_)
                | Event::QueueDepth(_) => Ok(()),
            };
            match applied {
                // The list, and what only the login asked for.
                Ok(()) | Err(TreeError::TopicNotHeld { .. }) => {}
                Err(_) => *unusable += 1,
            }
        }
        // Nobody is there to take what the session would answer.
        let answers = session.output().len();
        session.output_sent(answers);
        self.note_complete();
    }

    /// The recording is over: what still waits for more of a load is complete.
    pub(super) fn finish(&mut self, ledgers: &mut Ledgers) {
        self.settle(u64::MAX, ledgers);
    }

    /// Reports what waited for loads that belong together, at the time at which it was complete.
    fn settle(&mut self, until_ns: u64, ledgers: &mut Ledgers) {
        while let Some(due) = self.trees.settles_at().filter(|due| *due <= until_ns) {
            let received = ledgers.received_after(due);
            self.trees.settle(received, &mut Reporter { reports: &mut self.reports, ledgers });
            self.note_complete();
        }
    }

    fn note_complete(&mut self) {
        let mut complete = Vec::new();
        self.trees.drain_complete(&mut complete);
        for slot in complete {
            if let Some(seat) = self.reports.seats.get_mut(&slot) {
                seat.is_live = self.trees.is_live(slot);
            }
        }
    }

    /// Does what the worker was asked; the last document of a match that ended.
    pub(super) fn mark(&mut self, at: i64, mark: Mark, ledgers: &mut Ledgers) -> Option<Value> {
        let received = ledgers.received(at);
        self.settle(received.mono_ns, ledgers);
        match mark {
            Mark::Worker { .. } => {}
            Mark::Assigned { id, epoch, topics, listing } => match self.trees.add_match(&topics, listing) {
                Ok(slot) => {
                    let seat = Seat { id, epoch, topics, audited: Vec::new(), is_live: false };
                    self.reports.seats.insert(slot, seat);
                }
                Err(_) => self.unusable += 1,
            },
            Mark::Listed { id, listing } => {
                if let Some(slot) = self.reports.slot(&id) {
                    let mut sink = Reporter { reports: &mut self.reports, ledgers };
                    self.trees.set_listing(slot, listing, received, &mut sink);
                }
            }
            Mark::Renewed { id, epoch } => self.renew(&id, epoch, received, ledgers),
            Mark::Audited { id } => {
                if let Some(slot) = self.reports.slot(&id) {
                    self.trees.await_load(slot);
                    let seat = self.reports.seats.get_mut(&slot)?;
                    seat.audited.clone_from(&seat.topics);
                }
            }
            Mark::Released { id, epoch, why } => return self.release(&id, epoch, why, at, ledgers),
            Mark::Lost => self.lost(at, ledgers),
            Mark::Dropped { .. } => self.hole = true,
        }
        None
    }

    fn renew(&mut self, id: &MatchId, epoch: Epoch, received: Received, ledgers: &mut Ledgers) {
        let Some(slot) = self.reports.slot(id) else { return };
        let Some(seat) = self.reports.seats.get_mut(&slot) else { return };
        seat.epoch = epoch;
        let is_live = seat.is_live;
        self.trees.forget_handles(slot);
        if is_live {
            let mut sink = Reporter { reports: &mut self.reports, ledgers };
            self.trees.report(slot, received, &mut sink);
        }
        // The end of the old epoch, which the new one made void.
        self.reports.n += 1;
    }

    fn release(
        &mut self,
        id: &MatchId,
        epoch: Epoch,
        why: ReleaseReason,
        at: i64,
        ledgers: &mut Ledgers,
    ) -> Option<Value> {
        let slot = self.reports.slot(id)?;
        let (document, why) = match why {
            ReleaseReason::Ended => (self.document(slot), EndReason::Ended),
            ReleaseReason::Moved => (None, EndReason::Moved),
        };
        self.reports.n += 1;
        ledgers.advance(&self.reports.key(id), &Input::End { epoch, why, at }, at);
        self.reports.seats.remove(&slot);
        self.trees.remove_match(slot);
        document
    }

    /// The connection is over: for every match that was live a gap begins.
    fn lost(&mut self, at: i64, ledgers: &mut Ledgers) {
        self.keep_session();
        let Reports { feed, n, seats, .. } = &mut self.reports;
        for seat in seats.values_mut().filter(|seat| seat.is_live) {
            (seat.is_live, *n) = (false, *n + 1);
            seat.audited.clear();
            let key = MatchKey { feed: *feed, id: seat.id.clone() };
            ledgers.advance(&key, &Input::End { epoch: seat.epoch, why: EndReason::ConnectionLost, at }, at);
        }
    }

    /// The documents of the matches that are followed.
    pub(super) fn documents(&mut self) -> Vec<Value> {
        let slots: Vec<MatchSlot> = self.reports.seats.keys().copied().collect();
        slots.into_iter().filter_map(|slot| self.document(slot)).collect()
    }

    fn document(&mut self, slot: MatchSlot) -> Option<Value> {
        let id = self.reports.seats.get(&slot)?.id.clone();
        let mut sections = Vec::new();
        self.trees.render_whole(slot, &mut self.reports, &mut sections);
        if !sections.iter().any(|section| section.key == SectionKey::Head) {
            return None;
        }
        let mut whole = Map::new();
        whole.insert("match".to_owned(), id.as_str().into());
        whole.insert("feed".to_owned(), self.feed_name.as_str().into());
        let mut markets = Map::new();
        for Section { key, body } in sections {
            let Some(Ok(value)) = body.map(|body| serde_json::from_str::<Value>(&body)) else { continue };
            match (key, value) {
                (SectionKey::Head | SectionKey::Tail, Value::Object(members)) => whole.extend(members),
                (SectionKey::Head | SectionKey::Tail, _) => {}
                (SectionKey::Market(handle), value) => {
                    let place = (handle.0 as usize).checked_sub(1);
                    let key = place.and_then(|place| self.reports.keys.get(place));
                    markets.extend(key.map(|key| (key.clone(), value)));
                }
            }
        }
        whole.insert("markets".to_owned(), markets.into());
        Some(whole.into())
    }
}

/// A session is open: a new one brings everything anew; in one that goes on, what was loaded before stands as it is.
fn opened(session: SessionKind, trees: &mut Trees, received: Received, sink: &mut Reporter<'_>) {
    match session {
        SessionKind::Fresh => trees.connection_lost(),
        SessionKind::Resumed => {
            let seats = sink.reports.seats.iter();
            let is_kept =
                |(slot, seat): (&MatchSlot, &Seat)| (!seat.is_live && trees.is_live(*slot)).then_some(*slot);
            let kept: Vec<MatchSlot> = seats.filter_map(is_kept).collect();
            for slot in kept {
                if let Some(seat) = sink.reports.seats.get_mut(&slot) {
                    seat.is_live = true;
                }
                trees.report(slot, received, sink);
            }
        }
    }
}

fn load(
    trees: &mut Trees,
    topic: &[u8],
    body: &[u8],
    received: Received,
    sink: &mut Reporter<'_>,
) -> Result<(), TreeError> {
    let Some(slot) = trees.owner(topic) else { return trees.load(topic, body, received, sink) };
    let is_audited = sink.reports.seats.get(&slot).is_some_and(|seat| !seat.audited.is_empty());
    if is_audited {
        trees.audit(topic, body, received, sink)?;
    } else {
        trees.load(topic, body, received, sink)?;
    }
    let asked = trees.subscription(topic).unwrap_or(topic);
    if let Some(seat) = sink.reports.seats.get_mut(&slot) {
        seat.audited.retain(|topic| topic.as_bytes() != asked);
        // A branch is live when its load is complete.
        seat.is_live |= trees.is_live(slot);
    }
    Ok(())
}

impl Reports {
    fn slot(&self, id: &MatchId) -> Option<MatchSlot> {
        self.seats.iter().find(|(_, seat)| seat.id == *id).map(|(slot, _)| *slot)
    }

    fn key(&self, id: &MatchId) -> MatchKey {
        MatchKey { feed: self.feed, id: id.clone() }
    }

    /// The next report of a match.
    fn report(&mut self, slot: MatchSlot, clock: Option<Clock>, at: i64) -> Option<(MatchKey, Report)> {
        let Seat { id, epoch, .. } = self.seats.get(&slot)?;
        self.n += 1;
        let report = Report { n: self.n, epoch: *epoch, clock, at, version: 0 };
        Some((self.key(id), report))
    }
}

impl Names for Reports {
    fn name_market(&mut self, _: MatchSlot, key: &[u8], _: &[u8]) -> Handle {
        self.keys.push(String::from_utf8_lossy(key).into_owned());
        Handle(u32::try_from(self.keys.len()).unwrap_or(0))
    }

    fn name_selection(&mut self, _: MatchSlot, _: Handle, _: &[u8], _: &[u8]) -> Handle {
        Handle(0)
    }
}

/// Gives the ledgers what the trees see.
struct Reporter<'a> {
    reports: &'a mut Reports,
    ledgers: &'a mut Ledgers,
}

impl Names for Reporter<'_> {
    fn name_market(&mut self, slot: MatchSlot, key: &[u8], name: &[u8]) -> Handle {
        self.reports.name_market(slot, key, name)
    }

    fn name_selection(&mut self, slot: MatchSlot, market: Handle, key: &[u8], name: &[u8]) -> Handle {
        self.reports.name_selection(slot, market, key, name)
    }
}

impl Sink for Reporter<'_> {
    fn base(&mut self, slot: MatchSlot, base: MatchBase<'_>) {
        let MatchBase { facts, teams, registers, values, clock, at, .. } = &base;
        let Some((key, report)) = self.reports.report(slot, *clock, *at) else { return };
        let (source, teams) = (self.reports.source, teams.as_ref());
        let input = Input::Base { report, source, facts, teams, registers, values: &values[..] };
        self.ledgers.advance(&key, &input, *at);
    }

    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>) {
        let at = seen.received.wall_us;
        let Some((key, report)) = self.reports.report(slot, seen.clock, at) else { return };
        let (registers, changes) = (seen.registers, seen.changes);
        self.ledgers.advance(&key, &Input::Obs { report, registers, changes }, at);
    }

    fn incidents(&mut self, slot: MatchSlot, stated: Incidents, received: Received) {
        let at = received.wall_us;
        let Some((key, report)) = self.reports.report(slot, None, at) else { return };
        let stated = Stated::new(stated, self.ledgers.bounds(&key));
        self.ledgers.advance(&key, &Input::Incidents { report, statement: stated.statement() }, at);
    }

    // Rows of odds are not replayed.
    fn odds_base(&mut self, _: MatchSlot, _: &[MarketValue], _: &[SelectionValue<'_>], _: Received) {}
    fn odds(&mut self, _: MatchSlot, _: &[OddsChange<'_>], _: Received) {}
    fn touched(&mut self, _: MatchSlot) {}
}
