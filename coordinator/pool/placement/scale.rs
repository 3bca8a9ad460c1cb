//! How many workers each feed has: starting them when work waits. `shrink` retires those that are not needed.

use crate::pool::children::life::{Event, State};
use crate::pool::feed::FirstList;
use crate::pool::input::Child;
use crate::pool::{Action, Pool};
use touchline_common::model::{FeedId, SlotId};

/// A feed's slots by what can be expected of them.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool) struct Hands {
    pub(in crate::pool) ready: u32,
    /// Ready, without a match or a list.
    pub(in crate::pool) idle: u32,
    /// Starting, or back after a back-off that holds up the feed.
    coming: u32,
    /// With a process, whatever its state.
    processes: u32,
    /// Subscriptions that the ready ones take more.
    pub(in crate::pool) room: u32,
}

impl Pool {
    pub(in crate::pool) fn scale(&mut self, out: &mut Vec<Action>) {
        for feed in self.feed_ids() {
            let mut missing = self.missing(feed);
            while missing > 0 && self.spawn_worker(feed, out) {
                missing -= 1;
            }
        }
        let working =
            self.children.slots.iter().filter(|slot| slot.life.works() || slot.life.is_starting()).count();
        let coming = self
            .children
            .slots
            .iter()
            .filter(|slot| matches!(slot.life.state, State::Backoff { .. }))
            .count();
        if working + coming < usize::from(self.config.pool.min_workers)
            && let Some(feed) = self.largest_feed()
        {
            let mut missing = usize::from(self.config.pool.min_workers) - working - coming;
            while missing > 0 && self.spawn_worker(feed, out) {
                missing -= 1;
            }
        }
    }

    /// How many workers a feed should start now.
    fn missing(&self, feed: FeedId) -> u32 {
        let (Some(state), Some(plan)) = (self.feed(feed), self.config.feed(feed)) else { return 0 };
        let hands = self.hands(feed);
        let usable = self.cap(feed).saturating_sub(plan.own_subscriptions).max(1);
        let homeless: u32 = self
            .homeless(feed)
            .iter()
            .filter_map(|key| self.catalog.matches.get(key))
            .map(|a_match| a_match.need.count())
            .sum();
        let list = u32::from(self.list_needs_worker(feed));
        let demand = self.catalog.matches.waiting_topics(feed) + homeless + list;
        let mut needed = demand.saturating_sub(hands.room).div_ceil(usable);
        // Where placing is due, that was found with less room than there is now.
        if needed == 0 && state.blocked && !self.placement.due {
            needed = 1;
        }
        let known = u32::try_from(state.hints.len() * plan.match_topics.len()).unwrap_or(u32::MAX);
        let base = match state.first {
            // What the last run had is the best guess of what the list will need.
            FirstList::Awaited => (known + list).div_ceil(usable).max(1),
            FirstList::Placing | FirstList::Placed => 1,
        };
        needed = needed.max(base.saturating_sub(hands.ready));
        let spare = u32::from(self.config.pool.spare_workers).saturating_sub(hands.idle);
        if needed == 0 && state.first == FirstList::Placed {
            needed = spare.min(1);
        }
        let needed = needed.saturating_sub(hands.coming);
        if state.first == FirstList::Placed {
            // One new at a time; those that died come back all at once.
            let died = self
                .children
                .slots
                .iter()
                .filter(|s| s.feed == Some(feed) && s.life.state == State::Dead)
                .count();
            return needed.min(u32::try_from(died).unwrap_or(0).max(u32::from(hands.coming == 0)));
        }
        needed
    }

    pub(in crate::pool) fn hands(&self, feed: FeedId) -> Hands {
        let mut hands = Hands::default();
        for slot in self.children.slots.iter().filter(|slot| slot.feed == Some(feed)) {
            hands.processes += u32::from(slot.life.has_process());
            hands.ready += u32::from(slot.takes_work());
            // A slot that rests need not be waited for: another may be free.
            let waits = matches!(slot.life.state, State::Backoff { .. })
                && !slot.life.rests(self.now, &self.config.timing);
            hands.coming += u32::from(slot.life.is_starting() || waits);
            hands.idle +=
                u32::from(slot.takes_work() && slot.matches.is_empty() && !self.holds_list(slot.id));
        }
        hands.room = self.offers(feed, None).iter().map(|offer| offer.room).sum();
        hands
    }

    /// The feed with the most slots in use, the first among equals.
    fn largest_feed(&self) -> Option<FeedId> {
        self.feed_ids().max_by_key(|feed| {
            (self.children.slots.iter().filter(|s| s.feed == Some(*feed)).count(), u16::MAX - feed.0)
        })
    }

    /// Starts a worker for the feed, if limits, budgets and free slots allow.
    fn spawn_worker(&mut self, feed: FeedId, out: &mut Vec<Action>) -> bool {
        let Some(plan) = self.config.feed(feed) else { return false };
        let limit = u32::from(plan.connections.most);
        let taken = self.children.slots.iter().filter(|slot| !slot.life.may_spawn(self.now)).count();
        if self.hands(feed).processes >= limit
            || taken >= self.most_workers()
            || self.is_refused(feed)
            || !self.children.breaker.may_spawn(self.now)
        {
            return false;
        }
        let Some(slot) = self.free_slot(feed) else { return false };
        let now = self.now;
        if !self.feed_mut(feed).is_some_and(|feed| feed.budget.take(now)) {
            return false;
        }
        let child = Child::Worker(slot);
        let before = self.slot(slot).map_or(0, |slot| slot.life.restarts);
        self.advance(child, Event::Spawn);
        let Some(place) = self.slot_mut(slot) else { return false };
        place.begin(feed, now);
        let (generation, after) = (place.life.generation, place.life.restarts);
        self.children.restarts += u64::from(after - before);
        self.children.breaker.spawned(slot, generation);
        out.push(Action::SaveState);
        out.push(Action::Spawn { child, generation, feed: Some(feed) });
        true
    }

    /// Processes that there may be now: one more while a worker gives its matches away or leaves for having done so.
    fn most_workers(&self) -> usize {
        let leaving =
            self.children.slots.iter().any(|slot| slot.life.is_draining() || slot.life.is_stopping());
        usize::from(self.config.pool.max_workers) + usize::from(leaving)
    }

    /// A worker of this feed was refused, its configuration or its messages: another start would not change that.
    pub(in crate::pool) fn is_refused(&self, feed: FeedId) -> bool {
        self.children.slots.iter().any(|slot| slot.feed == Some(feed) && slot.life.is_refused())
    }

    /// The slot to start in: one of this feed that is due, else an empty one, else any that is due.
    fn free_slot(&self, feed: FeedId) -> Option<SlotId> {
        self.children
            .slots
            .iter()
            .filter(|slot| slot.life.may_spawn(self.now))
            .min_by_key(|slot| {
                let own = slot.feed == Some(feed);
                let rank = match slot.life.state {
                    State::Dead | State::Backoff { .. } if own => 0,
                    State::Empty => 1,
                    State::Dead | State::Backoff { .. } => 2,
                    State::Parked { .. } if own => 3,
                    State::Parked { .. } => 4,
                    State::Starting { .. }
                    | State::Ready { .. }
                    | State::Draining { .. }
                    | State::Stopping { .. }
                    | State::Dying { .. } => 5,
                };
                (rank, slot.id)
            })
            .map(|slot| slot.id)
    }
}
