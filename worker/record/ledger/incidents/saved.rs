//! What is known of a match's incidents as the store keeps it: explicit types, with golden texts.
//!
//! Each happening, and each event of a register that incidents tell more of, is a part of its own beside the ledger's text, so that a
//! commit writes what changed and not all of them. What was held waits anew.

use super::registers::{Standing, is_countable};
use super::verify::{Difference, Told, Verification};
use super::{Incident, Incidents, Key, Name, Ordering, Slot, State};
use crate::record::ledger::event::{Color, EventType, NewEvent, Payload};
use crate::record::ledger::saved::Part;
use crate::record::ledger::{Ledger, Step};
use serde::de::Error;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use touchline_common::ipc::messages::data::Extent;
use touchline_common::model::{Epoch, Register};

/// The name of a happening's part, before its number,
const HAPPENING: &str = "incident:";
/// and that of a register's event, before its step.
const STEP: &str = "step:";

/// The second form; the first had the happenings and steps in it, which are read all the same.
#[derive(Serialize, Deserialize)]
pub struct IncidentsV2 {
    /// Of a source without an order of its own: how many are held, and for how many milliseconds.
    held: Option<(usize, u64)>,
    #[serde(default, skip_serializing)]
    slots: Vec<SlotV1>,
    #[serde(default, skip_serializing)]
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

impl Incidents {
    /// All but what is in parts of its own.
    pub fn saved(&self) -> IncidentsV2 {
        let held = match self.ordering {
            Ordering::AsSent => None,
            Ordering::ByClock { held, wait } => {
                Some((held, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
            }
        };
        IncidentsV2 {
            held,
            slots: Vec::new(),
            steps: Vec::new(),
            base: self.of_registers.base.iter().map(|(register, value)| (*register, *value)).collect(),
            deleted: self.deleted.iter().cloned().collect(),
            arrived: self.arrived,
            refused: self.refused,
            differences: self.verification.saved(),
            differences_told: self.verification.told,
        }
    }

    /// The parts that have changed since they were committed, and what the store has beside them.
    pub fn parts(&self) -> Result<(Extent, Vec<Part>), serde_json::Error> {
        let mut parts = Vec::new();
        for (number, slot) in self.slots.unsaved() {
            let body = serde_json::to_string(&self.saved_slot(slot))?;
            parts.push((format!("{HAPPENING}{number}"), Some(body)));
        }
        for (step, standing) in self.of_registers.unsaved() {
            let body = standing.map(|standing| serde_json::to_string(&saved_step(step, standing)));
            parts.push((format!("{STEP}{}", serde_json::to_string(&step)?), body.transpose()?));
        }
        Ok((self.extent, parts))
    }

    /// The store has all as it is.
    pub fn committed(&mut self) {
        self.extent = Extent::Changes;
        self.slots.committed();
        self.of_registers.committed();
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

/// Happenings in the order of their numbers, which have no holes, and steps.
fn read_parts(parts: &[(String, String)]) -> Result<(Vec<SlotV1>, Vec<StepV1>), serde_json::Error> {
    let (mut slots, mut steps) = (Vec::new(), Vec::new());
    for (name, body) in parts {
        if let Some(number) = name.strip_prefix(HAPPENING) {
            let number: usize = number.parse().map_err(Error::custom)?;
            slots.push((number, serde_json::from_str(body)?));
        } else {
            steps.push(serde_json::from_str(body)?);
        }
    }
    slots.sort_by_key(|(number, _)| *number);
    if let Some((place, _)) = slots.iter().enumerate().find(|(place, (number, _))| place != number) {
        return Err(Error::custom(format_args!("the part {HAPPENING}{place} is missing")));
    }
    Ok((slots.into_iter().map(|(_, slot)| slot).collect(), steps))
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
    ///
    /// # Errors
    /// When a part is none, or missing.
    pub(in crate::record::ledger) fn restore_incidents(
        &mut self,
        mut saved: IncidentsV2,
        parts: &[(String, String)],
    ) -> Result<(), serde_json::Error> {
        let (slots, steps) = (std::mem::take(&mut saved.slots), std::mem::take(&mut saved.steps));
        if slots.is_empty() && steps.is_empty() {
            let (slots, steps) = read_parts(parts)?;
            self.restore_all(saved, slots, steps);
            self.incidents.iter_mut().for_each(|incidents| incidents.committed());
        } else {
            // Of the first form: its parts are written with the next commit.
            self.restore_all(saved, slots, steps);
        }
        Ok(())
    }

    fn restore_all(&mut self, saved: IncidentsV2, slots: Vec<SlotV1>, steps: Vec<StepV1>) {
        let IncidentsV2 { held, base, deleted, arrived, refused, .. } = saved;
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
            incidents.of_registers.stand(step, Standing { event, revision, shown });
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
