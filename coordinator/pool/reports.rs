//! What workers say: load, matches, details, connection. The list's part is in `follow`.

use super::input::Child;
use super::life::Event;
use super::log_event::LogEvent;
use super::matches::{Place, Seat, Switch};
use super::slot::{Data, Pulse};
use super::{Action, Pool, millis};
use std::time::Duration;
use touchline_common::ipc::messages::recorder::{Owner, ToRecorder};
use touchline_common::ipc::messages::worker::{
    ConnectionState, FromWorker, LoadReport, MatchDetail, MatchReport, MatchState, ReleaseReason, ToWorker,
};
use touchline_common::model::{FeedId, Generation, MatchKey, SlotId};

/// A match whose topics were removed while it is listed is asked for again after this, and then twice as long each time.
const RESYNC_FIRST: Duration = Duration::from_secs(5);
const RESYNC_LAST: Duration = Duration::from_secs(60);

impl Pool {
    pub(super) fn worker_says(
        &mut self,
        slot: SlotId,
        generation: Generation,
        message: FromWorker,
        out: &mut Vec<Action>,
    ) {
        let Some(feed) = self.slot(slot).filter(|slot| slot.is(generation)).and_then(|slot| slot.feed) else {
            return;
        };
        match message {
            FromWorker::Hello(hello) => self.welcome(Child::Worker(slot), &hello, Some(feed), out),
            FromWorker::Ready => self.worker_ready(slot, generation, out),
            // The shell's: it makes an end of it once the channel is closed.
            FromWorker::Left { .. } => {}
            FromWorker::DataOpened => {
                if let Some(place) = self.slot_mut(slot) {
                    place.data = Data::Open;
                    out.push(Action::Log(LogEvent::Data { worker: slot, generation }));
                }
            }
            FromWorker::Load(report) => self.loaded(slot, report, out),
            FromWorker::Match(report) => {
                let key = MatchKey { feed, id: report.id.clone() };
                self.match_report(&key, slot, generation, &report, out);
            }
            FromWorker::List(changes) => self.list_changes(feed, (slot, generation), changes, out),
            FromWorker::Details { matches, more: _ } => {
                for detail in matches {
                    let key = MatchKey { feed, id: detail.id.clone() };
                    self.match_detail(&key, slot, generation, &detail, out);
                }
            }
            FromWorker::Connection { state, detail, lost } => {
                let now = self.now;
                if let Some(place) = self.slot_mut(slot) {
                    place.connection = state;
                    match state {
                        ConnectionState::Up => place.trouble.clear(),
                        ConnectionState::Down => place.trouble.clone_from(&detail),
                        ConnectionState::Connecting => {}
                    }
                    place.changed_at = now;
                }
                if let Some(lost) = lost {
                    self.note_loss(slot, lost, out);
                }
                self.placement_due = true;
                out.push(Action::Log(LogEvent::Connection { worker: slot, feed, state, detail }));
            }
            FromWorker::Audited { id, epoch, finding } => {
                let key = MatchKey { feed, id };
                self.audited(&key, (slot, generation), epoch, finding, out);
            }
            FromWorker::AsksToConnect => self.queue_for_leave(feed, slot, generation),
            FromWorker::Pong => {}
            FromWorker::Leaving { why } => {
                self.advance(Child::Worker(slot), Event::Announced);
                if let Some(place) = self.slot_mut(slot) {
                    place.leaving = Some(why);
                }
            }
        }
    }

    /// One place in the line for each process.
    fn queue_for_leave(&mut self, feed: FeedId, slot: SlotId, generation: Generation) {
        let Some(state) = self.feed_mut(feed) else { return };
        if !state.queue.contains(&(slot, generation)) {
            state.queue.push_back((slot, generation));
        }
    }

    /// Lets as many workers connect anew as the feeds' budgets allow: all that a server lost come back at that rate.
    pub(super) fn give_leave(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            let now = self.now;
            while let Some(&(slot, generation)) = self.feed(feed).and_then(|state| state.queue.front()) {
                let there = self.slot(slot).is_some_and(|slot| slot.is(generation));
                let Some(state) = self.feed_mut(feed) else { break };
                if there && !state.budget.take(now) {
                    break;
                }
                state.queue.pop_front();
                if there {
                    self.tell_worker(slot, ToWorker::MayConnect, out);
                }
            }
        }
    }

    fn worker_ready(&mut self, slot: SlotId, generation: Generation, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(place) = self.slot_mut(slot).filter(|slot| slot.life.is_starting()) else { return };
        place.heard_at = now;
        let took_ms = millis(now.saturating_sub(place.spawned_at));
        self.advance(Child::Worker(slot), Event::Ready);
        out.push(Action::Log(LogEvent::Ready { child: Child::Worker(slot), generation, took_ms }));
        self.connect_data(slot, out);
        self.placement_due = true;
        self.summary_due = self.summary_due.map(|_| now);
    }

    fn loaded(&mut self, slot: SlotId, report: LoadReport, out: &mut Vec<Action>) {
        let (now, busy_full) = (self.now, self.config.timing.busy_full);
        let Some(place) = self.slot_mut(slot) else { return };
        let silent = now.saturating_sub(place.heard_at);
        place.heard_at = now;
        place.busy_since = (report.busy > busy_full).then(|| place.busy_since.unwrap_or(now));
        let freed = report.commands_seen > place.report.commands_seen
            || report.subscriptions < place.report.subscriptions;
        place.reported(report, now);
        let back = place.pulse == Pulse::Silent;
        place.pulse = Pulse::Regular;
        self.placement_due |= freed || back;
        if freed {
            self.finish_endings(out);
        }
        if back {
            out.push(Action::Log(LogEvent::Back { worker: slot, silent_ms: millis(silent) }));
            if let Some(generation) = self.slot(slot).map(|slot| slot.life.generation) {
                self.tell_recorder(ToRecorder::Back { slot, generation }, out);
            }
            self.call_off_moves(slot, out);
        }
    }

    /// A silent worker speaks again: candidates for its matches that the recorder was not told of are let go.
    fn call_off_moves(&mut self, slot: SlotId, out: &mut Vec<Action>) {
        if self.slot(slot).is_none_or(|slot| !slot.life.is_ready()) {
            return;
        }
        let keys: Vec<MatchKey> = self.moving.iter().cloned().collect();
        for key in keys {
            if let Some(Place::Placed { owner, candidate: Some(candidate) }) =
                self.matches.get(&key).map(|a_match| &a_match.place)
                && owner.slot == slot
                && candidate.switch == Switch::NotSent
            {
                self.drop_candidate(&key, out);
            }
        }
    }

    /// A worker gives no sign of life: what was to go to it finds another place, unless the recorder was told of it.
    pub(super) fn drop_candidates_at(&mut self, slot: SlotId, out: &mut Vec<Action>) {
        let held = self.slot(slot).map(|slot| slot.matches.clone()).unwrap_or_default();
        for key in held {
            if let Some(Place::Placed { candidate: Some(candidate), .. }) =
                self.matches.get(&key).map(|a_match| &a_match.place)
                && candidate.slot == slot
                && candidate.switch == Switch::NotSent
            {
                self.drop_candidate(&key, out);
                self.placement_due = true;
            }
        }
    }

    /// Lets a match's candidate go. Nothing else changes.
    pub(super) fn drop_candidate(&mut self, key: &MatchKey, out: &mut Vec<Action>) {
        self.moving.remove(key);
        let Some(a_match) = self.matches.get_mut(key) else { return };
        let Place::Placed { candidate, .. } = &mut a_match.place else { return };
        if let Some(seat) = candidate.take() {
            self.release_seat(key, &seat, ReleaseReason::Moved, out);
        }
    }

    fn match_report(
        &mut self,
        key: &MatchKey,
        slot: SlotId,
        generation: Generation,
        report: &MatchReport,
        out: &mut Vec<Action>,
    ) {
        let now = self.now;
        let Some(a_match) = self.matches.get_mut(key) else { return };
        if a_match.listing.name.is_none() {
            a_match.listing.name.clone_from(&report.name);
        }
        let delisted = a_match.delisted.is_some();
        let Place::Placed { owner, candidate } = &mut a_match.place else { return };
        if owner.covers(slot, generation, report.epoch) {
            let was_live = owner.has_load();
            owner.state = report.state;
            if owner.has_load() && !was_live {
                owner.had_load = true;
                let (key, took_ms, epoch) = (key.clone(), report.took_ms, owner.epoch);
                out.push(Action::Log(LogEvent::Live { key, worker: slot, epoch, took_ms }));
            }
            let has_load = owner.has_load();
            if has_load {
                self.note_load(key, slot, out);
            }
            if report.state != MatchState::Removed {
                if report.state != MatchState::Subscribing {
                    self.removed.remove(key);
                }
            } else if delisted {
                self.end(key, "its topics were removed", out);
            } else {
                self.removed.entry(key.clone()).or_insert((now + RESYNC_FIRST, RESYNC_FIRST));
            }
        } else if let Some(seat) = candidate.as_mut().filter(|c| c.covers(slot, generation, report.epoch)) {
            seat.state = report.state;
            if seat.has_load() {
                seat.had_load = true;
                self.note_load(key, slot, out);
            }
            self.switch_if_ready(key, out);
        }
    }

    /// Tells the recorder that a candidate has its load.
    fn switch_if_ready(&mut self, key: &MatchKey, out: &mut Vec<Action>) {
        if !self.recorder.life.is_ready() {
            return;
        }
        let Some(a_match) = self.matches.get_mut(key) else { return };
        let Place::Placed { candidate: Some(seat), .. } = &mut a_match.place else { return };
        if seat.has_load() && seat.switch == Switch::NotSent {
            seat.switch = Switch::Sent;
            let epoch = seat.epoch;
            self.tell_recorder(ToRecorder::Switch { key: key.clone(), epoch, owner: Owner::Alive }, out);
        }
    }

    fn match_detail(
        &mut self,
        key: &MatchKey,
        slot: SlotId,
        generation: Generation,
        detail: &MatchDetail,
        out: &mut Vec<Action>,
    ) {
        let (now, linger) = (self.now, self.linger(key));
        let Some(a_match) = self.matches.get_mut(key) else { return };
        let Place::Placed { owner, .. } = &a_match.place else { return };
        if !owner.covers(slot, generation, detail.epoch) {
            return;
        }
        let Some(delisted) = &mut a_match.delisted else { return };
        let age = Duration::from_millis(detail.age_ms);
        if age >= linger {
            self.end(key, "it left the list and fell silent", out);
        } else {
            delisted.check_at = now + (linger - age);
        }
    }

    /// Asks again for matches whose topics were removed though the list has them.
    pub(super) fn tick_removed(&mut self, out: &mut Vec<Action>) {
        let due: Vec<MatchKey> =
            self.removed.iter().filter(|(_, (at, _))| *at <= self.now).map(|(key, _)| key.clone()).collect();
        for key in due {
            let wait = self.removed.get(&key).map_or(RESYNC_FIRST, |(_, wait)| *wait);
            let next = (wait * 2).min(RESYNC_LAST);
            self.removed.insert(key.clone(), (self.now + next, next));
            if let Some(slot) = self.owner_slot(&key) {
                self.tell_worker(slot, ToWorker::Resync { id: key.id }, out);
            } else {
                self.removed.remove(&key);
            }
        }
    }

    pub(super) fn owner_slot(&self, key: &MatchKey) -> Option<SlotId> {
        match &self.matches.get(key)?.place {
            Place::Placed { owner, .. } => Some(owner.slot),
            Place::Waiting | Place::Quarantined => None,
        }
    }

    /// A worker stops following a match, if it is still there to be told.
    pub(super) fn release_seat(
        &mut self,
        key: &MatchKey,
        seat: &Seat,
        why: ReleaseReason,
        out: &mut Vec<Action>,
    ) -> Option<u64> {
        let topics = self.matches.get(key).map_or(0, |a_match| a_match.need.count());
        let place = self.slot_mut(seat.slot).filter(|slot| slot.is(seat.generation))?;
        place.matches.remove(key);
        let command = place.let_go(topics);
        let message = ToWorker::Release { id: key.id.clone(), epoch: seat.epoch, why };
        self.tell_worker(seat.slot, message, out);
        self.placement_due = true;
        Some(command)
    }
}
