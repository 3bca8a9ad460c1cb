//! The processes: workers in their slots and the services, how each lives and dies, and what is learned of deaths.
//!
//! Invariants: a child's state changes by [`life::Life::advance`] alone; a slot has no process while it is parked; a generation is never
//! used twice. `reports` and `recorder` read what children send, `processes` acts on what becomes of them.

pub(super) mod breaker;
pub(super) mod deaths;
pub(super) mod jitter;
pub(super) mod life;
mod processes;
pub(super) mod recorder;
mod reports;
pub(super) mod service;
pub(super) mod slot;

use super::input::Child;
use super::settings::{Settings, Timing};
use breaker::Breaker;
use deaths::Deaths;
use jitter::Jitter;
use life::{Event, Life, Outcome};
use recorder::Recorder;
use service::{Rules, SERVICES, Services};
use slot::Slot;
use std::time::Duration;
use touchline_common::model::{Generation, SlotId};

#[derive(Debug)]
pub(super) struct Children {
    pub(super) slots: Vec<Slot>,
    pub(super) services: Services,
    pub(super) recorder: Recorder,
    pub(super) breaker: Breaker,
    pub(super) breaker_logged: bool,
    pub(super) deaths: Deaths,
    /// Starts after a death, of all children.
    pub(super) restarts: u64,
    jitter: Jitter,
}

impl Children {
    pub(super) fn new(config: &Settings, recorder: Generation) -> Self {
        let mut children = Children {
            slots: Vec::new(),
            services: Services::new(recorder),
            recorder: Recorder::default(),
            breaker: Breaker::new(),
            breaker_logged: false,
            deaths: Deaths::default(),
            restarts: 0,
            jitter: Jitter::new(config.seed),
        };
        // One more than there may be, for the worker that takes over what a drained one has.
        children.make_slots(config.pool.max_workers.saturating_add(1));
        children
    }

    pub(super) fn make_slots(&mut self, last: u16) {
        let first = u16::try_from(self.slots.len()).unwrap_or(u16::MAX).saturating_add(1);
        self.slots.extend((first..=last).map(|number| Slot::new(SlotId(number))));
    }

    pub(super) fn slot(&self, slot: SlotId) -> Option<&Slot> {
        self.slots.get(usize::from(slot.0).checked_sub(1)?)
    }

    pub(super) fn slot_mut(&mut self, slot: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(slot.0).checked_sub(1)?)
    }

    pub(super) fn life(&self, child: Child) -> Option<&Life> {
        match child {
            Child::Service(kind) => Some(&self.services.get(kind).life),
            Child::Worker(slot) => self.slot(slot).map(|slot| &slot.life),
        }
    }

    /// Hands an event to a child's life. The caller acts on the outcome.
    pub(super) fn advance(&mut self, child: Child, event: Event, now: Duration, timing: &Timing) -> Outcome {
        let Children { slots, services, jitter, .. } = self;
        let life = match child {
            Child::Service(kind) => &mut services.get_mut(kind).life,
            Child::Worker(slot) => {
                match usize::from(slot.0).checked_sub(1).and_then(|at| slots.get_mut(at)) {
                    Some(slot) => &mut slot.life,
                    None => return Outcome::Quiet,
                }
            }
        };
        life.advance(event, now, timing, jitter)
    }

    /// The coordinator was late by this much: that time is not counted against any child.
    pub(super) fn forgive(&mut self, late: Duration, now: Duration) {
        for slot in &mut self.slots {
            slot.life.forgive(late);
            slot.process.forgive(late, now);
        }
        for Rules { kind, .. } in &SERVICES {
            let service = self.services.get_mut(*kind);
            service.life.forgive(late);
            service.process.forgive(late, now);
        }
    }
}
