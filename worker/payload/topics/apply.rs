//! A message of a topic: the value it leaves, and what of that is told.
//!
//! A load and a delta both state the whole value of their topic. What became unknown moves no register.

use super::reading::Reading;
use super::table::Role;
use super::{Branch, Branches, LONGEST_NS, QUIET_NS, Telling};
use crate::payload::Applied;
use crate::payload::inplay::registers::of_statistic;
use crate::payload::observe::{FlipAt, Received, Seen, Sink, Span};
use crate::payload::{MatchSlot, TreeError};
use touchline_common::model::{RegisterChange, Side};

/// What brought a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::payload) enum Brought {
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
    pub(in crate::payload) fn value(
        &mut self,
        topic: &[u8],
        body: &[u8],
        brought: Brought,
        received: Received,
        sink: &mut impl Sink,
    ) -> Result<Applied, TreeError> {
        let (place, key) = self.find(topic).ok_or_else(|| TreeError::TopicNotHeld { topic: named(topic) })?;
        sink.approached(MatchSlot(place.slot));
        self.check_limits(place.slot, usize::from(place.asked), key, body)?;
        sink.touched(MatchSlot(place.slot));
        self.begin(place.slot, brought, received, sink);
        let Some(held) = self.matches.get_mut(place.slot as usize) else { return Ok(Applied::default()) };
        let applied = Applied { nodes: 1, ignored: 0 };
        let Some(old) = held.set(usize::from(place.asked), key, body) else { return Ok(applied) };
        let told = held.telling == Telling::Told;
        // What an earlier subscription has of the same name hides this.
        let hidden = held.asked.iter().take(place.asked.into()).any(|asked| asked.values.contains_key(key));
        self.changed(place.slot, received);
        if told && !hidden {
            self.tell(place.slot, key, old.as_deref(), body, received, sink);
        }
        Ok(applied)
    }

    /// The server ended a topic: its value is unknown. The match, if that was the last of its topics.
    ///
    /// # Errors
    /// [`TreeError::TopicNotHeld`].
    pub(in crate::payload) fn topic_removed(
        &mut self,
        topic: &[u8],
        received: Received,
        sink: &mut impl Sink,
    ) -> Result<Option<MatchSlot>, TreeError> {
        let (place, key) = self.find(topic).ok_or_else(|| TreeError::TopicNotHeld { topic: named(topic) })?;
        sink.approached(MatchSlot(place.slot));
        sink.touched(MatchSlot(place.slot));
        let Some(held) = self.matches.get_mut(place.slot as usize) else { return Ok(None) };
        if held.unset(usize::from(place.asked), key) {
            self.changed(place.slot, received);
        }
        if self.matches.get(place.slot as usize).is_some_and(|held| held.topics > 0) {
            return Ok(None);
        }
        self.await_load(place.slot);
        self.clean(place.slot);
        Ok(Some(MatchSlot(place.slot)))
    }

    /// The connection is lost: with the next one every topic is loaded again, and that is told as one again.
    pub(in crate::payload) fn connection_lost(&mut self) {
        let slots: Vec<usize> = self.matches.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.await_load(slot as u32);
        }
    }

    /// Tells the first loads that are complete.
    pub(in crate::payload) fn settle(&mut self, now: Received, sink: &mut impl Sink) {
        while let Some((until, slot)) = self.settling.first().copied() {
            if until > now.mono_ns {
                return;
            }
            sink.approached(MatchSlot(slot));
            self.complete(slot, sink);
        }
    }

    /// When `settle` has something to tell, by the clock of `Received::mono_ns`.
    pub(in crate::payload) fn settles_at(&self) -> Option<u64> {
        self.settling.first().map(|(until, _)| *until)
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
    fn begin(&mut self, slot: u32, brought: Brought, received: Received, sink: &mut impl Sink) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        let now = received.mono_ns;
        if held.telling != Telling::Told {
            held.received = received;
        }
        match (held.telling, brought) {
            (Telling::Told, _) => {}
            (Telling::Settling { .. }, Brought::Delta) => self.complete(slot, sink),
            (Telling::Settling { from, until }, Brought::Load) => {
                self.settling.remove(&(until, slot));
                let until = (now.saturating_add(QUIET_NS)).min(from.saturating_add(LONGEST_NS));
                held.telling = Telling::Settling { from, until };
                self.settling.insert((until, slot));
            }
            (Telling::Awaited, _) => {
                let until = now.saturating_add(QUIET_NS);
                held.telling = Telling::Settling { from: now, until };
                self.settling.insert((until, slot));
                // What waits to be rendered waits for the rest of the load.
                if let Some(since) = held.dirty_since {
                    self.dirty.remove(&(since, slot));
                }
            }
        }
    }

    /// A first load counts as complete: it is told and shown.
    fn complete(&mut self, slot: u32, sink: &mut impl Sink) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        if let Telling::Settling { until, .. } = held.telling {
            self.settling.remove(&(until, slot));
        }
        held.telling = Telling::Told;
        let received = held.received;
        // Even if nothing changed: what was due meanwhile could not be shown.
        let since = *held.dirty_since.get_or_insert(received.mono_ns);
        self.dirty.insert((since, slot));
        self.complete.push(MatchSlot(slot));
        self.tell_base(slot, received, sink);
    }

    /// What comes next of a match is its load again.
    pub(in crate::payload) fn await_load(&mut self, slot: u32) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        // What waits to be rendered goes on waiting for a load that is complete.
        if let Telling::Settling { until, .. } = held.telling {
            self.settling.remove(&(until, slot));
        }
        held.telling = Telling::Awaited;
    }

    /// The document is to be rendered again.
    pub(super) fn changed(&mut self, slot: u32, received: Received) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        held.received = received;
        if held.dirty_since.is_none() {
            held.dirty_since = Some(received.mono_ns);
            if held.is_shown() {
                self.dirty.insert((received.mono_ns, slot));
            }
        }
    }

    pub(super) fn tell_base(&mut self, slot: u32, received: Received, sink: &mut impl Sink) {
        let Some(base) = self.base(MatchSlot(slot), received) else { return };
        if let Some(held) = self.matches.get_mut(slot as usize) {
            held.told = base.registers.iter().map(|(register, value)| (*register, *value)).collect();
            held.facts = base.facts.clone();
        }
        sink.base(MatchSlot(slot), base, received);
    }

    /// Tells what a changed value means.
    fn tell(
        &mut self,
        slot: u32,
        key: &[u8],
        old: Option<&[u8]>,
        new: &[u8],
        received: Received,
        sink: &mut impl Sink,
    ) {
        let Some(role) = self.table.as_ref().and_then(|table| table.role(key)) else { return };
        self.scratch.flips.clear();
        self.scratch.texts.clear();
        self.scratch.changes.clear();
        match role {
            Role::Said => return,
            Role::Comment => self.flip_comment(slot, new),
            Role::Statistic(place) => self.flip_statistic(slot, place, key, old),
            Role::Progress | Role::Score => {}
        }
        self.compare_registers(slot);
        if self.scratch.flips.is_empty() && self.scratch.changes.is_empty() {
            return;
        }
        let Some((held, store)) = self.matches.get(slot as usize).zip(self.scratch.no_nodes.as_ref()) else {
            return;
        };
        let seen = Seen {
            store,
            body: &self.scratch.texts,
            registers: &self.scratch.changes,
            flips: &self.scratch.flips,
            clock: Reading::of(self.table.as_ref(), held).clock().shown(received.wall_us),
            received,
        };
        sink.observed(MatchSlot(slot), &seen);
    }

    fn flip_comment(&mut self, slot: u32, value: &[u8]) {
        let Some(held) = self.matches.get(slot as usize) else { return };
        let reading = Reading { table: self.table.as_ref(), branch: held };
        if let Some(text) = reading.comment(value) {
            let text = said(&mut self.scratch.texts, text);
            self.scratch.flips.push(FlipAt::Comment { text });
        }
    }

    /// A statistic that is no register is told side by side, as far as it is another than before.
    fn flip_statistic(&mut self, slot: u32, place: usize, key: &[u8], old: Option<&[u8]>) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        let Some(table) = &self.table else { return };
        let Some((name, counted)) = table.statistics.get(place) else { return };
        let now = Reading::of(Some(table), held).counts(counted);
        let before = held.with_value(key, old, |held| Reading::of(Some(table), held).counts(counted));
        for ((side, now), before) in Side::BOTH.into_iter().zip(now).zip(before) {
            let Some(now) = now.filter(|now| Some(*now) != before) else { continue };
            if of_statistic(name, side).is_none() {
                let text = said(&mut self.scratch.texts, now.to_string().as_bytes());
                self.scratch.flips.push(FlipAt::Stat { key: name.as_str().into(), side, text });
            }
        }
    }

    /// Fills `scratch.changes` with the registers that differ from those told.
    fn compare_registers(&mut self, slot: u32) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        let mut now = std::mem::take(&mut self.scratch.registers);
        Reading::of(self.table.as_ref(), held).registers(&mut now);
        for &(register, value) in &now {
            match held.told.binary_search_by_key(&register, |(register, _)| *register) {
                Ok(place) => {
                    let Some(told) = held.told.get_mut(place).filter(|told| told.1 != value) else {
                        continue;
                    };
                    told.1 = value;
                }
                Err(place) => held.told.insert(place, (register, value)),
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

    /// Whether there was a value.
    fn unset(&mut self, asked: usize, key: &[u8]) -> bool {
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

/// Appends a text; where it stands.
fn said(texts: &mut Vec<u8>, text: &[u8]) -> Span {
    let from = texts.len();
    texts.extend_from_slice(text);
    (from as u32, texts.len() as u32)
}

fn named(topic: &[u8]) -> String {
    String::from_utf8_lossy(topic).into_owned()
}
