//! What the server of a feed grants one connection, and how that is learned.
//!
//! `learner` knows the cap by refusals and missing loads, `audit` by missing deltas; both are pure and belong to one feed, as [`FeedCap`].
//! `learning` and `auditing` are their part of the pool: they read the reports of workers, and place what is above the cap elsewhere.
//! Invariant: no connection is asked for more than its cap; a cap is never above the configured one.

pub(in crate::pool) mod audit;
mod auditing;
pub(in crate::pool) mod learner;
mod learning;

use audit::Auditor;
use learner::Learner;
use touchline_common::model::SlotId;

#[derive(Debug)]
pub(super) struct FeedCap {
    pub(super) learner: Learner,
    pub(super) auditor: Auditor,
}

impl FeedCap {
    /// `known`: what an earlier run learned.
    pub(super) fn new(configured: u32, known: Option<u32>) -> Self {
        FeedCap { learner: Learner::new(configured, known), auditor: Auditor::default() }
    }

    /// A process is gone: what was thought of its connection is void.
    pub(super) fn gone(&mut self, slot: SlotId) {
        self.learner.gone(slot);
        self.auditor.gone(slot);
    }
}
