//! One turn of the loop, step by step as the design numbers them.
//!
//! The receive queue comes before rendering: while it is not drained only what has waited past its deadline is rendered, and at
//! most for a millisecond. Thus many diffs make one rendering under load, and nothing starves.

use super::data_link::LinkEvent;
use super::scanner::{Ending, Scanner, wall_us};
use super::telling::Telling;
use super::upstream::Step;
use crate::feed::diffusion::LostReason;
use crate::feed::{Event, SessionKind};
use crate::tree::{Base, MatchSlot, Received, TreeError};
use std::time::{Duration, Instant};
use touchline_common::ipc::ReadOutcome;
use touchline_common::ipc::messages::data::{Extent, Publish};
use touchline_common::ipc::messages::worker::{ConnectionState, FromWorker, MatchState};
use touchline_common::model::{Section, SectionKey};

/// Bytes read in a turn.
const READ_BUDGET: usize = 256 * 1024;
/// Time spent on reading, and on rendering while not drained.
const TIME_BUDGET: Duration = Duration::from_millis(1);
/// Frames of the coordinator, and of the recorder, in a turn.
const FRAMES_PER_TURN: usize = 64;
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
        if self.is_drained() {
            self.render_rest();
        }
        self.write();
    }

    /// Step 1: read and apply until drained, or 256 KiB, or 1 ms.
    pub(super) fn read(&mut self) {
        let began = Instant::now();
        match self.upstream.advance(self.poll.registry(), began) {
            Step::Nothing => {}
            Step::Connected => {
                self.say_connection(ConnectionState::Connecting, String::new(), None);
                self.subscribe_all();
            }
            Step::Failed(why) => self.say_connection(ConnectionState::Down, why, None),
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
        loop {
            match self.apply_messages(now) {
                None => break,
                Some(Turning::Opened(session)) => self.opened(session, now),
                Some(Turning::Lost(why)) => {
                    self.lost(&why, now);
                    break;
                }
            }
        }
    }

    /// Applies messages up to one that changes what the following mean.
    fn apply_messages(&mut self, now: Instant) -> Option<Turning> {
        let received = self.received(now);
        let Scanner { upstream, parts, book, link, meter, news, .. } = self;
        let session = upstream.session()?;
        let mut turning = None;
        let mut heartbeat = None;
        loop {
            if session.look_ahead() {
                parts.trees.expect(session.upcoming());
            }
            let Some(event) = session.next_event(now) else { break };
            let mut telling = Telling { book, link, now };
            match event {
                Event::Load { topic, body } | Event::Delta { topic, body } if parts.is_time(topic) => {
                    meter.acknowledged(topic);
                    meter.loaded(topic);
                    heartbeat = crate::tree::heartbeat(body).or(heartbeat);
                    if !parts.trees.server_time(body, received) {
                        meter.error();
                    }
                }
                Event::Load { topic, .. } | Event::Delta { topic, .. } if parts.is_aside(topic) => {}
                Event::Load { topic, body } => {
                    let loaded = parts.trees.load(topic, body, received, &mut telling);
                    if !matches!(loaded, Err(TreeError::TopicNotHeld { .. }))
                        && let Some(asked) = parts.trees.subscription(topic)
                    {
                        meter.acknowledged(asked);
                        if loaded.is_ok() {
                            meter.loaded(asked);
                            news.extend(parts.trees.owner(topic).map(News::Loaded));
                        }
                    }
                    count(meter, loaded.map(|_| ()), &parts.feed_name);
                }
                Event::Delta { topic, body } => {
                    meter.delta();
                    let applied = parts.trees.delta(topic, body, received, &mut telling);
                    count(meter, applied.map(|_| ()), &parts.feed_name);
                }
                Event::TopicRemoved { topic } if parts.is_time(topic) => {
                    meter.acknowledged(topic);
                    meter.unloaded(topic);
                }
                Event::TopicRemoved { topic } => {
                    let removed = parts.trees.topic_removed(topic, received, &mut telling);
                    if removed.is_ok()
                        && let Some(asked) = parts.trees.subscription(topic)
                    {
                        meter.acknowledged(asked);
                        if !parts.trees.is_loaded(asked) {
                            meter.unloaded(asked);
                        }
                    }
                    news.extend(removed.as_ref().ok().copied().flatten().map(News::Removed));
                    count(meter, removed.map(|_| ()), &parts.feed_name);
                }
                Event::ServerQueue(depth) => meter.server_queue(depth),
                Event::TopicStatus { topic, status } => {
                    if let Some(asked) = parts.trees.subscription(topic) {
                        meter.acknowledged(asked);
                    }
                    let (topic, status) = (topic.escape_ascii(), status.escape_ascii());
                    log::debug!(feed = parts.feed_name.as_str(), error:% = format_args!("the server says '{status}' of '{topic}'"); "worker.skipped");
                }
                Event::LoginRejected => {
                    log::error!(feed = parts.feed_name.as_str(), why = LOGIN_REJECTED; "worker.login_refused");
                }
                Event::Skipped { why } => {
                    log::debug!(feed = parts.feed_name.as_str(), error:% = why; "worker.skipped");
                }
                Event::Opened { session, .. } => turning = Some(Turning::Opened(session)),
                Event::Lost { why } => turning = Some(Turning::Lost(why)),
            }
            if turning.is_some() {
                break;
            }
        }
        if let Some(every) = heartbeat {
            session.heartbeat(every);
        }
        meter.session_errors(session.counters().errors());
        self.settle_news();
        self.parts.trees.drain_lists(&mut self.list_changes);
        turning
    }

    fn settle_news(&mut self) {
        let mut news = std::mem::take(&mut self.news);
        for item in news.drain(..) {
            match item {
                // A load without content leaves a match as it is.
                News::Loaded(slot) if self.parts.trees.is_live(slot) => {
                    self.set_state(slot, MatchState::Live);
                    self.slide_past(slot);
                }
                News::Removed(slot) if !self.parts.trees.is_live(slot) => {
                    self.set_state(slot, MatchState::Removed);
                }
                News::Loaded(slot) => self.slide_past(slot),
                News::Removed(_) => {}
            }
        }
        self.news = news;
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
        self.settle(now);
        self.recover_overflowed();
        self.slide(now);
    }

    /// Tells the loads that are complete by now.
    fn settle(&mut self, now: Instant) {
        let received = self.received(now);
        let Scanner { parts, book, link, .. } = self;
        parts.trees.settle(received, &mut Telling { book, link, now });
    }

    fn hear_coordinator(&mut self) {
        self.control_unread = false;
        // Nothing is read while a message of an earlier turn waits: see `Channel::read`.
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
        self.take_commands(FRAMES_PER_TURN);
    }

    fn hear_recorder(&mut self) {
        self.data_unread = false;
        let heard = self.link.read().and_then(|outcome| {
            for _ in 0..FRAMES_PER_TURN {
                match self.link.next_event()? {
                    Some(event) => self.hear_link(event),
                    None => return Ok(outcome),
                }
            }
            Ok(ReadOutcome::More)
        });
        match heard {
            Ok(ReadOutcome::Drained) => {}
            Ok(ReadOutcome::More) => self.data_unread = true,
            Ok(ReadOutcome::Closed) => self.drop_link("the recorder closed it"),
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
            let base = self.current_base(slot, received);
            let mut telling = Telling { book: &mut self.book, link: &mut self.link, now: Instant::now() };
            telling.tell_lost(slot, dropped.count, dropped.since);
            if let Some(base) = base {
                telling.tell_base(slot, base, received.wall_us);
            }
        }
    }

    /// All registers of a match, unless it is not followed at the moment: then its next load tells them, which ends the gap.
    pub(super) fn current_base(&mut self, slot: MatchSlot, received: Received) -> Option<Base> {
        match self.book.get(slot)?.state {
            MatchState::Live | MatchState::Stale => self.parts.trees.base(slot, received),
            MatchState::Subscribing | MatchState::Removed => None,
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
    pub(super) fn render_overdue(&mut self) {
        let began = Instant::now();
        while self.link.takes_renderings() {
            let Some((slot, since)) = self.parts.trees.oldest_dirty() else { return };
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
        while self.link.takes_renderings() {
            bytes += match self.parts.trees.oldest_dirty() {
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
                self.ask_readiness();
                if !self.is_drained() {
                    return;
                }
            }
        }
    }

    fn ask_readiness(&mut self) {
        let Some(mut events) = self.asked.take() else { return };
        if self.poll.poll(&mut events, Some(Duration::ZERO)).is_ok() {
            self.note(&events);
        }
        self.asked = Some(events);
    }

    /// Renders what changed in a match and hands it over; how many bytes it was.
    fn publish(&mut self, slot: MatchSlot, since: u64) -> usize {
        self.wake(slot);
        let Scanner { parts, book, sections, meter, .. } = self;
        sections.clear();
        let Some(followed) = book.get_mut(slot) else {
            parts.trees.render(slot, sections);
            return 0;
        };
        let extent = if followed.whole { Extent::Whole } else { Extent::Changes };
        match extent {
            Extent::Whole => parts.trees.render_whole(slot, sections),
            Extent::Changes => parts.trees.render(slot, sections),
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
            received_at: parts.trees.received(slot).map_or(0, |received| received.wall_us),
            updated_at: wall_us(),
        };
        let read_at = self.instant(since);
        if let Err(error) = self.link.publish(publish, read_at) {
            log::error!(error:% = error; "worker.not_published");
        }
        bytes
    }

    /// A stale match of which something came is live before that is published.
    fn wake(&mut self, slot: MatchSlot) {
        let Some(followed) = self.book.get(slot) else { return };
        if followed.state == MatchState::Stale && followed.touched_at.elapsed() < self.parts.stale_after {
            self.set_state(slot, MatchState::Live);
        }
    }

    /// Publishes what is due of a match that will not be looked at again, even if the channel is fuller than it should be.
    pub(super) fn publish_last(&mut self, slot: MatchSlot) {
        if self.link.state() == super::data_link::LinkState::Open && self.parts.trees.is_live(slot) {
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
        self.tell_list();
        if self.report_now {
            self.report_now = false;
            self.report();
        }
        if self.control.flush().is_err() {
            self.end(Ending::Orphaned, ORPHAN_DEADLINE);
        }
    }
}

/// What changes how the following messages are to be taken.
enum Turning {
    /// The handshake is done.
    Opened(SessionKind),
    /// The session is over.
    Lost(LostReason),
}

/// The session stays, so nothing else tells it.
const LOGIN_REJECTED: &str = "the server refuses the new login in the session, which goes on with the earlier one; \
                              check `username` and the password in `password_env` or `password_file` of the feed";

/// What a message brought that the coordinator must know.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// A load of one of its topics came.
    Loaded(MatchSlot),
    /// One of its topics was removed.
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
