//! The happenings of a match by their numbers, which never change, and which of them are not as the store has them.
//!
//! Invariant: whatever may change what is saved of a slot goes through [`Slots::get_mut`] or [`Slots::push`], so that a commit writes
//! what changed and nothing else.

use super::Slot;
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots {
    all: Vec<Slot>,
    unsaved: BTreeSet<usize>,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Slot> {
        self.all.get(index)
    }

    /// To change it.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        let slot = self.all.get_mut(index)?;
        self.unsaved.insert(index);
        Some(slot)
    }

    /// It is named in this turn, which is not saved.
    pub(super) fn stamp(&mut self, index: usize, turn: u64) {
        if let Some(slot) = self.all.get_mut(index) {
            slot.turn = turn;
        }
    }

    pub(super) fn push(&mut self, slot: Slot) {
        self.unsaved.insert(self.all.len());
        self.all.push(slot);
    }

    /// Those that have changed since they were last committed.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.unsaved.iter().filter_map(|index| Some((*index, self.all.get(*index)?)))
    }

    /// The store has them as they are.
    pub(super) fn committed(&mut self) {
        self.unsaved.clear();
    }
}
