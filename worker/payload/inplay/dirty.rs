//! Which matches and blocks wait to be rendered, oldest first.
//!
//! A match enters the list at its first change after a rendering and leaves it when rendered; the list is linked
//! through the matches, so that leaving costs nothing wherever it stands.

use super::forest::Forest;
use super::mapping::Class;
use super::store::{NIL, NodeId};
use crate::payload::MatchSlot;
use crate::payload::observe::Received;

impl Forest {
    /// The live match that has waited longest and the `mono_ns` of the read since which it waits.
    pub fn oldest_dirty(&self) -> Option<(MatchSlot, u64)> {
        let held = self.matches.get(self.dirty_first as usize)?;
        Some((MatchSlot(self.dirty_first), held.dirty_since?))
    }

    /// All that wait, oldest first.
    pub fn dirty(&self) -> impl Iterator<Item = (MatchSlot, u64)> {
        let mut at = self.dirty_first;
        std::iter::from_fn(move || {
            let held = self.matches.get(at as usize)?;
            let item = (MatchSlot(at), held.dirty_since?);
            at = held.dirty_next;
            Some(item)
        })
    }

    /// The head of a match is to be rendered again.
    pub(super) fn head_changed(&mut self, slot: u32, received: Received) {
        if let Some(held) = self.matches.get_mut(slot as usize) {
            held.head_dirty = true;
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
                held.dirty_markets.retain(|id| self.store.market_state(*id).is_some_and(|state| state.dirty));
                held.dirty_markets.sort_unstable();
                held.dirty_markets.dedup();
            }
            held.dirty_markets.push(market);
        }
        self.match_changed(slot, received);
    }

    /// Marks what shows a changed node: its market, or the head, or both.
    #[inline]
    pub(super) fn node_changed(&mut self, slot: u32, id: NodeId, received: Received) {
        let class = self.store.node(id).class;
        let market = self.store.market_of(id);
        if market != NIL {
            self.market_changed(slot, market, received);
        }
        // What is no market and no selection may stand in `extra.nodes`, wherever it is.
        if market == NIL || (class != Class::Selection && class != Class::Market) {
            self.head_changed(slot, received);
        }
        if class == Class::MarketGroup {
            self.markets_below_changed(slot, id, received);
        }
    }

    /// Marks every market below `top` (or at it).
    pub(super) fn markets_below_changed(&mut self, slot: u32, top: NodeId, received: Received) {
        let mut id = top;
        while id != NIL {
            if self.store.node(id).class == Class::Market {
                self.market_changed(slot, id, received);
            }
            id = self.store.after(top, id);
        }
    }

    fn match_changed(&mut self, slot: u32, received: Received) {
        let last = self.dirty_last;
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        held.received = received;
        if held.dirty_since.is_some() || !held.live {
            return;
        }
        held.dirty_since = Some(received.mono_ns);
        (held.dirty_prev, held.dirty_next) = (last, NIL);
        match self.matches.get_mut(last as usize) {
            Some(before) => before.dirty_next = slot,
            None => self.dirty_first = slot,
        }
        self.dirty_last = slot;
    }

    /// Takes a match from the list; its blocks are not looked at.
    pub(super) fn clean(&mut self, slot: u32) {
        let Some(held) = self.matches.get_mut(slot as usize) else { return };
        if held.dirty_since.take().is_none() {
            return;
        }
        let (prev, next) = (held.dirty_prev, held.dirty_next);
        match self.matches.get_mut(prev as usize) {
            Some(before) => before.dirty_next = next,
            None => self.dirty_first = next,
        }
        match self.matches.get_mut(next as usize) {
            Some(after) => after.dirty_prev = prev,
            None => self.dirty_last = prev,
        }
    }
}
