//! Step 1 of a turn: what the server sent is read, framed and applied to the trees.

use super::scanner::{Scanner, wall_us};
use super::telling::Telling;
use super::upstream::Step;
use crate::feed::Event;
use crate::tree::{MatchSlot, TreeError};
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::EndReason;
use touchline_common::ipc::messages::worker::{ConnectionState, ListChange, MatchState};

/// Bytes read in a turn.
const READ_BUDGET: usize = 256 * 1024;
/// Time spent on reading.
const TIME_BUDGET: Duration = Duration::from_millis(1);

/// What a message brought that the coordinator must know.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// A load of one of its topics came.
    Loaded(MatchSlot),
    /// One of its topics was removed.
    Removed(MatchSlot),
}

impl Scanner {
    /// Step 1: read and apply until drained, or 256 KiB, or 1 ms.
    pub(super) fn read(&mut self) {
        let began = Instant::now();
        match self.upstream.advance(self.poll.registry(), began) {
            Step::Nothing => {}
            Step::Connected => {
                self.say_connection(ConnectionState::Connecting, String::new());
                self.subscribe_all();
            }
            Step::Failed(why) => self.say_connection(ConnectionState::Down, why),
        }
        let mut taken = 0;
        let mut now = began;
        loop {
            if !self.upstream.is_drained() {
                taken += self.upstream.read(now);
            }
            self.apply(now);
            if self.upstream.is_drained() || taken >= READ_BUDGET {
                break;
            }
            now = Instant::now();
            if now.saturating_duration_since(began) >= TIME_BUDGET {
                break;
            }
        }
        self.meter.read(taken);
        if !self.upstream.is_drained() {
            self.meter.queued(self.upstream.receive_queue() + taken as u64);
        } else if taken > 0 {
            self.meter.queued(taken as u64);
        }
    }

    /// Applies every whole message that was read.
    fn apply(&mut self, now: Instant) {
        let received = self.received(now);
        let Scanner { upstream, parts, book, link, meter, news, .. } = self;
        let Some(session) = upstream.session() else { return };
        let mut lost = None;
        let mut opened = false;
        loop {
            if session.look_ahead() {
                parts.forest.expect(session.upcoming());
            }
            let Some(event) = session.next_event(now) else { break };
            let mut telling = Telling { book, link, now };
            match event {
                Event::Load { topic, body } | Event::Delta { topic, body } if parts.is_time(topic) => {
                    meter.acknowledged(topic);
                    meter.loaded(topic);
                    if !parts.forest.server_time(body, received) {
                        meter.error();
                    }
                }
                Event::Load { topic, body } => {
                    let loaded = parts.forest.load(topic, body, received, &mut telling);
                    if !matches!(loaded, Err(TreeError::TopicNotHeld { .. })) {
                        meter.acknowledged(topic);
                    }
                    if loaded.is_ok() {
                        meter.loaded(topic);
                        let owner = std::str::from_utf8(topic).ok().and_then(|name| parts.forest.owner(name));
                        news.extend(owner.map(News::Loaded));
                    }
                    count(meter, loaded.map(|_| ()), &parts.feed_name);
                }
                Event::Delta { topic, body } => {
                    meter.delta();
                    let applied = parts.forest.delta(topic, body, received, &mut telling);
                    count(meter, applied.map(|_| ()), &parts.feed_name);
                }
                Event::TopicRemoved { topic } if parts.is_time(topic) => {
                    meter.acknowledged(topic);
                    meter.unloaded(topic);
                }
                Event::TopicRemoved { topic } => {
                    let removed = parts.forest.topic_removed(topic, received, &mut telling);
                    if removed.is_ok() {
                        meter.acknowledged(topic);
                    }
                    meter.unloaded(topic);
                    news.extend(removed.as_ref().ok().copied().flatten().map(News::Removed));
                    count(meter, removed.map(|_| ()), &parts.feed_name);
                }
                Event::ServerQueue(depth) => meter.server_queue(depth),
                Event::Opened { .. } => opened = true,
                Event::Lost { why } => lost = Some(why),
            }
        }
        meter.session_errors(session.counters().errors());
        self.settle_news();
        if opened {
            self.upstream.opened();
            self.say_connection(ConnectionState::Up, String::new());
        }
        if let Some(why) = lost {
            let told = self.upstream.lost(&why, now);
            self.connection_lost(told);
        }
        self.parts.forest.drain_lists(&mut self.list_changes);
    }

    fn settle_news(&mut self) {
        let mut news = std::mem::take(&mut self.news);
        for item in news.drain(..) {
            match item {
                // A load without content leaves a match as it is.
                News::Loaded(slot) if self.parts.forest.is_live(slot) => {
                    self.set_state(slot, MatchState::Live);
                }
                News::Removed(slot) if !self.parts.forest.is_live(slot) => {
                    self.set_state(slot, MatchState::Removed);
                }
                News::Loaded(_) | News::Removed(_) => {}
            }
        }
        self.news = news;
    }

    fn connection_lost(&mut self, told: String) {
        log::warn!(feed = self.parts.feed_name.as_str(), why = told.as_str(); "worker.connection_lost");
        self.meter.disconnected();
        let at = wall_us();
        for slot in self.book.slots() {
            if self.book.get(slot).is_some_and(|followed| followed.state == MatchState::Subscribing) {
                continue;
            }
            let mut telling = Telling { book: &mut self.book, link: &mut self.link, now: Instant::now() };
            telling.tell_end(slot, EndReason::ConnectionLost, at);
            if let Some(followed) = self.book.get_mut(slot) {
                followed.asked_at = Instant::now();
            }
            self.set_state(slot, MatchState::Subscribing);
        }
        if self.follows_list {
            self.list_changes.push(ListChange::Lost);
        }
        self.say_connection(ConnectionState::Down, told);
    }
}

/// An error is counted; the log has it when somebody looks closer, since a server may make a million of them.
fn count(meter: &mut super::report::Meter, outcome: Result<(), TreeError>, feed: &str) {
    if let Err(error) = outcome {
        meter.error();
        log::debug!(feed = feed, error:% = error; "worker.skipped");
    }
}
