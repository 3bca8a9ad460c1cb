//! Processes: started, welcomed, silent, condemned, gone; and what becomes of the matches of one that is lost.

use crate::pool::catalog::matches::{Assignment, Crash};
use crate::pool::children::deaths::Ending;
use crate::pool::children::life::{Departure, Event, Life, Outcome};
use crate::pool::children::recovery::Died;
use crate::pool::children::service::SERVICES;
use crate::pool::children::slot::{Data, Pulse, Slot, Suspect};
use crate::pool::input::{Child, Exit};
use crate::pool::log_event::LogEvent;
use crate::pool::{Action, Pool, Signal, millis};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::ipc::PROTO;
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::recorder::{Owner, ToRecorder};
use touchline_common::ipc::messages::worker::ToWorker;
use touchline_common::model::{FeedId, Generation, MatchKey, SlotId};

impl Pool {
    pub(in crate::pool) fn child_spawned(&mut self, child: Child, generation: Generation, pid: u32) {
        let Some(life) = self.children.life_mut(child).filter(|life| life.is(generation)) else { return };
        life.process.pid = Some(pid);
        if matches!(child, Child::Worker(_)) {
            self.children.breaker.started();
        }
        self.out.log(LogEvent::Spawned { child, generation, feed: self.feed_of(child) });
    }

    pub(in crate::pool) fn child_not_spawned(&mut self, child: Child, generation: Generation, error: String) {
        let Some(life) = self.children.life_mut(child).filter(|life| life.generation == generation) else {
            return;
        };
        life.blame(&error);
        if matches!(child, Child::Worker(_)) {
            self.children.breaker.not_started(self.now, &self.timing);
        }
        if let Outcome::Gone(departure) = self.advance(child, Event::SpawnFailed) {
            self.out.log(LogEvent::SpawnFailed { child, generation, error });
            self.departed(child, departure, Ending::default());
        }
    }

    pub(in crate::pool) fn child_exited(
        &mut self,
        child: Child,
        generation: Generation,
        exit: Exit,
        seen: Ending,
    ) {
        if self.life(child).is_none_or(|life| life.generation != generation) {
            return;
        }
        let doing = self.last_activity(child);
        if let Outcome::Gone(departure) = self.advance(child, Event::Exited(exit)) {
            self.departed(child, departure, Ending { exit: Some(exit), doing, ..seen });
        }
    }

    pub(in crate::pool) fn channel_closed(&mut self, child: Child, generation: Generation, why: &str) {
        // A child that was asked to leave closes its channel before it exits; its deadline still holds.
        if self.life(child).is_some_and(|life| life.generation == generation && !life.is_stopping()) {
            self.condemn(child, Signal::Term, format!("channel closed: {why}"));
        }
    }

    /// Answers a child's first message, or sends it away for good if it speaks no version of ours.
    pub(in crate::pool) fn welcome(&mut self, child: Child, hello: &Hello) {
        let Some(generation) = self.life(child).map(|life| life.generation) else { return };
        if (hello.proto_min..=hello.proto_max).contains(&PROTO) {
            let feed = self.feed_of(child);
            self.out.push(Action::Welcome { child, generation, proto: PROTO, feed });
            return;
        }
        let why = format!(
            "it speaks message versions {} to {}, this build speaks {PROTO}",
            hello.proto_min, hello.proto_max
        );
        self.advance(child, Event::Refused);
        self.condemn(child, Signal::Term, why);
    }

    /// A child must go now; what it had is given away at once.
    pub(in crate::pool) fn condemn(&mut self, child: Child, signal: Signal, why: String) {
        if let Some(signal) = self.advance(child, Event::Condemn { signal }).signal() {
            self.kill(child, signal, why);
            self.lose(child);
        }
    }

    /// Sends it a signal. Where it was to leave, that is the line of it; else that of its death.
    fn kill(&mut self, child: Child, signal: Signal, why: String) {
        let Some(life) = self.children.life_mut(child) else { return };
        life.blame(&why);
        let generation = life.generation;
        self.out.log(match life.is_stopping() {
            true => LogEvent::Kill { child, generation, signal, why },
            false => LogEvent::Condemned { child, generation, signal, why },
        });
        self.out.push(Action::Kill { child, generation, signal });
    }

    /// Deadlines of starts and stops, back-off.
    pub(in crate::pool) fn tick_lives(&mut self) {
        let workers = self.children.slots.iter().map(|slot| Child::Worker(slot.id));
        let children: Vec<Child> = SERVICES.map(Child::Service).into_iter().chain(workers).collect();
        for child in children {
            let starts = self.life(child).is_some_and(Life::is_starting);
            if let Some(signal) = self.advance(child, Event::Tick).signal() {
                let why = if starts { "it was not ready in time" } else { "it did not leave in time" };
                self.kill(child, signal, why.into());
            }
        }
        for slot in &self.children.slots {
            if let Some(since) = slot.life.ready_since() {
                self.children.breaker.ready(slot.id, since, self.now);
            }
        }
    }

    /// Load reports that do not come: first the matches get candidates, then the worker is aborted.
    pub(in crate::pool) fn tick_pulses(&mut self) {
        self.tick_service_pulses();
        let mut hung = Vec::new();
        let mut unconnected = Vec::new();
        for slot in self.children.slots.iter().filter(|slot| slot.life.works() || slot.life.is_stopping()) {
            let silent = slot.life.silent_for(self.now);
            if silent >= self.timing.process.hung_after {
                // One that is to leave and hangs is not waited for until its deadline.
                hung.push((slot.id, millis(silent)));
            } else if slot.life.is_stopping() {
                continue;
            }
            if let Data::Given(at) = slot.session.data
                && self.now >= at + self.timing.process.data_deadline
            {
                unconnected.push(slot.id);
            }
        }
        for slot in self.fall_silent() {
            self.report_silent(slot);
            // What was to go to it finds another place.
            self.drop_candidates(|_, to| to == slot);
        }
        for (slot, silent_ms) in hung {
            let why = format!("no load report for {silent_ms} ms");
            self.condemn(Child::Worker(slot), Signal::Abort, why);
        }
        for slot in unconnected {
            self.connect_data(slot);
        }
    }

    /// Workers that gave no sign for too long, and those that share a process with one: its loop is blocked for all of them,
    /// however lately one of them reported.
    fn fall_silent(&mut self) -> Vec<SlotId> {
        let (now, timing) = (self.now, &self.timing);
        let is_silent_for = |slot: &Slot, time: Duration| {
            let silent = slot.life.silent_for(now);
            slot.life.works()
                && slot.session.pulse == Pulse::Regular
                && (time..timing.process.hung_after).contains(&silent)
        };
        let of_itself =
            self.children.slots.iter().filter(|slot| is_silent_for(slot, timing.process.silent_after));
        let processes: BTreeSet<u32> = of_itself.filter_map(|slot| slot.life.process.pid).collect();
        let mut silent_now = Vec::new();
        for slot in &mut self.children.slots {
            let shares = slot.life.process.pid.is_some_and(|pid| processes.contains(&pid));
            let patience = if shares { timing.process.silent_after / 2 } else { timing.process.silent_after };
            if is_silent_for(slot, patience) {
                slot.session.pulse = Pulse::Silent;
                let (silent_ms, matches) = (millis(slot.life.silent_for(now)), slot.matches.len());
                self.out.log(LogEvent::Silent { worker: slot.id, silent_ms, matches });
                silent_now.push(slot.id);
            }
        }
        silent_now
    }

    /// Reports to the recorder that a worker gives no sign of life: what it follows is a gap from the last one on.
    pub(in crate::pool) fn report_silent(&mut self, slot: SlotId) {
        let Some(there) = self.slot(slot) else { return };
        let ms = there.life.silent_for(self.now).as_millis();
        let (generation, ms) = (there.life.generation, u32::try_from(ms).unwrap_or(u32::MAX));
        self.send_to_recorder(ToRecorder::Silent { slot, generation, ms });
    }

    fn departed(&mut self, child: Child, departure: Departure, mut ending: Ending) {
        let Some(life) = self.life(child) else { return };
        let exit = life.last_exit.clone().unwrap_or_default();
        let why = match life.reason() {
            Some(reason) => format!("{reason}; {exit}"),
            None => exit,
        };
        let (generation, retry, parked) = (life.generation, life.retry_in(self.now), life.is_parked());
        self.lose(child);
        if let Child::Worker(slot) = child {
            if let Some(slot) = self.slot_mut(slot) {
                ending.had.append(&mut slot.suspects);
            }
            self.blame(slot, generation, departure, &ending);
        }
        let retry_ms = retry.map(millis);
        match departure {
            Departure::Asked | Departure::Left => {
                self.forget_fallen(child, generation);
                self.out.log(LogEvent::Left { child, generation, why: why.clone() });
            }
            Departure::Died { .. } => {
                self.remember_death(child, &ending);
                let (why, matches, at) = (why.clone(), ending.had.len(), ending.found());
                let at = at.map(|key| key.id.clone());
                // One that was never there has a line of its own.
                if ending.exit.is_some() {
                    self.died(child, Died { generation, why, matches, at, retry_ms });
                }
            }
        }
        if parked {
            self.out.log(LogEvent::Parked { child, why, for_ms: retry_ms });
        }
        self.placement.due = true;
        self.saving.due = true;
        self.summary_due = self.summary_due.map(|_| self.now);
    }

    /// Marks what may have ended a worker that died: the match that it was at, or all that it had if it was at none.
    fn blame(&mut self, slot: SlotId, generation: Generation, departure: Departure, ending: &Ending) {
        let (pid, now) = (self.slot(slot).and_then(|slot| slot.life.process.pid), self.now);
        match departure {
            Departure::Asked | Departure::Left => self.children.breaker.left(slot, now),
            Departure::Died { suspicious } => {
                self.children.breaker.died(slot, pid, now, &self.timing);
                if suspicious {
                    for suspect in ending.suspects() {
                        self.suspect(&suspect.key, Crash { slot, generation, pid, at: now });
                    }
                }
            }
        }
    }

    fn suspect(&mut self, key: &MatchKey, crash: Crash) {
        let window = self.timing.deaths.suspicion;
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        a_match.crashes.retain(|old| old.at + window >= crash.at);
        let other = a_match.crashes.iter().any(|old| old.is_another(&crash));
        a_match.crashes.push(crash);
        let quarantined = matches!(a_match.assignment, Assignment::Quarantined);
        drop(a_match);
        if other && !quarantined {
            self.quarantine(key, crash.slot);
        }
    }

    fn quarantine(&mut self, key: &MatchKey, worker: SlotId) {
        self.unassign(key);
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        a_match.assignment = Assignment::Quarantined;
        a_match.recorder.reported = false;
        drop(a_match);
        self.followed_no_more(key);
        self.out.log(LogEvent::Quarantined { key: key.clone(), worker });
    }

    fn lose(&mut self, child: Child) {
        match child {
            Child::Worker(slot) => self.lose_worker(slot),
            Child::RECORDER => self.children.slots.iter_mut().for_each(|slot| slot.session.data = Data::None),
            Child::GATEWAY => {}
        }
    }

    /// A worker is given up on: its matches go on as candidates where they have one, else they wait for a place.
    fn lose_worker(&mut self, slot: SlotId) {
        let Some(place) = self.slot_mut(slot) else { return };
        let feed = place.feed;
        let lost: Vec<MatchKey> = place.matches.iter().cloned().collect();
        place.clear();
        place.session.data = Data::None;
        self.miss(slot, &lost);
        let suspects: Vec<Suspect> = lost.iter().filter_map(|key| self.suspect_at(key, slot)).collect();
        if let Some(place) = self.slot_mut(slot) {
            place.suspects.extend(suspects);
        }
        for key in &lost {
            self.lose_seat(key, slot);
        }
        if let Some(feed) = feed {
            self.lose_list(feed, slot);
            self.feeds[feed].queue.retain(|waiting| *waiting != slot);
            self.feeds[feed].cap.gone(slot);
        }
        self.finish_endings();
        self.placement.due = true;
    }

    fn suspect_at(&self, key: &MatchKey, slot: SlotId) -> Option<Suspect> {
        let seat = self.catalog.matches.get(key)?.seats().find(|seat| seat.slot == slot)?;
        Some(Suspect { key: key.clone(), epochs: seat.first_epoch..=seat.epoch })
    }

    fn lose_seat(&mut self, key: &MatchKey, slot: SlotId) {
        let Some(mut edit) = self.catalog.matches.edit(key) else { return };
        let a_match = &mut *edit;
        let Assignment::Assigned { owner, candidate } = &mut a_match.assignment else { return };
        if candidate.take_if(|seat| seat.slot == slot).is_some() || owner.slot != slot {
            return;
        }
        match candidate.take() {
            Some(seat) => {
                let (epoch, to, has_load) = (seat.epoch, seat.slot, seat.has_load());
                *owner = seat;
                a_match.recorder.predecessor = Owner::Dead;
                drop(edit);
                if has_load {
                    self.followed_again(key, to);
                }
                let switch = ToRecorder::Switch { key: key.clone(), epoch, owner: Owner::Dead };
                self.send_to_recorder(switch);
            }
            None => {
                drop(edit);
                self.enqueue(key);
            }
        }
    }

    fn lose_list(&mut self, feed: FeedId, slot: SlotId) {
        if self.feeds[feed].holder.take_if(|holder| *holder == slot).is_some() {
            self.feeds[feed].list.lost();
            self.out.log(LogEvent::ListLost { feed, worker: slot });
        }
    }

    /// Workers that give their matches away: those that have none left are asked to leave.
    pub(in crate::pool) fn settle_drains(&mut self) {
        let has_nothing =
            |slot: &Slot| slot.matches.is_empty() && slot.is_settled() && !self.holds_list(slot.id);
        let empty = self.children.slots.iter().filter(|slot| slot.life.is_draining() && has_nothing(slot));
        let empty: Vec<SlotId> = empty.map(|slot| slot.id).collect();
        for slot in empty {
            self.stop_worker(slot, self.config.drain_deadline.0);
        }
    }

    /// Whether a feed's list hangs on this slot and may go elsewhere.
    pub(in crate::pool) fn holds_list(&self, slot: SlotId) -> bool {
        self.feeds.iter().any(|feed| feed.holder == Some(slot))
    }

    pub(in crate::pool) fn stop_worker(&mut self, slot: SlotId, within: Duration) {
        let works = self.slot(slot).is_some_and(|slot| slot.life.works());
        self.stop_child(Child::Worker(slot), within);
        if works {
            let deadline_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
            self.send_to_worker(slot, ToWorker::Stop { deadline_ms });
        }
    }

    /// Its place waits so long for its end; it is sent a signal where it cannot be asked.
    pub(in crate::pool) fn stop_child(&mut self, child: Child, within: Duration) {
        let outcome = self.advance(child, Event::Stop { deadline: self.now + within });
        self.signal(child, outcome);
    }

    /// Sends the signal that an event led to, if it did.
    pub(in crate::pool) fn signal(&mut self, child: Child, outcome: Outcome) {
        if let (Some(signal), Some(life)) = (outcome.signal(), self.life(child)) {
            self.out.push(Action::Kill { child, generation: life.generation, signal });
        }
    }

    /// Starts a child in its place.
    pub(in crate::pool) fn start(&mut self, child: Child, feed: Option<FeedId>) {
        self.advance(child, Event::Spawn);
        let Some(generation) = self.life(child).map(|life| life.generation) else { return };
        // Its generation is on the disk before there is a process.
        self.out.push(Action::SaveState);
        self.out.push(Action::Spawn { child, generation, feed });
    }

    /// Whether a child became READY by this message.
    pub(super) fn child_ready(&mut self, child: Child) -> bool {
        let Some(life) = self.life(child).filter(|life| life.is_starting()) else { return false };
        let took_ms = millis(self.now.saturating_sub(life.process.spawned_at));
        let generation = life.generation;
        self.advance(child, Event::Ready);
        self.out.log(LogEvent::Ready { child, generation, took_ms });
        true
    }
}
