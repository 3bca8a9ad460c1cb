//! Learned caps in the pool: reading their signs, placing the surplus elsewhere, and trying for more now and then.
//!
//! A match that gets no load where others do is taken away from there and tried elsewhere; one that is live is moved with a
//! second seat, as ever. Where the configuration names what the server does above its cap, nothing is learned.

use super::learner::{Probe, Refusal};
use crate::pool::catalog::matches::{Assignment, Seat};
use crate::pool::children::slot::{Pulse, Slot};
use crate::pool::feed::FirstList;
use crate::pool::log_event::LogEvent;
use crate::pool::settings::Learning;
use crate::pool::{Action, Pool};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::ipc::messages::worker::{ConnectionState, LostWith, MatchState, ReleaseReason};
use touchline_common::model::{FeedId, MatchKey, SlotId};

/// A connection on which nothing came for this long although loads are missing does not give them.
const PATIENCE: Duration = Duration::from_secs(3);
/// A probe is believed after the connection held more for so long.
const HELD_FOR: Duration = Duration::from_secs(5);

impl Pool {
    pub(in crate::pool) fn cap(&self, feed: FeedId) -> u32 {
        self.feed(feed).map_or(0, |feed| feed.cap.learner.cap())
    }

    pub(in crate::pool) fn cap_at(&self, feed: FeedId, slot: SlotId) -> u32 {
        self.feed(feed).map_or(0, |feed| feed.cap.learner.cap_of(slot))
    }

    pub(in crate::pool) fn may_be_above(&self, feed: FeedId) -> bool {
        self.feed(feed).is_some_and(|feed| feed.cap.learner.limits())
    }

    /// Signs of a lower cap, what is above it, and whether more is granted by now.
    pub(in crate::pool) fn tick_caps(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            if !self.learns(feed) {
                continue;
            }
            let now = self.now;
            let held = self.held(feed);
            let disproved = self.feed_mut(feed).and_then(|state| {
                state.cap.learner.tick(now);
                state.cap.learner.held(held).or_else(|| state.cap.learner.served(state.cap.auditor.proven()))
            });
            if let Some(cap) = disproved {
                out.push(Action::Log(LogEvent::CapRaised { feed, cap }));
                self.placement.due = true;
            }
            for slot in self.slots_of(feed) {
                self.look_for_missing(feed, slot, out);
            }
            self.release_surplus(feed, out);
            self.try_for_more(feed, out);
        }
    }

    pub(in crate::pool) fn learns(&self, feed: FeedId) -> bool {
        self.config.feed(feed).is_some_and(|plan| plan.learning == Learning::Auto)
    }

    pub(in crate::pool) fn slots_of(&self, feed: FeedId) -> Vec<SlotId> {
        self.children.slots.iter().filter(|slot| slot.feed == Some(feed)).map(|slot| slot.id).collect()
    }

    /// A quiet connection with some loads and not others: those are tried elsewhere.
    fn look_for_missing(&mut self, feed: FeedId, slot: SlotId, out: &mut Vec<Action>) {
        let Some(there) = self.slot(slot) else { return };
        let own = self.config.feed(feed).map_or(0, |plan| plan.own_subscriptions);
        let granted = there.report.loaded;
        if !self.is_quiet(there, PATIENCE) || granted <= own || there.report.asked <= granted {
            return;
        }
        let learner = self.feed(feed).map(|feed| &feed.cap.learner);
        if learner.is_none_or(|learner| learner.is_suspected(slot)) {
            return;
        }
        let missing: BTreeSet<MatchKey> = there
            .matches
            .iter()
            .filter(|key| self.is_missing(key, slot) && learner.is_some_and(|of| !of.is_ignored(key)))
            .cloned()
            .collect();
        if missing.is_empty() {
            return;
        }
        let generation = there.life.generation;
        out.push(Action::Log(LogEvent::CapSuspected { feed, worker: slot, granted, missing: missing.len() }));
        for key in &missing {
            self.take_away(key, slot, out);
        }
        let now = self.now;
        if let Some(feed) = self.feed_mut(feed) {
            feed.cap.learner.suspect(slot, generation, granted, missing, now);
        }
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
        let Assignment::Assigned { owner, candidate } = &a_match.assignment else { return false };
        let unanswered = |seat: &Seat| {
            let never = match seat.state {
                MatchState::Subscribing => true,
                MatchState::Removed => !seat.had_load,
                MatchState::Live | MatchState::Stale => false,
            };
            seat.slot == slot && never && self.now.saturating_sub(seat.asked_at) >= PATIENCE
        };
        a_match.delisted.is_none() && (unanswered(owner) || candidate.as_ref().is_some_and(unanswered))
    }

    fn take_away(&mut self, key: &MatchKey, slot: SlotId, out: &mut Vec<Action>) {
        if self.owner_slot(key) == Some(slot) {
            self.unassign(key, ReleaseReason::Moved, out);
        } else {
            self.drop_candidate(key, out);
        }
    }

    /// A match got its load: that may prove what was suspected of another connection.
    pub(in crate::pool) fn on_load(&mut self, key: &MatchKey, slot: SlotId, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(feed) = self.feed_mut(key.feed) else { return };
        if let Some(cap) = feed.cap.learner.loaded(key, slot, now) {
            self.log_learned(
                key.feed,
                cap,
                "matches that got no load on a connection got it on another",
                out,
            );
        }
    }

    /// A connection was lost: with much asked and not all answered that is a sign.
    pub(in crate::pool) fn on_loss(&mut self, slot: SlotId, lost: LostWith, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(feed) = self.slot(slot).and_then(|slot| slot.feed).filter(|feed| self.learns(*feed)) else {
            return;
        };
        let held = self.held(feed);
        let quiet = Duration::from_millis(lost.quiet_ms.into());
        let refusal = Refusal { at: now, asked: lost.asked, granted: lost.loaded, quiet };
        let Some(state) = self.feed_mut(feed) else { return };
        if let Some(cap) = state.cap.learner.refused(slot, refusal, held) {
            self.log_learned(feed, cap, "connections were lost as soon as more was asked", out);
        }
        self.release_surplus(feed, out);
    }

    /// The most that a connection of the feed holds at the moment, with all of its loads.
    fn held(&self, feed: FeedId) -> u32 {
        let of_feed = self.children.slots.iter().filter(|slot| slot.feed == Some(feed));
        let whole =
            of_feed.filter(|slot| self.is_quiet(slot, PATIENCE) && slot.report.loaded >= slot.report.asked);
        whole.map(|slot| slot.report.loaded).max().unwrap_or(0)
    }

    pub(in crate::pool) fn log_learned(
        &mut self,
        feed: FeedId,
        cap: u32,
        why: &'static str,
        out: &mut Vec<Action>,
    ) {
        let configured = self.config.feed(feed).map_or(0, |plan| plan.cap);
        out.push(Action::Log(LogEvent::CapLearned { feed, cap, configured, why }));
        self.placement.due = true;
        out.push(Action::SaveState);
    }

    /// The matches by which a worker is above its cap and which have no second seat yet: those that miss deltas, then the
    /// newest first.
    pub(in crate::pool) fn surplus(&self, slot: &Slot) -> Vec<MatchKey> {
        let Some(feed) = slot.feed.filter(|_| slot.life.works()) else { return Vec::new() };
        let (Some(state), Some(plan)) = (self.feed(feed), self.config.feed(feed)) else { return Vec::new() };
        let mut over = slot.will_hold(plan.own_subscriptions).saturating_sub(self.cap_at(feed, slot.id));
        if over == 0 {
            return Vec::new();
        }
        let mut seats = Vec::new();
        for key in &slot.matches {
            let Some(a_match) = self.catalog.matches.get(key) else { continue };
            let Assignment::Assigned { owner, candidate } = &a_match.assignment else { continue };
            match (owner.slot == slot.id, candidate) {
                (true, None) => {
                    let stays = !state.cap.auditor.is_surplus(key);
                    seats.push((stays, owner.has_load(), std::cmp::Reverse(owner.first_epoch), key));
                }
                // On its way out already.
                (true, Some(_)) => over = over.saturating_sub(a_match.need.count()),
                (false, _) => {}
            }
        }
        seats.sort();
        let mut keys = Vec::new();
        for (.., key) in seats {
            if over == 0 {
                break;
            }
            over =
                over.saturating_sub(self.catalog.matches.get(key).map_or(0, |a_match| a_match.need.count()));
            keys.push(key.clone());
        }
        keys
    }

    /// Surplus that no worker follows is free to go at once; what is live gets a second seat first, see `homeless`.
    fn release_surplus(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        if !self.may_be_above(feed) {
            return;
        }
        for slot in self.slots_of(feed) {
            let surplus = self.slot(slot).map(|slot| self.surplus(slot)).unwrap_or_default();
            for key in surplus {
                let followed = matches!(
                    self.catalog.matches.get(&key).map(|a_match| &a_match.assignment),
                    Some(Assignment::Assigned { owner, .. }) if owner.has_load()
                );
                if !followed {
                    self.unassign(&key, ReleaseReason::Moved, out);
                }
            }
        }
    }

    /// From time to time one connection takes one match more than was learned.
    fn try_for_more(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        let now = self.now;
        let Some(state) = self.feed(feed) else { return };
        if let Some(probe) = state.cap.learner.probe() {
            return self.judge_probe(feed, probe, out);
        }
        if !state.cap.learner.may_probe(now) || state.first != FirstList::Placed || !self.may_overlap(feed) {
            return;
        }
        let plan = self.full_slot(feed).and_then(|to| Some((to, self.spare_match(feed, to)?)));
        let Some((to, key)) = plan else {
            if let Some(feed) = self.feed_mut(feed) {
                feed.cap.learner.probe_later(now);
            }
            return;
        };
        let cap = state.cap.learner.cap()
            + self.catalog.matches.get(&key).map_or(0, |a_match| a_match.need.count());
        let Some(generation) = self.slot(to).map(|slot| slot.life.generation) else { return };
        if let Some(feed) = self.feed_mut(feed) {
            feed.cap.learner.probe_above(to, generation, cap, now);
        }
        out.push(Action::Log(LogEvent::CapTried { feed, worker: to, cap }));
        if let Some(from) = self.owner_slot(&key) {
            self.give_candidate(&key, from, to, out);
        }
    }

    fn judge_probe(&mut self, feed: FeedId, probe: Probe, out: &mut Vec<Action>) {
        let holds = self
            .slot(probe.slot)
            .is_some_and(|slot| slot.report.loaded >= probe.cap && self.is_quiet(slot, HELD_FOR));
        if !holds {
            return;
        }
        let now = self.now;
        if let Some(feed) = self.feed_mut(feed) {
            feed.cap.learner.probe_audited(now);
        }
        self.audit_probe(feed, probe.slot, out);
    }

    /// The connection that was to hold more is served in full.
    pub(in crate::pool) fn probe_held(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        let now = self.now;
        let held = self.feed_mut(feed).and_then(|feed| feed.cap.learner.probe_held(now));
        if let Some(cap) = held {
            out.push(Action::Log(LogEvent::CapRaised { feed, cap }));
            out.push(Action::SaveState);
            self.placement.due = true;
        }
    }

    fn full_slot(&self, feed: FeedId) -> Option<SlotId> {
        let own = self.config.feed(feed)?.own_subscriptions;
        let full = |slot: &&Slot| {
            slot.feed == Some(feed) && self.is_quiet(slot, PATIENCE) && slot.load(own) >= self.cap(feed)
        };
        self.children.slots.iter().find(full).map(|slot| slot.id)
    }

    fn spare_match(&self, feed: FeedId, not: SlotId) -> Option<MatchKey> {
        let others = self.children.slots.iter().filter(|slot| slot.feed == Some(feed) && slot.id != not);
        let mut keys = others.filter(|slot| slot.takes_work()).flat_map(|slot| {
            let id = slot.id;
            slot.matches.iter().map(move |key| (id, key))
        });
        keys.find(|(slot, key)| self.catalog.matches.get(key).is_some_and(|of| self.is_movable(of, *slot)))
            .map(|(_, key)| key.clone())
    }
}
