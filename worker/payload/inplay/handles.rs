//! Integer handles of markets and selections, and all odds of a match as they stand.
//!
//! A node keeps its handle in itself, so that no delta touches a string or a map for it. A load keeps the handles of what it brings
//! again under the same names; a market that is deleted and inserted again gets another.

use super::forest::Forest;
use super::key::Key;
use super::mapping::{Class, Role};
use super::memory::MarketState;
use super::store::{NIL, NodeId, TreeId};
use super::text;
use crate::payload::MatchSlot;
use crate::payload::json::lossy;
use crate::payload::observe::{Names, Received, Sink};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use touchline_common::model::{Handle, MarketValue, Price, SelectionValue};

/// Handles of the nodes that a load replaces, and what was published of markets, by a hash of all keys and names.
pub(super) type Kept = HashMap<u64, (Handle, Option<u64>), RandomState>;

impl Forest {
    /// The handle of a market; 0 if it can have none.
    #[inline]
    pub(super) fn market_handle(
        &mut self,
        slot: u32,
        id: NodeId,
        names: &mut (impl Names + ?Sized),
    ) -> Handle {
        let held = self.store.node(id).handle;
        if held != Handle(0) {
            return held;
        }
        let name = self.store.attribute(id, self.mapping.key(Class::Market, Role::Name));
        let handle = names.name_market(MatchSlot(slot), self.store.it(id), name.unwrap_or_default());
        self.set_handle(id, handle)
    }

    /// The handle of a selection; 0 if it or its market can have none.
    #[inline]
    pub(super) fn selection_handle(
        &mut self,
        slot: u32,
        id: NodeId,
        names: &mut (impl Names + ?Sized),
    ) -> Handle {
        let held = self.store.node(id).handle;
        if held != Handle(0) {
            return held;
        }
        let market = self.store.market_of(id);
        if market == NIL || !self.store.node(market).indexed {
            return Handle(0);
        }
        let market = self.market_handle(slot, market, names);
        if market == Handle(0) {
            return market;
        }
        let name = self.store.attribute(id, self.mapping.key(Class::Selection, Role::Name));
        let handle =
            names.name_selection(MatchSlot(slot), market, self.store.it(id), name.unwrap_or_default());
        self.set_handle(id, handle)
    }

    pub(super) fn set_handle(&mut self, id: NodeId, handle: Handle) -> Handle {
        if let Some(node) = self.store.node_mut(id) {
            node.handle = handle;
        }
        handle
    }

    /// What stands at and below a node gets other handles when it next needs some; what was published under the old ones is gone.
    pub(super) fn forget_handles_below(&mut self, slot: u32, top: NodeId) {
        let Some(received) = self.matches.get(slot as usize).map(|held| held.received) else { return };
        let mut id = top;
        while id != NIL {
            if self.store.node(id).class == Class::Market {
                self.retire_market(slot, id);
                self.market_changed(slot, id, received);
            }
            self.set_handle(id, Handle(0));
            id = self.store.after(top, id);
        }
    }

    /// The match has another handle, so everything below it needs others, too. What was published is not reported as gone: it was under
    /// the old one.
    pub fn forget_handles(&mut self, slot: MatchSlot) {
        let Some(held) = self.matches.get(slot.0 as usize) else { return };
        for tree in held.trees.clone() {
            let root = self.store.tree(tree).map_or(NIL, |tree| tree.root);
            self.forget_handles_below(slot.0, root);
        }
        if let Some(held) = self.matches.get_mut(slot.0 as usize) {
            held.gone.clear();
        }
    }

    pub(super) fn keep_handles(&self, tree: TreeId) -> Kept {
        let mut kept = Kept::default();
        self.for_each_named(tree, |id, identity| {
            let handle = self.store.node(id).handle;
            if handle != Handle(0) {
                let published = self.store.market_state(id).and_then(|state| state.hash);
                kept.insert(identity, (handle, published));
            }
        });
        kept
    }

    /// Gives the handles back to what the load brought again; published markets that it did not bring are gone.
    pub(super) fn restore_handles(&mut self, owner: u32, tree: TreeId, mut kept: Kept) {
        if kept.is_empty() {
            return;
        }
        let mut again = Vec::with_capacity(kept.len());
        self.for_each_named(tree, |id, identity| again.extend(kept.remove(&identity).map(|kept| (id, kept))));
        for (id, (handle, published)) in again {
            self.set_handle(id, handle);
            if let Some(state) = self.store.market_state(id) {
                self.store.set_market_state(id, MarketState { hash: published, ..state });
            }
        }
        if let Some(held) = self.matches.get_mut(owner as usize) {
            held.gone.extend(kept.into_values().filter_map(|(handle, published)| published.map(|_| handle)));
        }
    }

    /// Every market and selection that can have a handle, with a hash of its keys and names and of its market's.
    fn for_each_named(&self, tree: TreeId, mut each: impl FnMut(NodeId, u64)) {
        let root = self.store.tree(tree).map_or(NIL, |tree| tree.root);
        let name =
            |id, class| self.store.attribute(id, self.mapping.key(class, Role::Name)).unwrap_or_default();
        let (mut last, mut of_last) = (NIL, 0);
        let mut id = root;
        while id != NIL {
            let node = self.store.node(id);
            if node.indexed && node.class.is_odds() {
                let market = self.store.market_of(id);
                if market != last {
                    last = market;
                    of_last = self.store.identity(0, self.store.it(market), name(market, Class::Market));
                }
                if id == market {
                    each(id, of_last);
                } else if market != NIL {
                    each(id, self.store.identity(of_last, self.store.it(id), name(id, Class::Selection)));
                }
            }
            id = self.store.after(root, id);
        }
    }

    pub(super) fn report_odds(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get(slot as usize).filter(|held| held.live) else { return };
        let mut shown = Vec::new();
        for &tree in &held.trees {
            let root = self.store.tree(tree).map_or(NIL, |tree| tree.root);
            let mut id = root;
            while id != NIL {
                let node = self.store.node(id);
                if node.indexed && node.class.is_odds() && self.is_first(slot, tree, id) {
                    shown.push(id);
                }
                id = self.store.after(root, id);
            }
        }
        // Handles first: while values are borrowed nothing can be named.
        shown.retain(|&id| {
            let handle = if self.store.node(id).class == Class::Market {
                self.market_handle(slot, id, sink)
            } else if self.is_shown(self.store.market_of(id)) {
                self.selection_handle(slot, id, sink)
            } else {
                Handle(0)
            };
            handle != Handle(0)
        });
        let (mut markets, mut selections) = (Vec::new(), Vec::new());
        for &id in &shown {
            if self.store.node(id).class == Class::Market {
                let suspended = self.store.attribute(id, self.mapping.key(Class::Market, Role::Suspended));
                let suspended = text::suspended(suspended);
                markets.push(MarketValue { market: self.store.node(id).handle, suspended });
            } else {
                selections.push(self.selection_value(id));
            }
        }
        sink.odds_base(MatchSlot(slot), &markets, &selections, received);
    }

    pub(super) fn selection_value(&self, id: NodeId) -> SelectionValue<'_> {
        let (mut odds, mut suspended) = (None, None);
        for (name, value) in text::attributes(self.store.text(id)) {
            match self.mapping.role(Class::Selection, Key::of(name)) {
                // Of two attributes with one name the first counts.
                Some(Role::Odds) => _ = odds.get_or_insert(value),
                Some(Role::Suspended) => _ = suspended.get_or_insert(value),
                Some(_) | None => {}
            }
        }
        let odds = odds.unwrap_or_default();
        SelectionValue {
            selection: self.store.node(id).handle,
            price: Price::from_text(odds),
            text: lossy(odds),
            suspended: text::suspended(suspended),
        }
    }
}
