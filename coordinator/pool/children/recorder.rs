//! The recorder as the pool sees it: its life, its counters, and what it must be sent when it starts anew.

use crate::pool::catalog::matches::{Assignment, Switch};
use crate::pool::catalog::table::Mark;
use crate::pool::children::life::{Event, Outcome};
use crate::pool::children::slot::{Data, Pulse};
use crate::pool::input::Child;
use crate::pool::log_event::LogEvent;
use crate::pool::{Action, Pool, ServiceKind};
use touchline_common::ipc::messages::recorder::{FromRecorder, Owner, RecorderStats, ToRecorder};
use touchline_common::ipc::messages::worker::{ReleaseReason, ToWorker};
use touchline_common::model::{Epoch, FeedId, Generation, MatchKey, SlotId};

/// What the recorder reported.
#[derive(Debug, Default)]
pub(in crate::pool) struct Recorder {
    pub(in crate::pool) stats: RecorderStats,
    pub(in crate::pool) first_ready: FirstReady,
}

/// Epochs need the highest one that the store has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) enum FirstReady {
    #[default]
    Awaited,
    /// It was ready once, or did not become so within `ProcessTiming::recorder_grace`.
    Settled,
}

impl Pool {
    pub(in crate::pool) fn on_recorder_message(
        &mut self,
        generation: Generation,
        message: FromRecorder,
        out: &mut Vec<Action>,
    ) {
        if self.children.services.recorder.life.generation != generation
            || !self.children.services.recorder.life.has_process()
        {
            return;
        }
        match message {
            FromRecorder::Hello(hello) => self.welcome(Child::RECORDER, &hello, None, out),
            FromRecorder::Ready { highest_epoch, token: _ } => self.recorder_ready(highest_epoch, out),
            FromRecorder::Held { keys } => self.check_orphans(keys),
            FromRecorder::Switched { key, epoch } => self.switched(&key, epoch, out),
            FromRecorder::Stats(stats) => {
                self.children.services.recorder.process.reported_at = self.now;
                if stats.trouble != self.children.recorder.stats.trouble {
                    let trouble = stats.trouble.clone();
                    out.push(Action::Log(match trouble.is_empty() {
                        true => LogEvent::TroubleOver { trouble },
                        false => LogEvent::Trouble { trouble },
                    }));
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

    /// Lets epochs go on without a recorder that is late.
    pub(in crate::pool) fn settle_grace(&mut self) {
        if self.children.recorder.first_ready == FirstReady::Awaited
            && self.now >= self.config.timing.process.recorder_grace
        {
            self.children.recorder.first_ready = FirstReady::Settled;
            self.placement.due = true;
        }
    }

    fn recorder_ready(&mut self, highest: Epoch, out: &mut Vec<Action>) {
        if !self.service_ready(ServiceKind::Recorder, out) {
            return;
        }
        self.children.recorder.first_ready = FirstReady::Settled;
        self.placement.epochs.stay_above(highest);
        let workers: Vec<SlotId> =
            self.children.slots.iter().filter(|slot| slot.life.works()).map(|s| s.id).collect();
        for slot in workers {
            self.connect_data(slot, out);
        }
        let silent = self
            .children
            .slots
            .iter()
            .filter(|slot| slot.life.works() && slot.session.pulse == Pulse::Silent);
        let silent: Vec<SlotId> = silent.map(|slot| slot.id).collect();
        silent.into_iter().for_each(|slot| self.report_silent(slot, out));
        self.catalog.matches.edit_all(|a_match| {
            a_match.recorder.reported = false;
            a_match.recorder.knows_listing = false;
            a_match.recorder.needs_epoch = matches!(a_match.assignment, Assignment::Assigned { .. });
        });
        for key in self.catalog.ended.take_unreported() {
            if !self.catalog.matches.contains(&key) {
                self.send_to_recorder(ToRecorder::Ended { key }, out);
            }
        }
        self.placement.due = true;
    }

    /// Gives a worker a data channel, if both ends are there.
    pub(in crate::pool) fn connect_data(&mut self, slot: SlotId, out: &mut Vec<Action>) {
        if !self.children.services.recorder.life.is_ready() {
            return;
        }
        let now = self.now;
        if let Some(slot) = self.slot_mut(slot).filter(|slot| slot.life.works()) {
            slot.session.data = Data::Given(now);
            out.push(Action::ConnectData { slot: slot.id, generation: slot.life.generation });
        }
    }

    /// The recorder adopted an epoch.
    fn switched(&mut self, key: &MatchKey, epoch: Epoch, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(mut edit) = self.catalog.matches.edit(key) else { return };
        let a_match = &mut *edit;
        let topics = a_match.need.count();
        let Assignment::Assigned { owner, candidate } = &mut a_match.assignment else { return };
        if let Some(seat) = candidate.take_if(|seat| seat.epoch == epoch) {
            let former = std::mem::replace(owner, seat);
            let worker = owner.slot;
            a_match.recorder.predecessor = Owner::Alive;
            a_match.moved_at = Some(now);
            drop(edit);
            self.saving.due = true;
            self.release_seat(key, &former, topics, ReleaseReason::Moved, out);
            out.push(Action::Log(LogEvent::Moved { key: key.clone(), worker, epoch }));
        } else if epoch > owner.epoch {
            // It adopted a candidate that is no more: its owner's epoch is refused from now on, so it needs a new one.
            let late = candidate.take();
            a_match.recorder.predecessor = Owner::Dead;
            a_match.recorder.needs_epoch = true;
            drop(edit);
            if let Some(late) = late {
                self.release_seat(key, &late, topics, ReleaseReason::Moved, out);
            }
            self.placement.epochs.stay_above(epoch);
        } else if owner.covers(owner.slot, owner.generation, epoch) {
            a_match.recorder.predecessor = Owner::Alive;
        }
    }

    /// Sends each assigned match's new epoch, as far as epochs are at hand.
    pub(in crate::pool) fn renew_assigned(&mut self, out: &mut Vec<Action>) {
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
            owner.switch = Switch::Sent;
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
                self.send_to_worker(slot, ToWorker::Renew { id, epoch }, out);
                if let Some(owner) = owner {
                    self.send_to_recorder(ToRecorder::Switch { key: key.clone(), epoch, owner }, out);
                }
            }
        }
    }

    /// Reports to the recorder of a match's end, or remembers to.
    pub(in crate::pool) fn report_ended(&mut self, key: MatchKey, out: &mut Vec<Action>) {
        if self.catalog.matches.contains(&key) {
            return;
        }
        if self.children.services.recorder.life.is_ready() {
            self.send_to_recorder(ToRecorder::Ended { key }, out);
            return;
        }
        self.catalog.ended.report_later(key);
    }

    /// Reports the matches that wait and were not reported yet to the recorder.
    pub(in crate::pool) fn report_waiting(&mut self, out: &mut Vec<Action>) {
        if !self.children.services.recorder.life.is_ready() {
            return;
        }
        for key in self.catalog.matches.marked(Mark::Unreported).clone() {
            let Some(mut a_match) = self.catalog.matches.edit(&key) else { continue };
            a_match.recorder.reported = true;
            a_match.recorder.knows_listing = true;
            let listing = Some(a_match.listing.clone());
            drop(a_match);
            self.send_to_recorder(ToRecorder::Waiting { key, listing }, out);
        }
    }

    pub(in crate::pool) fn outcome_is_signal(outcome: Outcome) -> Option<crate::pool::Signal> {
        match outcome {
            Outcome::Send(signal) | Outcome::Late(signal) => Some(signal),
            Outcome::Quiet | Outcome::Gone(_) => None,
        }
    }

    pub fn feed_of(&self, child: Child) -> Option<FeedId> {
        match child {
            Child::Service(_) => None,
            Child::Worker(slot) => self.slot(slot).and_then(|slot| slot.feed),
        }
    }
}
