//! Learned caps in the pool: reading their signs, placing the surplus elsewhere, and trying for more now and then.
//!
//! A match that gets no load where others do is taken away from there and tried elsewhere; one that is live is moved with a
//! second seat, as ever. Where the configuration names what the server does above its cap, nothing is learned.

use super::FeedCap;
use super::learner::{Probe, Refusal};
use crate::pool::catalog::matches::{Cause, Seat};
use crate::pool::children::slot::{Pulse, Slot};
use crate::pool::feed::{Feed, FirstList};
use crate::pool::log_event::LogEvent;
use crate::pool::{Action, Pool};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::ipc::messages::worker::{ConnectionState, LostWith, MatchState};
use touchline_common::model::{FeedId, MatchKey, SlotId};

/// A connection on which nothing came for this long although loads are missing does not give them.
const PATIENCE: Duration = Duration::from_secs(3);
/// A probe is believed after the connection held more for so long.
const HELD_FOR: Duration = Duration::from_secs(5);

impl Pool {
    /// Signs of a lower cap, what is above it, and whether more is granted by now.
    pub(in crate::pool) fn tick_caps(&mut self) {
        for feed in self.feeds.ids() {
            if !self.feeds[feed].plan.learns_cap {
                continue;
            }
            let held = self.held(feed);
            let FeedCap { learner, auditor } = &mut self.feeds[feed].cap;
            learner.tick(self.now);
            if let Some(cap) = learner.held(held, auditor.proven()) {
                self.out.log(LogEvent::CapRaised { feed, cap });
                self.placement.due = true;
            }
            for slot in self.slots_of(feed) {
                self.look_for_missing(feed, slot);
            }
            self.release_surplus(feed);
            self.try_for_more(feed);
        }
    }

    fn slots_of(&self, feed: FeedId) -> Vec<SlotId> {
        self.children.of(feed).map(|slot| slot.id).collect()
    }

    /// A quiet connection with some loads and not others: those are tried elsewhere.
    fn look_for_missing(&mut self, feed: FeedId, slot: SlotId) {
        let Some(there) = self.slot(slot) else { return };
        let own = self.feeds[feed].plan.own_subscriptions;
        let granted = there.report.loaded;
        if !self.is_quiet(there, PATIENCE) || granted <= own || there.report.asked <= granted {
            return;
        }
        let learner = &self.feeds[feed].cap.learner;
        if learner.is_suspected(slot) {
            return;
        }
        let missing: BTreeSet<MatchKey> = there
            .matches
            .iter()
            .filter(|key| self.is_missing(key, slot) && !learner.is_ignored(key))
            .cloned()
            .collect();
        if missing.is_empty() {
            return;
        }
        self.out.log(LogEvent::CapSuspected { feed, worker: slot, granted, missing: missing.len() });
        for key in &missing {
            self.take_away(key, slot);
        }
        self.feeds[feed].cap.learner.suspect(slot, granted, missing, self.now);
    }

    /// Whether nothing changed on a connection for so long, with everything asked that was to be asked.
    pub(in crate::pool) fn is_quiet(&self, slot: &Slot, time: Duration) -> bool {
        slot.life.is_ready()
            && slot.session.pulse == Pulse::Regular
            && slot.upstream.state == ConnectionState::Up
            && slot.is_settled()
            && self.now.saturating_sub(slot.upstream.changed_at) >= time
    }

    /// Whether a match was asked for here and never answered.
    fn is_missing(&self, key: &MatchKey, slot: SlotId) -> bool {
        let Some(a_match) = self.catalog.matches.get(key) else { return false };
        let unanswered = |seat: &Seat| {
            let never = match seat.state {
                MatchState::Subscribing => true,
                MatchState::Removed => !seat.had_load,
                MatchState::Live | MatchState::Stale | MatchState::Refused => false,
            };
            seat.slot == slot && never && self.now.saturating_sub(seat.asked_at) >= PATIENCE
        };
        a_match.delisted.is_none() && a_match.seats().any(unanswered)
    }

    fn take_away(&mut self, key: &MatchKey, slot: SlotId) {
        if self.owner_slot(key) == Some(slot) {
            self.unassign(key);
        } else {
            self.drop_candidate(key);
        }
    }

    /// A match got its load: that may prove what was suspected of another connection.
    pub(in crate::pool) fn on_load(&mut self, key: &MatchKey, slot: SlotId) {
        if let Some(cap) = self.feeds[key.feed].cap.learner.loaded(key, slot, self.now) {
            self.log_learned(key.feed, cap, "matches that got no load on a connection got it on another");
        }
    }

    /// A connection was lost: with much asked and not all answered that is a sign.
    pub(in crate::pool) fn on_loss(&mut self, slot: SlotId, lost: LostWith) {
        let learns = |feed: &FeedId| self.feeds[*feed].plan.learns_cap;
        let Some(feed) = self.slot(slot).and_then(|slot| slot.feed).filter(learns) else { return };
        let held = self.held(feed);
        let quiet = Duration::from_millis(lost.quiet_ms.into());
        let refusal = Refusal { at: self.now, asked: lost.asked, granted: lost.loaded, quiet };
        if let Some(cap) = self.feeds[feed].cap.learner.refused(slot, refusal, held) {
            self.log_learned(feed, cap, "connections were lost as soon as more was asked");
        }
        self.release_surplus(feed);
    }

    /// The most that a connection of the feed holds at the moment, with all of its loads.
    fn held(&self, feed: FeedId) -> u32 {
        let is_whole =
            |slot: &&Slot| self.is_quiet(slot, PATIENCE) && slot.report.loaded >= slot.report.asked;
        let whole = self.children.of(feed).filter(is_whole);
        whole.map(|slot| slot.report.loaded).max().unwrap_or(0)
    }

    pub(in crate::pool) fn log_learned(&mut self, feed: FeedId, cap: u32, why: &'static str) {
        let configured = self.feeds[feed].plan.cap;
        self.out.log(LogEvent::CapLearned { feed, cap, configured, why });
        self.placement.due = true;
        self.out.push(Action::SaveState);
    }

    /// The matches by which a worker is above its cap and which have no second seat yet: those that miss deltas, then the
    /// newest first.
    pub(in crate::pool) fn surplus(&self, slot: &Slot) -> Vec<MatchKey> {
        let Some(feed) = slot.feed.filter(|_| slot.life.works()) else { return Vec::new() };
        let Feed { plan, cap, .. } = &self.feeds[feed];
        let mut over = slot.will_hold(plan.own_subscriptions).saturating_sub(cap.learner.cap_of(slot.id));
        if over == 0 {
            return Vec::new();
        }
        let mut seats = Vec::new();
        for key in &slot.matches {
            let Some(a_match) = self.catalog.matches.get(key) else { continue };
            let Some(owner) = a_match.owner().filter(|owner| owner.slot == slot.id) else { continue };
            if a_match.candidate().is_some() {
                // On its way out already.
                over = over.saturating_sub(owner.topics);
            } else {
                let stays = !cap.auditor.is_surplus(key);
                let newest_first = std::cmp::Reverse(owner.first_epoch);
                seats.push((stays, owner.has_load(), newest_first, key, owner.topics));
            }
        }
        seats.sort();
        let mut keys = Vec::new();
        for (.., key, topics) in seats {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(topics);
            keys.push(key.clone());
        }
        keys
    }

    /// Surplus that no worker follows is free to go at once; what is live gets a second seat first, see `homeless`.
    fn release_surplus(&mut self, feed: FeedId) {
        if self.feeds[feed].cap.learner.learned().is_none() {
            return;
        }
        for slot in self.slots_of(feed) {
            let surplus = self.slot(slot).map(|slot| self.surplus(slot)).unwrap_or_default();
            for key in surplus {
                let owner = self.catalog.matches.get(&key).and_then(|a_match| a_match.owner());
                let followed = owner.is_some_and(Seat::has_load);
                if !followed {
                    self.unassign(&key);
                }
            }
        }
    }

    /// From time to time one connection takes one match more than was learned.
    fn try_for_more(&mut self, feed: FeedId) {
        let state = &self.feeds[feed];
        if let Some(probe) = state.cap.learner.probe() {
            return self.judge_probe(feed, probe);
        }
        if !state.cap.learner.may_probe(self.now) || state.first != FirstList::Placed || !state.may_overlap()
        {
            return;
        }
        let Some((to, key, topics)) = self.probe_plan(feed) else {
            return self.feeds[feed].cap.learner.probe_later(self.now);
        };
        let learner = &mut self.feeds[feed].cap.learner;
        let cap = learner.cap() + topics;
        learner.probe_above(to, cap, self.now);
        self.out.log(LogEvent::CapTried { feed, worker: to, cap });
        self.give_candidate(&key, to, Cause::Follows);
    }

    fn judge_probe(&mut self, feed: FeedId, probe: Probe) {
        let holds = |slot: &Slot| slot.report.loaded >= probe.cap && self.is_quiet(slot, HELD_FOR);
        if self.slot(probe.slot).is_some_and(holds) {
            self.feeds[feed].cap.learner.probe_audited(self.now);
            self.audit_probe(feed, probe.slot);
        }
    }

    /// The connection that was to hold more is served in full.
    pub(in crate::pool) fn probe_held(&mut self, feed: FeedId) {
        if let Some(cap) = self.feeds[feed].cap.learner.probe_held(self.now) {
            self.out.log(LogEvent::CapRaised { feed, cap });
            self.out.push(Action::SaveState);
            self.placement.due = true;
        }
    }

    /// A full connection, and a match of another worker that it could take, with its topics.
    fn probe_plan(&self, feed: FeedId) -> Option<(SlotId, MatchKey, u32)> {
        let Feed { plan, cap, .. } = &self.feeds[feed];
        let full = |slot: &&Slot| {
            self.is_quiet(slot, PATIENCE) && slot.load(plan.own_subscriptions) >= cap.learner.cap()
        };
        let to = self.children.of(feed).find(full)?.id;
        let others = self.children.of(feed).filter(|slot| slot.id != to && slot.takes_work());
        let mut placed = others.flat_map(|slot| slot.matches.iter().map(|key| (slot.id, key)));
        placed.find_map(|(from, key)| {
            let a_match = self.catalog.matches.get(key).filter(|of| self.is_movable(of, from))?;
            Some((to, key.clone(), a_match.need.count()))
        })
    }
}
