//! Giving waiting matches their places, and placed ones a second place when their worker is silent or drained.

use super::feed::FirstList;
use super::log_event::LogEvent;
use super::matches::{Holder, Need, Place, Seat, Switch};
use super::placement::{self, Offer, Reluctance};
use super::recorder::FirstReady;
use super::slot::{Pulse, Slot};
use super::{Action, Pool};
use std::time::Duration;
use touchline_common::ipc::messages::recorder::{Owner, ToRecorder};
use touchline_common::ipc::messages::worker::{ConnectionState, MatchState, ReleaseReason, ToWorker};
use touchline_common::model::{FeedId, MatchKey, SlotId};

/// A candidate that does not take over within this time is let go and, if need be, another is tried.
const MOVE_DEADLINE: Duration = Duration::from_secs(30);

impl Pool {
    /// A match waits from now on.
    pub(super) fn enqueue(&mut self, key: &MatchKey) {
        let Some(plan) = self.config.feed(key.feed) else { return };
        let Some(a_match) = self.matches.get_mut(key) else { return };
        a_match.place = Place::Waiting;
        a_match.told_waiting = false;
        a_match.wait_key = placement::wait_key(&plan.waiting_order, &a_match.listing);
        self.untold.insert(key.clone());
        if let Need::Topics(_) = a_match.need {
            let (wait_key, topics) = (a_match.wait_key, a_match.need.count());
            if self.waiting.insert((key.feed, wait_key, key.clone()))
                && let Some(feed) = self.feed_mut(key.feed)
            {
                feed.waiting_topics += topics;
            }
        }
        self.placement_due = true;
    }

    /// A match does not wait any more.
    pub(super) fn dequeue(&mut self, key: &MatchKey) {
        let Some(a_match) = self.matches.get(key) else { return };
        let topics = a_match.need.count();
        if self.waiting.remove(&(key.feed, a_match.wait_key, key.clone()))
            && let Some(feed) = self.feed_mut(key.feed)
        {
            feed.waiting_topics = feed.waiting_topics.saturating_sub(topics);
        }
    }

    /// Takes a match from its places; it waits.
    pub(super) fn unplace(&mut self, key: &MatchKey, why: ReleaseReason, out: &mut Vec<Action>) {
        let Some(Place::Placed { owner, candidate }) =
            self.matches.get(key).map(|a_match| a_match.place.clone())
        else {
            return;
        };
        self.moving.remove(key);
        self.renew.remove(key);
        self.removed.remove(key);
        let (slot, generation) = (owner.slot, owner.generation);
        let mut command = None;
        for seat in candidate.iter().chain(std::iter::once(&owner)) {
            command = self.release_seat(key, seat, why, out);
        }
        if !self.may_overlap(key.feed)
            && let Some(a_match) = self.matches.get_mut(key)
        {
            a_match.held_by = command.map(|command| Holder { slot, generation, command });
        }
        self.enqueue(key);
    }

    /// The feed's workers as placement sees them. `limit`: take none above this many subscriptions, though it be below the cap.
    pub(super) fn offers(&self, feed: FeedId, limit: Option<u32>) -> Vec<Offer> {
        let Some(plan) = self.config.feed(feed) else { return Vec::new() };
        let mut offers: Vec<Offer> = self
            .slots
            .iter()
            .filter(|slot| slot.feed == Some(feed) && slot.takes_work())
            .map(|slot| {
                let load = slot.load(plan.own_subscriptions);
                let cap = self.cap_at(feed, slot.id).min(limit.unwrap_or(u32::MAX));
                let room = if self.is_busy(slot) { 0 } else { cap.saturating_sub(load) };
                let down = slot.connection != ConnectionState::Up
                    && self.now.saturating_sub(slot.spawned_at) > self.config.timing.busy_for;
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
        slot.busy_since.is_some_and(|since| self.now.saturating_sub(since) >= self.config.timing.busy_for)
    }

    /// Places what waits, feed by feed, in the order of waiting.
    pub(super) fn place_waiting(&mut self, out: &mut Vec<Action>) {
        if self.recorder.first_ready == FirstReady::Awaited {
            return;
        }
        for feed in self.feed_ids() {
            if self.feed(feed).is_some_and(|feed| feed.waiting_topics > 0) {
                self.place_waiting_of(feed, out);
            } else if let Some(feed) = self.feed_mut(feed) {
                feed.blocked = false;
            }
        }
    }

    fn place_waiting_of(&mut self, feed: FeedId, out: &mut Vec<Action>) {
        let share = self.share(feed);
        let mut offers = self.offers(feed, share);
        let first = (feed, [i64::MIN; 2], MatchKey { feed, id: "".into() });
        let keys: Vec<MatchKey> = self
            .waiting
            .range(first..)
            .take_while(|(of, ..)| *of == feed)
            .map(|(_, _, key)| key.clone())
            .collect();
        let mut smallest_refused = u32::MAX;
        let mut blocked = false;
        for key in keys {
            let Some(a_match) = self.matches.get(&key) else { continue };
            if a_match.held_by.is_some_and(|holder| self.holds_still(holder)) {
                continue;
            }
            let (topics, hint) = (a_match.need.count(), a_match.hint);
            let refused = topics >= smallest_refused;
            let hinted = hint.filter(|hint| offers.iter().any(|o| o.slot == *hint && o.room >= topics));
            let chosen =
                if refused { None } else { hinted.or_else(|| placement::choose(&offers, topics, None)) };
            let Some(slot) = chosen else {
                smallest_refused = smallest_refused.min(topics);
                blocked |= share.is_none();
                self.notice_waiting(&key, "no connection has room", out);
                continue;
            };
            let Some(seat) = self.seat(&key, slot, out) else { break };
            take_room(&mut offers, slot, topics);
            self.own(&key, seat, out);
        }
        if let Some(feed) = self.feed_mut(feed) {
            feed.blocked = blocked;
        }
    }

    /// Whether a worker that was told to let a match go has not said that it did. One that is gone holds nothing.
    fn holds_still(&self, holder: Holder) -> bool {
        let there = self.slot(holder.slot).filter(|slot| slot.is(holder.generation));
        there.is_some_and(|slot| slot.life.works() && !slot.has_seen(holder.command))
    }

    fn notice_waiting(&mut self, key: &MatchKey, why: &str, out: &mut Vec<Action>) {
        let Some(a_match) = self.matches.get_mut(key) else { return };
        // Before the workers are there, all wait; that is not worth a line each.
        let first =
            self.feeds.get(usize::from(key.feed.0)).is_some_and(|feed| feed.first != FirstList::Placed);
        if !first && !std::mem::replace(&mut a_match.noticed, true) {
            out.push(Action::Log(LogEvent::Waiting { key: key.clone(), why: why.to_owned() }));
        }
    }

    /// While the workers for the first list are starting, nobody takes more than its share, so that all end alike.
    fn share(&self, feed: FeedId) -> Option<u32> {
        let (state, plan) = (self.feed(feed)?, self.config.feed(feed)?);
        let of_feed = || self.slots.iter().filter(|slot| slot.feed == Some(feed));
        let starting = u32::try_from(of_feed().filter(|slot| slot.life.is_starting()).count()).ok()?;
        if state.first == FirstList::Placed || starting == 0 {
            return None;
        }
        let ready = of_feed().filter(|slot| slot.takes_work());
        let (count, held) =
            ready.fold((0u32, 0u32), |(n, sum), slot| (n + 1, sum + slot.load(plan.own_subscriptions)));
        let total = held + state.waiting_topics + starting * plan.own_subscriptions;
        let largest = u32::try_from(plan.match_topics.len()).unwrap_or(u32::MAX);
        Some(total.div_ceil(count + starting).max(plan.own_subscriptions + largest))
    }

    /// A new seat at `slot`: from here on its topics are reserved. `None` when no epoch is at hand.
    pub(super) fn seat(&mut self, key: &MatchKey, slot: SlotId, out: &mut Vec<Action>) -> Option<Seat> {
        let now = self.now;
        let a_match = self.matches.get(key)?;
        let Need::Topics(topics) = a_match.need.clone() else { return None };
        let (listing, count) = (a_match.listing.clone(), a_match.need.count());
        let generation = self.slot(slot)?.life.generation;
        let epoch = self.epochs.mint()?;
        let place = self.slot_mut(slot)?;
        place.asked(count);
        place.matches.insert(key.clone());
        self.tell_worker(slot, ToWorker::Assign { id: key.id.clone(), epoch, topics, listing }, out);
        Some(Seat {
            slot,
            generation,
            epoch,
            first_epoch: epoch,
            state: MatchState::Subscribing,
            asked_at: now,
            had_load: false,
            switch: Switch::NotSent,
        })
    }

    /// A waiting match has an owner.
    fn own(&mut self, key: &MatchKey, mut seat: Seat, out: &mut Vec<Action>) {
        self.dequeue(key);
        let (worker, epoch) = (seat.slot, seat.epoch);
        seat.switch = Switch::Sent;
        let Some(a_match) = self.matches.get_mut(key) else { return };
        a_match.place = Place::Placed { owner: seat, candidate: None };
        a_match.was_placed = true;
        a_match.predecessor = Owner::Dead;
        a_match.hint = None;
        a_match.held_by = None;
        a_match.noticed = false;
        self.untold.remove(key);
        self.save_due = true;
        // Nobody alive owns it. A recorder that is away gets a switch with a new epoch when it is back.
        let switch = ToRecorder::Switch { key: key.clone(), epoch, owner: Owner::Dead };
        self.tell_recorder(switch, out);
        out.push(Action::Log(LogEvent::Assigned { key: key.clone(), worker, epoch }));
    }

    /// Topics of the matches that should have a second place and have none.
    pub(super) fn homeless(&self, feed: FeedId) -> Vec<MatchKey> {
        // A silent worker may hold on to its matches: where a second subscription is forbidden, only its end frees them.
        let overlap = self.may_overlap(feed);
        let gives = |slot: &&Slot| {
            slot.feed == Some(feed) && gives_away(slot) && (overlap || slot.life.is_draining())
        };
        let mut keys = Vec::new();
        for slot in self.slots.iter().filter(gives) {
            keys.extend(slot.matches.iter().filter(|key| self.lacks_candidate(key, slot.id)).cloned());
        }
        if self.may_be_above(feed) {
            let stays = |slot: &&Slot| slot.feed == Some(feed) && !gives_away(slot);
            for slot in self.slots.iter().filter(stays) {
                keys.extend(self.surplus(slot));
            }
        }
        keys
    }

    fn lacks_candidate(&self, key: &MatchKey, slot: SlotId) -> bool {
        matches!(
            self.matches.get(key).map(|a_match| &a_match.place),
            Some(Place::Placed { owner, candidate: None }) if owner.slot == slot
        )
    }

    /// Make before break: the match gets a second seat and keeps the first. Where the server suffers one subscription
    /// only, it is let go first, but not before there is room for it.
    pub(super) fn place_candidates(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            let homeless = self.homeless(feed);
            if homeless.is_empty() {
                continue;
            }
            let mut offers = self.offers(feed, None);
            for key in homeless {
                let Some(from) = self.owner_slot(&key) else { continue };
                let topics = self.matches.get(&key).map_or(u32::MAX, |a_match| a_match.need.count());
                let Some(slot) = self.choose_for(&key, topics, from, &offers) else { continue };
                if !self.may_overlap(feed) {
                    self.let_go_for(&key, slot, out);
                } else if !self.give_candidate(&key, from, slot, out) {
                    return;
                }
                take_room(&mut offers, slot, topics);
            }
        }
    }

    fn choose_for(&self, key: &MatchKey, topics: u32, from: SlotId, offers: &[Offer]) -> Option<SlotId> {
        let most = self.feed(key.feed).and_then(|feed| feed.auditor.most_with(key)).unwrap_or(u32::MAX);
        let fitting = offers.iter().filter(|offer| offer.load.saturating_add(topics) <= most);
        placement::choose(&fitting.copied().collect::<Vec<_>>(), topics, Some(from))
    }

    /// Whether a match that is to be tried elsewhere finds no connection that holds few enough.
    pub(super) fn lacks_contrast(&self, feed: FeedId) -> bool {
        let offers = self.offers(feed, None);
        self.homeless(feed).iter().any(|key| {
            let topics = self.matches.get(key).map_or(0, |a_match| a_match.need.count());
            self.feed(feed).is_some_and(|feed| feed.auditor.is_witness(key))
                && self
                    .owner_slot(key)
                    .is_some_and(|from| self.choose_for(key, topics, from, &offers).is_none())
        })
    }

    /// Candidates that take too long.
    pub(super) fn tick_moves(&mut self, out: &mut Vec<Action>) {
        let keys: Vec<MatchKey> = self.moving.iter().cloned().collect();
        for key in keys {
            let late = match self.matches.get(&key).map(|a_match| &a_match.place) {
                Some(Place::Placed { candidate: Some(seat), .. }) => {
                    self.now >= seat.asked_at + MOVE_DEADLINE
                }
                Some(Place::Placed { candidate: None, .. } | Place::Waiting | Place::Quarantined) | None => {
                    true
                }
            };
            if late {
                self.drop_candidate(&key, out);
            }
        }
    }

    /// Asks for epochs before they are needed.
    pub(super) fn reserve(&mut self, out: &mut Vec<Action>) {
        if self.recorder.first_ready == FirstReady::Awaited || self.now < self.reserve_after {
            return;
        }
        let wanted = self.waiting.len() + self.renew.len() * 2;
        if let Some(up_to) = self.epochs.shortage(wanted) {
            out.push(Action::ReserveEpochs { up_to });
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
    (slot.life.is_ready() && slot.pulse == Pulse::Silent)
        || matches!(slot.life.state, super::life::State::Draining { .. })
}
