//! What markets and selections remember beyond their text: what was published, the prices since the load.
//!
//! It lies in the node itself, so that an update touches no further memory.

use super::mapping::Class;
use super::store::{NOTHING, Node, NodeId, Store};
use touchline_common::model::Price;

/// A selection's prices since the load; kept only for those whose price text ever changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prices {
    pub(super) open: Option<Price>,
    /// The sign of the last change from price to price.
    pub(super) step: i8,
}

impl Store {
    /// Marks a market as to be rendered; whether it was not so before.
    #[inline]
    pub(super) fn mark_market(&mut self, id: NodeId) -> bool {
        self.node(id).class == Class::Market && !std::mem::replace(&mut self.node_mut(id).dirty, true)
    }

    /// Remembers of a selection that its price went from `old` to `new`.
    pub(super) fn price_moved(&mut self, id: NodeId, old: Option<Price>, new: Option<Price>) {
        let node = self.node_mut(id);
        let mut prices = node.prices().unwrap_or(Prices { open: old, step: 0 });
        prices.open = prices.open.or(new);
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            prices.step = if new > old { 1 } else { -1 };
        }
        node.remember(prices);
    }
}

impl Node {
    /// The hash of what was published of a market, if anything was.
    pub(super) fn published(&self) -> Option<u64> {
        (self.class == Class::Market && self.memory != 0).then_some(self.memory)
    }

    #[inline]
    pub(super) fn remember(&mut self, prices: Prices) {
        // No price is 0: the stake is in it.
        self.memory = prices.open.map_or(0, |price| price.0 as u64);
        self.step = prices.step;
    }

    /// What a selection remembers; `None` while its price text is that of the load.
    #[inline]
    pub(super) fn prices(&self) -> Option<Prices> {
        let open = (self.memory != 0).then_some(Price(self.memory as i64));
        (self.step != NOTHING && self.class == Class::Selection).then_some(Prices { open, step: self.step })
    }
}
