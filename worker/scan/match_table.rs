//! The matches that this worker follows, by id and by their place in the forest.

use super::rate::Rate;
use crate::payload::MatchSlot;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Instant;
use touchline_common::ipc::messages::worker::MatchState;
use touchline_common::model::{Epoch, Handle, MatchId, MatchKey};
use touchline_common::sys::crash_marker::CrashMarker;

#[derive(Debug)]
pub struct Followed {
    pub key: MatchKey,
    pub epoch: Epoch,
    /// What stands for it towards the recorder.
    pub handle: Handle,
    /// Its topics, the first wins.
    pub topics: Vec<String>,
    /// Its state as last reported.
    pub state: MatchState,
    pub asked_at: Instant,
    /// When its last message came.
    pub touched_at: Instant,
    pub whole: bool,
    pub due: bool,
    /// Whether the last publication said stale.
    pub said_stale: bool,
    /// Its place in the order in which matches were assigned: in this order they are asked for anew, so that what is above a server's cap
    /// is the newest.
    pub nth: u64,
    pub deltas: u64,
    /// Of them until its newest load on this connection; none while there was none.
    pub loaded: Option<u64>,
    /// When a load was last taken or asked for that what is held was, or will be, compared with.
    pub compared_at: Instant,
    pub rate: Rate,
}

#[derive(Debug, Default)]
pub struct MatchTable {
    crash_marker: Option<CrashMarker>,
    places: Vec<Option<Followed>>,
    by_id: HashMap<MatchId, MatchSlot, foldhash::fast::RandomState>,
    /// Matches that are to be published although nothing in their trees changed, each once.
    due: VecDeque<MatchSlot>,
    inserted: u64,
}

impl MatchTable {
    /// Nothing is followed yet.
    pub fn new(crash_marker: Option<CrashMarker>) -> MatchTable {
        MatchTable { crash_marker, ..MatchTable::default() }
    }

    /// What is done from now on is about this match: if it ends the process, this match is the one.
    #[inline]
    pub fn at(&self, slot: MatchSlot) {
        if let Some(followed) = self.get(slot) {
            self.at_epoch(followed.epoch);
        }
    }

    /// As [`MatchTable::at`], of a match that may not be followed yet.
    #[inline]
    pub fn at_epoch(&self, epoch: Epoch) {
        // No match is followed under epoch 0.
        if let (Some(crash_marker), Some(epoch)) = (&self.crash_marker, NonZeroU64::new(epoch.0)) {
            crash_marker.set(epoch);
        }
    }

    /// What is done from now on is about no match.
    #[inline]
    pub fn at_none(&self) {
        if let Some(crash_marker) = &self.crash_marker {
            crash_marker.clear();
        }
    }

    /// Follows a match at the place that the forest gave it.
    pub fn insert(
        &mut self,
        slot: MatchSlot,
        key: MatchKey,
        epoch: Epoch,
        handle: Handle,
        topics: Vec<String>,
        now: Instant,
    ) {
        let place = slot.0 as usize;
        self.by_id.insert(key.id.clone(), slot);
        self.inserted += 1;
        let nth = self.inserted;
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        if let Some(free) = self.places.get_mut(place) {
            *free = Some(Followed {
                key,
                epoch,
                handle,
                topics,
                state: MatchState::Subscribing,
                asked_at: now,
                touched_at: now,
                whole: true,
                due: false,
                said_stale: false,
                nth,
                deltas: 0,
                loaded: None,
                compared_at: now,
                rate: Rate::default(),
            });
        }
    }

    /// Follows a match no more.
    pub fn remove(&mut self, slot: MatchSlot) -> Option<Followed> {
        let followed = self.places.get_mut(slot.0 as usize)?.take()?;
        self.by_id.remove(&followed.key.id);
        if followed.due {
            self.due.retain(|due| *due != slot);
        }
        Some(followed)
    }

    pub fn slot(&self, id: &MatchId) -> Option<MatchSlot> {
        self.by_id.get(id).copied()
    }

    pub fn by_handle(&self, handle: Handle) -> Option<MatchSlot> {
        self.iter().find(|(_, followed)| followed.handle == handle).map(|(slot, _)| slot)
    }

    pub fn get(&self, slot: MatchSlot) -> Option<&Followed> {
        self.places.get(slot.0 as usize)?.as_ref()
    }

    /// The topics of a match; none if it is not followed.
    pub fn topics(&self, slot: MatchSlot) -> Vec<String> {
        self.get(slot).map(|followed| followed.topics.clone()).unwrap_or_default()
    }

    pub fn get_mut(&mut self, slot: MatchSlot) -> Option<&mut Followed> {
        self.places.get_mut(slot.0 as usize)?.as_mut()
    }

    /// All, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (MatchSlot, &Followed)> {
        let numbered = self.places.iter().enumerate();
        numbered.filter_map(|(place, followed)| Some((MatchSlot(place as u32), followed.as_ref()?)))
    }

    pub fn slots(&self) -> Vec<MatchSlot> {
        self.iter().map(|(slot, _)| slot).collect()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The next publication of a match is to be whole, and is due even if nothing changes.
    pub fn make_whole(&mut self, slot: MatchSlot) {
        if let Some(followed) = self.get_mut(slot) {
            followed.whole = true;
            self.make_due(slot);
        }
    }

    /// A match is to be published even if nothing in its tree changes.
    pub fn make_due(&mut self, slot: MatchSlot) {
        if let Some(followed) = self.get_mut(slot)
            && !std::mem::replace(&mut followed.due, true)
        {
            self.due.push_back(slot);
        }
    }

    pub fn next_due(&mut self) -> Option<MatchSlot> {
        let slot = self.due.pop_front()?;
        if let Some(followed) = self.get_mut(slot) {
            followed.due = false;
        }
        Some(slot)
    }

    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }
}
