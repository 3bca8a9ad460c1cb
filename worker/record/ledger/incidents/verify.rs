//! Whether a match's incidents and its registers count the same.
//!
//! A difference that stands unchanged for [`DIFFERS_FOR`] is told once, and once more when it is over; one of the two is
//! often some seconds behind the other. Nothing is compared in a gap or while values wait to be believed, nor what cannot
//! be counted: types of which a standing incident does not say whose it is. Called by `Ledger::advance`.

use super::Incidents;
use crate::record::ledger::event::{EventType, Lane, Payload};
use crate::record::ledger::steps::{Mode, Seen};
use crate::record::ledger::{Ledger, Outcome, Report};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use touchline_common::model::{Register, Registers};

/// How long a difference stands before it is told.
pub const DIFFERS_FOR: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Of the register.
    pub(super) value: i64,
    /// By incidents.
    pub(super) stated: i64,
    pub(super) state: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It stands since then.
    No(Instant),
    /// As the `n`-th of the match.
    Yes(u32),
}

/// What is compared, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verification {
    /// How many of each register incidents state; none where that cannot be said. Once there was one, it stays.
    pub(super) counts: BTreeMap<Register, Option<i64>>,
    pub(super) differences: BTreeMap<Register, Difference>,
    /// How many were told.
    pub(super) told: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finding {
    register: Register,
    n: u32,
    value: i64,
    stated: i64,
    healed: bool,
}

impl Verification {
    pub(super) fn set_counts(&mut self, counts: BTreeMap<Register, Option<i64>>, base: &Registers) {
        let before = std::mem::replace(&mut self.counts, counts);
        for register in before.into_keys().chain(self.differences.keys().copied()) {
            self.counts.entry(register).or_insert(Some(base.get(&register).copied().unwrap_or(0)));
        }
    }

    fn compare(&mut self, registers: &Registers, now: Instant) -> Vec<Finding> {
        let mut found = Vec::new();
        for (register, stated) in &self.counts {
            let (Some(stated), Some(value)) = (*stated, registers.get(register).copied()) else { continue };
            let finding = |n, healed| Finding { register: *register, n, value, stated, healed };
            let fresh = Difference { value, stated, state: Told::No(now) };
            match self.differences.get_mut(register) {
                None if value == stated => {}
                None => _ = self.differences.insert(*register, fresh),
                Some(before) if value == stated => {
                    if let Told::Yes(n) = before.state {
                        found.push(finding(n, true));
                    }
                    self.differences.remove(register);
                }
                Some(before) => match before.state {
                    Told::Yes(_) => {}
                    Told::No(_) if (before.value, before.stated) != (value, stated) => *before = fresh,
                    Told::No(since) if now >= since + DIFFERS_FOR => {
                        self.told = self.told.saturating_add(1);
                        before.state = Told::Yes(self.told);
                        found.push(finding(self.told, false));
                    }
                    Told::No(_) => {}
                },
            }
        }
        found
    }

    /// What was not told begins anew.
    fn pause(&mut self) {
        self.differences.retain(|_, difference| matches!(difference.state, Told::Yes(_)));
    }

    /// When time alone may tell a difference.
    fn deadline(&self) -> Option<Instant> {
        let since = self.differences.values().filter_map(|difference| match difference.state {
            Told::No(since) => Some(since + DIFFERS_FOR),
            Told::Yes(_) => None,
        });
        since.min()
    }
}

impl Incidents {
    /// When time alone may change something.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due).into_iter().chain(self.verification.deadline()).min()
    }
}

impl Ledger {
    pub(in crate::record::ledger) fn verify_incidents(&mut self, at: i64, now: Instant, out: &mut Outcome) {
        let is_settling = self.gap.open || self.waiting.is_some();
        let Some(incidents) = &mut self.incidents else { return };
        if is_settling {
            return incidents.verification.pause();
        }
        let found = incidents.verification.compare(&self.known.registers, now);
        let epoch = self.epoch().unwrap_or_default();
        for Finding { register, n, value, stated, healed } in found {
            let id = self.scope.phase(EventType::Mismatch, 0, n.into(), healed.into());
            let payload =
                Payload::Differs { register: format!("{register:?}"), value, incidents: stated, healed };
            let mut seen = Seen::new(Report::unstated(epoch, at), Mode::Seen, &mut out.events);
            self.push(id, EventType::Mismatch, Lane::Normal, None, payload, &mut seen);
            out.changed = true;
        }
    }
}
