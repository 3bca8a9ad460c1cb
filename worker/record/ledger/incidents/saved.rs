//! What is known of a match's incidents as the saved ledger keeps it: explicit types, part of its golden texts.
//!
//! What is counted (goals, and what registers count) is kept whole as far as [`MAX_COUNTED`] goes, of the rest the newest
//! [`MAX_SAVED`]. Of older ones the store knows the ids, so that a copy of them is no row after a restart; an edit or a taking
//! back of them is not seen then. What was held waits anew.

use super::registers::{Standing, is_countable};
use super::verify::{Difference, Told, Verification};
use super::{Incident, Incidents, Key, Name, Ordering, Slot, State};
use crate::record::ledger::event::{Color, EventType, NewEvent, Payload};
use crate::record::ledger::{Ledger, Step};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::time::{Duration, Instant};
use touchline_common::model::{Epoch, Register};

/// The most happenings of a match that outlive the recorder, of those that are counted,
pub const MAX_COUNTED: usize = 500;
/// and of the rest: each change writes them all.
pub const MAX_SAVED: usize = 200;

#[derive(Serialize, Deserialize)]
pub struct IncidentsV1 {
    /// Of a source without an order of its own: how many are held, and for how many milliseconds.
    held: Option<(usize, u64)>,
    slots: Vec<SlotV1>,
    steps: Vec<StepV1>,
    base: Vec<(Register, i64)>,
    deleted: Vec<String>,
    arrived: u64,
    refused: u64,
    /// Those that are told: the register's value, and what incidents state, and which of the match's it is.
    differences: Vec<(Register, i64, i64, u32)>,
    differences_told: u32,
}

#[derive(Serialize, Deserialize)]
struct SlotV1 {
    incident: Incident,
    state: State,
    named_by: Name,
    k: u32,
    revision: u32,
    /// Period, clock, and the arrival where the source has an order of its own.
    place: (u8, u32, u64),
    order: i64,
    late: bool,
    score: Option<(i64, i64)>,
}

/// What does not follow from the step alone.
#[derive(Serialize, Deserialize)]
struct StepV1 {
    step: Step,
    clock: Option<u32>,
    period: Option<String>,
    at: i64,
    epoch: u64,
    version: u64,
    order: i64,
    score: Option<(i64, i64)>,
    recovered: bool,
    revision: u32,
    shown: Option<Incident>,
}

impl Slot {
    fn is_counted(&self) -> bool {
        let stands = self.state == State::Told || self.state == State::Beside;
        stands && (self.state == State::Beside || self.incident.kind == EventType::Goal)
    }
}

impl Incidents {
    pub fn saved(&self) -> IncidentsV1 {
        let mut newest: Vec<(usize, &Slot)> = self.slots.iter().enumerate().collect();
        newest.sort_by_key(|(index, slot)| Reverse((slot.turn, *index)));
        let (mut kept, mut rest): (Vec<_>, Vec<_>) =
            newest.into_iter().partition(|(_, slot)| slot.is_counted());
        kept.truncate(MAX_COUNTED);
        rest.truncate(MAX_SAVED);
        kept.append(&mut rest);
        kept.sort_by_key(|(index, _)| *index);
        let held = match self.ordering {
            Ordering::AsSent => None,
            Ordering::ByClock { held, wait } => {
                Some((held, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
            }
        };
        IncidentsV1 {
            held,
            slots: kept.into_iter().map(|(_, slot)| self.saved_slot(slot)).collect(),
            steps: self
                .of_registers
                .stands
                .iter()
                .map(|(step, standing)| saved_step(*step, standing))
                .collect(),
            base: self.of_registers.base.iter().map(|(register, value)| (*register, *value)).collect(),
            deleted: self.deleted.iter().cloned().collect(),
            arrived: self.arrived,
            refused: self.refused,
            differences: self.verification.saved(),
            differences_told: self.verification.told,
        }
    }

    fn saved_slot(&self, slot: &Slot) -> SlotV1 {
        let Key(period, clock, last) = slot.key;
        let arrival = match self.ordering {
            Ordering::AsSent => u64::try_from(last).unwrap_or(u64::MAX),
            Ordering::ByClock { .. } => 0,
        };
        SlotV1 {
            incident: slot.incident.clone(),
            state: slot.state,
            named_by: slot.named_by,
            k: slot.k,
            revision: slot.revision,
            place: (period, clock, arrival),
            order: slot.order,
            late: slot.late,
            score: slot.score,
        }
    }

    fn restore_slot(&mut self, saved: SlotV1, now: Instant) {
        let SlotV1 { incident, state, named_by, k, revision, place, order, late, score } = saved;
        let (period, clock, arrival) = place;
        let last = match self.ordering {
            Ordering::AsSent => arrival.into(),
            Ordering::ByClock { .. } => self.id_of(&incident, named_by, 0).number(),
        };
        let (index, key) = (self.slots.len(), Key(period, clock, last));
        // A taken back one has the id that it had.
        let id = self.id_of(&incident, named_by, k);
        self.index(index, &incident);
        match state {
            State::Held => {
                self.held.insert(key, index);
                match self.ordering {
                    Ordering::AsSent => {}
                    Ordering::ByClock { wait, .. } => self.due.push_back((now + wait, index)),
                }
            }
            State::Told => {
                self.told.insert(key, index);
                if is_countable(incident.kind) {
                    self.countable.insert(key, index);
                }
                if incident.kind == EventType::Goal {
                    self.goals.insert(key, index);
                }
            }
            State::Beside => _ = self.beside.insert(key, index),
            State::Gone => {}
        }
        self.slots.push(Slot {
            incident,
            id,
            state,
            named_by,
            k,
            revision,
            key,
            order,
            late,
            score,
            turn: 0,
        });
    }
}

fn saved_step(step: Step, standing: &Standing) -> StepV1 {
    let Standing { event, revision, shown } = standing;
    StepV1 {
        step,
        clock: event.clock,
        period: event.period.map(str::to_owned),
        at: event.at,
        epoch: event.epoch.0,
        version: event.version,
        order: event.order,
        score: event.score,
        recovered: event.recovered,
        revision: *revision,
        shown: shown.clone(),
    }
}

impl Verification {
    fn saved(&self) -> Vec<(Register, i64, i64, u32)> {
        let told = |(register, difference): (&Register, &Difference)| match difference.state {
            Told::No(_) => None,
            Told::Yes(n) => Some((*register, difference.value, difference.stated, n)),
        };
        self.differences.iter().filter_map(told).collect()
    }

    fn restored(saved: Vec<(Register, i64, i64, u32)>, told: u32) -> Verification {
        let difference =
            |(register, value, stated, n)| (register, Difference { value, stated, state: Told::Yes(n) });
        let differences = saved.into_iter().map(difference).collect();
        Verification { differences, told, ..Verification::default() }
    }
}

impl Ledger {
    /// Over a ledger whose registers and steps are restored.
    pub(in crate::record::ledger) fn restore_incidents(&mut self, saved: IncidentsV1) {
        let IncidentsV1 { held, slots, steps, base, deleted, arrived, refused, .. } = saved;
        let ordering = held.map_or(Ordering::AsSent, |(held, wait)| Ordering::ByClock {
            held,
            wait: Duration::from_millis(wait),
        });
        let base = base.into_iter().collect();
        let mut incidents = Incidents::new(self.scope.clone(), ordering, base);
        (incidents.arrived, incidents.refused, incidents.touched) = (arrived, refused, false);
        incidents.deleted = deleted.into();
        incidents.set_made(self.made_by_registers());
        let now = Instant::now();
        for slot in slots {
            incidents.restore_slot(slot, now);
        }
        for saved in steps {
            let (step, revision, shown) = (saved.step, saved.revision, saved.shown.clone());
            let event = self.event_of_step(saved);
            incidents.of_registers.stands.insert(step, Standing { event, revision, shown });
        }
        incidents.verification = Verification::restored(saved.differences, saved.differences_told);
        incidents.count_steps();
        incidents.recount = false;
        self.incidents = Some(Box::new(incidents));
    }

    fn event_of_step(&self, saved: StepV1) -> NewEvent {
        let step = saved.step;
        let Step(kind, color, side, _, n) = step;
        let (payload, is_red) = match (kind, color) {
            (EventType::Card, 2) => (Payload::Card { color: Color::Red, n }, true),
            (EventType::Card, _) => (Payload::Card { color: Color::Yellow, n }, false),
            (EventType::MatchStarted | EventType::MatchEnded, _) => (Payload::None {}, false),
            (EventType::PeriodStart | EventType::PeriodEnd, _) => (Payload::Period { period: n }, false),
            _ => (Payload::Count { n }, false),
        };
        NewEvent {
            id: self.step_id(&step),
            revision: 0,
            retracts: None,
            kind,
            lane: super::events::lane(kind, is_red),
            side,
            clock: saved.clock,
            period: saved.period.and_then(|period| self.phase_named(&period)),
            at: saved.at,
            feed_at: None,
            epoch: Epoch(saved.epoch),
            version: saved.version,
            order: saved.order,
            score: saved.score,
            late: false,
            recovered: saved.recovered,
            payload,
        }
    }
}
