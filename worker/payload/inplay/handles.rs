//! Integer handles of markets and selections, and all odds of a match as they stand.
//!
//! A node keeps its handle in itself, so that no delta touches a string or a map for it. A load keeps the handles of what it brings
//! again under the same names; a market that is deleted and inserted again gets another.

use super::forest::Forest;
use super::mapping::{Class, Role};
use super::store::{NIL, NodeId, TreeId};
use super::text;
use crate::payload::MatchSlot;
use crate::payload::json_text::lossy;
use crate::payload::observe::{Names, Received, Sink};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use touchline_common::model::{Handle, MarketValue, Price, SelectionValue};

/// Handles of the nodes that a load replaces, and what was published of markets (else 0), by a hash of all keys and names.
pub(super) type Kept = HashMap<u64, (Handle, u64), RandomState>;

impl Forest {
    /// The handle of a market or a selection; 0 if it or its market can have none.
    #[inline]
    pub(super) fn handle(&mut self, slot: u32, id: NodeId, names: &mut (impl Names + ?Sized)) -> Handle {
        let held = self.store.node(id).handle;
        if held != Handle(0) {
            return held;
        }
        let market = self.store.market_of(id);
        if !self.store.node(market).indexed {
            return Handle(0);
        }
        let handle = if id == market {
            names.name_market(MatchSlot(slot), self.store.it(id), self.name_of(id))
        } else {
            match self.handle(slot, market, names) {
                Handle(0) => Handle(0),
                market => names.name_selection(MatchSlot(slot), market, self.store.it(id), self.name_of(id)),
            }
        };
        self.store.node_mut(id).handle = handle;
        handle
    }

    fn name_of(&self, id: NodeId) -> &[u8] {
        let key = self.mapping.key(self.store.node(id).class, Role::Name);
        self.store.attribute(id, key).unwrap_or_default()
    }

    /// What stands at and below a node gets other handles when it next needs some; what was published under the old ones is gone.
    pub(super) fn forget_handles_below(&mut self, slot: u32, top: NodeId) {
        let Some(received) = self.matches.get(slot as usize).map(|held| held.received) else { return };
        self.retire_markets(slot, top);
        self.markets_below_changed(slot, top, received);
        let below: Vec<NodeId> = self.store.subtree(top).collect();
        for id in below {
            self.store.node_mut(id).handle = Handle(0);
        }
    }

    pub(super) fn keep_handles(&self, tree: TreeId) -> Kept {
        let kept = self.named(tree).map(|(id, identity)| {
            let node = self.store.node(id);
            (identity, (node.handle, node.published().unwrap_or(0)))
        });
        kept.filter(|(_, (handle, _))| *handle != Handle(0)).collect()
    }

    /// Gives the handles back to what the load brought again; published markets that it did not bring are gone.
    pub(super) fn restore_handles(&mut self, tree: TreeId, mut kept: Kept) {
        if kept.is_empty() {
            return;
        }
        let again: Vec<_> =
            self.named(tree).filter_map(|(id, identity)| Some((id, kept.remove(&identity)?))).collect();
        for (id, (handle, published)) in again {
            let node = self.store.node_mut(id);
            (node.handle, node.memory) = (handle, published);
        }
        if let Some(held) = self.matches.get_mut(self.store.owner_of(tree) as usize) {
            let gone = kept.into_values().filter(|(_, published)| *published != 0);
            held.gone.extend(gone.map(|(handle, _)| handle));
        }
    }

    /// Every market and selection that can have a handle, with a hash of its keys and names and of its market's.
    fn named(&self, tree: TreeId) -> impl Iterator<Item = (NodeId, u64)> {
        let (mut last, mut of_last) = (NIL, 0);
        self.store.nodes_of(tree).filter_map(move |id| {
            let node = self.store.node(id);
            if !node.indexed || !node.class.is_odds() {
                return None;
            }
            let market = self.store.market_of(id);
            if market == NIL {
                return None;
            }
            if market != last {
                last = market;
                of_last = self.store.identity(0, self.store.it(market), self.name_of(market));
            }
            if id == market {
                return Some((id, of_last));
            }
            Some((id, self.store.identity(of_last, self.store.it(id), self.name_of(id))))
        })
    }

    pub(super) fn report_odds(&mut self, slot: u32, received: Received, sink: &mut dyn Sink) {
        let Some(held) = self.matches.get(slot as usize).filter(|held| held.live) else { return };
        let mut shown = Vec::new();
        for &tree in &held.trees {
            shown.extend(self.store.nodes_of(tree).filter(|id| {
                let node = self.store.node(*id);
                node.indexed && node.class.is_odds() && self.is_first(slot, tree, *id)
            }));
        }
        // Handles first: while values are borrowed nothing can be named.
        shown.retain(|id| {
            self.is_shown(self.store.market_of(*id)) && self.handle(slot, *id, sink) != Handle(0)
        });
        let (mut markets, mut selections) = (Vec::new(), Vec::new());
        for &id in &shown {
            if self.store.node(id).class == Class::Market {
                markets.push(self.market_value(id));
            } else {
                selections.push(self.selection_value(id));
            }
        }
        sink.odds_base(MatchSlot(slot), &markets, &selections, received);
    }

    pub(super) fn market_value(&self, id: NodeId) -> MarketValue {
        let suspended = self.store.attribute(id, self.mapping.key(Class::Market, Role::Suspended));
        MarketValue { market: self.store.node(id).handle, suspended: text::suspended(suspended) }
    }

    pub(super) fn selection_value(&self, id: NodeId) -> SelectionValue<'_> {
        let value = |role| self.store.attribute(id, self.mapping.key(Class::Selection, role));
        let odds = value(Role::Odds).unwrap_or_default();
        SelectionValue {
            selection: self.store.node(id).handle,
            price: Price::from_text(odds),
            text: lossy(odds),
            suspended: text::suspended(value(Role::Suspended)),
            won: text::won(value(Role::Won)),
        }
    }
}
