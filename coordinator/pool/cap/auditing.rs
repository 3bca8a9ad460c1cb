//! Audits in the pool: which connection is looked at, what the workers find, and what follows for the cap of the feed.
//!
//! What is thinned is live, so it is moved by a second seat, as ever. Where the server allows no second subscription such a move makes
//! a gap, and nothing is audited. Whether a cap may be learned at all is set by the configuration, as in `learning`.

use super::audit::{Conclusion, Connection, Probed, Purpose, Summary};
use super::learner::Sign;
use crate::pool::catalog::matches::{Assignment, Seat};
use crate::pool::children::slot::Slot;
use crate::pool::feed::FirstList;
use crate::pool::log_event::LogEvent;
use crate::pool::{Action, Pool};
use std::time::Duration;
use touchline_common::ipc::messages::worker::{Finding, ToWorker};
use touchline_common::model::{Epoch, FeedId, Generation, MatchKey, SlotId};

/// A connection is looked at when nothing was asked of it for so long: then each match has had time to change.
const SETTLED: Duration = Duration::from_secs(4);

impl Pool {
    /// Begins to look at connections, and draws the conclusions.
    pub(in crate::pool) fn tick_audits(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            if !self.learns(feed) || !self.may_overlap(feed) {
                continue;
            }
            let now = self.now;
            if let Some(conclusion) = self.feed_mut(feed).and_then(|feed| feed.cap.auditor.conclude(now)) {
                self.conclude(feed, conclusion, out);
            }
            if let Some(there) = self.to_look_at(feed) {
                self.look_at(feed, there, Purpose::Surplus, out);
            }
            self.verify_moved(feed, out);
            self.refresh_kept(feed, out);
        }
    }

    /// What a worker found of a match, asked or not.
    pub(in crate::pool) fn audited(
        &mut self,
        key: &MatchKey,
        at: (SlotId, Generation),
        epoch: Epoch,
        finding: Finding,
    ) {
        let is_seat = |seat: &Seat| seat.covers(at.0, at.1, epoch);
        if !self.seats(key).any(is_seat) {
            return;
        }
        if let Some(feed) = self.feed_mut(key.feed) {
            feed.cap.auditor.found(key, at, finding);
        }
    }

    /// A connection that holds one match more than was learned has its loads: whether it gets its deltas, too.
    pub(in crate::pool) fn audit_probe(&mut self, feed: FeedId, slot: SlotId, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(state) = self.feed(feed) else { return };
        if state.cap.auditor.is_off() {
            return self.probed(feed, slot, Probed::Unlike, out);
        }
        if !state.cap.auditor.may_look(now) {
            return;
        }
        if let Some(there) = self.slot(slot).map(|slot| self.connection(slot)) {
            self.look_at(feed, there, Purpose::Probe, out);
        }
    }

    fn conclude(&mut self, feed: FeedId, conclusion: Conclusion, out: &mut Vec<Action>) {
        match conclusion {
            Conclusion::AuditAlso { slot, keys } => self.ask(slot, keys, out),
            Conclusion::Looked(summary) => report(feed, summary, out),
            Conclusion::Surplus { summary, granted } => {
                report(feed, summary, out);
                self.surplus_found(feed, granted, out);
            }
            Conclusion::Probed { summary, outcome } => {
                report(feed, summary, out);
                self.probed(feed, summary.slot, outcome, out);
            }
            Conclusion::Unproven => {
                let restored = self.feed_mut(feed).and_then(|feed| feed.cap.learner.thinning_unproven());
                if let Some(cap) = restored {
                    let why =
                        "what was moved misses deltas where fewer are held, too; nothing more is audited";
                    self.log_learned(feed, cap, why, out);
                }
            }
        }
    }

    fn surplus_found(&mut self, feed: FeedId, granted: u32, out: &mut Vec<Action>) {
        let now = self.now;
        let own = self.config.feed(feed).map_or(0, |plan| plan.own_subscriptions);
        let learned = self.feed_mut(feed).and_then(|feed| feed.cap.learner.thinned(granted, now));
        let Some(cap) = learned else { return };
        self.log_learned(feed, cap, "matches of a connection lack deltas and others do not", out);
        let fuller =
            self.children.slots.iter().filter(|slot| slot.feed == Some(feed) && slot.will_hold(own) > cap);
        let fuller: Vec<_> = fuller.map(|slot| (slot.id, slot.life.generation)).collect();
        if let Some(feed) = self.feed_mut(feed) {
            fuller
                .into_iter()
                .for_each(|(slot, generation)| feed.cap.auditor.refresh_later(slot, generation));
        }
    }

    fn probed(&mut self, feed: FeedId, slot: SlotId, outcome: Probed, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(state) = self.feed_mut(feed) else { return };
        if state.cap.learner.probe().is_none_or(|probe| probe.slot != slot) {
            return;
        }
        match (outcome, state.cap.learner.sign()) {
            // Where snapshots cannot be compared with deltas, loads are the only sign.
            (Probed::Served, _) | (Probed::Unlike, Sign::Loads) => self.probe_held(feed, out),
            (Probed::Thinned, _) | (Probed::Unlike, Sign::Deltas) => {
                state.cap.learner.probe_thinned(now);
                self.placement.due = true;
            }
            (Probed::Unknown, _) => {}
        }
    }

    /// The fullest connection that holds more than any was proven to be served in full.
    fn to_look_at(&self, feed: FeedId) -> Option<Connection> {
        let state = self.feed(feed)?;
        if !state.cap.auditor.may_look(self.now)
            || state.cap.learner.is_learning()
            || state.first != FirstList::Placed
        {
            return None;
        }
        let more = self.children.slots.iter().filter(|slot| {
            slot.feed == Some(feed)
                && slot.report.loaded > state.cap.auditor.proven()
                && !slot.matches.is_empty()
                && self.is_whole(feed, slot)
        });
        let slot = more.max_by_key(|slot| (slot.report.loaded, std::cmp::Reverse(slot.id)))?;
        Some(self.connection(slot))
    }

    /// Whether a connection is quiet with all of its loads, and nothing above the cap is on its way elsewhere.
    fn is_whole(&self, feed: FeedId, slot: &Slot) -> bool {
        let own = self.config.feed(feed).map_or(0, |plan| plan.own_subscriptions);
        self.is_quiet(slot, SETTLED)
            && slot.report.loaded >= slot.report.asked
            && slot.load(own) <= self.cap(feed)
    }

    fn connection(&self, slot: &Slot) -> Connection {
        let seat_of = |key: &MatchKey| {
            let seat = self.seats(key).find(|seat| seat.slot == slot.id && seat.has_load())?;
            let topics = self.catalog.matches.get(key)?.need.count();
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
        let placed = match self.catalog.matches.get(key).map(|a_match| &a_match.assignment) {
            Some(Assignment::Assigned { owner, candidate }) => Some(std::iter::once(owner).chain(candidate)),
            Some(Assignment::Waiting | Assignment::Quarantined) | None => None,
        };
        placed.into_iter().flatten()
    }

    fn look_at(&mut self, feed: FeedId, there: Connection, purpose: Purpose, out: &mut Vec<Action>) {
        let (now, slot) = (self.now, there.slot);
        let Some(state) = self.feed_mut(feed) else { return };
        let keys = state.cap.auditor.look(there, purpose, now);
        self.ask(slot, keys, out);
    }

    /// The surplus that has moved: whether it gets all of its deltas where it is now.
    fn verify_moved(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        let now = self.now;
        let Some((origin, keys)) = self.feed(feed).and_then(|feed| feed.cap.auditor.unverified()) else {
            return;
        };
        for key in keys {
            let elsewhere = self.seats(&key).find(|seat| seat.slot != origin && seat.has_load());
            let Some((slot, since)) = elsewhere.map(|seat| (seat.slot, seat.asked_at)) else { continue };
            if self.feed_mut(feed).is_some_and(|feed| feed.cap.auditor.verify(&key, since, now)) {
                self.ask(slot, vec![key], out);
            }
        }
    }

    /// What stays on a connection that was above the cap is subscribed again once the surplus has left.
    fn refresh_kept(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        let Some(state) = self.feed(feed) else { return };
        let of_slot = |slot: SlotId, generation| self.slot(slot).filter(|slot| slot.is(generation));
        let due = state.cap.auditor.to_refresh().find_map(|(slot, generation)| {
            of_slot(slot, generation)
                .filter(|slot| self.is_whole(feed, slot))
                .map(|slot| self.connection(slot))
        });
        let Some(there) = due else { return };
        if let Some(feed) = self.feed_mut(feed) {
            feed.cap.auditor.refreshed(there.slot, there.generation);
        }
        self.ask(there.slot, there.matches.into_iter().map(|(key, _)| key), out);
    }

    fn ask(&self, slot: SlotId, keys: impl IntoIterator<Item = MatchKey>, out: &mut Vec<Action>) {
        for key in keys {
            self.send_to_worker(slot, ToWorker::Audit { id: key.id }, out);
        }
    }
}

fn report(feed: FeedId, summary: Summary, out: &mut Vec<Action>) {
    let Summary { slot: worker, held, audited, missed } = summary;
    out.push(Action::Log(LogEvent::CapAudited { feed, worker, held, audited, missed }));
}
