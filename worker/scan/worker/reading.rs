//! Step 1 of a turn: what the server sent is read, framed and applied to the trees.

use super::Worker;
use super::audits::load;
use super::connection::{interrupted, log_interrupted, log_refused};
use super::report::Meter;
use crate::feed::{ConnectionEvent, Event};
use crate::payload::{MatchSlot, Received, TreeError};
use crate::raw::{self, Mark};
use crate::scan::clock::wall_us;
use crate::scan::reporter::Reporter;
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::worker::{ConnectionState, FromWorker, MatchState};

/// Bytes read in a turn.
const READ_BUDGET: usize = 256 * 1024;
const TIME_BUDGET: Duration = Duration::from_millis(1);

/// What a message brought that the coordinator must know.
#[derive(Clone, Copy, Debug)]
pub(in crate::scan) enum TopicChange {
    Loaded(MatchSlot),
    Removed(MatchSlot),
    /// It is not followed at the moment, and in this state.
    Lost(MatchSlot, MatchState),
}

impl Worker {
    /// Step 1: read and apply until drained, or 256 KiB, or 1 ms.
    pub(super) fn read(&mut self) {
        let began = Instant::now();
        self.source.advance(self.poll.registry(), began);
        let mut taken = 0;
        let mut now = began;
        loop {
            if !self.source.is_drained() {
                taken += self.source.read(now);
            }
            let received = self.clock.received(now);
            self.record_received(received);
            self.apply(now, received);
            if self.source.is_drained() || taken >= READ_BUDGET {
                break;
            }
            now = Instant::now();
            if now.saturating_duration_since(began) >= TIME_BUDGET {
                break;
            }
        }
        self.meter.bytes += taken as u64;
        self.turn.has_read = taken > 0;
        if !self.source.is_drained() {
            self.meter.queued(self.source.receive_queue() + taken as u64);
        } else if taken > 0 {
            self.meter.queued(taken as u64);
        }
    }

    /// Records what a read brought, where that is wanted: under the very time under which it is applied.
    fn record_received(&mut self, received: Received) {
        let Some(raw) = &self.parts.raw else { return };
        self.source.take_received(&mut |connection, topic, bytes| {
            if let Some(topic) = topic {
                raw.mark(received.wall_us, connection, &Mark::Joined { topic: topic.to_owned() });
            }
            raw.bytes(received.wall_us, connection, bytes);
        });
    }

    /// Records something else that what is received depends on.
    pub(super) fn record_mark(&self, mark: impl FnOnce() -> Mark) {
        if let Some(raw) = &self.parts.raw {
            raw.mark(wall_us(), self.source.connections(), &mark());
        }
    }

    fn apply(&mut self, now: Instant, received: Received) {
        loop {
            match self.apply_messages(now, received) {
                None => break,
                Some(ConnectionEvent::PermitNeeded) => {
                    self.send(&FromWorker::RequestConnect);
                }
                Some(ConnectionEvent::Connected) => {
                    self.send_connection(ConnectionState::Connecting, String::new(), None);
                    self.subscribe_all();
                }
                Some(ConnectionEvent::ConnectFailed(loss)) => {
                    self.not_connected(&loss, now);
                }
                Some(ConnectionEvent::Opened { session, .. }) => self.opened(session, now),
                Some(ConnectionEvent::Up) => {}
                Some(ConnectionEvent::Lost(loss)) => {
                    self.lost(&loss, now);
                    break;
                }
            }
        }
    }

    /// Applies what comes up to the next change of the connection; what that means beyond [`ConnectionEvent::Up`] is the caller's.
    fn apply_messages(&mut self, now: Instant, received: Received) -> Option<ConnectionEvent> {
        let Worker { source, parts, matches, link, meter, turn, audits, .. } = self;
        let connections = source.connections();
        let record_interrupted = |raw: Option<&raw::Writer>, topic: &[u8], unheard: Duration| {
            let Some(raw) = raw else { return };
            let topic = String::from_utf8_lossy(topic).into_owned();
            let unheard_us = u64::try_from(unheard.as_micros()).unwrap_or(u64::MAX);
            raw.mark(received.wall_us, connections, &Mark::Interrupted { topic, unheard_us });
        };
        let mut heartbeat = None;
        let mut broken: Vec<String> = Vec::new();
        let change = loop {
            if let Some(mut upcoming) = source.look_ahead() {
                parts.trees.expect(&mut upcoming);
            }
            matches.at_none();
            let Some(event) = source.next_event(now) else { break None };
            let mut reporter = Reporter { matches, link, now };
            match event {
                Event::Snapshot { topic, body } | Event::Delta { topic, body } if parts.is_time(topic) => {
                    meter.acknowledged(topic);
                    meter.loaded(topic);
                    heartbeat = crate::payload::heartbeat(body).or(heartbeat);
                    if !parts.trees.server_time(body, received) {
                        meter.error();
                    }
                }
                Event::Snapshot { topic, body } => {
                    meter.heard_at = now;
                    let loaded = load(&mut parts.trees, audits, topic, body, received, &mut reporter);
                    if !matches!(loaded, Err(TreeError::TopicNotHeld { .. }))
                        && let Some(asked) = parts.trees.subscription(topic)
                    {
                        meter.acknowledged(asked);
                        if loaded.is_ok() {
                            meter.loaded(asked);
                            turn.topic_changes.extend(parts.trees.owner(topic).map(TopicChange::Loaded));
                        }
                    }
                    let unusable = loaded.is_err().then(|| String::from_utf8_lossy(topic).into_owned());
                    count(meter, loaded.map(|_| ()), &parts.feed_name);
                    if let Some(topic) = unusable {
                        source.unusable(&topic);
                    }
                }
                Event::Delta { topic, body } => {
                    meter.heard_at = now;
                    meter.counted.diffs += 1;
                    let applied = parts.trees.delta(topic, body, received, &mut reporter);
                    // One that passes a limit is missing as much as one that does not fit.
                    if let Err(TreeError::Delta { topic, .. } | TreeError::Json { topic, .. }) = &applied {
                        broken.push(topic.clone());
                    }
                    count(meter, applied, &parts.feed_name);
                }
                Event::Unchanged { topic } => {
                    meter.heard_at = now;
                    let followed = parts.trees.owner(topic).and_then(|slot| reporter.matches.get_mut(slot));
                    if let Some(followed) = followed {
                        followed.touched_at = now;
                    }
                }
                Event::RoundEnd { topic, round } => {
                    if let Some(slot) = parts.trees.owner(topic) {
                        reporter.round_ended(slot, round, received.wall_us);
                    }
                }
                Event::Removed { topic } if parts.is_time(topic) => {
                    meter.acknowledged(topic);
                    meter.unloaded(topic);
                }
                Event::Removed { topic } => {
                    meter.heard_at = now;
                    let removed = parts.trees.topic_removed(topic, received, &mut reporter);
                    if removed.is_ok()
                        && let Some(asked) = parts.trees.subscription(topic)
                    {
                        meter.acknowledged(asked);
                        if !parts.trees.is_loaded(asked) {
                            meter.unloaded(asked);
                        }
                    }
                    turn.topic_changes
                        .extend(removed.as_ref().ok().copied().flatten().map(TopicChange::Removed));
                    count(meter, removed.map(|_| ()), &parts.feed_name);
                }
                Event::QueueDepth(depth) => {
                    meter.counted.server_queue = Some(u32::try_from(depth).unwrap_or(u32::MAX));
                }
                Event::Status { topic, status } => {
                    if let Some(asked) = parts.trees.subscription(topic) {
                        meter.acknowledged(asked);
                    }
                    let (topic, status) = (topic.escape_ascii(), status.escape_ascii());
                    log::debug!(feed = parts.feed_name.as_str(), error:% = format_args!("the server says '{status}' of '{topic}'"); "worker.skipped");
                }
                Event::Interrupted { topic, why, unheard } => {
                    record_interrupted(parts.raw.as_ref(), topic, unheard);
                    let slot = interrupted(&mut parts.trees, meter, topic, unheard, &mut reporter);
                    turn.topic_changes
                        .extend(slot.map(|slot| TopicChange::Lost(slot, MatchState::Subscribing)));
                    log_interrupted(meter, &parts.feed_name, topic, &why, now);
                }
                Event::Refused { topic, why, retry } => {
                    record_interrupted(parts.raw.as_ref(), topic, Duration::ZERO);
                    let slot = interrupted(&mut parts.trees, meter, topic, Duration::ZERO, &mut reporter);
                    turn.topic_changes.extend(slot.map(|slot| TopicChange::Lost(slot, MatchState::Refused)));
                    log_refused(&parts.feed_name, topic, &why, retry);
                }
                Event::Skipped(why) => {
                    meter.skipped.note(&why);
                    log::debug!(feed = parts.feed_name.as_str(), error:% = why; "worker.skipped");
                }
                Event::Connection(change) => break Some(change),
            }
        };
        matches.at_none();
        if let Some(every) = heartbeat {
            source.heartbeat(every);
        }
        for topic in broken {
            source.renew(&topic, now);
        }
        // Before the matches are reported whose loads made it so.
        if change == Some(ConnectionEvent::Up) {
            self.send_connection(ConnectionState::Up, String::new(), None);
        }
        self.apply_topic_changes();
        self.parts.trees.drain_lists(&mut self.list.changes);
        self.meter.counted.errors += self.parts.trees.take_passed_over();
        change
    }

    pub(super) fn apply_topic_changes(&mut self) {
        let mut changes = std::mem::take(&mut self.turn.topic_changes);
        let mut complete = Vec::new();
        self.parts.trees.drain_complete(&mut complete);
        changes.extend(complete.into_iter().map(TopicChange::Loaded));
        for item in changes.drain(..) {
            match item {
                // A load without content leaves a match as it is.
                TopicChange::Loaded(slot) if self.parts.trees.is_live(slot) => {
                    self.set_state(slot, MatchState::Live);
                    self.slide_past(slot);
                }
                TopicChange::Removed(slot) if !self.parts.trees.is_live(slot) => {
                    self.set_state(slot, MatchState::Removed);
                    self.drop_audit(slot);
                }
                TopicChange::Loaded(slot) => self.slide_past(slot),
                TopicChange::Removed(_) => {}
                TopicChange::Lost(slot, state) => self.set_state(slot, state),
            }
        }
        self.turn.topic_changes = changes;
        self.close_audits();
        self.matches.at_none();
    }
}

/// An error is counted; the log has each at level debug only, since a server may make a million of them.
fn count(meter: &mut Meter, outcome: Result<(), TreeError>, feed: &str) {
    if let Err(error) = outcome {
        meter.error();
        meter.skipped.note_tree(&error);
        log::debug!(feed = feed, error:% = error; "worker.skipped");
    }
}
