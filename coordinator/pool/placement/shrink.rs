//! Retiring workers that are not needed: idle ones, underused ones, and those beyond `max_workers`.
//!
//! Retiring is draining: nothing is lost by it, and it is done only where the others have room for everything. One at a
//! time, and slowly (`idle_after`, `retire_every`), so that churn does not start and retire workers in turn.

use crate::pool::Pool;
use crate::pool::catalog::table::Mark;
use crate::pool::children::life::Event;
use crate::pool::input::Child;
use crate::pool::log_event::LogEvent;
use crate::pool::placement::choose::Reluctance;
use std::time::Duration;
use touchline_common::model::{FeedId, SlotId};

/// What stays after an underused worker is retired must not be fuller than this, in hundredths.
const FULL_ENOUGH: u32 = 60;

const IDLE: &str = "it was idle";
const UNDERUSED: &str = "the others have room for its matches";
const TOO_MANY: &str = "there are more workers than max_workers";

impl Pool {
    /// Retires a worker that is not needed.
    pub(in crate::pool) fn tick_shrink(&mut self) {
        self.look_for_idle();
        if self.stopping.is_some() || self.is_any_leaving() {
            return;
        }
        let rests = self.now < self.placement.retire_after;
        let beyond = self.beyond_max().map(|worker| (worker, TOO_MANY));
        if let Some((worker, why)) = beyond.or_else(|| self.not_needed().filter(|_| !rests)) {
            self.retire(worker, why);
        }
    }

    fn look_for_idle(&mut self) {
        let now = self.now;
        let listed: Vec<SlotId> = self.feeds.iter().filter_map(|feed| feed.holder).collect();
        for slot in &mut self.children.slots {
            let idle = slot.life.is_ready() && slot.matches.is_empty() && !listed.contains(&slot.id);
            slot.idle_since = idle.then(|| slot.idle_since.unwrap_or(now));
        }
        for feed in self.feeds.ids() {
            let loose = self.config.rebalance && self.least_used(feed).is_some();
            let since = &mut self.feeds[feed].loose_since;
            *since = loose.then(|| since.unwrap_or(now));
        }
    }

    /// Who is retired next without being beyond `max_workers`, and why.
    pub(in crate::pool) fn not_needed(&self) -> Option<(SlotId, &'static str)> {
        let ready = self.children.slots.iter().filter(|slot| slot.life.is_ready()).count();
        if ready <= usize::from(self.config.min_workers) {
            return None;
        }
        let idle = self.feeds.ids().find_map(|feed| Some((self.idle(feed)?, IDLE)));
        idle.or_else(|| self.feeds.ids().find_map(|feed| Some((self.underused(feed)?, UNDERUSED))))
    }

    pub(super) fn is_any_leaving(&self) -> bool {
        self.children.slots.iter().any(|slot| slot.life.is_draining() || slot.life.is_stopping())
    }

    fn retire(&mut self, worker: SlotId, why: &'static str) {
        self.placement.retire_after = self.now + self.timing.placement.retire_every;
        if let Some(feed) = self.slot(worker).and_then(|slot| slot.feed) {
            self.feeds[feed].loose_since = None;
        }
        self.begin_drain(worker, why);
    }

    pub(in crate::pool) fn begin_drain(&mut self, worker: SlotId, why: &'static str) {
        self.advance(Child::Worker(worker), Event::Drain);
        self.placement.due = true;
        let matches = self.slot(worker).map_or(0, |slot| slot.matches.len());
        self.out.log(LogEvent::Draining { worker, why, matches });
        // What is on its way here would have to move again at once.
        self.drop_candidates(|_, to| to == worker);
        // No worker follows these: there is no gap to avoid, and a second seat would wait in vain for a load.
        for key in self.catalog.matches.marked(Mark::Removed).clone() {
            if self.owner_slot(&key) == Some(worker) {
                self.unassign(&key);
            }
        }
    }

    fn idle(&self, feed: FeedId) -> Option<SlotId> {
        let hands = self.hands(feed);
        if self.catalog.matches.waiting_topics(feed) > 0
            || hands.ready <= 1
            || hands.idle <= u32::from(self.config.spare_workers)
        {
            return None;
        }
        // What stays must keep a fifth of its places free, or the next match would start a worker again.
        let usable = self.feeds[feed].usable();
        if hands.room.saturating_sub(usable) * 5 < usable * (hands.ready - 1) {
            return None;
        }
        let is_long = |since: Duration| self.now >= since + self.timing.placement.idle_after;
        self.children.of(feed).filter(|slot| slot.idle_since.is_some_and(is_long)).last().map(|slot| slot.id)
    }

    fn underused(&self, feed: FeedId) -> Option<SlotId> {
        let since = self.feeds[feed].loose_since?;
        (self.now >= since + self.timing.placement.idle_after).then(|| self.least_used(feed))?
    }

    /// The worker whose matches fit elsewhere with much room to spare: the least loaded one, the last among equals.
    fn least_used(&self, feed: FeedId) -> Option<SlotId> {
        if !self.feeds[feed].may_overlap() || !self.is_steady(feed) {
            return None;
        }
        let working =
            self.offers(feed, None).into_iter().filter(|offer| offer.reluctance == Reluctance::None);
        let working: Vec<_> = working.collect();
        let stay = u32::try_from(working.len()).ok()?.checked_sub(1).filter(|stay| *stay > 0)?;
        let (usable, own) = (self.feeds[feed].usable(), self.feeds[feed].plan.own_subscriptions);
        let held: u32 = working.iter().map(|offer| offer.load.saturating_sub(own)).sum();
        if held.saturating_mul(100) > usable.saturating_mul(stay).saturating_mul(FULL_ENOUGH) {
            return None;
        }
        working.iter().rev().min_by_key(|offer| offer.load).map(|offer| offer.slot)
    }

    /// The least loaded worker, while there are more than `max_workers` and the others have room for its matches.
    fn beyond_max(&self) -> Option<SlotId> {
        if self.children.with_process().count() <= usize::from(self.config.max_workers) {
            return None;
        }
        let fits = |feed: FeedId| {
            let offers = self.offers(feed, None);
            let own = self.feeds[feed].plan.own_subscriptions;
            let least = offers.iter().rev().min_by_key(|offer| offer.load)?;
            let room: u32 = offers.iter().filter(|o| o.slot != least.slot).map(|o| o.room).sum();
            let held = least.load.saturating_sub(own);
            (offers.len() > 1 && held <= room && self.feeds[feed].may_overlap()).then_some((held, least.slot))
        };
        self.feeds.ids().filter_map(fits).min_by_key(|(held, _)| *held).map(|(_, slot)| slot)
    }
}
