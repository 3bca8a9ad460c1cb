//! The recorder as the pool sees it: its life, its counters, and what it must be sent when it starts anew.

use crate::pool::catalog::matches::{Assignment, Cause, Switch};
use crate::pool::catalog::table::Mark;
use crate::pool::children::life::{Event, Life, Peers};
use crate::pool::children::slot::{Data, Pulse};
use crate::pool::input::Child;
use crate::pool::log_event::LogEvent;
use crate::pool::{Action, Pool, ServiceKind};
use touchline_common::ipc::messages::recorder::{FromRecorder, Owner, RecorderStats, ToRecorder};
use touchline_common::ipc::messages::worker::{ReleaseReason, ToWorker};
use touchline_common::model::{Epoch, FeedId, Generation, MatchKey, SlotId};

/// Its life, and what it reported.
#[derive(Debug)]
pub(in crate::pool) struct Recorder {
    pub(in crate::pool) life: Life,
    pub(in crate::pool) stats: RecorderStats,
    /// It was ready once, so that the highest epoch of its store is known.
    was_ready: bool,
}

impl Recorder {
    pub(super) fn new(generation: Generation) -> Self {
        Recorder {
            life: Life::new(Peers::Alone, generation),
            stats: RecorderStats::default(),
            was_ready: false,
        }
    }
}

impl Pool {
    pub(in crate::pool) fn on_recorder_message(&mut self, generation: Generation, message: FromRecorder) {
        if !self.children.recorder.life.is(generation) {
            return;
        }
        match message {
            FromRecorder::Hello(hello) => self.welcome(Child::RECORDER, &hello),
            FromRecorder::Ready { highest_epoch, token: _ } => self.recorder_ready(highest_epoch),
            FromRecorder::Held { keys } => self.check_orphans(keys),
            FromRecorder::Switched { key, epoch } => self.switched(&key, epoch),
            FromRecorder::Stats(stats) => {
                self.children.recorder.life.process.reported_at = self.now;
                if stats.trouble != self.children.recorder.stats.trouble {
                    self.out.log(LogEvent::Trouble { trouble: stats.trouble.clone() });
                }
                self.children.recorder.stats = stats;
            }
            // The shell merges documents into `matches`.
            FromRecorder::Documents { .. } | FromRecorder::Pong => {}
            FromRecorder::Leaving { why: _ } => {
                self.advance(Child::RECORDER, Event::Announced);
            }
        }
    }

    /// Epochs need the highest one that the store has seen, but do not wait for a recorder that is late.
    pub(in crate::pool) fn may_give_epochs(&self) -> bool {
        self.children.recorder.was_ready || self.now >= self.timing.process.recorder_grace
    }

    fn recorder_ready(&mut self, highest: Epoch) {
        if !self.service_ready(ServiceKind::Recorder) {
            return;
        }
        self.children.recorder.was_ready = true;
        self.service_is_back(ServiceKind::Recorder);
        self.connect_feed();
        self.placement.epochs.stay_above(highest);
        let workers: Vec<SlotId> = self.children.working().map(|slot| slot.id).collect();
        workers.into_iter().for_each(|slot| self.connect_data(slot));
        let silent = self.children.working().filter(|slot| slot.session.pulse == Pulse::Silent);
        let silent: Vec<SlotId> = silent.map(|slot| slot.id).collect();
        silent.into_iter().for_each(|slot| self.report_silent(slot));
        self.catalog.matches.edit_all(|a_match| {
            a_match.recorder.reported = false;
            a_match.recorder.needs_epoch = matches!(a_match.assignment, Assignment::Assigned { .. });
        });
        for (key, epoch) in self.catalog.ended.take_unreported() {
            self.report_ended(key, epoch);
        }
        self.placement.due = true;
    }

    /// Gives a worker a data channel, if both ends are there.
    pub(in crate::pool) fn connect_data(&mut self, slot: SlotId) {
        if !self.children.recorder.life.is_ready() {
            return;
        }
        let now = self.now;
        if let Some(slot) = self.slot_mut(slot).filter(|slot| slot.life.works()) {
            slot.session.data = Data::Given(now);
            let (slot, generation) = (slot.id, slot.life.generation);
            self.out.push(Action::ConnectData { slot, generation });
        }
    }

    /// The recorder adopted an epoch.
    fn switched(&mut self, key: &MatchKey, epoch: Epoch) {
        let Some(mut edit) = self.catalog.matches.edit(key) else { return };
        let a_match = &mut *edit;
        let Assignment::Assigned { owner, candidate } = &mut a_match.assignment else { return };
        if let Some(seat) = candidate.take_if(|seat| seat.epoch == epoch) {
            let former = std::mem::replace(owner, seat);
            let (worker, cause, from) = (owner.slot, owner.cause, former.slot);
            a_match.recorder.predecessor = Owner::Alive;
            a_match.moved_at = Some(self.now);
            drop(edit);
            self.saving.due = true;
            self.release_seat(key, &former, ReleaseReason::Moved);
            let key = key.clone();
            self.out.log(match cause {
                Cause::Planned => LogEvent::Moved { key, worker, epoch, from },
                Cause::Follows => LogEvent::MovedAlong { key, worker, epoch, from },
            });
        } else if epoch > owner.epoch {
            // It adopted a candidate that is no more: its owner's epoch is refused from now on, so it needs a new one.
            let late = candidate.take();
            a_match.recorder.predecessor = Owner::Dead;
            a_match.recorder.needs_epoch = true;
            drop(edit);
            if let Some(late) = late {
                self.release_seat(key, &late, ReleaseReason::Moved);
            }
            self.placement.epochs.stay_above(epoch);
        } else if owner.covers(owner.slot, epoch) {
            a_match.recorder.predecessor = Owner::Alive;
        }
    }

    /// Sends each assigned match's new epoch, as far as epochs are at hand.
    pub(in crate::pool) fn renew_assigned(&mut self) {
        while let Some(key) = self.catalog.matches.marked(Mark::NeedsEpoch).first().cloned() {
            let Some(mut edit) = self.catalog.matches.edit(&key) else { return };
            let a_match = &mut *edit;
            let Assignment::Assigned { owner, candidate } = &mut a_match.assignment else { return };
            if !self.placement.epochs.has(1 + u64::from(candidate.is_some())) {
                return;
            }
            let Some(epoch) = self.placement.epochs.mint() else { return };
            owner.epoch = epoch;
            // A recorder that starts anew waits for a worker that lives: what it holds comes first, under its old epoch.
            let mut seats = vec![(owner.slot, epoch, Some(a_match.recorder.predecessor))];
            if let Some((seat, above)) =
                candidate.as_mut().and_then(|seat| Some((seat, self.placement.epochs.mint()?)))
            {
                seat.epoch = above;
                let live = seat.has_load();
                seat.switch = if live { Switch::Sent } else { Switch::NotSent };
                seats.push((seat.slot, above, live.then_some(Owner::Alive)));
            }
            a_match.recorder.needs_epoch = false;
            drop(edit);
            for (slot, epoch, owner) in seats {
                let id = key.id.clone();
                self.send_to_worker(slot, ToWorker::Renew { id, epoch });
                if let Some(owner) = owner {
                    self.send_to_recorder(ToRecorder::Switch { key: key.clone(), epoch, owner });
                }
            }
        }
    }

    /// Reports to the recorder of a match's end, or remembers to. Also of one that is assigned again, under a higher epoch: it may be
    /// another match under the same id. What waits has no epoch that would tell it from what has ended.
    pub(in crate::pool) fn report_ended(&mut self, key: MatchKey, epoch: Epoch) {
        if self.catalog.matches.get(&key).is_some_and(|again| again.owner().is_none()) {
            return;
        }
        if self.children.recorder.life.is_ready() {
            return self.send_to_recorder(ToRecorder::Ended { key, epoch });
        }
        self.catalog.ended.report_later(key, epoch);
    }

    /// Reports the matches that wait and were not reported yet to the recorder.
    pub(in crate::pool) fn report_waiting(&mut self) {
        if !self.children.recorder.life.is_ready() {
            return;
        }
        for key in self.catalog.matches.marked(Mark::Unreported).clone() {
            let Some(mut a_match) = self.catalog.matches.edit(&key) else { continue };
            a_match.recorder.reported = true;
            let listing = a_match.listing.clone();
            drop(a_match);
            self.send_to_recorder(ToRecorder::Waiting { key, listing });
        }
    }

    pub fn feed_of(&self, child: Child) -> Option<FeedId> {
        match child {
            Child::Service(_) => None,
            Child::Worker(slot) => self.slot(slot).and_then(|slot| slot.feed),
        }
    }
}
