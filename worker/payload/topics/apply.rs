//! A message of a topic: the value it leaves, and what of that is reported.
//!
//! A load and a delta both state the whole value of their topic. What became unknown moves no register.

use super::reading::Reading;
use super::table::{Role, Table};
use super::{Branch, Branches, Dirty, LONGEST_NS, QUIET_NS, Reporting};
use crate::payload::json::lossy;
use crate::payload::observe::{Received, Seen, Sink};
use crate::payload::rules::of_statistic;
use crate::payload::{Applied, MatchSlot, Payload, TreeError};
use touchline_common::model::{Change, RegisterChange, Side};

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
    ) -> Result<Applied, TreeError> {
        let (place, key) = self.find(topic).ok_or_else(|| TreeError::TopicNotHeld { topic: named(topic) })?;
        sink.approached(MatchSlot(place.slot));
        self.check_limits(place.slot, usize::from(place.asked), key, body)?;
        sink.touched(MatchSlot(place.slot));
        self.begin(place.slot, brought, received, sink);
        let Some(held) = self.matches.get_mut(place.slot as usize) else { return Ok(Applied::default()) };
        let applied = Applied { nodes: 1, ignored: 0 };
        let Some(old) = held.set(usize::from(place.asked), key, body) else { return Ok(applied) };
        let reporting = matches!(held.reporting, Reporting::All | Reporting::Awaited);
        // What an earlier subscription has of the same name hides this.
        let hidden = held.asked.iter().take(place.asked.into()).any(|asked| asked.values.contains_key(key));
        let dirty = match self.table.as_ref().and_then(|table| table.role(key)) {
            Some(Role::Match | Role::Progress | Role::Score) => Dirty::HEAD,
            Some(Role::Statistic(_) | Role::Comment) | None => Dirty::TAIL,
        };
        self.changed(place.slot, dirty, received);
        if reporting && !hidden {
            self.report_value(place.slot, key, old.as_deref(), body, received, sink);
        }
        Ok(applied)
    }

    fn check_limits(&self, slot: u32, asked: usize, key: &[u8], body: &[u8]) -> Result<(), TreeError> {
        let Some(held) = self.matches.get(slot as usize) else { return Ok(()) };
        let known = held.asked.get(asked).is_some_and(|asked| asked.values.contains_key(key));
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

    /// What comes next of a match is its load again.
    pub(super) fn expect_load(&mut self, slot: u32) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        // What waits to be rendered goes on waiting for a load that is complete.
        if let Reporting::Settling { until, .. } = held.reporting {
            self.settling.remove(&(until, slot));
        }
        held.reporting = Reporting::Awaited;
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
        key: &[u8],
        old: Option<&[u8]>,
        new: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) {
        let Some(role) = self.table.as_ref().and_then(|table| table.role(key)) else { return };
        if role == Role::Match {
            return;
        }
        self.compare_registers(slot);
        let Branches { table, matches, scratch, .. } = self;
        let (Some(table), Some(held)) = (table.as_ref(), matches.get_mut(slot as usize)) else { return };
        let mut changes = Vec::new();
        match role {
            Role::Comment => {
                let text = Reading::of(Some(table), held).comment(new).unwrap_or_default();
                changes.push(Change::Comment { text: lossy(text) });
            }
            Role::Statistic(place) => statistic(table, held, place, key, old, &mut changes),
            Role::Progress | Role::Score | Role::Match => {}
        }
        if changes.is_empty() && scratch.changes.is_empty() {
            return;
        }
        let seen = Seen {
            registers: &scratch.changes,
            changes: &changes,
            clock: Reading::of(Some(table), held).clock().shown(received.wall_us),
            received,
        };
        sink.observed(MatchSlot(slot), &seen);
    }

    /// Fills `scratch.changes` with the registers that differ from those reported.
    fn compare_registers(&mut self, slot: u32) {
        self.scratch.changes.clear();
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        let mut now = std::mem::take(&mut self.scratch.registers);
        Reading::of(self.table.as_ref(), held).registers(&mut now);
        for &(register, value) in &now {
            match held.reported.binary_search_by_key(&register, |(register, _)| *register) {
                Ok(place) => {
                    let Some(last) = held.reported.get_mut(place).filter(|last| last.1 != value) else {
                        continue;
                    };
                    last.1 = value;
                }
                Err(place) => held.reported.insert(place, (register, value)),
            }
            self.scratch.changes.push(RegisterChange { register, value });
        }
        self.scratch.registers = now;
    }
}

impl Branch {
    /// Sets a value; what it was if it changed, `None` inside if there was none.
    fn set(&mut self, asked: usize, key: &[u8], value: &[u8]) -> Option<Option<Box<[u8]>>> {
        let values = &mut self.asked.get_mut(asked)?.values;
        if let Some(held) = values.get_mut(key) {
            if **held == *value {
                return None;
            }
            self.bytes = self.bytes.saturating_sub(held.len()).saturating_add(value.len());
            return Some(Some(std::mem::replace(held, value.into())));
        }
        values.insert(key.into(), value.into());
        self.topics += 1;
        self.bytes = self.bytes.saturating_add(key.len()).saturating_add(value.len());
        Some(None)
    }

    pub(super) fn unset(&mut self, asked: usize, key: &[u8]) -> bool {
        let Some(old) = self.asked.get_mut(asked).and_then(|asked| asked.values.remove(key)) else {
            return false;
        };
        self.topics -= 1;
        self.bytes = self.bytes.saturating_sub(key.len()).saturating_sub(old.len());
        true
    }

    /// What `read` makes of the branch with the value that a topic had before.
    fn with_value<T>(&mut self, key: &[u8], old: Option<&[u8]>, read: impl FnOnce(&Branch) -> T) -> T {
        let place = self.asked.iter().position(|asked| asked.values.contains_key(key));
        let Some(place) = place else { return read(self) };
        let swap = |held: &mut Branch, value: Option<Box<[u8]>>| {
            let values = held.asked.get_mut(place).map(|asked| &mut asked.values);
            values.and_then(|values| match value {
                Some(value) => values.insert(key.into(), value),
                None => values.remove(key),
            })
        };
        let now = swap(self, old.map(Into::into));
        let answer = read(self);
        swap(self, now);
        answer
    }
}

/// A statistic that is no register, side by side as far as it is another than before.
fn statistic<'a>(
    table: &'a Table,
    held: &mut Branch,
    place: usize,
    key: &[u8],
    old: Option<&[u8]>,
    changes: &mut Vec<Change<'a>>,
) {
    let Some((name, counted)) = table.statistics.get(place) else { return };
    let now = Reading::of(Some(table), held).counts(counted);
    let before = held.with_value(key, old, |held| Reading::of(Some(table), held).counts(counted));
    for ((side, now), before) in Side::BOTH.into_iter().zip(now).zip(before) {
        let Some(now) = now.filter(|now| Some(*now) != before) else { continue };
        if of_statistic(name, side).is_none() {
            let (key, text) = (name.as_str().into(), now.to_string().into());
            changes.push(Change::Stat { key, side, text });
        }
    }
}

pub(super) fn named(topic: &[u8]) -> String {
    String::from_utf8_lossy(topic).into_owned()
}
