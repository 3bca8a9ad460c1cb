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
use super::store::{NIL, NodeId, TreeId};
use super::text;
use crate::payload::TreeError;
use crate::payload::observe::{Names, Received, Seen, Sink};
use crate::payload::{Applied, MatchSlot};
use foldhash::fast::RandomState;
use std::collections::HashSet;
use touchline_common::ipc::messages::data::MatchBase;
use touchline_common::model::{Handle, MarketValue, OddsChange, SelectionValue};

/// A selection by its topic id: its price as written, and what is remembered of it.
type Remembered = (Box<[u8]>, Box<[u8]>, Prices);

impl Forest {
    /// As [`Forest::load`], for a topic that was subscribed again to see whether deltas of it are missing: also gives the number of nodes
    /// in which what was held differs from the load; none if there was nothing to compare.
    pub fn audit(
        &mut self,
        topic: &[u8],
        body: &[u8],
        received: Received,
        sink: &mut dyn Sink,
    ) -> Result<(Applied, Option<usize>), TreeError> {
        let Some(tree) = self.topics.get(topic).copied() else {
            return self.load(topic, body, received, sink).map(|applied| (applied, None));
        };
        let owner = self.store.tree(tree).map_or(NIL, |tree| tree.owner);
        self.approach(owner, sink);
        let differing = self.differing(tree, body);
        let before = self.matches.get(owner as usize).map(|held| (held.reported.clone(), held.facts.clone()));
        let prices = self.remembered_prices(tree);
        let mut holding = Holding { sink, base: None };
        let applied = self.load(topic, body, received, &mut holding)?;
        let Holding { sink, base } = holding;
        self.remember_prices(tree, prices);
        let after = self.matches.get(owner as usize).map(|held| (held.reported.clone(), held.facts.clone()));
        if let Some(slot) = base
            && (differing != Some(0) || before != after)
        {
            self.report_all(slot.0, received, sink);
        }
        Ok((applied, differing))
    }

    fn differing(&self, tree: TreeId, body: &[u8]) -> Option<usize> {
        let held = self.store.tree(tree).filter(|tree| tree.nodes > 0)?;
        let nodes = body.get(first_node(body)?..).filter(|nodes| !nodes.is_empty())?;
        let mut found = HashSet::with_capacity_and_hasher(held.nodes, RandomState::default());
        let mut differing = 0;
        for text in nodes.split(|byte| *byte == b'|') {
            let it = text::find(text, self.mapping.topic()).and_then(|(start, end)| text.get(start..end));
            let Some(it) = it.filter(|it| !it.is_empty()) else { continue };
            match self.store.find_in(tree, it) {
                // Of two nodes with one id the first counts.
                Some(id) => differing += usize::from(found.insert(id) && !self.is_as_loaded(id, text)),
                None => differing += 1,
            }
        }
        let mut id = held.root;
        while id != NIL {
            let node = self.store.node(id);
            let gone = node.indexed && node.class != Class::Root && !found.contains(&id);
            differing += usize::from(gone);
            id = self.store.after(held.root, id);
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

    fn remembered_prices(&self, tree: TreeId) -> Vec<Remembered> {
        let root = self.store.tree(tree).map_or(NIL, |tree| tree.root);
        let mut remembered = Vec::new();
        let mut id = root;
        while id != NIL {
            let node = self.store.node(id);
            if let Some(prices) = node.prices().filter(|_| node.indexed) {
                remembered.push((self.store.it(id).into(), self.price_text(id).into(), prices));
            }
            id = self.store.after(root, id);
        }
        remembered
    }

    fn remember_prices(&mut self, tree: TreeId, remembered: Vec<Remembered>) {
        for (it, text, prices) in remembered {
            if let Some(id) = self.store.find_in(tree, &it)
                && self.price_text(id) == &*text
            {
                self.store.set_prices(id, prices);
            }
        }
    }

    fn price_text(&self, id: NodeId) -> &[u8] {
        self.store.attribute(id, self.mapping.key(Class::Selection, Role::Odds)).unwrap_or_default()
    }
}

/// Keeps a base back until it is known whether it says anything new.
struct Holding<'a> {
    sink: &'a mut dyn Sink,
    base: Option<MatchSlot>,
}

impl Names for Holding<'_> {
    fn name_market(&mut self, slot: MatchSlot, key: &[u8], name: &[u8]) -> Handle {
        self.sink.name_market(slot, key, name)
    }

    fn name_selection(&mut self, slot: MatchSlot, market: Handle, key: &[u8], name: &[u8]) -> Handle {
        self.sink.name_selection(slot, market, key, name)
    }
}

impl Sink for Holding<'_> {
    fn base(&mut self, slot: MatchSlot, _base: MatchBase<'_>) {
        self.base = Some(slot);
    }

    fn odds_base(&mut self, _: MatchSlot, _: &[MarketValue], _: &[SelectionValue<'_>], _: Received) {}

    fn observed(&mut self, slot: MatchSlot, seen: &Seen<'_>) {
        self.sink.observed(slot, seen);
    }

    fn odds(&mut self, slot: MatchSlot, changes: &[OddsChange<'_>], received: Received) {
        self.sink.odds(slot, changes, received);
    }

    fn approached(&mut self, slot: MatchSlot) {
        self.sink.approached(slot);
    }

    fn touched(&mut self, slot: MatchSlot) {
        self.sink.touched(slot);
    }
}
