//! Which topic an alias stands for.
//!
//! The server gives aliases, in loads; they are opaque. One topic has at most one alias and one alias one topic; the
//! newest counts. The table is bounded, and belongs to one connection: it is lost with it.
//! Each delta asks here, so aliases of up to 7 bytes, which are all but the odd ones, are looked up as one number.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use slab::Slab;

/// A topic's place in the table; good until the topic is removed or gets another alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSlot(u32);

#[derive(Debug)]
pub struct AliasTable {
    entries: Slab<Entry>,
    by_short_alias: HashMap<u64, TopicSlot, RandomState>,
    by_long_alias: HashMap<Box<[u8]>, TopicSlot, RandomState>,
    by_name: HashMap<Box<[u8]>, TopicSlot, RandomState>,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    name: Box<[u8]>,
    alias: Box<[u8]>,
}

impl AliasTable {
    /// A table for at most `limit` aliases.
    pub fn new(limit: usize) -> AliasTable {
        AliasTable {
            entries: Slab::new(),
            by_short_alias: HashMap::default(),
            by_long_alias: HashMap::default(),
            by_name: HashMap::default(),
            limit: limit.min(u32::MAX as usize),
        }
    }

    /// Takes the alias that a load of `name` gives. Whether it did: an empty one, or one more than are kept, is not known
    /// then, and neither is what it stood for before; the topic itself is fine.
    #[must_use]
    pub fn learn(&mut self, name: &[u8], alias: &[u8]) -> bool {
        if self.resolve(alias).is_some_and(|slot| self.name(slot) == Some(name)) {
            return true;
        }
        self.forget_name(name);
        self.forget_alias(alias);
        if alias.is_empty() || self.entries.len() >= self.limit {
            return false;
        }
        let place = self.entries.insert(Entry { name: name.into(), alias: alias.into() });
        let slot = TopicSlot(u32::try_from(place).unwrap_or(u32::MAX));
        match short(alias) {
            Some(number) => self.by_short_alias.insert(number, slot),
            None => self.by_long_alias.insert(alias.into(), slot),
        };
        self.by_name.insert(name.into(), slot);
        true
    }

    /// Where the topic of `alias` lies.
    #[inline]
    pub fn resolve(&self, alias: &[u8]) -> Option<TopicSlot> {
        match short(alias) {
            Some(number) => self.by_short_alias.get(&number).copied(),
            None => self.by_long_alias.get(alias).copied(),
        }
    }

    /// The name of the topic in `slot`.
    #[inline]
    pub fn name(&self, slot: TopicSlot) -> Option<&[u8]> {
        self.entries.get(slot.0 as usize).map(|entry| &*entry.name)
    }

    /// Forgets the alias of the topic `name`, if it has one.
    pub fn forget_name(&mut self, name: &[u8]) {
        if let Some(slot) = self.by_name.get(name) {
            self.remove(*slot);
        }
    }

    /// Forgets `alias`, if it is known.
    pub fn forget_alias(&mut self, alias: &[u8]) {
        if let Some(slot) = self.resolve(alias) {
            self.remove(slot);
        }
    }

    fn remove(&mut self, slot: TopicSlot) {
        let Some(entry) = self.entries.try_remove(slot.0 as usize) else { return };
        self.by_name.remove(&entry.name);
        match short(&entry.alias) {
            Some(number) => self.by_short_alias.remove(&number),
            None => self.by_long_alias.remove(&entry.alias),
        };
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// An alias of at most 7 bytes as a number, its length in the highest byte: no two are the same.
#[inline]
fn short(alias: &[u8]) -> Option<u64> {
    if alias.len() > 7 {
        return None;
    }
    let letters = alias.iter().rev().fold(0, |number, letter| number << 8 | u64::from(*letter));
    Some(letters | (alias.len() as u64) << 56)
}
