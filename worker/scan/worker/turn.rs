//! One turn of the loop, step by step as the design numbers them.
//!
//! The receive queue comes before rendering: while it is not drained only what has waited past its deadline is rendered, and at
//! most for a millisecond. Thus many diffs make one rendering under load, and nothing starves.

use super::{Ending, Worker};
use crate::payload::MatchSlot;
use crate::scan::data_link::LinkEvent;
use crate::scan::reporter::{Reporter, check};
use std::io;
use std::time::{Duration, Instant};
use touchline_common::ipc::ReadOutcome;
use touchline_common::ipc::messages::worker::{FromWorker, MatchState};

/// Frames of the coordinator, and of the recorder, in a turn.
const FRAMES_PER_TURN: usize = 64;
/// How often matches are looked at for staleness, and the coordinator gets a report.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the end may take when the coordinator is gone.
const ORPHAN_DEADLINE: Duration = Duration::from_secs(2);

/// How the receive queues of a process stand that has several connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queues {
    /// Nothing is left to read on any.
    Drained,
    Filled,
}

impl Worker {
    pub(super) fn turn(&mut self) {
        self.take();
        self.give(Queues::Drained);
    }

    /// The first half of a turn: what came is applied.
    pub(in crate::scan) fn take(&mut self) {
        self.meter.counted.turns += 1;
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
        self.answer_mark();
        if self.coordinator.unread {
            self.read_coordinator();
        }
        if std::mem::take(&mut self.link.port.unread) {
            self.read_recorder();
        }
        let now = Instant::now();
        if let Some(due) = self.meter.skipped.due(now) {
            let feed = self.parts.feed_name.as_str();
            let why = format!("{}; `touchline log level debug` shows each", due.why);
            log::warn!(feed = feed, messages = due.count, why = why.as_str(); "worker.unusable");
        }
        if now >= self.meter.next_report {
            self.meter.next_report = now + REPORT_EVERY;
            self.find_stale(now);
            self.look_at_rates(now);
            self.reconcile(now);
            self.meter.report_now = true;
        }
        self.settle(now);
        self.recover_overflowed();
        self.slide(now);
        self.matches.at_none();
    }

    fn settle(&mut self, now: Instant) {
        let received = self.clock.received(now);
        let Worker { parts, matches, link, .. } = self;
        parts.trees.settle(received, &mut Reporter { matches, link, now });
        self.apply_topic_changes();
    }

    fn read_coordinator(&mut self) {
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

    fn read_recorder(&mut self) {
        let read = self.link.read().and_then(|outcome| {
            for _ in 0..FRAMES_PER_TURN {
                match self.link.next_event()? {
                    Some(event) => self.on_link_event(event),
                    None => return Ok(outcome),
                }
            }
            Ok(ReadOutcome::More)
        });
        match read {
            Ok(ReadOutcome::Drained) => {}
            Ok(ReadOutcome::More) => self.link.port.unread = true,
            Ok(ReadOutcome::Closed) => self.drop_link("the recorder closed it"),
            Err(error) => self.drop_link(&error.to_string()),
        }
    }

    fn on_link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Opened => {
                self.send(&FromWorker::DataOpened);
                for slot in self.matches.slots() {
                    self.matches.make_whole(slot);
                }
            }
            // A later answer is one to an earlier question, too.
            LinkEvent::Mark { token } => self.turn.mark = Some(token),
            LinkEvent::Refused { handle } => {
                self.meter.error();
                let followed = self.matches.by_handle(handle).and_then(|slot| self.matches.get(slot));
                let id = followed.map_or("", |followed| followed.key.id.as_str());
                let epoch = followed.map_or(0, |followed| followed.epoch.0);
                // It is expected: the match went on at another worker.
                log::debug!(match_id = id, epoch = epoch; "match.superseded");
            }
        }
    }

    /// Without a recorder observations wait; a new channel comes from the coordinator.
    pub(super) fn drop_link(&mut self, why: &str) {
        // The coordinator tells why: the recorder died, or ends.
        log::debug!(why = why; "worker.data_lost");
        self.link.detach();
        self.link.port.close();
    }

    /// Answers the question for a mark that came before this turn's read, if that left nothing.
    fn answer_mark(&mut self) {
        if self.is_drained()
            && let Some(token) = self.turn.mark.take()
        {
            check(self.link.mark(token));
        }
    }

    /// Once there is room again the values are sent of which some were dropped. Those of a match that is not followed at the moment come
    /// with its next load.
    fn recover_overflowed(&mut self) {
        for handle in self.link.recoverable() {
            if let Some(slot) = self.matches.by_handle(handle) {
                self.report_values(slot);
            }
        }
    }

    /// Reports all values of a match, unless it is not followed at the moment: then its next load does, which ends the gap.
    pub(super) fn report_values(&mut self, slot: MatchSlot) {
        let now = Instant::now();
        let received = self.clock.received(now);
        match self.matches.get(slot).map(|followed| followed.state) {
            Some(MatchState::Live | MatchState::Stale) => {
                let Worker { parts, matches, link, .. } = self;
                parts.trees.report(slot, received, &mut Reporter { matches, link, now });
            }
            Some(MatchState::Subscribing | MatchState::Removed | MatchState::Refused) | None => {}
        }
    }

    fn find_stale(&mut self, now: Instant) {
        for slot in self.matches.slots() {
            let Some(followed) = self.matches.get(slot) else { continue };
            let silent = now.saturating_duration_since(followed.touched_at) >= self.parts.stale_after;
            let state = match (followed.state, silent) {
                (MatchState::Live, true) => MatchState::Stale,
                (MatchState::Stale, false) => MatchState::Live,
                (
                    MatchState::Live
                    | MatchState::Stale
                    | MatchState::Subscribing
                    | MatchState::Removed
                    | MatchState::Refused,
                    _,
                ) => continue,
            };
            self.set_state(slot, state);
            self.matches.make_due(slot);
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
