//! What workers report: load, matches, details, connection. The list's part is in `follow`.

use crate::pool::catalog::matches::{Assignment, Holder, Removed, Seat, Switch};
use crate::pool::catalog::table::Mark;
use crate::pool::children::life::Event;
use crate::pool::children::slot::{Data, Pulse};
use crate::pool::input::Child;
use crate::pool::log_event::LogEvent;
use crate::pool::{Pool, millis};
use std::time::Duration;
use touchline_common::ipc::messages::recorder::{Owner, ToRecorder};
use touchline_common::ipc::messages::worker::{
    ConnectionState, FromWorker, LoadReport, MatchDetail, MatchReport, MatchState, ReleaseReason, ToWorker,
};
use touchline_common::model::{FeedId, Generation, MatchKey, SlotId};

impl Pool {
    pub(in crate::pool) fn on_worker_message(
        &mut self,
        slot: SlotId,
        generation: Generation,
        message: FromWorker,
    ) {
        let Some(feed) = self.slot(slot).filter(|slot| slot.life.is(generation)).and_then(|slot| slot.feed)
        else {
            return;
        };
        match message {
            FromWorker::Hello(hello) => self.welcome(Child::Worker(slot), &hello),
            FromWorker::Ready => self.worker_ready(slot),
            // The shell's: it makes an end of it once the channel is closed.
            FromWorker::Left { .. } => {}
            FromWorker::DataOpened => {
                if let Some(place) = self.slot_mut(slot) {
                    place.session.data = Data::Open;
                    self.out.log(LogEvent::Data { worker: slot, generation });
                }
            }
            FromWorker::Load(report) => self.loaded(slot, report),
            FromWorker::Match(report) => {
                let key = MatchKey { feed, id: report.id.clone() };
                self.match_report(&key, slot, &report);
            }
            FromWorker::List(changes) => self.on_list_changes(feed, slot, changes),
            FromWorker::Details { matches, more: _ } => {
                for detail in matches {
                    let key = MatchKey { feed, id: detail.id.clone() };
                    self.match_detail(&key, slot, &detail);
                }
            }
            FromWorker::Connection { state, detail, lost } => {
                let now = self.now;
                if let Some(place) = self.slot_mut(slot) {
                    place.upstream.state = state;
                    match state {
                        ConnectionState::Up => place.upstream.trouble.clear(),
                        ConnectionState::Down => place.upstream.trouble.clone_from(&detail),
                        ConnectionState::Connecting => {}
                    }
                    place.upstream.changed_at = now;
                }
                self.connection_changed(slot, state);
                if let Some(lost) = lost {
                    self.on_loss(slot, lost);
                }
                self.placement.due = true;
                self.out.log(LogEvent::Connection { worker: slot, feed, state, detail });
            }
            FromWorker::Audited { id, epoch, finding } => {
                let key = MatchKey { feed, id };
                self.audited(&key, slot, epoch, finding);
            }
            FromWorker::RequestConnect => {
                let queue = &mut self.feeds[feed].queue;
                if !queue.contains(&slot) {
                    queue.push_back(slot);
                }
            }
            FromWorker::Pong => {}
            FromWorker::Leaving { why: _ } => {
                self.advance(Child::Worker(slot), Event::Announced);
            }
        }
    }

    /// Lets as many workers connect anew as the feeds' budgets allow: all that a server lost come back at that rate.
    pub(in crate::pool) fn grant_connect_permits(&mut self) {
        for feed in self.feeds.ids() {
            while let Some(&slot) = self.feeds[feed].queue.front() {
                if !self.take_permit(feed) {
                    break;
                }
                self.feeds[feed].queue.pop_front();
                self.send_to_worker(slot, ToWorker::PermitConnect);
            }
        }
    }

    /// One worker of the feed may connect, or make a batch of requests.
    pub(in crate::pool) fn take_permit(&mut self, feed: FeedId) -> bool {
        let (now, time) = (self.now, self.time());
        let of = &mut self.feeds[feed];
        let granted = of.take_permit(now, time);
        self.saving.due |= granted && of.quota.is_some();
        granted
    }

    fn worker_ready(&mut self, slot: SlotId) {
        if self.child_ready(Child::Worker(slot)) {
            self.connect_data(slot);
            self.placement.due = true;
            self.summary_due = self.summary_due.map(|_| self.now);
        }
    }

    fn loaded(&mut self, slot: SlotId, report: LoadReport) {
        let (now, busy_full) = (self.now, self.timing.placement.busy_full);
        let Some(place) = self.slot_mut(slot) else { return };
        let silent = place.life.silent_for(now);
        place.life.process.reported_at = now;
        place.busy_since = (report.busy > busy_full).then(|| place.busy_since.unwrap_or(now));
        let freed = report.commands_seen > place.report.commands_seen
            || report.subscriptions < place.report.subscriptions;
        place.reported(report, now);
        let back = place.session.pulse == Pulse::Silent;
        place.session.pulse = Pulse::Regular;
        self.placement.due |= freed || back;
        if freed {
            self.finish_endings();
        }
        if back {
            self.out.log(LogEvent::Back { worker: slot, silent_ms: millis(silent) });
            if let Some(generation) = self.slot(slot).map(|slot| slot.life.generation) {
                self.send_to_recorder(ToRecorder::Back { slot, generation });
            }
            if self.slot(slot).is_some_and(|slot| slot.life.is_ready()) {
                self.drop_candidates(|from, _| from == slot);
            }
        }
    }

    /// Releases the candidates that the recorder does not know of, by their owner's and their own worker.
    pub(in crate::pool) fn drop_candidates(&mut self, which: impl Fn(SlotId, SlotId) -> bool) {
        for key in self.catalog.matches.marked(Mark::Moving).clone() {
            let Some(a_match) = self.catalog.matches.get(&key) else { continue };
            if let (Some(owner), Some(seat)) = (a_match.owner(), a_match.candidate())
                && seat.switch == Switch::NotSent
                && which(owner.slot, seat.slot)
            {
                self.drop_candidate(&key);
            }
        }
    }

    /// Releases a match's candidate. Nothing else changes.
    pub(in crate::pool) fn drop_candidate(&mut self, key: &MatchKey) {
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        let Assignment::Assigned { candidate, .. } = &mut a_match.assignment else { return };
        let seat = candidate.take();
        drop(a_match);
        if let Some(seat) = seat {
            self.release_seat(key, &seat, ReleaseReason::Moved);
        }
    }

    fn match_report(&mut self, key: &MatchKey, slot: SlotId, report: &MatchReport) {
        let Some(mut edit) = self.catalog.matches.edit(key) else { return };
        let a_match = &mut *edit;
        if a_match.listing.name.is_none() {
            a_match.listing.name.clone_from(&report.name);
        }
        let Assignment::Assigned { owner, candidate } = &mut a_match.assignment else { return };
        if owner.covers(slot, report.epoch) {
            let was_live = owner.has_load();
            owner.state = report.state;
            let has_load = owner.has_load();
            owner.had_load |= has_load;
            if has_load && !was_live {
                let (key, took_ms, epoch) = (key.clone(), report.took_ms, owner.epoch);
                self.out.log(match std::mem::replace(&mut a_match.has_appeared, true) {
                    false => LogEvent::Live { key, worker: slot, epoch, took_ms },
                    true => LogEvent::LiveAgain { key, worker: slot, epoch, took_ms },
                });
            }
            let over = report.state == MatchState::Removed && a_match.delisted.is_some();
            match report.state {
                MatchState::Live | MatchState::Stale => a_match.removed = None,
                MatchState::Removed if !over => {
                    a_match.removed.get_or_insert(Removed::at(self.now));
                }
                MatchState::Removed | MatchState::Subscribing | MatchState::Refused => {}
            }
            drop(edit);
            if has_load {
                self.followed_again(key, slot);
                self.on_load(key, slot);
            }
            if over {
                self.end(key, "its topics were removed");
            }
        } else if let Some(seat) = candidate.as_mut().filter(|c| c.covers(slot, report.epoch)) {
            seat.state = report.state;
            let has_load = seat.has_load();
            seat.had_load |= has_load;
            drop(edit);
            if has_load {
                self.on_load(key, slot);
            }
            self.switch_if_ready(key);
        }
    }

    /// Reports to the recorder that a candidate has its load.
    fn switch_if_ready(&mut self, key: &MatchKey) {
        if !self.children.recorder.life.is_ready() {
            return;
        }
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        let Assignment::Assigned { candidate: Some(seat), .. } = &mut a_match.assignment else { return };
        if seat.has_load() && seat.switch == Switch::NotSent {
            seat.switch = Switch::Sent;
            let epoch = seat.epoch;
            drop(a_match);
            self.send_to_recorder(ToRecorder::Switch { key: key.clone(), epoch, owner: Owner::Alive });
        }
    }

    fn match_detail(&mut self, key: &MatchKey, slot: SlotId, detail: &MatchDetail) {
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        if !a_match.owner().is_some_and(|owner| owner.covers(slot, detail.epoch)) {
            return;
        }
        let Some(check_at) = &mut a_match.delisted else { return };
        let (age, linger) = (Duration::from_millis(detail.age_ms), self.feeds[key.feed].plan.end_linger);
        if age >= linger {
            drop(a_match);
            self.end(key, "it left the list and fell silent");
        } else {
            *check_at = self.now + (linger - age);
        }
    }

    /// Asks again for matches whose topics were removed though the list has them.
    pub(in crate::pool) fn tick_removed(&mut self) {
        for key in self.catalog.matches.marked(Mark::Removed).clone() {
            let Some(mut a_match) = self.catalog.matches.edit(&key) else { continue };
            let due = a_match.removed.as_mut().filter(|removed| removed.ask_at <= self.now);
            let Some(()) = due.map(|removed| removed.asked(self.now)) else { continue };
            let owner = a_match.owner().map(|owner| owner.slot);
            drop(a_match);
            if let Some(slot) = owner {
                self.send_to_worker(slot, ToWorker::Resync { id: key.id });
            }
        }
    }

    pub(in crate::pool) fn owner_slot(&self, key: &MatchKey) -> Option<SlotId> {
        self.catalog.matches.get(key)?.owner().map(|owner| owner.slot)
    }

    /// A worker releases a match, if it is still there.
    pub(in crate::pool) fn release_seat(
        &mut self,
        key: &MatchKey,
        seat: &Seat,
        why: ReleaseReason,
    ) -> Option<Holder> {
        let now = self.now;
        let place = self.slot_mut(seat.slot).filter(|slot| slot.life.has_process())?;
        place.matches.remove(key);
        place.upstream.forget(key, now);
        let command = place.released(seat.topics);
        let holder = Holder { slot: seat.slot, generation: place.life.generation, command };
        let message = ToWorker::Release { id: key.id.clone(), epoch: seat.epoch, why };
        self.send_to_worker(seat.slot, message);
        self.placement.due = true;
        Some(holder)
    }
}
