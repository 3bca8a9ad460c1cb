//! Whether a feed's server leaves out deltas of what it grants, judged by fresh snapshots. Pure.
//!
//! A server that goes on above its cap serves the matches that were subscribed last only in part. So where a connection holds more than was
//! proven, its newest matches are audited: each is subscribed again and its snapshot compared with what is held. If some miss deltas, the
//! others of that connection are audited as well, and the cap is what was served. The surplus moves to other connections and is verified there
//! once; where it still misses deltas, the cap is not the reason, and no more is audited. Called by `auditing`.

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use touchline_common::ipc::messages::worker::Finding;
use touchline_common::model::{MatchKey, SlotId};

/// The newest matches of a connection, which are audited first.
const NEWEST: usize = 3;
/// So many deltas and none missing is served in full; of fewer, all may have come by chance.
const PROOF: u32 = 5;
/// How long all findings of a look may take: a connection subscribes at its own rate.
const LOOK_FOR: Duration = Duration::from_secs(75);
/// From a look that proved nothing, since no match changed, to the next.
const AGAIN_AFTER: Duration = Duration::from_secs(20);
const VERIFY_FOR: Duration = Duration::from_secs(75);
/// From the subscription of a moved match to its audit, so that it has changed.
const VERIFY_AFTER: Duration = Duration::from_secs(5);

/// What is known of the deltas that a feed's server leaves out.
#[derive(Debug, Default)]
pub(in crate::pool) struct Auditor {
    /// Some connection was served in full with so many subscriptions.
    proven: u32,
    stage: Stage,
    /// No look begins before.
    next_at: Duration,
    /// Connections that were above the cap when it was learned. What they keep may be thinned until it is subscribed again.
    refresh: BTreeSet<SlotId>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct Counts {
    pub(in crate::pool) audits: u64,
    pub(in crate::pool) missed: u64,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    Looking(Look),
    Verifying(Verification),
    /// Snapshots differ from deltas whatever is held: they are no sign of a cap.
    Off,
}

#[derive(Clone, Debug)]
pub(in crate::pool) struct Connection {
    pub(in crate::pool) slot: SlotId,
    pub(in crate::pool) held: u32,
    /// Its matches with their topics, the oldest first.
    pub(in crate::pool) matches: Vec<(MatchKey, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Purpose {
    /// It holds more than was proven.
    Surplus,
    /// It holds one match more than was learned.
    Probe,
}

#[derive(Debug)]
struct Look {
    there: Connection,
    purpose: Purpose,
    /// What was found of each match that is audited; `None`: still awaited.
    findings: BTreeMap<MatchKey, Option<Verdict>>,
    until: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Served,
    Missed,
    /// It did not change, or could not be compared.
    Unknown,
}

/// The surplus of a connection on its way to others.
#[derive(Debug)]
struct Verification {
    origin: SlotId,
    moved: BTreeMap<MatchKey, Verified>,
    missed: usize,
    until: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verified {
    NotYet,
    Asked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Conclusion {
    /// Some miss deltas: these others of the connection are to be audited, too.
    AuditAlso { slot: SlotId, keys: Vec<MatchKey> },
    /// Nothing follows for the cap.
    Looked(Summary),
    /// The connection is served in full with so many subscriptions and no more.
    Surplus { summary: Summary, granted: u32 },
    /// The match more than was learned.
    Probed { summary: Summary, outcome: Probed },
    /// What was moved misses deltas where fewer are held, too.
    Unproven,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Summary {
    pub(in crate::pool) slot: SlotId,
    pub(in crate::pool) held: u32,
    pub(in crate::pool) audited: usize,
    pub(in crate::pool) missed: usize,
}

/// What became of one match more than was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Probed {
    Served,
    /// It misses deltas and others do not.
    Thinned,
    /// The others miss some as well: deltas are no sign here.
    Unlike,
    /// It did not change.
    Unknown,
}

impl Auditor {
    /// So many subscriptions of one connection are known to be served in full.
    pub(in crate::pool) fn proven(&self) -> u32 {
        self.proven
    }

    pub(in crate::pool) fn counts(&self) -> Counts {
        self.counts
    }

    pub(in crate::pool) fn may_look(&self, now: Duration) -> bool {
        matches!(self.stage, Stage::Idle) && now >= self.next_at
    }

    /// Whether snapshots are known to be no sign here.
    pub(in crate::pool) fn is_off(&self) -> bool {
        matches!(self.stage, Stage::Off)
    }

    /// Whether this match is known to miss deltas and is on its way elsewhere.
    pub(in crate::pool) fn is_surplus(&self, key: &MatchKey) -> bool {
        matches!(&self.stage, Stage::Verifying(of) if of.moved.contains_key(key))
    }

    /// Looks at a connection. Gives the matches to audit: its newest.
    pub(in crate::pool) fn look(
        &mut self,
        there: Connection,
        purpose: Purpose,
        now: Duration,
    ) -> Vec<MatchKey> {
        let newest: Vec<MatchKey> =
            there.matches.iter().rev().take(NEWEST).map(|(key, _)| key.clone()).collect();
        let findings = newest.iter().map(|key| (key.clone(), None)).collect();
        self.stage = Stage::Looking(Look { there, purpose, findings, until: now + LOOK_FOR });
        newest
    }

    pub(in crate::pool) fn found(&mut self, key: &MatchKey, at: SlotId, finding: Finding) {
        self.counts.audits += 1;
        let verdict = Verdict::of(finding);
        self.counts.missed += u64::from(verdict == Verdict::Missed);
        match &mut self.stage {
            Stage::Looking(look) if look.there.slot == at => {
                if let Some(awaited) = look.findings.get_mut(key) {
                    awaited.get_or_insert(verdict);
                }
            }
            Stage::Verifying(of) if of.origin != at && of.moved.get(key) == Some(&Verified::Asked) => {
                of.moved.remove(key);
                of.missed += usize::from(verdict == Verdict::Missed);
            }
            Stage::Idle | Stage::Looking(_) | Stage::Verifying(_) | Stage::Off => {}
        }
    }

    pub(in crate::pool) fn conclude(&mut self, now: Duration) -> Option<Conclusion> {
        match std::mem::take(&mut self.stage) {
            Stage::Looking(look) if look.is_over(now) => Some(self.conclude_look(look, now)),
            Stage::Verifying(of) if of.missed == 0 && (of.moved.is_empty() || now >= of.until) => None,
            Stage::Verifying(of) if of.missed > 0 => {
                self.stage = Stage::Off;
                Some(Conclusion::Unproven)
            }
            unchanged @ (Stage::Idle | Stage::Looking(_) | Stage::Verifying(_) | Stage::Off) => {
                self.stage = unchanged;
                None
            }
        }
    }

    fn conclude_look(&mut self, mut look: Look, now: Duration) -> Conclusion {
        let summary = look.summary();
        if look.purpose == Purpose::Probe {
            let outcome = look.probed();
            match outcome {
                Probed::Served => self.proven = self.proven.max(look.there.held),
                Probed::Thinned | Probed::Unlike | Probed::Unknown => self.next_at = now + AGAIN_AFTER,
            }
            return Conclusion::Probed { summary, outcome };
        }
        let served = look.verdicts().any(|verdict| verdict == Verdict::Served);
        if summary.missed == 0 {
            if served {
                self.proven = self.proven.max(look.there.held);
            } else {
                self.next_at = now + AGAIN_AFTER;
            }
            return Conclusion::Looked(summary);
        }
        let others = look.ask_others(now);
        if !others.is_empty() {
            let slot = look.there.slot;
            self.stage = Stage::Looking(look);
            return Conclusion::AuditAlso { slot, keys: others };
        }
        if !served {
            // Snapshots always differ here, or there is nothing to compare with.
            self.proven = self.proven.max(look.there.held);
            return Conclusion::Looked(summary);
        }
        let surplus = look.surplus();
        let granted = look.there.held.saturating_sub(surplus.iter().map(|(_, topics)| topics).sum());
        self.proven = granted;
        self.stage = Stage::Verifying(Verification {
            origin: look.there.slot,
            moved: surplus.into_iter().map(|(key, _)| (key, Verified::NotYet)).collect(),
            missed: 0,
            until: now + VERIFY_FOR,
        });
        Conclusion::Surplus { summary, granted }
    }

    /// The connection whose surplus moves, and what of it was not audited since.
    pub(in crate::pool) fn unverified(&self) -> Option<(SlotId, Vec<MatchKey>)> {
        let Stage::Verifying(of) = &self.stage else { return None };
        let keys = of.moved.iter().filter(|(_, verified)| **verified == Verified::NotYet);
        Some((of.origin, keys.map(|(key, _)| key.clone()).collect()))
    }

    /// Whether a moved match, subscribed elsewhere at `since`, is to be audited now.
    pub(in crate::pool) fn verify(&mut self, key: &MatchKey, since: Duration, now: Duration) -> bool {
        let Stage::Verifying(of) = &mut self.stage else { return false };
        let Some(verified) = of.moved.get_mut(key).filter(|verified| **verified == Verified::NotYet) else {
            return false;
        };
        let due = now >= since + VERIFY_AFTER;
        if due {
            *verified = Verified::Asked;
        }
        due
    }

    /// The cap was learned; this connection holds more.
    pub(in crate::pool) fn refresh_later(&mut self, slot: SlotId) {
        self.refresh.insert(slot);
    }

    /// The connections that were above the cap and whose matches were not subscribed again since.
    pub(in crate::pool) fn to_refresh(&self) -> impl Iterator<Item = SlotId> {
        self.refresh.iter().copied()
    }

    pub(in crate::pool) fn refreshed(&mut self, slot: SlotId) {
        self.refresh.remove(&slot);
    }

    pub(in crate::pool) fn gone(&mut self, slot: SlotId) {
        self.refresh.remove(&slot);
        if matches!(&self.stage, Stage::Looking(look) if look.there.slot == slot) {
            self.stage = Stage::Idle;
        }
    }
}

impl Verdict {
    fn of(finding: Finding) -> Verdict {
        match finding {
            Finding::Missed { .. } => Verdict::Missed,
            Finding::Whole { deltas } if deltas >= PROOF => Verdict::Served,
            Finding::Whole { .. } | Finding::Void => Verdict::Unknown,
        }
    }
}

impl Look {
    fn is_over(&self, now: Duration) -> bool {
        now >= self.until || self.findings.values().all(Option::is_some)
    }

    fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.findings.values().map(|found| found.unwrap_or(Verdict::Unknown))
    }

    fn verdict(&self, key: &MatchKey) -> Verdict {
        self.findings.get(key).copied().flatten().unwrap_or(Verdict::Unknown)
    }

    fn summary(&self) -> Summary {
        Summary {
            slot: self.there.slot,
            held: self.there.held,
            audited: self.findings.len(),
            missed: self.verdicts().filter(|verdict| *verdict == Verdict::Missed).count(),
        }
    }

    /// Those that were not audited yet; they are awaited from now on.
    fn ask_others(&mut self, now: Duration) -> Vec<MatchKey> {
        let others: Vec<MatchKey> = (self.there.matches.iter().map(|(key, _)| key))
            .filter(|key| !self.findings.contains_key(*key))
            .cloned()
            .collect();
        self.findings.extend(others.iter().map(|key| (key.clone(), None)));
        self.until = now + LOOK_FOR;
        others
    }

    /// What is not served in full. A match that proved nothing is taken for what the next older one is that did.
    fn surplus(&self) -> Vec<(MatchKey, u32)> {
        let mut last = Verdict::Served;
        let mut surplus = Vec::new();
        for (key, topics) in &self.there.matches {
            match self.verdict(key) {
                verdict @ (Verdict::Served | Verdict::Missed) => last = verdict,
                Verdict::Unknown => {}
            }
            if last == Verdict::Missed {
                surplus.push((key.clone(), *topics));
            }
        }
        surplus
    }

    fn probed(&self) -> Probed {
        let newest_first = self.there.matches.iter().rev().take(NEWEST);
        let mut verdicts = newest_first.map(|(key, _)| self.verdict(key));
        match verdicts.next() {
            Some(Verdict::Served) => Probed::Served,
            Some(Verdict::Missed) if verdicts.any(|verdict| verdict == Verdict::Served) => Probed::Thinned,
            Some(Verdict::Missed) => Probed::Unlike,
            Some(Verdict::Unknown) | None => Probed::Unknown,
        }
    }
}
