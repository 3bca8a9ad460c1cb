//! What follows a loss: how a death or a lost connection is told once, when what was followed is followed again.
//!
//! A death is one line of the log, and so is a connection that is back (its loss is the worker's line). Each says what followed, so it is
//! written when nothing is missing any more, at the latest after `Timing::told_after`, with what still is. A death that cost nothing
//! is told at once. Invariant: one outage a slot; of the deaths that wait one for each match that they cost, or the recorder. Called
//! by `reports`, `processes` and `recorder` with what happens, by the pool's step to tell.

use crate::pool::input::{Child, ServiceKind};
use crate::pool::log_event::LogEvent;
use crate::pool::operate::Stopping;
use crate::pool::{Pool, millis};
use std::collections::BTreeSet;
use std::time::Duration;
use touchline_common::ipc::messages::worker::ConnectionState;
use touchline_common::model::{Generation, MatchId, MatchKey, SlotId};

/// A connection that comes and goes is told to be back at most this often.
const BACK_EVERY: Duration = Duration::from_secs(5);

/// Matches that were followed when something was lost.
#[derive(Debug)]
pub(in crate::pool) struct Missing {
    since: Duration,
    total: usize,
    /// Those that are not followed again.
    open: BTreeSet<MatchKey>,
    /// When the last of them was, or whatever else is waited for had come.
    whole_at: Option<Duration>,
}

impl Missing {
    fn of_matches(since: Duration, open: BTreeSet<MatchKey>) -> Missing {
        let whole_at = open.is_empty().then_some(since);
        Missing { since, total: open.len(), open, whole_at }
    }

    /// No match is, but the child itself.
    fn of_child(since: Duration) -> Missing {
        Missing { since, total: 0, open: BTreeSet::new(), whole_at: None }
    }

    pub(in crate::pool) fn found(&mut self, key: &MatchKey, now: Duration) {
        if self.open.remove(key) && self.open.is_empty() {
            self.whole_at = Some(now);
        }
    }
}

/// A connection that was lost.
#[derive(Debug)]
pub(in crate::pool) struct Outage {
    pub(in crate::pool) missing: Missing,
    /// When it came up again, if it is up.
    up_at: Option<Duration>,
}

/// A child that died, and whom nobody has replaced in full.
#[derive(Debug)]
pub(in crate::pool) struct Fallen {
    child: Child,
    generation: Generation,
    missing: Missing,
    /// Once its process has ended: what it had is given away before that.
    how: Option<Died>,
}

/// How it died, as it is logged.
#[derive(Clone, Debug)]
pub(in crate::pool) struct Died {
    pub(in crate::pool) generation: Generation,
    pub(in crate::pool) why: String,
    pub(in crate::pool) matches: usize,
    pub(in crate::pool) at: Option<MatchId>,
    pub(in crate::pool) retry_ms: Option<u64>,
}

impl Died {
    fn line(self, child: Child, recovered: Option<Duration>) -> LogEvent {
        let Died { generation, why, matches, at, retry_ms } = self;
        let recovered_ms = recovered.map(millis);
        LogEvent::Died { child, generation, why, matches, at, retry_ms, recovered_ms }
    }

    fn line_for_good(self, child: Child, missing: usize) -> LogEvent {
        let Died { generation, why, matches, at, retry_ms } = self;
        LogEvent::DiedForGood { child, generation, why, matches, at, retry_ms, missing }
    }
}

impl Fallen {
    /// The line of it, once it is known what followed, or nobody waits for that any more.
    fn line(&self, now: Duration, told_after: Duration, stopping: Option<Stopping>) -> Option<LogEvent> {
        let how = self.how.clone()?;
        let Missing { since, whole_at, open, .. } = &self.missing;
        match whole_at {
            Some(at) => Some(how.line(self.child, Some(at.saturating_sub(*since)))),
            None if stopping.is_some() => Some(how.line(self.child, None)),
            None if now >= *since + told_after => Some(how.line_for_good(self.child, open.len())),
            None => None,
        }
    }
}

impl Pool {
    /// A worker is given up on, with these matches.
    pub(super) fn miss(&mut self, slot: SlotId, lost: &[MatchKey]) {
        let followed = self.followed_of(slot, lost);
        let now = self.now;
        let Some(place) = self.slot_mut(slot) else { return };
        // The death tells it.
        place.upstream.outage = None;
        let generation = place.life.generation;
        if !followed.is_empty() {
            let missing = Missing::of_matches(now, followed);
            self.children.fallen.push(Fallen { child: Child::Worker(slot), generation, missing, how: None });
        }
    }

    /// Those of a worker's matches that it followed.
    fn followed_of<'k>(
        &self,
        slot: SlotId,
        keys: impl IntoIterator<Item = &'k MatchKey>,
    ) -> BTreeSet<MatchKey> {
        let is_followed = |key: &&MatchKey| {
            let a_match = self.catalog.matches.get(key).filter(|of| of.removed.is_none());
            let owner = a_match.and_then(|a_match| a_match.owner());
            owner.is_some_and(|owner| owner.slot == slot && owner.had_load)
        };
        keys.into_iter().filter(is_followed).cloned().collect()
    }

    /// A child died: told at once where nothing is to follow, or where the death before it waits for the same.
    pub(super) fn died(&mut self, child: Child, how: Died) {
        let (now, generation) = (self.now, how.generation);
        let fallen = &mut self.children.fallen;
        if let Some(open) = fallen.iter_mut().find(|of| of.child == child && of.generation == generation) {
            open.how = Some(how);
            return;
        }
        let waits = fallen.iter().any(|of| of.child == child);
        match child {
            Child::Service(_) if !waits => {
                fallen.push(Fallen { child, generation, missing: Missing::of_child(now), how: Some(how) });
            }
            Child::Service(_) | Child::Worker(_) => self.out.log(how.line(child, None)),
        }
    }

    /// It left: that is no death.
    pub(super) fn forget_fallen(&mut self, child: Child, generation: Generation) {
        self.children.fallen.retain(|of| of.child != child || of.generation != generation);
    }

    pub(super) fn service_is_back(&mut self, kind: ServiceKind) {
        let now = self.now;
        for of in self.children.fallen.iter_mut().filter(|of| of.child == Child::Service(kind)) {
            of.missing.whole_at.get_or_insert(now);
        }
    }

    /// A match's owner holds a load.
    pub(super) fn followed_again(&mut self, key: &MatchKey, slot: SlotId) {
        self.followed_no_more(key);
        let now = self.now;
        if let Some(place) = self.slot_mut(slot) {
            place.upstream.forget(key, now);
        }
        self.tell_outage(slot);
    }

    /// No death waits for this match any more, be it followed or over.
    pub(in crate::pool) fn followed_no_more(&mut self, key: &MatchKey) {
        for fallen in &mut self.children.fallen {
            fallen.missing.found(key, self.now);
        }
    }

    /// The deaths of which it is known by now what followed.
    pub(in crate::pool) fn tell_deaths(&mut self) {
        for fallen in std::mem::take(&mut self.children.fallen) {
            match fallen.line(self.now, self.timing.told_after, self.stopping) {
                Some(line) => self.out.log(line),
                None => self.children.fallen.push(fallen),
            }
        }
    }

    /// A worker's connection is lost or up.
    pub(super) fn connection_changed(&mut self, slot: SlotId, state: ConnectionState) {
        let now = self.now;
        match state {
            ConnectionState::Connecting => {}
            ConnectionState::Down => {
                let keys = self.slot(slot).into_iter().flat_map(|place| &place.matches);
                let followed = self.followed_of(slot, keys);
                let Some(place) = self.slot_mut(slot) else { return };
                let outage = place.upstream.outage.get_or_insert_with(|| Outage {
                    missing: Missing::of_matches(now, followed),
                    up_at: None,
                });
                outage.up_at = None;
            }
            ConnectionState::Up => {
                let place = self.slot_mut(slot);
                if let Some(outage) = place.and_then(|place| place.upstream.outage.as_mut()) {
                    outage.up_at.get_or_insert(now);
                }
                self.tell_outage(slot);
            }
        }
    }

    pub(in crate::pool) fn tick_outages(&mut self) {
        let open = self.children.slots.iter().filter(|slot| slot.upstream.outage.is_some());
        let open: Vec<SlotId> = open.map(|slot| slot.id).collect();
        open.into_iter().for_each(|slot| self.tell_outage(slot));
    }

    fn tell_outage(&mut self, worker: SlotId) {
        let (now, told_after) = (self.now, self.timing.told_after);
        let Some(place) = self.slot_mut(worker) else { return };
        let (Some(feed), Some(outage)) = (place.feed, &place.upstream.outage) else { return };
        let Some(up_at) = outage.up_at else { return };
        let Missing { since, total: matches, open, whole_at } = &outage.missing;
        let matches = *matches;
        let line = match whole_at {
            Some(at) => {
                let gap_ms = millis(up_at.max(*at).saturating_sub(*since));
                LogEvent::ConnectionBack { worker, feed, matches, gap_ms }
            }
            None if now >= up_at + told_after => {
                LogEvent::ConnectionBackInPart { worker, feed, matches, missing: open.len() }
            }
            None => return,
        };
        place.upstream.outage = None;
        if place.upstream.back_told.is_none_or(|at| now >= at + BACK_EVERY) {
            place.upstream.back_told = Some(now);
            self.out.log(line);
        }
    }
}
