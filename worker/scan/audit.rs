//! The audits of a connection that are under way: which topics are still to bring their load, and what was found so far. Pure.
//!
//! Invariants: a match is audited once at a time; no audit is open for longer than `PATIENCE`. Called by `audits`.

use crate::payload::{Differing, MatchSlot};
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::worker::Finding;

/// A load that does not come for so long does not come: a connection that is slow to ask needs a while for all of its matches.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Audits {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    slot: MatchSlot,
    since: Instant,
    /// Topics whose load has not come.
    due: Vec<String>,
    /// Deltas since the loads before.
    deltas: u64,
    /// What differs; none while nothing was compared.
    differing: Option<Differing>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    pub slot: MatchSlot,
    pub finding: Finding,
    /// Deltas since the loads before.
    pub deltas: u64,
    /// The path of the first node that differs; empty if none does.
    pub first: String,
}

impl Audits {
    /// A match is audited from now on, unless it is already. Whether it is to be subscribed again.
    pub fn begin(&mut self, slot: MatchSlot, topics: &[String], now: Instant) -> bool {
        if self.awaits(slot) {
            return false;
        }
        self.open.push(Open { slot, since: now, due: topics.to_vec(), deltas: 0, differing: None });
        true
    }

    /// Whether a load of this subscription is one that an audit waits for, or a further one of a branch that it brings.
    pub fn awaits(&self, slot: MatchSlot) -> bool {
        self.open.iter().any(|open| open.slot == slot)
    }

    /// The load of a subscription came, `deltas` after the one before on this connection (none: there was none), and differs so.
    pub fn loaded(
        &mut self,
        slot: MatchSlot,
        subscription: &[u8],
        differing: Option<Differing>,
        deltas: Option<u64>,
    ) {
        let Some(open) = self.open.iter_mut().find(|open| open.slot == slot) else { return };
        open.due.retain(|topic| topic.as_bytes() != subscription);
        // What was lost between two connections was not left out by the server.
        if let (Some(differing), Some(deltas)) = (differing, deltas) {
            let found = open.differing.get_or_insert_default();
            if found.nodes == 0 {
                found.first = differing.first;
            }
            found.nodes += differing.nodes;
            open.deltas += deltas;
        }
    }

    /// An audit whose loads have all come. `is_settling`: whether more of a match's load is still coming in.
    pub fn complete(&mut self, mut is_settling: impl FnMut(MatchSlot) -> bool) -> Option<Closed> {
        let at = self.open.iter().position(|open| open.due.is_empty() && !is_settling(open.slot))?;
        Some(self.open.swap_remove(at).close())
    }

    pub fn late(&mut self, now: Instant) -> Option<Closed> {
        let late = |open: &Open| now.saturating_duration_since(open.since) >= PATIENCE;
        let at = self.open.iter().position(late)?;
        Some(self.open.swap_remove(at).give_up())
    }

    /// The connection is lost, and with it what was asked: any audit.
    pub fn lost(&mut self) -> Option<Closed> {
        self.open.pop().map(Open::give_up)
    }

    pub fn removed(&mut self, slot: MatchSlot) -> Option<Closed> {
        let at = self.open.iter().position(|open| open.slot == slot)?;
        Some(self.open.swap_remove(at).give_up())
    }
}

impl Open {
    fn close(self) -> Closed {
        let finding = match &self.differing {
            None => Finding::Void,
            Some(Differing { nodes: 0, .. }) => {
                Finding::Whole { deltas: u32::try_from(self.deltas).unwrap_or(u32::MAX) }
            }
            Some(Differing { nodes, .. }) => {
                Finding::Missed { nodes: u32::try_from(*nodes).unwrap_or(u32::MAX) }
            }
        };
        let first = self.differing.map(|differing| differing.first).unwrap_or_default();
        Closed { slot: self.slot, finding, deltas: self.deltas, first }
    }

    fn give_up(self) -> Closed {
        Closed { slot: self.slot, finding: Finding::Void, deltas: self.deltas, first: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: MatchSlot = MatchSlot(4);

    fn topics(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn differing(nodes: usize) -> Option<Differing> {
        let first = if nodes > 0 { format!("T/{nodes}") } else { String::new() };
        Some(Differing { nodes, first })
    }

    fn complete(audits: &mut Audits) -> Option<Finding> {
        audits.complete(|_| false).map(|closed| closed.finding)
    }

    #[test]
    fn it_is_complete_when_every_topic_has_its_load() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        assert!(audits.begin(M, &topics(&["A", "B"]), now));
        assert!(audits.awaits(M) && !audits.awaits(MatchSlot(5)));
        audits.loaded(M, b"A", differing(0), Some(7));
        assert_eq!(complete(&mut audits), None);
        audits.loaded(M, b"B", differing(0), Some(2));
        assert_eq!(audits.complete(|slot| slot == M), None, "more of it is coming in");
        assert_eq!(complete(&mut audits), Some(Finding::Whole { deltas: 9 }));
        assert!(!audits.awaits(M) && complete(&mut audits).is_none());
    }

    #[test]
    fn one_topic_that_misses_something_is_enough() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        audits.begin(M, &topics(&["A", "B"]), now);
        audits.loaded(M, b"A", differing(3), Some(1));
        audits.loaded(M, b"B", differing(0), Some(0));
        assert_eq!(complete(&mut audits), Some(Finding::Missed { nodes: 3 }));
    }

    #[test]
    fn the_first_node_that_differs_is_named() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        audits.begin(M, &topics(&["A", "B", "C"]), now);
        audits.loaded(M, b"A", differing(0), Some(1));
        audits.loaded(M, b"B", differing(2), Some(1));
        audits.loaded(M, b"C", differing(5), Some(1));
        let closed = audits.complete(|_| false).unwrap();
        assert_eq!((closed.finding, closed.first.as_str()), (Finding::Missed { nodes: 7 }, "T/2"));
    }

    #[test]
    fn what_was_not_held_on_this_connection_proves_nothing() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        audits.begin(M, &topics(&["A"]), now);
        audits.loaded(M, b"A", differing(9), None);
        assert_eq!(complete(&mut audits), Some(Finding::Void));
        audits.begin(M, &topics(&["A"]), now);
        audits.loaded(M, b"A", None, Some(4));
        assert_eq!(complete(&mut audits), Some(Finding::Void));
    }

    #[test]
    fn a_match_is_audited_once_at_a_time() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        assert!(audits.begin(M, &topics(&["A"]), now));
        assert!(!audits.begin(M, &topics(&["A"]), now));
        assert_eq!(audits.removed(M).map(|closed| closed.finding), Some(Finding::Void));
        assert_eq!(audits.removed(M), None);
    }

    #[test]
    fn a_load_that_does_not_come_ends_it_and_so_does_the_end_of_the_connection() {
        let (mut audits, now) = (Audits::default(), Instant::now());
        audits.begin(M, &topics(&["A"]), now);
        assert_eq!(audits.late(now + PATIENCE - Duration::from_millis(1)), None);
        assert_eq!(audits.late(now + PATIENCE).map(|closed| closed.finding), Some(Finding::Void));
        audits.begin(M, &topics(&["A"]), now);
        assert_eq!(audits.lost().map(|closed| closed.slot), Some(M));
        assert_eq!(audits.lost(), None);
    }
}
