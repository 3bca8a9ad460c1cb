//! The processes: workers in their slots and the services, how each lives and dies, and what is learned of deaths.
//!
//! Invariants: a child's state changes by [`life::Life::advance`] alone; a slot has no process while it is parked; a generation is never
//! used twice. `reports`, `recorder` and `gateway` read what children send, `processes` acts on what becomes of them.

pub(super) mod breaker;
pub(super) mod deaths;
pub(super) mod gateway;
pub(super) mod jitter;
pub(super) mod life;
mod processes;
pub(super) mod recorder;
pub(super) mod recovery;
mod reports;
pub(super) mod service;
pub(super) mod slot;

use super::input::{Child, ServiceKind};
use breaker::Breaker;
use deaths::Death;
use gateway::Gateway;
use life::Life;
use recorder::Recorder;
use recovery::Fallen;
use slot::Slot;
use std::collections::VecDeque;
use std::time::Duration;
use touchline_common::config::PoolConfig;
use touchline_common::model::{FeedId, Generation, SlotId};

#[derive(Debug)]
pub(super) struct Children {
    pub(super) slots: Vec<Slot>,
    pub(super) recorder: Recorder,
    /// Where one is configured.
    pub(super) gateway: Option<Gateway>,
    pub(super) breaker: Breaker,
    pub(super) breaker_logged: bool,
    /// The newest deaths, the newest first.
    pub(super) deaths: VecDeque<Death>,
    /// Those whose matches are not all followed again, or are not replaced.
    pub(super) fallen: Vec<Fallen>,
    /// Starts after a death, of all children.
    pub(super) restarts: u64,
}

impl Children {
    pub(super) fn new(config: &PoolConfig, recorder: Generation, gateway: Option<Gateway>) -> Self {
        let mut children = Children {
            slots: Vec::new(),
            recorder: Recorder::new(recorder),
            gateway,
            breaker: Breaker::default(),
            breaker_logged: false,
            deaths: VecDeque::new(),
            fallen: Vec::new(),
            restarts: 0,
        };
        // One more than there may be, for the worker that takes over what a drained one has.
        children.make_slots(config.max_workers.saturating_add(1));
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
            Child::Service(ServiceKind::Recorder) => Some(&self.recorder.life),
            Child::Service(ServiceKind::Gateway) => self.gateway.as_ref().map(|gateway| &gateway.life),
            Child::Worker(slot) => self.slot(slot).map(|slot| &slot.life),
        }
    }

    pub(super) fn life_mut(&mut self, child: Child) -> Option<&mut Life> {
        match child {
            Child::Service(ServiceKind::Recorder) => Some(&mut self.recorder.life),
            Child::Service(ServiceKind::Gateway) => self.gateway.as_mut().map(|gateway| &mut gateway.life),
            Child::Worker(slot) => self.slot_mut(slot).map(|slot| &mut slot.life),
        }
    }

    /// The slots of a feed, whatever their state.
    pub(super) fn of(&self, feed: FeedId) -> impl Iterator<Item = &Slot> + Clone {
        self.slots.iter().filter(move |slot| slot.feed == Some(feed))
    }

    pub(super) fn working(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.life.works())
    }

    pub(super) fn with_process(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.life.has_process())
    }

    /// The coordinator was late by this much: that time is not counted against any child.
    pub(super) fn forgive(&mut self, late: Duration, now: Duration) {
        self.recorder.life.forgive(late, now);
        if let Some(gateway) = &mut self.gateway {
            gateway.life.forgive(late, now);
        }
        for slot in &mut self.slots {
            slot.life.forgive(late, now);
        }
    }
}
