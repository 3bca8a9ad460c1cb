//! How many workers each feed has: starting them when work waits. `shrink` retires those that are not needed.

use crate::pool::Pool;
use crate::pool::children::life::State;
use crate::pool::children::slot::Slot;
use crate::pool::feed::FirstList;
use crate::pool::input::Child;
use touchline_common::model::{FeedId, SlotId};

/// A feed's slots by what can be expected of them.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool) struct Hands {
    pub(in crate::pool) ready: u32,
    /// Ready, without a match or a list.
    pub(in crate::pool) idle: u32,
    /// Starting, or back after a back-off that holds up the feed.
    coming: u32,
    /// Subscriptions that the ready ones take more.
    pub(in crate::pool) room: u32,
}

impl Pool {
    pub(in crate::pool) fn scale(&mut self) {
        for feed in self.feeds.ids() {
            let mut missing = self.missing(feed);
            while missing > 0 && self.spawn_worker(feed) {
                missing -= 1;
            }
        }
        let counts = |slot: &&Slot| {
            slot.life.works() || slot.life.is_starting() || matches!(slot.life.state, State::Backoff { .. })
        };
        let there = self.children.slots.iter().filter(counts).count();
        let mut missing = usize::from(self.config.min_workers).saturating_sub(there);
        if missing > 0
            && let Some(feed) = self.largest_feed()
        {
            while missing > 0 && self.spawn_worker(feed) {
                missing -= 1;
            }
        }
    }

    /// How many workers a feed should start now.
    fn missing(&self, feed: FeedId) -> u32 {
        let state = &self.feeds[feed];
        let hands = self.hands(feed);
        let usable = state.usable().max(1);
        let homeless: u32 = self.homeless(feed).iter().map(|(.., topics)| topics).sum();
        let list = u32::from(self.list_needs_worker(feed));
        let demand = self.catalog.matches.waiting_topics(feed) + homeless + list;
        let mut needed = demand.saturating_sub(hands.room).div_ceil(usable);
        // Where placing is due, that was found with less room than there is now.
        if needed == 0 && state.blocked && !self.placement.due {
            needed = 1;
        }
        let known = u32::try_from(state.hints.len() * state.plan.match_topics.len()).unwrap_or(u32::MAX);
        let base = match state.first {
            // What the last run had is the best guess of what the list will need.
            FirstList::Awaited => (known + list).div_ceil(usable).max(1),
            FirstList::Placing | FirstList::Placed => 1,
        };
        needed = needed.max(base.saturating_sub(hands.ready));
        let spare = u32::from(self.config.spare_workers).saturating_sub(hands.idle);
        if needed == 0 && state.first == FirstList::Placed {
            needed = spare.min(1);
        }
        let needed = needed.saturating_sub(hands.coming);
        if state.first == FirstList::Placed {
            // One new at a time; those that died come back all at once.
            let died = self.children.of(feed).filter(|slot| slot.life.state == State::Dead).count();
            return needed.min(u32::try_from(died).unwrap_or(0).max(u32::from(hands.coming == 0)));
        }
        needed
    }

    pub(in crate::pool) fn hands(&self, feed: FeedId) -> Hands {
        let mut hands = Hands::default();
        for slot in self.children.of(feed) {
            hands.ready += u32::from(slot.takes_work());
            // A slot that rests need not be waited for: another may be free.
            let waits =
                matches!(slot.life.state, State::Backoff { .. }) && !slot.life.rests(self.now, &self.timing);
            hands.coming += u32::from(slot.life.is_starting() || waits);
            hands.idle +=
                u32::from(slot.takes_work() && slot.matches.is_empty() && !self.holds_list(slot.id));
        }
        hands.room = self.offers(feed, None).iter().map(|offer| offer.room).sum();
        hands
    }

    /// The feed with the most slots in use, the first among equals.
    fn largest_feed(&self) -> Option<FeedId> {
        self.feeds.ids().max_by_key(|feed| (self.children.of(*feed).count(), u16::MAX - feed.0))
    }

    /// Starts a worker for the feed, if limits, budgets and free slots allow.
    fn spawn_worker(&mut self, feed: FeedId) -> bool {
        let processes = self.children.of(feed).filter(|slot| slot.life.has_process()).count();
        let taken = self.children.slots.iter().filter(|slot| !slot.life.may_spawn(self.now)).count();
        if processes >= usize::from(self.feeds[feed].plan.connections.most)
            || taken >= self.most_workers()
            || self.is_refused(feed)
            || !self.children.breaker.may_spawn(self.now)
        {
            return false;
        }
        let Some(slot) = self.free_slot(feed) else { return false };
        if !self.take_permit(feed) {
            return false;
        }
        let restarts = |pool: &Pool| pool.slot(slot).map_or(0, |slot| slot.life.restarts);
        let before = restarts(self);
        self.start(Child::Worker(slot), Some(feed));
        self.children.restarts += u64::from(restarts(self) - before);
        let Some(place) = self.slot_mut(slot) else { return false };
        place.begin(feed);
        self.children.breaker.spawned(slot);
        true
    }

    /// Processes that there may be now: one more while a worker gives its matches away or leaves for having done so.
    fn most_workers(&self) -> usize {
        usize::from(self.config.max_workers) + usize::from(self.is_any_leaving())
    }

    /// A worker of this feed was refused, its configuration or its messages: another start would not change that.
    pub(in crate::pool) fn is_refused(&self, feed: FeedId) -> bool {
        self.children.of(feed).any(|slot| slot.life.is_refused())
    }

    /// The slot to start in: one of this feed that is due, else an empty one, else any that is due.
    fn free_slot(&self, feed: FeedId) -> Option<SlotId> {
        self.children
            .slots
            .iter()
            .filter(|slot| slot.life.may_spawn(self.now))
            .min_by_key(|slot| {
                let rank = match slot.feed == Some(feed) {
                    _ if slot.life.state == State::Empty => 1,
                    true => 0,
                    false => 2,
                };
                (slot.life.is_parked(), rank, slot.id)
            })
            .map(|slot| slot.id)
    }
}
