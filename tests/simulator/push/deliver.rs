//! What is sent of the changes, and what goes wrong with it: holes, copies, deltas out of their order, deltas of strangers.
//!
//! Everything of a tick is gathered per connection and written as the dialect packs it. Callers: the loop, `listen`.

use super::connection::{Service, Stage, Subject};
use super::dialect::{Span, Stamp, Topic};
use super::options::{Faults, Mishap};
use super::run::{Server, millis};
use super::script::{Number, Slot};
use std::sync::Arc;

/// One delta of so many is sent of a subscription that is thinned out.
const THIN: u64 = 10;

/// Of each kind of fault a number, which makes them independent.
const HOLES: u64 = 1;
const DUPLICATES: u64 = 2;
const REORDERED: u64 = 3;
const STRANGERS: u64 = 4;

impl Server {
    /// So many further changes happen, and are gathered for who follows them.
    pub(super) fn happen(&mut self, count: u64) {
        let shared = Arc::clone(&self.shared);
        let mut world = shared.world();
        // Whoever pauses waits for this lock: nothing changes behind it.
        if shared.is_paused() {
            return;
        }
        for _ in 0..count {
            world.changes += 1;
            let change = world.changes;
            let (slot, number) = world.script.place_of(change);
            let Some(topic) = world.topic(slot) else { continue };
            let followers = self.followers.get(slot).cloned().unwrap_or_default();
            let mishap = self.mishap(topic, change, !followers.is_empty());
            for at in followers {
                self.gather(at, topic, number, mishap);
            }
            if self.options.topics > 1
                && topic.script.is_struck(change, STRANGERS, self.options.faults.strangers)
            {
                self.gather_stranger(slot, topic, number);
            }
        }
        self.report.changes = world.changes;
    }

    /// What goes wrong with a delta: what was asked for, or what the options say.
    fn mishap(&mut self, topic: Topic<'_>, change: u64, is_followed: bool) -> Option<Mishap> {
        if !is_followed {
            return None;
        }
        if let Some(mishap) = self.mishaps.remove(topic.id) {
            return Some(mishap);
        }
        let Faults { holes, duplicates, reordered, .. } = self.options.faults;
        let struck = |kind, times| topic.script.is_struck(change, kind, times);
        if struck(HOLES, holes) {
            Some(Mishap::Hole)
        } else if struck(DUPLICATES, duplicates) {
            Some(Mishap::Duplicate)
        } else {
            struck(REORDERED, reordered).then_some(Mishap::Reorder)
        }
    }

    fn gather(&mut self, at: usize, topic: Topic<'_>, number: Number, mishap: Option<Mishap>) {
        let Some(connection) = self.connections.get_mut(at).filter(|one| one.stage == Stage::Open) else {
            return;
        };
        let Some(subscription) = connection.subscriptions.get_mut(topic.id) else { return };
        match subscription.service {
            Service::Nothing => return,
            Service::Thin if !number.is_multiple_of(THIN) => {
                subscription.sent = number;
                return;
            }
            Service::Whole | Service::Thin => {}
        }
        if number < subscription.sent + self.options.conflate && mishap.is_none() {
            return;
        }
        let span = Span { from: subscription.sent, to: number };
        subscription.sent = number;
        if matches!(mishap, Some(Mishap::Hole | Mishap::Reorder)) {
            *self.report.holes.entry(topic.id.to_owned()).or_default() += 1;
        }
        if mishap == Some(Mishap::Hole) {
            return;
        }
        self.report.deltas += 1;
        let delta = self.options.dialect.delta(topic, span, self.options.deltas);
        match mishap {
            Some(Mishap::Reorder) if subscription.held.is_none() => {
                subscription.held = Some(delta);
                return;
            }
            Some(Mishap::Duplicate) => {
                self.report.duplicates += 1;
                connection.parts.push(delta.clone());
            }
            Some(Mishap::Hole | Mishap::Reorder) | None => {}
        }
        connection.parts.push(delta);
        connection.parts.extend(subscription.held.take());
    }

    /// A delta goes to one connection that never asked for its topic.
    fn gather_stranger(&mut self, slot: Slot, topic: Topic<'_>, number: Number) {
        let followers = self.followers.get(slot).cloned().unwrap_or_default();
        let stranger = self.connections.iter_mut().find(|(at, one)| {
            one.stage == Stage::Open && !followers.contains(at) && !one.subscriptions.is_empty()
        });
        let Some((_, connection)) = stranger else { return };
        let span = Span { from: number.saturating_sub(1), to: number };
        connection.parts.push(self.options.dialect.delta(topic, span, self.options.deltas));
        self.report.strangers += 1;
    }

    /// While nothing changes: what was kept back, to be put together or to come later, is sent.
    pub(super) fn send_rest(&mut self) {
        let world = self.shared.world();
        let (dialect, deltas) = (self.options.dialect, self.options.deltas);
        for (_, connection) in self.connections.iter_mut().filter(|(_, one)| one.stage == Stage::Open) {
            for subscription in connection.subscriptions.values_mut() {
                let Subject::Topic(slot) = subscription.subject else { continue };
                connection.parts.extend(subscription.held.take());
                let (Some(topic), number) = (world.topic(slot), world.number(slot)) else { continue };
                if subscription.service == Service::Whole && subscription.sent < number {
                    let span = Span { from: subscription.sent, to: number };
                    subscription.sent = number;
                    self.report.deltas += 1;
                    connection.parts.push(dialect.delta(topic, span, deltas));
                }
            }
        }
    }

    /// The next lines of the recorded stream, to who follows it.
    pub(super) fn send_lines(&mut self, count: usize) {
        let Some(recording) = &self.recording else { return };
        let mut least = None;
        for (_, connection) in self.connections.iter_mut().filter(|(_, one)| one.stage == Stage::Open) {
            let Some(subscription) = connection.subscriptions.get_mut(&recording.id) else { continue };
            let lines = recording.next(subscription.sent as usize, count);
            subscription.sent += lines.len() as u64;
            let sent = subscription.sent;
            least = Some(least.map_or(sent, |least: u64| least.min(sent)));
            lines.iter().for_each(|line| connection.send(line));
        }
        self.report.lines = least.unwrap_or(self.report.lines);
    }

    /// Another topic comes to this place: who follows the old one is told no more of it, who follows the list is.
    pub(super) fn replace(&mut self, slot: Slot) {
        let shared = Arc::clone(&self.shared);
        let mut world = shared.world();
        let Some(old) = world.topics().get(slot).cloned() else { return };
        let Some(new) = world.replace(slot) else { return };
        let told = world.dialect.list_change(&old, &new, world.listed);
        drop(world);
        for at in self.followers.get_mut(slot).map(std::mem::take).unwrap_or_default() {
            self.unsubscribe(at, &old);
        }
        for (_, connection) in &mut self.connections {
            if connection.subscriptions.values().any(|one| one.subject == Subject::List) {
                connection.parts.extend(told.clone());
            }
        }
    }

    /// Writes what was gathered for everybody.
    pub(super) fn send_all(&mut self) {
        let open: Vec<usize> = self.connections.iter().map(|(at, _)| at).collect();
        open.into_iter().for_each(|at| self.send_parts(at));
    }

    /// Writes what was gathered for one.
    pub(super) fn send_parts(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        if connection.parts.is_empty() {
            return;
        }
        let parts = std::mem::take(&mut connection.parts);
        let stamp = Stamp { changes: self.shared.world().changes, at: millis() };
        self.options.dialect.pack(&parts, stamp).iter().for_each(|message| connection.send(message));
    }
}
