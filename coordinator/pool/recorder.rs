//! The recorder as the pool sees it: its life, its counters, and what it must be told when it starts anew.

use super::input::Child;
use super::life::{Event, Life, Outcome, Peers};
use super::log_event::LogEvent;
use super::matches::{Place, Switch};
use super::slot::{Data, Pulse};
use super::{Action, Pool, millis};
use std::time::Duration;
use touchline_common::ipc::messages::recorder::{FromRecorder, Owner, RecorderStats, ToRecorder};
use touchline_common::ipc::messages::worker::{ReleaseReason, ToWorker};
use touchline_common::model::{Epoch, FeedId, Generation, MatchKey, SlotId};

#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) life: Life,
    pub(super) pid: Option<u32>,
    pub(super) spawned_at: Duration,
    pub(super) heard_at: Duration,
    pub(super) stats: RecorderStats,
    pub(super) first_ready: FirstReady,
}

/// Epochs need the highest one that the store has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstReady {
    Awaited,
    /// It was ready once, or did not become so within `Timing::recorder_grace`.
    Settled,
}

impl Recorder {
    pub(super) fn new(generation: Generation) -> Self {
        Recorder {
            life: Life::new(Peers::Nobody, generation, 0, None),
            pid: None,
            spawned_at: Duration::ZERO,
            heard_at: Duration::ZERO,
            stats: RecorderStats::default(),
            first_ready: FirstReady::Awaited,
        }
    }
}

impl Pool {
    pub(super) fn recorder_says(
        &mut self,
        generation: Generation,
        message: FromRecorder,
        out: &mut Vec<Action>,
    ) {
        if self.recorder.life.generation != generation || !self.recorder.life.has_process() {
            return;
        }
        match message {
            FromRecorder::Hello(hello) => self.welcome(Child::Recorder, &hello, None, out),
            FromRecorder::Ready { highest_epoch, token: _ } => self.recorder_ready(highest_epoch, out),
            FromRecorder::Held { keys } => self.suspect_ended(keys),
            FromRecorder::Switched { key, epoch } => self.switched(&key, epoch, out),
            FromRecorder::Stats(stats) => {
                self.recorder.heard_at = self.now;
                if stats.trouble != self.recorder.stats.trouble {
                    let trouble = stats.trouble.clone();
                    out.push(Action::Log(match trouble.is_empty() {
                        true => LogEvent::TroubleOver { trouble },
                        false => LogEvent::Trouble { trouble },
                    }));
                }
                self.recorder.stats = stats;
            }
            // The shell merges documents into `matches`.
            FromRecorder::Documents { .. } | FromRecorder::Pong => {}
            FromRecorder::Leaving { why: _ } => {
                self.advance(Child::Recorder, Event::Announced);
            }
        }
    }

    /// Starts the recorder whenever it may be started, and lets epochs go on without it when it is late.
    pub(super) fn settle_recorder(&mut self, out: &mut Vec<Action>) {
        if self.recorder.first_ready == FirstReady::Awaited && self.now >= self.config.timing.recorder_grace {
            self.recorder.first_ready = FirstReady::Settled;
            self.placement_due = true;
        }
        if self.recorder.life.may_spawn(self.now) {
            if self.recorder.life.retry_in(self.now).is_some() {
                self.restarts += 1;
            }
            self.advance(Child::Recorder, Event::Spawn);
            self.recorder.pid = None;
            self.recorder.spawned_at = self.now;
            self.recorder.heard_at = self.now;
            let generation = self.recorder.life.generation;
            out.push(Action::SaveState);
            out.push(Action::Spawn { child: Child::Recorder, generation, feed: None });
        }
    }

    fn recorder_ready(&mut self, highest: Epoch, out: &mut Vec<Action>) {
        if self.recorder.life.is_stopping() {
            // It was to leave before there was a channel to say so; a signal is nothing to it.
            return self.stop_late_recorder(out);
        }
        if !self.recorder.life.is_starting() {
            return;
        }
        let took_ms = millis(self.now.saturating_sub(self.recorder.spawned_at));
        self.advance(Child::Recorder, Event::Ready);
        self.recorder.heard_at = self.now;
        self.recorder.first_ready = FirstReady::Settled;
        self.epochs.stay_above(highest);
        let generation = self.recorder.life.generation;
        out.push(Action::Log(LogEvent::Ready { child: Child::Recorder, generation, took_ms }));
        let workers: Vec<SlotId> = self.slots.iter().filter(|slot| slot.life.works()).map(|s| s.id).collect();
        for slot in workers {
            self.connect_data(slot, out);
        }
        let silent = self.slots.iter().filter(|slot| slot.life.works() && slot.pulse == Pulse::Silent);
        let silent: Vec<SlotId> = silent.map(|slot| slot.id).collect();
        silent.into_iter().for_each(|slot| self.tell_silent(slot, out));
        for (key, a_match) in &mut self.matches {
            a_match.told_waiting = false;
            match &mut a_match.place {
                Place::Placed { .. } => {
                    self.renew.insert(key.clone());
                }
                Place::Waiting | Place::Quarantined => {
                    self.untold.insert(key.clone());
                }
            }
        }
        for key in std::mem::take(&mut self.ended_untold) {
            if !self.matches.contains_key(&key) {
                self.tell_recorder(ToRecorder::Ended { key }, out);
            }
        }
        self.placement_due = true;
    }

    /// Gives a worker a data channel, if both ends are there.
    pub(super) fn connect_data(&mut self, slot: SlotId, out: &mut Vec<Action>) {
        if !self.recorder.life.is_ready() {
            return;
        }
        let now = self.now;
        if let Some(slot) = self.slot_mut(slot).filter(|slot| slot.life.works()) {
            slot.data = Data::Given(now);
            out.push(Action::ConnectData { slot: slot.id, generation: slot.life.generation });
        }
    }

    /// The recorder adopted an epoch.
    fn switched(&mut self, key: &MatchKey, epoch: Epoch, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(a_match) = self.matches.get_mut(key) else { return };
        let Place::Placed { owner, candidate } = &mut a_match.place else { return };
        if let Some(seat) = candidate.take_if(|seat| seat.epoch == epoch) {
            let former = std::mem::replace(owner, seat);
            a_match.predecessor = Owner::Alive;
            let worker = owner.slot;
            a_match.moved_at = Some(now);
            self.moving.remove(key);
            self.save_due = true;
            self.release_seat(key, &former, ReleaseReason::Moved, out);
            out.push(Action::Log(LogEvent::Moved { key: key.clone(), worker, epoch }));
        } else if epoch > owner.epoch {
            // It adopted a candidate that is no more: its owner's epoch is refused from now on, so it needs a new one.
            a_match.predecessor = Owner::Dead;
            if let Some(late) = candidate.take() {
                self.moving.remove(key);
                self.release_seat(key, &late, ReleaseReason::Moved, out);
            }
            self.epochs.stay_above(epoch);
            self.renew.insert(key.clone());
        } else if owner.covers(owner.slot, owner.generation, epoch) {
            a_match.predecessor = Owner::Alive;
        }
    }

    /// Sends each placed match's new epoch, as far as epochs are at hand.
    pub(super) fn renew_placed(&mut self, out: &mut Vec<Action>) {
        while let Some(key) = self.renew.first().cloned() {
            let Some(a_match) = self.matches.get_mut(&key) else {
                self.renew.remove(&key);
                continue;
            };
            let Place::Placed { owner, candidate } = &mut a_match.place else {
                self.renew.remove(&key);
                continue;
            };
            if !self.epochs.has(1 + u64::from(candidate.is_some())) {
                return;
            }
            let Some(epoch) = self.epochs.mint() else { return };
            owner.epoch = epoch;
            // A recorder that starts anew waits for a worker that lives: what it holds comes first, under its old epoch.
            let mut seats = vec![(owner.slot, epoch, Some(a_match.predecessor))];
            owner.switch = Switch::Sent;
            if let Some((seat, above)) = candidate.as_mut().and_then(|seat| Some((seat, self.epochs.mint()?)))
            {
                seat.epoch = above;
                let live = seat.has_load();
                seat.switch = if live { Switch::Sent } else { Switch::NotSent };
                seats.push((seat.slot, above, live.then_some(Owner::Alive)));
            }
            self.renew.remove(&key);
            for (slot, epoch, owner) in seats {
                let id = key.id.clone();
                self.tell_worker(slot, ToWorker::Renew { id, epoch }, out);
                if let Some(owner) = owner {
                    self.tell_recorder(ToRecorder::Switch { key: key.clone(), epoch, owner }, out);
                }
            }
        }
    }

    /// Whether the recorder answers; else it is aborted.
    pub(super) fn tick_recorder_pulse(&mut self, out: &mut Vec<Action>) {
        let silent = self.now.saturating_sub(self.recorder.heard_at);
        if !self.recorder.life.is_ready() || silent < self.config.timing.hung_after {
            return;
        }
        let why = format!("no sign of life for {} ms", millis(silent));
        self.condemn(Child::Recorder, super::Signal::Abort, why, out);
    }

    /// Tells the recorder of a match's end, or remembers to.
    pub(super) fn tell_ended(&mut self, key: MatchKey, out: &mut Vec<Action>) {
        if self.matches.contains_key(&key) {
            return;
        }
        if self.recorder.life.is_ready() {
            self.tell_recorder(ToRecorder::Ended { key }, out);
            return;
        }
        if self.ended_untold.len() >= super::ENDED_UNTOLD {
            self.ended_untold.pop_front();
        }
        self.ended_untold.push_back(key);
    }

    /// Tells the recorder of every match that waits since it was last told.
    pub(super) fn tell_waiting(&mut self, out: &mut Vec<Action>) {
        if !self.recorder.life.is_ready() {
            return;
        }
        for key in std::mem::take(&mut self.untold) {
            let Some(a_match) = self.matches.get_mut(&key) else { continue };
            if matches!(a_match.place, Place::Placed { .. }) {
                continue;
            }
            a_match.told_waiting = true;
            let listing = Some(a_match.listing.clone());
            self.tell_recorder(ToRecorder::Waiting { key, listing }, out);
        }
    }

    pub(super) fn outcome_is_signal(outcome: Outcome) -> Option<super::Signal> {
        match outcome {
            Outcome::Send(signal) | Outcome::Late(signal) => Some(signal),
            Outcome::Quiet | Outcome::Gone(_) => None,
        }
    }

    /// The feed that a worker scans.
    pub fn feed_of(&self, child: Child) -> Option<FeedId> {
        match child {
            Child::Recorder => None,
            Child::Worker(slot) => self.slot(slot).and_then(|slot| slot.feed),
        }
    }
}
