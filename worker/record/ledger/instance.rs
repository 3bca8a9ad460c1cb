//! Ids that come back after their match has ended.
//!
//! Other teams are another match: it begins anew under the same id, nothing of the one before is taken back, and `instance`, which is
//! part of its ids, is one higher. The same teams, or teams that are not both known, are the same match: its end is taken back, and it
//! goes on. Pure; called by `handover` when a load is followed.

use super::handover::Candidate;
use super::steps::Seen;
use super::{EventType, Gap, Ledger, Outcome, Steps, Teams};
use std::time::Instant;
use touchline_common::model::{Phase, Register};

impl Ledger {
    /// Whether its end is reported: what comes under its id then may be another match.
    pub(super) fn is_over(&self) -> bool {
        self.ended || self.has_end()
    }

    /// Whether a `match_ended` stands.
    pub(super) fn has_end(&self) -> bool {
        self.steps.phases.iter().any(|mark| mark.kind == EventType::MatchEnded)
    }

    /// Whether a load is of other teams than those that are known. What is not known is not guessed.
    pub(super) fn is_of_others(&self, load: &Candidate) -> bool {
        match (&self.teams, &load.teams) {
            (Some(known), Some(new)) => !are_same(known, new),
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// The id stands for another match from here on: events begin from what this load shows.
    pub(super) fn begin_another(&mut self, load: Candidate, now: Instant, out: &mut Outcome) {
        let epoch = load.report.epoch;
        self.close_gap(load.report.at, out);
        self.scope.next_instance();
        self.steps = Steps::default();
        self.incidents = None;
        self.gap = Gap::default();
        self.waiting = None;
        self.ended = false;
        self.candidate.take_if(|other| other.report.epoch <= epoch);
        self.wanted.take_if(|wanted| wanted.epoch <= epoch);
        self.begin(load, out);
        self.consider(now, out);
    }

    /// A match that left goes on. Where phases are known before and after, the end stands or falls with them; else it is the return that
    /// says that the match is not over, unless the load says that it is.
    pub(super) fn come_back(&mut self, load: &Candidate, seen: &mut Seen<'_>) {
        if !std::mem::take(&mut self.ended) {
            return;
        }
        let known = self.known.registers.get(&Register::Phase).copied();
        let stated = load.values.registers.get(&Register::Phase).copied();
        let is_over = |phase: i64| phase >= Phase::FINISHED.0;
        if stated.is_some_and(|stated| known.is_some() || is_over(stated)) {
            return;
        }
        self.take_back_end(seen);
        if known.is_some_and(is_over) {
            self.known.registers.remove(&Register::Phase);
        }
    }
}

/// Trimmed, and without regard to case.
fn are_same(one: &Teams, other: &Teams) -> bool {
    let folded = |(home, away): &Teams| [home, away].map(|name| name.trim().to_lowercase());
    folded(one) == folded(other)
}
