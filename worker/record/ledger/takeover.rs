//! When a candidate takes over, which of its observations its predecessor has told, and what time neither followed.
//!
//! A living owner hands over where it is found in what the candidate tells; a silent or dead one leaves what it did not tell.
//! Called by `switch` after every input that may change the answer.

use super::align::{AGREEING, Place, REMEMBERED, Trail};
use super::candidate::{Candidate, Told};
use super::steps::Mode;
use super::switch::{Trust, Wanted};
use super::{ALIGN_DEADLINE, Changed, Ledger, OWNER_DRAIN, Outcome, OwnerState, Said, Writer};
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::recorder::Owner;
use touchline_common::model::Register;

/// A worker's end is noticed within this time, microseconds: what it told before that is complete.
const DOUBT: i64 = 1_000_000;

/// How often a candidate that is behind a dead owner is looked at, if it tells nothing itself.
const LOOKS_AGAIN: Duration = Duration::from_millis(20);
/// The owner is looked for when so small a part was told since it was looked for last.
const LOOKS: usize = 32;

/// How a candidate takes over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Handover {
    pub(super) trust: Trust,
    /// Which of its observations are told now.
    pub(super) news: News,
    /// From when to when nobody is known to have followed the match, microseconds, unless a gap is open already.
    pub(super) gap: Option<(i64, i64)>,
}

/// Which of the observations of a candidate that takes over were not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Those after so many, which were told by its predecessor or are lost in a gap.
    After(usize),
    /// None, nor the next of so many: it is behind its predecessor.
    Beyond(usize),
}

/// What of a candidate would be told now, if it took over from an owner that was found in it.
enum Found {
    /// All that it did not tell.
    Whole(News),
    /// Not all: what it did not tell begins with observations that were too many to be held.
    Torn(News),
}

impl Ledger {
    /// Something was told: considers the candidate, seldom enough that looking costs a constant for each that is told.
    pub(super) fn look(&mut self, version: u64, now: Instant, out: &mut Outcome) {
        let Some(candidate) = &mut self.candidate else { return };
        candidate.unlooked += 1;
        let told_since = self.trail.len().saturating_sub(REMEMBERED) + candidate.trail.len();
        if candidate.unlooked.saturating_mul(LOOKS) >= told_since {
            candidate.unlooked = 0;
            self.consider(version, Said::NotAll, now, out);
        }
    }

    /// Adopts the candidate if its time has come. Only where all was said does an owner's silence count.
    pub(super) fn consider(&mut self, version: u64, said: Said, now: Instant, out: &mut Outcome) {
        let (Some(candidate), Some(owner)) = (&self.candidate, self.owner) else { return };
        let wanted = self.wanted.filter(|wanted| wanted.epoch == candidate.epoch);
        let handover = match (owner.state, wanted) {
            (OwnerState::Dead, _) => self.inherit(candidate, said, now),
            // Restored: its worker is gone, or the candidate would come from it.
            (OwnerState::Detached, Some(Wanted { owner: Owner::Dead, .. }))
                if candidate.source != owner.source =>
            {
                Some(Handover {
                    gap: Some((self.known_at, candidate.loaded_at)),
                    ..self.inherited(candidate)
                })
            }
            (OwnerState::Silent { .. }, Some(Wanted { owner: Owner::Alive, .. })) => {
                self.inherit(candidate, said, now)
            }
            (OwnerState::Away | OwnerState::Alive | OwnerState::Detached, Some(wanted))
                if wanted.owner == Owner::Alive =>
            {
                self.handover(candidate, owner.state, wanted, (said, now))
            }
            (
                OwnerState::Away | OwnerState::Alive | OwnerState::Detached | OwnerState::Silent { .. },
                Some(_) | None,
            ) => None,
        };
        if let Some(handover) = handover {
            self.adopt(handover, version, now, out);
        }
    }

    /// What a candidate takes over from an owner that is silent or dead. One that is behind what the owner told is waited for:
    /// it would tell it again.
    fn inherit(&self, candidate: &Candidate, said: Said, now: Instant) -> Option<Handover> {
        // Of one that reads later than the owner did, the times alone do not say whether it is up; three observations do.
        let enough = candidate.trail.is_empty() || candidate.trail.len() >= AGREEING;
        let is_up = !self.told_after(candidate)
            || (enough && candidate.last_told() >= self.known_at)
            || said == Said::All
            || now >= candidate.loaded + ALIGN_DEADLINE;
        let handover = self.inherited(candidate);
        // One without a gap: the owner was found in it.
        (is_up || handover.gap.is_none()).then_some(handover)
    }

    /// The same when it is waited for no more. An owner that was found in what the candidate tells left no gap; of another it is
    /// not known what it did not tell.
    fn inherited(&self, candidate: &Candidate) -> Handover {
        let (from, to) = self.doubt(candidate);
        let gap = Some((from.max(candidate.loaded_at - DOUBT), to));
        let (news, gap) = match self.find(candidate) {
            _ if !self.told_after(candidate) => (News::After(0), gap),
            Some(Found::Whole(news)) => (news, None),
            Some(Found::Torn(news)) => (news, gap),
            None => (News::After(self.trail.resting(&candidate.trail)), gap),
        };
        Handover { trust: Trust::Higher, news, gap }
    }

    /// Whether a living owner can hand over to the candidate now.
    fn handover(
        &self,
        candidate: &Candidate,
        owner: OwnerState,
        wanted: Wanted,
        (said, now): (Said, Instant),
    ) -> Option<Handover> {
        let stood = now >= candidate.since.max(wanted.since) + self.settle;
        let trust = if stood { Trust::All } else { Trust::Higher };
        if owner == OwnerState::Away {
            return Some(Handover { trust, news: News::After(usize::MAX), gap: None });
        }
        let rests = said == Said::All && now >= self.rests_at(candidate, wanted);
        let due = rests || now >= wanted.since + ALIGN_DEADLINE;
        match self.find(candidate) {
            Some(Found::Whole(news @ News::After(_))) => {
                Some(Handover { trust: Trust::Higher, news, gap: None })
            }
            // It may still come up with the owner, who tells sooner; or the owner with what is held of it.
            Some(Found::Whole(news @ News::Beyond(_))) if due => {
                Some(Handover { trust: Trust::Higher, news, gap: None })
            }
            Some(Found::Torn(news)) if due => {
                Some(Handover { trust: Trust::Higher, news, gap: Some(self.doubt(candidate)) })
            }
            None if rests => {
                let place = self.trail.resting(&candidate.trail);
                // It says nothing of what the candidate tells: it stands still, and has done so for nobody knows how long.
                let stalled = place == 0 && (!candidate.told.is_empty() || self.is_behind(candidate));
                Some(Handover {
                    trust,
                    news: News::After(place),
                    gap: stalled.then(|| self.doubt(candidate)),
                })
            }
            // Both tell and never met: which of it the owner has still to tell, and no longer may, nobody knows.
            None => (now >= self.meet_by(candidate, wanted)).then(|| Handover {
                trust,
                news: News::After(usize::MAX),
                gap: Some(self.doubt(candidate)),
            }),
            Some(_) => None,
        }
    }

    /// What of the candidate is news, if the owner is found in what it told.
    fn find(&self, candidate: &Candidate) -> Option<Found> {
        match self.trail.place(&candidate.trail) {
            Place::After(place) if place < candidate.folded() => Some(Found::Torn(News::After(place))),
            Place::After(place) => Some(Found::Whole(News::After(place))),
            Place::Beyond(more) => Some(Found::Whole(News::Beyond(more))),
            Place::Unknown => None,
        }
    }

    /// When it is no longer waited for that the owner is found in what the candidate tells. One that is behind the owner would tell
    /// again what is told already: it has as much time again to come up with it.
    fn meet_by(&self, candidate: &Candidate, wanted: Wanted) -> Instant {
        let patience =
            if candidate.last_told() < self.known_at { ALIGN_DEADLINE * 2 } else { ALIGN_DEADLINE };
        wanted.since + patience
    }

    /// When the owner will have been silent for long enough.
    fn rests_at(&self, candidate: &Candidate, wanted: Wanted) -> Instant {
        let begun = wanted.since.max(candidate.unsaid);
        self.heard.map_or(begun, |heard| heard.max(begun)) + self.settle
    }

    /// When time alone may let the candidate take over.
    pub(super) fn decides_at(&self, candidate: &Candidate) -> Option<Instant> {
        let waits = Some(candidate.unsaid + LOOKS_AGAIN);
        match (self.owner?.state, self.wanted) {
            (OwnerState::Dead, _) => waits,
            (_, Some(Wanted { owner: Owner::Dead, since, .. })) => Some(since + OWNER_DRAIN),
            (_, Some(wanted)) if wanted.epoch != candidate.epoch => None,
            (OwnerState::Silent { .. }, Some(_)) => waits,
            (OwnerState::Away | OwnerState::Alive | OwnerState::Detached, Some(wanted)) => {
                Some(self.rests_at(candidate, wanted).min(self.meet_by(candidate, wanted)))
            }
            (
                OwnerState::Away | OwnerState::Alive | OwnerState::Detached | OwnerState::Silent { .. },
                None,
            ) => None,
        }
    }

    /// Whether the owner told anything since the candidate has its load, or saw it since.
    fn told_after(&self, candidate: &Candidate) -> bool {
        self.known_at > candidate.loaded_at || self.heard.is_some_and(|heard| heard >= candidate.loaded)
    }

    /// Whether the candidate's load shows what the owner never told.
    fn is_behind(&self, candidate: &Candidate) -> bool {
        let counts = |register: &Register| !matches!(register, Register::Points | Register::Suspended);
        let mut counters = candidate.registers.iter().filter(|(register, _)| counts(register));
        counters.any(|(register, value)| self.registers.get(register).is_some_and(|ours| ours < value))
    }

    /// The time of which neither the owner nor the candidate is known to have told everything.
    fn doubt(&self, candidate: &Candidate) -> (i64, i64) {
        if self.told_after(candidate) {
            (
                // One that is far behind has not even told what was before the load.
                candidate.loaded_at.min(self.known_at),
                candidate.last_told(),
            )
        } else {
            (self.known_at, candidate.loaded_at)
        }
    }

    /// The candidate owns the match.
    pub(super) fn adopt(&mut self, handover: Handover, version: u64, now: Instant, out: &mut Outcome) {
        let (Some(candidate), Some(owner)) = (self.candidate.take(), self.owner) else { return };
        let Handover { trust, news, gap } = handover;
        let mut candidate = *candidate;
        // A gap without length hides nothing.
        if let Some((from, to)) = gap.filter(|(from, to)| from < to && !self.gap_open) {
            let reason = match owner.state {
                OwnerState::Dead | OwnerState::Detached => "worker_died",
                OwnerState::Alive if self.told_after(&candidate) => "moved",
                OwnerState::Alive | OwnerState::Silent { .. } | OwnerState::Away => "worker_silent",
            };
            self.open_gap(from, reason, out);
            candidate.at = candidate.at.max(to);
        }
        let place = match news {
            News::After(place) => place,
            News::Beyond(_) => usize::MAX,
        };
        for _ in candidate.folded()..place.min(candidate.trail.len()) {
            candidate.take_oldest();
        }
        let seen = candidate.seen(if self.gap_open { Mode::Recovered } else { Mode::Seen }, version);
        let at = candidate.at;
        self.owner =
            Some(Writer { epoch: candidate.epoch, source: candidate.source, state: OwnerState::Alive });
        self.facts = candidate.facts.clone();
        self.ended = false;
        self.lower = None;
        self.known_at = self.known_at.max(at);
        self.wanted = self.wanted.filter(|wanted| wanted.epoch > candidate.epoch);
        match news {
            News::After(_) => {
                self.repeats = 0;
                self.trail = Trail::of(candidate.trail.iter().take(candidate.folded()));
                self.merge(&candidate.registers, trust, seen, now, out);
            }
            // Its registers are older than those that stand.
            News::Beyond(more) => self.repeats = more,
        }
        self.close_gap(at, out);
        out.switched = Some(candidate.epoch);
        out.changed = Changed::State;
        for Told { n, version, observation } in &candidate.told {
            self.observe_owner((*n, candidate.epoch, *version), observation, now, out);
        }
    }

    /// Whether the owner, who is behind the one before it, says what that one told already. What does not follow there was
    /// never told, or the place was a wrong one: nobody knows what is lost.
    pub(super) fn repeats(&mut self, print: u64, at: i64, out: &mut Outcome) -> bool {
        if self.repeats == 0 {
            return false;
        }
        out.changed = Changed::State;
        let left = self.trail.after(print, self.repeats);
        self.repeats = left.unwrap_or(0);
        if left.is_none() && self.known_at < at {
            self.open_gap(self.known_at, "moved", out);
            self.close_gap(at, out);
        }
        left.is_some()
    }
}
