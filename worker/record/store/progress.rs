//! How far each worker is with telling, as far as its frames were taken up here.
//!
//! Each tells what it saw in the order in which it saw it, of all its matches on one channel: one that told of a later
//! time, of whatever match, has nothing more to say of an earlier one. Read by the store when time alone may move a match.

use crate::record::ledger::Source;
use hashbrown::HashMap;
use std::time::{Duration, Instant};
use touchline_common::model::{Generation, SlotId};

/// The newest word of each worker.
#[derive(Debug, Default)]
pub(super) struct Progress {
    told: HashMap<SlotId, Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    generation: Generation,
    /// When it saw that, by the wall clock, microseconds.
    stamp: i64,
    /// When it was taken up.
    came: Instant,
}

impl Progress {
    /// `source` told what it saw at `stamp`.
    pub(super) fn told(&mut self, source: Source, stamp: i64, now: Instant) {
        let before = self.told.get(&source.slot).filter(|told| told.generation == source.generation);
        let stamp = before.map_or(stamp, |told| told.stamp.max(stamp));
        self.told.insert(source.slot, Told { generation: source.generation, stamp, came: now });
    }

    /// Whether nothing that `source` saw up to `stamp` is still to come: it told of a later time, or nothing at all for `quiet`.
    pub(super) fn has_said(&self, source: Source, stamp: i64, quiet: Duration, now: Instant) -> bool {
        let told = self.told.get(&source.slot).filter(|told| told.generation == source.generation);
        told.is_none_or(|told| told.stamp > stamp || now >= told.came + quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_saw_is_said_when_it_tells_of_later_or_nothing_for_a_while() {
        let source = |slot, generation| Source { slot: SlotId(slot), generation: Generation(generation) };
        let (one, quiet, now) = (source(1, 1), Duration::from_secs(2), Instant::now());
        let mut progress = Progress::default();
        assert!(progress.has_said(one, 5, quiet, now), "it has nothing to say");
        progress.told(one, 5, now);
        assert!(progress.has_said(one, 4, quiet, now));
        assert!(!progress.has_said(one, 5, quiet, now), "there may be more of the same moment");
        progress.told(one, 3, now);
        assert!(progress.has_said(one, 4, quiet, now), "an old stamp takes nothing back");
        assert!(!progress.has_said(one, 9, quiet, now + quiet - Duration::from_millis(1)));
        assert!(progress.has_said(one, 9, quiet, now + quiet));
        assert!(progress.has_said(source(1, 2), 9, quiet, now), "the next in its slot");
    }
}
