//! Which matches and blocks wait to be rendered, oldest first.
//!
//! A match enters the queue at its first change after a rendering and leaves it when rendered: the oldest first, so that it is found
//! at once.

use super::class::Parts;
use super::forest::Forest;
use super::mapping::Class;
use super::store::{NIL, NodeId};
use crate::payload::observe::Received;

impl Forest {
    /// Parts of a match's head and tail are to be rendered again.
    #[inline]
    pub(super) fn parts_changed(&mut self, slot: u32, parts: Parts, received: Received) {
        if parts != Parts::NONE
            && let Some(held) = self.matches.get_mut(slot as usize)
        {
            held.parts = held.parts | parts;
            self.match_changed(slot, received);
        }
    }

    /// A market is to be rendered again.
    pub(super) fn market_changed(&mut self, slot: u32, market: NodeId, received: Received) {
        if self.store.mark_market(market)
            && let Some(held) = self.matches.get_mut(slot as usize)
        {
            // Markets that come and go between two renderings leave their ids behind.
            if held.dirty_markets.len() >= 1_024 && held.dirty_markets.len() == held.dirty_markets.capacity()
            {
                held.dirty_markets.retain(|id| self.store.node(*id).dirty);
                held.dirty_markets.sort_unstable();
                held.dirty_markets.dedup();
            }
            held.dirty_markets.push(market);
        }
        self.match_changed(slot, received);
    }

    /// Marks what shows a node whose attributes changed: its market, and `parts` of head and tail.
    #[inline]
    pub(super) fn node_changed(&mut self, slot: u32, id: NodeId, parts: Parts, received: Received) {
        let market = self.store.market_of(id);
        if market != NIL {
            self.market_changed(slot, market, received);
        }
        self.parts_changed(slot, parts, received);
        if self.store.node(id).class == Class::MarketGroup {
            self.markets_below_changed(slot, id, received);
        }
    }

    /// Marks every market below `top` (or at it).
    pub(super) fn markets_below_changed(&mut self, slot: u32, top: NodeId, received: Received) {
        for market in self.store.markets_below(top) {
            self.market_changed(slot, market, received);
        }
    }

    fn match_changed(&mut self, slot: u32, received: Received) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        held.received = received;
        if held.live && held.dirty_since.is_none() {
            held.dirty_since = Some(received.mono_ns);
            self.dirty.push_back(slot);
        }
    }

    /// Takes a match from the queue; its blocks are not looked at.
    pub(super) fn clean(&mut self, slot: u32) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        if held.dirty_since.take().is_some()
            && let Some(place) = self.dirty.iter().position(|waiting| *waiting == slot)
        {
            self.dirty.remove(place);
        }
    }
}
