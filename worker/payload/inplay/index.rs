//! From the hash of a topic id to the nodes that may have it: open addressing, eight bytes an entry.
//!
//! Which text a node has is not known here: callers compare. An entry is looked for from its home on to the first free
//! place, so that it takes one line of the cache, seldom two; removing moves those behind it up, and there are no
//! tombstones. Invariant: between an entry's home and its place nothing is free.

use super::store::{NIL, NodeId};

/// Of four places three are used at most.
const FULL: (usize, usize) = (3, 4);
const LEAST: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    node: NodeId,
}

const FREE: Entry = Entry { hash: 0, node: NIL };

#[derive(Debug, Default)]
pub(super) struct Index {
    /// A power of two, or none.
    entries: Vec<Entry>,
    used: usize,
}

impl Index {
    #[inline]
    pub(super) fn candidates(&self, hash: u32) -> impl Iterator<Item = NodeId> {
        let mut at = self.home(hash);
        std::iter::from_fn(move || {
            loop {
                let entry = self.entry(at)?;
                at = self.next(at);
                if entry.hash == hash {
                    return Some(entry.node);
                }
            }
        })
    }

    /// Enters a node; whether the same one stands there already is the caller's business.
    pub(super) fn insert(&mut self, hash: u32, node: NodeId) {
        self.reserve(1);
        self.put(Entry { hash, node });
        self.used += 1;
    }

    pub(super) fn remove(&mut self, hash: u32, node: NodeId) {
        let mut hole = self.home(hash);
        while self.entry(hole).is_some_and(|entry| entry.node != node) {
            hole = self.next(hole);
        }
        if self.entry(hole).is_none() {
            return;
        }
        self.used -= 1;
        let mut at = self.next(hole);
        while let Some(entry) = self.entry(at) {
            // It may go to the hole unless its home lies behind that.
            let from_home = at.wrapping_sub(self.home(entry.hash)) & self.mask();
            if from_home >= at.wrapping_sub(hole) & self.mask() {
                self.set(hole, entry);
                hole = at;
            }
            at = self.next(at);
        }
        self.set(hole, FREE);
    }

    /// Makes room for so many more at once.
    pub(super) fn reserve(&mut self, more: usize) {
        let wanted = (self.used + more) * FULL.1 / FULL.0 + 1;
        if wanted <= self.entries.len() {
            return;
        }
        let places = wanted.next_power_of_two().max(LEAST);
        let old = std::mem::replace(&mut self.entries, vec![FREE; places]);
        for entry in old.into_iter().filter(|entry| entry.node != NIL) {
            self.put(entry);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    fn put(&mut self, entry: Entry) {
        let mut at = self.home(entry.hash);
        while self.entry(at).is_some() {
            at = self.next(at);
        }
        self.set(at, entry);
    }

    #[inline]
    fn entry(&self, at: usize) -> Option<Entry> {
        self.entries.get(at).copied().filter(|entry| entry.node != NIL)
    }

    fn set(&mut self, at: usize, entry: Entry) {
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry;
        }
    }

    #[inline]
    fn mask(&self) -> usize {
        self.entries.len().wrapping_sub(1)
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & self.mask()
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.mask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_one_finds_nothing() {
        let mut index = Index::default();
        index.remove(7, 7);
        assert_eq!(index.candidates(7).count(), 0);
    }

    proptest! {
        /// Few hashes, so that entries push each other around, also over the end.
        #[test]
        fn finds_what_was_entered_and_not_removed(
            steps in prop::collection::vec((any::<bool>(), 0..40_u32, 0..60_u32), 0..400),
        ) {
            let mut index = Index::default();
            let mut model: Vec<(u32, NodeId)> = Vec::new();
            for (enter, hash, node) in steps {
                let hash = hash.wrapping_sub(20);
                if model.iter().any(|(_, held)| *held == node) {
                    let held = model.iter().position(|(_, held)| *held == node).unwrap();
                    let (hash, node) = model.swap_remove(held);
                    index.remove(hash, node);
                } else if enter {
                    model.push((hash, node));
                    index.insert(hash, node);
                } else {
                    index.remove(hash, node);
                }
                for hash in (0..40_u32).map(|hash| hash.wrapping_sub(20)) {
                    let mut found: Vec<NodeId> = index.candidates(hash).collect();
                    let mut want: Vec<NodeId> =
                        model.iter().filter(|(held, _)| *held == hash).map(|(_, node)| *node).collect();
                    found.sort_unstable();
                    want.sort_unstable();
                    prop_assert_eq!(found, want);
                }
                prop_assert!(index.used * FULL.1 <= index.entries.len() * FULL.0);
            }
        }
    }
}
