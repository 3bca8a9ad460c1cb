//! Audits in the pool: which connection is looked at, what the workers answer, and what follows for the cap of the feed.
//!
//! What is thinned is live, so it is moved by a second seat, as ever; where the server suffers no second subscription there is
//! nothing to compare with, and nothing is audited. Whether a cap may be learned at all is said by the configuration, as in `caps`.

use super::audit::{Asks, Connection, Look, Step, Tried};
use super::cap::Sign;
use super::feed::FirstList;
use super::log_event::LogEvent;
use super::matches::{Place, Seat};
use super::slot::Slot;
use super::{Action, Pool};
use std::time::Duration;
use touchline_common::ipc::messages::worker::{Finding, ToWorker};
use touchline_common::model::{Epoch, FeedId, Generation, MatchKey, SlotId};

/// A connection is looked at when nothing was asked of it for so long: then each match has had time to change.
const SETTLED: Duration = Duration::from_secs(4);

impl Pool {
    /// Begins to look at connections, and draws the conclusions.
    pub(super) fn tick_audits(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            if !self.learns(feed) || !self.may_overlap(feed) {
                continue;
            }
            let now = self.now;
            if let Some(step) = self.feed_mut(feed).and_then(|feed| feed.auditor.settle(now)) {
                self.conclude(feed, step, out);
            }
            if let Some((there, asks)) = self.to_look_at(feed) {
                self.look_at(feed, there, asks, out);
            }
            self.audit_witnesses(feed, out);
        }
    }

    /// A worker's answer, or what it found by itself.
    pub(super) fn audited(
        &mut self,
        key: &MatchKey,
        at: (SlotId, Generation),
        epoch: Epoch,
        finding: Finding,
        out: &mut Vec<Action>,
    ) {
        let now = self.now;
        let is_seat = |seat: &Seat| seat.covers(at.0, at.1, epoch);
        let held = self.slot(at.0).map_or(0, |slot| slot.report.subscriptions);
        let learns = self.learns(key.feed);
        if !self.seats(key).any(is_seat) {
            return;
        }
        let Some(feed) = self.feed_mut(key.feed) else { return };
        feed.auditor.count(finding);
        if !learns {
            return;
        }
        let proven = feed.auditor.found(key, at, held, finding, now);
        if let Some(cap) = proven.and_then(|granted| feed.learner.thinned(granted, now)) {
            let why = "matches that lacked deltas on a connection got all of them on another";
            self.say_learned(key.feed, cap, why, out);
            self.doubt_fuller_than(key.feed, cap);
        }
    }

    /// Connections that are above a cap that was just learned: when the surplus is gone, what they keep may still be thinned.
    fn doubt_fuller_than(&mut self, feed: FeedId, cap: u32) {
        let own = self.config.feed(feed).map_or(0, |plan| plan.own_subscriptions);
        let fuller = self.slots.iter().filter(|slot| slot.feed == Some(feed) && slot.will_hold(own) > cap);
        let fuller: Vec<_> = fuller.map(|slot| (slot.id, slot.life.generation)).collect();
        if let Some(feed) = self.feed_mut(feed) {
            fuller.into_iter().for_each(|(slot, generation)| feed.auditor.doubt(slot, generation));
        }
    }

    /// What was tried above the learned cap has its loads: whether it gets its deltas, too.
    pub(super) fn audit_trial(&mut self, feed: FeedId, slot: SlotId, out: &mut Vec<Action>) {
        let now = self.now;
        if !self.feed(feed).is_some_and(|feed| feed.auditor.may_begin(now)) {
            return;
        }
        if let Some(there) = self.slot(slot).map(|slot| self.connection(slot)) {
            self.look_at(feed, there, Asks::Trial, out);
        }
    }

    fn conclude(&mut self, feed: FeedId, step: Step, out: &mut Vec<Action>) {
        match step {
            Step::Ask { slot, keys } => self.ask(slot, keys, out),
            Step::Looked(look) => say(feed, look, out),
            Step::Suspect { look, granted, missing } => {
                say(feed, look, out);
                let why = "they get some of their deltas only";
                out.push(Action::Log(LogEvent::CapSuspected {
                    feed,
                    worker: look.slot,
                    granted,
                    missing,
                    why,
                }));
                self.placement_due = true;
            }
            Step::Tried { look, outcome } => {
                say(feed, look, out);
                self.tried(feed, look.slot, outcome, out);
            }
        }
    }

    fn tried(&mut self, feed: FeedId, slot: SlotId, outcome: Tried, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(state) = self.feed_mut(feed) else { return };
        if state.learner.trial().is_none_or(|trial| trial.slot != slot) {
            return;
        }
        match (outcome, state.learner.sign()) {
            // Where no load says anything about deltas, loads are what there is to go by.
            (Tried::Served, _) | (Tried::Unlike, Sign::Loads) => self.trial_held(feed, out),
            (Tried::Thinned, _) | (Tried::Unlike, Sign::Deltas) => {
                state.learner.trial_thinned(now);
                self.placement_due = true;
            }
            (Tried::Unknown, _) => {}
        }
    }

    /// A connection that holds more than any was proven to be served in full, the fullest; or one that was above the cap, all of it.
    fn to_look_at(&self, feed: FeedId) -> Option<(Connection, Asks)> {
        let state = self.feed(feed)?;
        let own = self.config.feed(feed)?.own_subscriptions;
        if !state.auditor.may_begin(self.now)
            || state.learner.is_learning()
            || state.first != FirstList::Placed
        {
            return None;
        }
        let hinted = state.auditor.hint().map(|hint| (hint.slot, hint.generation));
        let whole = self.slots.iter().filter(|slot| {
            slot.feed == Some(feed)
                && self.is_quiet(slot, SETTLED)
                && slot.report.loaded >= slot.report.asked
                // What is above is on its way elsewhere.
                && slot.load(own) <= state.learner.cap()
        });
        let doubted = |slot: &Slot| state.auditor.doubts(slot.id, slot.life.generation);
        let more = whole.filter(|slot| {
            (doubted(slot) || slot.report.loaded > state.auditor.proven()) && !slot.matches.is_empty()
        });
        let is_hinted = |slot: &Slot| hinted == Some((slot.id, slot.life.generation));
        let slot =
            more.max_by_key(|slot| (is_hinted(slot), slot.report.loaded, std::cmp::Reverse(slot.id)))?;
        Some((self.connection(slot), if doubted(slot) { Asks::All } else { Asks::Newest }))
    }

    fn connection(&self, slot: &Slot) -> Connection {
        let seat_of = |key: &MatchKey| {
            let seat = self.seats(key).find(|seat| seat.slot == slot.id && seat.has_load())?;
            let topics = self.matches.get(key)?.need.count();
            Some((seat.first_epoch, key.clone(), topics))
        };
        let mut matches: Vec<_> = slot.matches.iter().filter_map(seat_of).collect();
        matches.sort();
        Connection {
            slot: slot.id,
            generation: slot.life.generation,
            held: slot.report.loaded,
            matches: matches.into_iter().map(|(_, key, topics)| (key, topics)).collect(),
        }
    }

    fn seats(&self, key: &MatchKey) -> impl Iterator<Item = &Seat> {
        let placed = match self.matches.get(key).map(|a_match| &a_match.place) {
            Some(Place::Placed { owner, candidate }) => Some(std::iter::once(owner).chain(candidate)),
            Some(Place::Waiting | Place::Quarantined) | None => None,
        };
        placed.into_iter().flatten()
    }

    fn look_at(&mut self, feed: FeedId, there: Connection, asks: Asks, out: &mut Vec<Action>) {
        let (now, slot) = (self.now, there.slot);
        let Some(state) = self.feed_mut(feed) else { return };
        let keys = state.auditor.begin(there, asks, now);
        self.ask(slot, keys, out);
    }

    /// Those that were taken elsewhere: whether they get all of their deltas there.
    fn audit_witnesses(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(state) = self.feed(feed) else { return };
        let suspected = state.auditor.suspected();
        for key in state.auditor.witnesses() {
            let elsewhere = self.seats(&key).find(|seat| Some(seat.slot) != suspected && seat.has_load());
            let Some((slot, since)) = elsewhere.map(|seat| (seat.slot, seat.asked_at)) else { continue };
            if self.feed_mut(feed).is_some_and(|feed| feed.auditor.is_due(&key, since, now)) {
                self.ask(slot, vec![key], out);
            }
        }
    }

    fn ask(&self, slot: SlotId, keys: Vec<MatchKey>, out: &mut Vec<Action>) {
        for key in keys {
            self.tell_worker(slot, ToWorker::Audit { id: key.id }, out);
        }
    }
}

fn say(feed: FeedId, look: Look, out: &mut Vec<Action>) {
    let Look { slot: worker, held, audited, missed } = look;
    out.push(Action::Log(LogEvent::CapAudited { feed, worker, held, audited, missed }));
}
