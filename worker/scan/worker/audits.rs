//! Audits: a match is subscribed again, and its fresh load is compared with what is held of it.
//!
//! The coordinator asks for it, to know whether a connection is served in full; an operator does (`resync`); or the worker does it by
//! itself, each `reconcile_every`, and where the rate of a match fell far below its past while others go on. In any case the coordinator gets
//! the finding. The load is applied as any other, so what was missing is true from then on. Under strategy `dumps` nothing is held that
//! could be compared.

use super::Worker;
use crate::payload::{MatchSlot, Received, TreeError, Trees};
use crate::raw::Mark;
use crate::scan::audit::{Audits, Closed};
use crate::scan::match_table::Followed;
use crate::scan::rate::Together;
use crate::scan::reporter::Reporter;
use std::time::Instant;
use touchline_common::ipc::messages::worker::{Finding, FromWorker, MatchState};
use touchline_common::model::MatchId;

impl Worker {
    /// The coordinator wants to know whether a match misses deltas; it gets an answer in any case.
    pub(super) fn audit_asked(&mut self, id: &MatchId) {
        let Some(slot) = self.matches.slot(id) else { return };
        if !self.audit(slot) {
            self.send_audited(slot, Finding::Void);
        }
    }

    /// A match is to be compared with a fresh load; what holds nothing yet just takes one.
    pub(super) fn resync(&mut self, id: &MatchId) {
        let Some(slot) = self.matches.slot(id) else { return };
        if !self.audit(slot) {
            self.renew_subscription(slot);
        }
    }

    fn audit(&mut self, slot: MatchSlot) -> bool {
        let now = Instant::now();
        if self.window.is_some() || !self.source.is_connected() {
            return false;
        }
        let Some(followed) = self.matches.get_mut(slot).filter(|followed| is_held(followed)) else {
            return false;
        };
        followed.compared_at = now;
        let id = followed.key.id.clone();
        if self.audits.begin(slot, &followed.topics, now) {
            self.record_mark(|| Mark::Audited { id });
            // It is no more than the connection held before: should that break now, a cap is not the reason.
            let asked_at = self.meter.asked_at;
            self.renew_subscription(slot);
            self.meter.asked_at = asked_at;
        }
        true
    }

    /// Once a second: matches whose newest load is older than `reconcile_every` are audited, the oldest first, and no more at once than it
    /// takes to get round all of them in that time.
    pub(super) fn reconcile(&mut self, now: Instant) {
        let every = self.parts.reconcile_every;
        if every.is_zero() || self.window.is_some() || !self.source.is_connected() {
            return;
        }
        let due = |(slot, followed): (MatchSlot, &Followed)| {
            let age = now.saturating_duration_since(followed.compared_at);
            (age >= every && is_held(followed)).then_some((followed.compared_at, slot))
        };
        let mut due: Vec<(Instant, MatchSlot)> = self.matches.iter().filter_map(due).collect();
        due.sort_unstable();
        let seconds = usize::try_from(every.as_secs()).unwrap_or(usize::MAX).max(1);
        for (_, slot) in due.into_iter().take(self.matches.len().div_ceil(seconds)) {
            self.audit(slot);
        }
    }

    pub(super) fn close_audits(&mut self) {
        while let Some(closed) = self.audits.complete(|slot| self.parts.trees.is_settling(slot)) {
            self.audited(&closed);
        }
    }

    pub(super) fn drop_audit(&mut self, slot: MatchSlot) {
        if let Some(closed) = self.audits.removed(slot) {
            self.audited(&closed);
        }
    }

    /// The connection is lost: what a load on the next one differs in was lost with it.
    pub(super) fn forget_loads(&mut self) {
        while let Some(closed) = self.audits.lost() {
            self.audited(&closed);
        }
        for slot in self.matches.slots() {
            if let Some(followed) = self.matches.get_mut(slot) {
                followed.loaded = None;
                followed.rate.begin(followed.deltas);
            }
        }
    }

    /// Once a second: matches that have fallen far below their own past are audited, and audits that last too long given up.
    pub(super) fn look_at_rates(&mut self, now: Instant) {
        while let Some(closed) = self.audits.late(now) {
            self.audited(&closed);
        }
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.meter.rates_at, now));
        if self.window.is_some() || !self.source.is_connected() {
            return;
        }
        let mut together = Together::default();
        for slot in self.matches.slots() {
            if let Some(followed) = self.matches.get_mut(slot).filter(|followed| is_held(followed)) {
                followed.rate.look(followed.deltas, passed);
                together.add(&followed.rate);
            }
        }
        for slot in self.matches.slots() {
            let fallen = self.matches.get(slot).is_some_and(|followed| followed.rate.has_fallen(&together));
            if fallen && self.audit(slot) {
                self.matches.get_mut(slot).into_iter().for_each(|followed| followed.rate.audited());
            }
        }
    }

    fn audited(&mut self, closed: &Closed) {
        let Some(followed) = self.matches.get(closed.slot) else { return };
        if let Finding::Missed { nodes } = closed.finding {
            let (id, deltas, path) = (followed.key.id.as_str(), closed.deltas, closed.first.as_str());
            log::warn!(match_id = id, nodes = nodes, deltas = deltas, path = path; "match.missed");
        }
        self.send_audited(closed.slot, closed.finding);
    }

    fn send_audited(&mut self, slot: MatchSlot, finding: Finding) {
        let Some(followed) = self.matches.get(slot) else { return };
        let (id, epoch) = (followed.key.id.clone(), followed.epoch);
        self.send(&FromWorker::Audited { id, epoch, finding });
    }
}

fn is_held(followed: &Followed) -> bool {
    match followed.state {
        MatchState::Live | MatchState::Stale => true,
        MatchState::Subscribing | MatchState::Removed | MatchState::Refused => false,
    }
}

/// Takes a load; where an audit waits for it, what it differs in is noted first.
pub(super) fn load(
    trees: &mut Trees,
    audits: &mut Audits,
    topic: &[u8],
    body: &[u8],
    received: Received,
    reporter: &mut Reporter<'_>,
) -> Result<(), TreeError> {
    let Some(slot) = trees.owner(topic) else { return trees.load(topic, body, received, reporter) };
    let since_load = reporter.matches.get(slot).and_then(|held| held.deltas.checked_sub(held.loaded?));
    let loaded = if audits.awaits(slot) {
        let audited = trees.audit(topic, body, received, reporter);
        audited.map(|differing| {
            let subscription = trees.subscription(topic).unwrap_or(topic);
            audits.loaded(slot, subscription, differing, since_load);
        })
    } else {
        trees.load(topic, body, received, reporter)
    };
    if let Some(followed) = reporter.matches.get_mut(slot).filter(|_| loaded.is_ok()) {
        followed.loaded = Some(followed.deltas);
        followed.compared_at = reporter.now;
    }
    loaded
}
