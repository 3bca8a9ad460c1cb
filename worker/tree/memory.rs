//! What markets and selections remember beyond their text: what was published, the prices since the load.

use super::mapping::Class;
use super::store::{MarketState, NIL, Node, NodeId, Prices, Store};
use touchline_common::model::Price;

impl Store {
    /// Marks a market as to be rendered; whether it was not so before.
    #[inline]
    pub(super) fn mark_market(&mut self, id: NodeId) -> bool {
        match self.market_state_mut(id) {
            Some(state) => !std::mem::replace(&mut state.dirty, true),
            None => false,
        }
    }

    pub(super) fn market_state(&self, id: NodeId) -> Option<MarketState> {
        let node = self.node(id);
        if node.class != Class::Market {
            return None;
        }
        Some(self.markets.get(node.side as usize).copied().unwrap_or_default())
    }

    pub(super) fn market_state_mut(&mut self, id: NodeId) -> Option<&mut MarketState> {
        let node = self.nodes.get_mut(id as usize)?;
        if node.class != Class::Market {
            return None;
        }
        if node.side == NIL {
            node.side = self.markets.insert(MarketState::default()) as u32;
        }
        self.markets.get_mut(node.side as usize)
    }

    /// What a selection remembers; `None` while its price text is that of the load.
    #[inline]
    pub(super) fn prices(&self, node: &Node) -> Option<Prices> {
        if node.side == NIL || node.class != Class::Selection {
            return None;
        }
        self.prices.get(node.side as usize).copied()
    }

    /// Tells a selection that its price went from `old` to `new`.
    pub(super) fn price_moved(&mut self, id: NodeId, old: Option<Price>, new: Option<Price>) {
        let Some(node) = self.nodes.get_mut(id as usize) else { return };
        if node.class != Class::Selection {
            return;
        }
        if node.side == NIL {
            node.side = self.prices.insert(Prices { open: old, step: 0 }) as u32;
        }
        let Some(prices) = self.prices.get_mut(node.side as usize) else { return };
        prices.open = prices.open.or(new);
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            prices.step = if new > old { 1 } else { -1 };
        }
    }

    /// Forgets what a node remembers, before its class changes or it is freed.
    pub(super) fn drop_side(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id as usize) else { return };
        let side = std::mem::replace(&mut node.side, NIL);
        if side != NIL && node.class == Class::Market {
            self.markets.try_remove(side as usize);
        }
        if side != NIL && node.class == Class::Selection {
            self.prices.try_remove(side as usize);
        }
    }
}
