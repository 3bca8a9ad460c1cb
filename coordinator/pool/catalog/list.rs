//! The rules of a feed's match list: what appears, what changes, and when a deletion is believed.
//!
//! Pure. A deletion counts only after `Timing::list_move`, since a delete and an insert of one match within
//! that time is a move. When more than half of the matches (and more than 5) are deleted, by a load or by deltas, nothing
//! counts until a second load confirms it. A gap of the list deletes nothing. What is above [`LISTED_MAX`] is not followed, but counted.

use crate::pool::settings::Timing;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use touchline_common::ipc::messages::worker::ListChange;
use touchline_common::model::{Listing, MatchId};

/// Matches that a list may have; what is above is not followed. So many of those are told apart.
pub(in crate::pool) const LISTED_MAX: usize = 100_000;
/// So many deletions are believed without a second load, however few matches there are.
const BELIEVED: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum ListEvent {
    Appeared(MatchId, Listing),
    /// The list knows something else of it.
    Changed(MatchId, Listing),
    /// It is not in the list any more.
    Gone(MatchId),
    Loaded,
    /// The list has more matches than are followed of one: so many are left out. Said once, until none is.
    OverLimit {
        left_out: usize,
    },
    /// Take the list again: so many of so many are gone.
    Confirm {
        gone: usize,
        of: usize,
    },
}

#[derive(Debug, Default)]
pub(in crate::pool) struct MatchList {
    known: BTreeMap<MatchId, Listing>,
    /// Above the limit.
    left_out: BTreeSet<MatchId>,
    /// Deleted, but not yet believed.
    deleted: BTreeMap<MatchId, Duration>,
    load: Option<Load>,
    /// When a second load was asked for, since too much was deleted to be believed.
    confirm_asked: Option<Duration>,
    followed: bool,
    loads: u64,
}

#[derive(Debug)]
struct Load {
    seen: BTreeSet<MatchId>,
    left_out: BTreeSet<MatchId>,
    /// Began after a confirmation was asked for.
    confirms: bool,
}

impl MatchList {
    /// How many matches the list has, deleted ones that still count among them.
    pub(in crate::pool) fn len(&self) -> usize {
        self.known.len()
    }

    /// How many matches of the list are not followed since there are more than it may have.
    pub(in crate::pool) fn left_out(&self) -> usize {
        self.left_out.len()
    }

    /// Whether the list has a match, deleted or not as long as it still counts.
    pub(in crate::pool) fn has(&self, id: &MatchId) -> bool {
        self.known.contains_key(id)
    }

    /// How many loads were complete; `None` while it is not followed.
    pub(in crate::pool) fn loads(&self) -> Option<u64> {
        self.followed.then_some(self.loads)
    }

    #[cfg(test)]
    pub(in crate::pool) fn is_confirming(&self) -> bool {
        self.confirm_asked.is_some()
    }

    pub(in crate::pool) fn apply(
        &mut self,
        changes: Vec<ListChange>,
        now: Duration,
        timing: &Timing,
        out: &mut Vec<ListEvent>,
    ) {
        let was_whole = self.left_out.is_empty();
        for change in changes {
            match change {
                ListChange::LoadBegin => {
                    let confirms = self.confirm_asked.is_some();
                    self.load = Some(Load { seen: BTreeSet::new(), left_out: BTreeSet::new(), confirms });
                }
                ListChange::Present { id, listing } => self.present(id, listing, out),
                ListChange::Gone { id } => {
                    self.no_more_left_out(&id);
                    if let Some(load) = &mut self.load {
                        load.seen.remove(&id);
                    }
                    if self.known.contains_key(&id) {
                        self.deleted.entry(id).or_insert(now);
                    }
                }
                ListChange::LoadEnd => self.loaded(now, out),
                ListChange::Lost => self.lost(),
            }
        }
        if was_whole && !self.left_out.is_empty() {
            out.push(ListEvent::OverLimit { left_out: self.left_out.len() });
        }
        self.doubt(now, timing, out);
    }

    /// Looks at what was deleted a while ago.
    pub(in crate::pool) fn tick(&mut self, now: Duration, timing: &Timing, out: &mut Vec<ListEvent>) {
        if self.deleted.is_empty() || !self.followed {
            return;
        }
        self.doubt(now, timing, out);
        if self.confirm_asked.is_some() {
            return;
        }
        let due: Vec<MatchId> = self
            .deleted
            .iter()
            .filter(|(_, at)| **at + timing.list_move <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.believe(id, out);
        }
    }

    /// The coordinator was late by this much: what would have undone a deletion may still wait to be read.
    pub(in crate::pool) fn forgive(&mut self, late: Duration) {
        for at in self.deleted.values_mut() {
            *at += late;
        }
    }

    /// The list is not followed at the moment: a load that was on its way is void.
    pub(in crate::pool) fn lost(&mut self) {
        self.load = None;
        self.followed = false;
    }

    fn present(&mut self, id: MatchId, listing: Listing, out: &mut Vec<ListEvent>) {
        if self.known.len() >= LISTED_MAX && !self.known.contains_key(&id) {
            return self.leave_out(id);
        }
        if let Some(load) = &mut self.load {
            load.seen.insert(id.clone());
        }
        self.deleted.remove(&id);
        match self.known.get_mut(&id) {
            Some(known) if *known == listing => {}
            Some(known) => {
                known.clone_from(&listing);
                out.push(ListEvent::Changed(id, listing));
            }
            None => {
                self.no_more_left_out(&id);
                self.known.insert(id.clone(), listing.clone());
                out.push(ListEvent::Appeared(id, listing));
            }
        }
    }

    fn leave_out(&mut self, id: MatchId) {
        let left_out = self.load.as_mut().map_or(&mut self.left_out, |load| &mut load.left_out);
        if left_out.len() < LISTED_MAX {
            left_out.insert(id);
        }
    }

    fn no_more_left_out(&mut self, id: &MatchId) {
        self.left_out.remove(id);
        if let Some(load) = &mut self.load {
            load.left_out.remove(id);
        }
    }

    fn loaded(&mut self, now: Duration, out: &mut Vec<ListEvent>) {
        let Some(load) = self.load.take() else { return };
        self.followed = true;
        self.loads += 1;
        let missing: Vec<MatchId> =
            self.known.keys().filter(|id| !load.seen.contains(*id)).cloned().collect();
        for id in missing {
            if load.confirms {
                self.believe(id, out);
            } else {
                self.deleted.entry(id).or_insert(now);
            }
        }
        if load.confirms {
            self.confirm_asked = None;
        }
        self.left_out = load.left_out;
        out.push(ListEvent::Loaded);
    }

    fn believe(&mut self, id: MatchId, out: &mut Vec<ListEvent>) {
        self.deleted.remove(&id);
        if self.known.remove(&id).is_some() {
            out.push(ListEvent::Gone(id));
        }
    }

    /// Asks for a second load while too much is deleted.
    fn doubt(&mut self, now: Duration, timing: &Timing, out: &mut Vec<ListEvent>) {
        let (gone, of) = (self.deleted.len(), self.known.len());
        if gone <= BELIEVED || gone * 2 <= of {
            self.confirm_asked = None;
            return;
        }
        if !self.followed || self.load.is_some() {
            return;
        }
        if self.confirm_asked.is_none_or(|at| now >= at + timing.list_confirm) {
            self.confirm_asked = Some(now);
            out.push(ListEvent::Confirm { gone, of });
        }
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
