//! Processes: started, welcomed, silent, condemned, gone; and what becomes of the matches of one that is lost.

use crate::pool::catalog::matches::{Assignment, Crash, Switch};
use crate::pool::children::deaths::{Evidence, LastSeen};
use crate::pool::children::life::{Departure, Event, Outcome};
use crate::pool::children::service::SERVICES;
use crate::pool::children::slot::{Data, Pulse, Slot, Suspect};
use crate::pool::input::{Child, Exit, Usage, Work};
use crate::pool::log_event::LogEvent;
use crate::pool::{Action, MatchSource, Overlap, Pool, Signal, millis};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::ipc::PROTO;
use touchline_common::ipc::messages::Hello;
use touchline_common::ipc::messages::recorder::{Owner, ToRecorder};
use touchline_common::ipc::messages::worker::ReleaseReason;
use touchline_common::model::{FeedId, Generation, MatchKey, SlotId};

impl Pool {
    pub(in crate::pool) fn child_spawned(
        &mut self,
        child: Child,
        generation: Generation,
        pid: u32,
        out: &mut Vec<Action>,
    ) {
        if self.life(child).is_none_or(|life| life.generation != generation || !life.has_process()) {
            return;
        }
        match child {
            Child::Service(kind) => self.children.services.get_mut(kind).process.pid = Some(pid),
            Child::Worker(slot) => {
                self.children.breaker.started();
                if let Some(slot) = self.slot_mut(slot) {
                    slot.process.pid = Some(pid);
                }
            }
        }
        out.push(Action::Log(LogEvent::Spawned { child, generation, feed: self.feed_of(child) }));
    }

    pub(in crate::pool) fn child_not_spawned(
        &mut self,
        child: Child,
        generation: Generation,
        error: String,
        out: &mut Vec<Action>,
    ) {
        if self.life(child).is_none_or(|life| life.generation != generation) {
            return;
        }
        if matches!(child, Child::Worker(_)) {
            self.children.breaker.not_started(self.now, &self.config.timing);
        }
        let outcome = self.advance(child, Event::SpawnFailed);
        if let Outcome::Gone(departure) = outcome {
            self.children.deaths.blame(child, generation, &error);
            out.push(Action::Log(LogEvent::SpawnFailed { child, generation, error }));
            let seen = LastSeen { exit: None, usage: None, doing: String::new() };
            self.departed(child, departure, "not started".into(), (seen, Work::None), out);
        }
    }

    pub(in crate::pool) fn child_exited(
        &mut self,
        child: Child,
        generation: Generation,
        (exit, usage): (Exit, Option<Usage>),
        at: Work,
        out: &mut Vec<Action>,
    ) {
        if self.life(child).is_none_or(|life| life.generation != generation) {
            return;
        }
        let doing = self.last_activity(child);
        if let Outcome::Gone(departure) = self.advance(child, Event::Exited(exit)) {
            let seen = LastSeen { exit: Some(exit), usage, doing };
            self.departed(child, departure, exit.to_string(), (seen, at), out);
        }
    }

    pub(in crate::pool) fn channel_closed(
        &mut self,
        child: Child,
        generation: Generation,
        why: &str,
        out: &mut Vec<Action>,
    ) {
        // A child that was asked to leave closes its channel before it exits; its deadline still holds.
        if self.life(child).is_some_and(|life| life.generation == generation && !life.is_stopping()) {
            self.condemn(child, Signal::Term, format!("channel closed: {why}"), out);
        }
    }

    /// Answers a child's first message, or sends it away for good if it speaks no version of ours.
    pub(in crate::pool) fn welcome(
        &mut self,
        child: Child,
        hello: &Hello,
        feed: Option<FeedId>,
        out: &mut Vec<Action>,
    ) {
        let Some(generation) = self.life(child).map(|life| life.generation) else { return };
        if (hello.proto_min..=hello.proto_max).contains(&PROTO) {
            out.push(Action::Welcome { child, generation, proto: PROTO, feed });
            return;
        }
        let why = format!(
            "it speaks message versions {} to {}, this build speaks {PROTO}",
            hello.proto_min, hello.proto_max
        );
        self.advance(child, Event::Refused);
        self.condemn(child, Signal::Term, why, out);
    }

    /// A child must go now; what it had is given away at once.
    pub(in crate::pool) fn condemn(
        &mut self,
        child: Child,
        signal: Signal,
        why: String,
        out: &mut Vec<Action>,
    ) {
        let Some(generation) = self.life(child).map(|life| life.generation) else { return };
        let outcome = self.advance(child, Event::Condemn { signal });
        let Some(signal) = Self::outcome_is_signal(outcome) else { return };
        self.children.deaths.blame(child, generation, &why);
        out.push(Action::Log(LogEvent::Kill { child, generation, signal, why }));
        out.push(Action::Kill { child, generation, signal });
        if let Child::Worker(slot) = child {
            self.lose_worker(slot, out);
        }
        self.lose_recorder_if(child);
    }

    /// Deadlines of starts and stops, back-off.
    pub(in crate::pool) fn tick_lives(&mut self, out: &mut Vec<Action>) {
        let children: Vec<Child> = (SERVICES.iter().map(|of| Child::Service(of.kind)))
            .chain(self.children.slots.iter().map(|slot| Child::Worker(slot.id)))
            .collect();
        for child in children {
            let outcome = self.advance(child, Event::Tick);
            let Some(generation) = self.life(child).map(|life| life.generation) else { continue };
            match outcome {
                Outcome::Quiet | Outcome::Gone(_) => {}
                Outcome::Send(signal) => {
                    let why = "it did not leave in time".into();
                    out.push(Action::Log(LogEvent::Kill { child, generation, signal, why }));
                    out.push(Action::Kill { child, generation, signal });
                }
                Outcome::Late(signal) => {
                    let why = String::from("it was not ready in time");
                    self.children.deaths.blame(child, generation, &why);
                    out.push(Action::Log(LogEvent::Kill { child, generation, signal, why }));
                    out.push(Action::Kill { child, generation, signal });
                }
            }
        }
        for slot in &self.children.slots {
            if let crate::pool::children::life::State::Ready { since } = slot.life.state {
                self.children.breaker.ready(slot.id, slot.life.generation, since, self.now);
            }
        }
    }

    /// Load reports that do not come: first the matches get candidates, then the worker is aborted.
    pub(in crate::pool) fn tick_pulses(&mut self, out: &mut Vec<Action>) {
        self.tick_service_pulses(out);
        let mut hung = Vec::new();
        let mut unconnected = Vec::new();
        for slot in self.children.slots.iter().filter(|slot| slot.life.works() || slot.life.is_stopping()) {
            let silent = self.now.saturating_sub(slot.process.reported_at);
            if silent >= self.config.timing.process.hung_after {
                // One that is to leave and hangs is not waited for until its deadline.
                hung.push((slot.id, millis(silent)));
            } else if slot.life.is_stopping() {
                continue;
            }
            if let Data::Given(at) = slot.session.data
                && self.now >= at + self.config.timing.process.data_deadline
            {
                unconnected.push(slot.id);
            }
        }
        for slot in self.fall_silent(out) {
            self.report_silent(slot, out);
            self.drop_candidates_at(slot, out);
        }
        for (slot, silent_ms) in hung {
            let why = format!("no load report for {silent_ms} ms");
            self.condemn(Child::Worker(slot), Signal::Abort, why, out);
        }
        for slot in unconnected {
            self.connect_data(slot, out);
        }
    }

    /// Workers that gave no sign for too long, and those that share a process with one: its loop is blocked for all of them,
    /// however lately one of them reported.
    fn fall_silent(&mut self, out: &mut Vec<Action>) -> Vec<SlotId> {
        let (now, timing) = (self.now, &self.config.timing);
        let is_silent_for = |slot: &Slot, time: Duration| {
            let silent = now.saturating_sub(slot.process.reported_at);
            slot.life.works()
                && slot.session.pulse == Pulse::Regular
                && (time..timing.process.hung_after).contains(&silent)
        };
        let of_itself =
            self.children.slots.iter().filter(|slot| is_silent_for(slot, timing.process.silent_after));
        let processes: BTreeSet<u32> = of_itself.filter_map(|slot| slot.process.pid).collect();
        let mut silent_now = Vec::new();
        for slot in &mut self.children.slots {
            let shares = slot.process.pid.is_some_and(|pid| processes.contains(&pid));
            let patience = if shares { timing.process.silent_after / 2 } else { timing.process.silent_after };
            if is_silent_for(slot, patience) {
                slot.session.pulse = Pulse::Silent;
                let (silent_ms, matches) =
                    (millis(now.saturating_sub(slot.process.reported_at)), slot.matches.len());
                out.push(Action::Log(LogEvent::Silent { worker: slot.id, silent_ms, matches }));
                silent_now.push(slot.id);
            }
        }
        silent_now
    }

    /// Reports to the recorder that a worker gives no sign of life: what it follows is a gap from the last one on.
    pub(in crate::pool) fn report_silent(&self, slot: SlotId, out: &mut Vec<Action>) {
        let Some(there) = self.slot(slot) else { return };
        let ms = self.now.saturating_sub(there.process.reported_at).as_millis();
        let (generation, ms) = (there.life.generation, u32::try_from(ms).unwrap_or(u32::MAX));
        self.send_to_recorder(ToRecorder::Silent { slot, generation, ms }, out);
    }

    fn departed(
        &mut self,
        child: Child,
        departure: Departure,
        why: String,
        (seen, at): (LastSeen, Work),
        out: &mut Vec<Action>,
    ) {
        let Some(life) = self.life(child) else { return };
        let (generation, retry, parked) = (life.generation, life.retry_in(self.now), life.is_parked());
        let mut evidence = Evidence { suspects: Vec::new(), at };
        if let Child::Worker(slot) = child {
            self.lose_worker(slot, out);
            if let Some(slot) = self.slot_mut(slot) {
                evidence.suspects.append(&mut slot.suspects);
            }
            self.blame(slot, generation, departure, &evidence, out);
        }
        self.lose_recorder_if(child);
        let retry_ms = retry.map(millis);
        let reason = self.children.deaths.forget(child, generation).unwrap_or_default();
        match departure {
            Departure::Asked | Departure::Left => {
                out.push(Action::Log(LogEvent::Left { child, generation, why: why.clone() }));
            }
            Departure::Died { .. } => {
                self.remember_death(child, seen, &evidence, reason);
                let (why, matches, at) = (why.clone(), evidence.suspects.len(), evidence.found());
                let at = at.map(|key| key.id.clone());
                out.push(Action::Log(LogEvent::Died { child, generation, why, matches, at, retry_ms }));
            }
        }
        if parked {
            out.push(Action::Log(LogEvent::Parked { child, why, for_ms: retry_ms }));
        }
        self.placement.due = true;
        self.saving.due = true;
        self.summary_due = self.summary_due.map(|_| self.now);
    }

    /// Marks what may have ended a worker that died: the match that it was at, or all that it had if it was at none.
    fn blame(
        &mut self,
        slot: SlotId,
        generation: Generation,
        departure: Departure,
        evidence: &Evidence,
        out: &mut Vec<Action>,
    ) {
        let (pid, now) = (self.slot(slot).and_then(|slot| slot.process.pid), self.now);
        match departure {
            Departure::Asked | Departure::Left => self.children.breaker.left(slot, generation, now),
            Departure::Died { suspicious } => {
                self.children.breaker.died((slot, generation), pid, now, &self.config.timing);
                if suspicious {
                    for suspect in evidence.suspects() {
                        self.suspect(&suspect.key, Crash { slot, generation, pid, at: now }, out);
                    }
                }
            }
        }
    }

    fn suspect(&mut self, key: &MatchKey, crash: Crash, out: &mut Vec<Action>) {
        let window = self.config.timing.deaths.suspicion;
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        a_match.crashes.retain(|old| old.at + window >= crash.at);
        let other = a_match.crashes.iter().any(|old| old.is_another(&crash));
        a_match.crashes.push(crash);
        let quarantined = matches!(a_match.assignment, Assignment::Quarantined);
        drop(a_match);
        if other && !quarantined {
            self.quarantine(key, crash.slot, out);
        }
    }

    fn quarantine(&mut self, key: &MatchKey, worker: SlotId, out: &mut Vec<Action>) {
        self.unassign(key, ReleaseReason::Moved, out);
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        a_match.assignment = Assignment::Quarantined;
        a_match.recorder.reported = false;
        drop(a_match);
        out.push(Action::Log(LogEvent::Quarantined { key: key.clone(), worker }));
    }

    /// A worker is given up on: its matches go on as candidates where they have one, else they wait for a place.
    pub(in crate::pool) fn lose_worker(&mut self, slot: SlotId, out: &mut Vec<Action>) {
        let Some(place) = self.slot_mut(slot) else { return };
        let (generation, feed) = (place.life.generation, place.feed);
        let lost: Vec<MatchKey> = place.matches.iter().cloned().collect();
        place.clear();
        place.session.data = Data::None;
        let suspects: Vec<Suspect> =
            lost.iter().filter_map(|key| self.suspect_at(key, slot, generation)).collect();
        if let Some(place) = self.slot_mut(slot) {
            place.suspects.extend(suspects);
        }
        for key in &lost {
            self.lose_seat(key, slot, generation, out);
        }
        if let Some(feed) = feed {
            self.lose_list(feed, slot, generation, out);
            if let Some(feed) = self.feed_mut(feed) {
                feed.cap.gone(slot, generation);
            }
        }
        self.finish_endings(out);
        self.placement.due = true;
    }

    fn suspect_at(&self, key: &MatchKey, slot: SlotId, generation: Generation) -> Option<Suspect> {
        let Assignment::Assigned { owner, candidate } = &self.catalog.matches.get(key)?.assignment else {
            return None;
        };
        let mut seats = std::iter::once(owner).chain(candidate);
        let seat = seats.find(|seat| (seat.slot, seat.generation) == (slot, generation))?;
        Some(Suspect { key: key.clone(), epochs: seat.first_epoch..=seat.epoch })
    }

    fn lose_seat(&mut self, key: &MatchKey, slot: SlotId, generation: Generation, out: &mut Vec<Action>) {
        let Some(mut edit) = self.catalog.matches.edit(key) else { return };
        let a_match = &mut *edit;
        let Assignment::Assigned { owner, candidate } = &mut a_match.assignment else { return };
        let here =
            |seat: &crate::pool::catalog::matches::Seat| (seat.slot, seat.generation) == (slot, generation);
        if candidate.take_if(|seat| here(seat)).is_some() || !here(owner) {
            return;
        }
        match candidate.take() {
            Some(mut seat) => {
                seat.switch = Switch::Sent;
                let epoch = seat.epoch;
                *owner = seat;
                a_match.recorder.predecessor = Owner::Dead;
                drop(edit);
                let switch = ToRecorder::Switch { key: key.clone(), epoch, owner: Owner::Dead };
                self.send_to_recorder(switch, out);
            }
            None => {
                drop(edit);
                self.enqueue(key);
            }
        }
    }

    fn lose_list(&mut self, feed: FeedId, slot: SlotId, generation: Generation, out: &mut Vec<Action>) {
        let Some(feed_state) = self.feed_mut(feed) else { return };
        if feed_state.holder.take_if(|holder| *holder == (slot, generation)).is_some() {
            feed_state.list.lost();
            out.push(Action::Log(LogEvent::ListLost { feed, worker: slot }));
        }
    }

    fn lose_recorder_if(&mut self, child: Child) {
        if child == Child::RECORDER {
            for slot in &mut self.children.slots {
                slot.session.data = Data::None;
            }
        }
    }

    /// Workers that give their matches away: those that have none left are asked to leave.
    pub(in crate::pool) fn settle_drains(&mut self, out: &mut Vec<Action>) {
        let empty: Vec<SlotId> = self
            .children
            .slots
            .iter()
            .filter(|slot| matches!(slot.life.state, crate::pool::children::life::State::Draining { .. }))
            .filter(|slot| slot.matches.is_empty() && slot.is_settled() && !self.holds_list(slot.id))
            .map(|slot| slot.id)
            .collect();
        for slot in empty {
            self.stop_worker(slot, self.config.pool.drain_deadline.0, out);
        }
    }

    /// Whether a feed's list hangs on this slot and may go elsewhere.
    pub(in crate::pool) fn holds_list(&self, slot: SlotId) -> bool {
        self.feeds.iter().any(|feed| feed.holder.is_some_and(|(holder, _)| holder == slot))
    }

    pub(in crate::pool) fn has_list(&self, feed: FeedId) -> bool {
        self.config.feed(feed).is_some_and(|plan| matches!(plan.source, MatchSource::List))
    }

    pub(in crate::pool) fn may_overlap(&self, feed: FeedId) -> bool {
        self.config.feed(feed).is_some_and(|plan| plan.overlap == Overlap::Allowed)
    }

    pub(in crate::pool) fn stop_worker(&mut self, slot: SlotId, within: Duration, out: &mut Vec<Action>) {
        let child = Child::Worker(slot);
        let works = self.slot(slot).is_some_and(|slot| slot.life.works());
        let outcome = self.advance(child, Event::Stop { deadline: self.now + within });
        if works {
            let deadline_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
            self.send_to_worker(
                slot,
                touchline_common::ipc::messages::worker::ToWorker::Stop { deadline_ms },
                out,
            );
        }
        if let (Some(signal), Some(generation)) =
            (Self::outcome_is_signal(outcome), self.slot(slot).map(|slot| slot.life.generation))
        {
            out.push(Action::Kill { child, generation, signal });
        }
    }
}
