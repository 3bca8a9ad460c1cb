//! An epoch that may own the match next: its load, and what it told since, held until it is clear whose news that is.

use super::Source;
use super::align::{OVERLAP, fingerprint};
use super::steps::{Mode, Seen};
use std::collections::VecDeque;
use std::time::Instant;
use touchline_common::model::{Clock, Epoch, Facts, Observation, Registers};

/// Observations that are held at most, a few hundred bytes each: so far may the owner be behind before something is lost.
pub(super) const HELD: usize = 4_096;

/// An epoch above the owner's, which has its load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) epoch: Epoch,
    pub(super) source: Source,
    pub(super) facts: Facts,
    /// As of its load, and of what of `told` was too much to be held.
    pub(super) registers: Registers,
    pub(super) clock: Option<Clock>,
    pub(super) n: u64,
    pub(super) at: i64,
    /// Wall clock of its load, microseconds.
    pub(super) loaded_at: i64,
    /// The newest of what it told since.
    pub(super) told: VecDeque<Told>,
    /// Fingerprints of `told`, and of what was told before.
    pub(super) trail: VecDeque<u64>,
    /// What was told, by whomever, since the owner was last looked for in it.
    pub(super) unlooked: usize,
    /// When its load came,
    pub(super) loaded: Instant,
    /// and since when its registers stand as they are.
    pub(super) since: Instant,
    /// When something of it or of the owner was last known to be on its way still.
    pub(super) unsaid: Instant,
}

/// An observation that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) n: u64,
    pub(super) version: u64,
    pub(super) observation: Observation,
}

impl Candidate {
    /// One more observation, until it is clear whether it is told. Beyond the bound the oldest counts as told.
    pub(super) fn hold(&mut self, n: u64, version: u64, observation: &Observation, now: Instant) {
        let Some(print) = fingerprint(observation) else { return };
        if !observation.registers.is_empty() {
            self.since = now;
        }
        if self.told.len() >= HELD {
            self.take_oldest();
        }
        if self.trail.len() >= OVERLAP {
            self.trail.pop_front();
        }
        self.trail.push_back(print);
        self.told.push_back(Told { n, version, observation: observation.clone() });
    }

    /// How many of the observations that are remembered are held no more: they are part of the registers.
    pub(super) fn folded(&self) -> usize {
        self.trail.len().saturating_sub(self.told.len())
    }

    /// When its worker saw the newest of what it told, wall clock in microseconds.
    pub(super) fn last_told(&self) -> i64 {
        self.told.back().map_or(self.at, |told| told.observation.received_at)
    }

    /// The oldest observation becomes part of the registers.
    pub(super) fn take_oldest(&mut self) {
        let Some(Told { n, observation, .. }) = self.told.pop_front() else { return };
        self.clock = observation.clock.or(self.clock);
        self.at = observation.received_at;
        if !observation.registers.is_empty() {
            self.n = n;
        }
        let changes = observation.registers.iter().map(|change| (change.register, change.value));
        self.registers.extend(changes);
    }

    pub(super) fn seen(&self, mode: Mode, version: u64) -> Seen {
        Seen {
            epoch: self.epoch,
            n: self.n,
            place: 0,
            clock: self.clock.map(|clock| clock.seconds),
            at: self.at,
            version,
            mode,
        }
    }
}
