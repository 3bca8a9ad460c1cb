//! Giving waiting matches their places, and placed ones a second place when their worker is silent or drained.

use crate::pool::catalog::matches::{Assignment, Cause, Holder, Need, Seat, Switch};
use crate::pool::catalog::needs;
use crate::pool::catalog::table::Mark;
use crate::pool::children::slot::{Pulse, Slot};
use crate::pool::feed::{Feed, FirstList};
use crate::pool::log_event::LogEvent;
use crate::pool::placement::choose::{self, Offer, Reluctance};
use crate::pool::{Action, Pool};
use std::time::Duration;
use touchline_common::ipc::messages::recorder::{Owner, ToRecorder};
use touchline_common::ipc::messages::worker::{ConnectionState, MatchState, ReleaseReason, ToWorker};
use touchline_common::model::{FeedId, MatchKey, SlotId};

/// A candidate that does not take over within this time is release and, if need be, another is tried.
const MOVE_DEADLINE: Duration = Duration::from_secs(30);

impl Pool {
    pub(in crate::pool) fn enqueue(&mut self, key: &MatchKey) {
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        let wait_key = needs::wait_key(&self.feeds[key.feed].plan.waiting_order, &a_match.listing);
        a_match.wait(wait_key);
        self.placement.due = true;
    }

    /// Takes a match from its workers; it waits.
    pub(in crate::pool) fn unassign(&mut self, key: &MatchKey) {
        let Some(a_match) = self.catalog.matches.get(key) else { return };
        let Assignment::Assigned { owner, candidate } = a_match.assignment.clone() else { return };
        let mut holder = None;
        for seat in candidate.iter().chain(std::iter::once(&owner)) {
            holder = self.release_seat(key, seat, ReleaseReason::Moved);
        }
        if !self.feeds[key.feed].may_overlap()
            && let Some(mut a_match) = self.catalog.matches.edit(key)
        {
            a_match.wait.held_by = holder;
        }
        self.enqueue(key);
    }

    /// The feed's workers as placement sees them. `limit`: take none above this many subscriptions, though it be below the cap.
    pub(in crate::pool) fn offers(&self, feed: FeedId, limit: Option<u32>) -> Vec<Offer> {
        let Feed { plan, cap, .. } = &self.feeds[feed];
        let ready = self.children.of(feed).filter(|slot| slot.takes_work());
        let mut offers: Vec<Offer> = ready
            .map(|slot| {
                let load = slot.load(plan.own_subscriptions);
                let cap = cap.learner.cap_of(slot.id).min(limit.unwrap_or(u32::MAX));
                let room = if self.is_busy(slot) { 0 } else { cap.saturating_sub(load) };
                let down = slot.upstream.state != ConnectionState::Up
                    && self.now.saturating_sub(slot.life.process.spawned_at) > self.timing.placement.busy_for;
                Offer {
                    slot: slot.id,
                    load,
                    room,
                    busy: (slot.report.busy.clamp(0.0, 1.0) * 1_000.0) as u32,
                    reluctance: if down { Reluctance::Down } else { Reluctance::None },
                }
            })
            .collect();
        let mut spare = usize::from(self.config.spare_workers);
        for offer in offers.iter_mut().rev() {
            let idle = self.slot(offer.slot).is_some_and(|slot| slot.matches.is_empty());
            if spare > 0 && idle && offer.reluctance == Reluctance::None && !self.holds_list(offer.slot) {
                offer.reluctance = Reluctance::Spare;
                spare -= 1;
            }
        }
        offers
    }

    fn is_busy(&self, slot: &Slot) -> bool {
        slot.busy_since.is_some_and(|since| self.now.saturating_sub(since) >= self.timing.placement.busy_for)
    }

    /// Places what waits, feed by feed, in the order of waiting.
    pub(in crate::pool) fn assign_waiting(&mut self) {
        if !self.may_give_epochs() {
            return;
        }
        for feed in self.feeds.ids() {
            if self.catalog.matches.waiting_topics(feed) > 0 {
                self.assign_waiting_of(feed);
            } else {
                self.feeds[feed].blocked = false;
            }
        }
    }

    fn assign_waiting_of(&mut self, feed: FeedId) {
        let share = self.share(feed);
        let mut offers = self.offers(feed, share);
        let keys: Vec<MatchKey> = self.catalog.matches.waiting_of(feed).cloned().collect();
        let mut smallest_refused = u32::MAX;
        let mut blocked = false;
        for key in keys {
            let Some(a_match) = self.catalog.matches.get(&key) else { continue };
            if a_match.wait.held_by.is_some_and(|holder| self.holds_still(holder)) {
                continue;
            }
            let (topics, hint) = (a_match.need.count(), a_match.wait.hint);
            let refused = topics >= smallest_refused;
            let hinted = hint.filter(|hint| offers.iter().any(|o| o.slot == *hint && o.room >= topics));
            let chosen =
                if refused { None } else { hinted.or_else(|| choose::choose(&offers, topics, None)) };
            let Some(slot) = chosen else {
                smallest_refused = smallest_refused.min(topics);
                blocked |= share.is_none();
                self.notice_waiting(&key);
                continue;
            };
            let Some(seat) = self.seat(&key, slot) else { break };
            take_room(&mut offers, slot, topics);
            self.own(&key, seat);
        }
        self.feeds[feed].blocked = blocked;
    }

    /// Whether a worker that was asked to release a match has not confirmed it. One that is gone holds nothing.
    pub(in crate::pool) fn holds_still(&self, holder: Holder) -> bool {
        let there = self.slot(holder.slot).filter(|slot| slot.life.is(holder.generation));
        there.is_some_and(|slot| slot.life.works() && !slot.has_seen(holder.command))
    }

    fn notice_waiting(&mut self, key: &MatchKey) {
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        // Before the workers are there, all wait; that is not worth a line each.
        let placed = self.feeds[key.feed].first == FirstList::Placed;
        if placed && !std::mem::replace(&mut a_match.wait.logged, true) {
            self.out.log(LogEvent::Waiting { key: key.clone(), why: "no connection has room" });
        }
    }

    /// While the workers for the first list are starting, none takes more than its share, so that all end with as much.
    fn share(&self, feed: FeedId) -> Option<u32> {
        let Feed { first, plan, .. } = &self.feeds[feed];
        let starting = self.children.of(feed).filter(|slot| slot.life.is_starting()).count();
        let starting = u32::try_from(starting).ok()?;
        if *first == FirstList::Placed || starting == 0 {
            return None;
        }
        let ready = self.children.of(feed).filter(|slot| slot.takes_work());
        let (count, held) =
            ready.fold((0u32, 0u32), |(n, sum), slot| (n + 1, sum + slot.load(plan.own_subscriptions)));
        let total = held + self.catalog.matches.waiting_topics(feed) + starting * plan.own_subscriptions;
        let largest = u32::try_from(plan.match_topics.len()).unwrap_or(u32::MAX);
        Some(total.div_ceil(count + starting).max(plan.own_subscriptions + largest))
    }

    /// A new seat at `slot`: from here on its topics are reserved. `None` when no epoch is at hand.
    pub(in crate::pool) fn seat(&mut self, key: &MatchKey, slot: SlotId) -> Option<Seat> {
        let now = self.now;
        let a_match = self.catalog.matches.get(key)?;
        let Need::Topics(topics) = a_match.need.clone() else { return None };
        let (listing, count) = (a_match.listing.clone(), a_match.need.count());
        let epoch = self.placement.epochs.mint()?;
        let place = self.slot_mut(slot)?;
        place.asked(count);
        place.matches.insert(key.clone());
        self.send_to_worker(slot, ToWorker::Assign { id: key.id.clone(), epoch, topics, listing });
        Some(Seat {
            slot,
            topics: count,
            epoch,
            first_epoch: epoch,
            state: MatchState::Subscribing,
            asked_at: now,
            had_load: false,
            switch: Switch::NotSent,
            cause: Cause::Follows,
        })
    }

    fn own(&mut self, key: &MatchKey, seat: Seat) {
        let (worker, epoch) = (seat.slot, seat.epoch);
        let Some(mut a_match) = self.catalog.matches.edit(key) else { return };
        a_match.assignment = Assignment::Assigned { owner: seat, candidate: None };
        a_match.recorder.has_ledger = true;
        a_match.recorder.predecessor = Owner::Dead;
        a_match.wait.hint = None;
        a_match.wait.held_by = None;
        a_match.wait.logged = false;
        let moved_from = a_match.wait.moved_from.take();
        drop(a_match);
        self.saving.due = true;
        // No living worker owns it. A recorder that is away gets a switch with a new epoch when it is back.
        let switch = ToRecorder::Switch { key: key.clone(), epoch, owner: Owner::Dead };
        self.send_to_recorder(switch);
        self.out.log(LogEvent::Assigned { key: key.clone(), worker, epoch });
        if let Some(from) = moved_from {
            self.out.log(LogEvent::Moved { key: key.clone(), worker, epoch, from });
        }
    }

    /// The matches that should have a second place and have none, each with its worker and its topics.
    pub(in crate::pool) fn homeless(&self, feed: FeedId) -> Vec<(MatchKey, SlotId, u32)> {
        // A silent worker may hold on to its matches: where a second subscription is forbidden, only its end frees them.
        let overlap = self.feeds[feed].may_overlap();
        let limited = self.feeds[feed].cap.learner.learned().is_some();
        let mut slots: Vec<&Slot> = self.children.of(feed).collect();
        // Who is silent or leaves first.
        slots.sort_by_key(|slot| !gives_away(slot));
        let mut homeless = Vec::new();
        for slot in slots {
            let keys = match gives_away(slot) {
                true if overlap || slot.life.is_draining() => slot.matches.iter().cloned().collect(),
                false if limited => self.surplus(slot),
                true | false => continue,
            };
            homeless.extend(keys.into_iter().filter_map(|key| {
                let a_match = self.catalog.matches.get(&key).filter(|of| of.candidate().is_none())?;
                let owner = a_match.owner().filter(|owner| owner.slot == slot.id)?;
                Some((key, owner.slot, owner.topics))
            }));
        }
        homeless
    }

    /// Make before break: the match gets a second seat and keeps the first. Where the server allows one subscription
    /// only, it is release first, but not before there is room for it.
    pub(in crate::pool) fn assign_candidates(&mut self) {
        for feed in self.feeds.ids() {
            let homeless = self.homeless(feed);
            if homeless.is_empty() {
                continue;
            }
            let mut offers = self.offers(feed, None);
            for (key, from, topics) in homeless {
                let Some(slot) = choose::choose(&offers, topics, Some(from)) else { continue };
                if !self.feeds[feed].may_overlap() {
                    self.release_for(&key, slot);
                } else if !self.give_candidate(&key, slot, Cause::Follows) {
                    return;
                }
                take_room(&mut offers, slot, topics);
            }
        }
    }

    pub(in crate::pool) fn tick_moves(&mut self) {
        for key in self.catalog.matches.marked(Mark::Moving).clone() {
            let candidate = self.catalog.matches.get(&key).and_then(|a_match| a_match.candidate());
            if candidate.is_some_and(|seat| self.now >= seat.asked_at + MOVE_DEADLINE) {
                self.drop_candidate(&key);
            }
        }
    }

    /// Asks for epochs before they are needed.
    pub(in crate::pool) fn reserve(&mut self) {
        if !self.may_give_epochs() || self.now < self.placement.reserve_after {
            return;
        }
        let wanted = self.catalog.matches.waiting() + self.catalog.matches.marked(Mark::NeedsEpoch).len() * 2;
        if let Some(up_to) = self.placement.epochs.shortage(wanted) {
            self.out.push(Action::ReserveEpochs { up_to });
        }
    }
}

fn take_room(offers: &mut [Offer], slot: SlotId, topics: u32) {
    if let Some(offer) = offers.iter_mut().find(|offer| offer.slot == slot) {
        offer.room = offer.room.saturating_sub(topics);
        offer.load += topics;
        if offer.reluctance == Reluctance::Spare {
            offer.reluctance = Reluctance::None;
        }
    }
}

/// Whether a worker's matches should have a second place elsewhere.
fn gives_away(slot: &Slot) -> bool {
    (slot.life.is_ready() && slot.session.pulse == Pulse::Silent) || slot.life.is_draining()
}
