//! One source per type: what registers of the match tell, incidents only tell more of.
//!
//! The `n`-th standing incident of a type and side belongs to the register's step to `n`: that event is revised with what
//! the incident states, and revised back when the incident goes. An incident whose step was not told waits for it. Pure;
//! `Ledger` says which steps stand.

use super::{Incident, Incidents, Key, State, Telling};
use crate::record::ledger::Step;
use crate::record::ledger::event::{EventType, NewEvent};
use crate::record::ledger::identity::EventId;
use std::collections::{BTreeMap, BTreeSet};
use touchline_common::model::{Register, Registers, Side};

/// The most events of registers that are remembered for incidents; further ones stay as they are.
pub const MAX_STEPS_KEPT: usize = 500;

/// An event that a register made and that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) event: NewEvent,
    pub(super) revision: u32,
    /// What its newest revision says beyond the register.
    pub(super) shown: Option<Incident>,
}

/// What the match's registers tell, as far as incidents need to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OfRegisters {
    /// The types that registers make.
    pub(super) made: BTreeSet<EventType>,
    stands: BTreeMap<Step, Standing>,
    /// Those that have changed, or stand no more, since the last commit.
    unsaved: BTreeSet<Step>,
    /// Told by this input.
    pub(super) told: Vec<(Step, EventId)>,
    /// The registers when the source began to state incidents: it states those beyond. Empty once it stated a whole list.
    pub(super) base: Registers,
}

/// What a register's event is to say now.
#[derive(Debug)]
pub struct Revision {
    pub event: NewEvent,
    pub revision: u32,
    pub shown: Option<Incident>,
}

impl OfRegisters {
    pub(super) fn from_base(base: Registers) -> OfRegisters {
        OfRegisters { base, ..OfRegisters::default() }
    }

    pub(super) fn stand(&mut self, step: Step, standing: Standing) {
        self.unsaved.insert(step);
        self.stands.insert(step, standing);
    }

    /// Whether it stood.
    fn fall(&mut self, step: Step) -> bool {
        let stood = self.stands.remove(&step).is_some();
        if stood {
            self.unsaved.insert(step);
        }
        stood
    }

    /// Those that have changed since they were last committed; `None`: it stands no more.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = (Step, Option<&Standing>)> {
        self.unsaved.iter().map(|step| (*step, self.stands.get(step)))
    }

    /// The store has them as they are.
    pub(super) fn committed(&mut self) {
        self.unsaved.clear();
    }

    /// Whether incidents of this type are counted beside a register.
    pub(super) fn counts(&self, kind: EventType) -> bool {
        is_countable(kind) && self.made.contains(&kind)
    }
}

impl Incidents {
    pub fn set_made(&mut self, made: BTreeSet<EventType>) {
        if self.of_registers.made != made {
            (self.touched, self.recount) = (true, true);
            self.of_registers.made = made;
        }
    }

    /// A step of a register was told; its event is among those that [`Incidents::enrich`] gets.
    pub fn step_told(&mut self, step: Step, id: EventId) {
        if is_countable(step.0) {
            self.of_registers.told.push((step, id));
        }
    }

    pub fn step_taken_back(&mut self, step: Step) {
        self.of_registers.told.retain(|(told, _)| *told != step);
        if self.of_registers.fall(step) {
            (self.touched, self.recount) = (true, true);
        }
    }

    /// What registers' events are to say now; `events` are those of this input.
    pub fn enrich(&mut self, events: &[NewEvent], told: &mut Vec<Telling>) -> Vec<Revision> {
        for (step, id) in std::mem::take(&mut self.of_registers.told) {
            let event = events.iter().find(|event| event.id == id && event.revision == 0);
            if let Some(event) = event.filter(|_| self.of_registers.stands.len() < MAX_STEPS_KEPT) {
                let standing = Standing { event: event.clone(), revision: 0, shown: None };
                self.of_registers.stand(step, standing);
                (self.touched, self.recount) = (true, true);
            }
        }
        if !self.recount {
            return Vec::new();
        }
        let wanted = self.count_steps();
        let steps: Vec<Step> = self.of_registers.stands.keys().copied().collect();
        let revisions = steps
            .into_iter()
            .filter_map(|step| self.revise_step(step, wanted.get(&step).copied(), told))
            .collect();
        // What was set beside its step counts as it did.
        self.recount = false;
        revisions
    }

    /// The step that each incident of the registers' types states.
    pub(super) fn count_steps(&mut self) -> BTreeMap<Step, usize> {
        let (steps, counts) = self.steps_stated();
        self.verification.set_counts(counts, &self.of_registers.base);
        steps
    }

    fn revise_step(&mut self, step: Step, index: Option<usize>, told: &mut Vec<Telling>) -> Option<Revision> {
        let wanted = index.and_then(|index| self.slots.get(index)).map(|slot| slot.incident.clone());
        if let Some(index) = index.filter(|index| self.is_told(*index)) {
            // It came before the register was known.
            self.take_back(index, told);
            self.set_beside(index);
        }
        let standing = self.of_registers.stands.get_mut(&step)?;
        if standing.shown == wanted {
            return None;
        }
        standing.revision = standing.revision.saturating_add(1);
        standing.shown.clone_from(&wanted);
        let revision = Revision { event: standing.event.clone(), revision: standing.revision, shown: wanted };
        self.of_registers.unsaved.insert(step);
        Some(revision)
    }

    fn is_told(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.state == State::Told)
    }

    /// It is no event of its own.
    pub(super) fn set_beside(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.state = State::Beside;
        self.beside.insert(slot.key, index);
        self.touch(index);
    }

    /// The step that each incident of the registers' types states, and how many of each register there are then; those
    /// that say too little to be counted are not.
    fn steps_stated(&self) -> (BTreeMap<Step, usize>, BTreeMap<Register, Option<i64>>) {
        let made = |(_, index): &(&Key, &usize)| {
            self.slots.get(**index).is_some_and(|slot| self.of_registers.made.contains(&slot.incident.kind))
        };
        let mut all: Vec<_> = self.countable.iter().filter(made).chain(&self.beside).collect();
        all.sort();
        let mut steps = BTreeMap::new();
        let mut counts: BTreeMap<Register, Option<i64>> = BTreeMap::new();
        for (_, index) in all {
            let Some(slot) = self.slots.get(*index) else { continue };
            let incident = &slot.incident;
            let Some(register) = register_of(incident) else {
                if let Some(step) = phase_step(incident) {
                    steps.entry(step).or_insert(*index);
                }
                // What it belongs to is not known, so none of its type can be counted.
                for register in registers_of(incident.kind) {
                    counts.insert(register, None);
                }
                continue;
            };
            for register in registers_of(incident.kind) {
                let base = self.of_registers.base.get(&register).copied().unwrap_or(0);
                counts.entry(register).or_insert(Some(base));
            }
            if let Some(Some(count)) = counts.get_mut(&register) {
                *count = count.saturating_add(1);
                steps.insert(step_of(incident, *count), *index);
            }
        }
        (steps, counts)
    }
}

/// Whether a register may count a type's steps one by one, so that the `n`-th incident is the `n`-th step.
pub(super) fn is_countable(kind: EventType) -> bool {
    use EventType::{
        Card, Corner, Goal, MatchEnded, MatchStarted, Penalty, PeriodEnd, PeriodStart, Substitution, Wicket,
    };
    matches!(
        kind,
        Goal | Card
            | Corner
            | Penalty
            | Substitution
            | Wicket
            | MatchStarted
            | PeriodStart
            | PeriodEnd
            | MatchEnded
    )
}

/// A type of step, of cards their colour, and the register that counts them.
type Counter = (EventType, u8, fn(Side) -> Register);

const COUNTERS: [Counter; 7] = [
    (EventType::Goal, 0, Register::Score),
    (EventType::Card, 1, Register::YellowCards),
    (EventType::Card, 2, Register::RedCards),
    (EventType::Corner, 0, Register::Corners),
    (EventType::Penalty, 0, Register::Penalties),
    (EventType::Substitution, 0, Register::Substitutions),
    (EventType::Wicket, 0, Register::Wickets),
];

/// 1 yellow, 2 red; what is no card has none.
fn color(incident: &Incident) -> Option<u8> {
    if incident.kind != EventType::Card {
        return Some(0);
    }
    match incident.details.get("color").map(String::as_str) {
        Some("yellow") => Some(1),
        Some("red") => Some(2),
        Some(_) | None => None,
    }
}

/// As its register names it.
fn step_of(incident: &Incident, n: i64) -> Step {
    Step(incident.kind, color(incident).unwrap_or_default(), incident.side, 0, n)
}

fn phase_step(incident: &Incident) -> Option<Step> {
    let index = if matches!(incident.kind, EventType::MatchStarted | EventType::MatchEnded) {
        0
    } else if matches!(incident.kind, EventType::PeriodStart | EventType::PeriodEnd) {
        i64::from(incident.period?)
    } else {
        return None;
    };
    Some(Step(incident.kind, 0, None, 0, index))
}

/// The register whose step an incident states, if it says enough.
fn register_of(incident: &Incident) -> Option<Register> {
    let (side, color) = (incident.side?, color(incident)?);
    let counts = |counter: &&(EventType, u8, _)| (counter.0, counter.1) == (incident.kind, color);
    COUNTERS.iter().find(counts).map(|(_, _, register)| register(side))
}

/// The registers that count a type's steps.
fn registers_of(kind: EventType) -> impl Iterator<Item = Register> {
    let counters = COUNTERS.iter().filter(move |counter| counter.0 == kind);
    counters.flat_map(|(_, _, register)| Side::BOTH.map(register))
}
