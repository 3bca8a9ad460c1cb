//! Which faults come, from a seed alone.
//!
//! Every kind comes once, in an order of chance, before kinds are drawn by weight: so a short run, too, has them all.

use super::FeedChoice;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// After being live for so long a room begins anew with its waits.
const ROOM_STEADY: Duration = Duration::from_secs(5);

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fault {
    /// SIGKILL to a worker.
    WorkerKill,
    /// SIGSTOP to a worker, SIGCONT later.
    WorkerStop(Stall),
    /// SIGKILL to the recorder.
    RecorderKill,
    /// SIGSTOP to the recorder, SIGCONT later.
    RecorderStop(Stall),
    /// SIGKILL to the coordinator, which is started again at once.
    CoordinatorKill,
    /// SIGSTOP to the coordinator, SIGCONT later.
    CoordinatorStop,
    /// The server resets one connection.
    ResetOne,
    /// The server resets all connections.
    ResetAll,
    /// The server says nothing new for a while.
    ServerPause,
    /// The server's host cannot be reached for a while; who is connected is reset.
    HostDown,
}

/// How long a process is stopped, against the coordinator's patience with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stall {
    /// Less than the 2 s after which matches are followed elsewhere.
    Short,
    /// More than that, less than the 10 s after which it is killed.
    Silent,
    /// Until it is killed.
    Hung,
}

/// Which faults may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that take no longer than a few seconds.
    Quick,
    /// This one.
    Only(Fault),
}

/// A fault, with all that chance decides about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub fault: Fault,
    /// The time before it.
    pub pause: Duration,
    /// How long it lasts, where it lasts.
    pub lasts: Duration,
    /// Whom it hits, counted round those there are.
    pub victim: usize,
}

/// The faults of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In their order.
    pub faults: Vec<Planned>,
}

/// Each kind, and how often it is drawn against the others. What takes a quarter of a minute is drawn seldom, and the recorder and the
/// coordinator less often than one of many workers.
const WEIGHTS: [(Fault, u64); 14] = [
    (Fault::WorkerKill, 30),
    (Fault::WorkerStop(Stall::Short), 12),
    (Fault::WorkerStop(Stall::Silent), 10),
    (Fault::WorkerStop(Stall::Hung), 2),
    (Fault::RecorderKill, 6),
    (Fault::RecorderStop(Stall::Short), 6),
    (Fault::RecorderStop(Stall::Silent), 3),
    (Fault::RecorderStop(Stall::Hung), 1),
    (Fault::CoordinatorKill, 6),
    (Fault::CoordinatorStop, 3),
    (Fault::ResetOne, 12),
    (Fault::ResetAll, 5),
    (Fault::ServerPause, 4),
    (Fault::HostDown, 4),
];

impl Which {
    fn may_be(self, fault: Fault) -> bool {
        match self {
            Which::All => true,
            Which::Quick => fault.is_quick(),
            Which::Only(only) => fault == only,
        }
    }
}

impl Fault {
    /// The fault that tables name so.
    pub fn named(name: &str) -> Option<Fault> {
        WEIGHTS.into_iter().map(|(fault, _)| fault).find(|fault| fault.name() == name)
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Fault::WorkerKill => "worker kill -9",
            Fault::WorkerStop(Stall::Short) => "worker stopped < 2 s",
            Fault::WorkerStop(Stall::Silent) => "worker stopped > 2 s",
            Fault::WorkerStop(Stall::Hung) => "worker stopped > 10 s",
            Fault::RecorderKill => "recorder kill -9",
            Fault::RecorderStop(Stall::Short) => "recorder stopped < 2 s",
            Fault::RecorderStop(Stall::Silent) => "recorder stopped > 2 s",
            Fault::RecorderStop(Stall::Hung) => "recorder stopped > 10 s",
            Fault::CoordinatorKill => "coordinator kill -9",
            Fault::CoordinatorStop => "coordinator stopped",
            Fault::ResetOne => "one connection reset",
            Fault::ResetAll => "all connections reset",
            Fault::ServerPause => "server paused",
            Fault::HostDown => "host down",
        }
    }

    fn is_quick(self) -> bool {
        match self {
            Fault::WorkerStop(stall) | Fault::RecorderStop(stall) => stall != Stall::Hung,
            Fault::WorkerKill
            | Fault::RecorderKill
            | Fault::CoordinatorKill
            | Fault::CoordinatorStop
            | Fault::ResetOne
            | Fault::ResetAll
            | Fault::ServerPause
            | Fault::HostDown => true,
        }
    }

    /// Whether the server of such a feed can do it.
    fn is_of(self, feed: FeedChoice) -> bool {
        match (self, feed) {
            (Fault::HostDown, FeedChoice::Matches) => false,
            (
                Fault::WorkerKill
                | Fault::WorkerStop(_)
                | Fault::RecorderKill
                | Fault::RecorderStop(_)
                | Fault::CoordinatorKill
                | Fault::CoordinatorStop
                | Fault::ResetOne
                | Fault::ResetAll
                | Fault::ServerPause
                | Fault::HostDown,
                FeedChoice::Matches | FeedChoice::Rooms,
            ) => true,
        }
    }

    /// How long all is left alone before it: a room that was not live for so long waits longer after each loss (docs/rooms.md), which the
    /// times that are promised do not count.
    fn steadies(self, feed: FeedChoice) -> Duration {
        match (self, feed) {
            (Fault::ResetOne | Fault::ResetAll | Fault::HostDown, FeedChoice::Rooms) => ROOM_STEADY,
            (
                Fault::WorkerKill
                | Fault::WorkerStop(_)
                | Fault::RecorderKill
                | Fault::RecorderStop(_)
                | Fault::CoordinatorKill
                | Fault::CoordinatorStop
                | Fault::ResetOne
                | Fault::ResetAll
                | Fault::ServerPause
                | Fault::HostDown,
                FeedChoice::Matches | FeedChoice::Rooms,
            ) => Duration::ZERO,
        }
    }

    /// The shortest and the longest it lasts, milliseconds.
    fn lasts(self) -> (u64, u64) {
        match self {
            Fault::WorkerStop(stall) | Fault::RecorderStop(stall) => match stall {
                Stall::Short => (50, 1_500),
                Stall::Silent => (3_000, 6_000),
                Stall::Hung => (14_000, 14_000),
            },
            Fault::CoordinatorStop => (500, 5_000),
            Fault::ServerPause | Fault::HostDown => (200, 3_000),
            Fault::WorkerKill
            | Fault::RecorderKill
            | Fault::CoordinatorKill
            | Fault::ResetOne
            | Fault::ResetAll => (0, 0),
        }
    }
}

impl Plan {
    /// `faults` faults from `seed`, of those that such a feed has.
    pub fn new(seed: u64, faults: usize, which: Which, feed: FeedChoice) -> Plan {
        let mut chance = Chance(seed);
        let kinds: Vec<(Fault, u64)> =
            WEIGHTS.into_iter().filter(|(fault, _)| which.may_be(*fault) && fault.is_of(feed)).collect();
        let mut first: Vec<Fault> = kinds.iter().map(|(fault, _)| *fault).collect();
        for at in (1..first.len()).rev() {
            first.swap(at, chance.below(at as u64 + 1) as usize);
        }
        let mut first = first.into_iter();
        let faults = (0..faults).map(|_| {
            let fault = first.next().unwrap_or_else(|| chance.pick(&kinds));
            let (least, most) = fault.lasts();
            Planned {
                fault,
                pause: Duration::from_millis(50 + chance.below(950)) + fault.steadies(feed),
                lasts: Duration::from_millis(least + chance.below(most - least + 1)),
                victim: chance.below(1 << 16) as usize,
            }
        });
        Plan { faults: faults.collect() }
    }
}

/// SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn pick(&mut self, kinds: &[(Fault, u64)]) -> Fault {
        let mut left = self.below(kinds.iter().map(|(_, weight)| weight).sum());
        for (fault, weight) in kinds {
            if left < *weight {
                return *fault;
            }
            left -= weight;
        }
        Fault::WorkerKill
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const MATCHES: FeedChoice = FeedChoice::Matches;

    #[test]
    fn a_seed_is_a_sequence() {
        assert_eq!(Plan::new(7, 200, Which::All, MATCHES), Plan::new(7, 200, Which::All, MATCHES));
        assert_ne!(Plan::new(7, 200, Which::All, MATCHES), Plan::new(8, 200, Which::All, MATCHES));
        // A longer run begins as a shorter one does.
        assert_eq!(
            Plan::new(7, 200, Which::All, MATCHES).faults[..50],
            Plan::new(7, 50, Which::All, MATCHES).faults[..]
        );
    }

    #[test]
    fn every_kind_comes_and_the_slow_ones_only_where_they_may() {
        for seed in 0..20 {
            let kinds: BTreeSet<Fault> =
                Plan::new(seed, 13, Which::All, MATCHES).faults.iter().map(|p| p.fault).collect();
            assert_eq!(kinds.len(), WEIGHTS.len() - 1, "no host goes down");
            let rooms = Plan::new(seed, 14, Which::All, FeedChoice::Rooms);
            let kinds: BTreeSet<Fault> = rooms.faults.iter().map(|p| p.fault).collect();
            assert_eq!(kinds.len(), WEIGHTS.len());
            let quick = Plan::new(seed, 500, Which::Quick, MATCHES);
            assert!(quick.faults.iter().all(|planned| planned.fault.is_quick()));
            assert!(quick.faults.iter().all(|planned| planned.lasts <= Duration::from_secs(6)));
        }
    }
}
