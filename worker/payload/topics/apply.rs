//! A message of a topic: the value it leaves, and what of that is reported.
//!
//! A load and a delta both state the whole value of their topic. What became unknown moves no register.

use super::reading::{Counts, Reading};
use super::table::Role;
use super::{Branch, Branches, Dirty, LONGEST_NS, Place, QUIET_NS, Reporting, Scratch};
use crate::payload::json_text::lossy;
use crate::payload::observe::{Received, Seen, Sink};
use crate::payload::rules::{of_statistic, report_registers};
use crate::payload::{MatchSlot, Payload, Result, TreeError};
use touchline_common::model::{Change, Side};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brought {
    /// A load: one of a first load's many, as long as those come.
    Load,
    /// A delta: a happening.
    Delta,
}

impl Branches {
    /// Takes the value of a topic.
    ///
    /// # Errors
    /// [`TreeError::TopicNotHeld`], [`TreeError::Topics`], [`TreeError::Bytes`]: the value is what it was.
    pub(super) fn value(
        &mut self,
        topic: &[u8],
        body: &[u8],
        brought: Brought,
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let (place, key) = self.find(topic).ok_or_else(|| TreeError::not_held(topic))?;
        sink.approached(MatchSlot(place.slot));
        self.check_limits(place, key, body)?;
        sink.touched(MatchSlot(place.slot));
        self.begin(place.slot, brought, received, sink);
        let Some(held) = self.matches.get_mut(place.slot as usize) else { return Ok(()) };
        let table = self.table.as_ref();
        let role = table.and_then(|table| table.role(key));
        let before = role.and_then(|role| Reading::of(table, held).statistic(role));
        let before = before.map_or([None, None], |(_, counts)| counts);
        if !held.set(usize::from(place.asked), key, body) {
            return Ok(());
        }
        let reporting = matches!(held.reporting, Reporting::All | Reporting::Awaited);
        // What an earlier subscription has of the same name hides this.
        let hidden = held.asked.iter().take(place.asked.into()).any(|asked| asked.values.contains_key(key));
        let dirty = match role {
            Some(Role::Match | Role::Progress | Role::Score) => Dirty::HEAD,
            Some(Role::Statistic(_) | Role::Comment) | None => Dirty::TAIL,
        };
        self.changed(place.slot, dirty, received);
        if let Some(role) = role.filter(|role| reporting && !hidden && *role != Role::Match) {
            self.report_value(place.slot, role, before, body, received, sink);
        }
        Ok(())
    }

    fn check_limits(&self, place: Place, key: &[u8], body: &[u8]) -> Result<()> {
        let Some(held) = self.matches.get(place.slot as usize) else { return Ok(()) };
        let known = self.asked(place).is_some_and(|asked| asked.values.contains_key(key));
        if !known && held.topics >= self.limits.topics {
            return Err(TreeError::Topics { limit: self.limits.topics });
        }
        if held.bytes.saturating_add(key.len()).saturating_add(body.len()) > self.limits.bytes {
            return Err(TreeError::Bytes { limit: self.limits.bytes });
        }
        Ok(())
    }

    /// Where a match stands before a message is applied.
    fn begin(&mut self, slot: u32, brought: Brought, received: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        let now = received.mono_ns;
        if held.reporting != Reporting::All {
            held.received = received;
        }
        match (held.reporting, brought) {
            (Reporting::All, _) => {}
            // It is asked for anew, and this was on its way before: the load that follows shows no more than the last value.
            (Reporting::Awaited, Brought::Delta) if !held.reported.is_empty() => {}
            (Reporting::Settling { .. }, Brought::Delta) => self.complete(slot, sink),
            (Reporting::Settling { from, until }, Brought::Load) => {
                self.settling.remove(&(until, slot));
                let until = (now.saturating_add(QUIET_NS)).min(from.saturating_add(LONGEST_NS));
                held.reporting = Reporting::Settling { from, until };
                self.settling.insert((until, slot));
            }
            (Reporting::Awaited, _) => {
                let until = now.saturating_add(QUIET_NS);
                held.reporting = Reporting::Settling { from: now, until };
                self.settling.insert((until, slot));
                // What waits to be rendered waits for the rest of the load.
                if let Some(since) = held.dirty_since {
                    self.dirty.remove(&(since, slot));
                }
            }
        }
    }

    /// A first load counts as complete: it is reported and shown.
    pub(super) fn complete(&mut self, slot: u32, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        if let Reporting::Settling { until, .. } = held.reporting {
            self.settling.remove(&(until, slot));
        }
        held.reporting = Reporting::All;
        held.dirty = Dirty::BOTH;
        let received = held.received;
        // Even if nothing changed: what was due meanwhile could not be shown.
        let since = *held.dirty_since.get_or_insert(received.mono_ns);
        self.dirty.insert((since, slot));
        self.complete.push(MatchSlot(slot));
        self.report(MatchSlot(slot), received, sink);
    }

    /// Sections are to be rendered again.
    pub(super) fn changed(&mut self, slot: u32, dirty: Dirty, received: Received) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        held.dirty.head |= dirty.head;
        held.dirty.tail |= dirty.tail;
        held.received = received;
        if held.dirty_since.is_none() {
            held.dirty_since = Some(received.mono_ns);
            if held.is_shown() {
                self.dirty.insert((received.mono_ns, slot));
            }
        }
    }

    fn report_value(
        &mut self,
        slot: u32,
        role: Role,
        before: Counts,
        new: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) {
        let Branches { table, matches, scratch: Scratch { registers, changes: moved, .. }, .. } = self;
        let Some(held) = matches.get_mut(slot as usize) else { return };
        Reading::of(table.as_ref(), held).registers(registers);
        report_registers(&mut held.reported, registers, moved);
        let reading = Reading::of(table.as_ref(), held);
        let mut changes = Vec::new();
        if role == Role::Comment {
            let text = reading.comment(new).unwrap_or_default();
            changes.push(Change::Comment { text: lossy(text) });
        }
        if let Some((name, now)) = reading.statistic(role) {
            changes.extend(statistic(name, before, now));
        }
        if changes.is_empty() && moved.is_empty() {
            return;
        }
        let clock = reading.clock().shown(received.wall_us);
        sink.observed(MatchSlot(slot), &Seen { registers: moved, changes: &changes, clock, received });
    }
}

impl Branch {
    /// Sets a value; whether it changed.
    fn set(&mut self, asked: usize, key: &[u8], value: &[u8]) -> bool {
        let Some(asked) = self.asked.get_mut(asked) else { return false };
        let was = match asked.values.get_mut(key) {
            Some(held) if **held == *value => return false,
            Some(held) => std::mem::replace(held, value.into()).len(),
            None => {
                asked.values.insert(key.into(), value.into());
                self.topics += 1;
                self.bytes = self.bytes.saturating_add(key.len());
                0
            }
        };
        self.bytes = self.bytes.saturating_sub(was).saturating_add(value.len());
        true
    }

    pub(super) fn unset(&mut self, asked: usize, key: &[u8]) -> bool {
        let Some(old) = self.asked.get_mut(asked).and_then(|asked| asked.values.remove(key)) else {
            return false;
        };
        self.topics -= 1;
        self.bytes = self.bytes.saturating_sub(key.len()).saturating_sub(old.len());
        true
    }
}

/// A statistic that is no register, side by side as far as it is another than before.
fn statistic(name: &str, before: Counts, now: Counts) -> impl Iterator<Item = Change<'_>> {
    let sides = Side::BOTH.into_iter().zip(before.into_iter().zip(now));
    sides.filter_map(move |(side, (before, now))| {
        let now = now.filter(|now| Some(*now) != before && of_statistic(name, side).is_none())?;
        Some(Change::Stat { key: name.into(), side: Some(side), text: now.to_string().into() })
    })
}
