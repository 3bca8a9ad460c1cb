//! Who owns a match. An epoch above the owner's from another process is a candidate: its newest values are held, nothing of
//! it is written until it is adopted.
//!
//! From a living owner: once all registers of both are equal and both have since answered a mark, so that equality is not
//! mere silence; after `ADOPT_DEADLINE` in any case, with a gap. From a silent or dead owner: at once. Pure; called by `advance`.

use super::incidents::Stated;
use super::steps::{Mode, Seen};
use super::values::{Trust, Values};
use super::{Ledger, Outcome, OwnerState, Report, Source, Teams, Writer};
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::{Epoch, Facts, Register};

/// How long a living owner may differ from the candidate that is to replace it.
pub(super) const ADOPT_DEADLINE: Duration = Duration::from_secs(10);
/// How long the last bytes of a worker that is reported dead may take.
pub(super) const OWNER_DRAIN: Duration = Duration::from_secs(1);
/// What an owner that was alive had not reported of a match is at most so old when its candidate has it, microseconds.
const LAG: i64 = 1_000_000;

/// All values of a match under an epoch, from its load and what was observed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Of the newest message; the clock is the last that was stated.
    pub(super) report: Report,
    pub(super) source: Source,
    pub(super) facts: Facts,
    pub(super) teams: Option<Teams>,
    pub(super) values: Values,
    /// Wall clock of the load's read, microseconds.
    pub(super) loaded_at: i64,
    pub(super) marks: Option<Marks>,
    /// What it stated of incidents since its newest whole list; the newest, at most `MAX_STATED`.
    pub(super) stated: Vec<Stated>,
}

/// Owner and candidate were asked for a mark when they became equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    token: u64,
    owner: bool,
    candidate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) epoch: Epoch,
    pub(super) owner: Owner,
    pub(super) since: Instant,
}

enum Decision {
    Wait,
    /// The owner differs: what it answered says nothing.
    Differs,
    Ask,
    Adopt,
    /// With a gap from the owner's last report.
    AdoptWithGap(&'static str),
}

impl Ledger {
    /// Adopts the candidate if its time has come.
    pub(super) fn consider(&mut self, now: Instant, out: &mut Outcome) {
        let decision = self.decide(now);
        match decision {
            Decision::Wait => {}
            Decision::Differs => {
                if let Some(candidate) = &mut self.candidate {
                    candidate.marks = None;
                }
            }
            Decision::Ask => {
                if let (Some(candidate), Some(owner)) = (&mut self.candidate, self.owner) {
                    candidate.marks = Some(Marks { token: out.next_mark, owner: false, candidate: false });
                    out.marks.extend([owner.source, candidate.source]);
                }
            }
            Decision::Adopt => self.adopt(now, out),
            Decision::AdoptWithGap(reason) => {
                let from =
                    self.candidate.as_ref().map_or(self.known_at, |other| other.report.at.min(self.known_at));
                self.open_gap(from, reason, out);
                self.adopt(now, out);
            }
        }
    }

    fn decide(&self, now: Instant) -> Decision {
        let (Some(candidate), Some(owner)) = (&self.candidate, self.owner) else { return Decision::Wait };
        let wanted = self.wanted.filter(|wanted| wanted.epoch == candidate.report.epoch);
        match (owner.state, wanted) {
            (OwnerState::Dead, _) => Decision::Adopt,
            // Its worker is gone, or the load would come from it.
            (OwnerState::Detached, Some(Wanted { owner: Owner::Dead, .. })) => {
                Decision::AdoptWithGap("worker_died")
            }
            (OwnerState::Silent { .. } | OwnerState::Away, Some(Wanted { owner: Owner::Alive, .. })) => {
                Decision::Adopt
            }
            (OwnerState::Alive | OwnerState::Detached, Some(Wanted { owner: Owner::Alive, since, .. })) => {
                match candidate.marks {
                    _ if now >= since + ADOPT_DEADLINE => Decision::AdoptWithGap("moved"),
                    _ if !self.agrees(candidate) => Decision::Differs,
                    None => Decision::Ask,
                    Some(Marks { owner: true, candidate: true, .. }) => Decision::Adopt,
                    Some(_) => Decision::Wait,
                }
            }
            (OwnerState::Alive | OwnerState::Silent { .. } | OwnerState::Away, Some(_))
            | (
                OwnerState::Alive | OwnerState::Silent { .. } | OwnerState::Away | OwnerState::Detached,
                None,
            ) => Decision::Wait,
        }
    }

    /// Whether each register that a candidate knows has its last known value.
    fn agrees(&self, candidate: &Candidate) -> bool {
        let known = |register: &Register| {
            self.known.registers.get(register).copied().or_else(|| self.implied(*register))
        };
        candidate.values.registers.iter().all(|(register, value)| known(register) == Some(*value))
    }

    /// `source` answered a question with this token.
    pub(super) fn marked(&mut self, source: Source, token: u64, now: Instant, out: &mut Outcome) {
        let (Some(candidate), Some(owner)) = (&mut self.candidate, self.owner) else { return };
        let from_candidate = candidate.source == source;
        let Some(marks) = candidate.marks.as_mut().filter(|marks| token >= marks.token) else { return };
        marks.candidate |= from_candidate;
        marks.owner |= owner.source == source;
        self.consider(now, out);
    }

    /// The owner is dead, and its last sign was at `since`. One that has its load from before that and whose registers are equal
    /// leaves no gap; else it lasts until what the candidate knows.
    pub(super) fn inherit(&mut self, since: i64, reason: &'static str, now: Instant, out: &mut Outcome) {
        let Some(candidate) = &self.candidate else { return self.open_gap(since, reason, out) };
        if candidate.loaded_at > since || !self.agrees(candidate) {
            let at = candidate.report.at;
            let unreported = self.known_at.max(at - LAG).min(at);
            let from = if at > since { since } else { unreported };
            self.open_gap(from, reason, out);
        }
        self.adopt(now, out);
    }

    fn adopt(&mut self, now: Instant, out: &mut Outcome) {
        if let Some(mut candidate) = self.candidate.take() {
            let report = candidate.report;
            out.switched = Some(report.epoch);
            let stated = std::mem::take(&mut candidate.stated);
            self.follow(*candidate, Trust::Higher, now, out);
            for stated in &stated {
                self.take_incidents(report, &stated.statement(), now, out);
            }
        }
    }

    /// Goes on with what a load reports, under its epoch.
    pub(super) fn follow(&mut self, mut load: Candidate, trust: Trust, now: Instant, out: &mut Outcome) {
        // What takes over from a match whose end was still to come is what came under the id after that.
        if self.concluding.is_some_and(|concluding| concluding.epoch < load.report.epoch) {
            self.conclude_now(now, out);
        }
        if self.is_over() && self.is_of_others(&load) {
            return self.begin_another(load, now, out);
        }
        let mode = if self.gap.open { Mode::Recovered } else { Mode::Seen };
        let Report { epoch, at, .. } = load.report;
        self.owner = Some(Writer { epoch, source: load.source, state: OwnerState::Alive });
        self.facts = std::mem::take(&mut load.facts);
        self.teams = load.teams.take().or_else(|| self.teams.take());
        self.known_at = self.known_at.max(at);
        self.candidate.take_if(|other| other.report.epoch <= epoch);
        self.wanted.take_if(|wanted| wanted.epoch <= epoch);
        let mut seen = Seen::new(load.report, mode, &mut out.events);
        self.come_back(&load, &mut seen);
        self.merge(&load.values, trust, &mut seen, now);
        self.close_gap_if_followed(at, out);
        out.changed = true;
        self.consider(now, out);
    }

    /// When time alone may change the owner.
    pub(super) fn decides_at(&self) -> Option<Instant> {
        let candidate = self.candidate.as_ref()?;
        let wanted = self.wanted.filter(|wanted| wanted.epoch == candidate.report.epoch)?;
        let patience = match wanted.owner {
            Owner::Alive => ADOPT_DEADLINE,
            Owner::Dead => OWNER_DRAIN,
        };
        Some(wanted.since + patience)
    }
}
