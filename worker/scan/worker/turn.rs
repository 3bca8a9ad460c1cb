//! One turn of the loop, step by step as the design numbers them.
//!
//! The receive queue comes before rendering: while it is not drained only what has waited past its deadline is rendered, and at
//! most for a millisecond. Thus many diffs make one rendering under load, and nothing starves.

use super::{Ending, Worker};
use crate::payload::{Base, MatchSlot, Received};
use crate::scan::data_link::LinkEvent;
use crate::scan::telling::Telling;
use std::io;
use std::time::{Duration, Instant};
use touchline_common::ipc::ReadOutcome;
use touchline_common::ipc::messages::worker::{FromWorker, MatchState};

/// Frames of the coordinator, and of the recorder, in a turn.
const FRAMES_PER_TURN: usize = 64;
/// How often matches are looked at for staleness, and the coordinator is told how things stand.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the end may take when the coordinator is gone.
const ORPHAN_DEADLINE: Duration = Duration::from_secs(2);

/// How the receive queues of a process stand that has several connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queues {
    /// Nothing is left to read on any.
    Drained,
    /// Something is, on one of them.
    Filled,
}

impl Worker {
    /// One turn.
    pub(super) fn turn(&mut self) {
        self.take();
        self.give(Queues::Drained);
    }

    /// The first half of a turn: what came is applied.
    pub(in crate::scan) fn take(&mut self) {
        self.meter.turn();
        if self.turn.ending.is_none() {
            self.read();
        }
        self.serve();
    }

    /// The other half: what changed is rendered and written. `others`: the queues of the process's other connections,
    /// which come before rendering as our own does.
    pub(in crate::scan) fn give(&mut self, others: Queues) {
        self.render_overdue();
        if others == Queues::Drained && self.is_drained() {
            self.render_rest();
        }
        self.write();
    }

    /// Step 2: timers, the coordinator, acknowledgements; each turn, whatever the server sends.
    fn serve(&mut self) {
        if self.coordinator.is_unread() {
            self.hear_coordinator();
        }
        if self.link.port.take_unread() {
            self.hear_recorder();
        }
        let now = Instant::now();
        if let Some(told) = self.meter.skipped.due(now) {
            let feed = self.parts.feed_name.as_str();
            let why = format!("{}; `touchline log level debug` shows each", told.why);
            log::warn!(feed = feed, messages = told.count, why = why.as_str(); "worker.unusable");
        }
        if now >= self.meter.next_report {
            self.meter.next_report = now + REPORT_EVERY;
            self.find_stale(now);
            self.look_at_rates(now);
            self.meter.report_now = true;
        }
        self.settle(now);
        self.recover_overflowed();
        self.slide(now);
        self.book.at_none();
    }

    /// Tells the loads that are complete by now.
    fn settle(&mut self, now: Instant) {
        let received = self.clock.received(now);
        let Worker { parts, book, link, .. } = self;
        parts.trees.settle(received, &mut Telling { book, link, now });
        self.apply_topic_changes();
    }

    fn hear_coordinator(&mut self) {
        match self.coordinator.read() {
            Ok(ReadOutcome::Drained | ReadOutcome::More) => {}
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
            Ok(ReadOutcome::More) => self.link.port.set_unread(),
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
        self.link.port.close();
    }

    /// Once there is room again: what was dropped is said, and the registers are told anew.
    fn recover_overflowed(&mut self) {
        while let Some((place, dropped)) = self.link.outbox().recover() {
            let slot = MatchSlot(place);
            let received = self.clock.received(Instant::now());
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

    /// The end of a turn: one write per socket, as far as each takes it.
    fn write(&mut self) {
        if let Err(error) = self.flush_link() {
            self.drop_link(&error.to_string());
        }
        self.source.flush();
        self.report_list();
        if self.meter.report_now {
            self.meter.report_now = false;
            self.report();
        }
        if self.coordinator.flush(self.poll.registry()).is_err() {
            self.end(Ending::Orphaned, ORPHAN_DEADLINE);
        }
    }

    fn flush_link(&mut self) -> io::Result<()> {
        let unsent = usize::from(!self.link.flush(&mut self.meter.lag)?);
        self.link.port.unsent(self.poll.registry(), unsent)
    }
}
