//! When rooms are due: a heap, so that a turn looks at those that are, not at all of them.
//!
//! A timer that moved later is left where it stands and set anew once it fires; so a room has few entries at a time, each set earlier
//! than the one before. Caller: `table`, which keeps beside each room the time at which the entry stands that counts.

use super::table::Index;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Index)>>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Instant, index: Index) {
        self.heap.push(Reverse((at, index)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one that is due: where it stood, and whose it is.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Instant, Index)> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(due)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn those_that_are_due_come_in_order() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(at(30), Index(0));
        timers.set(at(10), Index(1));
        timers.set(at(20), Index(2));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take(at(9)), None);
        assert_eq!(timers.take(at(25)), Some((at(10), Index(1))));
        assert_eq!(timers.take(at(25)), Some((at(20), Index(2))));
        assert_eq!(timers.take(at(25)), None);
    }
}
