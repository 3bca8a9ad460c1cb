//! When each diff was written, by the server's thread, and when it was seen, by the readers.
//!
//! All stamps are of the machine's monotonic clock, so those of other processes fit. What is found counts if it was
//! found while recording; a reader may report that later.

use super::cpu::monotonic;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Diffs of one match that may wait to be seen; older ones are given up and counted.
const WAITING: usize = 65_536;

/// The stamps of one run.
#[derive(Debug)]
pub struct Ledger {
    /// Whether anything is noted: without a reader nothing is.
    reader: AtomicBool,
    from: AtomicU64,
    until: AtomicU64,
    written: Vec<Mutex<VecDeque<(u64, u64)>>>,
    goals: Mutex<HashMap<(usize, u64), u64>>,
    samples: Mutex<Samples>,
    /// Of each match, the highest epoch in which it was seen, and when first.
    epochs: Vec<Mutex<(u64, u64)>>,
    numbered: AtomicU64,
    given_up: AtomicU64,
}

/// What was found, in nanoseconds.
#[derive(Debug, Default)]
pub struct Samples {
    /// From a diff's write to the section that shows it.
    pub sections: Vec<u64>,
    /// From a goal's write to its arrival.
    pub events: Vec<u64>,
    /// How late the server wrote.
    pub lateness: Vec<u64>,
    /// Numbered diffs written meanwhile.
    pub written: u64,
}

impl Ledger {
    /// For so many matches.
    pub fn new(matches: usize) -> Ledger {
        Ledger {
            reader: AtomicBool::new(false),
            from: AtomicU64::new(u64::MAX),
            until: AtomicU64::new(u64::MAX),
            written: (0..matches).map(|_| Mutex::default()).collect(),
            goals: Mutex::default(),
            samples: Mutex::default(),
            epochs: (0..matches).map(|_| Mutex::default()).collect(),
            numbered: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        }
    }

    /// A reader takes what is published.
    pub fn has_reader(&self) {
        self.reader.store(true, Ordering::SeqCst);
    }

    /// What is found from now on counts, or no longer.
    pub fn record(&self, recording: bool) {
        if recording {
            self.until.store(u64::MAX, Ordering::SeqCst);
            self.from.store(monotonic(), Ordering::SeqCst);
        } else {
            self.until.store(monotonic(), Ordering::SeqCst);
        }
    }

    fn counts(&self, at: u64) -> bool {
        (self.from.load(Ordering::Relaxed)..self.until.load(Ordering::Relaxed)).contains(&at)
    }

    /// A match's diff of this number is about to be written.
    pub fn wrote(&self, number: usize, diff: u64) {
        let Some(waiting) = self.written.get(number).filter(|_| self.reader.load(Ordering::Relaxed)) else {
            return;
        };
        let mut waiting = held(waiting);
        if waiting.len() >= WAITING {
            waiting.pop_front();
            self.given_up.fetch_add(1, Ordering::Relaxed);
        }
        let now = monotonic();
        if self.counts(now) {
            self.numbered.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back((diff, now));
    }

    /// The recorder has a rendering of a match that shows its diffs up to this number.
    pub fn seen(&self, number: usize, diff: u64, at: u64) {
        let Some(waiting) = self.written.get(number) else { return };
        let mut waiting = held(waiting);
        let count = waiting.partition_point(|(written, _)| *written <= diff);
        let found = waiting.drain(..count).map(|(_, stamp)| at.saturating_sub(stamp));
        if self.counts(at) {
            held(&self.samples).sections.extend(found);
        }
    }

    /// A match was seen in this epoch.
    pub fn followed(&self, number: usize, epoch: u64, at: u64) {
        let Some(highest) = self.epochs.get(number) else { return };
        let mut highest = held(highest);
        if epoch > highest.0 {
            *highest = (epoch, at);
        }
    }

    /// The highest epoch in which a match was seen, and when first.
    pub fn epoch(&self, number: usize) -> (u64, u64) {
        self.epochs.get(number).map_or((0, 0), |highest| *held(highest))
    }

    /// A match's goal is about to be written: the home side has so many then.
    pub fn scored(&self, number: usize, goal: u64) {
        held(&self.goals).insert((number, goal), monotonic());
    }

    /// The goal has arrived: its row is committed, or its frame was passed on.
    pub fn arrived(&self, number: usize, goal: u64, at: u64) {
        if let Some(stamp) = held(&self.goals).remove(&(number, goal))
            && self.counts(at)
        {
            held(&self.samples).events.push(at.saturating_sub(stamp));
        }
    }

    /// The server wrote so much later than it meant to.
    pub fn late(&self, nanoseconds: u64) {
        if self.counts(monotonic()) {
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
        let written = self.numbered.swap(0, Ordering::Relaxed);
        Samples { written, ..std::mem::take(&mut held(&self.samples)) }
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
        ledger.has_reader();
        ledger.record(true);
        (1..=3).for_each(|diff| ledger.wrote(0, diff));
        ledger.seen(0, 2, monotonic());
        assert_eq!((ledger.take().sections.len(), ledger.unseen()), (2, 1));
        ledger.seen(0, 2, monotonic());
        assert_eq!((ledger.take().sections.len(), ledger.unseen()), (0, 1));
    }

    #[test]
    fn a_goal_counts_once() {
        let ledger = Ledger::new(1);
        ledger.has_reader();
        ledger.record(true);
        ledger.scored(0, 1);
        ledger.arrived(0, 1, monotonic());
        ledger.arrived(0, 1, monotonic());
        assert_eq!(ledger.take().events.len(), 1);
    }
}
