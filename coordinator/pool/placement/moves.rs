//! Moves that an operator asks for: one match, a rebalance, another number of workers; and the automatic rebalance.
//!
//! Invariant: a match keeps its owner until the recorder has adopted the second seat; where a move fails nothing has
//! changed. Only a feed that allows no second subscription releases first, and the plan shows that beforehand.

use crate::pool::catalog::matches::{Assignment, Cause, Match, Seat};
use crate::pool::catalog::table::Mark;
use crate::pool::children::slot::Slot;
use crate::pool::feed::{Feed, FirstList};
use crate::pool::log_event::LogEvent;
use crate::pool::placement::balance::{self, Share, Transfer};
use crate::pool::placement::choose::Reluctance;
use crate::pool::{Answer, Pool, WORKERS_MAX};
use touchline_common::control::views::{DrainView, MoveView, PlanView, SpreadView, counted};
use touchline_common::model::{FeedId, Generation, MatchKey, SlotId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Trigger {
    Operator,
    /// The configuration: young workers are left alone, and so are feeds where a move makes a gap.
    Automatic,
}

impl Pool {
    /// Empties a worker. It is ended when it has nothing left.
    pub(in crate::pool) fn drain(&mut self, slot: SlotId) -> Result<Generation, String> {
        let there = self.slot(slot).ok_or_else(|| format!("no worker {slot}: see `workers`"))?;
        if !there.life.works() {
            return Err(format!("cannot drain worker {slot}: {}", not_ready(there)));
        }
        let generation = there.life.generation;
        if !there.life.is_draining() {
            self.begin_drain(slot, "an operator asked for it");
        }
        Ok(generation)
    }

    pub(in crate::pool) fn move_match(&mut self, key: &MatchKey, to: SlotId) -> Result<Generation, String> {
        let generation = self.may_move(key, to)?;
        if self.catalog.matches.marked(Mark::Moving).contains(key) {
            return Err(format!("match {} is already being moved", key.id));
        }
        self.begin_move(key, to)?;
        Ok(generation)
    }

    fn may_move(&self, key: &MatchKey, to: SlotId) -> Result<Generation, String> {
        let a_match = self
            .catalog
            .matches
            .get(key)
            .ok_or_else(|| format!("match {} is not listed: see `matches`", key.id))?;
        let Assignment::Assigned { owner, .. } = &a_match.assignment else {
            return Err(format!("match {} has no worker: see `matches --state waiting`", key.id));
        };
        let target = self.slot(to).ok_or_else(|| format!("no worker {to}: see `workers`"))?;
        if owner.slot == to {
            return Err(format!("match {} is already at worker {to}", key.id));
        }
        if !target.takes_work() {
            return Err(format!("cannot move to worker {to}: {}", not_ready(target)));
        }
        if target.feed != Some(key.feed) {
            return Err(format!(
                "cannot move to worker {to}: it follows another feed than {}",
                self.feed_name(key.feed)
            ));
        }
        let Feed { plan, cap, .. } = &self.feeds[key.feed];
        let (load, cap) = (target.load(plan.own_subscriptions), cap.learner.cap_of(to));
        let topics = a_match.need.count();
        if load.saturating_add(topics) > cap {
            return Err(format!(
                "worker {to} has no room: {load} of {cap} subscriptions are taken, match {} needs {topics}",
                key.id
            ));
        }
        Ok(target.life.generation)
    }

    /// The second seat; the rest is as with any candidate.
    fn begin_move(&mut self, key: &MatchKey, to: SlotId) -> Result<(), String> {
        if !self.feeds[key.feed].may_overlap() {
            let from = self.owner_slot(key);
            self.release_for(key, to);
            if let Some(mut a_match) = self.catalog.matches.edit(key) {
                a_match.wait.moved_from = from;
            }
            return Ok(());
        }
        let begun = self.give_candidate(key, to, Cause::Planned);
        begun.then_some(()).ok_or_else(|| "no epoch available: try again in a second".to_owned())
    }

    /// Break before make: the match waits for `to` until its worker has release.
    pub(in crate::pool) fn release_for(&mut self, key: &MatchKey, to: SlotId) {
        self.unassign(key);
        if let Some(mut a_match) = self.catalog.matches.edit(key) {
            a_match.wait.hint = Some(to);
            a_match.moved_at = Some(self.now);
        }
    }

    /// What became of a move that was begun; `None` while it goes on.
    pub(in crate::pool) fn move_status(
        &self,
        key: &MatchKey,
        to: SlotId,
        generation: Generation,
    ) -> Option<Answer> {
        let Some(a_match) = self.catalog.matches.get(key) else {
            return Some(Answer::failed(format!("match {} has ended in the meantime", key.id)));
        };
        let lives = self.slot(to).is_some_and(|slot| slot.life.is(generation));
        match &a_match.assignment {
            Assignment::Assigned { owner, .. } if lives && owner.slot == to => {
                // Where its former worker release first, it is there only when it is followed again.
                let done = self.feeds[key.feed].may_overlap() || owner.has_load();
                let message = format!("match {} is at worker {to}, epoch {}", key.id, owner.epoch);
                done.then_some(Answer::Done { message })
            }
            Assignment::Assigned { candidate: Some(seat), .. } if lives && seat.slot == to => None,
            Assignment::Waiting if !self.feeds[key.feed].may_overlap() => None,
            Assignment::Assigned { owner, .. } => Some(Answer::failed(format!(
                "match {} stays at worker {}: worker {to} did not take it over; see the log",
                key.id, owner.slot
            ))),
            Assignment::Waiting | Assignment::Quarantined => {
                Some(Answer::failed(format!("match {} has lost its worker: see `matches`", key.id)))
            }
        }
    }

    /// Moves what makes the workers uneven, some at a time.
    pub(in crate::pool) fn tick_balance(&mut self) {
        let asked = self.is_rebalance_asked();
        if self.stopping.is_some()
            || !(asked || self.config.rebalance)
            || !self.children.recorder.life.is_ready()
            // A match on its way counts at both workers: planning with that would move too many.
            || !self.catalog.matches.marked(Mark::Moving).is_empty()
            || self.now < self.placement.rebalanced_at + self.timing.placement.rebalance_every
        {
            return;
        }
        self.placement.rebalanced_at = self.now;
        self.balance(if asked { Trigger::Operator } else { Trigger::Automatic });
    }

    /// Begins at most `rebalance_moves` moves over all feeds.
    pub(in crate::pool) fn balance(&mut self, trigger: Trigger) {
        let mut left = self.timing.placement.rebalance_moves;
        for feed in self.feeds.ids() {
            for transfer in self.planned_transfers(feed, trigger, left) {
                // Each move takes room; a refused one is planned anew.
                if self.may_move(&transfer.key, transfer.to).is_ok()
                    && self.begin_move(&transfer.key, transfer.to).is_ok()
                {
                    left = left.saturating_sub(1);
                }
            }
        }
    }

    /// Whether nothing is left to move, or what is left.
    pub(in crate::pool) fn balance_status(&self) -> Result<String, String> {
        let plan = self.rebalance_plan();
        let spreads: Vec<String> = plan
            .feeds
            .iter()
            .map(|of| format!("{}: {} to {} subscriptions per worker", of.feed, of.least, of.most))
            .collect();
        let spreads = if spreads.is_empty() {
            "no feed has two or more stable workers".to_owned()
        } else {
            spreads.join("; ")
        };
        match (plan.moves.len(), self.catalog.matches.marked(Mark::Moving).len()) {
            (0, 0) => Ok(format!("workers are even; {spreads}")),
            (planned, moving) => Err(format!(
                "{}, {moving} in progress; {spreads}",
                counted(planned, "pending move", "pending moves")
            )),
        }
    }

    /// What `rebalance` would do now, and which worker would be retired next.
    pub fn rebalance_plan(&self) -> PlanView {
        let mut plan = PlanView::default();
        for feed in self.feeds.ids() {
            let name = self.feed_name(feed);
            let gap = !self.feeds[feed].may_overlap();
            if let Some(spread) = balance::spread(&self.shares(feed, Trigger::Operator)) {
                plan.feeds.push(SpreadView {
                    feed: name.clone(),
                    most: spread.most,
                    least: spread.least,
                    mean: spread.mean,
                });
            }
            plan.moves.extend(self.planned_transfers(feed, Trigger::Operator, usize::MAX).into_iter().map(
                |transfer| MoveView {
                    id: transfer.key.id.as_str().to_owned(),
                    feed: name.clone(),
                    from: transfer.from.0,
                    to: transfer.to.0,
                    subscriptions: transfer.topics,
                    gap,
                },
            ));
        }
        let retired = self.not_needed().map(|(slot, why)| DrainView { worker: slot.0, why: why.into() });
        plan.drains.extend(retired);
        plan
    }

    fn planned_transfers(&self, feed: FeedId, trigger: Trigger, limit: usize) -> Vec<Transfer> {
        if trigger == Trigger::Automatic && !self.feeds[feed].may_overlap() {
            return Vec::new();
        }
        balance::plan(self.shares(feed, trigger), limit)
    }

    /// The feed's workers as a rebalance sees them; none while it is about to change by itself.
    fn shares(&self, feed: FeedId, trigger: Trigger) -> Vec<Share> {
        if !self.is_steady(feed) {
            return Vec::new();
        }
        let rest = self.timing.placement.moved_rest;
        let offers = self.offers(feed, None).into_iter();
        offers
            .filter(|offer| offer.reluctance == Reluctance::None)
            .filter_map(|offer| {
                let slot = self.slot(offer.slot)?;
                let young = self.now.saturating_sub(slot.life.process.spawned_at) < rest;
                let movable = slot.matches.iter().filter_map(|key| {
                    let a_match = self.catalog.matches.get(key)?;
                    self.is_movable(a_match, offer.slot).then(|| (key.clone(), a_match.need.count()))
                });
                (trigger == Trigger::Operator || !young).then(|| Share {
                    slot: offer.slot,
                    load: offer.load,
                    room: offer.room,
                    movable: movable.collect(),
                })
            })
            .collect()
    }

    /// Its list is placed, nothing waits, and no worker comes or goes.
    pub(super) fn is_steady(&self, feed: FeedId) -> bool {
        self.feeds[feed].first == FirstList::Placed
            && self.catalog.matches.waiting_topics(feed) == 0
            && self.children.of(feed).all(|slot| !slot.life.has_process() || slot.takes_work())
    }

    pub(in crate::pool) fn is_movable(&self, a_match: &Match, slot: SlotId) -> bool {
        let rested =
            a_match.moved_at.is_none_or(|at| self.now >= at.saturating_add(self.timing.placement.moved_rest));
        let here = a_match.owner().is_some_and(|owner| owner.slot == slot && owner.has_load());
        rested && here && a_match.candidate().is_none() && a_match.delisted.is_none()
    }

    /// Another number of workers, from now on until the next start.
    pub(in crate::pool) fn scale_to(&mut self, min: Option<u16>, max: Option<u16>) -> Answer {
        let (min, max) = (min.unwrap_or(self.config.min_workers), max.unwrap_or(self.config.max_workers));
        if max == 0 || max > WORKERS_MAX || min > max {
            let expected = format!("expected min <= max, and max from 1 to {WORKERS_MAX}");
            return Answer::failed(format!("min {min} and max {max}: {expected}"));
        }
        self.config.min_workers = min;
        self.config.max_workers = max;
        self.config.spare_workers = self.config.spare_workers.min(max);
        self.children.make_slots(max + 1);
        self.placement.due = true;
        let processes = self.children.with_process().count();
        let beyond = processes.saturating_sub(usize::from(max));
        let more = match beyond {
            0 => String::new(),
            _ => format!("; draining {beyond} of {processes} as capacity allows"),
        };
        Answer::Done { message: format!("workers: {min} to {max}{more}") }
    }

    /// What a worker that is being drained still has; `None` when it has nothing, or is gone.
    pub(in crate::pool) fn left_at(&self, slot: SlotId, generation: Generation) -> Option<String> {
        const NAMED: usize = 5;
        let there = self.slot(slot).filter(|slot| slot.life.is(generation) && !slot.life.is_stopping())?;
        let names: Vec<&str> = there.matches.iter().take(NAMED).map(|key| key.id.as_str()).collect();
        let more = if there.matches.len() > NAMED { ", …" } else { "" };
        let list = if self.holds_list(slot) { ", the list" } else { "" };
        Some(format!(
            "worker {slot} still has {}{list} ({}{more}); the drain continues, see `workers`",
            counted(there.matches.len(), "match", "matches"),
            names.join(", ")
        ))
    }

    /// A second seat at `to` for a match that has a worker; whether there was an epoch for it.
    pub(in crate::pool) fn give_candidate(&mut self, key: &MatchKey, to: SlotId, cause: Cause) -> bool {
        let Some(seat) = self.seat(key, to).map(|seat| Seat { cause, ..seat }) else { return false };
        let epoch = seat.epoch;
        if let Some(mut a_match) = self.catalog.matches.edit(key)
            && let Assignment::Assigned { owner, candidate } = &mut a_match.assignment
        {
            *candidate = Some(seat);
            self.out.log(LogEvent::Moving { key: key.clone(), worker: owner.slot, to, epoch });
        }
        true
    }
}

/// Why a worker that is not ready is refused.
fn not_ready(slot: &Slot) -> String {
    match slot.life.state.as_str() {
        "empty" | "dead" => "not running".to_owned(),
        state => format!("it is {state}"),
    }
}
