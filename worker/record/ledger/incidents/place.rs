//! Where an incident stands: held for a while in case that earlier ones come, then given an `order` for good.
//!
//! The latest of all stands a step behind the match's newest event; one that comes late stands right before the one that
//! follows it, in the middle of the room that is there. Where no integer is left some that follow are taken back and told
//! again with it, as many as leave room for others. What registers tell has orders that are whole steps and is never moved.

use super::registers::is_countable;
use super::{Incidents, Key, Ordering, State, Telling, What};
use crate::record::ledger::ORDER_STEP;
use crate::record::ledger::event::EventType;
use std::collections::BTreeMap;
use std::time::Instant;

/// A place in the sequence, and the slot that has it.
type Placed = (Key, usize);

/// The room that is made for each of those that are told again.
const ROOM: i64 = 1 << 10;

impl Incidents {
    /// Lets a slot wait for its place, as a happening that was not told yet.
    pub(super) fn hold(&mut self, index: usize, now: Instant) {
        self.renew(index);
        self.touch(index);
        self.arrived += 1;
        let Some(key) = self.key_of(index, self.arrived) else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.key = key;
        if self.of_registers.made.contains(&slot.incident.kind) {
            return self.set_beside(index);
        }
        slot.state = State::Held;
        self.held.insert(key, index);
        match self.ordering {
            Ordering::AsSent => {}
            Ordering::ByClock { wait, .. } => self.due.push_back((now + wait, index)),
        }
    }

    /// As it stands for the first time, or again after it was taken back.
    fn renew(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        let id = self.id_of(&slot.incident, slot.named_by, slot.k);
        let Some(slot) = self.slots.get_mut(index) else { return };
        (slot.id, slot.revision, slot.score) = (id, 0, None);
    }

    /// What is no event yet may be said to be elsewhere.
    pub(super) fn move_untold(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        let (before, state) = (slot.key, slot.state);
        let places = if state == State::Beside { &mut self.beside } else { &mut self.held };
        places.remove(&before);
        let key = match self.ordering {
            Ordering::AsSent => before,
            Ordering::ByClock { .. } => self.key_of(index, 0).unwrap_or(before),
        };
        let places = if state == State::Beside { &mut self.beside } else { &mut self.held };
        places.insert(key, index);
        if key == before {
            return;
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.key = key;
        }
        self.touch(index);
    }

    fn key_of(&self, index: usize, arrived: u64) -> Option<Key> {
        let slot = self.slots.get(index)?;
        match self.ordering {
            Ordering::AsSent => Some(Key(0, 0, arrived.into())),
            Ordering::ByClock { .. } => {
                let (last_period, last_clock) = self.latest();
                let period = slot.incident.period.unwrap_or(last_period);
                let same = if period == last_period { last_clock } else { 0 };
                let clock = slot.incident.clock.map_or(same, |clock| clock.0);
                Some(Key(period, clock, self.id_of(&slot.incident, slot.named_by, 0).number()))
            }
        }
    }

    /// The period and clock of the latest that stands, for those that state none.
    fn latest(&self) -> (u8, u32) {
        let all = [&self.told, &self.held, &self.beside];
        let last = all.into_iter().filter_map(BTreeMap::last_key_value);
        last.map(|(Key(period, clock, _), _)| (*period, *clock)).max().unwrap_or_default()
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

    fn publish_first(&mut self, newest: &mut i64, out: &mut Vec<Telling>) {
        let Some((key, index)) = self.held.pop_first() else { return };
        let kind = self.slots.get(index).map(|slot| slot.incident.kind);
        if kind.is_some_and(|kind| self.of_registers.made.contains(&kind)) {
            return self.set_beside(index);
        }
        self.touch(index);
        let before = self.told.range(..key).next_back().and_then(|(_, before)| self.order_of(*before));
        let (moved, room) = self.room(key, before);
        for (_, index) in &moved {
            self.withdraw(*index, out);
        }
        let mut all = vec![(key, index)];
        all.extend(moved);
        let places = all.len() as i64 + 1;
        for (place, (key, index)) in (1..).zip(&all) {
            let order = match room {
                Some((first, last)) => {
                    let order = first.saturating_add((last - first).saturating_mul(place) / places);
                    if order.rem_euclid(ORDER_STEP) == 0 { order.saturating_add(1) } else { order }
                }
                None => {
                    *newest = newest.saturating_add(ORDER_STEP);
                    *newest
                }
            };
            self.stand(*key, *index, order, room.is_some(), out);
        }
        let has_goal = all.iter().any(|(key, _)| self.goals.contains_key(key));
        if let (true, Some((last, _))) = (has_goal, all.last()) {
            self.score_from(*last, out);
        }
    }

    fn stand(&mut self, key: Key, index: usize, order: i64, late: bool, out: &mut Vec<Telling>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        (slot.state, slot.order, slot.late) = (State::Told, order, late);
        let kind = slot.incident.kind;
        self.told.insert(key, index);
        if is_countable(kind) {
            self.countable.insert(key, index);
        }
        if kind == EventType::Goal {
            self.goals.insert(key, index);
            self.rescore(key, index);
        }
        self.tell(index, What::Happened, out);
    }

    /// Takes back what is told again at once: what depends on it is looked at then.
    fn withdraw(&mut self, index: usize, out: &mut Vec<Telling>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let (key, by) = (slot.key, self.scope.retract(slot.id));
        slot.k = slot.k.saturating_add(1);
        self.told.remove(&key);
        self.countable.remove(&key);
        if self.goals.remove(&key).is_some() {
            self.set_score(index, self.score_before(key));
        }
        self.tell(index, What::Retracted { by }, out);
        self.renew(index);
    }

    fn order_of(&self, index: usize) -> Option<i64> {
        self.slots.get(index).map(|slot| slot.order)
    }

    /// What must be told again for `key` to find room, and the orders between which all of that is told; none: behind
    /// everything.
    fn room(&self, key: Key, before: Option<i64>) -> (Vec<Placed>, Option<(i64, i64)>) {
        let mut moved: Vec<Placed> = Vec::new();
        for (next, index) in self.told.range(key..) {
            let Some(order) = self.order_of(*index) else { continue };
            // A whole step may be a register's.
            let step = order.saturating_sub(1).div_euclid(ORDER_STEP).saturating_mul(ORDER_STEP);
            let first =
                before.map_or(step, |before| if moved.is_empty() { before.max(step) } else { before });
            let wanted = if moved.is_empty() { 2 } else { ROOM.saturating_mul(moved.len() as i64 + 2) };
            if order.saturating_sub(first) >= wanted {
                return (moved, Some((first, order)));
            }
            moved.push((*next, *index));
        }
        (moved, None)
    }
}
