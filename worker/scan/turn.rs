//! One turn of the loop, step by step as the design numbers them.
//!
//! The receive queue comes before rendering: while it is not drained only what has waited past its deadline is rendered, and at
//! most for a millisecond. Thus many diffs make one rendering under load, and nothing starves.

use super::data_link::LinkEvent;
use super::scanner::{Ending, Scanner, wall_us};
use super::telling::Telling;
use super::upstream::Step;
use crate::feed::Event;
use crate::tree::{MatchSlot, TreeError};
use mio::Events;
use std::time::{Duration, Instant};
use touchline_common::ipc::ReadOutcome;
use touchline_common::ipc::messages::data::{EndReason, Extent, Publish};
use touchline_common::ipc::messages::worker::{ConnectionState, FromWorker, ListChange, MatchState};
use touchline_common::model::{Section, SectionKey};

/// Bytes read in a turn.
const READ_BUDGET: usize = 256 * 1024;
/// Time spent on reading, and on rendering while not drained.
const TIME_BUDGET: Duration = Duration::from_millis(1);
/// Frames of the coordinator in a turn.
const COMMANDS_PER_TURN: usize = 64;
/// Rendered bytes after which readiness is asked for.
const ASK_EVERY: usize = 16 * 1024;
/// How often matches are looked at for staleness, and the coordinator is told how things stand.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the end may take when the coordinator is gone.
const ORPHAN_DEADLINE: Duration = Duration::from_secs(2);

impl Scanner {
    /// One turn.
    pub(super) fn turn(&mut self) {
        self.meter.turn();
        if self.ending.is_none() {
            self.read();
        }
        self.serve();
        self.render_overdue();
        if self.upstream.is_drained() || self.ending.is_some() {
            self.render_rest();
        }
        self.write();
    }

    /// Step 1: read and apply until drained, or 256 KiB, or 1 ms.
    fn read(&mut self) {
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
            if now - began >= TIME_BUDGET {
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
        let Scanner { upstream, parts, book, link, meter, .. } = self;
        let Some(session) = upstream.session() else { return };
        let mut lost = None;
        let mut opened = false;
        let mut news = Vec::new();
        while let Some(event) = session.next_event(now) {
            let mut telling = Telling { book, link, now };
            match event {
                Event::Load { topic, body } => {
                    meter.acknowledged(topic);
                    let loaded = parts.forest.load(topic, body, received, &mut telling);
                    meter.loaded(topic);
                    count(meter, loaded.map(|_| ()), &parts.feed_name);
                    news.push(News::Loaded(topic.into()));
                }
                Event::Delta { topic, body } => {
                    meter.delta();
                    let applied = parts.forest.delta(topic, body, received, &mut telling);
                    count(meter, applied.map(|_| ()), &parts.feed_name);
                }
                Event::TopicRemoved { topic } => {
                    meter.acknowledged(topic);
                    meter.unloaded(topic);
                    let removed = parts.forest.topic_removed(topic, received, &mut telling);
                    news.extend(removed.as_ref().ok().copied().flatten().map(News::Removed));
                    count(meter, removed.map(|_| ()), &parts.feed_name);
                }
                Event::ServerQueue(depth) => meter.server_queue(depth),
                Event::Opened { .. } => opened = true,
                Event::Lost { why } => lost = Some(why),
            }
        }
        meter.session_errors(session.counters().errors());
        self.settle_news(news);
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

    fn settle_news(&mut self, news: Vec<News>) {
        for item in news {
            match item {
                News::Loaded(topic) => {
                    let owner =
                        std::str::from_utf8(&topic).ok().and_then(|topic| self.parts.forest.owner(topic));
                    if let Some(slot) = owner {
                        self.revive(slot);
                    }
                }
                News::Removed(slot) => {
                    if !self.parts.forest.is_live(slot) {
                        self.set_state(slot, MatchState::Removed);
                    }
                }
            }
        }
    }

    /// A load came: the match is live if it has content.
    fn revive(&mut self, slot: MatchSlot) {
        if self.parts.forest.is_live(slot) {
            self.set_state(slot, MatchState::Live);
        }
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
            self.set_state(slot, MatchState::Subscribing);
        }
        if self.follows_list {
            self.list_changes.push(ListChange::Lost);
        }
        self.say_connection(ConnectionState::Down, told);
    }

    /// Step 2: timers, the coordinator, acknowledgements; each turn, whatever the server sends.
    fn serve(&mut self) {
        if self.control_unread {
            self.hear_coordinator();
        }
        if self.data_unread {
            self.hear_recorder();
        }
        let now = Instant::now();
        if now >= self.next_report {
            self.next_report = now + REPORT_EVERY;
            self.find_stale(now);
            self.report_now = true;
        }
        self.recover_overflowed();
    }

    fn hear_coordinator(&mut self) {
        self.control_unread = false;
        match self.control.read() {
            Ok(ReadOutcome::Drained) => {}
            Ok(ReadOutcome::More) => self.control_unread = true,
            Ok(ReadOutcome::Closed) => {
                self.take_commands(usize::MAX);
                return self.end(Ending::Orphaned, ORPHAN_DEADLINE);
            }
            Err(error) => {
                log::error!(error:% = error; "worker.channel_broken");
                return self.end(Ending::Orphaned, ORPHAN_DEADLINE);
            }
        }
        self.take_commands(COMMANDS_PER_TURN);
    }

    fn hear_recorder(&mut self) {
        self.data_unread = false;
        let heard = self.link.read().and_then(|outcome| {
            let mut events = Vec::new();
            while let Some(event) = self.link.next_event()? {
                events.push(event);
            }
            Ok((outcome, events))
        });
        match heard {
            Ok((outcome, events)) => {
                events.into_iter().for_each(|event| self.hear_link(event));
                match outcome {
                    ReadOutcome::Drained => {}
                    ReadOutcome::More => self.data_unread = true,
                    ReadOutcome::Closed => self.drop_link("the recorder closed it"),
                }
            }
            Err(error) => self.drop_link(&error.to_string()),
        }
    }

    fn hear_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Opened => {
                self.say(&FromWorker::DataOpened);
                for slot in self.book.slots() {
                    self.book.make_whole(slot);
                }
            }
            LinkEvent::Refused { key, epoch } => {
                self.meter.error();
                log::warn!(match_id = key.id.as_str(), epoch = epoch.0; "match.refused");
            }
        }
    }

    /// Without a recorder observations wait; a new channel comes from the coordinator.
    pub(super) fn drop_link(&mut self, why: &str) {
        log::warn!(why = why; "worker.data_lost");
        self.link.detach();
    }

    /// Once there is room again: what was dropped is said, and the registers are told anew.
    fn recover_overflowed(&mut self) {
        while let Some((place, dropped)) = self.link.outbox().recover() {
            let slot = MatchSlot(place);
            let received = self.received(Instant::now());
            let base = self.parts.forest.base(slot, received);
            let mut telling = Telling { book: &mut self.book, link: &mut self.link, now: Instant::now() };
            telling.tell_lost(slot, dropped.count, dropped.since);
            if let Some(base) = base {
                telling.tell_base(slot, base, received.wall_us);
            }
        }
    }

    fn find_stale(&mut self, now: Instant) {
        for slot in self.book.slots() {
            let Some(followed) = self.book.get(slot) else { continue };
            let silent = now.saturating_duration_since(followed.touched_at) >= self.parts.stale_after;
            match (followed.state, silent) {
                (MatchState::Live, true) => {
                    self.set_state(slot, MatchState::Stale);
                    self.book.make_due(slot);
                }
                (MatchState::Stale, false) => {
                    self.set_state(slot, MatchState::Live);
                    self.book.make_due(slot);
                }
                (MatchState::Live | MatchState::Stale | MatchState::Subscribing | MatchState::Removed, _) => {
                }
            }
        }
    }

    /// Step 3: what waits longer than `publish_deadline`, oldest first, at most 1 ms and at least one match.
    fn render_overdue(&mut self) {
        let began = Instant::now();
        while self.link.takes_renderings() {
            let Some((slot, since)) = self.parts.forest.oldest_dirty() else { return };
            if began.saturating_duration_since(self.instant(since)) < self.parts.publish_deadline {
                return;
            }
            self.publish(slot, since);
            if began.elapsed() >= TIME_BUDGET {
                return;
            }
        }
    }

    /// Step 4: drained, so the rest, oldest first; readiness is asked for each 16 KiB, between two matches.
    fn render_rest(&mut self) {
        let mut bytes = 0;
        let mut events = Events::with_capacity(16);
        while self.link.takes_renderings() {
            bytes += match self.parts.forest.oldest_dirty() {
                Some((slot, since)) => self.publish(slot, since),
                None => match self.book.next_due() {
                    Some(slot) => {
                        let now = self.received(Instant::now()).mono_ns;
                        self.publish(slot, now)
                    }
                    None => return,
                },
            };
            if bytes >= ASK_EVERY {
                bytes = 0;
                if self.poll.poll(&mut events, Some(Duration::ZERO)).is_ok() {
                    self.note(&events);
                }
                if !self.upstream.is_drained() {
                    return;
                }
            }
        }
    }

    /// Renders what changed in a match and hands it over; how many bytes it was.
    fn publish(&mut self, slot: MatchSlot, since: u64) -> usize {
        let Scanner { parts, book, sections, meter, .. } = self;
        sections.clear();
        let Some(followed) = book.get_mut(slot) else {
            parts.forest.render(slot, sections);
            return 0;
        };
        let extent = if followed.whole { Extent::Whole } else { Extent::Changes };
        match extent {
            Extent::Whole => parts.forest.render_whole(slot, sections),
            Extent::Changes => parts.forest.render(slot, sections),
        }
        let stale = followed.state == MatchState::Stale;
        let empty = match extent {
            // A match without content has no document yet.
            Extent::Whole => !sections.iter().any(|section| section.key == SectionKey::Head),
            Extent::Changes => sections.is_empty() && stale == followed.said_stale,
        };
        if empty {
            return 0;
        }
        followed.whole = false;
        followed.said_stale = stale;
        let bytes = sections.iter().map(section_len).sum();
        meter.published(sections.len());
        let publish = Publish {
            key: followed.key.clone(),
            epoch: followed.epoch,
            extent,
            sections: std::mem::take(sections),
            stale,
            received_at: parts.forest.received(slot).map_or(0, |received| received.wall_us),
            updated_at: wall_us(),
        };
        let read_at = self.instant(since);
        if let Err(error) = self.link.publish(publish, read_at) {
            log::error!(error:% = error; "worker.not_published");
        }
        bytes
    }

    /// Publishes what is due of a match that will not be looked at again, even if the channel is fuller than it should be.
    pub(super) fn publish_last(&mut self, slot: MatchSlot) {
        if self.link.state() == super::data_link::LinkState::Open && self.parts.forest.is_live(slot) {
            let now = self.received(Instant::now()).mono_ns;
            self.publish(slot, now);
        }
    }

    /// The end of a turn: one write per socket, as far as each takes it.
    fn write(&mut self) {
        if let Err(error) = self.link.flush(&mut self.lag) {
            self.drop_link(&error.to_string());
        }
        self.upstream.flush();
        if !self.list_changes.is_empty() {
            let changes = std::mem::take(&mut self.list_changes);
            self.say(&FromWorker::List(changes));
        }
        if self.report_now {
            self.report_now = false;
            self.report();
        }
        if self.control.flush().is_err() {
            self.end(Ending::Orphaned, ORPHAN_DEADLINE);
        }
    }
}

/// What a message brought that the coordinator must know.
enum News {
    Loaded(Box<[u8]>),
    Removed(MatchSlot),
}

fn section_len(section: &Section) -> usize {
    section.body.as_ref().map_or(0, String::len)
}

/// An error is counted; the log has it when somebody looks closer, since a server may make a million of them.
fn count(meter: &mut super::report::Meter, outcome: Result<(), TreeError>, feed: &str) {
    if let Err(error) = outcome {
        meter.error();
        log::debug!(feed = feed, error:% = error; "worker.skipped");
    }
}
