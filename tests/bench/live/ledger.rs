//! When each diff was written: the server's thread puts it down, the listeners take it up.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Diffs of one match that may wait to be seen; older ones are given up and counted.
const WAITING: usize = 65_536;

/// The stamps of one run.
#[derive(Debug)]
pub struct Ledger {
    start: Instant,
    recording: AtomicBool,
    written: Vec<Mutex<VecDeque<(u64, u64)>>>,
    goals: Mutex<HashMap<(usize, u64), u64>>,
    samples: Mutex<Samples>,
    given_up: AtomicU64,
}

/// What was found, in nanoseconds.
#[derive(Debug, Default)]
pub struct Samples {
    /// From a diff's write to the section that shows it.
    pub sections: Vec<u64>,
    /// From a goal's write to its row.
    pub events: Vec<u64>,
    /// How late the server wrote.
    pub lateness: Vec<u64>,
}

impl Ledger {
    /// For so many matches.
    pub fn new(matches: usize) -> Ledger {
        Ledger {
            start: Instant::now(),
            recording: AtomicBool::new(false),
            written: (0..matches).map(|_| Mutex::default()).collect(),
            goals: Mutex::default(),
            samples: Mutex::default(),
            given_up: AtomicU64::new(0),
        }
    }

    /// Now.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// From now on, or no longer, what is found counts.
    pub fn record(&self, recording: bool) {
        self.recording.store(recording, Ordering::SeqCst);
    }

    /// A match's diff of this number is about to be written.
    pub fn wrote(&self, number: usize, diff: u64) {
        let Some(waiting) = self.written.get(number) else { return };
        let mut waiting = held(waiting);
        if waiting.len() >= WAITING {
            waiting.pop_front();
            self.given_up.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back((diff, self.now()));
    }

    /// The recorder has a rendering of a match that shows its diffs up to this number.
    pub fn seen(&self, number: usize, diff: u64, at: u64) {
        let Some(waiting) = self.written.get(number) else { return };
        let mut waiting = held(waiting);
        let count = waiting.partition_point(|(written, _)| *written <= diff);
        let found = waiting.drain(..count).map(|(_, stamp)| at.saturating_sub(stamp));
        if self.recording.load(Ordering::Relaxed) {
            held(&self.samples).sections.extend(found);
        }
    }

    /// A match's goal, its home side's so-manieth, is about to be written.
    pub fn scored(&self, number: usize, goal: u64) {
        held(&self.goals).insert((number, goal), self.now());
    }

    /// The goal's row is committed.
    pub fn committed(&self, number: usize, goal: u64) {
        let at = self.now();
        if let Some(stamp) = held(&self.goals).remove(&(number, goal))
            && self.recording.load(Ordering::Relaxed)
        {
            held(&self.samples).events.push(at.saturating_sub(stamp));
        }
    }

    /// The server wrote so much later than it meant to.
    pub fn late(&self, nanoseconds: u64) {
        if self.recording.load(Ordering::Relaxed) {
            held(&self.samples).lateness.push(nanoseconds);
        }
    }

    /// Diffs that were written and not seen yet, and those given up.
    pub fn unseen(&self) -> u64 {
        let waiting: usize = self.written.iter().map(|waiting| held(waiting).len()).sum();
        waiting as u64 + self.given_up.load(Ordering::Relaxed)
    }

    /// Everything found so far.
    pub fn take(&self) -> Samples {
        std::mem::take(&mut held(&self.samples))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rendering_shows_every_diff_up_to_its_number() {
        let ledger = Ledger::new(1);
        ledger.record(true);
        (1..=3).for_each(|diff| ledger.wrote(0, diff));
        ledger.seen(0, 2, ledger.now());
        assert_eq!((ledger.take().sections.len(), ledger.unseen()), (2, 1));
        ledger.seen(0, 2, ledger.now());
        assert_eq!((ledger.take().sections.len(), ledger.unseen()), (0, 1));
    }

    #[test]
    fn a_goal_counts_once() {
        let ledger = Ledger::new(1);
        ledger.record(true);
        ledger.scored(0, 1);
        ledger.committed(0, 1);
        ledger.committed(0, 1);
        assert_eq!(ledger.take().events.len(), 1);
    }
}
