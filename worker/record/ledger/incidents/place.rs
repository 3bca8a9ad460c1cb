//! Where an incident stands: held for a while in case that earlier ones come, then given an `order` for good.
//!
//! The latest of all stands a step behind the match's newest event; one that comes late stands in the middle between its
//! neighbours. Where no integer is left between them it shares the order of the one before it: orders of what is told
//! never fall along the match, so sorting by (order, seq) puts it behind all of that order, which is as near as possible.

use super::{Incidents, Key, Ordering, State, Telling, What};
use crate::record::ledger::ORDER_STEP;
use crate::record::ledger::event::EventType;
use std::time::Instant;

impl Incidents {
    /// Lets a slot wait for its place, as a happening that was not told yet.
    pub(super) fn hold(&mut self, index: usize, now: Instant) {
        self.arrived += 1;
        let Some(key) = self.key_of(index, self.arrived) else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.state = State::Held;
        slot.key = key;
        slot.revision = 0;
        slot.score = None;
        if slot.k > 0 {
            let (kind, (side, period, clock, rank)) = (slot.incident.kind, slot.named_by);
            slot.id = match &slot.incident.source_id {
                Some(source_id) => self.scope.named_incident(kind, source_id, slot.k),
                None => self.scope.stated_incident(kind, (side, period, clock), rank, slot.k),
            };
        }
        self.held.insert(key, index);
        match self.ordering {
            Ordering::AsSent => {}
            Ordering::ByClock { wait, .. } => self.due.push_back((now + wait, index)),
        }
    }

    /// What waits may be said to be elsewhere.
    pub(super) fn move_held(&mut self, index: usize) {
        let Some(before) = self.slots.get(index).map(|slot| slot.key) else { return };
        let Some(key) = self.key_of(index, before.2) else { return };
        if let Some(slot) = self.slots.get_mut(index) {
            slot.key = key;
        }
        self.held.remove(&before);
        self.held.insert(key, index);
    }

    fn key_of(&mut self, index: usize, arrived: u64) -> Option<Key> {
        let incident = &self.slots.get(index)?.incident;
        match self.ordering {
            Ordering::AsSent => Some(Key(0, 0, arrived)),
            Ordering::ByClock { .. } => {
                let (last_period, last_clock) = self.latest;
                let period = incident.period.unwrap_or(last_period);
                let same = if period == last_period { last_clock } else { 0 };
                let clock = incident.clock.map_or(same, |clock| clock.0);
                self.latest = self.latest.max((period, clock));
                Some(Key(period, clock, arrived))
            }
        }
    }

    /// Tells in order what waits beyond the bound, and all up to what has waited long enough.
    pub(super) fn release(&mut self, now: Instant, order: &mut i64, out: &mut Vec<Telling>) {
        let bound = match self.ordering {
            Ordering::AsSent => 0,
            Ordering::ByClock { held, .. } => held,
        };
        while self.held.len() > bound {
            self.publish_first(order, out);
        }
        while let Some((due, index)) = self.due.front().copied() {
            let waiting = self.slots.get(index).filter(|slot| slot.state == State::Held).map(|slot| slot.key);
            match waiting {
                Some(_) if due > now => return,
                Some(key) => {
                    while self.held.first_key_value().is_some_and(|(first, _)| *first <= key) {
                        self.publish_first(order, out);
                    }
                }
                None => {}
            }
            self.due.pop_front();
        }
    }

    fn publish_first(&mut self, order: &mut i64, out: &mut Vec<Telling>) {
        let Some((key, index)) = self.held.pop_first() else { return };
        let (place, late) = self.place(key, order);
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.state = State::Told;
        slot.order = place;
        slot.late = late;
        let is_goal = slot.incident.kind == EventType::Goal;
        self.told.insert(key, index);
        if is_goal {
            self.goals.insert(key, index);
            self.rescore(key, index);
        }
        self.tell(index, What::Happened, out);
        if is_goal {
            self.score_from(key, out);
        }
    }

    /// The order of what stands at `key`, and whether that is before something told.
    fn place(&self, key: Key, newest: &mut i64) -> (i64, bool) {
        let order_of = |(_, index): (&Key, &usize)| self.slots.get(*index).map(|slot| slot.order);
        let before = self.told.range(..key).next_back().and_then(order_of);
        let Some(after) = self.told.range(key..).next().and_then(order_of) else {
            *newest = newest.saturating_add(ORDER_STEP);
            return (*newest, false);
        };
        let place = match before {
            Some(before) => before.midpoint(after),
            None => after.saturating_sub(ORDER_STEP),
        };
        // The midpoint of neighbours below zero is rounded up.
        let place = if place == after { before.unwrap_or(place) } else { place };
        (place, true)
    }
}
