//! How far behind a sink is in a stream: how many rows wait, and since when the oldest is known to.
//!
//! By a clock that is never set, and so from when rows were seen to be committed; after a start that is the start. Pure.

use crate::record::hours;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Milestones of a stream that are kept at most.
const MILESTONES: usize = 1_000;
/// The least time between two of them.
const MILESTONE_EVERY: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lag {
    position: i64,
    newest: i64,
    /// When a row was first seen to be the newest, the oldest first; all are unsettled.
    milestones: VecDeque<(i64, Instant)>,
}

impl Lag {
    pub(super) fn see(&mut self, now: Instant, newest: i64, position: i64) {
        self.settle(position);
        let is_due = match self.milestones.back() {
            None => true,
            Some((seq, at)) => {
                newest > *seq && now >= *at + MILESTONE_EVERY && self.milestones.len() < MILESTONES
            }
        };
        self.newest = newest;
        if is_due && self.waits() {
            self.milestones.push_back((newest, now));
        }
    }

    pub(super) fn settle(&mut self, position: i64) {
        self.position = position;
        while self.milestones.front().is_some_and(|(seq, _)| *seq <= position) {
            self.milestones.pop_front();
        }
    }

    pub(super) fn waits(&self) -> bool {
        self.newest > self.position
    }

    /// How many rows wait; those of earlier hours of the bulk stream are not counted, since numbers are left out between hours.
    pub(super) fn rows(&self) -> u64 {
        let from = self.position.max(hours::first_seq_beside(self.newest));
        u64::try_from(self.newest - from).unwrap_or(0)
    }

    pub(super) fn newest(&self) -> i64 {
        self.newest
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.milestones.front().filter(|_| self.waits()).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_row_that_waits_says_how_long() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut lag = Lag::default();
        lag.see(at(0), 0, 0);
        assert_eq!((lag.waits(), lag.rows(), lag.since()), (false, 0, None));
        lag.see(at(1_000), 10, 0);
        lag.see(at(1_100), 20, 0);
        lag.see(at(2_000), 30, 0);
        assert_eq!((lag.rows(), lag.since()), (30, Some(at(1_000))));
        lag.settle(10);
        assert_eq!((lag.rows(), lag.since()), (20, Some(at(2_000))), "of row 20 nothing better is known");
        lag.settle(30);
        assert_eq!((lag.waits(), lag.since()), (false, None));
        lag.see(at(3_000), 31, 30);
        lag.see(at(3_001), 32, 31);
        assert_eq!((lag.rows(), lag.since()), (1, Some(at(3_001))), "whatever waits has a time");
    }

    #[test]
    fn numbers_that_are_left_out_between_hours_are_no_rows() {
        let hour = 500_000;
        let (before, newest) = (hour * 1_000_000_000 + 7, (hour + 1) * 1_000_000_000 + 40);
        let mut lag = Lag::default();
        lag.see(Instant::now(), newest, before);
        assert_eq!((lag.waits(), lag.rows()), (true, 40));
        lag.see(Instant::now(), newest, newest - 3);
        assert_eq!(lag.rows(), 3);
    }
}
