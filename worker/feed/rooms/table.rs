//! The rooms of a worker, by name and by the number that their tokens and timers carry, and when they are due.
//!
//! A room has one timer that counts, at the time that stands beside it: it fires when the room is due or earlier, never later.
//! A number is free again once its room is gone. Whatever was on its way for it then reaches the next room of that number, which
//! finds nothing to read or nothing due: no more than that. Caller: `source`.

use super::line::Address;
use super::link::Link;
use super::room::{Room, State};
use super::timers::Timers;
use crate::net::Connector;
use crate::wire::rooms::JoinAuth;
use hashbrown::HashMap;
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Index(pub(super) u32);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) room: Room,
    pub(super) wire: Wire,
    /// Where it has a place, while it has a connection or tries for one.
    pub(super) address: Option<Address>,
    /// Where the timer stands that counts.
    timer: Option<Instant>,
    /// Whether it stands in the queue of those to be read, or of those to be written to.
    pub(super) in_ready: Queued,
    pub(super) in_unsent: Queued,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Queued {
    #[default]
    No,
    Yes,
}

#[derive(Debug)]
pub(super) enum Wire {
    None,
    Connecting { connector: Box<Connector>, auth: Box<JoinAuth> },
    Open(Box<Link>),
}

impl Entry {
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        match &mut self.wire {
            Wire::Open(link) => Some(link),
            Wire::None | Wire::Connecting { .. } => None,
        }
    }

    pub(super) fn open(&self) -> Option<&Link> {
        match &self.wire {
            Wire::Open(link) => Some(link),
            Wire::None | Wire::Connecting { .. } => None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        match self.room.state() {
            State::Live { .. } => true,
            State::Waiting { .. }
            | State::InLine
            | State::Connecting
            | State::Joining { .. }
            | State::Parked { .. } => false,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let connector = match &self.wire {
            Wire::Connecting { connector, .. } => connector.deadline(),
            Wire::None | Wire::Open(_) => None,
        };
        [self.room.deadline(), connector].into_iter().flatten().min()
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<Index>,
    by_name: HashMap<Arc<str>, Index, foldhash::fast::RandomState>,
    timers: Timers,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn index(&self, name: &str) -> Option<Index> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(index.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: Index) -> Option<&mut Entry> {
        self.entries.get_mut(index.0 as usize)?.as_mut()
    }

    pub(super) fn insert(&mut self, name: &str, room: Room) -> Index {
        let name: Arc<str> = name.into();
        let entry = Entry {
            name: Arc::clone(&name),
            room,
            wire: Wire::None,
            address: None,
            timer: None,
            in_ready: Queued::No,
            in_unsent: Queued::No,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            Index(u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(place) = self.entries.get_mut(index.0 as usize) {
            *place = Some(entry);
        }
        self.by_name.insert(name, index);
        index
    }

    pub(super) fn remove(&mut self, index: Index) -> Option<Entry> {
        let entry = self.entries.get_mut(index.0 as usize)?.take()?;
        self.by_name.remove(&entry.name);
        self.free.push(index);
        Some(entry)
    }

    /// When [`Table::due`] has one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Sets the timer of a room, unless one stands that fires early enough.
    pub(super) fn schedule(&mut self, index: Index) {
        let Some(entry) = self.entries.get_mut(index.0 as usize).and_then(Option::as_mut) else { return };
        let Some(due) = entry.deadline() else { return };
        if entry.timer.is_none_or(|at| due < at) {
            entry.timer = Some(due);
            self.timers.set(due, index);
        }
    }

    /// Takes a room whose timer fires; it has none then.
    pub(super) fn due(&mut self, now: Instant) -> Option<Index> {
        while let Some((at, index)) = self.timers.take(now) {
            if let Some(entry) = self.get_mut(index).filter(|entry| entry.timer == Some(at)) {
                entry.timer = None;
                return Some(index);
            }
        }
        None
    }

    pub(super) fn indexes(&self) -> impl Iterator<Item = Index> {
        self.by_name.values().copied()
    }
}
