//! The invariants, held after every step.

use super::super::*;
use crate::pool::catalog::matches::{Assignment, Need};
use crate::pool::catalog::table::Mark;
use crate::pool::children::life::State;
use std::collections::{BTreeMap, BTreeSet};
use touchline_common::model::{Epoch, MatchKey};

#[derive(Default)]
pub(super) struct Checks {
    pub(super) on_disk: Epoch,
    pub(super) finished: bool,
    /// How often each notice was given: a world without faults would prove nothing.
    pub(super) notices: BTreeMap<&'static str, usize>,
    last_epoch: Epoch,
    open: BTreeMap<RequestId, Duration>,
    /// A worker was started in this step.
    spawned: bool,
    /// For each slot: the state after the last step, and when it was entered.
    before: BTreeMap<SlotId, State>,
    died_at: BTreeMap<SlotId, (Duration, bool)>,
    ready_at: BTreeMap<SlotId, Duration>,
}

impl Checks {
    pub(super) fn asked(&mut self, request: RequestId, deadline: Duration) {
        self.open.insert(request, deadline);
    }

    pub(super) fn answered_in_time(&self, now: Duration) {
        for (request, deadline) in &self.open {
            assert!(*deadline > now, "{request:?} was to be answered by {deadline:?}, it is {now:?}");
        }
    }

    pub(super) fn all_answered(&self) {
        assert!(self.open.is_empty(), "unanswered: {:?}", self.open);
    }

    pub(super) fn after_step(
        &mut self,
        pool: &Pool,
        now: Duration,
        out: &[Action],
        truth: &BTreeSet<MatchKey>,
    ) {
        for action in out {
            if let Action::Log(notice) = action {
                *self.notices.entry(notice.name()).or_default() += 1;
            }
            self.action(now, action, truth);
        }
        places(pool);
        slots(pool);
        if std::mem::take(&mut self.spawned) {
            workers(pool);
        }
        self.remember(pool, now);
    }

    fn action(&mut self, now: Duration, action: &Action, truth: &BTreeSet<MatchKey>) {
        match action {
            Action::ToWorker {
                message: ToWorker::Assign { epoch, .. } | ToWorker::Renew { epoch, .. },
                ..
            } => {
                assert!(*epoch > self.last_epoch, "epoch {epoch} after {}", self.last_epoch);
                assert!(*epoch <= self.on_disk, "epoch {epoch} is not reserved");
                self.last_epoch = *epoch;
            }
            Action::Spawn { child: Child::Worker(slot), .. } => {
                self.spawned = true;
                self.spawn(*slot, now);
            }
            Action::Answer { request, .. } => {
                assert!(self.open.remove(request).is_some(), "{request:?} was answered twice");
            }
            Action::Log(LogEvent::Ended { key, why }) => {
                assert!(!truth.contains(key), "{key:?} ended ({why}) though it is listed");
            }
            Action::Finished => {
                assert!(!self.finished);
                self.finished = true;
            }
            _ => {}
        }
    }

    fn spawn(&mut self, slot: SlotId, now: Duration) {
        match self.before.get(&slot) {
            Some(State::Parked { until }) => {
                assert!(until.is_some_and(|until| now >= until), "parked slot {slot} was started");
            }
            Some(State::Backoff { until }) => {
                assert!(now >= *until, "slot {slot} was started in its back-off");
            }
            _ => {}
        }
        if let Some((at, unhealthy)) = self.died_at.remove(&slot) {
            let least = Duration::from_millis(500);
            assert!(
                !unhealthy || now >= at + least,
                "slot {slot} was started {:?} after its death",
                now - at
            );
        }
    }

    fn remember(&mut self, pool: &Pool, now: Duration) {
        for slot in &pool.children.slots {
            let state = slot.life.state;
            let before = self.before.insert(slot.id, state).unwrap_or(State::Empty);
            if matches!(state, State::Starting { .. }) && before != state {
                self.ready_at.remove(&slot.id);
            }
            if matches!(state, State::Ready) {
                self.ready_at.entry(slot.id).or_insert(now);
            }
            let had =
                !matches!(before, State::Empty | State::Dead | State::Backoff { .. } | State::Parked { .. });
            let asked = matches!(before, State::Stopping { .. });
            if had && !slot.life.has_process() && !asked {
                let healthy =
                    self.ready_at.get(&slot.id).is_some_and(|at| now - *at >= Duration::from_secs(60));
                self.died_at.insert(slot.id, (now, !healthy));
            }
        }
    }
}

/// Each match is in exactly one place, and slots and matches agree about it.
fn places(pool: &Pool) {
    let mut seats: BTreeMap<SlotId, BTreeSet<MatchKey>> = BTreeMap::new();
    let mut waiting = 0;
    let mut quarantined = 0;
    let mut moving = 0;
    for (key, a_match) in pool.catalog.matches.iter() {
        let queued = pool.catalog.matches.waiting_of(key.feed).any(|waiting| waiting == key);
        match &a_match.assignment {
            Assignment::Waiting => {
                assert_eq!(queued, matches!(a_match.need, Need::Topics(_)), "{key:?} is lost");
                waiting += usize::from(queued);
            }
            Assignment::Quarantined => {
                assert!(!queued);
                quarantined += 1;
            }
            Assignment::Assigned { owner, candidate } => {
                assert!(!queued, "{key:?} waits and is placed");
                for seat in std::iter::once(owner).chain(candidate) {
                    let slot = pool.slot(seat.slot).unwrap();
                    assert!(slot.life.has_process(), "{key:?} is at a worker that is gone");
                    assert!(!matches!(slot.life.state, State::Dying { .. }));
                    assert!(
                        seats.entry(seat.slot).or_default().insert(key.clone()),
                        "two seats at one worker"
                    );
                }
                if let Some(candidate) = candidate {
                    assert!(candidate.epoch > owner.epoch);
                    assert!(pool.catalog.matches.marked(Mark::Moving).contains(key));
                    moving += 1;
                }
            }
        }
    }
    let marked = |mark| pool.catalog.matches.marked(mark).len();
    let indexed = (pool.catalog.matches.waiting(), marked(Mark::Quarantined), marked(Mark::Moving));
    assert_eq!((waiting, quarantined, moving), indexed);
    for slot in &pool.children.slots {
        assert_eq!(slot.matches, seats.remove(&slot.id).unwrap_or_default(), "slot {}", slot.id);
    }
}

/// No slot is over its cap, no feed over its connections.
fn slots(pool: &Pool) {
    for feed in pool.feeds.ids() {
        let plan = &pool.feeds[feed].plan;
        let of_feed =
            pool.children.slots.iter().filter(|slot| slot.feed == Some(feed) && slot.life.has_process());
        let mut processes = 0;
        for slot in of_feed {
            processes += 1;
            let load = slot.load(plan.own_subscriptions);
            assert!(load <= plan.cap, "slot {} has {load}", slot.id);
        }
        assert!(processes <= plan.connections.most);
    }
}

/// No worker is started beyond `max_workers`, but for one while another gives its matches away.
fn workers(pool: &Pool) {
    let there = pool.children.slots.iter().filter(|slot| slot.life.has_process());
    let leaving = there.clone().filter(|slot| slot.life.is_draining() || slot.life.is_stopping()).count();
    let most = usize::from(pool.config.max_workers) + usize::from(leaving > 0);
    assert!(there.clone().count() <= most, "{} workers, {leaving} of them leave", there.count());
}
