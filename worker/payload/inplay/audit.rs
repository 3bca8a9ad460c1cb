//! A fresh load of a topic against what is held of it: what differs is a delta that was never sent.
//!
//! Nodes are found by their topic ids. What does not count: their order (a load numbers siblings anew, deltas need not), what we derive from changes
//! (`open`, `move`), and attributes that only the held node has, since deltas of another topic of the connection change a node of
//! the same id, too. A load in which nothing differs leaves everything as it was: nothing is reported, nothing published.

use super::forest::Forest;
use super::key::Key;
use super::load::first_node;
use super::mapping::{Class, Role};
use super::memory::Prices;
use super::reading::Reading;
use super::store::{NodeId, TreeId};
use super::{registers, text};
use crate::payload::Differing;
use foldhash::fast::RandomState;
use std::collections::HashSet;

/// A selection by its topic id: its price as written, and what is remembered of it.
pub(super) type Remembered = (Box<[u8]>, Box<[u8]>, Prices);

impl Forest {
    /// Whether a match has other registers or facts than those reported.
    pub(super) fn is_news(&self, slot: u32) -> bool {
        let Some(held) = self.matches.get(slot as usize) else { return false };
        let reading = Reading::of(&self.store, &self.mapping, held);
        let mut registers = Vec::new();
        registers::read(&reading, &reading.statistics(), &mut registers);
        registers != held.reported || reading.facts() != held.facts
    }

    /// What a load differs in from what is held; none if there is nothing to compare.
    pub(super) fn differing(&self, tree: TreeId, topic: &[u8], body: &[u8]) -> Option<Differing> {
        let held = self.store.tree(tree).filter(|tree| tree.nodes > 0)?;
        let nodes = body.get(first_node(body)?..).filter(|nodes| !nodes.is_empty())?;
        let mut found = HashSet::with_capacity_and_hasher(held.nodes, RandomState::default());
        let mut differing = Differing::default();
        let path = |it: &[u8]| format!("{}/{}", String::from_utf8_lossy(topic), String::from_utf8_lossy(it));
        for text in nodes.split(|byte| *byte == b'|') {
            let it = text::find(text, self.mapping.topic).and_then(|(start, end)| text.get(start..end));
            let Some(it) = it.filter(|it| !it.is_empty()) else { continue };
            match self.store.find_in(tree, it) {
                // Of two nodes with one id the first counts.
                Some(id) if !found.insert(id) || self.is_as_loaded(id, text) => {}
                Some(_) | None => differing.add(|| path(it)),
            }
        }
        let gone = |id: &NodeId| {
            let node = self.store.node(*id);
            node.indexed && node.class != Class::Root && !found.contains(id)
        };
        for id in self.store.subtree(held.root).filter(gone) {
            differing.add(|| path(self.store.it(id)));
        }
        Some(differing)
    }

    fn is_as_loaded(&self, id: NodeId, text: &[u8]) -> bool {
        let held = self.store.text(id);
        if held == text {
            return true;
        }
        let class = self.store.node(id).class;
        let value = |text, name| {
            text::find_name(text, name).and_then(|(start, end)| text.get(start..end)).unwrap_or_default()
        };
        text::type_word(held) == text::type_word(text)
            && text::attributes(text).all(|(name, _)| {
                self.mapping.role(class, Key::of(name)) == Some(Role::Order)
                    || value(held, name) == value(text, name)
            })
    }

    pub(super) fn remembered_prices(&self, tree: TreeId) -> Vec<Remembered> {
        let remembered = |id| {
            let node = self.store.node(id);
            let prices = node.prices().filter(|_| node.indexed)?;
            Some((self.store.it(id).into(), self.price_text(id).into(), prices))
        };
        self.store.nodes_of(tree).filter_map(remembered).collect()
    }

    pub(super) fn remember_prices(&mut self, tree: TreeId, remembered: Vec<Remembered>) {
        for (it, text, prices) in remembered {
            if let Some(id) = self.store.find_in(tree, &it)
                && self.store.node(id).class == Class::Selection
                && self.price_text(id) == &*text
            {
                self.store.node_mut(id).remember(prices);
            }
        }
    }

    fn price_text(&self, id: NodeId) -> &[u8] {
        self.store.attribute(id, self.mapping.key(Class::Selection, Role::Odds)).unwrap_or_default()
    }
}
