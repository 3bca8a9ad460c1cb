//! Audits in the pool: which connection is looked at, what the workers find, and what follows for the cap of the feed.
//!
//! What is thinned is live, so it is moved by a second seat, as ever. Where the server allows no second subscription such a move makes
//! a gap, and nothing is audited. Whether a cap may be learned at all is set by the configuration, as in `learning`.

use super::FeedCap;
use super::audit::{Conclusion, Connection, Probed, Purpose, Summary};
use super::learner::Sign;
use crate::pool::Pool;
use crate::pool::catalog::matches::{Match, Seat};
use crate::pool::children::slot::Slot;
use crate::pool::feed::{Feed, FirstList};
use crate::pool::log_event::LogEvent;
use std::time::Duration;
use touchline_common::ipc::messages::worker::{Finding, ToWorker};
use touchline_common::model::{Epoch, FeedId, MatchKey, SlotId};

/// A connection is looked at when nothing was asked of it for so long: then each match has had time to change.
const SETTLED: Duration = Duration::from_secs(4);

impl Pool {
    /// Begins to look at connections, and draws the conclusions.
    pub(in crate::pool) fn tick_audits(&mut self) {
        for feed in self.feeds.ids() {
            if !self.feeds[feed].plan.learns_cap || !self.feeds[feed].may_overlap() {
                continue;
            }
            if let Some(conclusion) = self.feeds[feed].cap.auditor.conclude(self.now) {
                self.conclude(feed, conclusion);
            }
            if let Some(there) = self.to_look_at(feed) {
                self.look_at(feed, there, Purpose::Surplus);
            }
            self.verify_moved(feed);
            self.refresh_kept(feed);
        }
    }

    /// What a worker found of a match, asked or not.
    pub(in crate::pool) fn audited(&mut self, key: &MatchKey, at: SlotId, epoch: Epoch, finding: Finding) {
        if self.seats(key).any(|seat| seat.covers(at, epoch)) {
            self.feeds[key.feed].cap.auditor.found(key, at, finding);
        }
    }

    /// A connection that holds one match more than was learned has its loads: whether it gets its deltas, too.
    pub(in crate::pool) fn audit_probe(&mut self, feed: FeedId, slot: SlotId) {
        let auditor = &self.feeds[feed].cap.auditor;
        if auditor.is_off() {
            return self.probed(feed, slot, Probed::Unlike);
        }
        if auditor.may_look(self.now)
            && let Some(there) = self.slot(slot).map(|slot| self.connection(slot))
        {
            self.look_at(feed, there, Purpose::Probe);
        }
    }

    fn conclude(&mut self, feed: FeedId, conclusion: Conclusion) {
        match conclusion {
            Conclusion::AuditAlso { slot, keys } => self.ask(slot, keys),
            Conclusion::Looked(summary) => self.log_audited(feed, summary),
            Conclusion::Surplus { summary, granted } => {
                self.log_audited(feed, summary);
                self.surplus_found(feed, granted);
            }
            Conclusion::Probed { summary, outcome } => {
                self.log_audited(feed, summary);
                self.probed(feed, summary.slot, outcome);
            }
            Conclusion::Unproven => {
                if let Some(cap) = self.feeds[feed].cap.learner.thinning_unproven() {
                    let why =
                        "what was moved misses deltas where fewer are held, too; nothing more is audited";
                    self.log_learned(feed, cap, why);
                }
            }
        }
    }

    fn surplus_found(&mut self, feed: FeedId, granted: u32) {
        let Some(cap) = self.feeds[feed].cap.learner.learn(granted, Sign::Deltas, self.now) else { return };
        self.log_learned(feed, cap, "matches of a connection lack deltas and others do not");
        let Feed { plan, cap: FeedCap { auditor, .. }, .. } = &mut self.feeds[feed];
        let fuller = self.children.of(feed).filter(|slot| slot.will_hold(plan.own_subscriptions) > cap);
        fuller.for_each(|slot| auditor.refresh_later(slot.id));
    }

    fn probed(&mut self, feed: FeedId, slot: SlotId, outcome: Probed) {
        let learner = &mut self.feeds[feed].cap.learner;
        if learner.probe().is_none_or(|probe| probe.slot != slot) {
            return;
        }
        match (outcome, learner.sign()) {
            // Where snapshots cannot be compared with deltas, loads are the only sign.
            (Probed::Served, _) | (Probed::Unlike, Sign::Loads) => self.probe_held(feed),
            (Probed::Thinned, _) | (Probed::Unlike, Sign::Deltas) => {
                learner.probe_thinned(self.now);
                self.placement.due = true;
            }
            (Probed::Unknown, _) => {}
        }
    }

    /// The fullest connection that holds more than any was proven to be served in full.
    fn to_look_at(&self, feed: FeedId) -> Option<Connection> {
        let state = &self.feeds[feed];
        if !state.cap.auditor.may_look(self.now)
            || state.cap.learner.is_learning()
            || state.first != FirstList::Placed
        {
            return None;
        }
        let more = self.children.of(feed).filter(|slot| {
            slot.report.loaded > state.cap.auditor.proven()
                && !slot.matches.is_empty()
                && self.is_whole(feed, slot)
        });
        let slot = more.max_by_key(|slot| (slot.report.loaded, std::cmp::Reverse(slot.id)))?;
        Some(self.connection(slot))
    }

    /// Whether a connection is quiet with all of its loads, and nothing above the cap is on its way elsewhere.
    fn is_whole(&self, feed: FeedId, slot: &Slot) -> bool {
        let own = self.feeds[feed].plan.own_subscriptions;
        self.is_quiet(slot, SETTLED)
            && slot.report.loaded >= slot.report.asked
            && slot.load(own) <= self.feeds[feed].cap.learner.cap()
    }

    fn connection(&self, slot: &Slot) -> Connection {
        let seat_of = |key: &MatchKey| {
            let seat = self.seats(key).find(|seat| seat.slot == slot.id && seat.has_load())?;
            Some((seat.first_epoch, key.clone(), seat.topics))
        };
        let mut matches: Vec<_> = slot.matches.iter().filter_map(seat_of).collect();
        matches.sort();
        Connection {
            slot: slot.id,
            held: slot.report.loaded,
            matches: matches.into_iter().map(|(_, key, topics)| (key, topics)).collect(),
        }
    }

    fn seats(&self, key: &MatchKey) -> impl Iterator<Item = &Seat> {
        self.catalog.matches.get(key).into_iter().flat_map(Match::seats)
    }

    fn look_at(&mut self, feed: FeedId, there: Connection, purpose: Purpose) {
        let slot = there.slot;
        let keys = self.feeds[feed].cap.auditor.look(there, purpose, self.now);
        self.ask(slot, keys);
    }

    /// The surplus that has moved: whether it gets all of its deltas where it is now.
    fn verify_moved(&mut self, feed: FeedId) {
        let Some((origin, keys)) = self.feeds[feed].cap.auditor.unverified() else { return };
        for key in keys {
            let elsewhere = self.seats(&key).find(|seat| seat.slot != origin && seat.has_load());
            let Some((slot, since)) = elsewhere.map(|seat| (seat.slot, seat.asked_at)) else { continue };
            if self.feeds[feed].cap.auditor.verify(&key, since, self.now) {
                self.ask(slot, vec![key]);
            }
        }
    }

    /// What stays on a connection that was above the cap is subscribed again once the surplus has left.
    fn refresh_kept(&mut self, feed: FeedId) {
        let due = self.feeds[feed]
            .cap
            .auditor
            .to_refresh()
            .find_map(|slot| self.slot(slot).filter(|slot| self.is_whole(feed, slot)));
        let Some(there) = due.map(|slot| self.connection(slot)) else { return };
        self.feeds[feed].cap.auditor.refreshed(there.slot);
        self.ask(there.slot, there.matches.into_iter().map(|(key, _)| key));
    }

    fn ask(&mut self, slot: SlotId, keys: impl IntoIterator<Item = MatchKey>) {
        for key in keys {
            self.send_to_worker(slot, ToWorker::Audit { id: key.id });
        }
    }

    fn log_audited(&mut self, feed: FeedId, summary: Summary) {
        let Summary { slot: worker, held, audited, missed } = summary;
        self.out.log(LogEvent::CapAudited { feed, worker, held, audited, missed });
    }
}
