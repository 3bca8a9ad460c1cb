//! What markets and selections remember beyond their text: what was published, the prices since the load.
//!
//! It lies in the node itself, so that an update touches no further memory.

use super::mapping::Class;
use super::store::{NOTHING, Node, NodeId, Store};
use touchline_common::model::{Handle, Price};

/// What was published of a market, and whether it is to be rendered again.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::payload) struct MarketState {
    pub(in crate::payload) hash: Option<u64>,
    pub(in crate::payload) dirty: bool,
}

/// A selection's prices since the load; kept only for those whose price text ever changed.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::payload) struct Prices {
    pub(in crate::payload) open: Option<Price>,
    /// The sign of the last change from price to price.
    pub(in crate::payload) step: i8,
}

impl Store {
    /// Marks a market as to be rendered; whether it was not so before.
    #[inline]
    pub(in crate::payload) fn mark_market(&mut self, id: NodeId) -> bool {
        match self.node_mut(id) {
            Some(node) if node.class == Class::Market => !std::mem::replace(&mut node.dirty, true),
            Some(_) | None => false,
        }
    }

    /// What a market remembers; `None` for other nodes.
    pub(in crate::payload) fn market_state(&self, id: NodeId) -> Option<MarketState> {
        let node = self.node(id);
        (node.class == Class::Market)
            .then(|| MarketState { hash: (node.step != NOTHING).then_some(node.memory), dirty: node.dirty })
    }

    pub(in crate::payload) fn set_market_state(&mut self, id: NodeId, state: MarketState) {
        if let Some(node) = self.node_mut(id).filter(|node| node.class == Class::Market) {
            node.step = if state.hash.is_some() { 0 } else { NOTHING };
            node.memory = state.hash.unwrap_or(0);
            node.dirty = state.dirty;
        }
    }

    /// Remembers of a selection that its price went from `old` to `new`.
    pub(in crate::payload) fn price_moved(&mut self, id: NodeId, old: Option<Price>, new: Option<Price>) {
        let Some(node) = self.node_mut(id).filter(|node| node.class == Class::Selection) else { return };
        let mut prices = node.prices().unwrap_or(Prices { open: old, step: 0 });
        prices.open = prices.open.or(new);
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            prices.step = if new > old { 1 } else { -1 };
        }
        node.remember(prices);
    }

    pub(in crate::payload) fn set_prices(&mut self, id: NodeId, prices: Prices) {
        if let Some(node) = self.node_mut(id).filter(|node| node.class == Class::Selection) {
            node.remember(prices);
        }
    }

    /// Forgets what a node remembers, before its class changes.
    pub(in crate::payload) fn forget_memory(&mut self, id: NodeId) {
        if let Some(node) = self.node_mut(id) {
            (node.memory, node.step, node.dirty, node.handle) = (0, NOTHING, false, Handle(0));
        }
    }
}

impl Node {
    #[inline]
    fn remember(&mut self, prices: Prices) {
        // No price is 0: the stake is in it.
        self.memory = prices.open.map_or(0, |price| price.0 as u64);
        self.step = prices.step;
    }

    /// What a selection remembers; `None` while its price text is that of the load.
    #[inline]
    pub(in crate::payload) fn prices(&self) -> Option<Prices> {
        let open = (self.memory != 0).then_some(Price(self.memory as i64));
        (self.step != NOTHING && self.class == Class::Selection).then_some(Prices { open, step: self.step })
    }
}
